"""A load from one thread over one epoll, which keeps exact books of what became of each request (books.py).

A request is `answered` when its answer is complete and right (status 200, the length, the token that only this request
has), `refused` when nobody listened at connect, and else `lost`. Nothing is sent twice. The application is
apps/counted.py."""

from __future__ import annotations

import errno
import heapq
import itertools
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from . import packet
from .books import Books, Lost
from .events import Event
from .packet import Address

# A request that has no answer by then is lost.
REQUEST_TIMEOUT = 10.0
# An answer that took longer is counted as slow, too.
SLOW = 1.0
# How long a client waits after it was refused, and before it tries a unix socket again whose backlog is full.
AFTER_REFUSAL = 0.01
BACKLOG_FULL = 0.001
# How often time-outs and the end of the load are looked for.
LOOK = 0.05

TOKEN = b"@@@@@@@@@@"
REFUSALS = {errno.ECONNREFUSED, errno.ENOENT}
UNDER_WAY = {errno.EINPROGRESS, errno.EALREADY}

IDLE, CONNECTING, DELAYED, SENDING, WAITING, READING, DONE = range(7)
PHASES = {CONNECTING: "connect", DELAYED: "before the request", SENDING: "request", WAITING: "first byte"}
PHASES[READING] = "answer"


@dataclass(frozen=True)
class Mode:
    """How a client behaves."""

    name: str
    keeps: bool = False
    # Seconds between the connection and its first byte, and between an answer and the next request.
    late: float = 0.0
    think: float = 0.0
    # Bytes of a POST.
    body: int = 0
    path: str = "/"


MODES = {
    mode.name: mode
    for mode in (
        Mode("new"),
        Mode("late5", late=0.005),
        Mode("late100", late=0.1),
        Mode("kept", keeps=True),
        Mode("think5", keeps=True, think=0.005),
        Mode("think100", keeps=True, think=0.1),
        Mode("post", keeps=True, body=4096),
    )
}


@dataclass(frozen=True)
class Endpoint:
    address: Address
    protocol: str = "http"
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Head:
    """Of an answer: what decides whether it is right and how it goes on."""

    status: int
    length: int | None
    close: bool


@lru_cache(256)
def parse_head(head: bytes) -> Head:
    lines = head.lower().split(b"\r\n")
    fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    length = fields.get(b"content-length")
    status = lines[0].split(b" ")
    well_formed = len(status) > 1 and status[0] in (b"http/1.1", b"http/1.0") and status[1].isdigit()
    close = fields.get(b"connection") == b"close" or (
        status[0] == b"http/1.0" and fields.get(b"connection") != b"keep-alive"
    )
    return Head(int(status[1]) if well_formed else 0, int(length) if length else None, close)


