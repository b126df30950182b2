"""Thousands of connections that do little: nobody waits for them, and they cost little."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from harness import procs
from harness.http import Connection, request
from harness.load import answer_times, are_held_up
from harness.slow_clients import Crowd, need_descriptors
from harness.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def times_of(address: tuple[str, int], count: int, path: str = "/?0") -> list[float]:
    """Of a client that asks 200 times a second."""
    with Connection(address) as normal:
        return answer_times(normal, count, path, pause=0.005)


@pytest.mark.parametrize("options", [{}, {"processes": 2, "threads": 2}], ids=str)
def test_slow_senders_and_readers_hold_up_nobody(boot, options):
    need_descriptors(1200)
    server = boot("bodies:kib", uwsgi=False, http=True, http_headers_timeout=300, disable_logging=True, **options)
    address = server.http_address
    alone = times_of(address, 100)
    workers = server.worker_pids()
    before = sum(map(procs.memory, workers))
    with Crowd("senders", 1000, address) as senders, Crowd("readers", 200, address, "/?256") as readers:
        times = times_of(address, 1000)
        grown = sum(map(procs.memory, workers)) - before
        assert (senders.left(), readers.left()) == (1000, 200)
    assert not are_held_up(times, alone)
    assert grown < 1200 * 64 * 1024, f"{grown / 1200 / 1024:.1f} KiB a connection"


@pytest.mark.parametrize("options", [{}, {"processes": 2, "threads": 2}], ids=str)
def test_idle_connections_cost_little_memory(boot, options):
    count = 10_000
    need_descriptors(count)
    server = boot("hello", uwsgi=False, http=True, disable_logging=True, **options)
    alone = times_of(server.http_address, 100, "/")
    workers = server.worker_pids()
    before = sum(map(procs.memory, workers))
    with Crowd("idlers", count, server.http_address) as idlers:
        grown = sum(map(procs.memory, workers)) - before
        times = times_of(server.http_address, 200, "/")
        assert idlers.left() == count
    assert grown < count * 4096, f"{grown / count:.0f} bytes a connection"
    assert not are_held_up(times, alone)


def test_heads_without_an_end_are_bounded_by_default(boot):
    count, bound = 3000, 64 << 20
    need_descriptors(count)
    server = boot("hello", uwsgi=False, http=True, http_headers_timeout=300, disable_logging=True)
    server.log.expect("took more than http-request-memory = 67108864 bytes together")
    alone = times_of(server.http_address, 100, "/")
    worker = server.worker_pids()[0]
    before = procs.memory(worker)
    with Crowd("starters", count, server.http_address) as starters:
        times = times_of(server.http_address, 200, "/")
        grown = procs.memory(worker) - before
        starters.left()
    kept = count - server.workers()[0].refused
    # As many as there is room for; when it is full, an eighth of it is cleared.
    assert bound * 0.8 / 62_000 < kept < bound / 60_000
    assert grown < bound * 1.25, f"{grown >> 20} MiB"
    assert not are_held_up(times, alone)


@pytest.mark.parametrize(
    ("headers", "begin"),
    [({"Content_Length": "10000000"}, b""), ({"Transfer_Encoding": "chunked"}, b"989680\r\n")],
    ids=["length", "chunked"],
)
def test_uploads_that_stall_cost_little_memory(boot, headers, begin):
    """What has come of them is in files."""
    count = 200
    server = boot("inputs:digest", uwsgi=False, http=True, disable_logging=True)
    worker = server.worker_pids()[0]
    alone = times_of(server.http_address, 100, "/?")
    before = procs.memory(worker)
    with ExitStack() as stack:
        for _ in range(count):
            upload = stack.enter_context(Connection(server.http_address))
            upload.send(request("/?", "POST", **headers) + begin + b"x" * 300_000)
        until(lambda: len(procs.descriptors(worker)) > 2 * count, "a file for each")
        times = times_of(server.http_address, 200, "/?")
        grown = procs.memory(worker) - before
    assert grown < count * 32 * 1024, f"{grown / count / 1024:.1f} KiB a connection"
    assert not are_held_up(times, alone)
