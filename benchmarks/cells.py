"""The cells of the counted load test (reloads.py): peer × event × transport × mode × threads, and how each is run."""

from __future__ import annotations

import itertools
import os
import ssl
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import Signals

from load import wait_ready
from model import APPS, REPO, Setup
from nginx import free_address
from peers import PEERS, Home
from procs import Server
from stage import certified, wait_for_socket

sys.path.insert(0, str(REPO / "tests"))

from harness import events
from harness.books import Books
from harness.counted import MODES, Endpoint, Load
from harness.nginx import Nginx

TEST_APPS = REPO / "tests" / "apps"
# A server is stopped and started anew so often in the cells of its end.
ENDS = 10
# So long after its start it ends, and that is over when so many clients were refused.
END_AFTER, REFUSALS = 0.5, 50
# Clients of the modes that wait much of the time; 8 of the others.
CLIENTS = {"late5": 32, "late100": 64, "think5": 32, "think100": 64}

TRANSPORTS = ("http", "https", "unix", "nginx", "uwsgi", "nginx-uwsgi")
UWSGI_MODES = ("new", "late5", "late100", "post")
# Of these, a quarter of the requests is enough: their clients wait most of the time.
SLOW_MODES = ("late100", "think100")
# Of `sampled`.
SAMPLE_MODES = ("new", "kept", "think5", "post")
THREADS = (1, 4)


@dataclass(frozen=True)
class Cell:
    peer: str
    event: str
    transport: str
    mode: str
    threads: int

    @property
    def name(self) -> str:
        return f"{self.peer}/{self.event}/{self.transport}/{self.mode}/{self.threads}"


@dataclass
class Running:
    """A started peer and where its clients go."""

    server: Server
    endpoint: Endpoint
    directory: Path
    cell: Cell


@dataclass(frozen=True)
class Happening:
    """`flags` make it happen, peer by peer ({dir} is the directory of the run); `event` is who does it from outside.
    A cell proves nothing unless that had an effect `needed` times while requests were under way."""

    flags: dict[str, str]
    event: Callable[[Running], events.Event] = lambda running: events.Recycling()
    needed: int = 3
    # At least so long, for events that come once a second.
    seconds: float = 3
    env: dict[str, str] = field(default_factory=dict)
    app: str = "counted:application"
    ends: bool = False


WATCHED = "from counted import application  # "
# Without the second, uWSGI and rwsgi let a worker live for a minute.
RECYCLE = "--min-worker-lifetime 0 "


def both(flags: str, **more: str) -> dict[str, str]:
    return {"rwsgi": flags, "uwsgi": flags, **more}


def to_master(number: Signals, every: float, times: float = events.NEVER) -> Callable[[Running], events.Event]:
    return lambda running: events.signal(running.server.pid, number, every, times)


HAPPENINGS = {
    "hup": Happening(both("", gunicorn=""), to_master(Signals.SIGHUP, 0.5), needed=2),
    "touch-reload": Happening(
        both("--touch-reload {dir}/touched"),
        lambda running: events.touch(running.directory / "touched", 1.2),
        needed=2,
        seconds=5,
    ),
    "py-autoreload": Happening(
        both("--py-autoreload 1", gunicorn="--reload"),
        lambda running: events.rewrite(running.directory / "watched.py", WATCHED, 1.5),
        app="watched:application",
        needed=2,
        seconds=5,
    ),
    "max-requests": Happening(both(RECYCLE + "--max-requests 50", gunicorn="--max-requests 50")),
    "max-worker-lifetime": Happening(both(RECYCLE + "--max-worker-lifetime 1"), seconds=5),
    "reload-on-rss": Happening(both(RECYCLE + "--reload-on-rss 80"), env={"COUNTED_MIB": "80"}),
    "term-worker": Happening(both("", gunicorn=""), lambda running: events.signal_worker(Signals.SIGTERM, 0.3)),
    "stop-cont": Happening(both("", gunicorn=""), lambda running: events.Freeze(0.3)),
    "stop": Happening(both("", gunicorn=""), to_master(Signals.SIGTERM, END_AFTER, 1), needed=ENDS, ends=True),
    "kill-master": Happening(both("", gunicorn=""), to_master(Signals.SIGKILL, END_AFTER, 1), needed=ENDS, ends=True),
}


