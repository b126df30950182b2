"""What it costs to be looked at: by uwsgitop, Prometheus, `rwsgi top`, the page, a profiler."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import nginx
from load import Load, wrk
from model import HERE, Goal, Metric, Sample, Setup, Variant, Work, variants
from stage import Running, Stage

PAIRS = 16
QUIET = "configured, nobody reads"
ATTACHED = "top, page and Prometheus attached"
CROWD = "1,000 reads a second"
PROFILE = "profile at 100 Hz, 8 workers"
LOADS = {"http, kept": Load(connections=16, seconds=1), "nginx, unix socket": Load(connections=16, seconds=1)}


def configured(setup: Setup, stats: str, metrics: str) -> Setup:
    """With all that shows what the server does."""
    options = {
        "STATS": stats,
        "STATS_HTTP": "true",
        "METRICS_SOCKET": metrics,
        "MEMORY_REPORT": "true",
        "ENABLE_METRICS": "true",
        "LOG_SLOW_STACK": "5000",
        "ALARM_BACKLOG": "full log:",
    }
    return replace(setup, env=tuple((f"RWSGI_{name}", value) for name, value in options.items()))


@contextmanager
def readers(*commands: list[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
        yield


def reader(address: str, rate: float, *paths: str) -> list[str]:
    return [sys.executable, str(HERE / "readers.py"), address, str(rate), *paths]


def figures(running: Running, load: Load) -> dict[str, float]:
    server = running.server
    cpu = server.cpu_seconds()
    outcome = wrk(running.url, load)
    return {"cpu": (server.cpu_seconds() - cpu) / max(1, outcome.requests), "p99": outcome.p99_ms}


def ratio(one: Callable[[], dict[str, float]], other: Callable[[], dict[str, float]], pairs: int) -> dict[str, float]:
    """Medians over pairs that were measured one right after the other, each pair in the other order."""
    cpu, p99 = [], []
    for pair in range(pairs):
        first, second = (one, other) if pair % 2 else (other, one)
        by_turn = {first: first(), second: second()}
        cpu.append(by_turn[other]["cpu"] / by_turn[one]["cpu"])
        p99.append(by_turn[other]["p99"] / by_turn[one]["p99"])
    return {"cpu_ratio": statistics.median(cpu), "p99_ratio": statistics.median(p99)}


def of_front(stage: Stage, variant: Variant, setup: Setup, load: Load) -> Iterator[tuple[str, dict[str, float]]]:
    stats, metrics = nginx.free_address(), nginx.free_address()
    load = replace(load, seconds=stage.seconds(load.seconds))
    pairs = 2 if stage.quick else PAIRS
    with (
        stage.serve(variant, setup) as plain,
        stage.serve(variant, configured(setup, stats, metrics)) as shown,
    ):

        def bare() -> dict[str, float]:
            return figures(plain, load)

        def quiet() -> dict[str, float]:
            return figures(shown, load)

        def attached() -> dict[str, float]:
            # A top and a page, each each second, and a scrape each five.
            page = reader(stats, 1, "/stats", "/history")
            with readers(reader(stats, 1, "/stats"), page, reader(metrics, 0.2, "/metrics")):
                return figures(shown, load)

        def crowd() -> dict[str, float]:
            with readers(reader(stats, 1000, "/stats")):
                return figures(shown, load)

        yield QUIET, ratio(bare, quiet, pairs)
        yield ATTACHED, ratio(bare, attached, pairs)
        yield CROWD, ratio(quiet, crowd, pairs)


def profiled(stage: Stage, variant: Variant, setup: Setup) -> dict[str, float]:
    """8 workers that compute 5 ms a request."""
    stats, metrics = nginx.free_address(), nginx.free_address()
    env = (("BENCH_LOOPS_PER_MS", stage.loops_per_ms), *configured(setup, stats, metrics).env)
    load = Load(connections=8, seconds=stage.seconds(3), path="/?ms=5")
    with stage.serve(variant, replace(setup, app="cpu:application", processes=8, env=env)) as running:

        def profile() -> dict[str, float]:
            with readers(reader(stats, 1, f"/profile?seconds={load.seconds + 1}&hz=100")):
                return figures(running, load)

        return ratio(lambda: figures(running, load), profile, 2 if stage.quick else 6)


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    sample: Sample = {}
    for front, load in LOADS.items():
        here = replace(setup, protocol="http" if front.startswith("http") else "uwsgi")
        sample |= {f"{front}: {case}": found for case, found in of_front(stage, variant, here, load)}
    sample[PROFILE] = profiled(stage, variant, replace(setup, protocol="http"))
    return sample


def cases(what: str) -> tuple[str, ...]:
    return tuple(f"{front}: {what}" for front in LOADS)


WORK = Work(
    name="observed",
    title="Being looked at",
    method="Two servers, one with stats, metrics, memory report, slow stacks and alarms, take hello in turns of a "
    "second; each figure is the median of the ratios of such pairs. Readers are processes of their own, which "
    "is CPU that the clients do not have.",
    variants=variants("rwsgi"),
    baseline="rwsgi",
    metrics=[Metric("cpu_ratio", "CPU per request, ×", 3), Metric("p99_ratio", "p99, ×", 2)],
    measure=measure,
    setup=Setup(app="hello:application"),
    rounds=1,
    goals=[
        Goal("cpu_ratio", most=1.005, of_ratio=False, cases=cases(QUIET)),
        Goal("cpu_ratio", most=1.02, of_ratio=False, cases=cases(ATTACHED)),
        Goal("p99_ratio", most=1.05, of_ratio=False, cases=cases(CROWD)),
        Goal("cpu_ratio", most=1.05, of_ratio=False, cases=(PROFILE,)),
    ],
)
