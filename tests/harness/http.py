"""A raw HTTP client: what it sends is bytes, and of the answers it knows where each ends."""

from __future__ import annotations

import socket

from . import packet
from .packet import Address, Response


class Connection:
    def __init__(self, address: Address) -> None:
        self.socket = packet.connect(address)
        if isinstance(address, tuple):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        try:
            got = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._held += got
        return bool(got)

    def answer(self, head: bool = False) -> Response:
        """The next answer; `head`: to a HEAD request, so without a body whatever it says of one."""
        while b"\r\n\r\n" not in self._held:
            assert self._more(), f"the connection ended within {self._held[:200]!r}"
        found = Response.parse(self._held.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self._held = self._held.partition(b"\r\n\r\n")[2]
        if not head and found.status >= 200 and found.status not in (204, 304):
            found.body = self._body(found)
        return found

    def _body(self, found: Response) -> bytes:
        if found.header("Transfer-Encoding") == "chunked":
            return self._chunks()
        length = found.header("Content-Length")
        if length is not None:
            return self._take(int(length))
        while self._more():
            pass
        body, self._held = self._held, b""
        return body

    def _take(self, length: int) -> bytes:
        while len(self._held) < length:
            assert self._more(), f"{len(self._held)} of {length} bytes came"
        body, self._held = self._held[:length], self._held[length:]
        return body

    def _line(self) -> bytes:
        while b"\r\n" not in self._held:
            assert self._more(), "the connection ended within the chunks"
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line(), 16):
            body += self._take(size)
            assert self._line() == b""
        assert self._line() == b""
        return body

    def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        while self._more():
            pass
        rest, self._held = self._held, b""
        return rest

    def is_closed(self) -> bool:
        """The server has closed it, and sent nothing more before."""
        return self._held == b"" and not self._more()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(path: str = "/", method: str = "GET", body: bytes = b"", version: str = "1.1", **headers: str) -> bytes:
    """`Content_Length="3"` is a header."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in given.items())]
    if version == "1.1" and "Host" not in given:
        lines.append("Host: example.test")
    if body and "Content-Length" not in given and "Transfer-Encoding" not in given:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
