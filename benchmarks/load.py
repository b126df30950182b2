"""Drives wrk, and asks single questions of a server."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from model import HERE
from procs import Server, ServerFailed

SCRIPT = HERE / "native" / "wrk.lua"


@dataclass(frozen=True)
class Load:
    """What wrk does."""

    connections: int = 16
    seconds: float = 3
    path: str = "/"
    body_size: int = 0  # > 0: a POST
    close: bool = False  # a connection a request


@dataclass(frozen=True)
class Outcome:
    requests: int
    failures: int
    seconds: float
    p50_ms: float
    p99_ms: float


def wrk(base: str, load: Load) -> Outcome:
    seconds = max(1, round(load.seconds))
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT)]
    env = {**os.environ, "BENCH_BODY": str(load.body_size), "BENCH_CLOSE": "1" if load.close else ""}
    done = subprocess.run(
        [*command, base + load.path],
        env=env,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    figures = dict(line.split()[1:3] for line in done.stdout.splitlines() if line.startswith("figure "))
    return Outcome(
        requests=int(figures["requests"]),
        failures=int(figures["failures"]),
        seconds=int(figures["duration_us"]) / 1e6,
        p50_ms=float(figures["p50_us"]) / 1000,
        p99_ms=float(figures["p99_us"]) / 1000,
    )


def get(url: str, timeout: float = 5) -> tuple[int, bytes]:
    anybody = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(url, timeout=timeout, context=anybody) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def wait_ready(server: Server, url: str, patience: float = 20) -> None:
    """Ready is who answers 200: a listening socket alone may have no app behind it yet."""
    deadline = time.monotonic() + patience
    while True:
        server.check()
        status, _ = get(url)
        if status == 200:
            return
        if time.monotonic() > deadline:
            raise ServerFailed(f"no 200 from {url} in {patience:g} s (last: {status}): {server.last_words()}")
        time.sleep(0.05)
