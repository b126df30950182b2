"""What an application forks and starts is its own: no worker, and nobody's business but its parent's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from signal import Signals

import pytest

from harness import procs
from harness.http import Connection, request
from harness.load import Load
from harness.server import TESTS
from harness.wait import PATIENCE, until

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


def test_a_child_has_no_connection_that_is_accepted_at_that_moment(boot):
    """By another thread, between accept(2) and whatever it notes of it."""
    server = boot("forks", threads=4)
    with Load(server.address, 8, path=f"/connections?{server.address[1]}", requests=1500, check=has_none) as load:
        load.join()
    assert load.failures == []


def has_none(response) -> bool:
    return response.body == b"0"


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


@pytest.mark.parametrize("use", ["read", "line", "tell", "seek", "start"])
def test_a_child_waits_for_no_thread_of_its_parent(boot, use):
    """One that was using the request at the moment of the fork does not exist in the child."""
    server = boot("forks", http=True)
    with Connection(server.http_address) as client:
        client.send(request(f"/uses?{use}", "POST", Content_Length="200000") + b"x" * 200_000)
        assert client.answer().body == b"0"


@pytest.mark.parametrize("in_memory", [1_000_000, 1])
def test_a_child_has_what_has_come_of_the_body(boot, in_memory):
    """And takes nothing of it from its parent, in a file, either, whose place both share."""
    server = boot("forks", http=True, post_buffering=in_memory)
    with Connection(server.http_address) as client:
        client.send(request("/body", "POST", Content_Length="4") + b"body")
        assert client.answer().body == b"body body"


# ── signals ──


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("number", [Signals.SIGTERM, Signals.SIGINT, Signals.SIGHUP, Signals.SIGUSR1])
def test_signals_end_what_the_application_forks(boot, number, options):
    server = boot("forks", **options)
    assert text(server, f"/signal?{int(number)}") == str(-number)
    assert len(server.worker_pids()) == 1


PLAIN = "import sys; sys.path.insert(0, 'tests/apps'); import forks; print(forks.forked_program().decode())"
GRACEFUL = {"harakiri": 10, "harakiri_graceful_timeout": 5}


def signals(status: str) -> dict[str, str]:
    return dict(re.findall(r"^(SigPnd|SigBlk|SigIgn):\t(\w+)$", status, re.MULTILINE))


@pytest.mark.parametrize("http", [False, True])
@pytest.mark.parametrize("options", [*KINDS, {"processes": 2, "threads": 2}, GRACEFUL], ids=str)
@pytest.mark.parametrize("path", ["/program", "/forked-program"])
def test_programs_get_the_signals_that_any_python_gives_them(boot, path, options, http):
    server = boot("forks", http=http, **options)
    if path == "/program":
        plain = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    else:
        command = [sys.executable, "-c", PLAIN]
        plain = subprocess.run(command, capture_output=True, text=True, check=True, cwd=TESTS.parent).stdout
    shown = text(server, path)
    assert signals(shown) == signals(plain)
    assert int(signals(shown)["SigBlk"], 16) == 0


def test_programs_get_no_descriptor_of_the_server(boot):
    server = boot("forks", http=True, threads=2, processes=2)
    # Its standard streams, and the directory that it reads.
    assert text(server, "/files").split() == ["0", "1", "2", "3"]


# ── what belongs to the server alone ──


@pytest.fixture
def stays(tmp_path):
    """A pipe that children of the application wait for until the test lets them go."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def release(pipe) -> None:
    """Whoever waits finds the end; whoever has not opened the pipe yet finds an empty file."""
    writing = os.open(pipe, os.O_RDWR)
    pipe.with_name("empty").touch()
    pipe.with_name("empty").rename(pipe)
    os.close(writing)


@pytest.mark.parametrize("options", [*KINDS, {"processes": 2, "threads": 2}, {"lazy_apps": True}], ids=str)
def test_a_child_does_not_listen(boot, stays, options):
    server = boot("forks", **options)
    assert text(server, f"/stays?{stays}") == "forked"
    server.signal(Signals.SIGTERM)
    # The child has the log open still.
    assert server.process.wait(PATIENCE) == 0
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    release(stays)
    until(lambda: not server.processes, "the application's child to end")


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_an_answer_without_a_length_does_not_wait_for_a_child(boot, stays, options):
    server = boot("forks", http=True, **options)
    assert text(server, f"/streams?{stays}") == "one two"
    with Connection(server.http_address) as client:
        client.send(f"GET /streams?{stays} HTTP/1.0\r\n\r\n".encode())
        assert client.rest().endswith(b"one two")
    assert procs.is_alive(server.worker_pids()[0])
    release(stays)


def test_a_child_does_not_keep_the_connections_of_a_killed_worker(boot, stays):
    server = boot("forks", uwsgi=False, http=True)
    with Connection(server.http_address) as kept, Connection(server.http_address) as asking:
        kept.send(request("/"))
        assert kept.answer().status == 200
        asking.send(request(f"/stays?{stays}"))
        assert asking.answer().body == b"forked"
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        server.log.wait("was killed by SIGKILL")
        server.log.wait("worker 1 .* is ready")
        assert kept.rest() == b""
    release(stays)
    server.log.wait("worker 1 .* is ready")


@pytest.mark.parametrize("http", [False, True])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_write_in_a_child_sends_nothing(boot, options, http):
    server = boot("forks", http=http, uwsgi=not http, **options)
    if not http:
        assert text(server, "/write") == "parent end"
        return
    with Connection(server.http_address) as client:
        client.send(request("/write"))
        assert client.answer().body == b"parent end"


@pytest.mark.parametrize("lazy", [False, True])
def test_what_the_service_manager_says_is_for_the_server(boot, lazy):
    """An application that read it would speak for the server, or take its sockets."""
    mine = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "web"}
    server = boot("environment", env=mine, lazy_apps=lazy)
    for name in [*mine, "NOTIFY_SOCKET"]:
        assert server.request(f"/?{name}").text == ""
    assert server.request("/?PYTHONDONTWRITEBYTECODE").text == "1"
    # The master still has it.
    server.reload()
    assert server.request("/?NOTIFY_SOCKET").text == ""


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


# ── a zygote that does not come out of its fork ──


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
