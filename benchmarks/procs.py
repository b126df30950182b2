"""A server as a process tree: started, watched, measured and stopped, all by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A peer did not start, died, or answered wrongly."""


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/<pid>/stat that matter here."""

    parent: int
    session: int
    ticks: int  # user and system, own and those of reaped children


def read_stat(pid: int) -> Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return Stat(parent=int(fields[1]), session=int(fields[3]), ticks=sum(map(int, fields[11:15])))


def all_stats() -> dict[int, Stat]:
    stats = {pid: read_stat(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    return {pid: stat for pid, stat in stats.items() if stat}


def tree(root: int) -> dict[int, Stat]:
    """The live processes below `root`, and those of its session that lost their parent."""
    stats = all_stats()
    found = {pid for pid, stat in stats.items() if pid == root or stat.session == root}
    size = 0
    while size != len(found):
        size = len(found)
        found |= {pid for pid, stat in stats.items() if stat.parent in found}
    return {pid: stats[pid] for pid in found}


def in_session(leader: int) -> list[int]:
    """A session's number is not given away again while anybody is in it: safe to kill by."""
    return [pid for pid, stat in all_stats().items() if stat.session == leader]


def pss_kib(pid: int) -> tuple[int, int]:
    """(Pss, Pss_Anon) of one process in KiB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = dict(line.split(":", 1) for line in lines[1:])
    return int(sizes["Pss"].split()[0]), int(sizes["Pss_Anon"].split()[0])


def sleeps(pid: int) -> int:
    """How often the threads of a process gave the CPU away to wait."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(fields["voluntary_ctxt_switches"])
    return total


def be_nice(pid: int, nice: int) -> None:
    """Linux gives each session a share of the CPU (sched_autogroup), within which alone nice values count."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


class Server:
    """One started peer. It leads a session of its own, so that nothing of it gets lost."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str], cwd: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self.process.pid
        if nice := os.nice(0):
            be_nice(self.pid, nice)

    def check(self) -> None:
        if self.process.poll() is not None:
            raise ServerFailed(f"ended with {self.process.returncode}: {self.last_words()}")

    def last_words(self, lines: int = 4) -> str:
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " | ".join(text[-lines:])

    def cpu_seconds(self) -> float:
        return sum(stat.ticks for stat in tree(self.pid).values()) / TICK

    def sleeps(self) -> int:
        return sum(sleeps(pid) for pid in tree(self.pid))

    def memory_kib(self) -> tuple[int, int]:
        sizes = [pss_kib(pid) for pid in tree(self.pid)]
        return sum(pss for pss, _ in sizes), sum(anon for _, anon in sizes)

    def processes(self) -> int:
        return len(tree(self.pid))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, patience: float = 10) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self._kill_leftovers()
        self.process.wait()

    def _kill_leftovers(self) -> None:
        deadline = time.monotonic() + 5
        while (left := in_session(self.pid)) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.02)
