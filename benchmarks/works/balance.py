"""Many threads in many processes: do requests pile up behind one GIL while other processes idle?"""

import random
import time
from dataclasses import replace

from client import Client, Tally
from model import Goal, Metric, Sample, Setup, Variant, Work
from procs import ServerFailed
from stage import Running, Stage
from stats import jain, percentile

PROCESSES = 8
CLIENTS = (2, 6, 16)
SECONDS = 5


def case(clients: int) -> str:
    return f"{clients} clients"


def load(running: Running, clients: int, seconds: float) -> Tally:
    chance = random.Random(clients)  # the same requests for every peer
    with Client(running.host_and_port, clients, lambda: f"/?ms={chance.uniform(2, 5):.2f}") as client:
        time.sleep(seconds)
    return client.tally


def figures(tally: Tally) -> dict[str, float]:
    if not tally.latencies:
        raise ServerFailed(f"no answer: {dict(tally.failures)}")
    return {
        "p50_ms": percentile(tally.latencies, 50) * 1000,
        "p99_ms": percentile(tally.latencies, 99) * 1000,
        "jain": jain(list(tally.workers.values()), PROCESSES),
        "requests": len(tally.latencies),
        "failed": tally.failed,
    }


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    setup = replace(setup, env=(("BENCH_LOOPS_PER_MS", stage.loops_per_ms),))
    with stage.serve(variant, setup) as running:
        load(running, 16, 1)
        return {case(clients): figures(load(running, clients, stage.seconds(SECONDS))) for clients in CLIENTS}


WORK = Work(
    name="balance",
    title="Balance: 8 processes × 20 threads, 2–5 ms of CPU a request",
    method="nginx → unix socket, access log off; 2, 6 and 16 clients, each with one request under way. "
    "Jain's index over the requests of the 8 workers: 1 is even, 0.125 is all on one.",
    variants=[
        Variant("rwsgi", "rwsgi 8×20"),
        Variant("uwsgi", "uwsgi 8×20"),
        Variant("uwsgi", "uwsgi 8×1", threads=1),
    ],
    baseline="uwsgi 8×1",
    metrics=[
        Metric("p50_ms", "p50, ms", 2),
        Metric("p99_ms", "p99, ms", 2, ratio=True),
        Metric("jain", "Jain index", 3),
        Metric("requests", "requests", 0),
        Metric("failed", "failed", 0),
    ],
    measure=measure,
    setup=Setup(app="cpu:application", processes=PROCESSES, threads=20),
    goals=[
        Goal("p99_ms", most=1),
        Goal("jain", least=0.98, of_ratio=False, cases=(case(6), case(16))),
    ],
)
