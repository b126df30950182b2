"""Readers of a stats server, rwsgi's or uWSGI's."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from . import packet
from .packet import Address
from .server import Server

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
