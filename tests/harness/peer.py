"""The real uWSGI, with which answers and environs are compared. The environment variable UWSGI names its program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from . import packet
from .packet import Address
from .server import APPS
from .wait import PATIENCE, until


def find() -> str:
    program = os.environ.get("UWSGI")
    if program:
        return program
    advice = "UWSGI does not name the real uWSGI 2.0.31 (make test installs it)"
    if os.environ.get("CI"):
        pytest.fail(advice)
    pytest.skip(advice)


class Uwsgi:
    def __init__(self, directory: Path, app: str, *words: str) -> None:
        self.address: Address = str(directory / "peer")
        self.log = directory / "peer.log"
        command = [find(), "--uwsgi-socket", self.address, "--module", app, "--pythonpath", str(APPS), "--master"]
        command += ["--need-app", "--die-on-term", "--buffer-size", "65535", "--max-vars", "500", *words]
        env = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI")}
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        until(self._answers, "uWSGI to answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return packet.exchange(self.address, packet.head(100, 0)) == packet.head(100, 0, 1)
        except OSError:
            return False

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
