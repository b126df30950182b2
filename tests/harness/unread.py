"""A stream that takes nothing more, since nobody reads it: what a server's stderr may become."""

from __future__ import annotations

import fcntl
import os
import socket
import tty
from collections.abc import Callable
from contextlib import suppress

FILLER = "filler.\n"
F_SETPIPE_SZ = 1031
KINDS = ["pipe", "socket", "terminal"]


class Unread:
    """`writing` is for the server; `reading` is for who reads it after all."""

    def __init__(self, kind: str) -> None:
        make: dict[str, Callable[[], tuple[int, int]]] = {"pipe": pipe, "socket": pair, "terminal": terminal}
        self.reading, self.writing = make[kind]()
        self.fill()

    def fill(self) -> None:
        """Without O_NONBLOCK on the stream itself: the server gets it as a shell would hand it over."""
        with suppress(BlockingIOError):
            while True:
                self._write(FILLER.encode())

    def _write(self, data: bytes) -> None:
        try:
            own = os.open(f"/proc/self/fd/{self.writing}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            with socket.socket(fileno=os.dup(self.writing)) as stream:
                stream.send(data, socket.MSG_DONTWAIT)
            return
        with os.fdopen(own, "wb", buffering=0) as stream:
            if stream.write(data) is None:
                raise BlockingIOError

    def close_writing(self) -> None:
        """The server alone holds it now."""
        if self.writing >= 0:
            os.close(self.writing)
        self.writing = -1

    def close_reading(self) -> None:
        if self.reading >= 0:
            os.close(self.reading)
        self.reading = -1

    def close(self) -> None:
        self.close_writing()
        self.close_reading()


def pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    return reading, writing


def pair() -> tuple[int, int]:
    reading, writing = socket.socketpair()
    writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return reading.detach(), writing.detach()


def terminal() -> tuple[int, int]:
    reading, writing = os.openpty()
    tty.setraw(writing)
    return reading, writing
