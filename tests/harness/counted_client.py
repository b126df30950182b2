"""A client of a counted load (counted.py): a connection and what goes over it, as a machine of states."""

from __future__ import annotations

import errno
import select
import socket
import ssl
from typing import TYPE_CHECKING

from .counted_requests import TOKEN, Head, parse_head

if TYPE_CHECKING:
    from .counted import Load

# How long a client waits after it was refused, and before it tries a unix socket again whose backlog is full.
AFTER_REFUSAL = 0.01
BACKLOG_FULL = 0.001

REFUSALS = {errno.ECONNREFUSED, errno.ENOENT}
UNDER_WAY = {errno.EINPROGRESS, errno.EALREADY}

IDLE, CONNECTING, DELAYED, SENDING, WAITING, READING, DONE = range(7)
PHASES = {CONNECTING: "connect", DELAYED: "before the request", SENDING: "request", WAITING: "first byte"}
PHASES[READING] = "answer"


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
            self.close()
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
            try:
                self.socket = TlsSocket(self.socket, self.load.endpoint.tls)
            except OSError as error:
                self.lose(reason_of(error), now)
                return
        late = self.load.mode.late
        if late:
            self.state = DELAYED
            self.load.epoll.modify(self.fd, select.EPOLLIN)
            self.load.wake_at(self, now + late)
        else:
            self._send(now)

    def _send(self, now: float) -> None:
        was_waiting = self.state in (CONNECTING, SENDING)
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
        if self.unsent or was_waiting:
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
            # An answer that nobody has asked for (408) is how some say that they close.
            self._ended("an answer without a request", now)
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
