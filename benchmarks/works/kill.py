"""Workers that die under load."""

import os
import random
import signal
import time
from dataclasses import replace

from client import Client, Tally
from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from procs import Server, tree
from stage import Stage

SECONDS = 8
PAUSE = 0.5


def victim(server: Server, tally: Tally, chance: random.Random) -> int | None:
    """A worker that answered lately: the app says who it is, and the tree that it is ours."""
    ours = tree(server.pid)
    since = time.monotonic() - PAUSE
    alive = [pid for pid, seen in list(tally.last_seen.items()) if seen > since and pid in ours]
    return chance.choice(alive) if alive else None


def kill_workers(server: Server, tally: Tally, seconds: float) -> int:
    chance = random.Random(1)
    kills = 0
    for _ in range(int(seconds / PAUSE)):
        time.sleep(PAUSE)
        pid = victim(server, tally, chance)
        if pid:
            os.kill(pid, signal.SIGKILL)
            kills += 1
    return kills


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    setup = replace(setup, env=(("BENCH_LOOPS_PER_MS", stage.loops_per_ms),))
    with stage.serve(variant, setup) as running:
        with Client(running.host_and_port, 8, lambda: "/?ms=1") as client:
            kills = kill_workers(running.server, client.tally, 2 if stage.quick else SECONDS)
            time.sleep(1)
        return {"": figures(client.tally, kills)}


def figures(tally: Tally, kills: int) -> dict[str, float]:
    return {
        "kills": kills,
        "failed": tally.failed,
        "per_kill": tally.failed / max(1, kills),
        "slowest_ms": tally.slowest * 1000,
        "requests": len(tally.latencies),
    }


WORK = Work(
    name="kill",
    title="kill -9 of a worker, twice a second for 8 s",
    method="nginx → unix socket, 2 processes × 1 thread, 8 clients, each with one request of 1 ms CPU "
    "under way; the victim is picked among the workers that answered in the last half second.",
    variants=variants("rwsgi", "uwsgi", "gunicorn"),
    baseline="uwsgi",
    metrics=[
        Metric("kills", "kills", 0),
        Metric("failed", "failed", 0),
        Metric("per_kill", "failed per kill", 2),
        Metric("slowest_ms", "slowest answer, ms", 1, ratio=True),
        Metric("requests", "requests", 0),
    ],
    measure=measure,
    setup=Setup(app="cpu:application"),
    goals=[Goal("per_kill", most=1, of_ratio=False)],
    rounds=3,
)
