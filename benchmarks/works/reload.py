"""A deployment under load."""

import signal
import time

from client import Client, Tally
from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from procs import Server
from stage import Stage
from stats import percentile

RELOADS = 5
PAUSE = 2.5  # seconds: long enough for every peer to finish a reload


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    reloads = 2 if stage.quick else RELOADS
    with stage.serve(variant, setup) as running:
        with Client(running.host_and_port, 8, lambda: "/") as client:
            time.sleep(1)
            reload(running.server, reloads)
        return {"": figures(client.tally, reloads)}


def reload(server: Server, times: int) -> None:
    for _ in range(times):
        server.signal(signal.SIGHUP)
        time.sleep(PAUSE)
        server.check()


def figures(tally: Tally, reloads: int) -> dict[str, float]:
    return {
        "failed": tally.failed,
        "slowest_ms": tally.slowest * 1000,
        "p99_ms": percentile(tally.latencies, 99) * 1000,
        "requests": len(tally.latencies),
        "workers": len(tally.workers) / (reloads + 1),
    }


WORK = Work(
    name="reload",
    title="HUP five times under load",
    method="nginx → unix socket, 2 processes, 8 clients, each with one request under way; HUP to the "
    f"master every {PAUSE:g} s. Worker pids a generation: 2 when each HUP really made new workers.",
    variants=variants("rwsgi", "uwsgi", "gunicorn"),
    baseline="uwsgi",
    metrics=[
        Metric("failed", "failed", 0),
        Metric("slowest_ms", "slowest answer, ms", 1, ratio=True),
        Metric("p99_ms", "p99, ms", 2),
        Metric("requests", "requests", 0),
        Metric("workers", "worker pids a generation", 2),
    ],
    measure=measure,
    setup=Setup(app="cpu:application"),
    goals=[
        Goal("failed", most=0, of_ratio=False),
        Goal("slowest_ms", most=150, of_ratio=False),
        Goal("workers", least=2, of_ratio=False),
    ],
    rounds=3,
)
