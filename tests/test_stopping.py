"""The end of a server and of single workers: what has connected is answered, later connects are refused."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, suppress
from signal import Signals

import pytest

from harness import packet
from harness.http import Connection, request
from harness.packet import Address
from harness.wait import until

THREADS = [{}, {"threads": 2}]


def boot_own(boot, app: str, where: str, tmp_path, **options):
    """A server that has bound its HTTP socket by itself; and its address."""
    if where == "unix":
        return boot(app, uwsgi=False, http_socket=tmp_path / "s", **options), str(tmp_path / "s")
    server = boot(app, uwsgi=False, binds=True, **options)
    return server, server.http_address


def is_refused(address: Address) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(0.3)
        try:
            client.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except TimeoutError:
            # The kernel drops the first segment while the backlog is emptied; the next try is a second later.
            return False
        return False


@pytest.mark.parametrize("options", THREADS, ids=str)
@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_a_new_connection_has_a_second_for_its_request_when_the_server_stops(boot, tmp_path, where, options):
    server, address = boot_own(boot, "hello", where, tmp_path, processes=2, **options)
    with Connection(address) as late, Connection(address) as half:
        half.send(request("/half")[:9])
        server.signal(Signals.SIGTERM)
        server.log.wait("SIGTERM: stopping")
        until(lambda: is_refused(address), "the listener to be closed")
        late.send(request("/late"))
        half.send(request("/half")[9:])
        for connection in (late, half):
            answer = connection.answer()
            assert (answer.status, answer.header("Connection")) == (200, "close")
            assert connection.is_closed()
    assert server.wait_exit() == 0


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_a_stop_keeps_nobody_waiting_for_who_says_nothing(boot, tmp_path, where):
    server, address = boot_own(boot, "hello", where, tmp_path, http_headers_timeout=60)
    with Connection(address) as idle, Connection(address) as silent:
        idle.send(request("/"))
        idle.answer()
        server.signal(Signals.SIGTERM)
        assert idle.is_closed() and silent.is_closed()
        assert server.wait_exit() == 0


@pytest.mark.parametrize(("where", "crowd"), [("tcp", 3), ("unix", 3), ("tcp", 300)])
def test_connects_are_refused_while_a_slow_request_ends(boot, tmp_path, where, crowd):
    """What waits in the backlog when the stop comes is answered, even if it is more than a busy worker can be given;
    whoever comes later is told at once."""
    server, address = boot_own(boot, "slow:waits", where, tmp_path, listen=500, http_stream_body=True)
    server.log.expect("^waiting /busy$", "^waiting /backlog$")
    with Connection(address) as busy, ExitStack() as stack:
        busy.send(request("/busy", "POST", Content_Length="1"))
        server.log.wait("^waiting /busy$")
        waiting = [stack.enter_context(Connection(address)) for _ in range(crowd)]
        for connection in waiting:
            connection.send(request("/backlog", "POST", b"x"))
        server.signal(Signals.SIGTERM)
        server.log.wait("SIGTERM: stopping")
        until(lambda: is_refused(address), "the listener to be closed")
        busy.send(b"x")
        assert busy.answer().status == 200
        for connection in waiting:
            assert connection.answer().text.startswith("x ")
    assert server.wait_exit() == 0


@pytest.mark.parametrize("options", THREADS, ids=str)
@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_workers_without_a_master_leave_the_port_at_once_and_die_at_the_mercy(boot, tmp_path, where, options):
    server, address = boot_own(boot, "slow", where, tmp_path, processes=2, worker_reload_mercy=2, **options)
    server.log.accept_anything()
    server.status = -signal.SIGKILL
    if where == "unix":
        server.gone.clear()
    with Connection(address) as endless:
        endless.send(request("/?spin=60"))
        until(lambda: any(worker.stage == "ready" for worker in server.workers()), "a status")
        server.log.expect("GET")
        until(lambda: "GET /?spin=60 for" in _status(server), "the request to run")
        server.signal(Signals.SIGKILL)
        server.process.wait()
        until(lambda: is_refused(address), "the listeners to be closed")
        assert server.processes, "the worker with a request lives on"
        until(lambda: not server.processes, "the workers to die")


def _status(server) -> str:
    before = len(server.log.lines)
    server.signal(Signals.SIGUSR1)
    return until(lambda: "\n".join(server.log.lines[before:]), "a status")


@pytest.mark.parametrize("options", THREADS, ids=str)
def test_an_answer_that_is_leaving_leaves_whole(boot, tmp_path, options):
    """The client has not read its answer, nor sent all of its body, when the worker goes."""
    server, address = boot_own(boot, "bodies:kib", "tcp", tmp_path, http_stream_body=True, **options)
    with Connection(address) as slow:
        slow.send(request("/?391", "POST", Content_Length="100000000"))
        server.log.wait("POST /")
        server.reload(wait_for_old=False)
        assert len(slow.answer().body) == 391 * 1024


def test_a_stop_answers_what_a_frozen_worker_was_given(boot, tmp_path):
    """The one worker that can stays until all of it is answered."""
    server, address = boot_own(boot, "slow", "tcp", tmp_path, processes=2)
    with Connection(address) as busy, Connection(address) as idle, ExitStack() as stack:
        busy.send(request("/?sleep=2"))
        until(lambda: "GET /?sleep=2 for" in _status(server), "the request to run")
        idle.send(request("/"))
        frozen = int(idle.answer().body)
        os.kill(frozen, Signals.SIGSTOP)
        waiting = [stack.enter_context(Connection(address)) for _ in range(20)]
        for connection in waiting:
            connection.send(request("/"))
        server.signal(Signals.SIGTERM)
        able = int(busy.answer().body)
        assert {int(connection.answer().body) for connection in waiting} == {able}
        os.kill(frozen, Signals.SIGCONT)
    assert server.wait_exit() == 0


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}], ids=str)
def test_an_import_does_not_outlive_the_master(start, tmp_path, options):
    (tmp_path / "endless.py").write_text(
        "import os, threading\nos.write(1, b'importing\\n')\nthreading.Event().wait()\n"
    )
    server = start(None, f"--pythonpath={tmp_path}", "--module=endless", processes=2, **options)
    server.log.accept_anything()
    server.status = -signal.SIGKILL
    server.log.wait("^importing$")
    server.signal(Signals.SIGKILL)
    server.process.wait()
    until(lambda: not server.processes, "the imports to end")


def test_a_stopped_worker_keeps_nothing_that_it_was_given(boot, tmp_path):
    """An idle worker that is frozen looks idle to the others."""
    server, address = boot_own(boot, "slow:waits", "tcp", tmp_path, processes=3, http_stream_body=True)
    server.log.accept_anything()
    with ExitStack() as stack:
        kept = [stack.enter_context(Connection(address)) for _ in range(9)]
        by_worker: dict[int, list[Connection]] = {}
        for connection in kept:
            connection.send(request("/"))
            by_worker.setdefault(int(connection.answer().body), []).append(connection)
        pids = server.worker_pids()
        busy = max(by_worker, key=lambda pid: len(by_worker[pid]))
        frozen = next(pid for pid in pids if pid != busy)
        os.kill(frozen, Signals.SIGSTOP)
        try:
            first, *others = by_worker[busy]
            first.send(request("/busy", "POST", Content_Length="1"))
            server.log.wait("^waiting /busy$")
            for connection in others:
                connection.send(request("/"))
            for connection in others:
                assert int(connection.answer().body) != frozen
        finally:
            os.kill(frozen, Signals.SIGCONT)
        first.send(b"x")
        assert int(first.answer().body.split()[1]) == busy


@pytest.mark.parametrize("options", [*THREADS, {"lazy_apps": True}], ids=str)
@pytest.mark.parametrize("kind", ["http", "uwsgi"])
def test_a_worker_whose_descriptors_are_closed_is_replaced(boot, kind, options):
    server = boot(
        "breaks:closes_what_it_does_not_know", uwsgi=kind == "uwsgi", http=kind == "http", processes=2, **options
    )
    server.may_keep_files = True

    def ask(path: str) -> str | None:
        with suppress(OSError, AssertionError):
            if kind == "uwsgi":
                return server.request(path).text
            with Connection(server.http_address) as connection:
                connection.send(request(path))
                return connection.answer().text
        return None

    before = set(server.worker_pids())
    assert ask("/close")
    server.log.wait(
        r"worker \d: cannot (wait for connections|accept|listen): .*; it takes no more connections and is replaced"
    )
    server.log.wait(r"cannot take connections any more; replaced")
    server.log.accept_anything()
    until(lambda: len(set(server.worker_pids()) - before) == 1, "the successor")
    assert all(ask("/") for _ in range(20))


def test_a_handshake_that_has_begun_ends_in_an_answer(boot):
    """With TCP_DEFER_ACCEPT it lasts until the first byte: the client is connected long before."""
    server = boot("hello", uwsgi=False, socket="127.0.0.1:0")
    line = server.log.wait(r"serves .* on uwsgi 127\.0\.0\.1:(\d+)")
    with packet.connect(("127.0.0.1", int(line[1]))) as client:
        server.signal(Signals.SIGTERM)
        server.log.wait("SIGTERM: stopping")
        client.sendall(packet.packet(packet.variables("/")))
        assert packet.Response.parse(packet.read_all(client)).body == b"hello"
    assert server.wait_exit() == 0
