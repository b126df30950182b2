"""Does a request cost more when there are many connections, busy or kept idle?"""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from load import Load
from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from procs import ServerFailed
from stage import Running, Stage
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


@contextmanager
def beside(running: Running, count: int) -> Iterator[None]:
    """So many connections that have had an answer and are kept."""
    request = f"GET / HTTP/1.1\r\nHost: {running.address}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(count):
            kept = stack.enter_context(socket.create_connection(running.host_and_port, timeout=10))
            kept.sendall(request)
            if not kept.recv(65536).startswith(b"HTTP/1.1 200"):
                raise ServerFailed(f"one of {count} idle connections got no answer")
        yield


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    busy = Load(connections=REFERENCE)
    loads = {}
    with stage.serve(variant, setup) as running:
        warm_up(running, busy)
        for count in allowed():
            # Long enough that opening the connections doesn't count.
            load = Load(connections=count, seconds=3 if count <= REFERENCE else 10)
            loads[case(count)] = measured(stage, running, load)[1]
        for count in allowed():
            if count > REFERENCE:
                with beside(running, count - REFERENCE):
                    loads[f"{case(count)}, {REFERENCE} of them busy"] = measured(stage, running, busy)[1]
    reference = loads[case(REFERENCE)]["cpu_us"] or float("nan")
    return {name: {**figures, "flat": figures["cpu_us"] / reference} for name, figures in loads.items()}


WORK = Work(
    name="http-connections",
    title="CPU per request over the number of connections",
    method="Hello over HTTP, keep-alive, 1 process; 1, 100, 1,000 and 10,000 connections as far as the "
    f"descriptor limit allows, all of them busy, or all but {REFERENCE} kept idle. Flatness: CPU per request "
    f"against that of {REFERENCE} connections of the same start. With a single connection every request begins "
    "with a sleep; with 10,000 busy ones, what the kernel knows of each has left the caches before its turn "
    "comes. Both cost whoever serves them: see nginx.",
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
