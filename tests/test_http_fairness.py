"""A kept connection that lives in a busy worker is served by one that is idle."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import ExitStack
from signal import Signals

import pytest

from harness import procs
from harness.crowd import asked_by_one
from harness.http import Connection, request
from harness.wait import until

pytestmark = pytest.mark.core


def kept(stack: ExitStack, server, count: int) -> list[Connection]:
    """Connections that have been served once and are open."""
    made = [stack.enter_context(Connection(server.http_address)) for _ in range(count)]
    for connection in made:
        connection.send(request("/"))
        assert connection.answer().status == 200
    return made


@pytest.mark.parametrize("threads", [1, 2])
def test_a_busy_worker_does_not_hold_up_its_kept_connections(boot, threads):
    server = boot(
        "slow:waits",
        uwsgi=False,
        http=True,
        processes=2,
        threads=threads,
        http_keepalive_requests=0,
        http_stream_body=True,
    )
    server.log.accept_anything()
    with ExitStack() as stack:
        busy, others = kept(stack, server, threads), kept(stack, server, 8)
        for number, connection in enumerate(busy):
            hold(server, connection, f"/busy{number}")
        for _ in range(30):
            for connection in others:
                connection.send(request("/"))
            for connection in others:
                assert connection.answer().status == 200
        for connection in busy:
            connection.send(b".")
            assert connection.answer().status == 200


def test_short_requests_without_a_pause_are_shared(boot):
    """Every kept connection has come to one worker: one that has nothing to do takes some of them over."""
    server = boot("slow", uwsgi=False, http=True, processes=2, http_keepalive_requests=0)
    with ExitStack() as stack:
        sleeping = kept(stack, server, 1)[0]
        sleeping.send(request("/?sleep=0.5"))
        others = kept(stack, server, 16)
        idle = sleeping.answer().body
        served: Counter[bytes] = Counter()
        end = time.monotonic() + 5
        while served[idle] < 100 and time.monotonic() < end:
            for connection in others:
                connection.send(request("/?spin=0.001"))
            served.update(connection.answer().body for connection in others)
        assert served[idle] >= 100, served


@pytest.mark.parametrize("threads", [1, 2])
def test_nobody_waits_for_the_end_of_a_long_request_while_another_worker_serves(boot, threads):
    """Even one that has always something to do."""
    server = boot("slow", uwsgi=False, http=True, processes=2, threads=threads, http_keepalive_requests=0)
    with ExitStack() as stack:
        long, others = kept(stack, server, threads), kept(stack, server, 8)
        # Both workers have some of them.
        asked_by_one(others, "/?sleep=0.02", 40)
        for connection in long:
            connection.send(request("/?sleep=3"))
        counts = asked_by_one(others, "/?sleep=0.02", 96)
        assert len(counts) == 8 and min(counts.values()) >= 0.4 * max(counts.values()), counts
        for connection in long:
            assert connection.answer().status == 200


def test_the_busy_worker_serves_what_nobody_else_can(boot):
    """With every worker busy the connections stay where they are."""
    server = boot("slow", uwsgi=False, http=True, processes=2)
    with ExitStack() as stack:
        connections = kept(stack, server, 6)
        for connection in connections:
            connection.send(request("/?sleep=0.2"))
        pids = {connection.answer().body for connection in connections}
        assert len(pids) == 2


def hold(server, connection: Connection, path: str) -> None:
    """Has a request running that waits for its body."""
    connection.send(request(path, "POST", Content_Length="1"))
    server.log.wait(f"waiting {path}$")


def test_a_connection_that_was_given_away_goes_on_as_it_was(boot):
    """Half a request moves with its connection, wherever the other half finds a worker that is idle."""
    server = boot("slow:waits", uwsgi=False, http=True, processes=2, http_stream_body=True)
    server.log.expect("waiting /$")
    with ExitStack() as stack:
        busy, other = kept(stack, server, 2)
        for number in range(6):
            other.send(b"GET / HT")
            hold(server, busy, f"/{number}")
            other.send(b"TP/1.1\r\nHost: x\r\n\r\n")
            first = other.answer().body
            busy.send(b".")
            # Another process.
            assert busy.answer().body.split()[-1] != first.split()[-1]


def test_a_killed_worker_takes_only_its_own_connections_along(boot):
    server = boot("slow:waits", uwsgi=False, http=True, processes=2, http_stream_body=True)
    server.log.accept_anything()
    with ExitStack() as stack:
        busy, *connections = kept(stack, server, 8)
        hold(server, busy, "/held")
        for connection in connections:
            connection.send(request("/"))
        pids = {int(connection.answer().body) for connection in connections}
        assert len(pids) == 1
        (killed,) = set(server.worker_pids()) - pids
        os.kill(killed, Signals.SIGKILL)
        server.log.find("was killed by SIGKILL")
        # Their descriptors are the other worker's own now.
        for connection in connections:
            connection.send(request("/"))
            assert connection.answer().status == 200


def test_what_a_worker_was_given_and_had_not_taken_when_it_died_is_served(boot):
    server = boot("slow:waits", uwsgi=False, http=True, processes=2, http_stream_body=True)
    server.log.accept_anything()
    # From now on a successor sits in another slot than whom it replaces.
    server.reload()
    with ExitStack() as stack:
        connections = kept(stack, server, 3)
        places = []
        for connection in connections:
            connection.send(request("/"))
            places.append(int(connection.answer().body))
        busy = Counter(places).most_common(1)[0][0]
        holding, waiting = [connections[at] for at, place in enumerate(places) if place == busy][:2]
        (stopped,) = set(server.worker_pids()) - {busy}
        hold(server, holding, "/held")
        # Its last answer has come, which does not mean that it has ended the request.
        until(lambda: procs.stat(stopped)[0] == "S", "the worker to be idle")
        os.kill(stopped, Signals.SIGSTOP)
        had = len(procs.descriptors(busy))
        waiting.send(request("/"))
        until(lambda: len(procs.descriptors(busy)) < had, "the connection to be given away")
        os.kill(stopped, Signals.SIGKILL)
        assert int(waiting.answer().body) not in (busy, stopped)
        holding.send(b".")
        assert holding.answer().status == 200
