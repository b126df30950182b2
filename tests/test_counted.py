"""Exact books of requests while the server reloads, recycles, freezes and ends: nothing is lost.

The whole matrix, with peers and many more requests, is benchmarks/reloads.py."""

from __future__ import annotations

import time
from signal import Signals

import pytest

from harness import events, procs
from harness.books import Books
from harness.counted import MODES, Endpoint, Load, Mode
from harness.http import Connection, request
from harness.server import Server
from harness.tls import Authority
from harness.wait import PATIENCE, until

pytestmark = pytest.mark.slow

SECONDS = 0.6
SHORT = ["new", "late5", "kept", "think5", "post"]

# What happens, with the options that make it happen, and how many workers must have answered at least.
EVENTS = {
    "hup": ({}, 3),
    "max-requests": ({"max_requests": 50, "min_worker_lifetime": 0}, 3),
    "term-worker": ({}, 3),
    "stop-cont": ({}, 1),
}


def drivers(event: str, server: Server) -> list[events.Event]:
    made = {
        "hup": lambda: events.signal(server.pid, Signals.SIGHUP, 0.25),
        "term-worker": lambda: events.signal_worker(Signals.SIGTERM, 0.2),
        "stop-cont": lambda: events.Freeze(0.15),
    }
    return [made[event]()] if event in made else []


def start(boot, **options: object) -> Server:
    server = boot("counted", disable_logging=True, **{"processes": 2, "uwsgi": False, **options})
    # Reloads and recycling say much; what is counted here is said by the clients.
    server.log.accept_anything()
    return server


def nothing_lost(books: Books) -> None:
    assert (len(books.lost), books.refused) == (0, 0), str(books)
    assert all(count >= 2 for count in books.events.values()), str(books)


def count(
    server: Server, event: str, mode: str, endpoint: Endpoint, seconds: float = SECONDS, workers: int = 1
) -> Books:
    """For some time, and as long as a busy machine needs for a hundred answers, two events and so many workers."""
    end = time.monotonic() + seconds
    happens = drivers(event, server)
    with Load(endpoint, MODES[mode]) as load:

        def is_over() -> bool:
            has_happened = all(event.count > 1 for event in happens)
            has_answered = load.books.answered > 100 and len(load.books.workers) >= workers
            return time.monotonic() >= end and has_answered and has_happened

        return load.run(events=happens, seconds=PATIENCE, until=is_over)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("mode", SHORT)
@pytest.mark.parametrize("event", EVENTS)
def test_nothing_is_lost_over_http(boot, event, mode, threads):
    options, workers = EVENTS[event]
    server = start(boot, http=True, threads=threads, **options)
    books = count(server, event, mode, Endpoint(server.http_address), workers=workers)
    nothing_lost(books)
    # The last answer of a connection says so.
    assert books.closed_idle == 0, str(books)
    assert len(books.workers) >= workers, str(books)


@pytest.mark.parametrize("mode", ["new", "late5"])
def test_nothing_is_lost_over_uwsgi(boot, mode):
    server = start(boot, uwsgi=True, threads=4)
    nothing_lost(count(server, "hup", mode, Endpoint(server.address, "uwsgi")))


def test_nothing_is_lost_over_a_unix_socket(boot, tmp_path):
    path = tmp_path / "http"
    server = start(boot, http_socket=path, max_requests=50, min_worker_lifetime=0)
    nothing_lost(count(server, "max-requests", "think5", Endpoint(str(path))))


def test_nothing_is_lost_behind_nginx(boot, nginx):
    """It keeps its connections, and does not send a POST twice."""
    server = start(boot, http=True, threads=4, max_requests=50, min_worker_lifetime=0)
    front = nginx("http://{}:{}".format(*server.http_address))
    nothing_lost(count(server, "max-requests", "post", Endpoint(("127.0.0.1", front.ports[0]))))
    assert front.errors() == ""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("mode", ["new", "think5"])
def test_nothing_is_lost_over_https(boot, authority, mode):
    server = start(boot, https=authority.sign(), threads=4)
    nothing_lost(count(server, "hup", mode, Endpoint(server.https_address, tls=authority.context())))


# ── the end of the server ──

END = 0.3


def load_until_the_end(server: Server, endpoint: Endpoint, mode: Mode, number: Signals) -> Books:
    """The load goes on until everybody was refused, after the signal."""
    with Load(endpoint, mode) as load:
        once = events.signal(server.pid, number, END, times=1)
        return load.run(events=[once], until=lambda: once.count == 1 and load.books.refused >= 50)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("mode", ["new", "late5", "late100", "kept", "think5", "post"])
def test_a_stop_loses_nothing(boot, mode, threads):
    """Who is accepted is answered, later ones are refused. An idle connection may be closed without a word before."""
    server = start(boot, binds=True, threads=threads)
    books = load_until_the_end(server, Endpoint(server.http_address), MODES[mode], Signals.SIGTERM)
    assert books.lost == [], str(books)
    assert server.wait_exit() == 0


@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
@pytest.mark.parametrize("mode", ["new", "late5"])
def test_a_stop_loses_nothing_over_unix_sockets(boot, tmp_path, mode, protocol):
    path = tmp_path / "socket"
    server = start(boot, threads=4, **{"http_socket" if protocol == "http" else "socket": path})
    books = load_until_the_end(server, Endpoint(str(path), protocol), MODES[mode], Signals.SIGTERM)
    assert books.lost == [], str(books)
    assert server.wait_exit() == 0


def test_a_stop_refuses_while_a_request_runs(boot):
    """Nobody waits in the backlog for the end of a slow request."""
    server = start(boot, binds=True, processes=1)
    with Connection(server.http_address) as slow:
        slow.send(request("/sleep/2?slow"))
        with Load(Endpoint(server.http_address), MODES["new"]) as load:
            once = events.signal(server.pid, Signals.SIGTERM, END, times=1)
            books = load.run(events=[once], until=lambda: load.books.refused >= 50)
        assert slow.answer().text.startswith("slow 0 ")
    assert books.lost == [], str(books)
    assert server.wait_exit() == 0


@pytest.mark.parametrize("mode", ["new", "late5", "kept", "think5", "post"])
def test_the_death_of_the_master_loses_nothing(boot, mode):
    server = start(boot, binds=True, threads=4)
    server.status = -Signals.SIGKILL
    books = load_until_the_end(server, Endpoint(server.http_address), MODES[mode], Signals.SIGKILL)
    assert books.lost == [], str(books)
    server.process.wait()


def test_workers_without_a_master_are_gone_after_the_mercy(boot):
    """Whatever the application does: the one that sleeps is killed."""
    server = start(boot, binds=True, processes=2, worker_reload_mercy=1)
    server.status = -Signals.SIGKILL
    workers = server.worker_pids()
    with Connection(server.http_address) as slow:
        slow.send(request("/sleep/30?slow"))
        books = load_until_the_end(server, Endpoint(server.http_address), MODES["new"], Signals.SIGKILL)
        server.process.wait()
        until(lambda: not any(map(procs.is_alive, workers)), "the workers to be gone")
        assert slow.is_closed()
    assert books.lost == [], str(books)
