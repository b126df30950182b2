"""Waiting for facts that nobody announces. Whatever is announced (readiness, log lines) is waited for as an event."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

# Long enough for a loaded machine; nothing that works comes near it. SLOWNESS is for scripts/tsan.sh.
PATIENCE = 10.0 * float(os.environ.get("SLOWNESS", "1"))
STEP = 0.005


def until(ask: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """The first true answer of `ask`."""
    deadline = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain for {what}; last answer: {answer!r}")
        time.sleep(STEP)


def steady(times: int, seconds: float) -> Iterator[int]:
    """The pace of a client that is slow by nature: nobody waits for anything here."""
    for number in range(times):
        yield number
        time.sleep(seconds)
