"""The requests of a counted load (counted.py): how a client behaves, what it sends, and what the right answer is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache

from . import packet
from .packet import Address

# Where a request and its answer have the token.
TOKEN = b"@@@@@@@@@@"


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


def expected(mode: Mode) -> bytes:
    """How the body of the right answer begins; the worker's pid follows, in ten digits."""
    tail = TOKEN.decode() if mode.body else ""
    return f"{TOKEN.decode()} {mode.body} {tail} ".encode()
