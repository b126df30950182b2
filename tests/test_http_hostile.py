"""Clients that want to be taken for others, to be understood in two ways, or to cost more than they may."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from harness import packet, procs
from harness.http import Connection, request
from harness.packet import Response
from harness.server import TESTS
from harness.wait import until

pytestmark = pytest.mark.core


def ask(address: packet.Address, sent: bytes) -> Response:
    with Connection(address) as connection:
        connection.send(sent)
        return connection.answer()


# ── whom to believe behind a PROXY header ──

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = socket.inet_aton("192.0.2.7") + bytes(4) + struct.pack("!HH", 4711, 80)
OF_NOBODY = {
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n",
    "v1 UNKNOWN with addresses": b"PROXY UNKNOWN 192.0.2.7 192.0.2.1 4711 80\r\n",
    "v2 LOCAL": SIGNATURE + b"\x20\x11\0\x0c" + V4,
    "v2 LOCAL, no addresses": SIGNATURE + b"\x20\x00\0\0",
    "v2 UNSPEC": SIGNATURE + b"\x21\x00\0\0",
    "v2 UDP": SIGNATURE + b"\x21\x12\0\x0c" + V4,
    "v2 unix": SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
}


@pytest.mark.parametrize("header", OF_NOBODY.values(), ids=OF_NOBODY)
def test_who_speaks_through_a_balancer_and_is_not_named_is_not_believed(boot, header):
    server = boot("environ", uwsgi=False, http=True, enable_proxy_protocol=True, forwarded_host=True)
    told = {"X_Forwarded_For": "192.0.2.9", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "shop.example"}
    facts = json.loads(ask(server.http_address, header + request("/", **told)).body)
    # The connection's own address is all that is known.
    assert (facts["REMOTE_ADDR"], facts["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert facts["HTTP_HOST"] == "example.test"


def test_a_proxy_that_is_named_by_a_balancer_is_believed(boot):
    """Balancer, proxy, server: both of the two in front are trusted."""
    server = boot(
        "environ", uwsgi=False, http=True, enable_proxy_protocol=True, forwarded_allow_ips="127.0.0.1,192.0.2.7"
    )
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"
    facts = json.loads(ask(server.http_address, header + request("/", X_Forwarded_For="198.51.100.3")).body)
    assert facts["REMOTE_ADDR"] == "198.51.100.3"


# ── HTTP_PROXY ──


@pytest.mark.parametrize("name", ["Proxy", "proxy", "PROXY"])
@pytest.mark.parametrize("options", [{}, {"http_keep_underscores": True}], ids=str)
def test_a_client_does_not_set_http_proxy(boot, name, options):
    server = boot("environ", http=True, **options)
    sent = request("/", **{name: "http://evil.example/", "Proxy_Connection": "keep-alive"})
    facts = json.loads(ask(server.http_address, sent).body)
    assert "HTTP_PROXY" not in facts
    assert facts["HTTP_PROXY_CONNECTION"] == "keep-alive"
    facts = json.loads(server.request("/", HTTP_PROXY="http://evil.example/").body)
    assert "HTTP_PROXY" not in facts
    assert facts["HTTP_HOST"] == "example.test"


# ── fields that a request has once ──


def singletons() -> Iterator[str]:
    """The names in the server's table."""
    table = TESTS.parent / "src/proto/http/singletons.rs"
    rows = re.findall(r'^    "([a-z-]+)" "(RFC [^"]+)",$', table.read_text(), re.MULTILINE)
    assert len(rows) > 10, "the table has another form now"
    return (name for name, _ in rows)


VALUES = {
    "host": ("example.test", "other.test"),
    "content-length": ("3", "3"),
    "expect": ("100-continue", "100-continue"),
}


@pytest.mark.parametrize("same", [True, False], ids=["the same twice", "two values"])
def test_a_repeated_singleton_is_refused(boot, same):
    server = boot("environ", uwsgi=False, http=True)
    names = list(singletons())
    for name in names:
        first, second = VALUES.get(name, ("one", "two"))
        lines = [f"{name}: {first}", "X-Between: 1", f"{name.title()}: {first if same else second}"]
        if name != "host":
            lines.append("Host: example.test")
        head = "\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode()
        answer = ask(server.http_address, head + b"abc")
        assert (answer.status, answer.header("Connection")) == (400, "close"), name
    # A line in the log for each, with the rule.
    server.log.wait(r"refused a request with 400: more than one [a-z-]+ \(RFC \d+ §[\d.]+\)", count=len(names))


