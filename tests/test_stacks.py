"""Where requests hang: the stack of a slow one in the log, the stacks of all threads, the record of a crash."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from harness import packet
from harness.packet import Response
from harness.stats import address as address_of
from harness.wait import until


def get(address, path: str) -> Response:
    with packet.connect(address, timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return Response.parse(packet.read_all(client))


SLOW = r"slow request: GET (\S+) has run for (\d\.\d) s in worker 1 \(pid (\d+)\), core (\d); its stack, most recent "


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("how", ["sleep", "compute", "gil"])
def test_the_stack_of_a_slow_request_is_logged_while_it_runs(boot, how, threads):
    server = boot("stacks", log_slow_stack=300, threads=threads)
    (pid,) = server.worker_pids()
    assert server.request(f"/{how}/1").text == str(pid)
    found = server.log.wait(SLOW)
    assert (found[1], found[3]) == (f"/{how}/1", str(pid))
    assert 0.3 <= float(found[2]) <= 0.9
    stack = server.log.entry(SLOW).more
    names = {"sleep": "sleeps_deep_inside", "compute": "compute", "gil": "holds_the_gil"}
    assert any(line.endswith(f" in {names[how]}") for line in stack), stack
    # The stack of that thread alone, and once.
    assert sum(" in get_response" in line for line in stack) == 1
    assert not any("hread 0x" in line for line in stack)
    assert len([line for line in server.log.lines if "slow request" in line]) == 1
    # It is logged while the request runs.
    lines = server.log.lines
    written = next(number for number, line in enumerate(lines) if "slow request" in line)
    assert not any(f"GET /{how}/1 =>" in line for line in lines[:written])


def test_both_protocols_log_slow_requests(boot):
    server = boot("stacks", http=True, log_slow_stack=200)
    assert server.request("/sleep/0.6").status == 200
    server.log.wait(SLOW)
    with packet.connect(server.http_address) as client:
        client.sendall(b"GET /sleep/0.7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert Response.parse(packet.read_all(client)).status == 200
    assert server.log.wait(SLOW, 2)[1] == "/sleep/0.7"


def test_requests_in_time_log_nothing(boot):
    server = boot("stacks", log_slow_stack=1500, processes=2, threads=2)
    for _ in range(20):
        assert server.request("/sleep/0.01").status == 200
    assert server.request("/sleep/0.4").status == 200
    assert "slow request" not in server.log.text


# ── the document ──


def document(server, query: str = "") -> list[dict]:
    answer = get(address_of(server), f"/stacks{query}")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json"), answer
    return json.loads(answer.body)["workers"]


def functions(thread: dict) -> list[str]:
    return [frame["function"] for frame in thread["frames"]]


def seen_in(server, function: str) -> list[dict]:
    """The document, when a request has come to this function."""
    workers = document(server)
    busy = [thread for worker in workers for thread in worker["threads"] if thread["request"]]
    return workers if any(functions(thread)[:1] == [function] for thread in busy) else []


def test_every_worker_and_every_thread_is_shown(boot):
    server = boot("stacks", "--stats-http", processes=2, threads=2, stats="127.0.0.1:0")
    for _ in range(8):
        assert server.request("/thread").status == 200
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/sleep/3")))
        workers = until(lambda: seen_in(server, "sleeps_deep_inside"), "the request to sleep")
        assert [(worker["id"], worker["answered"]) for worker in workers] == [(1, True), (2, True)]
        assert [worker["pid"] for worker in workers] == server.worker_pids()
        threads = [thread for worker in workers for thread in worker["threads"]]
        (busy,) = [thread for thread in threads if thread["request"]]
        assert busy["request"] == "GET /sleep/3" and 0 <= busy["age_ms"] < 3000 and busy["core"] in (0, 1)
        assert functions(busy)[0] == "sleeps_deep_inside"
        (frame,) = [frame for frame in busy["frames"] if frame["function"] == "sleep"]
        assert frame["file"].endswith("/tests/apps/stacks.py") and frame["line"] > 20
        # Cores without a request and threads of the application.
        assert sum(thread["core"] is not None and thread["request"] is None for thread in threads) == 3
        assert sum("background" in functions(thread) and thread["core"] is None for thread in threads) == 8
        (one,) = document(server, "?worker=2")
        assert one["id"] == 2
    assert get(address_of(server), "/stacks?worker=3").status == 404


def test_a_call_that_holds_the_gil_hides_nothing(boot):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/gil/3")))
        (worker,) = until(lambda: seen_in(server, "holds_the_gil"), "the request to hold the GIL")
        (busy,) = [thread for thread in worker["threads"] if thread["request"]]
        assert functions(busy)[0] == "holds_the_gil"


def test_a_frozen_worker_is_told_and_answers_later_to_nobody(boot):
    server = boot("stacks", "--stats-http", processes=2, stats="127.0.0.1:0")
    first, second = server.worker_pids()
    os.kill(first, signal.SIGSTOP)
    try:
        for _ in range(2):
            frozen, other = document(server)
            assert (frozen["answered"], frozen["threads"]) == (False, [])
            assert other["answered"] and other["pid"] == second
    finally:
        os.kill(first, signal.SIGCONT)
    # Its late answers are nobody's.
    for _ in range(5):
        workers = document(server)
        assert all(worker["answered"] for worker in workers)
        assert [len(worker["threads"]) for worker in workers] == [1, 1]


def test_many_readers_share_the_dumps(boot):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    with ExitStack() as stack:
        clients = [stack.enter_context(packet.connect(address_of(server))) for _ in range(40)]
        for client in clients:
            client.sendall(b"GET /stacks HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answers = [Response.parse(packet.read_all(client)) for client in clients]
    assert {answer.status for answer in answers} == {200}
    assert all(json.loads(answer.body)["workers"][0]["answered"] for answer in answers)


def test_a_crowd_of_deep_threads_is_shown_whole(boot):
    """The dump is many times as long as a pipe has room for."""
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    assert server.request("/crowd/64/300").text == "started"
    for _ in range(3):
        (worker,) = document(server)
        assert worker["answered"]
        deep = [thread for thread in worker["threads"] if functions(thread).count("waits_below") > 90]
        assert len(deep) == 64 and all(thread["is_cut"] for thread in deep)


def test_workers_that_are_known_to_be_frozen_are_not_waited_for_long(boot):
    server = boot("stacks", "--stats-http", processes=8, stats="127.0.0.1:0")
    pids = server.worker_pids()
    for pid in pids[1:]:
        os.kill(pid, signal.SIGSTOP)
    try:
        document(server)
        begun = time.monotonic()
        workers = document(server)
        took = time.monotonic() - begun
    finally:
        for pid in pids[1:]:
            os.kill(pid, signal.SIGCONT)
    assert [worker["answered"] for worker in workers] == [True] + 7 * [False]
    assert took < 4


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "rwsgi", *map(str, words)], capture_output=True, text=True, timeout=60)


def test_the_command_shows_the_stacks(boot, tmp_path):
    server = boot("stacks", "--stats-http", processes=2, stats=["127.0.0.1:0", str(tmp_path / "http")], vacuum=True)
    server.gone.append(tmp_path / "http")
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/sleep/4")))
        until(lambda: seen_in(server, "sleeps_deep_inside"), "the request to sleep")
        shown = run("stacks", "{}:{}".format(*address_of(server)))
        assert (shown.returncode, shown.stderr) == (0, "")
        assert re.search(r"^worker 1 \(pid \d+\)$", shown.stdout, re.M)
        assert re.search(r"^  thread 0x[0-9a-f]+, core 0: GET /sleep/4 for \d+ ms$", shown.stdout, re.M)
        assert re.search(r'^    File "\S+/stacks.py", line \d+, in sleeps_deep_inside$', shown.stdout, re.M)
        one = run("stacks", "--worker", 2, "--json", tmp_path / "http")
        assert [worker["id"] for worker in json.loads(one.stdout)["workers"]] == [2]
    none = run("stacks", "--worker=7", tmp_path / "http")
    assert none.returncode == 1 and 'there is no worker "7"' in none.stderr, none


def test_the_command_explains_a_raw_socket(boot, tmp_path):
    server = boot("stacks", stats=tmp_path / "raw")
    address_of(server)
    raw = run("stacks", tmp_path / "raw")
    assert raw.returncode == 1 and "this is a raw stats socket" in raw.stderr and "stats-http = true" in raw.stderr, raw
    assert server.request("/sleep/0").status == 200


def test_the_tracebacker_writes_what_uwsgi_writes(boot, tmp_path):
    server = boot(
        "stacks", "--stats-http", stats="127.0.0.1:0", processes=2, py_tracebacker=tmp_path / "tb", vacuum=True
    )
    server.log.expect(r"python tracebacker for worker [12] available on .*/tb[12]$")
    server.gone += [tmp_path / "tb1", tmp_path / "tb2"]
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/sleep/3")))
        until(lambda: seen_in(server, "sleeps_deep_inside"), "the request to sleep")
        texts = []
        for number in (1, 2):
            with packet.connect(str(tmp_path / f"tb{number}")) as reader:
                texts.append(packet.read_all(reader).decode())
    assert all(text.startswith("*** uWSGI Python tracebacker output ***\n\n") for text in texts)
    (line,) = [line for text in texts for line in text.splitlines() if "sleeps_deep_inside" in line]
    assert re.fullmatch(r"thread_id = \S+ filename = \S+/stacks.py lineno = \d+ function = sleeps_deep_inside", line), (
        line
    )


# ── crashes ──

KILLED = r"worker 1 \(pid (\d+)\) was killed by (SIG\w+) after \d+ requests; replacing it"


def crash(server, how: str) -> list[str]:
    """Lets the worker crash in a request; the lines of its record."""
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables(f"/crash/{how}")))
        assert packet.read_all(client) == b""
    server.log.wait(KILLED)
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    return server.log.entry(KILLED).more


@pytest.mark.parametrize(
    ("how", "name"),
    [("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("overflow", "SIGSEGV"), ("SIGSEGV", "SIGSEGV"), ("SIGFPE", "SIGFPE")],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_crash_leaves_a_record(boot, how, name, threads):
    server = boot("stacks", threads=threads)
    (pid,) = server.worker_pids()
    record = crash(server, how)
    found = server.log.wait(KILLED)
    assert (found[1], found[2]) == (str(pid), name)
    text = "\n".join(record)
    assert f" was running GET /crash/{how} for " in record[0]
    # Of a stack that is too deep the innermost calls are shown.
    assert (" in compare" if how == "overflow" else " in crashes_here") in text, text
    assert f": GET /crash/{how}]" in text
    native = text.partition("native stack:")[2]
    assert "python" in native or ".so" in native, text
    if how == "segv":
        assert "fault 0x0" in text and ("libffi" in native or "ctypes" in native), text
    # The server is well, and the next crash leaves a record of its own.
    assert server.request("/sleep/0").status == 200
    if how == "segv":
        crash(server, "abort")
        server.log.wait(KILLED.replace(r"(SIG\w+)", "SIGABRT"))


def test_a_crash_whose_record_hangs_ends_all_the_same(boot):
    server = boot("stacks", threads=2)
    killed = r"worker 1 \(pid \d+\) was killed by SIGKILL"
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/crash/locked")))
        assert packet.read_all(client) == b""
    server.log.wait(killed)
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    text = "\n".join(server.log.entry(killed).more)
    assert " in crashes_here" in text and "it crashed; the record of it did not come to its end in time" in text, text


def test_a_worker_that_is_killed_names_its_requests(boot):
    server = boot("stacks")
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/crash/SIGKILL")))
        assert packet.read_all(client) == b""
    killed = r"worker 1 \(pid \d+\) was killed by SIGKILL \(by hand, "
    server.log.wait(killed)
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    (line,) = server.log.entry(killed).more
    assert " was running GET /crash/SIGKILL for " in line


def test_a_child_of_the_application_leaves_no_record(boot):
    server = boot("stacks")
    assert server.request("/crash-in-child").text == "-11"
    assert "native stack" not in server.log.text
    crash(server, "segv")


@pytest.mark.parametrize("first", [True, False])
def test_the_applications_own_faulthandler_keeps_working(boot, first):
    """It may have been enabled before the server's handler was there, or after."""
    server = boot("stacks", env={"PYTHONFAULTHANDLER": "1"} if first else {})
    if not first:
        assert server.request("/enable").text == "enabled"
    server.log.accept_anything()
    record = crash(server, "segv")
    assert "Fatal Python error: Segmentation fault" in server.log.text
    assert " in crashes_here" in "\n".join(record)
    assert "native stack:" in "\n".join(record)
