"""Many requests at once, from threads of the test's own process; what did not end well is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from . import packet
from .http import Connection, request
from .packet import Address, Response
from .wait import PATIENCE, steady

if TYPE_CHECKING:
    # Of Python 3.11, and the tests run on 3.10.
    from typing import Self


class ClientThreads:
    """Threads that send requests until a number of them has begun, or until `stop`."""

    def __init__(self, requests: int | None, threads: list[threading.Thread]) -> None:
        self._left = requests
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = threads

    def _take(self) -> bool:
        """Is another request to be sent?"""
        if self._stop.is_set():
            return False
        if self._left is None:
            return True
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def join(self) -> None:
        for thread in self._threads:
            thread.join(6 * PATIENCE)
            assert not thread.is_alive(), "a request does not end"

    def stop(self) -> None:
        self._stop.set()
        self.join()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Load(ClientThreads):
    """`clients` threads that send requests until `requests` are done, or until `stop`."""

    def __init__(
        self,
        address: Address,
        clients: int,
        requests: int | None = None,
        path: str = "/",
        check: Callable[[Response], bool] = lambda response: response.status == 200,
    ) -> None:
        self.failures: list[str] = []
        self.times: list[float] = []
        self._address = address
        self._packet = packet.packet(packet.variables(path))
        self._check = check
        super().__init__(requests, [threading.Thread(target=self._run, daemon=True) for _ in range(clients)])

    def _run(self) -> None:
        while self._take():
            began = time.monotonic()
            try:
                response = Response.parse(packet.exchange(self._address, self._packet))
                problem = None if self._check(response) else f"{response.status_line}: {response.body[:100]!r}"
            except (OSError, AssertionError) as error:
                problem = f"{type(error).__name__}: {error}"
            with self._lock:
                self.times.append(time.monotonic() - began)
                if problem:
                    self.failures.append(problem)

    @property
    def done(self) -> int:
        return len(self.times)


def percentile(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) * percent // 100, len(times) - 1)]


def answer_times(connection: Connection, count: int, path: str = "/", pause: float = 0) -> list[float]:
    times = []
    for _ in steady(count, pause):
        began = time.monotonic()
        connection.send(request(path))
        assert connection.answer().status == 200
        times.append(time.monotonic() - began)
    return times


def are_held_up(times: list[float], alone: list[float]) -> bool:
    """Compared with the times of the same requests when nobody was in the way, since the machine may be busy."""
    return percentile(times, 99) > max(0.05, 10 * percentile(alone, 99))
