"""What comes to a TLS port from the open internet: floods, handshakes that end anywhere, records that are none."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import ExitStack, suppress
from signal import Signals
from ssl import TLSVersion

import pytest

from harness import packet, procs
from harness.http import Connection as Plain
from harness.http import request
from harness.tls import Authority, ByHand, Connection, Openssl
from harness.wait import until

pytestmark = pytest.mark.core

VERSIONS = [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]
HANDSHAKE, ALERT = 22, 21


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def boot_https(boot, authority):
    def one(app: str = "hello", **options):
        return boot(app, uwsgi=False, https=authority.sign(), **options)

    return one


def hello(server, authority: Authority) -> bytes:
    """A ClientHello, as a record."""
    with ByHand(server.https_address, authority.context()) as client:
        client.step()
        return client.said()


def serves(server, authority: Authority) -> None:
    with Connection(server.https_address, authority.context()) as connection:
        connection.send(request())
        assert connection.answer().body == b"hello"


def reset(client: socket.socket) -> None:
    """Closes without a word."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_flood_of_handshakes(boot_https, authority):
    """Two thousand that are broken off after the first message, from four sides at once, and two hundred that stay."""
    server = boot_https(processes=2)
    first = hello(server, authority)
    serves(server, authority)
    before = sum(procs.memory(pid) for pid in server.worker_pids())

    def flood() -> None:
        for number in range(500):
            client = packet.connect(server.https_address)
            client.sendall(first[: len(first) if number % 2 else number % len(first)])
            reset(client)

    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(packet.connect(server.https_address)).sendall(first)
        floods = [threading.Thread(target=flood) for _ in range(4)]
        for thread in floods:
            thread.start()
        while any(thread.is_alive() for thread in floods):
            serves(server, authority)
        for thread in floods:
            thread.join()
        serves(server, authority)
        assert sum(procs.memory(pid) for pid in server.worker_pids()) - before < 40 << 20
    server.log.accept_anything()
    assert "panicked" not in server.log.text


def stages(server, authority: Authority, version: TLSVersion, stack: ExitStack) -> list[ByHand]:
    """Clients that have come this far: nothing, a byte, half a message, the first, all but the last, all."""
    clients = [stack.enter_context(ByHand(server.https_address, authority.context(version))) for _ in range(6)]
    for client, length in zip(clients[1:3], (1, 100), strict=True):
        client.step()
        first = client.said()
        client.socket.sendall(first[:length])
        client.unsent = first[length:]
    for client in clients[3:5]:
        client.step()
        client.send(b"")
    clients[4].hear()
    clients[5].handshake()
    return clients


def go_on(client: ByHand) -> None:
    if unsent := getattr(client, "unsent", b""):
        client.socket.sendall(unsent)
        client.hear()
    client.handshake()
    client.send(request())


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_half_handshakes_at_a_reload_are_served(boot_https, authority, stack, version):
    """By the old worker, which waits a moment for new clients; whoever has not come at all is let go."""
    server = boot_https()
    clients = stages(server, authority, version, stack)
    (old,) = server.worker_pids()
    # The worker has looked at all of them.
    serves(server, authority)
    server.reload(wait_for_old=False)
    for client in clients[1:]:
        go_on(client)
        answer = client.answer()
        assert (answer.body, answer.header("Connection")) == (b"hello", "close")
    serves(server, authority)
    until(lambda: not procs.is_alive(old), "the old worker to leave")


@pytest.mark.parametrize("ends", [False, True], ids=["reload", "stop"])
def test_half_handshakes_hold_nobody_up(boot_https, authority, stack, ends):
    """They say nothing more: the worker leaves all the same, before their time is up."""
    server = boot_https(processes=2, http_headers_timeout=60)
    for version in VERSIONS * 5:
        stages(server, authority, version, stack)
    old = server.worker_pids()
    serves(server, authority)
    if ends:
        server.signal(Signals.SIGTERM)
        assert server.wait_exit() == 0
    else:
        server.reload(wait_for_old=False)
        until(lambda: not any(procs.is_alive(pid) for pid in old), "the old workers to leave")
        serves(server, authority)


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body


