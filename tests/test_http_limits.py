"""What a client of an HTTP socket may cost, and whom the server believes."""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from contextlib import ExitStack

import pytest

from harness import packet, procs
from harness.http import Connection, request
from harness.load import answer_times, are_held_up
from harness.ports import free_port
from harness.wait import until

pytestmark = pytest.mark.core

# ── time ──


def test_a_head_that_does_not_come_in_time_is_408(boot):
    server = boot("hello", uwsgi=False, http=True, http_headers_timeout=1)
    with Connection(server.http_address) as slow, Connection(server.http_address) as silent:
        slow.send(b"GET / HT")
        answer = slow.answer()
        assert (answer.status, answer.header("Connection")) == (408, "close")
        assert slow.is_closed()
        # Nobody waits for an answer to nothing.
        assert silent.is_closed()
    server.log.wait("refused a request with 408: only 8 bytes of its head came within http-headers-timeout = 1 s")


def test_a_body_that_stalls_is_408(boot):
    server = boot("hello", uwsgi=False, http=True, http_timeout=1)
    with Connection(server.http_address) as slow:
        slow.send(request("/", "POST", b"", Content_Length="5") + b"abc")
        assert slow.answer().status == 408
    server.log.wait("408: its client sent nothing for http-timeout = 1 s of its body")


def test_an_idle_connection_is_closed(boot):
    server = boot("hello", uwsgi=False, http=True, http_keepalive=2)
    with Connection(server.http_address) as idle:
        idle.send(request())
        assert idle.answer().header("Connection") is None
        began = time.monotonic()
        assert idle.is_closed()
        assert time.monotonic() - began > 1


@pytest.mark.parametrize("options", [{"http_keepalive": 0}, {"http_keepalive": "false"}], ids=str)
def test_without_keepalive_every_answer_says_close(boot, options):
    server = boot("hello", uwsgi=False, http=True, **options)
    with Connection(server.http_address) as connection:
        connection.send(request())
        assert connection.answer().header("Connection") == "close"
        assert connection.is_closed()


# ── number and size ──


def test_the_last_request_of_a_connection_says_so(boot):
    server = boot("hello", uwsgi=False, http=True, http_keepalive_requests=3)
    with Connection(server.http_address) as connection:
        connection.send(request() * 4)
        assert [connection.answer().header("Connection") for _ in range(3)] == [None, None, "close"]
        assert connection.is_closed()


