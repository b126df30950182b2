"""What a profile costs: CPU time of 8 workers for each request, with one being taken at 100 Hz and without.

    python benchmarks/profile_cost.py [--pairs 10] [--seconds 2]

wrk loads one server all the time; windows with a profile and without follow each other, each pair in the other order.
Each comes with a control, a pair of windows without any, which shows how much the machine's noise is. What the sampling
threads use themselves does not depend on that noise.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from harness import packet  # noqa: E402
from harness.packet import Response  # noqa: E402
from harness.server import Server  # noqa: E402
from harness.stats import address as address_of  # noqa: E402

PATHS = {"hello": ("hello", "/"), "a Django page of 5 ms": ("stacks", "/page")}
# A profile has begun, and has not ended, so long after its beginning and before its end.
MARGIN = 0.4


@dataclass(frozen=True)
class Reading:
    """Nanoseconds of CPU and requests since the start."""

    sampling: int
    workers: int
    requests: int


def get(address: packet.Address, path: str) -> Response:
    with packet.connect(address, timeout=90) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return Response.parse(packet.read_all(client))


def read(pids: list[int], address: packet.Address) -> Reading:
    sampling = workers = 0
    for task in (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()):
        nanoseconds = int((task / "schedstat").read_text().split()[0])
        workers += nanoseconds
        sampling += nanoseconds if (task / "comm").read_text() == "rwsgi profile\n" else 0
    document = json.loads(get(address, "/stats").body)
    return Reading(sampling, workers, sum(worker["requests"] for worker in document["workers"]))


@dataclass(frozen=True)
class Window:
    cpu_per_request: float
    sampling_share: float
    sampling_per_second: float


def window(pids: list[int], address: packet.Address, seconds: float) -> Window:
    begun, before = time.monotonic(), read(pids, address)
    time.sleep(seconds)
    after, took = read(pids, address), time.monotonic() - begun
    workers, sampling = after.workers - before.workers, after.sampling - before.sampling
    return Window(workers / (after.requests - before.requests), sampling / (workers - sampling), sampling / 1e9 / took)


def profiled(pids: list[int], address: packet.Address, seconds: float) -> Window:
    with socket.create_connection(address, timeout=90) as client:
        asked = seconds + 2 * MARGIN
        client.sendall(f"GET /profile?seconds={asked}&hz=100 HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(MARGIN)
        found = window(pids, address, seconds)
        assert packet.read_all(client).startswith(b"HTTP/1.1 200 ")
    return found


def quartiles(ratios: list[float]) -> str:
    low, median, high = statistics.quantiles(ratios, n=4)
    return f"{median:.3f} (quartiles {low:.3f}, {high:.3f})"


def compare(pids: list[int], address: packet.Address, pairs: int, seconds: float) -> None:
    ratios, controls, profiles = [], [], []
    for number in range(pairs):
        orders = [(profiled, window), (window, profiled)]
        first, second = (take(pids, address, seconds) for take in orders[number % 2])
        with_profile, without = (first, second) if number % 2 == 0 else (second, first)
        ratios.append(with_profile.cpu_per_request / without.cpu_per_request)
        profiles.append(with_profile)
        one, other = (window(pids, address, seconds) for _ in range(2))
        controls.append(one.cpu_per_request / other.cpu_per_request)
    share = statistics.median(taken.sampling_share for taken in profiles)
    busy = statistics.median(taken.sampling_per_second for taken in profiles) / len(pids)
    print(f"  CPU a request, with / without: {quartiles(ratios)}; control: {quartiles(controls)}")
    print(f"  a sampling thread: {busy * 1000:.2f} ms a second; all of them: {share * 100:.2f} % of the workers' CPU")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2)
    asked = parser.parse_args()
    for name, (app, path) in PATHS.items():
        server = Server(app, "--stats-http", http=True, processes=8, stats="127.0.0.1:0", disable_logging=True)
        with server.wait_ready():
            url = "http://{}:{}{}".format(*server.http_address, path)
            load = subprocess.Popen(["wrk", "-t1", "-c16", "-d3600s", url], stdout=subprocess.DEVNULL)
            try:
                time.sleep(1)
                print(f"{name}:", flush=True)
                compare(server.worker_pids(), address_of(server), asked.pairs, asked.seconds)
            finally:
                load.kill()
                load.wait()


if __name__ == "__main__":
    main()
