"""The counted load finds each fault that it is there to find, at servers that make one."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from harness import counted
from harness.books import Books
from harness.counted import MODES, Endpoint, Load, Mode

Answer = Callable[[socket.socket, bytes], bool]


@contextmanager
def serving(answer: Answer) -> Iterator[Endpoint]:
    """Calls `answer` for each request of a connection, until it says no."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            with closing(client):
                while (request := client.recv(65536)) and answer(client, request):
                    pass

    thread = threading.Thread(target=run)
    thread.start()
    yield Endpoint(listener.getsockname())
    # Wakes accept(2), which close(2) does not.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def right(request: bytes, headers: str = "", status: str = "200 OK", token: bytes | None = None) -> bytes:
    token = token or re.search(rb"\?(\d+)", request)[1]
    body = b"%s 0  %010d" % (token, 1)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def load(endpoint: Endpoint, mode: Mode, requests: int = 3) -> Books:
    with Load(endpoint, mode, clients=1) as made:
        return made.run(requests=requests)


def test_right_answers():
    def answer(client, request):
        client.sendall(right(request))
        return True

    with serving(answer) as endpoint:
        books = load(endpoint, MODES["kept"])
    assert (books.answered, books.connections, books.closed_idle, books.lost) == (3, 1, 0, [])
    assert list(books.workers) == [1]


def test_a_connection_that_is_closed_as_said_is_opened_again():
    def answer(client, request):
        client.sendall(right(request, "Connection: close\r\n"))
        return False

    with serving(answer) as endpoint:
        books = load(endpoint, MODES["kept"])
    assert (books.answered, books.closed_as_said, books.closed_idle, books.connections) == (3, 3, 0, 3)


def test_a_connection_that_is_closed_while_idle_is_told():
    def answer(client, request):
        client.sendall(right(request))
        return False

    with serving(answer) as endpoint:
        books = load(endpoint, MODES["think100"])
    assert (books.answered, books.closed_as_said, books.closed_idle, books.lost) == (3, 0, 3, [])


def reset(client: socket.socket) -> bool:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


FAULTS = {
    "no answer": (lambda client, request: False, "EOF", "first byte"),
    "a reset": (lambda client, request: reset(client), "ECONNRESET", "first byte"),
    "half an answer": (lambda client, request: client.sendall(right(request)[:-1]), "EOF", "answer"),
    "half a head": (lambda client, request: client.sendall(right(request)[:20]), "EOF", "answer"),
    "another's answer": (
        lambda client, request: client.sendall(right(request, token=b"9876543210")),
        "a wrong answer: b'9876543210 0  0000000001'",
        "answer",
    ),
    "too much": (lambda client, request: client.sendall(right(request) + b"x"), "a wrong answer: .*x'", "answer"),
    "another status": (
        lambda client, request: client.sendall(right(request, status="503 Service Unavailable")),
        "status 503",
        "answer",
    ),
}


@pytest.mark.parametrize("mode", ["new", "kept"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_loss(fault, mode):
    answer, reason, phase = FAULTS[fault]
    with serving(answer) as endpoint:
        books = load(endpoint, MODES[mode], requests=2)
    assert (books.begun, books.answered, books.refused, len(books.lost)) == (2, 0, 0, 2)
    for lost in books.lost:
        assert re.fullmatch(reason, lost.reason)
        assert lost.phase == phase


def test_a_request_on_a_connection_that_is_closed_is_lost_and_not_sent_again():
    seen = []

    def answer(client, request):
        seen.append(request)
        if len(seen) == 2:
            return False
        client.sendall(right(request))
        return True

    with serving(answer) as endpoint:
        books = load(endpoint, MODES["kept"])
    assert (books.answered, len(books.lost), len(seen)) == (2, 1, 3)
    assert (books.lost[0].before, books.lost[0].reason) == (1, "EOF")


def test_a_close_before_the_request_is_a_loss():
    listener = socket.create_server(("127.0.0.1", 0))

    def close_at_once():
        listener.accept()[0].close()

    thread = threading.Thread(target=close_at_once)
    thread.start()
    books = load(Endpoint(listener.getsockname()), MODES["late100"], requests=1)
    thread.join()
    listener.close()
    assert [(lost.reason, lost.phase) for lost in books.lost] == [("EOF", "before the request")]


def test_silence_is_a_loss(monkeypatch):
    monkeypatch.setattr(counted, "REQUEST_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        books = load(Endpoint(listener.getsockname()), MODES["new"], requests=1)
    assert [(lost.reason, lost.phase) for lost in books.lost] == [("time-out", "first byte")]


@pytest.mark.parametrize("kind", ["tcp", "unix", "no file"])
def test_who_is_not_listened_to_is_refused(tmp_path, kind):
    listener = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
    listener.bind(("127.0.0.1", 0) if kind == "tcp" else str(tmp_path / "socket"))
    address = listener.getsockname()
    listener.close()
    books = load(Endpoint(str(tmp_path / "none") if kind == "no file" else address), MODES["kept"])
    assert (books.begun, books.refused, books.lost) == (3, 3, [])
