"""The log: nobody waits for its reader, and nobody but the server writes its lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from signal import Signals

import pytest

from harness import procs
from harness.http import Connection
from harness.log import DATED, REQUEST, Log
from harness.unread import FILLER, KINDS, Unread
from harness.wait import until

pytestmark = pytest.mark.core

DROPPED = r"(master|worker \d): \d+ log lines were dropped since \d\d:\d\d:\d\d: nobody read the log"
GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=KINDS)
def stream(request):
    with closing(Unread(request.param)) as made:
        yield made


@pytest.fixture
def pipe():
    with closing(Unread("pipe")) as made:
        yield made


def serve(start, stream, app="says", **options):
    return start(app, http=True, output=stream.writing, **options).wait_ready()


def read_again(server, stream):
    """Somebody reads the log after all, until the server closes it."""
    stream.close_writing()
    server.log = Log(os.dup(stream.reading))
    server.log.accept_anything()
    return server.log


def ask(server, times=1, path=b"/", status=200):
    with Connection(server.http_address) as client:
        for _ in range(times):
            client.send(GET % path)
            assert client.answer().status == status


def is_whole(line):
    return line == FILLER.strip() or REQUEST.match(line) or DATED.match(line) or line.startswith("  ")


# ── nobody reads ──


def test_a_log_that_nobody_reads_holds_up_nothing(start, stream):
    server = serve(start, stream, processes=2, harakiri=5)
    # Each process has more to say than its buffer holds.
    ask(server, 2000)
    ask(server, 1, b"/raise", 500)
    before = procs.children(server.pid)
    workers = [pid for pid in before if "zygote" not in procs.title(pid)]
    os.kill(workers[-1], Signals.SIGKILL)
    until(lambda: set(procs.children(server.pid)) - set(before), "a worker in the place of the dead one")
    ask(server, 10)
    before = procs.children(server.pid)
    server.signal(Signals.SIGHUP)
    server.notifications.wait("RELOADING=1")
    server.notifications.wait("READY=1")
    until(lambda: not set(procs.children(server.pid)) & set(before), "the end of the old processes")
    ask(server, 10)
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0


def test_lines_that_are_lost_are_counted(start, stream):
    server, is_terminal = serve(start, stream), os.isatty(stream.reading)
    ask(server, 1500)
    server.signal(Signals.SIGUSR1)
    log = read_again(server, stream)
    log.find(DROPPED)
    log.find("status: ")
    ask(server)
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
    broken = [line for line in log.lines if not is_whole(line)]
    # A terminal takes the writes of two processes in any pieces.
    assert not broken or is_terminal
    lost = sum(int(re.search(r"(\d+) log lines", line)[1]) for line in log.lines if "log lines were dropped" in line)
    assert lost + len(log.requests()) in range(1501 - len(broken), 1502)


def test_a_dead_worker_leaves_its_lines_to_the_master(start, pipe):
    server = serve(start, pipe)
    # The last answer is sent before its line is written.
    ask(server, 51)
    worker = procs.children(server.pid)[-1]
    os.kill(worker, Signals.SIGKILL)
    until(lambda: not procs.is_alive(worker), "the end of the worker")
    log = read_again(server, pipe)
    log.find(r"was killed by SIGKILL")
    assert len(log.requests()) >= 50


def test_an_application_that_cannot_be_loaded(start, pipe):
    server = start("no_such_module", output=pipe.writing)
    server.status = 22
    assert server.wait_exit() == 22


def test_why_it_cannot_be_loaded_is_said_later(start, pipe, tmp_path):
    """A reload that fails: the zygote that knew why is gone when somebody reads the log."""
    app = tmp_path / "app.py"
    app.write_text("from says import application\n")
    server = start("app", http=True, output=pipe.writing, pythonpath=tmp_path).wait_ready()
    app.write_text("raise ValueError('cannot be loaded')\n")
    before = procs.children(server.pid)
    server.signal(Signals.SIGHUP)
    server.notifications.wait("RELOADING=1")
    server.notifications.wait("READY=1")
    assert before[-1] in procs.children(server.pid)
    log = read_again(server, pipe)
    log.find("  ValueError: cannot be loaded")
    ask(server)


def test_a_log_that_is_stuck_costs_an_idle_server_nothing(start, stream):
    server = serve(start, stream)
    ask(server, 5)
    assert procs.switches([server.pid, *procs.children(server.pid)], 2) < 40


def test_a_reader_that_goes_away(start, pipe):
    server = serve(start, pipe, processes=2)
    pipe.close_reading()
    ask(server, 1500)
    ask(server, 1, b"/raise", 500)
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0


@pytest.mark.root
def test_a_pipe_that_the_server_may_not_open(start, pipe):
    """That of a supervisor which runs as root and starts its programs as another user."""
    os.fchmod(pipe.writing, 0)
    powers = "-dac_override,-dac_read_search"
    command = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}", sys.executable, "-m", "rwsgi"]
    server = serve(start, pipe, command=command)
    ask(server, 1500)
    log = read_again(server, pipe)
    log.find(DROPPED)
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
    assert all(is_whole(line) for line in log.lines)


def test_the_stream_is_left_as_it_was(start, pipe):
    server = serve(start, pipe)
    ask(server)
    assert os.get_blocking(pipe.writing)


def test_an_application_that_prints_waits_alone(start, pipe):
    server = serve(start, pipe, processes=2, harakiri=1, worker_reload_mercy=1)
    with Connection(server.http_address) as stuck:
        stuck.send(GET % b"/print")
        ask(server, 20)
        assert stuck.answer().status == 504
    ask(server, 20)
    with Connection(server.http_address) as stuck:
        stuck.send(GET % b"/print")
        ask(server)
        server.signal(Signals.SIGTERM)
        assert server.wait_exit() == 0


@pytest.mark.root
def test_a_disk_that_is_full(start, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", disk], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with start("says", http=True, logto=disk / "log").wait_ready() as server:
            ask(server, 3000)
            ask(server, 1, b"/raise", 500)
            assert (disk / "log").stat().st_size <= 131072
            # As logrotate does with `copytruncate`.
            os.truncate(disk / "log", 0)
            text = "log lines were dropped since .*: the log could not be written .No space left on device"
            until(lambda: re.search(text, (disk / "log").read_text()), "the number of lost lines")
            server.signal(Signals.SIGTERM)
            assert server.wait_exit() == 0
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ── nobody else writes ──

FORGED = "/raise%0aSat Nov 28 22:00:00 2026 - SIGTERM: forged%0d%1b[2J%9b%e2%80%a8%7f"


@pytest.mark.parametrize("path", [FORGED, FORGED.replace("/raise", "/type")])
def test_an_exception_cannot_pass_for_a_line_of_the_server(boot, path):
    server = boot("says", http=True)
    server.log.expect("answered 500", "Traceback")
    ask(server, 1, path.replace(" ", "%20").encode(), 500)
    server.log.find("SIGTERM: forged")
    forged = [line for line in server.log.lines if "SIGTERM: forged" in line and not REQUEST.match(line)]
    assert forged
    for line in forged:
        assert line.startswith("  ") or "in worker 1 core 0" in line, forged
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u2028" for c in line), forged


def test_a_traceback_is_readable(boot):
    server = boot("says", http=True)
    server.log.expect("ValueError in worker 1 core 0: GET /raise/it; answered 500")
    ask(server, 1, b"/raise/it", 500)
    server.log.find("ValueError: /raise/it")
    more = server.log.entry("ValueError in").more
    assert more[0] == "  Traceback (most recent call last):"
    assert re.fullmatch(r'    File ".*says.py", line \d+, in application', more[1])
    assert more[-1] == "  ValueError: /raise/it"


def test_a_long_exception_is_whole(boot):
    server = boot("says", http=True)
    server.log.expect("answered 500")
    ask(server, 1, b"/long", 500)
    ask(server)
    server.log.request("GET / ")
    assert any("ValueError: xxxxxxxxx" in line for line in server.log.lines)
    assert sum(is_whole(line) is None for line in server.log.lines) == 0


def test_a_name_that_is_no_text(boot):
    server = boot("says", http=True)
    server.log.expect("answered 500")
    ask(server, 1, b"/bytes", 500)
    server.log.find(r"ValueError: name \\udcff")


def test_a_stream_of_the_applications_own(boot):
    server = boot("says", http=True)
    server.log.expect("answered 500")
    ask(server, 1, b"/replaced", 500)
    server.log.find("  ValueError: with a stream of the application's own")


def test_a_request_line_shows_what_a_client_sends(boot):
    server = boot("hello")
    odd = "/a\x1b[2J\x9b\r\nSat Nov 28 22:00:00 2026 - forged"
    server.request(odd, REMOTE_USER="u\n[pid: 1", REMOTE_ADDR="1\r2")
    line = server.log.find("^\\[pid: ").string
    assert not any(ord(c) < 32 or ord(c) > 126 for c in line)
    assert not [line for line in server.log.lines if line.startswith("Sat Nov 28 22:00:00 2026 - forged")]