def last_words(server, data: bytes) -> bytes:
    """What the server says to this, until it closes."""
    said = b""
    with Plain(server.https_address) as client, suppress(OSError):
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        while got := client.socket.recv(65536):
            said += got
    return said


def test_first_messages_that_are_none(boot_https, authority):
    server = boot_https()
    sound = hello(server, authority)
    body = sound[5:]
    old_version = body[:4] + b"\3\1" + body[6:]
    cases = {
        "a length of 16 MiB": record(HANDSHAKE, b"\1\xff\xff\xff" + bytes(1000)) + record(HANDSHAKE, bytes(16000)) * 5,
        "a length beyond the record": record(HANDSHAKE, b"\1\0\0\5") + record(HANDSHAKE, b"hello"),
        "no message": record(HANDSHAKE, b""),
        "nothing, a thousand times": record(HANDSHAKE, b"") * 1000,
        "another message": record(HANDSHAKE, b"\x0b" + body[1:]),
        "an alert": record(ALERT, b"\2\x28"),
        "a thousand warnings": record(ALERT, b"\1\x5a") * 1000,
        "cut short": sound[: len(sound) // 2],
        "every byte one more": record(HANDSHAKE, body[:4] + bytes((byte + 1) % 256 for byte in body[4:])),
        "twice": sound + sound,
        "something behind it": sound + record(23, b"x" * 16384) * 4,
        "zeros behind it": sound + bytes(100_000),
        "TLS 1.0": record(HANDSHAKE, old_version),
    }
    for at in range(4, len(body), 7):
        cases[f"byte {at} turned over"] = record(HANDSHAKE, body[:at] + bytes([body[at] ^ 255]) + body[at + 1 :])
    for what, data in cases.items():
        said = last_words(server, data)
        assert said[:1] in (b"", bytes([ALERT]), bytes([HANDSHAKE])) or said.startswith(b"HTTP/1.1 400 "), what
        assert len(said) < 10_000, what
    # A byte in each record: allowed (RFC 8446 §5.1).
    assert last_words(server, b"".join(record(HANDSHAKE, bytes([byte])) for byte in body))[:1] == bytes([HANDSHAKE])
    serves(server, authority)
    server.log.accept_anything()
    assert "panicked" not in server.log.text


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize(
    "data",
    [
        record(23, bytes(48)),
        record(23, b""),
        record(23, bytes(5)),
        b"\x17\x03\x03\xff\xff" + bytes(70_000),
        record(20, b"\1") * 50,
        record(99, b"x" * 40),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["forged", "empty", "short", "too long", "change of cipher", "unknown", "plain"],
)
def test_records_that_are_none_end_the_session(boot_https, authority, version, data):
    """Nobody gets an answer on it any more, and everybody else does."""
    server = boot_https()
    with ByHand(server.https_address, authority.context(version)) as client:
        client.handshake()
        client.send(request())
        assert client.answer().body == b"hello"
        with suppress(OSError):
            client.socket.sendall(data)
            client.send(request())
        with suppress(OSError, ssl.SSLError):
            while client._more():
                pass
        assert client._held == b""
    serves(server, authority)
    server.log.accept_anything()
    assert "panicked" not in server.log.text


def test_a_flood_of_new_keys(boot_https, authority):
    """Some are followed, between two requests; many in a row are refused."""
    server = boot_https()
    with Openssl(server.https_address, "-tls1_3", commands=True) as client:
        for _ in range(3):
            for _ in range(20):
                client.change_keys()
            client.send(request())
            assert client.answer().body == b"hello"
        # Sooner or later, openssl finds the connection closed.
        with pytest.raises((AssertionError, OSError)):
            for _ in range(100):
                client.change_keys()
            client.send(request())
            client.answer()
    serves(server, authority)


def test_no_renegotiation(boot_https, authority):
    server = boot_https()
    with Openssl(server.https_address, "-tls1_2", commands=True) as client:
        client.send(request())
        assert client.answer().body == b"hello"
        client.send(b"R\n")
        assert client.is_closed()
    serves(server, authority)
