"""What a profile costs: CPU time of 8 workers for each request, with one being taken at 100 Hz and without.

    python benchmarks/profile_cost.py [--seconds 3] [--rounds 5]

Both are measured in turn on the same server; the median of the ratios counts. The time of the sampling thread is the
workers' own, so it is part of it.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

from procs import read_stat

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from harness import packet  # noqa: E402
from harness.http import Connection  # noqa: E402
from harness.server import Server  # noqa: E402

CLIENTS = 16
PATHS = {"hello": ("hello", "/"), "a Django page of 5 ms": ("stacks", "/page")}


def run_clients(server: Server, path: str, seconds: float) -> int:
    """Requests that were answered on kept connections."""
    counts = [0] * CLIENTS
    end = time.monotonic() + seconds

    def run(number: int) -> None:
        client = Connection(server.http_address)
        with client.socket:
            while time.monotonic() < end:
                client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                assert client.answer().status == 200
                counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def ticks(pids: list[int]) -> int:
    return sum(stat.ticks for pid in pids if (stat := read_stat(pid)))


def cost(server: Server, pids: list[int], path: str, seconds: float, profile: tuple[str, int] | None) -> float:
    """CPU time a request, in clock ticks."""
    before = ticks(pids)
    if profile:
        with socket.create_connection(profile, timeout=seconds + 30) as client:
            client.sendall(f"GET /profile?seconds={seconds}&hz=100 HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            requests = run_clients(server, path, seconds)
            assert packet.read_all(client).startswith(b"HTTP/1.1 200 ")
    else:
        requests = run_clients(server, path, seconds)
    return (ticks(pids) - before) / requests


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    for name, (app, path) in PATHS.items():
        server = Server(app, "--stats-http", http=True, processes=8, stats="127.0.0.1:0", disable_logging=True)
        with server.wait_ready():
            address = server.log.wait(r"Stats server enabled on (\S+):(\d+)")
            profile = (address[1], int(address[2]))
            pids = server.worker_pids()
            cost(server, pids, path, 1, None)
            pairs = [
                (cost(server, pids, path, asked.seconds, None), cost(server, pids, path, asked.seconds, profile))
                for _ in range(asked.rounds)
            ]
            ratios = [with_profile / without for without, with_profile in pairs]
            print(f"{name}: {statistics.median(ratios):.3f} ({', '.join(f'{ratio:.3f}' for ratio in ratios)})")


if __name__ == "__main__":
    main()
