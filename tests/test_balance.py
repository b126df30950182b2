"""Who runs a request: whichever protocol, new connections and kept ones alike.

A test may have less than the processors that it wants. So what counts is which process began a request, what the others
were doing then, and how the time of one request compares with that of those beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import median

import pytest

from harness.crowd import (
    Crowd,
    Served,
    Way,
    crowd,
    joined_beside_an_idle_one,
    kept_by_one,
    most_at_once,
    one_by_one,
)
from harness.http import Connection, request
from harness.server import Server

pytestmark = pytest.mark.core

FRONTS = ["uwsgi", "close", "kept", "nginx"]
SHORT = "/?c=0.004"
# Of the requests: a process that the machine holds up looks idle, and is not.
TOLERATED = 0.15


@pytest.fixture
def served_by(boot, nginx) -> Callable[..., tuple[Server, Way]]:
    def start(front: str, processes: int, threads: int) -> tuple[Server, Way]:
        http = front != "uwsgi"
        more = {"threads": threads} if threads > 1 else {}
        server = boot("shares", uwsgi=not http, http=http, processes=processes, disable_logging=True, **more)
        if front == "nginx":
            host, port = server.http_address
            return server, Way("kept", ("127.0.0.1", nginx(f"http://{host}:{port}").ports[0]))
        return server, Way(front, server.http_address if http else server.address)

    return start


def check_shared(server: Server, way: Way, clients: int) -> list[Served]:
    """What came before all clients were there does not count."""
    served = crowd(way, clients, SHORT, 120)[20:]
    assert joined_beside_an_idle_one(served, server.worker_pids()) <= TOLERATED
    return served


@pytest.mark.parametrize("front", FRONTS)
def test_two_clients_have_two_processes(served_by, front):
    """Nobody begins a request in a process that computes while the other has nothing to do."""
    server, way = served_by(front, 2, 4)
    counts = Counter(one.pid for one in check_shared(server, way, 2))
    assert len(counts) == 2 and min(counts.values()) >= 0.1 * counts.total(), counts


@pytest.mark.parametrize("front", ["close", "kept"])
def test_four_clients_have_four_processes(served_by, front):
    server, way = served_by(front, 4, 8)
    check_shared(server, way, 4)


@pytest.mark.parametrize("front", ["uwsgi", "kept"])
def test_short_requests_are_shared_beside_sleeping_ones(served_by, front):
    server, way = served_by(front, 2, 4)
    with Crowd(way, 4, "/?s=0.1"):
        check_shared(server, way, 2)


@pytest.mark.parametrize(("front", "threads"), [("kept", 1), ("kept", 4), ("nginx", 4)])
def test_kept_connections_are_served_alike(served_by, front, threads):
    _, way = served_by(front, 2, threads)
    counts = kept_by_one(way.address, 8, "/?c=0.005", 320)
    assert len(counts) == 8 and min(counts.values()) >= 0.45 * max(counts.values()), counts


def test_kept_connections_are_served_alike_by_workers_that_are_busy_for_long(served_by):
    """None goes from mailbox to mailbox while others are served."""
    _, way = served_by("kept", 2, 1)
    counts = kept_by_one(way.address, 6, "/?s=0.12", 60)
    assert len(counts) == 6 and min(counts.values()) >= 0.45 * max(counts.values()), counts


@pytest.mark.parametrize("front", FRONTS)
def test_a_quick_request_does_not_wait_for_long_ones(served_by, front):
    """Two requests that compute keep both processes busy, and have threads beside them."""
    _, way = served_by(front, 2, 4)
    with Crowd(way, 2, "/?c=0.2") as long:
        quick = one_by_one(way, "/", 20, pause=0.02)
    computed = median(one.ended - one.began for one in long.served)
    assert median(one.seconds for one in quick) <= 0.3 * computed


def test_a_quick_request_does_not_wait_for_all_that_two_clients_have_sent_at_once(served_by):
    _, way = served_by("close", 1, 2)
    greedy = [Connection(way.address) for _ in range(2)]
    for client in greedy:
        client.send(request("/?c=0.005") * 100)
    for client in greedy:
        client.answer()
    [quick] = one_by_one(way, "/", 1, pause=0)
    for client in greedy:
        ended = float([client.answer() for _ in range(99)][-1].text.split()[2])
        client.close()
        assert quick.ended < ended


@pytest.mark.parametrize("front", FRONTS)
def test_requests_that_sleep_have_all_threads(served_by, front):
    _, way = served_by(front, 2, 4)
    assert most_at_once(crowd(way, 8, "/?s=0.2", 24)) == 8
