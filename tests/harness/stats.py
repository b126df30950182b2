"""Readers of a stats server, rwsgi's or uWSGI's: one that only reads, and one that looks at a screen."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pyte

from . import packet
from .packet import Address
from .server import Server
from .wait import PATIENCE

ENABLED = r"\*\*\* Stats server enabled on (\S+) fd: \d+ \*\*\*"


def address_of(text: str) -> Address:
    """As the log writes it."""
    if text.startswith("@"):
        return "\0" + text[1:]
    host, colon, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdecimal() else text


def address(server: Server, number: int = 1) -> Address:
    """That of the server's stats socket, the first or another."""
    return address_of(server.log.wait(ENABLED, number)[1])


def read_text(where: Address) -> str:
    with packet.connect(where) as client:
        return packet.read_all(client).decode()


def read(where: Address) -> dict[str, Any]:
    """The whole document of a stats server that is not asked."""
    found = json.loads(read_text(where))
    assert isinstance(found, dict)
    return found


def uwsgitop(where: Address) -> list[str]:
    """What starts it for this address, or for a URL."""
    program = shutil.which("uwsgitop", path=str(Path(sys.executable).parent))
    assert program, "uwsgitop is not installed (make test installs it)"
    return [program, f"{where[0]}:{where[1]}" if isinstance(where, tuple) else where.replace("\0", "@")]


class Screen:
    """A program on a terminal, and what a person would see there."""

    def __init__(self, command: list[str], columns: int = 200, lines: int = 24) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._terminal, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        env = {**os.environ, "TERM": "linux", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
        os.close(terminal)

    def wait(self, *texts: str) -> list[str]:
        """The lines of the screen, as soon as all of these stand on it."""
        deadline = time.monotonic() + PATIENCE
        while not all(any(text in line for line in self._screen.display) for text in texts):
            assert time.monotonic() < deadline and self._follow(), "\n".join(
                ["not on the screen: " + repr(texts), *self._screen.display]
            )
        return [line.rstrip() for line in self._screen.display]

    def _follow(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], PATIENCE)
        try:
            data = os.read(self._terminal, 65536) if ready else b""
        except OSError:
            # The program has ended.
            data = b""
        self._stream.feed(data)
        return bool(data)

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)
