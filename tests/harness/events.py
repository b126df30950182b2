"""What happens to a server while it is under a counted load (counted.py): again and again, by pid."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import Signals

from . import procs
from .books import Books

# A worker that answered within so many seconds is there.
LATELY = 1.0
NEVER = float("inf")


class Event:
    """`act` says whether it has done something. `effects` counts how often that was seen to change something: a worker
    that was started afterwards answered, before it was done again."""

    def __init__(self, name: str, every: float, act: Callable[[Books, float], bool], times: float = NEVER) -> None:
        self.name, self.every, self.times = name, every, times
        self.count = self.effects = 0
        self.due = NEVER
        self._act = act
        # On the clock of procs.started.
        self._acted_at: int | None = None

    def start(self, now: float) -> None:
        self.due = now + self.every

    def fire(self, books: Books, now: float) -> bool:
        before = procs.ticks_now()
        acted = self._act(books, now)
        self.count += acted
        self.due = now + self.every if self.count < self.times else NEVER
        if acted:
            self._acted_at = before
        return acted

    def first_answer(self, worker: int) -> None:
        """A worker has answered that had not before."""
        if self._acted_at is not None and (procs.started(worker) or 0) >= self._acted_at:
            self.effects += 1
            self._acted_at = None

    def finish(self) -> None:
        """Undoes what must not stay."""


def signal(pid: int, number: Signals, every: float, times: float = NEVER) -> Event:
    """To the master."""

    def act(books: Books, now: float) -> bool:
        os.kill(pid, number)
        return True

    return Event(f"{number.name} to the master", every, act, times)


def touch(path: Path, every: float) -> Event:
    def act(books: Books, now: float) -> bool:
        path.touch()
        return True

    return Event("touch", every, act)


def rewrite(path: Path, text: str, every: float) -> Event:
    """In one step, so that nobody reads half of it, and with another length each time."""
    numbers = itertools.count(1)

    def act(books: Books, now: float) -> bool:
        new = path.with_suffix(".new")
        new.write_text(text + "#" * next(numbers) + "\n")
        new.rename(path)
        return True

    return Event("rewrite", every, act)


def victim(books: Books, now: float) -> int | None:
    alive = [pid for pid, at in books.workers.items() if now - at < LATELY and procs.is_alive(pid)]
    return random.choice(alive) if alive else None


def signal_worker(number: Signals, every: float) -> Event:
    """To one that answered lately."""

    def act(books: Books, now: float) -> bool:
        pid = victim(books, now)
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    return Event(f"{number.name} to a worker", every, act)


class Recycling(Event):
    """What the server does by itself: each worker that was started under the load and answered is an effect."""

    def __init__(self) -> None:
        super().__init__("recycling", NEVER, lambda books, now: False)

    def start(self, now: float) -> None:
        self._acted_at = procs.ticks_now()

    def first_answer(self, worker: int) -> None:
        self.effects += (procs.started(worker) or 0) > (self._acted_at or 0)


class Freeze(Event):
    """Stops a worker, and continues it when it is due the next time: after the last time when the load ends.
    A worker that was stopped and continued is an effect."""

    def __init__(self, every: float, times: float = NEVER) -> None:
        super().__init__("STOP and CONT", every, self._turn, times)
        self.frozen: int | None = None

    def _turn(self, books: Books, now: float) -> bool:
        if self.frozen is not None:
            self.finish()
            return False
        self.frozen = victim(books, now)
        if self.frozen is not None:
            os.kill(self.frozen, Signals.SIGSTOP)
        return self.frozen is not None

    def first_answer(self, worker: int) -> None:
        """Whoever is new is not of its making."""

    def finish(self) -> None:
        if self.frozen is not None:
            with suppress(ProcessLookupError):
                os.kill(self.frozen, Signals.SIGCONT)
                self.effects += 1
        self.frozen = None
