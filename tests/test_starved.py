"""A server that has less than it needs: a worker that is frozen for ever, and too few descriptors. Counted exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from signal import Signals

import pytest

from harness import events, procs
from harness.counted import MODES, Endpoint, Load
from harness.server import Server
from harness.wait import until

pytestmark = pytest.mark.slow


def start(boot, **options: object) -> Server:
    server = boot("counted", disable_logging=True, **{"processes": 2, "uwsgi": False, **options})
    server.log.accept_anything()
    return server


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, Signals.SIGSTOP)
    until(lambda: procs.stat(pid)[0] == "T", "the worker to be frozen")
    try:
        yield
    finally:
        os.kill(pid, Signals.SIGCONT)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("mode", ["new", "late5", "kept", "post"])
def test_new_connections_go_past_a_frozen_worker(boot, mode, threads):
    """Nobody comes to a worker that was frozen before, and nobody is handed to it: all are answered within a second."""
    server = start(boot, http=True, threads=threads)
    endpoint = Endpoint(server.http_address)
    with Load(endpoint, MODES["new"]) as warm:
        warm.run(requests=50)
    with frozen(server.worker_pids()[1]), Load(endpoint, MODES[mode], clients=16) as load:
        books = load.run(seconds=1.2)
    assert (books.slow, books.lost, books.refused) == (0, [], 0), str(books)
    assert books.answered > 100, str(books)


@pytest.mark.parametrize("threads", [1, 4])
def test_new_uwsgi_requests_go_past_a_frozen_worker(boot, threads):
    server = start(boot, uwsgi=True, threads=threads)
    with frozen(server.worker_pids()[0]), Load(Endpoint(server.address, "uwsgi"), MODES["new"]) as load:
        books = load.run(seconds=1.2)
    assert (books.slow, books.lost, books.refused) == (0, [], 0), str(books)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_worker_that_freezes_under_load_holds_only_what_it_has(boot, threads):
    """With a request a client: those that it runs or has read. All others go on, and it answers when it goes on."""
    server = start(boot, http=True, threads=threads)
    with Load(Endpoint(server.http_address), MODES["new"], clients=16) as load:
        books = load.run(seconds=1.6, events=[events.Freeze(0.2, times=1)])
    assert (books.lost, books.refused) == ([], 0), str(books)
    assert books.slow <= 8, str(books)
    assert books.answered > 100, str(books)


@pytest.mark.parametrize("event", ["max-requests", "hup"])
@pytest.mark.parametrize("mode", ["new", "late5", "think100"])
def test_few_descriptors_lose_nothing(boot, event, mode):
    """64 clients, and descriptors for fewer: they wait for each other."""
    recycling = {"max_requests": 50, "min_worker_lifetime": 0} if event == "max-requests" else {}
    server = start(boot, http=True, threads=2, max_fd=40, **recycling)
    made = [events.signal(server.pid, Signals.SIGHUP, 0.3)] if event == "hup" else []
    with Load(Endpoint(server.http_address), MODES[mode], clients=64) as load:
        books = load.run(seconds=1.0, events=made)
    assert books.lost == [], str(books)
    assert books.answered > 100, str(books)
