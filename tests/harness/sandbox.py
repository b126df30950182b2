"""A sandbox for a server: ports that nobody else has, and empty /tmp, /home, /root and /var/log where it may write.

With the right to make namespaces (root, mostly) a configuration runs in it to the letter. Without, what this machine
does not give is exchanged in the text: those directories for ones of the sandbox, taken ports for free ones, and other
users for the one who runs the tests.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from . import namespace
from .namespace import PLACES
from .packet import Address

T = TypeVar("T")


class Sandbox:
    def __init__(self, directory: Path, private: bool | None = None) -> None:
        """`private`: whether it has namespaces; left out, it has them if it may."""
        self.directory = directory
        # For the users that a configuration names.
        directory.chmod(0o755)
        for place in PLACES:
            self.make(place)
        self.is_private = self._opens() if private is None else private
        self._ports: dict[str, str] = {}

    def _opens(self) -> bool:
        tried = subprocess.run([*self._door, "true"], cwd=self.directory, capture_output=True, text=True)
        denied = "PermissionError" in tried.stderr
        assert tried.returncode == 0 or denied, tried.stderr
        return not denied

    @property
    def _door(self) -> list[str]:
        return [sys.executable, namespace.__file__, str(self.directory)]

    @property
    def command(self) -> list[str]:
        """What starts the server in here."""
        return [*(self._door if self.is_private else []), sys.executable, "-m", "rwsgi"]

    def make(self, path: str) -> None:
        """A directory among the places."""
        self.path(path).mkdir(parents=True)

    def path(self, path: str) -> Path:
        """Where the rest of the system sees a path of the places."""
        return self.directory / "rooted" / path.lstrip("/")

    def text(self, text: str) -> str:
        """A configuration, as it can run in here."""
        if self.is_private:
            return text
        text = re.sub(r"(?<![\w.])/(?:tmp|home|root|var/log)/", lambda found: f"{self.path(found[0])}/", text)
        text = re.sub(r"(?<=:)\d{4,5}\b", lambda found: self._port(found[0]), text)
        return re.sub(r"(?m)^([ug]id)=\d+", lambda found: f"{found[1]}={getattr(os, 'get' + found[1])()}", text)

    def _port(self, port: str) -> str:
        if port not in self._ports:
            with socket.socket() as probe:
                try:
                    probe.bind(("0.0.0.0", int(port)))
                except OSError:
                    probe.bind(("0.0.0.0", 0))
                self._ports[port] = str(probe.getsockname()[1])
        return self._ports[port]

    def address(self, text: str) -> Address:
        """Where a client finds what a configuration calls so: `host:port` or a path."""
        host, _, port = text.rpartition(":")
        if not port.isdecimal():
            return str(self.path(text))
        return (host, int(port if self.is_private else self._port(port)))

    def inside(self, pid: int, call: Callable[[], T]) -> T:
        """Calls from the network of the server `pid`: in a thread, since only a thread can go there."""
        if not self.is_private:
            return call()

        def go_and_call() -> T:
            namespace.join_network(pid)
            return call()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(go_and_call).result()
