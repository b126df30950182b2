"""Those whom metrics are pushed to: a socket for datagrams, and a carbon server."""

from __future__ import annotations

import socket
from types import TracebackType

from .wait import PATIENCE


class Datagrams:
    """Receives datagrams on a port of its own."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # A push is one datagram for each metric.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.port: int = self.socket.getsockname()[1]

    def receive(self) -> str:
        return self.socket.recv(65536).decode()

    def push(self, first: str) -> list[str]:
        """A whole push: from the datagram that begins so to the one before it comes again."""
        found: list[str] = []
        while True:
            text = self.receive()
            if text.startswith(first) and found:
                return found
            if text.startswith(first) or found:
                found.append(text)

    def __enter__(self) -> Datagrams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


class Carbon:
    """Takes what is sent to carbon, a connection at a time."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.create_server(("127.0.0.1", port))
        self.socket.settimeout(PATIENCE)
        self.port: int = self.socket.getsockname()[1]

    def accept(self) -> socket.socket:
        client, _ = self.socket.accept()
        client.settimeout(PATIENCE)
        return client

    def sending(self) -> list[list[str]]:
        """Name, value and time of each line of the next connection."""
        with self.accept() as client:
            text = b""
            while part := client.recv(65536):
                text += part
        assert text.endswith(b"\n")
        return [line.split(" ") for line in text.decode().splitlines()]

    def __enter__(self) -> Carbon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
