"""Starts a variant the way a work wants it, in a directory of its own, and takes everything down again."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import nginx
from load import wait_ready
from model import APPS, REPO, Setup, Variant
from peers import PEERS, Home
from procs import Server, ServerFailed


@dataclass
class Running:
    """A peer that answers, and the address at which clients reach it."""

    server: Server
    address: str
    directory: Path
    python: str
    scheme: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host, int(port)


@dataclass
class Stage:
    homes: dict[str, Home]
    quick: bool = False
    commands: dict[str, str] = field(default_factory=dict)  # variant → its command, as the report shows it

    def seconds(self, wanted: float) -> float:
        return 1 if self.quick else wanted

    @functools.cached_property
    def loops_per_ms(self) -> str:
        """How many loops of apps/cpu.py take a millisecond of CPU here: measured once, the same for all."""
        python = next(home.python for home in self.homes.values() if home.python)
        command = [python, str(APPS / "cpu.py")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    @contextmanager
    def serve(self, variant: Variant, setup: Setup, ready: str = "/") -> Iterator[Running]:
        setup = variant.apply(setup)
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rwsgi-bench-")))
            front = nginx.free_address()
            setup = replace(setup, address=place_of(setup, front, directory))
            if setup.address != front:
                stack.callback(self._front(setup, directory, front).stop)
            if setup.tls:
                setup = certified(setup, directory)
            server = self.launch(variant, setup, directory)
            stack.callback(server.stop)
            if setup.protocol == "uwsgi":
                wait_for_socket(server, setup.address)
            scheme = "https" if setup.tls else "http"
            wait_ready(server, f"{scheme}://{front}{ready}")
            yield Running(server, front, directory, self.homes[variant.peer].python, scheme)

    def _front(self, setup: Setup, directory: Path, address: str) -> Server:
        if setup.protocol == "uwsgi":
            command = nginx.write(directory, address, nginx.front_of(setup.address))
        else:
            command = nginx.write(directory, address, nginx.PROXY, nginx.upstream(setup.address))
        return Server(command, directory / "nginx.log", dict(os.environ), directory)

    def launch(self, variant: Variant, setup: Setup, directory: Path) -> Server:
        home = self.homes[variant.peer]
        command = PEERS[variant.peer].command(home, setup, directory)
        self.commands[variant.name] = shown(command, home, setup, directory)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BENCH_"))}
        env |= {"PYTHONPATH": f"{setup.chdir}:{APPS}", **dict(setup.env)}
        return Server(command, directory / "server.log", env, setup.chdir)


def place_of(setup: Setup, front: str, directory: Path) -> str:
    """Where the server listens: at the address of the front, or behind it."""
    if setup.protocol == "uwsgi":
        return str(directory / "app.sock")
    return nginx.free_address() if setup.behind_nginx else front


def certified(setup: Setup, directory: Path) -> Setup:
    """With a certificate that nobody has signed."""
    setup = replace(setup, certificate=str(directory / "tls.crt"), key=str(directory / "tls.key"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=localhost", "-days", "2", "-out", setup.certificate, "-keyout", setup.key]
    subprocess.run(command, check=True, capture_output=True)
    return setup


def wait_for_socket(server: Server, path: str, patience: float = 20) -> None:
    deadline = time.monotonic() + patience
    while not Path(path).exists():
        server.check()
        if time.monotonic() > deadline:
            raise ServerFailed(f"no socket in {patience:g} s: {server.last_words()}")
        time.sleep(0.02)


def shown(command: list[str], home: Home, setup: Setup, directory: Path) -> str:
    """The command without the paths and ports of this one run."""
    places = {setup.address: "app.sock" if setup.protocol == "uwsgi" else "127.0.0.1:8000"}
    places |= {setup.port: "8000"} if setup.protocol == "http" else {}
    places |= {setup.statics: "files"} if setup.statics else {}
    if home.python:
        virtualenv = str(Path(home.python).parent.parent)
        places |= {f"{virtualenv}/bin/": "", virtualenv: "venv"}
    places |= {f"{Path(home.program).parent}/": ""} if "/" in home.program else {}
    places |= {f"{directory}/": "", str(directory): "."}
    places |= {f"{REPO}/": ""}
    text = shlex.join(command)
    for found, instead in places.items():
        text = text.replace(found, instead)
    return text
