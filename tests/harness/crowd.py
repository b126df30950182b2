"""Clients in closed loop, over whatever leads to the server, and which process served each of their requests when."""

from __future__ import annotations

import selectors
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass

from . import packet
from .http import Connection, request
from .load import ClientThreads
from .packet import Address, Response
from .wait import PATIENCE, steady


@dataclass(frozen=True)
class Served:
    """What apps/shares.py says of a request; the clock is that of the whole machine."""

    client: int
    pid: int
    began: float
    ended: float
    # As the client saw it.
    seconds: float


@dataclass(frozen=True)
class Way:
    """How a client reaches the server: `uwsgi`, `close` (HTTP, a connection a request) or `kept`."""

    kind: str
    address: Address


class Asker:
    """One client."""

    def __init__(self, way: Way, number: int = 0) -> None:
        self.way = way
        self.number = number
        self._kept = Connection(way.address) if way.kind == "kept" else None

    def ask(self, path: str) -> Served:
        started = time.monotonic()
        answer = self._answer(path)
        seconds = time.monotonic() - started
        assert answer.status == 200, answer.raw
        pid, began, ended = answer.text.split()
        return Served(self.number, int(pid), float(began), float(ended), seconds)

    def _answer(self, path: str) -> Response:
        if self.way.kind == "uwsgi":
            return packet.request(self.way.address, path)
        if self._kept:
            self._kept.send(request(path))
            return self._kept.answer()
        with Connection(self.way.address) as connection:
            connection.send(request(path, Connection="close"))
            return connection.answer()

    def close(self) -> None:
        if self._kept:
            self._kept.close()


class Crowd(ClientThreads):
    """`clients` threads, each with one request under way, until `requests` have begun or until `stop`."""

    def __init__(self, way: Way, clients: int, path: str, requests: int | None = None) -> None:
        self.served: list[Served] = []
        self._failure: BaseException | None = None
        self._clients = [Asker(way, number) for number in range(clients)]
        threads = [threading.Thread(target=self._run, args=(client, path), daemon=True) for client in self._clients]
        super().__init__(requests, threads)

    def _run(self, client: Asker, path: str) -> None:
        try:
            while self._take():
                self.served.append(client.ask(path))
        except (OSError, AssertionError) as error:
            self._failure = error

    def join(self) -> None:
        super().join()
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        super().stop()
        for client in self._clients:
            client.close()


def kept_by_one(address: Address, clients: int, path: str, requests: int) -> Counter[int]:
    """How many requests each kept connection was served while one thread asked on all of them, as soon as each could.

    Threads of a client would wait for each other, and for a processor, longer than the server makes them wait.
    """
    with ExitStack() as stack:
        return asked_by_one([stack.enter_context(Connection(address)) for _ in range(clients)], path, requests)


def asked_by_one(connections: list[Connection], path: str, requests: int) -> Counter[int]:
    """The same with connections that are there."""
    served: Counter[int] = Counter()
    with selectors.DefaultSelector() as selector:
        for number, connection in enumerate(connections):
            selector.register(connection.socket, selectors.EVENT_READ, (number, connection))
            connection.send(request(path))
        while served.total() < requests:
            ready = selector.select(PATIENCE)
            assert ready, f"no answer; {served}"
            for key, _ in ready:
                number, connection = key.data
                assert connection.answer().status == 200
                served[number] += 1
                connection.send(request(path))
        for connection in connections:
            assert connection.answer().status == 200
    return served


def crowd(way: Way, clients: int, path: str, requests: int) -> list[Served]:
    with Crowd(way, clients, path, requests) as made:
        made.join()
        return made.served


def one_by_one(way: Way, path: str, count: int, pause: float) -> list[Served]:
    """One client that takes its time between its requests."""
    with closing(Asker(way)) as client:
        return [client.ask(path) for _ in steady(count, pause)]


def running_at(all_of_them: list[Served], when: float) -> Counter[int]:
    """How many requests each process was running."""
    return Counter(one.pid for one in all_of_them if one.began <= when < one.ended)


def joined_beside_an_idle_one(all_of_them: list[Served], pids: list[int]) -> float:
    """The part of the requests that began in a process which computed already, while another had nothing to do."""
    bad = 0
    for one in all_of_them:
        running = running_at(all_of_them, one.began)
        bad += running[one.pid] > 1 and any(running[pid] == 0 for pid in pids)
    return bad / len(all_of_them)


def most_at_once(all_of_them: list[Served]) -> int:
    return max(running_at(all_of_them, one.began).total() for one in all_of_them)
