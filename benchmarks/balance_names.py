"""The cells of the works `http-balance`, `quick`, `page` and `wagtail`: what each is called, and which there are.

A cell is [PEER:][WORK/]FRONT/PROCESSESxTHREADS/LOAD. Without a peer it is rwsgi's, without a work it is `cpu`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from client import Manner
from model import Setup

US = "rwsgi"
CPU_MS = 5
CLIENTS = ("1", "2", "4", "6", "8", "16", "32")
SHAPES = ("2x1", "2x4", "4x8", "8x20")
MADE = re.compile(r"(?:(?P<peer>[\w-]+):)?(?:(?P<work>\w+)/)?(?P<front>[\w-]+)/(?P<shape>\d+x\d+)/(?P<load>[\w.]+)")


@dataclass(frozen=True)
class Front:
    """How a client reaches the server."""

    setup: Setup
    manner: Manner

    @property
    def is_kept(self) -> bool:
        """Has the server connections that outlive a request?"""
        return self.setup.protocol == "http" and not self.manner.close


FRONTS = {
    "uwsgi": Front(Setup(protocol="uwsgi"), Manner()),
    "http-close": Front(Setup(protocol="http", keepalive=False), Manner(close=True)),
    "http-kept": Front(Setup(protocol="http"), Manner()),
    "nginx-http": Front(Setup(protocol="http", behind_nginx=True), Manner()),
    "https-kept": Front(Setup(protocol="http", tls=True), Manner(tls=True)),
}
DIRECT = ("uwsgi", "http-close", "http-kept")

# What a work has for loads.
LOADS = {
    "cpu": CLIENTS,
    "quick": ("2x3s", "2x0.3s", "4x0.3s"),
    "page": ("8", "24", "64"),
    "sleep": ("8", "32", "64"),
    "wagtail": ("2", "8", "32"),
}


@dataclass(frozen=True)
class Cell:
    peer: str
    work: str
    front: str
    processes: int
    threads: int
    load: str

    @property
    def shape(self) -> str:
        return f"{self.processes}x{self.threads}"

    @property
    def name(self) -> str:
        peer = "" if self.peer == US else f"{self.peer}:"
        return f"{peer}{self.case}"

    @property
    def case(self) -> str:
        """Without the peer."""
        work = "" if self.work == "cpu" else f"{self.work}/"
        return f"{work}{self.front}/{self.shape}/{self.load}"

    @property
    def clients(self) -> int:
        return int(self.load) if self.load.isdecimal() else int(self.load.partition("x")[0]) + 1

    @property
    def server(self) -> tuple[object, ...]:
        """Cells that are the same here share one start of a server."""
        return self.peer, self.work == "wagtail", self.front, self.shape

    def alone(self) -> Cell:
        """What its p99 is compared with: as many processes, one thread each, on the uwsgi socket."""
        return replace(self, peer=US, front="uwsgi", threads=1)


def parse(name: str) -> Cell:
    found = MADE.fullmatch(name)
    work = (found["work"] or "cpu") if found else ""
    if not found or work not in LOADS or found["front"] not in FRONTS:
        raise ValueError(f"{name!r} is no cell: [PEER:][{'|'.join(LOADS)}/]{'|'.join(FRONTS)}/PxT/LOAD")
    processes, _, threads = found["shape"].partition("x")
    return Cell(found["peer"] or US, work, found["front"], int(processes), int(threads), found["load"])


def every(peer: str, work: str, fronts: Iterable[str], shapes: Iterable[str]) -> Iterator[Cell]:
    for front, shape, load in itertools.product(fronts, shapes, LOADS[work]):
        processes, _, threads = shape.partition("x")
        yield Cell(peer, work, front, int(processes), int(threads), load)


def catalogue() -> list[Cell]:
    found = [
        *every(US, "cpu", ["uwsgi"], ["4x1", "8x1"]),
        *every(US, "cpu", FRONTS, SHAPES),
        *every("uwsgi", "cpu", ["uwsgi", "http-close", "http-kept"], ["2x1", "2x4"]),
        *every("uwsgi", "cpu", ["uwsgi"], ["8x1", "8x20"]),
        *every("gunicorn", "cpu", ["http-kept", "http-close"], ["2x4"]),
        *every("granian", "cpu", ["http-kept", "http-close"], ["2x1", "2x4"]),
    ]
    for work, fronts, shapes in (
        ("quick", (*DIRECT, "nginx-http"), ["2x4"]),
        ("page", ("uwsgi", "http-kept", "nginx-http"), ["4x8"]),
        ("sleep", (*DIRECT, "nginx-http"), ["4x8"]),
        ("wagtail", ("http-kept", "uwsgi"), ["2x1", "2x4"]),
    ):
        found += every(US, work, fronts, shapes)
        found += every("uwsgi", work, ["uwsgi", "http-kept"], shapes)
        found += every("gunicorn", work, ["http-kept"], [shape for shape in shapes if shape != "2x1"])
        found += every("granian", work, ["http-kept"], shapes)
    return found


def select(patterns: list[str]) -> list[Cell]:
    """The cells of the catalogue that match, and whatever else is named without a wildcard."""
    known = catalogue()
    chosen: dict[Cell, None] = {}
    for pattern in patterns:
        found = [cell for cell in known if fnmatchcase(cell.name, pattern)]
        if not found and not set(pattern) & set("*?["):
            found = [parse(pattern)]
        if not found:
            raise ValueError(f"no cell is called {pattern!r}; --list shows their names")
        chosen |= dict.fromkeys(found)
    return list(chosen)
