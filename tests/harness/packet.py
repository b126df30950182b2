"""A front end that speaks the uwsgi protocol, byte by byte as the test wants it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .wait import PATIENCE

# ("127.0.0.1", 3031), a path, or "\0name"
Address = tuple[str, int] | str
Vars = Mapping[str, "str | bytes"] | Iterable[tuple["str | bytes", "str | bytes"]]


@dataclass
class Response:
    raw: bytes
    status_line: str
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Response:
        head, separator, body = raw.partition(b"\r\n\r\n")
        assert separator, f"no whole head in {raw[:500]!r}"
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(": ") for line in lines]
        return cls(raw, status, [(name, value) for name, _, value in pairs], body)

    @property
    def status(self) -> int:
        return int(self.status_line.split()[1])

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str | None:
        """The only header of this name."""
        found = self.all(name)
        assert len(found) < 2, f"{name} comes {len(found)} times"
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


def _bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text


def block(variables: Vars) -> bytes:
    pairs = variables.items() if isinstance(variables, Mapping) else variables
    out = bytearray()
    for key, value in pairs:
        for text in (_bytes(key), _bytes(value)):
            out += struct.pack("<H", len(text)) + text
    return bytes(out)


def head(modifier1: int, size: int, modifier2: int = 0) -> bytes:
    return struct.pack("<BHB", modifier1, size, modifier2)


def packet(variables: Vars, modifier1: int = 0) -> bytes:
    packed = block(variables)
    return head(modifier1, len(packed)) + packed


def variables(path: str = "/", method: str = "GET", body: bytes | None = None, **more: str) -> dict[str, str]:
    """What nginx's uwsgi_params sends."""
    path_info, _, query = path.partition("?")
    found = {
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": "" if body is None else str(len(body)),
        "REQUEST_URI": path,
        "PATH_INFO": path_info,
        "DOCUMENT_ROOT": "/srv",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "40000",
        "SERVER_PORT": "80",
        "SERVER_NAME": "example.test",
        "HTTP_HOST": "example.test",
    }
    return found | more


def connect(address: Address, timeout: float = PATIENCE) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(timeout)
    try:
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def read_all(client: socket.socket) -> bytes:
    """Up to the end of the connection."""
    chunks = []
    while chunk := client.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def exchange(address: Address, data: bytes, *, pieces: Iterable[bytes] = ()) -> bytes:
    """Sends bytes, in one go or in pieces, and reads until the server closes."""
    with connect(address) as client:
        client.sendall(data)
        for piece in pieces:
            client.sendall(piece)
        return read_all(client)


def request(
    address: Address, path: str = "/", method: str = "GET", body: bytes | None = None, modifier1: int = 0, **more: str
) -> Response:
    """One request; `more` are further variables, or other values for the usual ones."""
    sent = packet(variables(path, method, body, **more), modifier1) + (body or b"")
    return Response.parse(exchange(address, sent))