def is_possible(cell: Cell) -> bool:
    if cell.peer not in HAPPENINGS[cell.event].flags:
        return False
    if cell.transport == "uwsgi" and cell.mode not in UWSGI_MODES:
        return False
    # uWSGI serves HTTPS by a router of its own only; nginx hides whether anybody listens.
    refusals_hidden = cell.transport.startswith("nginx") and HAPPENINGS[cell.event].ends
    return not (cell.peer == "uwsgi" and cell.transport == "https") and not refusals_hidden


def every_cell() -> Iterator[Cell]:
    rows = itertools.product(("rwsgi", "uwsgi", "gunicorn"), HAPPENINGS, TRANSPORTS, MODES, THREADS)
    return (cell for row in rows if is_possible(cell := Cell(*row)))


def sampled(cells: Iterable[Cell], most: int) -> list[Cell]:
    """Of each peer's cells in SAMPLE_MODES at most so many, evenly of each event: always the same, and for each peer
    the same ones where it has them."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: zlib.crc32(cell.name.partition("/")[2].encode())):
        if cell.mode in SAMPLE_MODES:
            groups.setdefault((cell.peer, cell.event), []).append(cell)
    found: dict[str, list[Cell]] = {}
    for row in itertools.zip_longest(*groups.values()):
        for cell in filter(None, row):
            found.setdefault(cell.peer, []).append(cell)
    return [cell for of_peer in found.values() for cell in of_peer[:most]]


# ── running one ──


def setup_of(cell: Cell, directory: Path) -> Setup:
    by_path = cell.transport in ("unix", "uwsgi", "nginx-uwsgi")
    setup = Setup(
        app=HAPPENINGS[cell.event].app,
        protocol="uwsgi" if cell.transport.endswith("uwsgi") else "http",
        address=str(directory / "app.sock") if by_path else free_address(),
        threads=cell.threads,
        keepalive=MODES[cell.mode].keeps or cell.transport == "nginx",
        tls=cell.transport == "https",
        chdir=directory,
    )
    return certified(setup, directory) if setup.tls else setup


def command(cell: Cell, home: Home, setup: Setup, directory: Path) -> list[str]:
    if cell.peer == "gunicorn":
        # As many threads as the cell has; and its address says by itself that it is a path.
        at = f"unix:{setup.address}" if setup.protocol == "http" and "/" in setup.address else setup.address
        setup = replace(setup, keepalive=False, address=at)
    flags = HAPPENINGS[cell.event].flags[cell.peer].format(dir=directory).split()
    return [*PEERS[cell.peer].command(home, setup, directory), *flags]


def environment(cell: Cell, directory: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BENCH_"))}
    paths = f"{directory}:{TEST_APPS}:{APPS}"
    return inherited | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"} | HAPPENINGS[cell.event].env


@contextmanager
def serve(cell: Cell, home: Home) -> Iterator[Running]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rwsgi-count-")))
        (directory / "touched").touch()
        (directory / "watched.py").write_text(WATCHED + "\n")
        setup = setup_of(cell, directory)
        words = command(cell, home, setup, directory)
        server = Server(words, directory / "server.log", environment(cell, directory), directory)
        stack.callback(server.stop)
        endpoint = endpoint_of(cell, setup, directory, stack, server)
        yield Running(server, endpoint, directory, cell)


def endpoint_of(cell: Cell, setup: Setup, directory: Path, stack: ExitStack, server: Server) -> Endpoint:
    """Where clients go, once somebody answers there."""
    if "/" in setup.address:
        wait_for_socket(server, setup.address)
    else:
        wait_ready(server, f"{'https' if setup.tls else 'http'}://{setup.address}/")
    if cell.transport.startswith("nginx"):
        upstream = f"unix:{setup.address}" if setup.protocol == "uwsgi" else f"http://{setup.address}"
        (directory / "nginx").mkdir()
        front = Nginx(directory / "nginx", [upstream])
        stack.callback(front.close)
        endpoint = Endpoint(("127.0.0.1", front.ports[0]))
        wait_ready(server, f"http://127.0.0.1:{front.ports[0]}/")
    elif "/" in setup.address:
        endpoint = Endpoint(setup.address, setup.protocol)
        wait_answer(server, endpoint)
    else:
        tls = ssl._create_unverified_context() if setup.tls else None
        endpoint = Endpoint((setup.host, int(setup.port)), tls=tls)
    return endpoint


def wait_answer(server: Server, endpoint: Endpoint) -> None:
    """Of a socket that no URL leads to."""
    while True:
        server.check()
        with Load(endpoint, MODES["new"], clients=1) as load:
            if load.run(requests=1).answered:
                return
        time.sleep(0.05)


@dataclass(frozen=True)
class Amount:
    """A cell is over when it has so many requests, or after `most_seconds`; but not before `least_seconds`, nor before
    its event had effect, for which it has `patience`."""

    requests: int
    least_seconds: float
    most_seconds: float
    patience: float

    def of(self, cell: Cell) -> Amount:
        requests = self.requests // 4 if cell.mode in SLOW_MODES else self.requests
        least = max(self.least_seconds, HAPPENINGS[cell.event].seconds)
        return replace(self, requests=requests, least_seconds=least, most_seconds=max(least, self.most_seconds))


@dataclass(frozen=True)
class Outcome:
    books: Books
    # How often the event was seen to change something, and how often it must have.
    effects: int
    needed: int

    def summary(self) -> dict[str, object]:
        void = self.effects < self.needed
        return {**self.books.summary(), "effects": self.effects, "needed": self.needed, "void": void}


def run(cell: Cell, home: Home, amount: Amount) -> Outcome:
    run_one = run_ends if HAPPENINGS[cell.event].ends else run_under_load
    return run_one(cell, home, amount.of(cell))


def load_of(running: Running, books: Books | None = None) -> Load:
    mode = running.cell.mode
    return Load(running.endpoint, MODES[mode], CLIENTS.get(mode, 8), books)


def run_under_load(cell: Cell, home: Home, amount: Amount) -> Outcome:
    needed = HAPPENINGS[cell.event].needed
    with serve(cell, home) as running, load_of(running) as load:
        event, begun_at = HAPPENINGS[cell.event].event(running), time.monotonic()

        def is_enough() -> bool:
            seconds = time.monotonic() - begun_at
            has_run = load.books.begun >= amount.requests or seconds >= amount.most_seconds
            return has_run and seconds >= amount.least_seconds and event.effects >= needed

        books = load.run(seconds=max(amount.patience, amount.most_seconds), events=[event], until=is_enough)
    return Outcome(books, event.effects, needed)


def run_ends(cell: Cell, home: Home, amount: Amount) -> Outcome:
    """The books of all the ends together. A server that did not end once will not the next time."""
    books, ended = Books(), 0
    while ended < ENDS and run_end(cell, home, books, amount.patience):
        ended += 1
    return Outcome(books, ended, ENDS)


def run_end(cell: Cell, home: Home, books: Books, patience: float) -> bool:
    """Whether it answered before, and refused everybody and was gone afterwards."""
    answered, enough = books.answered, books.refused + REFUSALS
    with serve(cell, home) as running, load_of(running, books) as load:
        event = HAPPENINGS[cell.event].event(running)
        load.run(seconds=patience, events=[event], until=lambda: books.refused >= enough)
        return books.refused >= enough and books.answered > answered and has_ended(running.server, patience)


def has_ended(server: Server, patience: float) -> bool:
    try:
        server.process.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    return True
