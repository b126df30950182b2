"""Runs cells: one start of a server for all cells that it can serve, and what its clients and the machine saw."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import wagtail_site
from balance_names import CPU_MS, FRONTS, Cell
from client import Client, Manner, Tally
from model import Setup, Variant
from procs import ServerFailed
from stage import Running, Stage
from stats import jain, percentile

SETTLE = 0.4  # seconds of a load that are not counted
QUICK = "/?c0.1"
QUICK_PAUSE = 0.02
SLEEP_MS = 20
PATHS = {"cpu": f"/?c{CPU_MS}", "page": "/?c2,s10,c2,s5,c1", "sleep": f"/?s{SLEEP_MS}", "wagtail": "/"}

Figures = dict[str, float]


@dataclass
class Machine:
    """What the processors did, in seconds since the boot."""

    idle: float
    server: float
    now: float

    @staticmethod
    def look(running: Running) -> Machine:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return Machine(int(fields[4]) / ticks, running.server.cpu_seconds(), time.monotonic())

    def since(self, before: Machine) -> Figures:
        """How many processors the server took, and how many nobody did."""
        seconds = self.now - before.now
        return {"cpu": (self.server - before.server) / seconds, "idle": (self.idle - before.idle) / seconds}


def setup_of(stage: Stage, cell: Cell) -> Setup:
    setup = replace(FRONTS[cell.front].setup, processes=cell.processes, threads=cell.threads)
    if cell.work == "wagtail":
        return wagtail_site.served(setup, stage.homes[cell.peer].python)
    return replace(setup, app="steps:application", env=(("BENCH_LOOPS_PER_MS", stage.loops_per_ms),))


def run(stage: Stage, cells: list[Cell], seconds: float) -> Iterator[tuple[Cell, Figures]]:
    """In the order of the cells, as far as those that share a server come together."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.server, []).append(cell)
    for group in groups.values():
        first = group[0]
        label = f"{first.peer} {first.front} {first.processes}×{first.threads}"
        with stage.serve(Variant(first.peer, label), setup_of(stage, first)) as running:
            warm_up(running, first)
            for cell in group:
                yield cell, measured(running, cell, seconds)


def warm_up(running: Running, cell: Cell) -> None:
    path = PATHS.get(cell.work, QUICK)
    with Client(running.host_and_port, 2 * cell.processes, lambda: path, manner(cell)):
        time.sleep(1 if cell.work == "wagtail" else 0.3)


def manner(cell: Cell, pause: float = 0) -> Manner:
    return replace(FRONTS[cell.front].manner, pause=pause)


def measured(running: Running, cell: Cell, seconds: float) -> Figures:
    measure: Callable[..., Figures] = quick if cell.work == "quick" else steady
    figures = measure(running, cell, seconds)
    running.server.check()
    return figures


def steady(running: Running, cell: Cell, seconds: float) -> Figures:
    """So many clients, all of the same kind."""
    path = PATHS[cell.work]
    with Client(running.host_and_port, cell.clients, lambda: path, manner(cell)) as client:
        time.sleep(SETTLE)
        client.forget()
        before = Machine.look(running)
        time.sleep(seconds)
        tally, after = client.forget(), Machine.look(running)
    figures = after.since(before) | latencies(tally)
    figures["rate"] = len(tally.latencies) / (after.now - before.now)
    figures["busy"] = figures["rate"] * SLEEP_MS / 1000 / min(cell.clients, cell.processes * cell.threads)
    figures["jain"] = evenness_of_processes(cell, tally)
    served = [tally.clients[number] for number in range(cell.clients)]
    figures["evenness"] = min(served) / max(served)
    return figures


def evenness_of_processes(cell: Cell, tally: Tally) -> float:
    """Fewer kept connections than processes cannot occupy them all: then it counts the most that they can."""
    if 0 in tally.workers:  # an app that does not name its process
        return float("nan")
    kept = FRONTS[cell.front].is_kept
    most = min(cell.processes, cell.clients) if kept else cell.processes
    counts = sorted(tally.workers.values(), reverse=True)[:most]
    return jain(counts, most)


def quick(running: Running, cell: Cell, seconds: float) -> Figures:
    """One client with quick requests beside some that compute for long."""
    computing, _, each = cell.load.removesuffix("s").partition("x")
    seconds = max(seconds, min(8, 12 * float(each)))
    long = f"/?c{float(each) * 1000:g}"
    address = running.host_and_port
    with Client(address, int(computing), lambda: long, manner(cell)) as others:
        time.sleep(SETTLE)
        before = Machine.look(running)
        with Client(address, 1, lambda: QUICK, manner(cell, QUICK_PAUSE)) as client:
            time.sleep(seconds)
        after = Machine.look(running)
        tally = client.tally
        tally.failures += others.tally.failures
    figures = after.since(before) | latencies(tally)
    return figures | {"rate": len(tally.latencies) / (after.now - before.now)}


def latencies(tally: Tally) -> Figures:
    if not tally.latencies:
        raise ServerFailed(f"no answer: {dict(tally.failures)}")
    of = {f"p{percent}_ms": percentile(tally.latencies, percent) * 1000 for percent in (50, 95, 99)}
    return {**of, "failed": tally.failed}
