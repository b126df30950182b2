"""A load from one thread over one epoll, which keeps exact books of what became of each request (books.py).

A request is `answered` when its answer is complete and right (status 200, the length, the token that only this request
has), `refused` when nobody listened at connect, and else `lost`. Nothing is sent twice. The application is
apps/counted.py."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from .books import Books, Lost
from .counted_client import DONE, IDLE, Client
from .counted_requests import MODES, Endpoint, Mode, expected, message
from .events import Event

__all__ = ["MODES", "Endpoint", "Load", "Mode"]

# A request that has no answer by then is lost.
REQUEST_TIMEOUT = 10.0
# An answer that took longer is counted as slow, too.
SLOW = 1.0
# How often time-outs and the end of the load are looked for.
LOOK = 0.05


class Load:
    """`run` sends requests until so many have begun, or seconds passed, or `until` says so; then it waits for those
    under way. It can run again, and another load can take its `books`: they go on."""

    def __init__(self, endpoint: Endpoint, mode: Mode, clients: int = 8, books: Books | None = None) -> None:
        if endpoint.protocol == "uwsgi":
            # Its connections have one request each.
            mode = replace(mode, keeps=False)
        self.endpoint, self.mode = endpoint, mode
        self.template = message(mode, endpoint.protocol)
        self.expected = expected(mode)
        self.books = books or Books()
        self.epoll = select.epoll()
        self.last_event: tuple[str, float] = ("", 0.0)
        self._clients = [Client(self) for _ in range(clients)]
        self._by_fd: dict[int, Client] = {}
        self._timers: list[tuple[float, int, Client]] = []
        self._order = itertools.count()
        self._stopping = False
        self._most = 0
        self._events: list[Event] = []

    # ── for the clients ──

    def next_token(self) -> bytes:
        self.books.begun += 1
        return b"%010d" % self.books.begun

    def next(self, client: Client, now: float) -> None:
        """The client is free."""
        if self._stopping or self.books.begun >= self._most:
            client.close()
            client.state = DONE
        else:
            client.begin(now)

    def wake_at(self, client: Client, due: float) -> None:
        client.due = due
        heapq.heappush(self._timers, (due, next(self._order), client))

    def add(self, client: Client) -> None:
        self._by_fd[client.fd] = client
        self.epoll.register(client.fd, 0)

    def remove(self, client: Client) -> None:
        del self._by_fd[client.fd]
        # A TLS connection that could not be made has closed its descriptor.
        with suppress(OSError):
            self.epoll.unregister(client.fd)

    def answered(self, worker: int, seconds: float, now: float) -> None:
        books = self.books
        books.answered += 1
        if worker not in books.workers:
            self._first_answer(worker)
        books.workers[worker] = now
        books.slow += seconds > SLOW
        if seconds > books.slowest:
            books.slowest = seconds
            books.slowest_since_event = now - self.last_event[1] if self.last_event[0] else None

    def _first_answer(self, worker: int) -> None:
        """While requests still begin: who answers the last ones proves nothing."""
        if not self._stopping:
            for event in self._events:
                event.first_answer(worker)

    def lost(self, client: Client, reason: str, now: float) -> None:
        name, at = self.last_event
        self.books.lost.append(
            Lost(
                reason,
                client.phase(),
                len(client.received),
                client.answers,
                now - client.began,
                now - client.opened,
                now - at if name else None,
                name,
                int(client.token),
            )
        )

    # ── the loop ──

    def run(
        self,
        requests: int = 1 << 60,
        seconds: float = 1e9,
        events: Iterable[Event] = (),
        until: Callable[[], bool] = lambda: False,
    ) -> Books:
        events = self._events = list(events)
        begun_at = time.monotonic()
        self._most, self._stopping = self.books.begun + requests, False
        for event in events:
            event.start(begun_at)
        for client in self._clients:
            self.next(client, begun_at)
        look_at = begun_at
        while any(client.state != DONE for client in self._clients):
            now = self._turn(look_at, events)
            if now >= look_at:
                look_at = now + LOOK
                if not self._stopping and (now - begun_at >= seconds or until()):
                    self._stop(events)
                self._expire(now)
        self._stop(events)
        for event in events:
            self.books.events[event.name] += event.count
            self.books.effects[event.name] += event.effects
        self.books.seconds += time.monotonic() - begun_at
        self.books.check()
        return self.books

    def _stop(self, events: list[Event]) -> None:
        """No request begins and nothing happens any more: nobody stays frozen while the last answers come."""
        self._stopping = True
        for event in events:
            event.finish()

    def _turn(self, look_at: float, events: list[Event]) -> float:
        due = look_at if self._stopping else min([look_at, *(event.due for event in events)])
        if self._timers:
            due = min(due, self._timers[0][0])
        ready = self.epoll.poll(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        # Before the timers: who sees that his connection was closed does not write to it.
        for fd, _ in ready:
            client = self._by_fd.get(fd)
            if client is not None:
                client.ready(now)
        self._fire(events, now)
        while self._timers and self._timers[0][0] <= now:
            at, _, client = heapq.heappop(self._timers)
            if client.due == at and client.state != DONE:
                client.timer(now)
        return now

    def _fire(self, events: list[Event], now: float) -> None:
        for event in events:
            if now >= event.due and not self._stopping and event.fire(self.books, now):
                self.last_event = (event.name, time.monotonic())

    def _expire(self, now: float) -> None:
        for client in self._clients:
            if client.state not in (IDLE, DONE) and now - client.began > REQUEST_TIMEOUT:
                client.lose("time-out", now)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.epoll.close()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
