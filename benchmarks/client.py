"""A closed-loop HTTP client that keeps what wrk throws away: every latency, every failure, who answered.

Each of its connections has one request under way at any time. It runs in a thread, over one selector;
it is meant for some thousand requests a second, not for the works that measure CPU per request.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

DRAIN_SECONDS = 10


@dataclass
class Tally:
    latencies: list[float] = field(default_factory=list)  # seconds, of the answers with status 200
    workers: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    last_seen: dict[int, float] = field(default_factory=dict)
    slowest: float = 0  # of all answers, failed ones included

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def answer(self, status: int, worker: int, seconds: float) -> None:
        self.slowest = max(self.slowest, seconds)
        if status != 200:
            self.failures[str(status)] += 1
            return
        self.latencies.append(seconds)
        self.workers[worker] += 1
        self.last_seen[worker] = time.monotonic()


@dataclass
class Answer:
    status: int
    worker: int
    length: int  # head and body
    close: bool


def parse(data: bytes) -> Answer | None:
    """The answer, when all of it is there."""
    head, separator, _ = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    length = len(head) + 4 + int(fields.get(b"content-length", 0))
    if len(data) < length:
        return None
    return Answer(
        status=int(lines[0].split(b" ")[1]),
        worker=int(fields.get(b"x-worker-pid", 0)),
        length=length,
        close=fields.get(b"connection", b"").lower() == b"close",
    )


class Connection:
    """One of the clients."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.socket: socket.socket | None = None
        self.started = 0.0
        self.data = b""

    def send(self, request: bytes) -> None:
        self.started = time.perf_counter()
        self.data = b""
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=DRAIN_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(request)

    def close(self) -> None:
        if self.socket:
            self.socket.close()
        self.socket = None


class Client(threading.Thread):
    """The load lasts as long as the `with` block; `paths` gives the path of the next request."""

    def __init__(self, address: tuple[str, int], clients: int, paths: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self.tally = Tally()
        self.paths = paths
        self.host = f"{address[0]}:{address[1]}"
        self.connections = [Connection(address) for _ in range(clients)]
        self.selector = selectors.DefaultSelector()
        self.finish = threading.Event()

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> Tally:
        self.finish.set()
        self.join()
        return self.tally

    def run(self) -> None:
        for connection in self.connections:
            self._next(connection)
        while not self.finish.is_set():
            self._turn()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.selector.get_map() and time.monotonic() < deadline:
            self._turn()
        self._give_up()

    def _turn(self) -> None:
        for key, _ in self.selector.select(0.1):
            self._readable(key.data)

    def _next(self, connection: Connection) -> None:
        if self.finish.is_set():
            return
        request = f"GET {self.paths()} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()
        try:
            connection.send(request)
        except OSError as error:
            self._fail(connection, type(error).__name__)
            return
        assert connection.socket
        self.selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _readable(self, connection: Connection) -> None:
        assert connection.socket
        try:
            data = connection.socket.recv(65536)
        except OSError as error:
            self._fail(connection, type(error).__name__)
            return
        if not data:
            self._fail(connection, "closed")
            return
        connection.data += data
        answer = parse(connection.data)
        if answer:
            self._done(connection, answer)

    def _done(self, connection: Connection, answer: Answer) -> None:
        self.tally.answer(answer.status, answer.worker, time.perf_counter() - connection.started)
        self._forget(connection)
        if answer.close:
            connection.close()
        self._next(connection)

    def _fail(self, connection: Connection, why: str) -> None:
        self.tally.failures[why] += 1
        self.tally.slowest = max(self.tally.slowest, time.perf_counter() - connection.started)
        self._forget(connection)
        connection.close()
        time.sleep(0.001)  # a server that is down must not turn this loop into a load of its own
        self._next(connection)

    def _forget(self, connection: Connection) -> None:
        if connection.socket and connection.socket in self.selector.get_map():
            self.selector.unregister(connection.socket)

    def _give_up(self) -> None:
        for key in list(self.selector.get_map().values()):
            self.tally.failures["no answer"] += 1
            self.tally.slowest = max(self.tally.slowest, time.perf_counter() - key.data.started)
        for connection in self.connections:
            connection.close()
        self.selector.close()
