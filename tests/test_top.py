"""`rwsgi top`, against the real uWSGI and rwsgi: its screens in a terminal, its text and its JSON."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from conftest import Boot
from harness import packet, stats
from harness.peer import Uwsgi
from harness.server import held
from harness.terminal import Terminal
from harness.wait import PATIENCE, until

TOP = [sys.executable, "-m", "rwsgi", "top"]
# What a terminal would act on, and what would be more than text in a page.
HOSTILE = "/a\x1b[2J?<b>&c=\x9b1m"
SHOWN = "/a\\x1b[2J?<b>&c="


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TOP, *words], capture_output=True, text=True, timeout=6 * PATIENCE)


@contextmanager
def running(address: packet.Address, *paths: str) -> Iterator[None]:
    """Requests that run: the application waits for their bodies, which do not come."""
    with ExitStack() as stack:
        for path in paths:
            variables = packet.variables(path, "POST", b"x")
            stack.enter_context(held(address, packet.packet(variables)))
        yield


@contextmanager
def sends(path: Path, answer: bytes) -> Iterator[str]:
    """Something that is no stats server: it sends these bytes to whoever connects."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield str(path)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


class Peer:
    """The real uWSGI with a stats server."""

    def __init__(self, directory: Path, address: str, *words: str) -> None:
        self.stats = address
        self.start: Callable[[], Uwsgi] = lambda: Uwsgi(directory, "slow:waits", "--stats", address, *words)
        self.uwsgi = self.start()


THREADS = ("--processes", "8", "--threads", "20", "--memory-report")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    directory = tmp_path_factory.mktemp("raw")
    peer = Peer(directory, str(directory / "stats"), *THREADS)
    yield peer
    peer.uwsgi.close()


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    peer = Peer(tmp_path_factory.mktemp("http"), f"@rwsgi-test-top-{os.getpid()}", "--stats-http", "--processes", "2")
    yield peer
    peer.uwsgi.close()


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.getfixturevalue(request.param)
    return found


both = pytest.mark.parametrize("peer", ["raw", "http"], indirect=True)


@both
def test_once_is_text_for_people(peer: Peer) -> None:
    with running(peer.uwsgi.address, HOSTILE):
        until(lambda: SHOWN in run("--once", peer.stats).stdout, "the request")
        done = run(peer.stats)
    assert done.returncode == 0 and done.stderr == ""
    assert "uWSGI 2.0.31" in done.stdout and re.search(r"1 of \d+ busy in \d workers", done.stdout)
    assert not re.search("[^\n -~\ufffd]", done.stdout), "a terminal may act on it"


@both
def test_json_is_a_line_a_sample(peer: Peer) -> None:
    with running(peer.uwsgi.address, HOSTILE):
        done = run("--json", "--once", "--interval", "0.2", peer.stats)
    assert done.returncode == 0 and done.stdout.count("\n") == 1 and "\x9b" not in done.stdout
    sample = json.loads(done.stdout)
    assert sample["server"] == "uWSGI 2.0.31" and sample["requests_per_s"] == 0 and sample["latency_ms"] is None
    [running_now] = [one for worker in sample["workers"] for one in worker["running"]]
    assert running_now["method"] == "POST" and running_now["uri"].startswith("/a\x1b[2J?<b>&c=")


def test_json_goes_on_until_nobody_reads(raw: Peer) -> None:
    words = [*TOP, "--json", "--interval", "0.1", raw.stats]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.stdout.close()
        assert process.wait(2 * PATIENCE) == 0
    assert first["requests_per_s"] is None and second["requests_per_s"] == 0 and second["at"] > first["at"]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50)])
