"""What an application forks and starts is its own: no worker, and nobody's business but its parent's."""

from __future__ import annotations

import os
import re
import signal
from signal import Signals

import pytest

from harness import procs
from harness.http import Connection, request

CAME_BACK = "a child that the application forked came back from it; it ends"
KINDS = [{}, {"threads": 3}]


def text(server, path: str) -> str:
    response = server.request(path)
    assert response.status == 200
    return response.text


# ── children that come back ──


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize(("path", "status"), [("/exit", 3), ("/exit-none", 0)])
def test_a_child_may_leave_by_sys_exit(boot, path, status, options):
    """The harness sees to it that nothing is logged, and that no process outlives the server."""
    server = boot("forks", **options)
    assert text(server, path) == str(status)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_child_that_comes_back_is_no_worker(boot, options):
    server = boot("forks", **options)
    assert text(server, "/return") == "1"
    server.log.wait(f"GET /return: {re.escape(CAME_BACK)}")
    assert text(server, "/iterate") == "one 1"
    server.log.wait(f"GET /iterate: {re.escape(CAME_BACK)}")
    (worker,) = server.worker_pids()
    assert procs.children(worker) == []


def test_a_child_that_raises_shows_its_traceback(boot):
    server = boot("forks")
    assert text(server, "/raise") == "1"
    server.log.wait(f"GET /raise: {re.escape(CAME_BACK)}")
    server.log.wait("^  ValueError: in the child$")
    assert server.workers()[0].exceptions == 0


def test_a_child_on_an_http_socket_says_nothing_to_the_client(boot):
    server = boot("forks", http=True)
    with Connection(server.http_address) as client:
        client.send(request("/return"))
        assert client.answer().body == b"1"
        client.send(request("/"))
        assert client.answer().text == str(server.worker_pids()[0])
    server.log.wait(CAME_BACK)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_child_that_holds_connections_keeps_no_thread_busy(boot, tmp_path, options):
    """It has all sockets that were open when it was forked, readable for ever once their clients are gone."""
    os.mkfifo(tmp_path / "pipe")
    server = boot("forks", uwsgi=False, http=True, **options)
    with Connection(server.http_address) as idle, Connection(server.http_address) as asking:
        idle.send(request("/"))
        assert idle.answer().status == 200
        asking.send(request(f"/stays?{tmp_path / 'pipe'}"))
        assert asking.answer().body == b"forked"
    assert procs.work(server.worker_pids()) < 0.3
    (tmp_path / "pipe").write_text("")


# ── signals ──


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("number", [Signals.SIGTERM, Signals.SIGINT, Signals.SIGHUP, Signals.SIGUSR1])
def test_signals_end_what_the_application_forks(boot, number, options):
    server = boot("forks", **options)
    assert text(server, f"/signal?{int(number)}") == str(-number)
    assert len(server.worker_pids()) == 1


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_programs_ignore_no_signal(boot, options):
    shown = text(boot("forks", **options), "/program")
    # A shell starts what it puts into the background with the first two ignored; the others are the C library's own.
    kept = [number for number in (Signals.SIGINT, Signals.SIGQUIT) if signal.getsignal(number) == signal.SIG_IGN]
    usual = sum(1 << (number - 1) for number in Signals if number < signal.SIGRTMIN and number not in kept)
    ignored = int(re.search(r"^SigIgn:\t(\w+)$", shown, re.MULTILINE)[1], 16)
    assert ignored & usual == 0
    blocked = int(re.search(r"^SigBlk:\t(\w+)$", shown, re.MULTILINE)[1], 16)
    assert blocked & usual == 0


# ── standard streams ──


@pytest.mark.parametrize("http", [False, True])
def test_no_client_becomes_a_standard_stream(boot, http):
    """An application that closes them must not print to whoever comes next."""
    server = boot("forks", http=http, uwsgi=not http, may_keep_files=True)
    for path, body in [("/closed", b"closed"), ("/prints", b"said")]:
        if http:
            with Connection(server.http_address) as client:
                client.send(request(path))
                assert client.answer().body == body
        else:
            assert server.request(path).body == body
    server.log.accept_anything()


# ── a template that does not come out of its fork ──


def test_a_stop_does_not_wait_for_a_worker_that_is_never_born(boot, tmp_path):
    gate = tmp_path / "gate"
    server = boot("forks:slow_hook()", env={"GATE": str(gate)})
    server.log.wait("^before fork in ")
    os.mkfifo(gate)
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    server.log.wait("was killed by SIGKILL")
    server.log.wait("^before fork in ", count=2)
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
