"""A real haproxy in front, on a socket that it inherits."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from . import packet, programs
from .packet import Address
from .wait import PATIENCE

CONFIGURATION = """
global
    stats socket {dir}/stats level admin
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    timeout check 2s
    option http-keep-alive
    http-reuse always
frontend front
    bind fd@{fd}
    default_backend app
backend app
    {backend}
    server app {server} {options}
"""


class Haproxy:
    """`backend` are lines of its section, `options` those of the server in it."""

    def __init__(self, directory: Path, address: tuple[str, int], backend: str = "", options: str = "") -> None:
        self._stats = directory / "stats"
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
            self.address: Address = listener.getsockname()
            listener.set_inheritable(True)
            text = CONFIGURATION.format(
                dir=directory,
                fd=listener.fileno(),
                backend=backend,
                server="{}:{}".format(*address),
                options=options,
            )
            (directory / "haproxy.cfg").write_text(text)
            self._process = subprocess.Popen(
                [programs.find("haproxy"), "-db", "-q", "-f", str(directory / "haproxy.cfg")],
                stdin=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
            )

    def check(self) -> tuple[str, str, str]:
        """What its health check has found out: UP or DOWN, the kind of the result, the status that was answered."""
        shown = packet.exchange(str(self._stats), b"show stat\n").decode()
        names, *rows = (line.split(",") for line in shown.removeprefix("# ").splitlines() if line)
        facts = next(dict(zip(names, row, strict=True)) for row in rows if row[1] == "app")
        return facts["status"], facts["check_status"].removeprefix("* "), facts["check_code"]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