def test_the_screen_of_threads(raw: Peer, columns: int, lines: int) -> None:
    with Terminal([*TOP, "--interval", "0.2", raw.stats], columns, lines) as screen:
        assert screen.find("uWSGI 2.0.31").rstrip().endswith(tuple("0123456789")), "a clock at the right side"
        screen.find(" of 160 busy in 8 workers")
        assert "workers by" in screen.lines[-1]
        with running(raw.uwsgi.address, HOSTILE, *["/other"] * 3):
            screen.find("4 of 160 busy")
            screen.press("2")
            assert "POST" in screen.find(SHOWN)
            screen.press("/other\r")
            screen.lose(SHOWN)
            assert sum("POST    /other" in line for line in screen.lines) == 3
            screen.press("\x1b")
            screen.find(SHOWN)
        # 160 cores, of which the last is at the end of the list.
        screen.press("3")
        assert screen.find("WORKER CORE REQUESTS STATE")
        screen.press("\x1b[F")
        screen.find("     8   19")
        assert re.search(r"^ +8 +19 ", screen.lines[-2])
        screen.press("o\x1b[H")
        screen.find("     8   19")
        screen.press("?")
        screen.find("show only rows with a text")
        screen.press("q")
        assert screen.wait_exit() == 0 and screen.is_restored


def test_keys_sort_and_pause(raw: Peer) -> None:
    with Terminal([*TOP, "--interval", "0.2", raw.stats]) as screen:
        screen.find("workers by id")
        screen.press("s")
        screen.find("workers by rate")
        screen.press("m")
        screen.find("workers by memory")
        screen.press("o")
        screen.find("by memory reversed")
        screen.press("p")
        screen.find("PAUSED")
        with running(raw.uwsgi.address, "/while-paused"):
            screen.press("2")
            screen.find("nothing runs")
            screen.press("p")
            screen.find("/while-paused")
        screen.press("\x03")
        assert screen.wait_exit() == 0 and screen.is_restored


def test_another_size_is_another_screen(raw: Peer) -> None:
    with Terminal([*TOP, raw.stats], 80, 24) as screen:
        screen.find("REQUESTS")
        screen.resize(140, 30)
        screen.find("WAIT")
        until(lambda: "workers by" in screen.lines[-1], "the last line at its new place")
        # Nothing is left of the old size, and nothing fails where there is hardly any room.
        screen.resize(20, 3)
        until(lambda: "workers by" in screen.lines[-1], "the last line")
        screen.press("q")
        assert screen.wait_exit() == 0


def test_a_key_is_not_lost_when_the_size_changes(raw: Peer) -> None:
    with Terminal([*TOP, raw.stats], 80, 24) as screen:
        screen.find("REQUESTS")
        for number in range(20):
            screen.resize(100 + number % 2, 24)
            screen.press("p")
            screen.find("PAUSED")
            screen.press("p")
            screen.resize(100, 24)
            screen.lose("PAUSED")


def test_a_terminal_that_is_gone_ends_it(raw: Peer) -> None:
    with Terminal([*TOP, raw.stats]) as screen:
        screen.find("RUNNING")
        screen.hang_up()
        # The signal comes first, or the error of the terminal.
        assert screen.wait_exit() in (1, 128 + signal.SIGHUP)


def test_uwsgi_has_no_stacks(http: Peer) -> None:
    with Terminal([*TOP, http.stats]) as screen:
        screen.find("RUNNING")
        screen.press("\r")
        screen.find("py-tracebacker")
        screen.press("\x1b")
        screen.find("RUNNING")


def test_a_server_goes_away_and_comes_back(tmp_path: Path) -> None:
    peer = Peer(tmp_path, str(tmp_path / "stats"))
    with Terminal([*TOP, "--interval", "0.2", peer.stats]) as screen:
        screen.find("in 1 workers")
        peer.uwsgi.close()
        screen.find("LOST")
        assert "trying again" in screen.find("LOST")
        screen.find("in 1 workers")
        peer.uwsgi = peer.start()
        screen.lose("LOST")
        peer.uwsgi.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(raw: Peer, number: signal.Signals) -> None:
    with Terminal([*TOP, raw.stats]) as screen:
        screen.find("RUNNING")
        screen.process.send_signal(number)
        assert screen.wait_exit() == 128 + number and screen.is_restored


