"""The real server as a process of its own, on sockets that it inherits, with what it says and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from . import packet, procs
from .log import Log
from .notify import Notifications
from .packet import Address, Response
from .wait import PATIENCE, until

TESTS = Path(__file__).resolve().parent.parent
APPS = TESTS / "apps"

Value = str | int | bool | os.PathLike[str] | list[str]


def spelled(options: dict[str, Value]) -> list[str]:
    """Keyword arguments as the command line has them: `lazy_apps=True` → `--lazy-apps`."""
    words = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        for one in value if isinstance(value, list) else [value]:
            words.append(option if one is True else f"{option}={one}")
    return words


def listener() -> socket.socket:
    """A listening socket on a port of the kernel's choice."""
    made = socket.create_server(("127.0.0.1", 0), backlog=1024)
    made.set_inheritable(True)
    return made


@dataclass
class Worker:
    id: int
    pid: int
    stage: str
    generation: int
    requests: int
    exceptions: int
    gone: int
    refused: int


WORKER = re.compile(
    r"  worker (\d+) \(pid (\d+)\): (.+), generation (\d+), (\d+) requests, (\d+) exceptions, (\d+) clients gone, "
    r"(\d+) refused, up \d+ s"
)


class Server:
    """`app` is a file of tests/apps without its extension; None when the options say what to serve."""

    def __init__(
        self,
        app: str | None = None,
        *arguments: str,
        uwsgi: bool = True,
        http: bool = False,
        binds: bool = False,
        https: str | None = None,
        to_https: int | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        command: list[str] | None = None,
        may_keep_files: bool = False,
        output: int | None = None,
        **options: Value,
    ) -> None:
        self.mark = f"MARK_OF_THE_TEST={uuid.uuid4()}"
        self.status = 0
        self.gone: list[Path] = []
        self.may_keep_files = may_keep_files
        # Where the log goes instead of being read at once.
        self.output = output
        # Who gets the signals, when the master is not the process that was started.
        self.master: int | None = None
        self.notifications = Notifications()
        self._listeners: list[socket.socket] = []
        words = list(command or [sys.executable, "-m", "rwsgi"])
        if uwsgi:
            self.address, fd = self._listen()
            words.append(f"--socket=fd://{fd}")
        if http:
            self.http_address, fd = self._listen()
            words.append(f"--http-socket=fd://{fd}")
        self._binds = binds
        if binds:
            # A socket of the server's own: an inherited one is left to whoever made it when the server stops.
            words.append("--http-socket=127.0.0.1:0")
        if https is not None:
            # What stands behind the address: CERTIFICATE,KEY[,CIPHERS[,CLIENT_CA]].
            self.https_address, fd = self._listen()
            words.append(f"--https=fd://{fd},{https}")
        if to_https is not None:
            self.redirecting_address, fd = self._listen()
            words.append(f"--http-to-https=fd://{fd},{to_https}")
        if app is not None:
            words += [f"--pythonpath={APPS}", f"--module={app}"]
        words += [*arguments, *spelled(options)]
        self._start(words, env or {}, cwd)

    def _listen(self) -> tuple[tuple[str, int], int]:
        made = listener()
        self._listeners.append(made)
        return made.getsockname(), made.fileno()

    def _start(self, words: list[str], env: dict[str, str], cwd: Path | None) -> None:
        reading, writing = os.pipe()
        name, _, value = self.mark.partition("=")
        inherited = {key: text for key, text in os.environ.items() if not key.startswith("RWSGI_")}
        # Nothing may write .pyc files beside the apps: a reload within a second must see new code.
        ours = {"NOTIFY_SOCKET": self.notifications.name, "PYTHONDONTWRITEBYTECODE": "1", name: value}
        try:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=writing if self.output is None else self.output,
                stderr=writing if self.output is None else self.output,
                env=inherited | ours | env,
                cwd=cwd,
                pass_fds=[made.fileno() for made in self._listeners],
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self.log = Log(reading)
        # From now on only the server listens: when it is gone, so is the port.
        for made in self._listeners:
            made.close()

    # ── while it runs ──

    @property
    def pid(self) -> int:
        return self.master or self.process.pid

    def wait_ready(self, patience: float = PATIENCE) -> Server:
        try:
            self.notifications.wait("READY=1", process=self.pid, patience=patience)
        except AssertionError as error:
            raise AssertionError(f"the server did not get ready: {error}\n{self.log.text}") from None
        if self._binds:
            port = self.log.find(r"serves .* on .*\bhttp://127\.0\.0\.1:(\d+)")[1]
            self.http_address = ("127.0.0.1", int(port))
        self._files = {pid: procs.descriptors(pid) for pid in procs.children(self.pid)}
        return self

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def reload(self, wait_for_old: bool = True) -> None:
        """SIGHUP, until the new generation serves and, mostly, the old one is gone."""
        generation = 1 + max(worker.generation for worker in self.workers())
        self.log.expect("SIGHUP: starting generation", "generation .* serves; the old workers finish")
        self.signal(signal.SIGHUP)
        self.notifications.wait("RELOADING=1")
        self.notifications.wait("READY=1")
        if wait_for_old:
            until(lambda: all(worker.generation == generation for worker in self.workers()), "the old workers to go")

    def workers(self) -> list[Worker]:
        """All workers, as SIGUSR1 makes the master tell."""
        return until(self._ask_for_workers, "a status with the pid of every worker")

    def _ask_for_workers(self) -> list[Worker]:
        before = sum("status: " in line for line in self.log.lines)
        self.signal(signal.SIGUSR1)
        self.log.find("status: ", before + 1)
        # The status is one write, but may be read in two.
        until(lambda: self._rows_of_status(), "the rows of the status")
        matches = [WORKER.fullmatch(row) for row in self._rows_of_status()]
        return (
            [Worker(int(m[1]), int(m[2]), m[3], *map(int, m.groups()[3:])) for m in matches if m]
            if all(matches)
            else []
        )

    def _rows_of_status(self) -> list[str]:
        """What the last status says of workers."""
        lines = self.log.lines
        last = max(at for at, line in enumerate(lines) if "status: " in line)
        return [line for line in lines[last:] if line.startswith("  worker ")]

    def worker_pids(self) -> list[int]:
        return [worker.pid for worker in self.workers() if worker.stage == "ready"]

    @property
    def processes(self) -> list[int]:
        return procs.marked(self.mark, self.process.pid)

    def request(self, path: str = "/", method: str = "GET", body: bytes | None = None, **more: str) -> Response:
        return packet.request(self.address, path, method, body, **more)

    def connect(self) -> socket.socket:
        return packet.connect(self.address)

    # ── its end ──

    def wait_exit(self, patience: float = PATIENCE) -> int:
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            text = self.log.text
            procs.kill(self.processes)
            self.process.wait()
            raise AssertionError(f"the server did not end within {patience:.0f} s\n{text}") from None
        self.log.finish()
        return status

    def close(self) -> None:
        """Stops the server, then looks at what it said and left."""
        try:
            leaks = [] if self.may_keep_files or self.process.poll() is not None else self._leaks()
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            status = self.wait_exit()
            strays = self.processes
        finally:
            procs.kill(self.processes)
            self.process.wait()
            self.notifications.close()
        self.log.finish()
        assert status == self.status, f"exit status {status} instead of {self.status}\n{self.log.text}"
        assert not strays, f"processes are left: {strays}"
        self.log.check()
        assert not leaks, "\n".join(leaks)
        left = [path for path in self.gone if os.path.lexists(path)]
        assert not left, f"files are left: {left}"

    def _leaks(self) -> list[str]:
        """Descriptors that workers have more than when they were ready. They close a moment after an answer."""
        try:
            until(lambda: not self._surplus(), "descriptors to be closed")
        except AssertionError:
            return self._surplus()
        return []

    def _surplus(self) -> list[str]:
        found = []
        for pid, before in getattr(self, "_files", {}).items():
            now = procs.descriptors(pid)
            if len(now) > len(before):
                found.append(f"process {pid} leaks descriptors: {before} became {now}")
        return found

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        # The test has failed already: what the server says is of more use than what it leaves.
        procs.kill(self.processes)
        self.process.wait()
        self.notifications.close()
        self.log.finish()


@contextmanager
def held(address: Address, data: bytes) -> Iterator[socket.socket]:
    """A connection on which bytes have been sent, and nothing was read yet."""
    with packet.connect(address) as client:
        client.sendall(data)
        yield client