def message(mode: Mode, protocol: str) -> bytes:
    """A request with TOKEN where its token comes: in the query string, and at the end of the body."""
    body = b"b" * (mode.body - len(TOKEN)) + TOKEN if mode.body else b""
    method, target = "POST" if body else "GET", f"{mode.path}?{TOKEN.decode()}"
    if protocol == "uwsgi":
        return packet.packet(packet.variables(target, method, body or None)) + body
    lines = [f"{method} {target} HTTP/1.1", "Host: example.test"]
    lines += [f"Content-Length: {len(body)}"] if body else []
    lines += [] if mode.keeps else ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class TlsSocket:
    """A TLS connection that says "not now" the way a plain one does. The first write makes the handshake."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        self._tls = context.wrap_socket(
            plain, server_hostname="localhost", do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self.close = self._tls.close

    @property
    def is_ready(self) -> bool:
        """The handshake is made."""
        return self._tls.version() is not None

    def send(self, data: bytes) -> int:
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def recv(self, size: int) -> bytes:
        try:
            return self._tls.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error


class Client:
    """One of the clients: at most one request under way, over a connection of its own."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.state = IDLE
        self.socket: socket.socket | TlsSocket | None = None
        self.fd = -1
        # When its timer goes off: to begin a request, to send a late one, or to connect again.
        self.due = 0.0
        self.began = self.opened = 0.0
        self.token = b""
        self.unsent = b""
        self.received = b""
        self.answers = 0

    # ── a request ──

    def begin(self, now: float) -> None:
        self.token = self.load.next_token()
        self.unsent = self.load.template.replace(TOKEN, self.token)
        self.received = b""
        self.began = now
        if self.socket is None:
            self.state = CONNECTING
            self._connect(now)
        else:
            self._send(now)

    def _connect(self, now: float) -> None:
        if self.socket is None:
            self._open(now)
        error = self.socket.connect_ex(self.load.endpoint.address)
        if error == errno.EINPROGRESS:
            # Over loopback it is mostly there already.
            error = self.socket.connect_ex(self.load.endpoint.address)
        if error in (0, errno.EISCONN):
            self._connected(now)
        elif error in UNDER_WAY:
            self.load.epoll.modify(self.fd, select.EPOLLOUT)
        elif error == errno.EAGAIN:
            # unix(7): the backlog is full, and a socket that does not block is not put in a queue.
            self.load.wake_at(self, now + BACKLOG_FULL)
        elif error in REFUSALS:
            self.load.books.refused += 1
            self.close()
            self._rest(now, AFTER_REFUSAL)
        else:
            self.lose(errno.errorcode.get(error, str(error)), now)

    def _open(self, now: float) -> None:
        is_tcp = isinstance(self.load.endpoint.address, tuple)
        made = socket.socket(socket.AF_INET if is_tcp else socket.AF_UNIX)
        made.setblocking(False)
        if is_tcp:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.fd, self.opened, self.answers = made, made.fileno(), now, 0
        self.load.add(self)

    def _connected(self, now: float) -> None:
        self.load.books.connections += 1
        if self.load.endpoint.tls:
            self.socket = TlsSocket(self.socket, self.load.endpoint.tls)
        late = self.load.mode.late
        if late:
            self.state = DELAYED
            self.load.epoll.modify(self.fd, select.EPOLLIN)
            self.load.wake_at(self, now + late)
        else:
            self._send(now)

    def _send(self, now: float) -> None:
        was_connecting = self.state == CONNECTING
        self.state = SENDING
        try:
            sent = self.socket.send(self.unsent)
            self.unsent = self.unsent[sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            self._cannot_send(error, now)
            return
        if not self.unsent:
            self.state = WAITING
        if self.unsent or was_connecting:
            self.load.epoll.modify(self.fd, self._interest())

    def _cannot_send(self, error: OSError, now: float) -> None:
        """A plain connection that does not take the first byte of a request was closed while idle: it was never sent.
        Of a TLS connection, nobody knows what has been written."""
        untouched = self.answers and len(self.unsent) == len(self.load.template) and not self.load.endpoint.tls
        if not untouched or error.errno not in (errno.EPIPE, errno.ECONNRESET):
            self.lose(reason_of(error), now)
            return
        self.load.books.closed_idle += 1
        self.close()
        self.state = CONNECTING
        self._connect(now)

    def _interest(self) -> int:
        """A handshake waits for bytes; a plain connection that has more to send is ready when it can be written."""
        plain = self.unsent and not self.load.endpoint.tls
        return select.EPOLLIN | select.EPOLLOUT if plain else select.EPOLLIN

    # ── what happens to it ──

    def timer(self, now: float) -> None:
        if self.state == IDLE:
            self.load.next(self, now)
        elif self.state == CONNECTING:
            self._connect(now)
        elif self.state == DELAYED:
            self._send(now)

    def ready(self, now: float) -> None:
        if self.state == CONNECTING:
            self._connect(now)
            return
        if self.state == SENDING:
            self._send(now)
            if self.load.endpoint.tls:
                # A read would take what the handshake waits for, and the request would never be sent.
                return
        if self.socket is not None:
            self._read(now)

    def phase(self) -> str:
        handshaking = isinstance(self.socket, TlsSocket) and not self.socket.is_ready
        return "handshake" if self.state == SENDING and handshaking else PHASES[self.state]

    def _read(self, now: float) -> None:
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._ended(reason_of(error), now)
            return
        if not data:
            self._ended("EOF", now)
        elif self.state == IDLE:
            self.load.unasked += 1
            self.close()
        elif self.state in (DELAYED, SENDING):
            self.received += data
            self.lose(f"an answer before the request was sent: {data[:40]!r}", now)
        else:
            self._more(data, now)

    def _more(self, data: bytes, now: float) -> None:
        self.state = READING
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = parse_head(self.received[:end])
        if head.status != 200 or head.length is None:
            self.lose(f"status {head.status}" if head.length is not None else "no Content-Length", now)
            return
        body = self.received[end + 4 :]
        if len(body) >= head.length:
            self._complete(head, body, now)

    def _complete(self, head: Head, body: bytes, now: float) -> None:
        load = self.load
        expected = load.expected.replace(TOKEN, self.token)
        if not body.startswith(expected) or len(body) != len(expected) + 10 or len(body) != head.length:
            self.lose(f"a wrong answer: {body[:80]!r}", now)
            return
        load.answered(int(body[-10:]), now - self.began, now)
        self.answers += 1
        if not load.mode.keeps:
            self.close()
        elif head.close:
            load.books.closed_as_said += 1
            self.close()
        if load.mode.think:
            self._rest(now, load.mode.think)
        else:
            load.next(self, now)

    def _ended(self, reason: str, now: float) -> None:
        """By the server."""
        if self.state == IDLE:
            self.load.books.closed_idle += 1
            self.close()
        else:
            self.lose(reason, now)

    def lose(self, reason: str, now: float) -> None:
        self.load.lost(self, reason, now)
        self.close()
        self._rest(now, AFTER_REFUSAL)

    def _rest(self, now: float, seconds: float) -> None:
        self.state = IDLE
        self.load.wake_at(self, now + seconds)

    def close(self) -> None:
        if self.socket is not None:
            self.load.remove(self)
            self.socket.close()
            self.socket, self.fd = None, -1


def reason_of(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{type(error).__name__}: {error.reason}"
    return errno.errorcode.get(error.errno or 0, str(error))


class Load:
    """`run` sends requests until so many have begun, or seconds passed, or `until` says so; then it waits for those
    under way. It can run again: the books go on."""

    def __init__(self, endpoint: Endpoint, mode: Mode, clients: int = 8) -> None:
        if endpoint.protocol == "uwsgi":
            # Its connections have one request each.
            mode = replace(mode, keeps=False)
        self.endpoint, self.mode = endpoint, mode
        self.template = message(mode, endpoint.protocol)
        tail = TOKEN.decode() if mode.body else ""
        self.expected = f"{TOKEN.decode()} {mode.body} {tail} ".encode()
        self.books = Books()
        # Connections on which bytes came that nobody had asked for.
        self.unasked = 0
        self.epoll = select.epoll()
        self.last_event: tuple[str, float] = ("", 0.0)
        self._clients = [Client(self) for _ in range(clients)]
        self._by_fd: dict[int, Client] = {}
        self._timers: list[tuple[float, int, Client]] = []
        self._order = itertools.count()
        self._stopping = False
        self._most = 0

    # ── for the clients ──

    def next_token(self) -> bytes:
        self.books.begun += 1
        return b"%010d" % self.books.begun

    def next(self, client: Client, now: float) -> None:
        """The client is free."""
        if self._stopping or self.books.begun >= self._most:
            client.close()
            client.state = DONE
        else:
            client.begin(now)

    def wake_at(self, client: Client, due: float) -> None:
        client.due = due
        heapq.heappush(self._timers, (due, next(self._order), client))

    def add(self, client: Client) -> None:
        self._by_fd[client.fd] = client
        self.epoll.register(client.fd, 0)

    def remove(self, client: Client) -> None:
        del self._by_fd[client.fd]
        self.epoll.unregister(client.fd)

    def answered(self, worker: int, seconds: float, now: float) -> None:
        books = self.books
        books.answered += 1
        books.workers[worker] = now
        books.slow += seconds > SLOW
        if seconds > books.slowest:
            books.slowest = seconds
            books.slowest_since_event = now - self.last_event[1] if self.last_event[0] else None

    def lost(self, client: Client, reason: str, now: float) -> None:
        name, at = self.last_event
        self.books.lost.append(
            Lost(
                reason,
                client.phase(),
                len(client.received),
                client.answers,
                now - client.began,
                now - client.opened,
                now - at if name else None,
                name,
                int(client.token),
            )
        )

    # ── the loop ──

    def run(
        self,
        requests: int = 1 << 60,
        seconds: float = 1e9,
        events: Iterable[Event] = (),
        until: Callable[[], bool] = lambda: False,
    ) -> Books:
        events = list(events)
        begun_at = time.monotonic()
        self._most, self._stopping = self.books.begun + requests, False
        for event in events:
            event.start(begun_at)
        for client in self._clients:
            self.next(client, begun_at)
        look_at = begun_at
        while any(client.state != DONE for client in self._clients):
            now = self._turn(look_at, events)
            if now >= look_at:
                look_at = now + LOOK
                if not self._stopping and (now - begun_at >= seconds or until()):
                    self._stop(events)
                self._expire(now)
        self._stop(events)
        for event in events:
            self.books.events[event.name] += event.count
        self.books.seconds += time.monotonic() - begun_at
        self.books.check()
        return self.books

    def _stop(self, events: list[Event]) -> None:
        """No request begins and nothing happens any more: nobody stays frozen while the last answers come."""
        self._stopping = True
        for event in events:
            event.finish()

    def _turn(self, look_at: float, events: list[Event]) -> float:
        due = look_at if self._stopping else min([look_at, *(event.due for event in events)])
        if self._timers:
            due = min(due, self._timers[0][0])
        ready = self.epoll.poll(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        # Before the timers: who sees that his connection was closed does not write to it.
        for fd, _ in ready:
            client = self._by_fd.get(fd)
            if client is not None:
                client.ready(now)
        self._fire(events, now)
        while self._timers and self._timers[0][0] <= now:
            at, _, client = heapq.heappop(self._timers)
            if client.due == at and client.state != DONE:
                client.timer(now)
        return now

    def _fire(self, events: list[Event], now: float) -> None:
        for event in events:
            if now >= event.due and not self._stopping and event.fire(self.books, now):
                self.last_event = (event.name, time.monotonic())

    def _expire(self, now: float) -> None:
        for client in self._clients:
            if client.state not in (IDLE, DONE) and now - client.began > REQUEST_TIMEOUT:
                client.lose("time-out", now)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.epoll.close()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
