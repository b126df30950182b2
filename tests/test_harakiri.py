"""Requests that run longer than harakiri allows: an answer for the client, the stacks for the log, a new worker."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import ExitStack
from select import select

import pytest

from harness import packet
from harness.http import Connection, request
from harness.packet import Response
from harness.wait import steady

TITLE = (
    r"\*\*\* HARAKIRI ON WORKER 1 \(pid: (\d+), core: (\d)\): GET /late\?(\w+)=60 has run for (\d\.\d) s, "
    r"harakiri = 1 s; (.*) \*\*\*"
)


def expect_kill(server) -> None:
    server.log.wait(r"worker 1 \(pid \d+\) was killed by harakiri; replacing it")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("how", ["sleep", "spin"])
def test_a_late_request_is_504_and_its_stack_is_logged(boot, how, threads):
    server = boot("late", harakiri=1, threads=threads)
    (old,) = server.worker_pids()
    response = server.request(f"/late?{how}=60")
    assert response.status_line == "HTTP/1.1 504 Gateway Timeout"
    assert response.header("Connection") == "close"
    title = server.log.wait(TITLE)
    assert (title[1], title[3], title[5]) == (str(old), how, "the worker is killed")
    assert 1.0 <= float(title[4]) <= 1.5
    expect_kill(server)
    stacks = server.log.entry(r"HARAKIRI ON WORKER 1").text
    assert stacks.count("hread 0x") == threads
    assert f"[core {title[2]}: GET /late?{how}=60]" in stacks
    assert stacks.count(": idle]") == threads - 1
    line = line_of(how)
    # Older Pythons tell the line of a loop's body, too.
    assert re.search(rf'/late\.py", line ({line}|{line + 1}) in ', stacks)
    assert server.request("/").text != str(old)
    assert server.worker_pids() != [old]


def line_of(how: str) -> int:
    """Where in tests/apps/late.py a request hangs."""
    from harness.server import APPS

    wanted = {"sleep": "time.sleep, ", "spin": "while time.monotonic() < end:"}[how]
    lines = (APPS / "late.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if wanted in line)


def test_the_request_log_has_the_killed_request(boot):
    server = boot("late", harakiri=1)
    server.log.expect(TITLE)
    server.request("/late?sleep=60")
    expect_kill(server)
    # The dump is its record; what was served before is not lost.
    assert server.request("/").status == 200


def test_neighbours_in_other_processes_are_not_disturbed(boot):
    server = boot("late", harakiri=1, processes=2)
    with server.connect() as late:
        late.sendall(packet.packet(packet.variables("/late?sleep=60")))
        served = 0
        while not select([late], [], [], 0)[0]:
            assert server.request("/").status == 200
            served += 1
        assert Response.parse(packet.read_all(late)).status == 504
    assert served > 10
    server.log.wait(r"HARAKIRI ON WORKER \d .*GET /late\?sleep=60")
    server.log.wait(r"worker \d \(pid \d+\) was killed by harakiri; replacing it")
    server.log.wait(r"worker \d \(pid \d+\) is ready")


def test_a_neighbour_in_the_same_process_gets_503(boot):
    """It dies with the process, but not without an answer."""
    server = boot("late", harakiri=2, threads=2)
    with server.connect() as late:
        late.sendall(packet.packet(packet.variables("/late?sleep=60")))
        # The neighbour begins more than a second later: its own time is not up.
        assert server.request("/?sleep=1.2").status == 200
        with server.connect() as neighbour:
            neighbour.sendall(packet.packet(packet.variables("/neighbour?sleep=50")))
            assert Response.parse(packet.read_all(neighbour)).status == 503
        assert Response.parse(packet.read_all(late)).status == 504
    server.log.expect(TITLE.replace("= 1 s", "= 2 s"))
    expect_kill(server)
    assert "GET /neighbour?sleep=50]" in server.log.entry("HARAKIRI").text


def kept(stack: ExitStack, server, count: int) -> dict[Connection, str]:
    """Connections that have been served once, each with the pid of its worker."""
    made = [stack.enter_context(Connection(server.http_address)) for _ in range(count)]
    for connection in made:
        connection.send(request("/"))
    return {connection: connection.answer().text.split()[-1] for connection in made}


def test_who_waits_for_the_only_worker_gets_503(boot):
    server = boot("late", uwsgi=False, http=True, harakiri=1)
    with ExitStack() as stack:
        late, waits = kept(stack, server, 2)
        late.send(request("/late?sleep=60"))
        waits.send(request("/"))
        assert (late.answer().status, waits.answer().status) == (504, 503)
    server.log.expect(TITLE)
    expect_kill(server)


def test_who_waits_behind_a_late_request_is_served_by_another_worker(boot):
    server = boot("slow:waits", uwsgi=False, http=True, processes=2, harakiri=3, http_stream_body=True)
    server.log.accept_anything()
    with ExitStack() as stack:
        places = kept(stack, server, 5)
        [(killed, _)] = Counter(places.values()).most_common(1)
        late, busy, waits = [connection for connection, pid in places.items() if pid == killed][:3]
        late.send(request("/late", "POST", Content_Length="1"))
        server.log.wait("^waiting /late$")
        # The other one is not late when this one is.
        list(steady(1, 1.5))
        busy.send(request("/busy", "POST", Content_Length="1"))
        server.log.wait("^waiting /busy$")
        waits.send(request("/"))
        assert late.answer().status == 504
        busy.send(b".")
        assert busy.answer().status == 200
        answer = waits.answer()
        assert answer.status == 200 and answer.text.split()[-1] != killed


def test_an_answer_that_has_begun_is_cut_off(boot):
    server = boot("late:begun", harakiri=1)
    response = server.request("/late")
    assert (response.status, response.body) == (200, b"begun")
    server.log.expect(r"HARAKIRI ON WORKER 1 .*GET /late has run")
    expect_kill(server)


def test_the_time_starts_anew_with_each_request(boot):
    server = boot("late", harakiri=1)
    for _ in range(3):
        assert server.request("/?sleep=0.5").status == 200
    assert server.workers()[0].requests == 3


def test_a_body_that_is_waited_for_counts(boot):
    """Harakiri is about the request, whoever makes it slow; socket-timeout is longer here."""
    server = boot("slow:waits", harakiri=1, socket_timeout=30)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/stuck", "POST", b"never")))
        assert Response.parse(packet.read_all(client)).status == 504
    server.log.wait("^waiting /stuck$")
    server.log.wait(r"HARAKIRI ON WORKER 1 .*POST /stuck")
    expect_kill(server)


# ── the gentle step ──

RAISING = "raising HarakiriTimeout in it"


# A sleep of another thread than the main one is not ended by an exception: Python sees it when the thread wakes.
@pytest.mark.parametrize(("how", "threads"), [("sleep", 1), ("spin", 1), ("spin", 3)])
def test_the_exception_ends_the_request_and_nothing_else(boot, how, threads):
    server = boot("late", harakiri=1, harakiri_graceful_timeout=20, threads=threads)
    old = server.worker_pids()
    response = server.request(f"/late?{how}=60")
    assert response.status_line == "HTTP/1.1 500 Internal Server Error"
    assert server.log.wait(TITLE)[5] == RAISING
    server.log.wait("^HarakiriTimeout is a TimeoutError$")
    server.log.wait(rf"HarakiriTimeout in worker 1 core \d: GET /late\?{how}=60; answered 500")
    assert server.worker_pids() == old
    assert server.request("/").text == str(old[0])


def test_the_exception_reaches_every_thread(boot):
    """Two late requests, one of them in the main thread."""
    server = boot("late", harakiri=1, harakiri_graceful_timeout=20, threads=2)
    old = server.worker_pids()
    with server.connect() as one, server.connect() as other:
        for number, client in enumerate((one, other)):
            client.sendall(packet.packet(packet.variables(f"/{number}?spin=60")))
        for client in (one, other):
            assert Response.parse(packet.read_all(client)).status == 500
    for core in (0, 1):
        server.log.wait(rf"HarakiriTimeout in worker 1 core {core}: GET /\d\?spin=60; answered 500")
    server.log.wait(f"HARAKIRI ON WORKER 1 .*{RAISING}")
    server.log.wait("^HarakiriTimeout is a TimeoutError$", count=2)
    assert server.worker_pids() == old


def test_the_application_may_catch_the_exception(boot):
    server = boot("late", harakiri=1, harakiri_graceful_timeout=20)
    response = server.request("/caught?sleep=60")
    assert (response.status_line, response.body) == ("HTTP/1.1 503 Too late", b"gave up")
    server.log.wait(rf"HARAKIRI ON WORKER 1 .*GET /caught.*{RAISING}")
    server.log.wait("^HarakiriTimeout is a TimeoutError$")
    assert server.request("/").status == 200


@pytest.mark.parametrize("threads", [1, 2])
def test_who_goes_on_is_killed(boot, threads):
    server = boot("late", harakiri=1, harakiri_graceful_timeout=1, threads=threads)
    assert server.request("/late?stubborn=60").status == 504
    server.log.wait("^shrugs off HarakiriTimeout$")
    server.log.wait(rf"GET /late\?stubborn=60 has run for \d\.\d s, harakiri = 1 s; {RAISING}")
    server.log.wait(r"GET /late\?stubborn=60 has run for \d\.\d s, harakiri = 1 s; the worker is killed")
    expect_kill(server)
    assert server.log.lines.count("shrugs off HarakiriTimeout") == 1


def test_the_exception_does_not_reach_the_next_request(boot):
    """Ends just when its time is up: the exception must not come late."""
    server = boot("late", harakiri=1, harakiri_graceful_timeout=20, threads=2)
    server.log.accept_anything()
    for _ in range(4):
        assert server.request("/?sleep=0.98").status in (200, 500)
        for _ in range(5):
            assert server.request("/").status == 200
