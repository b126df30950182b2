"""From the command to the first answer: what a deployment, a container or a developer waits for."""

import socket
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from model import APPS, Goal, Metric, Sample, Setup, Variant, Work
from procs import Server, ServerFailed
from stage import Stage
from works import site

CONFIGURATION = APPS / "start.ini"
STARTS = 5
PATIENCE = 20
REQUEST = b"GET /json/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SETUPS = {"hello": Setup(protocol="http"), "django": site.setup("http")}


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    starts = 2 if stage.quick else STARTS
    return {case: median_of(starts, stage, variant, SETUPS[case]) for case in SETUPS}


def median_of(starts: int, stage: Stage, variant: Variant, setup: Setup) -> dict[str, float]:
    taken = [one_start(stage, variant, setup) for _ in range(starts)]
    return {"start_ms": statistics.median(taken) * 1000}


def one_start(stage: Stage, variant: Variant, setup: Setup) -> float:
    with tempfile.TemporaryDirectory(prefix="rwsgi-bench-") as directory:
        address = f"{directory}/app.sock"
        settings = (("BENCH_BASE", str(setup.chdir)), ("BENCH_MODULE", setup.app), ("BENCH_SOCKET", address))
        setup = replace(setup, address=address, ini=CONFIGURATION, env=(*setup.env, *settings))
        began = time.perf_counter()
        server = stage.launch(variant, setup, Path(directory))
        try:
            answer = ask(server, address)
            taken = time.perf_counter() - began
        finally:
            server.stop()
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        raise ServerFailed(f"answered {answer[:80]!r}")
    return taken


def ask(server: Server, address: str) -> bytes:
    """The socket is there before the application is loaded; then the request waits in the backlog."""
    deadline = time.monotonic() + PATIENCE
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        with client:
            try:
                client.connect(address)
            except (FileNotFoundError, ConnectionRefusedError):
                server.check()
                if time.monotonic() > deadline:
                    raise ServerFailed(f"no socket in {PATIENCE} s: {server.last_words()}") from None
                time.sleep(0.0003)
                continue
            client.sendall(REQUEST)
            return client.recv(4096)


WORK = Work(
    name="start",
    title="From the command to the first answer",
    method="`--ini apps/start.ini` of 100 lines, 2 processes × 4 threads, HTTP on a unix socket; median of "
    f"{STARTS} starts, from the start of the process (Python's own included) to the first bytes of the answer to "
    "`/json/`.",
    variants=[Variant("rwsgi"), Variant("rwsgi-script", "rwsgi (console script)"), Variant("uwsgi")],
    baseline="uwsgi",
    metrics=[Metric("start_ms", "first answer after, ms", 1, ratio=True)],
    measure=measure,
    goals=[Goal("start_ms", most=1)],
    rounds=7,
)
