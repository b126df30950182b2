"""What the works have in common that put wrk on a server and count its CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from load import Load, Outcome, wrk
from model import Metric, Sample, Setup, Variant
from procs import Server
from stage import Running, Stage

WARM_UP = 1  # seconds

METRICS = [
    Metric("cpu_us", "CPU per request, µs", 1, ratio=True),
    Metric("rate", "requests/s", 0, ratio=True),
    Metric("p99_ms", "p99, ms", 2),
    Metric("failed", "failed", 0),
]


def loaded(server: Server, base: str, load: Load) -> tuple[Outcome, dict[str, float]]:
    """One stretch of load, and the CPU that the whole process tree spent on it."""
    before = server.cpu_seconds()
    outcome = wrk(base, load)
    spent = server.cpu_seconds() - before
    requests = max(1, outcome.requests)
    return outcome, {
        "cpu_us": spent / requests * 1e6,
        "rate": outcome.requests / outcome.seconds,
        "p99_ms": outcome.p99_ms,
        "failed": outcome.failures,
    }


def measured(stage: Stage, running: Running, load: Load) -> dict[str, float]:
    wrk(running.url, replace(load, seconds=WARM_UP))
    return loaded(running.server, running.url, replace(load, seconds=stage.seconds(load.seconds)))[1]


def throughput(load: Load) -> Callable[[Stage, Variant, Setup], Sample]:
    def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
        ready = "/" if load.body_size else load.path
        with stage.serve(variant, setup, ready) as running:
            return {"": measured(stage, running, load)}

    return measure
