"""Static files and connections: slow readers, kept connections, the end of workers, nginx in front."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from harness import packet, procs
from harness.http import Connection, request
from harness.tls import Authority
from harness.tls import Connection as Tls
from harness.wait import until

pytestmark = pytest.mark.core

LARGE = 64 << 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    block = bytes(range(256)) * 4096
    with (made / "large").open("wb") as file:
        for _ in range(LARGE // len(block)):
            file.write(block)
    (made / "medium").write_bytes(3 * block)
    (made / "small").write_bytes(b"small")
    return made


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@contextmanager
def narrow(address: packet.Address, sent: bytes) -> Iterator[socket.socket]:
    """A client of few kernel buffers, that has asked and read nothing yet."""
    with socket.socket(socket.AF_INET) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(20)
        client.connect(address)
        client.sendall(sent)
        yield client


def rest_of(client: socket.socket) -> tuple[bytes, str, int]:
    """The head of the answer, and the digest and length of what follows up to the end of the connection."""
    head, got = b"", b""
    while b"\r\n\r\n" not in head:
        head += client.recv(65536)
    head, _, got = head.partition(b"\r\n\r\n")
    hashed, length = hashlib.md5(got), len(got)
    while got := client.recv(1 << 20):
        hashed.update(got)
        length += len(got)
    return head, hashed.hexdigest(), length


def test_a_slow_reader_holds_no_thread(boot, root):
    server = boot("hello", uwsgi=False, http=True, static_map=f"/static={root}")
    with narrow(server.http_address, request("/static/large", Connection="close")) as slow:
        slow.recv(1000)
        with Connection(server.http_address) as other:
            for _ in range(50):
                other.send(request("/app") + request("/static/small"))
                assert (other.answer().body, other.answer().body) == (b"hello", b"small")
        # Not in memory either.
        assert procs.memory(server.workers()[0].pid) < LARGE
        left = 0
        while got := slow.recv(1 << 20):
            left += len(got)
        assert left > LARGE - 1000


@pytest.mark.parametrize("threads", [1, 3])
def test_a_slow_front_end_holds_no_thread(boot, root, threads):
    server = boot("hello", static_map=f"/static={root}", threads=threads)
    sent = packet.packet(packet.variables("/static/large"))
    with (
        narrow(server.address, sent) as one,
        narrow(server.address, sent) as two,
        narrow(server.address, sent) as three,
    ):
        server.log.request("/static/large", 3)
        for _ in range(20):
            assert server.request("/app").body == b"hello"
            assert server.request("/static/small").body == b"small"
        for slow in (one, two, three):
            assert rest_of(slow)[1:] == (digest(root / "large"), LARGE)


def test_a_slow_front_end_whose_packet_came_in_two_parts(boot, root):
    """It has waited in the table before."""
    server = boot("hello", http=True, static_map=f"/static={root}")
    sent = packet.packet(packet.variables("/static/large"))
    with narrow(server.address, sent[:50]) as slow:
        assert server.request("/app").body == b"hello"
        slow.sendall(sent[50:])
        server.log.request("/static/large")
        assert rest_of(slow)[1:] == (digest(root / "large"), LARGE)


def test_a_large_file_comes_whole(boot, root):
    server = boot("hello", http=True, static_map=f"/static={root}")
    for address, sent in [
        (server.http_address, request("/static/large", Connection="close")),
        (server.address, packet.packet(packet.variables("/static/large"))),
    ]:
        with packet.connect(address) as client:
            client.sendall(sent)
            head, hashed, length = rest_of(client)
            assert head.startswith(b"HTTP/1.1 200 OK") and f"Content-Length: {LARGE}".encode() in head
            assert (hashed, length) == (digest(root / "large"), LARGE)


def test_several_large_ranges_to_a_slow_reader(boot, root):
    server = boot("hello", uwsgi=False, http=True, static_map=f"/static={root}")
    ranges = f"bytes=1-{20 << 20},{30 << 20}-"
    with narrow(server.http_address, request("/static/large", Connection="close", Range=ranges)) as slow:
        head, _, length = rest_of(slow)
        assert b"206 Partial Content" in head and f"Content-Length: {length}".encode() in head
        assert length > 54 << 20


def test_pipelined_requests(boot, root):
    server = boot("hello", uwsgi=False, http=True, static_map=f"/static={root}")
    with Connection(server.http_address) as connection:
        paths = ["/static/small", "/app", "/static/medium", "/app", "/static/none", "/static/small"] * 3
        connection.send(b"".join(map(request, paths)))
        bodies = [connection.answer().body for _ in paths]
    wanted = {"/static/small": b"small", "/static/medium": (root / "medium").read_bytes()}
    assert bodies == [wanted.get(path, b"hello") for path in paths]


def test_many_requests_behind_each_other(boot, root):
    """Nothing is kept from one to the next, and none is nested in another."""
    server = boot("hello", uwsgi=False, http=True, static_map=f"/static={root}", disable_logging=True)
    with Connection(server.http_address) as connection:
        for _ in range(50):
            connection.send(request("/static/small") * 100)
            assert all(connection.answer().body == b"small" for _ in range(100))


def test_a_get_with_a_body(boot, root):
    server = boot("hello", http=True, static_map=f"/static={root}")
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request("/static/small", "GET", b"x" * 100_000))
            assert connection.answer().body == b"small"
    assert server.request("/static/small", body=b"x" * 1000).body == b"small"


def test_a_file_that_is_truncated_while_it_is_sent(boot, tmp_path):
    (tmp_path / "file").write_bytes(bytes(32 << 20))
    server = boot("hello", http=True, static_map=f"/static={tmp_path}")
    for address, sent in [
        (server.http_address, request("/static/file")),
        (server.address, packet.packet(packet.variables("/static/file"))),
    ]:
        with narrow(address, sent) as slow:
            slow.recv(1000)
            os.truncate(tmp_path / "file", 1000)
            assert rest_of_any(slow) < 32 << 20
        os.truncate(tmp_path / "file", 32 << 20)
    server.log.wait("a file became shorter while it was sent; its answer was cut off", 2)
    assert server.request("/app").body == b"hello"


def rest_of_any(client: socket.socket) -> int:
    length = 0
    while got := client.recv(1 << 20):
        length += len(got)
    return length


def test_a_reader_that_stalls_is_cut_off(boot, root):
    server = boot("hello", http=True, static_map=f"/static={root}", http_timeout=1)
    with (
        narrow(server.http_address, request("/static/large")),
        narrow(server.address, packet.packet(packet.variables("/static/large"))),
    ):
        server.log.wait("a client read nothing for http-timeout = 1 s; its answer was cut off", 2)
    until(lambda: server.workers()[0].gone == 2, "both to be counted")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ends", ["stop", "reload"])
def test_a_file_is_sent_to_its_end(boot, root, ends, threads):
    server = boot("hello", http=threads == 1, static_map=f"/static={root}", threads=threads)
    sent = [(server.address, packet.packet(packet.variables("/static/large")))]
    if threads == 1:
        sent.append((server.http_address, request("/static/large", Connection="close")))
    for address, data in sent if ends == "reload" else sent[-1:]:
        with narrow(address, data) as slow:
            slow.recv(1)
            if ends == "reload":
                server.reload(wait_for_old=False)
            else:
                server.signal(signal.SIGTERM)
                server.log.wait("SIGTERM: stopping")
            length = rest_of_any(slow)
            assert LARGE <= length < LARGE + 1000
    if ends == "stop":
        assert server.wait_exit() == 0


def test_backlog_of_files_at_a_stop(boot, root):
    """Whoever is in the backlog when the server stops is served, also where the application is not needed for it."""
    server = boot("slow:waits", static_map=f"/static={root}", reload_mercy=10)
    sent = packet.packet(packet.variables("/1", "POST", b"body"))
    with packet.connect(server.address) as busy:
        busy.sendall(sent)
        server.log.wait("waiting /1")
        waiting = [packet.connect(server.address) for _ in range(5)]
        for client in waiting:
            client.sendall(packet.packet(packet.variables("/static/small")))
        server.signal(signal.SIGTERM)
        server.log.wait("SIGTERM: stopping")
        busy.sendall(b"body")
        answers = [packet.read_all(client) for client in waiting]
        for client in waiting:
            client.close()
        assert packet.read_all(busy).partition(b"\r\n\r\n")[2].startswith(b"body")
    assert [answer[-5:] for answer in answers] == [b"small"] * 5
    assert server.wait_exit() == 0


def test_behind_nginx(boot, nginx, root):
    server = boot("hello", static_map=f"/static={root}", processes=2)
    front = nginx(f"127.0.0.1:{server.address[1]}")
    base = f"http://127.0.0.1:{front.ports[0]}"
    with urlopen(f"{base}/static/large", timeout=20) as answer:
        assert hashlib.md5(answer.read()).hexdigest() == digest(root / "large")
        etag = answer.headers["ETag"]
    with urlopen(Request(f"{base}/static/large", headers={"Range": "bytes=5-9"}), timeout=20) as answer:
        assert (answer.status, answer.read()) == (206, bytes(range(5, 10)))
        assert answer.headers["Content-Range"] == f"bytes 5-9/{LARGE}"
    with Connection(("127.0.0.1", front.ports[0])) as connection:
        connection.send(request("/static/large", If_None_Match=etag))
        assert connection.answer().status == 304
        connection.send(request("/static/small", "HEAD"))
        assert connection.answer(head=True).header("Content-Length") == "5"
        connection.send(request("/app"))
        assert connection.answer().body == b"hello"


def test_over_tls(boot, root, tmp_path):
    authority = Authority(tmp_path)
    server = boot("hello", uwsgi=False, https=authority.sign(), static_map=f"/static={root}")
    content = (root / "medium").read_bytes()
    with (
        Tls(server.https_address, authority.context()) as slow,
        Tls(server.https_address, authority.context()) as other,
    ):
        slow.send(request("/static/medium") + request("/static/medium", Range="bytes=5-100000,2000000-"))
        for _ in range(20):
            other.send(request("/app") + request("/static/small"))
            assert (other.answer().body, other.answer().body) == (b"hello", b"small")
        assert slow.answer().body == content
        parts = slow.answer()
        assert parts.status == 206 and content[5:100001] in parts.body and content[2000000:] in parts.body
