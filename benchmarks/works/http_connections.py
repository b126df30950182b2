"""Does a request cost more when there are many connections?"""

import resource

from load import Load
from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from stage import Stage
from works.throughput import measured, warm_up

CONNECTIONS = (1, 100, 1000, 10_000)
REFERENCE = 100
SPARE = 512  # descriptors beside the connections


def case(count: int) -> str:
    return f"{count:,} connections"


def allowed() -> list[int]:
    """As many connections as the descriptor limit lets us open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return [count for count in CONNECTIONS if hard == resource.RLIM_INFINITY or count + SPARE <= hard]


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    with stage.serve(variant, setup) as running:
        warm_up(running, Load(connections=REFERENCE))
        loads = {count: measured(stage, running, Load(connections=count))[1] for count in allowed()}
    reference = loads[REFERENCE]["cpu_us"] or float("nan")
    return {case(count): {**figures, "flat": figures["cpu_us"] / reference} for count, figures in loads.items()}


WORK = Work(
    name="http-connections",
    title="CPU per request over the number of connections",
    method="Hello over HTTP, keep-alive, 1 process; 1, 100, 1,000 and 10,000 connections as far as the "
    f"descriptor limit allows. Flatness: CPU per request against that of {REFERENCE} connections "
    "of the same start. With a single connection every request begins with a sleep, whoever "
    "serves it: see nginx.",
    variants=variants("rwsgi", "bjoern", "granian", "nginx"),
    baseline="bjoern",
    metrics=[
        Metric("cpu_us", "CPU per request, µs", 1, ratio=True),
        Metric("flat", "CPU against 100 connections", 2),
        Metric("rate", "requests/s", 0),
        Metric("p99_ms", "p99, ms", 2),
        Metric("failed", "failed", 0),
    ],
    measure=measure,
    setup=Setup(app="hello:application", protocol="http", processes=1),
    goals=[Goal("flat", most=1.15, of_ratio=False)],
)