@pytest.mark.parametrize(
    ("options", "sent", "status"),
    [
        ({"http_request_line": 100}, b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        ({"http_headers": 5}, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5 + b"\r\n", 431),
        ({"limit_post": 10}, request("/", "POST", b"x" * 11), 413),
        (
            {"limit_post": 10},
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n",
            413,
        ),
        ({"limit_post": 10}, request("/", "POST", b"", Content_Length="11", Expect="100-continue"), 413),
    ],
    ids=["414", "431", "413", "413 chunked", "413 before the body"],
)
def test_sizes(boot, options, sent, status):
    server = boot("hello", uwsgi=False, http=True, **options)
    with Connection(server.http_address) as connection:
        connection.send(sent)
        answer = connection.answer()
        assert (answer.status, answer.header("Connection")) == (status, "close")
        assert connection.is_closed()
    server.log.wait(f"refused a request with {status}: ")


def test_connections_beyond_the_limit_wait(boot):
    server = boot("hello", uwsgi=False, http=True, http_connections=20)
    with ExitStack() as stack:
        held = [stack.enter_context(Connection(server.http_address)) for _ in range(20)]
        # The table is full of connections that have not sent anything yet.
        until(lambda: len(procs.descriptors(server.workers()[0].pid)) >= 30, "all to be accepted")
        late = stack.enter_context(Connection(server.http_address))
        late.send(request())
        late.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.socket.recv(1)
        for connection in held[:10]:
            connection.socket.close()
        late.socket.settimeout(10)
        assert late.answer().status == 200


def test_more_connections_than_files_is_told(boot, start):
    server = boot("hello", uwsgi=False, http=True, http_connections=100_000_000)
    server.log.wait(r"http-connections = 100000000 needs 100000128 open files in each worker")


def limited(files: int) -> list[str]:
    """The server with so many open files, and no right to more."""
    return ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", "rwsgi"]


def test_few_files_are_told_and_are_enough(boot):
    server = boot("hello", uwsgi=False, http=True, command=limited(160))
    told = server.log.wait(
        r"http-connections = 16384 needs 16512 open files .* system allows 160: workers take only (\d+)"
    )
    assert int(told[1]) == 32
    with ExitStack() as stack:
        held = [stack.enter_context(Connection(server.http_address)) for _ in range(200)]
        for connection in held[:20]:
            connection.send(request())
            assert connection.answer().body == b"hello"
        for connection in held:
            connection.close()
        fresh = stack.enter_context(Connection(server.http_address))
        fresh.send(request())
        assert fresh.answer().body == b"hello"


def test_a_socket_of_front_ends_needs_no_files_for_connections(boot):
    server = boot("hello", command=limited(160))
    assert server.request().body == b"hello"


# ── temporary files ──


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("kind", ["missing", "full"])
def test_a_body_that_cannot_be_kept_is_refused_and_says_why(boot, tmp_path, kind, chunked):
    place, why, command, status = tmp_path / "missing", "No such file or directory", None, 500
    if kind == "full":
        # A limit on the size of files is met as a full disk is: in the middle of a write.
        place, why, status = tmp_path, "File too large", 507
        command = ["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", sys.executable, "-m", "rwsgi"]
    server = boot("inputs:digest", uwsgi=False, http=True, env={"TMPDIR": str(place)}, command=command)
    body = b"x" * 1_000_000
    with Connection(server.http_address) as connection:
        if chunked:
            sent = request(method="POST", Transfer_Encoding="chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            sent = request(method="POST", body=body)
        connection.send(sent)
        answer = connection.answer()
        assert (answer.status, answer.header("Connection")) == (status, "close")
    server.log.wait(
        rf"refused a request with {status}: the body's temporary file in {place} \(TMPDIR\) cannot be used: {why}"
    )
    with Connection(server.http_address) as connection:
        connection.send(request(method="POST", body=b"abc"))
        assert connection.answer().status == 200


# ── slow clients ──


def test_a_slow_upload_holds_no_thread(boot):
    server = boot("inputs:digest", uwsgi=False, http=True)
    body = b"x" * 200_000
    with Connection(server.http_address) as slow, Connection(server.http_address) as other:
        slow.send(request("/?65536", "POST", b"", Content_Length=str(len(body))) + body[:1000])
        for at in range(1000, len(body), 19_900):
            other.send(request("/", "POST", b"quick"))
            assert other.answer().status == 200
            slow.send(body[at : at + 19_900])
        assert slow.answer().body == f"{len(body)} {sum(body) % 65521}".encode()


def test_a_slow_reader_of_a_large_answer_holds_no_thread(boot):
    """Half a MiB behind the kernel's buffers waits in the table, with one thread and keep-alive; then comes whole."""
    server = boot("bodies:large", uwsgi=False, http=True)
    with socket.socket() as narrow, Connection(server.http_address) as other:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        narrow.connect(server.http_address)
        slow = Connection.__new__(Connection)
        slow.socket, slow._held = narrow, b""
        for _ in range(2):
            slow.send(request("/?1"))
            for _ in range(5):
                other.send(request("/?0"))
                assert other.answer().status == 200
            narrow.settimeout(10)
            assert len(slow.answer().body) == 1 << 20


def test_a_reader_that_stalls_is_cut_off(boot):
    server = boot("bodies:large", uwsgi=False, http=True, http_timeout=1)
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(server.http_address)
        lazy.sendall(request("/?4"))
        server.log.wait("a client read nothing for .* its answer was cut off|the client read nothing for 1 s")
    until(lambda: server.workers()[0].gone == 1, "the client to be counted")


def test_many_slow_clients_do_not_hold_up_others(boot):
    server = boot("hello", uwsgi=False, http=True)
    with ExitStack() as stack:
        slow = [stack.enter_context(Connection(server.http_address)) for _ in range(300)]
        head = request()
        before = procs.memory(server.workers()[0].pid)
        normal = stack.enter_context(Connection(server.http_address))
        alone, times = answer_times(normal, 100), []
        for byte in head[:20]:
            for connection in slow:
                connection.send(bytes([byte]))
            times += answer_times(normal, 20)
        assert not are_held_up(times, alone)
        assert procs.memory(server.workers()[0].pid) - before < 300 * 64 * 1024
        for connection in slow:
            connection.send(head[20:])
        assert all(connection.answer().status == 200 for connection in slow)


# ── whom to believe ──


def seen(connection: Connection, **headers: str) -> dict:
    connection.send(request("/", **headers))
    return json.loads(connection.answer().body)


FORWARDED = {"X_Forwarded_For": "6.6.6.6, 192.0.2.7", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "shop.example"}


def test_a_trusted_proxy_is_believed(boot):
    server = boot("environ", uwsgi=False, http=True)
    with Connection(server.http_address) as connection:
        facts = seen(connection, **FORWARDED)
        assert (facts["REMOTE_ADDR"], facts["wsgi.url_scheme"]) == ("192.0.2.7", "https")
        assert facts["HTTP_HOST"] != "shop.example"
        facts = seen(connection, Forwarded='for="[2001:db8::7]:4711";proto=https;host=a.example')
        assert (facts["REMOTE_ADDR"], facts["REMOTE_PORT"]) == ("2001:db8::7", "4711")
        assert facts["wsgi.url_scheme"] == "https"
        # What the client sent as Forwarded, most proxies pass on.
        facts = seen(connection, Forwarded="for=6.6.6.6;proto=http", **FORWARDED)
        assert (facts["REMOTE_ADDR"], facts["wsgi.url_scheme"]) == ("192.0.2.7", "https")
        # The next request on the same connection is nobody's but the peer's.
        facts = seen(connection)
        assert (facts["REMOTE_ADDR"], facts["wsgi.url_scheme"]) == ("127.0.0.1", "http")


def test_the_host_is_believed_when_asked_for(boot):
    server = boot("environ", uwsgi=False, http=True, forwarded_host=True)
    with Connection(server.http_address) as connection:
        assert seen(connection, **FORWARDED)["HTTP_HOST"] == "shop.example"


def test_others_are_not_believed(boot):
    server = boot("environ", uwsgi=False, http=True, forwarded_allow_ips="10.0.0.0/8", forwarded_host=True)
    with Connection(server.http_address) as connection:
        facts = seen(connection, **FORWARDED)
        assert (facts["REMOTE_ADDR"], facts["wsgi.url_scheme"]) == ("127.0.0.1", "http")
        assert facts["HTTP_HOST"] != "shop.example"


V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("192.0.2.7") + bytes(4) + struct.pack("!HH", 4711, 80)


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n", V2], ids=["v1", "v2"])
@pytest.mark.parametrize("pieces", [1, 0], ids=["by bytes", "whole"])
def test_the_proxy_protocol(boot, header, pieces):
    server = boot("environ", uwsgi=False, http=True, enable_proxy_protocol=True)
    with Connection(server.http_address) as connection:
        for at in range(0, len(header), pieces or len(header)):
            connection.send(header[at : at + (pieces or len(header))])
        for _ in range(2):
            # Whoever the balancer speaks for is not the balancer: its headers have no power.
            facts = seen(connection, **FORWARDED)
            assert (facts["REMOTE_ADDR"], facts["REMOTE_PORT"]) == ("192.0.2.7", "4711")
            assert facts["wsgi.url_scheme"] == "http"


def test_a_connection_without_a_proxy_header_is_refused_where_one_is_due(boot):
    server = boot("environ", uwsgi=False, http=True, enable_proxy_protocol=True)
    server.log.expect("refused a request with 400: the connection does not begin with a PROXY header")
    with Connection(server.http_address) as connection:
        connection.send(request())
        assert connection.answer().status == 400


def test_a_proxy_header_of_a_stranger_is_no_request(boot):
    server = boot("environ", uwsgi=False, http=True, enable_proxy_protocol=True, forwarded_allow_ips="10.0.0.1")
    server.log.expect("refused a request with 400")
    with Connection(server.http_address) as connection:
        connection.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n" + request())
        assert connection.answer().status == 400
    with Connection(server.http_address) as connection:
        assert seen(connection)["REMOTE_ADDR"] == "127.0.0.1"


# ── names ──


def test_http11_socket_is_http_socket(boot):
    port = free_port()
    boot("hello", uwsgi=False, http11_socket=f"127.0.0.1:{port}")
    assert packet.exchange(("127.0.0.1", port), request(Connection="close")).endswith(b"hello")


def test_the_server_header_is_an_option(boot):
    for options, expected in [({}, None), ({"http_server_header": "shop"}, "shop")]:
        server = boot("hello", uwsgi=False, http=True, **options)
        with Connection(server.http_address) as connection:
            connection.send(request())
            assert connection.answer().header("Server") == expected
