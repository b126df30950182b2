"""A closed-loop HTTP client that keeps what wrk throws away: every latency, every failure, who answered whom.

Each of its connections has one request under way at any time, or pauses between two. All of them run in one thread over
one epoll; a request takes it some 40 µs of CPU. It is meant for some thousand requests a second, not for the
works that measure CPU per request.
"""

from __future__ import annotations

import heapq
import itertools
import re
import selectors
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

DRAIN_SECONDS = 10
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
WORKER = re.compile(rb"\r\nx-worker-pid: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass
class Tally:
    latencies: list[float] = field(default_factory=list)  # seconds, of the answers with status 200
    workers: Counter[int] = field(default_factory=Counter)
    clients: Counter[int] = field(default_factory=Counter)  # number of a connection → answers with status 200
    failures: Counter[str] = field(default_factory=Counter)
    last_seen: dict[int, float] = field(default_factory=dict)
    slowest: float = 0  # of all answers, failed ones included

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def answer(self, client: int, status: int, worker: int, seconds: float) -> None:
        self.slowest = max(self.slowest, seconds)
        if status != 200:
            self.failures[str(status)] += 1
            return
        self.latencies.append(seconds)
        self.clients[client] += 1
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
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    found = LENGTH.search(head)
    length = end + 4 + (int(found[1]) if found else 0)
    if len(data) < length:
        return None
    worker = WORKER.search(head)
    return Answer(
        status=int(head[9:12]),
        worker=int(worker[1]) if worker else 0,
        length=length,
        close=CLOSE.search(head) is not None,
    )


def trusting() -> ssl.SSLContext:
    """For a server whose certificate nobody has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Manner:
    """How the connections of a client behave."""

    close: bool = False  # a connection a request
    tls: bool = False
    pause: float = 0  # seconds between an answer and the next request


class Connection:
    """One of the clients."""

    def __init__(self, number: int, address: tuple[str, int], context: ssl.SSLContext | None) -> None:
        self.number = number
        self.address = address
        self.context = context
        self.socket: socket.socket | None = None
        self.waits = False  # for an answer
        self.started = 0.0
        self.data = b""

    def open(self) -> socket.socket:
        made = socket.create_connection(self.address, timeout=DRAIN_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            made = self.context.wrap_socket(made)
            # What is readable may be a session ticket, behind which nothing comes.
            made.setblocking(False)
        self.socket = made
        return made

    def receive(self) -> bytes | None:
        """What has come; nothing when the connection has ended, None when there is no data yet."""
        assert self.socket
        try:
            data = self.socket.recv(65536)
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                data += self.socket.recv(65536)
        except ssl.SSLWantReadError:
            return None
        return data

    def close(self) -> None:
        if self.socket:
            self.socket.close()
        self.socket = None


class Client(threading.Thread):
    """The load lasts as long as the `with` block; `paths` gives the path of the next request."""

    def __init__(
        self, address: tuple[str, int], clients: int, paths: Callable[[], str], manner: Manner = Manner()
    ) -> None:
        super().__init__(daemon=True)
        self.tally = Tally()
        self.paths = paths
        self.manner = manner
        self.fields = f" HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
        self.fields += "Connection: close\r\n\r\n" if manner.close else "\r\n"
        context = trusting() if manner.tls else None
        self.connections = [Connection(number, address, context) for number in range(clients)]
        self.selector = selectors.DefaultSelector()
        self.busy = 0  # connections with a request under way
        self.pausing: list[tuple[float, int, Connection]] = []
        self.order = itertools.count()
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

    def forget(self) -> Tally:
        """What has been counted so far; from now on it counts anew."""
        before, self.tally = self.tally, Tally()
        return before

    def run(self) -> None:
        for connection in self.connections:
            self._next(connection)
        while not self.finish.is_set():
            self._turn()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.busy and time.monotonic() < deadline:
            self._turn()
        self._give_up()

    def _turn(self) -> None:
        wait = min(0.1, max(0, self.pausing[0][0] - time.perf_counter())) if self.pausing else 0.1
        for key, _ in self.selector.select(wait):
            self._readable(key.data)
        while self.pausing and self.pausing[0][0] <= time.perf_counter():
            self._next(heapq.heappop(self.pausing)[2])

    def _next(self, connection: Connection) -> None:
        if self.finish.is_set():
            return
        request = f"GET {self.paths()}{self.fields}".encode()
        connection.waits = True
        self.busy += 1
        connection.started = time.perf_counter()
        connection.data = b""
        try:
            if connection.socket is None:
                self.selector.register(connection.open(), selectors.EVENT_READ, connection)
            assert connection.socket
            connection.socket.sendall(request)
        except OSError as error:
            self._fail(connection, type(error).__name__)

    def _readable(self, connection: Connection) -> None:
        if not connection.waits:  # the server has closed an idle connection: the next request makes another
            self._end(connection)
            return
        try:
            data = connection.receive()
        except OSError as error:
            self._fail(connection, type(error).__name__)
            return
        if data is None:
            return
        if not data:
            self._fail(connection, "closed")
            return
        connection.data += data
        answer = parse(connection.data)
        if answer:
            self._done(connection, answer)

    def _done(self, connection: Connection, answer: Answer) -> None:
        now = time.perf_counter()
        self.busy -= 1
        connection.waits = False
        self.tally.answer(connection.number, answer.status, answer.worker, now - connection.started)
        if answer.close or self.manner.close:
            self._end(connection)
        if self.manner.pause:
            self._pause(connection, self.manner.pause)
        else:
            self._next(connection)

    def _pause(self, connection: Connection, seconds: float) -> None:
        heapq.heappush(self.pausing, (time.perf_counter() + seconds, next(self.order), connection))

    def _fail(self, connection: Connection, why: str) -> None:
        self.busy -= 1
        connection.waits = False
        self.tally.failures[why] += 1
        self.tally.slowest = max(self.tally.slowest, time.perf_counter() - connection.started)
        self._end(connection)
        self._pause(connection, 0.001)  # a server that is down must not turn this loop into a load of its own

    def _end(self, connection: Connection) -> None:
        if connection.socket and connection.socket.fileno() in self.selector.get_map():
            self.selector.unregister(connection.socket)
        connection.close()

    def _give_up(self) -> None:
        for _ in range(self.busy):
            self.tally.failures["no answer"] += 1
            self.tally.slowest = max(self.tally.slowest, DRAIN_SECONDS)
        for connection in self.connections:
            connection.close()
        self.selector.close()
