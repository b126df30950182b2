"""Where requests hang: the stack of a slow one in the log, the stacks of all threads, the record of a crash."""

from __future__ import annotations

import pytest

from harness import packet
from harness.packet import Response

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
        assert "fault 0x0" in text and "string_at" in native or "libffi" in native or "ctypes" in native, text
    # The server is well, and the next crash leaves a record of its own.
    assert server.request("/sleep/0").status == 200
    if how == "segv":
        crash(server, "abort")
        server.log.wait(KILLED.replace(r"(SIG\w+)", "SIGABRT"))


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
    server.log.expect("Fatal Python error: Segmentation fault", "^Current thread 0x")
    if not first:
        assert server.request("/enable").text == "enabled"
    record = crash(server, "segv")
    assert "Fatal Python error: Segmentation fault" in server.log.text
    assert " in crashes_here" in "\n".join(record)
    assert "native stack:" in "\n".join(record)
