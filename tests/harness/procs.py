"""What /proc says of the server's processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def stat(pid: int) -> list[str]:
    """The fields behind the command's name: state, parent, group, session, …; empty when the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid: int) -> bool:
    """Running or sleeping, not a zombie."""
    fields = stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def started(pid: int) -> int | None:
    """When, in clock ticks since the boot."""
    fields = stat(pid)
    return int(fields[19]) if fields else None


def ticks_now() -> int:
    """The time now, on the clock of `started`."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in (PROC / f"{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def marked(mark: str, session: int) -> list[int]:
    """Processes that were started with `mark` in their environment, or belong to the session."""
    return [pid for pid in every() if _has_mark(pid, mark) or _is_in(pid, session)]


def every() -> Iterator[int]:
    return (int(entry) for entry in os.listdir(PROC) if entry.isdecimal())


def _has_mark(pid: int, mark: str) -> bool:
    with suppress(OSError):
        return is_alive(pid) and mark.encode() in (PROC / f"{pid}/environ").read_bytes()
    return False


def _is_in(pid: int, session: int) -> bool:
    fields = stat(pid)
    return bool(fields) and fields[0] not in "ZX" and int(fields[3]) == session


def descriptors(pid: int) -> list[str]:
    """What the open descriptors of a process are; of sockets and pipes only the kind.

    Without those through which a worker looks at its threads: it opens one a thread when it first needs it.
    """
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for number in os.listdir(PROC / f"{pid}/fd"):
            with suppress(FileNotFoundError):
                found.append(os.readlink(PROC / f"{pid}/fd/{number}").split(":[")[0])
    return sorted(file for file in found if not file.startswith(f"/proc/{pid}/task/"))


def work(pids: list[int], seconds: float = 1.0) -> float:
    """How much of a processor these processes take together, on the average of some time."""
    ticks = seconds * os.sysconf("SC_CLK_TCK")

    def used() -> int:
        return sum(sum(map(int, stat(pid)[11:13])) for pid in pids)

    before = used()
    time.sleep(seconds)
    return (used() - before) / ticks


def switches(pids: list[int], seconds: float) -> int:
    """How often these processes have gone to sleep within some time."""

    def count() -> int:
        lines = [line for pid in pids for line in (PROC / f"{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))

    before = count()
    time.sleep(seconds)
    return count() - before


def catches(pid: int, number: signal.Signals) -> bool:
    """Does the process have a handler of its own for the signal?"""
    lines = (PROC / f"{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return bool(caught & 1 << number - 1)


def threads(pid: int) -> int:
    return len(os.listdir(PROC / f"{pid}/task"))


def title(pid: int) -> str:
    return (PROC / f"{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def memory(pid: int) -> int:
    """The process's share of physical memory (PSS), in bytes."""
    for line in (PROC / f"{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no Pss of {pid}")


def kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
