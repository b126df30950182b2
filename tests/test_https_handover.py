"""A kept TLS connection does not wait for its worker either: another goes on with its keys."""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from ssl import TLSVersion
from typing import Any

import httpx
import pytest
import requests

from apps.moves import LARGE
from harness.http import Connection as Plain
from harness.http import request
from harness.tls import Authority, Connection, Openssl
from harness.wait import until

pytestmark = pytest.mark.core

VERSIONS = [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]
UPLOAD = bytes(range(253)) * ((1 << 20) // 253)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def ask(connection: Plain, *words: Any, **headers: str) -> dict[str, Any]:
    connection.send(request(*words, **headers))
    answer = connection.answer()
    assert answer.status == 200, answer
    return json.loads(answer.body)


class Two:
    """A server with two workers of one thread, and a connection in each that can keep it busy."""

    def __init__(
        self, boot: Any, authority: Authority, directory: Path, stack: ExitStack, more: str = "", **options: Any
    ):
        https = authority.sign() + more
        options = {"processes": 2, "http_keepalive_requests": 0, **options}
        self.server = boot("moves", uwsgi=False, https=https, **options)
        self.server.log.expect("holding")
        self.authority, self.stack = authority, stack
        self._pipe, self._held = directory / "pipe", 0
        os.mkfifo(self._pipe)
        first, second = self.connect(), self.connect()
        self._holders = {ask(first)["pid"]: first}
        with self.hold(*self._holders):
            self._holders[ask(second)["pid"]] = second
        assert set(self._holders) == set(self.server.worker_pids())

    def connect(self, version: TLSVersion | None = None, **more: Any) -> Connection:
        context = self.authority.context(version, more.pop("own", None))
        if ciphers := more.pop("ciphers", None):
            context.set_ciphers(ciphers)
        return self.stack.enter_context(Connection(self.server.https_address, context, **more))

    @contextmanager
    def hold(self, pid: int) -> Iterator[None]:
        """This worker is busy."""
        holder = self._holders[pid]
        self._held += 1
        holder.send(request(f"/hold?{self._pipe}"))
        self.server.log.find("^holding", self._held)
        yield
        self._pipe.write_text("")
        assert json.loads(holder.answer().body)["pid"] == pid

    def move(self, connection: Plain, *words: Any, **headers: str) -> dict[str, Any]:
        """A request on it that is answered by the other worker, since its own is busy."""
        pid = ask(connection)["pid"]
        with self.hold(pid):
            facts = ask(connection, *words, **headers)
        assert facts["pid"] != pid
        return facts


@pytest.fixture
def two(boot, authority, tmp_path):
    with ExitStack() as stack:
        yield partial(Two, boot, authority, tmp_path, stack)


def suite(two: Two, name: str) -> Plain:
    """A connection with this cipher suite."""
    if not name.startswith("TLS_"):
        connection = two.connect(TLSVersion.TLSv1_2, ciphers=name)
        assert connection.socket.cipher()[:2] == (name, "TLSv1.2")
        return connection
    chosen = Openssl(two.server.https_address, "-tls1_3", "-ciphersuites", name)
    return two.stack.enter_context(chosen)


@pytest.mark.parametrize(
    "name",
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ],
)
def test_a_busy_worker_does_not_hold_up_its_kept_connections(two, name):
    """To and fro: whichever worker is busy, all are served by the other one."""
    server = two()
    connections = [suite(server, name) for _ in range(8)]
    for _ in range(2):
        for busy in server.server.worker_pids():
            with server.hold(busy):
                for _ in range(3):
                    for connection in connections:
                        connection.send(request())
                    pids = {json.loads(connection.answer().body)["pid"] for connection in connections}
                    assert pids == set(server.server.worker_pids()) - {busy}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_some_sleep_and_the_others_are_answered(boot, authority, version, threads):
    server = boot("slow", uwsgi=False, https=authority.sign(), processes=2, threads=threads)
    with ExitStack() as stack:
        context = authority.context(version)
        made = [stack.enter_context(Connection(server.https_address, context)) for _ in range(threads + 8)]
        for connection in made:
            connection.send(request())
            assert connection.answer().status == 200
        sleeping, others = made[:threads], made[threads:]
        for connection in sleeping:
            connection.send(request("/?sleep=2"))
        for _ in range(5):
            for connection in others:
                connection.send(request())
            assert all(connection.answer().status == 200 for connection in others)
        assert select.select([connection.socket for connection in sleeping], [], [], 0)[0] == []
        assert all(connection.answer().status == 200 for connection in sleeping)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_what_the_application_is_told_moves_along(two, authority, version):
    own = authority.sign("client.example")
    server = two(f",,{authority.file}", https_export_cert=True)
    connection = server.connect(version, own=own)
    first = ask(connection)
    port = connection.socket.getsockname()[1]
    assert (first["HTTPS"], first["REMOTE_ADDR"], int(first["REMOTE_PORT"])) == ("on", "127.0.0.1", port)
    assert first["HTTPS_DN"].endswith("/CN=client.example")
    assert first["HTTPS_CC"] in Path(own.split(",")[0]).read_text()
    for _ in range(3):
        assert {**server.move(connection), "pid": 0} == {**first, "pid": 0}
        assert {**ask(connection), "pid": 0} == {**first, "pid": 0}
    bare = server.connect(version)
    assert "HTTPS_DN" not in server.move(bare)


