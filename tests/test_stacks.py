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