def test_a_shell_can_suspend_it(raw: Peer) -> None:
    with Terminal(["bash", "--norc", "-i"]) as screen:
        screen.press("'" + "' '".join([*TOP, "--interval", "0.2", raw.stats]) + "'\n")
        screen.find("RUNNING")
        screen.press("\x1a")
        screen.find("Stopped")
        screen.press("stty -a | grep -o .icanon; clear\n")
        screen.lose("RUNNING")
        screen.press("fg\n")
        screen.find("RUNNING")
        screen.press("q")
        screen.find("$ " if os.getuid() else "# ")
        screen.press("exit 7\n")
        assert screen.wait_exit() == 7


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"", "without a word"),
        (b"<!doctype html><p>hello", "HTML"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "HTML"),
        (b"HTTP/1.1 404 Not Found\r\n\r\nno", "HTTP status 404"),
        (b"HTTP/1.1 421 Misdirected Request\r\n\r\n", "stats-host"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "of 100 bytes"),
        (bytes(range(256)) * 10, "no JSON"),
        (b'{"version":"2.0.31","workers":[{"id":1,', "cut off after 39 bytes"),
        (b'{"vassals":[]}', "emperor"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_stats_server_is_named(tmp_path: Path, answer: bytes, word: str) -> None:
    with sends(tmp_path / "s", answer) as address:
        done = run("--once", address)
    assert done.returncode == 1 and done.stdout == ""
    assert word in done.stderr and address in done.stderr and "\x1b" not in done.stderr


def test_an_address_that_nobody_has_is_named(tmp_path: Path) -> None:
    nobody = socket.socket(socket.AF_UNIX)
    nobody.bind(str(tmp_path / "s"))
    nobody.close()
    for address, word in [
        (str(tmp_path / "s"), "nobody listens"),
        (str(tmp_path / "none"), "No such file"),
        (str(tmp_path), "onnection refused"),
        ("@rwsgi-test-nobody", "nobody listens"),
    ]:
        done = run(address)
        assert done.returncode == 1 and word in done.stderr, done.stderr
    assert run("--interval", "x", "/a").returncode == 2


def test_a_document_with_odd_text_is_shown(tmp_path: Path) -> None:
    cores = b'[{"id":0,"in_request":1,"vars":["REQUEST_URI=/\xe2\x80\xae\x1b]0;x\x07"]}]'
    odd = b'{"version":"2\x1b[31m","cwd":"/srv/"quoted"/\xff","pid":-1,"listen_queue":1e30,"workers":[{"id":1,'
    odd += b'"status":"\x07","requests":99999999999999999999,"cores":%s}]}' % cores
    with sends(tmp_path / "s", odd) as address:
        done = run(address)
        with Terminal([*TOP, address], 120) as screen:
            screen.find('/srv/"quoted"/')
            screen.find("/\\u202e\\x1b]0;x")
            screen.press("q")
            assert screen.wait_exit() == 0
    assert done.returncode == 0 and not re.search("[\x1b\x07\u202e]", done.stdout), done.stdout


# rwsgi itself.


def test_rwsgi_raw(boot: Boot, tmp_path: Path) -> None:
    server = boot("slow:waits", processes=2, threads=3, socket_timeout=60, stats=tmp_path / "stats")
    server.log.expect(stats.ENABLED, "waiting /x", r"waiting /a")
    assert server.request("/x", "POST", b"x").status == 200
    with (
        Terminal([*TOP, "--interval", "0.2", str(tmp_path / "stats")]) as screen,
        running(server.address, HOSTILE),
    ):
        screen.find("serving generation 1")
        screen.find("1 of 6 busy in 2 workers")
        assert "POST" in screen.find(SHOWN.partition("?")[0])
        screen.press("\r")
        screen.find("stats-http = true")
        screen.press("q")
        assert screen.wait_exit() == 0 and screen.is_restored


def test_rwsgi_over_http(boot: Boot) -> None:
    server = boot("slow:waits", processes=1, threads=2, stats="127.0.0.1:0", stats_http=True)
    server.log.expect("waiting /x")
    address = "{}:{}".format(*stats.address(server))
    assert server.request("/x", "POST", b"x").status == 200
    for form in (address, f"http://{address}/"):
        sample = json.loads(run("--json", "--once", form).stdout)
        assert sample["server"].startswith("rwsgi ") and sample["requests"] == 1 and sample["cores"] == 2
        assert sample["latency_ms"]["since_start"] is True and sample["latency_ms"]["p99"] >= 0
