"""Whether a connection goes on behind an answer: the client is told before."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from signal import Signals

import pytest

from harness.http import Connection, request
from harness.wait import until


def boot_http(boot, app: str, **options):
    return boot(app, uwsgi=False, http=True, **options)


def stops_in_a_request(server) -> None:
    """Stops the server while a request runs, and looks at its answer."""
    with Connection(server.http_address) as busy, Connection(server.http_address) as idle:
        idle.send(request(method="POST", body=b"x"))
        assert idle.answer().header("Connection") is None
        busy.send(request("/busy", "POST", Content_Length="1"))
        server.log.wait("waiting /busy")
        server.signal(Signals.SIGTERM)
        # The worker knows, then.
        assert idle.is_closed()
        busy.send(b"x")
        answer = busy.answer()
        assert (answer.status, answer.header("Connection")) == (200, "close")
        assert busy.is_closed()


def test_a_request_that_runs_when_the_server_stops_is_told(boot):
    server = boot_http(boot, "slow:waits", threads=2, http_stream_body=True)
    server.log.expect("waiting")
    stops_in_a_request(server)
    assert server.wait_exit() == 0


def test_a_worker_that_retires_passes_its_connections_on(boot):
    """Nobody has to connect anew: neither between two requests, nor with one running, nor with half of one sent."""
    server = boot_http(boot, "slow:waits", threads=2, http_stream_body=True)
    server.log.expect("waiting")
    with ExitStack() as stack:
        busy, idle, half, new = (stack.enter_context(Connection(server.http_address)) for _ in range(4))
        idle.send(request(method="POST", body=b"x"))
        (old,) = (int(idle.answer().text.split()[1]),)
        whole = request("/half", "POST", b"x")
        half.send(whole[:9])
        busy.send(request("/busy", "POST", Content_Length="1"))
        server.log.wait("waiting /busy")
        server.reload(wait_for_old=False)
        half.send(whole[9:])
        idle.send(request("/idle", "POST", b"x"))
        new.send(request("/new", "POST", b"x"))
        busy.send(b"x")
        for connection in (half, idle, new, busy):
            answer = connection.answer()
            assert (answer.status, answer.header("Connection")) == (200, None)

        def is_elsewhere(connection: Connection) -> bool:
            connection.send(request("/again", "POST", b"x"))
            answer = connection.answer()
            assert (answer.status, answer.header("Connection")) == (200, None)
            return int(answer.text.split()[1]) != old

        for connection in (half, idle, new, busy):
            until(partial(is_elsewhere, connection), "the new worker to answer")


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}], ids=["sends", "asks first"])
def test_a_body_that_nobody_reads_ends_the_connection(boot, expect):
    server = boot_http(boot, "inputs:unread", http_stream_body=True)
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", Content_Length="3", **expect))
        answer = connection.answer()
        assert (answer.status, answer.header("Connection")) == (200, "close")
        assert connection.is_closed()


def test_a_streamed_answer_whose_request_is_not_all_here_says_that_it_is_the_last(boot):
    server = boot_http(boot, "inputs:streams_unread", http_stream_body=True)
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", Content_Length="3"))
        assert connection.answer().header("Connection") == "close"


def test_a_body_that_nobody_reads_is_thrown_away_when_it_is_here(boot):
    server = boot_http(boot, "inputs:unread", http_stream_body=True)
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request("/", "POST", b"abc"))
            assert connection.answer().header("Connection") is None


def test_an_empty_line_behind_a_body_begins_no_request(boot):
    """RFC 9112 §2.2: old clients send one. The connection is idle all the same, and closed when the server stops."""
    server = boot_http(boot, "inputs:digest", http_headers_timeout=60)
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", b"abc") + b"\r\n")
        assert connection.answer().status == 200
        server.signal(Signals.SIGTERM)
        assert server.wait_exit(5) == 0
        assert connection.is_closed()


def test_an_empty_line_behind_a_body_does_not_end_the_connection(boot):
    server = boot_http(boot, "inputs:digest", http_headers_timeout=1, http_keepalive=3)
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", b"abc") + b"\r\n")
        assert connection.answer().status == 200
        # Not with 408, as a request would that does not go on.
        assert connection.is_closed()
    with Connection(server.http_address) as connection:
        for _ in range(3):
            connection.send(request("/", "POST", b"abc") + b"\r\n")
            assert connection.answer().text == f"3 {sum(b'abc')}"


@pytest.mark.parametrize("path", ["/?whole", "/?pieces", "/?length"])
def test_reset_content_has_none(boot, path):
    """RFC 9110 §15.3.6."""
    server = boot_http(boot, "bodies:reset")
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request(path))
            answer = connection.answer()
            assert (answer.status, answer.body) == (205, b"")
            assert answer.header("Content-Length") == "0"
            assert answer.header("Transfer-Encoding") is None


BROKEN = [
    ({"Transfer_Encoding": "chunked"}, b"9\r\nabcdefghi\r\n0\r\n\r\n", 413),
    ({"Transfer_Encoding": "chunked"}, b"5\r\nabcdeX", 400),
    ({"Transfer_Encoding": "chunked"}, b"0\r\nA: " + b"x" * 9000, 431),
    ({"Content_Length": "5"}, b"abc", 408),
]


@pytest.mark.parametrize(("headers", "body", "status"), BROKEN, ids=["too long", "no chunks", "trailers", "stalls"])
def test_a_body_that_breaks_while_the_application_reads_it(boot, headers, body, status):
    """The status is the same as of one that is read ahead, and the application is not to blame."""
    server = boot_http(boot, "slow:waits", http_stream_body=True, http_timeout=1, limit_post=5)
    server.log.expect("waiting")
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", **headers))
        server.log.wait("waiting /")
        connection.send(body)
        answer = connection.answer()
        assert (answer.status, answer.header("Connection")) == (status, "close")
        assert connection.is_closed()
    server.log.wait(f"worker 1 core 0: POST /: .*; answered {status}")
    assert server.workers()[0].exceptions == 0


def test_a_client_that_goes_in_the_middle_of_a_streamed_body_is_counted(boot):
    """And has no line but that of its request."""
    server = boot_http(boot, "slow:waits", http_stream_body=True)
    server.log.expect("waiting")
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", Content_Length="5") + b"abc")
        server.log.wait("waiting /")
    assert server.log.request("POST /")["status"] == "499"
    worker = server.workers()[0]
    assert (worker.gone, worker.exceptions) == (1, 0)