@pytest.mark.parametrize(
    ("name", "values", "joined"),
    [
        ("Cookie", ["a=1", "b=2"], "a=1; b=2"),
        ("Accept", ["text/html", "*/*"], "text/html, */*"),
        ("Expect", ["100-continue", "100-continue"], "100-continue, 100-continue"),
        ("X-Forwarded-For", ["192.0.2.1", "192.0.2.2"], "192.0.2.1, 192.0.2.2"),
        ("X-Real-IP", ["192.0.2.1", "192.0.2.2"], "192.0.2.1, 192.0.2.2"),
    ],
)
def test_a_repeated_list_is_joined(boot, name, values, joined):
    server = boot("environ", uwsgi=False, http=True)
    lines = [f"{name}: {value}" for value in values]
    head = "\r\n".join(["GET / HTTP/1.1", "Host: example.test", *lines, "", ""]).encode()
    facts = json.loads(ask(server.http_address, head).body)
    assert facts["HTTP_" + name.upper().replace("-", "_")] == joined


# ── heads that do not end ──


def half_a_head(size: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: example.test\r\nX-Long: ".ljust(size, b"x")


def test_heads_that_do_not_end_are_bounded_together(boot):
    """The one that waits for the longest time goes first; who goes on sending stays, and so do all others."""
    bound, size, count = 2 << 20, 60_000, 100
    server = boot("hello", uwsgi=False, http=True, http_request_memory=bound, http_headers_timeout=300)
    before = procs.memory(server.workers()[0].pid)
    with ExitStack() as stack:
        idle = stack.enter_context(Connection(server.http_address))
        idle.send(request())
        assert idle.answer().status == 200
        steady = stack.enter_context(Connection(server.http_address))
        steady.send(half_a_head(1000))
        held = []
        for _ in range(count):
            steady.send(b"x")
            held.append(stack.enter_context(Connection(server.http_address)))
            held[-1].send(half_a_head(size))
        told = server.log.wait(
            r"worker 1: gave up (\d+) requests? \(408\): what has come of requests that have not ended took more than "
            rf"http-request-memory = {bound} bytes together; those that had waited longest went first \(said once"
        )
        assert int(told[1]) > 0
        kept = bound // size
        # The first are gone, with an answer.
        for connection in held[: count - kept - 1]:
            answer = connection.answer()
            assert (answer.status, answer.header("Connection")) == (408, "close")
        # Those that came last, and those that did something, are served.
        for connection in [held[-1], steady]:
            connection.send(b"\r\n\r\n")
            assert connection.answer().status == 200
        idle.send(request())
        assert idle.answer().status == 200
        assert procs.memory(server.workers()[0].pid) - before < 2 * bound
    until(lambda: server.workers()[0].refused >= count - kept - 1, "the refused to be counted")


def test_whole_heads_whose_bodies_do_not_come_are_bounded_too(boot):
    server = boot("inputs:digest", uwsgi=False, http=True, http_request_memory="1m", http_timeout=300)
    head = half_a_head(60_000) + b"\r\nContent-Length: 5\r\n\r\n"
    with ExitStack() as stack:
        held = []
        for _ in range(40):
            held.append(stack.enter_context(Connection(server.http_address)))
            held[-1].send(head + b"abc")
        server.log.wait(r"gave up \d+ requests? \(408\): what has come of requests that have not ended took more than")
        assert held[0].answer().status == 408
        held[-1].send(b"de")
        assert held[-1].answer().body.startswith(b"5 ")


def test_bodies_go_to_files_before_anybody_is_given_up(boot):
    server = boot("inputs:digest", uwsgi=False, http=True, http_request_memory="1m", http_timeout=300)
    worker = server.workers()[0].pid
    rest = len(procs.descriptors(worker))
    body = b"x" * 60_000
    with ExitStack() as stack:
        held = []
        for _ in range(40):
            held.append(stack.enter_context(Connection(server.http_address)))
            held[-1].send(request("/", "POST", Content_Length=str(len(body))) + body[:30_000])
        until(lambda: len(procs.descriptors(worker)) > rest + 60, "most of the bodies to be in files")
        for connection in held:
            connection.send(body[30_000:])
            assert connection.answer().body.startswith(b"60000 ")
    assert server.workers()[0].refused == 0


def test_packets_that_do_not_end_are_bounded_too(boot):
    server = boot("hello", http_request_memory="1m", socket_timeout=300)
    sent = packet.packet(packet.variables("/", HTTP_X_LONG="x" * 60_000))
    with ExitStack() as stack:
        held = [stack.enter_context(packet.connect(server.address)) for _ in range(40)]
        for client in held:
            client.sendall(sent[:-100])
        server.log.wait(r"gave up \d+ requests? \(408\): what has come of requests that have not ended took more than")
        assert packet.read_all(held[0]) == b""
        held[-1].sendall(sent[-100:])
        assert packet.read_all(held[-1]).endswith(b"hello")


def test_small_heads_cost_little(boot):
    """A buffer is as long as what has come."""
    server = boot("hello", uwsgi=False, http=True)
    worker = server.workers()[0].pid
    with ExitStack() as stack:
        held = [stack.enter_context(Connection(server.http_address)) for _ in range(500)]
        before = procs.memory(worker)
        for connection in held:
            connection.send(half_a_head(5000))
        # All of them have been read when the last one's answer is here.
        held[-1].send(b"\r\n\r\n")
        assert held[-1].answer().status == 200
        grown = procs.memory(worker) - before
        assert grown < 500 * 7000, f"{grown / 500:.0f} bytes each"


# ── bodies in files ──


def test_a_body_for_a_file_has_a_bound(boot):
    server = boot("inputs:digest", http=True, post_buffering_limit=200_000, post_buffering=10_000)
    fits, beyond = b"x" * 200_000, b"x" * 200_001
    digest = f"{len(fits)} {sum(fits) % 65521}".encode()
    assert ask(server.http_address, request("/?4096", "POST", fits)).body == digest
    assert server.request("/?4096", "POST", fits).body == digest
    # At once: not a byte of the body is here.
    answer = ask(server.http_address, request("/", "POST", Content_Length=str(len(beyond))))
    assert (answer.status, answer.header("Connection")) == (413, "close")
    server.log.wait(
        "refused a request with 413: a body of 200001 bytes is more than post-buffering-limit = 200000 allows"
    )
    with packet.connect(server.address) as client:
        client.sendall(packet.packet(packet.variables("/", "POST", CONTENT_LENGTH=str(len(beyond)))))
        assert Response.parse(packet.read_all(client)).status == 413
    # In chunks nobody knows before.
    for body, status in [(fits, 200), (beyond, 413)]:
        sent = request("/?4096", "POST", Transfer_Encoding="chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        assert ask(server.http_address, sent).status == status
        sent = packet.packet(packet.variables("/?4096", "POST", HTTP_TRANSFER_ENCODING="chunked"))
        with packet.connect(server.address) as client:
            client.sendall(sent)
            with suppress(OSError):
                client.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            assert Response.parse(packet.read_all(client)).status == status
    server.log.wait("the body is longer than post-buffering-limit allows", count=2)


def test_the_bound_is_not_for_bodies_that_are_streamed(boot):
    server = boot("inputs:digest", http=True, http_stream_body=True, post_buffering_limit=1000)
    body = b"x" * 100_000
    assert ask(server.http_address, request("/?4096", "POST", body)).status == 200
    assert server.request("/?4096", "POST", body).status == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.root
def test_a_full_disk_is_507(boot, small_disk):
    server = boot("inputs:digest", http=True, post_buffering=10_000, env={"TMPDIR": str(small_disk)})
    body = b"x" * (2 << 20)
    why = rf"the body's temporary file in {small_disk} \(TMPDIR\) cannot be used: No space left on device"
    answer = ask(server.http_address, request("/", "POST", body))
    assert (answer.status, answer.header("Connection")) == (507, "close")
    server.log.wait("refused a request with 507: " + why)
    assert server.request("/", "POST", body).status == 507
    server.log.wait(f"{why}; answered 507")
    # What was written is gone with them.
    assert ask(server.http_address, request("/", "POST", body[: 900 << 10])).status == 200


def limited(files: int) -> list[str]:
    """The server with so many open files, and no right to more."""
    return ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", "rwsgi"]


def test_uploads_in_files_count_twice(boot):
    """32 descriptors for connections: with 16 uploads in files the table is full, and is never fuller."""
    server = boot("inputs:digest", uwsgi=False, http=True, post_buffering=1000, command=limited(160), http_timeout=300)
    server.log.expect("workers take only 32")
    worker = server.workers()[0].pid
    begin = request("/", "POST", Content_Length="10000") + b"x" * 5000
    rest = len(procs.descriptors(worker))
    with ExitStack() as stack:
        uploads = []
        for _ in range(16):
            uploads.append(stack.enter_context(Connection(server.http_address)))
            uploads[-1].send(begin)
        until(lambda: len(procs.descriptors(worker)) == rest + 32, "16 uploads in files")
        late = stack.enter_context(Connection(server.http_address))
        late.send(request("/", "POST", b"late"))
        late.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.socket.recv(1)
        assert len(procs.descriptors(worker)) <= rest + 32
        for upload in uploads[:8]:
            upload.send(b"x" * 5000)
            assert upload.answer().body.startswith(b"10000 ")
            upload.close()
        late.socket.settimeout(10)
        assert late.answer().status == 200


def test_uploads_leave_the_application_its_descriptors(boot):
    """Connections fill the table, and then each wants a file."""
    server = boot("inputs:digest", uwsgi=False, http=True, post_buffering=1000, command=limited(160), http_timeout=300)
    server.log.expect("workers take only 32", r"refused a request with 503: .* cannot be used: Too many open files")
    worker = server.workers()[0].pid
    rest = len(procs.descriptors(worker))
    with ExitStack() as stack:
        held = [stack.enter_context(Connection(server.http_address)) for _ in range(31)]
        for connection in held:
            connection.send(request())
            assert connection.answer().status == 200
        for connection in held:
            connection.send(request("/", "POST", Content_Length="10000") + b"x" * 5000)
        until(lambda: server.workers()[0].refused > 0, "uploads to be refused")
        assert len(procs.descriptors(worker)) <= rest + 34
        statuses = []
        for connection in held:
            with suppress(OSError):
                connection.send(b"x" * 5000)
            statuses.append(connection.answer().status)
    assert set(statuses) == {200, 503}, statuses


# ── heads of answers ──


def test_an_applications_transfer_encoding_is_left_out(boot):
    server = boot("heads:hop_by_hop", uwsgi=False, http=True)
    with Connection(server.http_address) as connection:
        for _ in range(3):
            connection.send(request("/hop"))
            answer = connection.answer()
            assert (answer.status, answer.body) == (200, b"one two")
            assert answer.all("Transfer-Encoding") == ["chunked"]
            for name in ["Connection", "Keep-Alive", "TE", "Trailer"]:
                assert answer.all(name) == [], name
            # What a client or a proxy may have to know.
            assert (answer.header("Upgrade"), answer.header("Proxy-Authenticate")) == ("TLS/1.3", "Basic")
        connection.send(request("/", version="1.0"))
        assert connection.answer().all("Transfer-Encoding") == []
    server.log.wait(
        r"worker 1 core 0: GET /hop: the application set Transfer-Encoding, which is the server's to set \(PEP 3333\); "
        r"it was left out \(said once a minute\)"
    )
    assert sum("Transfer-Encoding" in line for line in server.log.lines) == 1


def test_long_heads_of_answers(boot):
    server = boot("heads:long", http=True)
    for answer in [ask(server.http_address, request("/?62")), server.request("/?62")]:
        assert (answer.status, answer.body, len(answer.all("X-Long"))) == (200, b"whole", 62)
    server.log.expect(
        r"ValueError in worker 1 core 0: GET /\?70; answered 500",
        "ValueError: the headers are longer than response-headers-limit = 65536 bytes together: X-Long",
    )
    for answer in [ask(server.http_address, request("/?70")), server.request("/?70")]:
        assert answer.status == 500


def test_the_limit_of_answers_heads_is_an_option(boot):
    server = boot("heads:long", http=True, response_headers_limit="1m")
    for answer in [ask(server.http_address, request("/?1000")), server.request("/?1000")]:
        assert (answer.status, answer.body, len(answer.all("X-Long"))) == (200, b"whole", 1000)
