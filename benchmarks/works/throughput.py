"""What the works have in common that put wrk on a server and count its CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from load import Load, Outcome, wrk
from model import Metric, Sample, Setup, Variant
from stage import Running, Stage

WARM_UP = 1  # seconds

METRICS = [
    Metric("cpu_us", "CPU per request, µs", 1, ratio=True),
    Metric("sleeps", "sleeps per request", 2),
    Metric("rate", "requests/s", 0, ratio=True),
    Metric("p99_ms", "p99, ms", 2),
    Metric("failed", "failed", 0),
]

# What a request costs hangs on whether the server sleeps before it: always with one client, seldom with many.
BEHIND_NGINX = {
    "1 client": Load(connections=1, seconds=2),
    "16 clients": Load(connections=16, seconds=2),
    "16 clients, a connection a request": Load(connections=16, seconds=2, close=True),
}


def warm_up(running: Running, load: Load) -> Outcome:
    return wrk(running.url, replace(load, seconds=WARM_UP))


def measured(stage: Stage, running: Running, load: Load) -> tuple[Outcome, dict[str, float]]:
    """One stretch of load, and what the whole process tree spent on it."""
    server = running.server
    cpu, sleeps = server.cpu_seconds(), server.sleeps()
    outcome = wrk(running.url, replace(load, seconds=stage.seconds(load.seconds)))
    cpu, sleeps = server.cpu_seconds() - cpu, server.sleeps() - sleeps
    requests = max(1, outcome.requests)
    return outcome, {
        "cpu_us": cpu / requests * 1e6,
        "sleeps": sleeps / requests,
        "rate": outcome.requests / outcome.seconds,
        "p99_ms": outcome.p99_ms,
        "failed": outcome.failures,
    }


def throughput(cases: Load | dict[str, Load]) -> Callable[[Stage, Variant, Setup], Sample]:
    loads = cases if isinstance(cases, dict) else {"": cases}
    first = next(iter(loads.values()))
    ready = "/" if first.body_size else first.path

    def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
        with stage.serve(variant, setup, ready) as running:
            warm_up(running, first)
            return {case: measured(stage, running, load)[1] for case, load in loads.items()}

    return measure