@pytest.mark.parametrize("streams", [False, True], ids=["buffered", "streamed"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_large_bodies_go_both_ways(two, tmp_path, version, streams):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "large").write_bytes(LARGE[::-1])
    server = two(static_map=f"/static={tmp_path / 'static'}", http_stream_body=streams)
    connection = server.connect(version)
    for _ in range(2):
        assert server.move(connection, "/", "POST", UPLOAD)["sum"] == hashlib.sha256(UPLOAD).hexdigest()
        for path, body in (("/large", LARGE), ("/static/large", LARGE[::-1])):
            connection.send(request(path))
            assert connection.answer().body == body
        assert ask(connection, "/", "POST", UPLOAD)["length"] == len(UPLOAD)


def test_a_slow_reader_of_a_moved_connection(two):
    server = two(socket_sndbuf=65536)
    connection, other = server.connect(), server.connect()
    server.move(connection)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.send(request("/large"))
    while connection.socket.recv(1) != b"\n":
        pass
    assert [ask(other)["length"] for _ in range(5)] == [0] * 5
    left = len(LARGE)
    while left > 0 and (got := connection.socket.recv(1 << 16)):
        left -= len(got)
    assert left <= 0


def test_a_request_that_has_begun_moves(two):
    server = two()
    connection = server.connect()
    for _ in range(3):
        pid = ask(connection)["pid"]
        connection.send(b"GET / HT")
        with server.hold(pid):
            connection.send(b"TP/1.1\r\nHost: x\r\n\r\n")
            assert json.loads(connection.answer().body)["pid"] != pid


def test_pipelined_requests_move(two):
    server = two()
    connection = server.connect()
    for _ in range(3):
        pid = ask(connection)["pid"]
        with server.hold(pid):
            connection.send(request() * 10 + request("/large") + request())
            assert {json.loads(connection.answer().body)["pid"] == pid for _ in range(10)} == {False}
            assert connection.answer().body == LARGE
            assert connection.answer().status == 200


class ByHand(Plain):
    """A session whose steps are the test's to take, over a plain connection."""

    def __init__(self, server: Two, version: TLSVersion) -> None:
        super().__init__(server.server.https_address)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = server.authority.context(version)
        self.session = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    def step(self) -> bool:
        """Is the handshake done? If not, what the client wants to say waits."""
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def send(self, data: bytes) -> None:
        if data:
            self.session.write(data)
        self.socket.sendall(self._out.read())

    def hear(self) -> None:
        self._in.write(self.socket.recv(65536))

    def _more(self) -> bool:
        while True:
            with suppress(ssl.SSLWantReadError):
                self._held += self.session.read(65536)
                return True
            self.hear()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_handshake_does_not_wait(two, authority, version):
    """It begins in one worker, which gets busy, and the first request is answered by the other."""
    server = two(f",,{authority.file}")
    first, second = server.server.worker_pids()
    client = server.stack.enter_context(ByHand(server, version))
    with server.hold(first):
        assert not client.step()
        client.send(b"")
        client.hear()
    with server.hold(second):
        while not client.step():
            client.send(b"")
            client.hear()
        client.send(b"")
        assert ask(client)["pid"] == first
        assert ask(client)["pid"] == first


def test_a_long_record_in_two_parts_does_not_wait(two):
    """The first part has been read when the worker gets busy."""
    server = two()
    client = server.stack.enter_context(ByHand(server, TLSVersion.TLSv1_3))
    while not client.step():
        client.send(b"")
        client.hear()
    client.send(b"")
    pid = ask(client)["pid"]
    client.session.write(request(Cookie="c" * 9000))
    record = client._out.read()
    client.socket.sendall(record[:6000])
    with server.hold(pid):
        client.socket.sendall(record[6000:])
        assert json.loads(client.answer().body)["pid"] != pid


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_both_sides_say_that_they_close(two, version):
    server = two()
    ours, theirs, gone = (server.connect(version) for _ in range(3))
    for connection in (ours, theirs, gone):
        server.move(connection)
    # Waits for the server's close_notify.
    ours.socket.unwrap().close()
    theirs.send(request(Connection="close"))
    assert theirs.answer().header("Connection") == "close"
    assert theirs.is_closed()
    gone.socket.shutdown(socket.SHUT_RDWR)
    assert ask(server.connect(version))["length"] == 0


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_forged_record_gets_an_alert(two, version):
    server = two(ssl_verbose=True)
    connection = server.connect(version)
    server.move(connection)
    os.write(connection.socket.fileno(), b"\x17\x03\x03\x00\x30" + bytes(48))
    with pytest.raises(ssl.SSLError, match=r"(?i)bad[ _]record[ _]mac"):
        connection.answer()
    server.server.log.wait(r"the TLS session of 127\.0\.0\.1:\d+ failed: a record was refused: BadRecordMac")


def test_new_keys_end_a_moved_connection(two):
    """Before, they are followed, and they move."""
    server = two(ssl_verbose=True)
    client = server.stack.enter_context(Openssl(server.server.https_address, "-tls1_3", commands=True))
    ask(client)
    client.change_keys()
    server.move(client)
    server.move(client)
    client.change_keys()
    assert client.is_closed()
    server.server.log.wait("failed: the client changes its keys, after its connection was handed over")


@pytest.mark.parametrize("library", [requests.Session, httpx.Client], ids=["requests", "httpx"])
def test_libraries_notice_nothing(two, authority, library):
    server = two()
    url = f"https://localhost:{server.server.https_address[1]}/"
    with ExitStack() as stack:
        if library is requests.Session:
            session = stack.enter_context(requests.Session())
            # Not what the environment says.
            session.trust_env, session.verify = False, str(authority.file)
        else:
            session = stack.enter_context(httpx.Client(verify=authority.context()))
        ports = set()
        for _ in range(3):
            first = session.get(url).json()
            with server.hold(first["pid"]):
                second = session.post(url, data={"a": "b" * 100_000}).json()
                assert second["pid"] != first["pid"] and second["length"] == 100_002
            ports |= {first["REMOTE_PORT"], second["REMOTE_PORT"]}
        assert len(ports) == 1


def test_a_reload_meanwhile(two):
    """Connections that have moved end like others: with an answer that says so, or while nothing is asked."""
    server = two()
    connections = [server.connect() for _ in range(6)]
    for connection in connections[:3]:
        server.move(connection)
    asked, idle = connections[::2], connections[1::2]
    for connection in asked:
        connection.send(b"GET / HTTP/1.1\r\n")
    old = server.server.worker_pids()
    before = {ask(server.connect())["pid"] for _ in range(3)}
    assert before <= set(old)
    server.server.reload(wait_for_old=False)
    for connection in idle:
        assert connection.is_closed()
    for connection in asked:
        connection.send(b"Host: x\r\n\r\n")
        answer = connection.answer()
        assert (answer.status, answer.header("Connection")) == (200, "close")
        assert connection.is_closed()
    until(lambda: not set(old) & set(server.server.worker_pids()), "the old workers to leave")


@pytest.mark.parametrize("reads", [False, True], ids=["runs", "reads"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_late_request_of_a_moved_connection_is_504(two, tmp_path, version, reads):
    server = two(harakiri=3, http_stream_body=True)
    connection = server.connect(version)
    server.move(connection)
    never = tmp_path / "never"
    os.mkfifo(never)
    body = {"method": "POST", "body": b"some", "Content_Length": "1000"} if reads else {}
    connection.send(request(f"/hold?{never}", **body))
    assert connection.answer().status == 504
    assert connection.is_closed()
    log = server.server.log
    log.wait(r"HARAKIRI ON WORKER \d .*/hold")
    log.wait(r"worker \d \(pid \d+\) was killed by harakiri; replacing it")
    log.wait(r"worker \d \(pid \d+\) is ready")
