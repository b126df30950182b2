"""The counted load test: what becomes of each request while servers reload, recycle, freeze and end; see README.md."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import multiprocessing
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import machine
import venvs
from cells import Amount, Cell, every_cell, run, sampled
from counted_report import document, line
from counted_store import Result, Store, is_void
from model import HERE, REPO
from peers import PEERS, Home, Rwsgi
from procs import ServerFailed


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="reloads.py", description="Counts what is lost under load.")
    parser.add_argument(
        "cells",
        nargs="*",
        metavar="pattern",
        help="which cells: PEER/EVENT/TRANSPORT/MODE/THREADS with wildcards, as 'rwsgi/hup/*' (default: all)",
    )
    parser.add_argument("--list", action="store_true", help="list the cells, and end")
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many requests a cell (20,000)")
    parser.add_argument("--least-seconds", type=float, default=3, help="at least so long (3; slow events 5)")
    parser.add_argument("--most-seconds", type=float, default=10, help="not longer for the requests' sake (10)")
    parser.add_argument("--patience", type=float, default=20, help="seconds for the event to have effect (20)")
    parser.add_argument("--sample", type=int, metavar="N", help="of each peer's cells of a reduced grid at most N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many cells at a time (1)")
    parser.add_argument("--redo", action="store_true", help="run cells that have a result of this build, too")
    parser.add_argument("--report-only", action="store_true", help="run nothing; write the report of what is stored")
    parser.add_argument("--no-report", action="store_true", help="print the rows; write no report")
    parser.add_argument("--store", type=Path, default=venvs.cache() / "reloads.json", help="the results so far")
    parser.add_argument("--python", default=sys.executable, help="the Python of the peers' virtualenvs")
    ours = str(REPO / ".venv" / "bin" / "python")
    parser.add_argument("--rwsgi-python", default=ours, help="the Python with rwsgi (.venv's)")
    return parser.parse_args(arguments)


def chosen(patterns: list[str], sample: int | None) -> list[Cell]:
    """The peers in turn within each row of the report."""
    found = [cell for cell in every_cell() if any(fnmatch.fnmatch(cell.name, one) for one in patterns or ["*"])]
    found = found if sample is None else sampled(found, sample)
    return sorted(found, key=lambda cell: cell.name.partition("/")[2])


def install(cells: list[Cell], options: argparse.Namespace) -> dict[str, Home]:
    homes = {}
    for name in dict.fromkeys(cell.peer for cell in cells):
        peer = PEERS[name]
        try:
            homes[name] = peer.install(options.rwsgi_python if isinstance(peer, Rwsgi) else options.python)
        except (venvs.CannotInstall, OSError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return homes


def measure(cell: Cell, home: Home, amount: Amount) -> Result:
    begun_at = time.monotonic()
    try:
        result = run(cell, home, amount).summary()
    except (ServerFailed, OSError, AssertionError, subprocess.SubprocessError) as error:
        result = {"failed": str(error)[-400:]}
    took = round(time.monotonic() - begun_at, 1)
    if PEERS[cell.peer].is_replaced(home):
        result = {"failed": "another build was installed meanwhile"}
    today = datetime.date.today().isoformat()
    return result | {"version": home.version, "build": home.build, "day": today, "took": took}


def measure_all(cells: list[Cell], homes: dict[str, Home], options: argparse.Namespace, store: Store) -> None:
    """Each in a process of its own, for the load takes a CPU."""
    amount = Amount(options.requests, options.least_seconds, options.most_seconds, options.patience)
    minutes = store.seconds(cells) / options.jobs / 60
    print(f"{len(cells)} cells, {options.jobs} at a time: about {minutes:.0f} minutes", flush=True)
    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        under_way = {}
        for cell in cells:
            home = homes[cell.peer]
            patience = amount.patience * 2 ** (0 if options.redo else store.tries(cell, home.build))
            under_way[pool.submit(measure, cell, home, replace(amount, patience=patience))] = cell
        try:
            for done in as_completed(under_way):
                cell = under_way[done]
                store.put(cell, done.result())
                print(line(cell.name, store.results[cell.name]), flush=True)
        finally:
            pool.shutdown(cancel_futures=True)


def is_to_run(cell: Cell, homes: dict[str, Home], options: argparse.Namespace, store: Store) -> bool:
    home = homes.get(cell.peer)
    return home is not None and (options.redo or not store.is_settled(cell, home.build))


def main() -> int:
    options = parse(sys.argv[1:])
    cells = chosen(options.cells, options.sample)
    if options.list:
        print("\n".join(cell.name for cell in cells), f"\n{len(cells)} cells")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped on the way out
    store = Store(options.store)
    homes = install(cells, options)
    about = machine.describe(homes, options.python)
    if not options.report_only:
        measure_all([cell for cell in cells if is_to_run(cell, homes, options, store)], homes, options, store)
    day = datetime.date.today().isoformat()
    if not options.no_report:
        (HERE / "results" / f"{day}-reloads.md").write_text(document(cells, store, about, day))
    ours = [store.results[cell.name] for cell in cells if cell.peer == "rwsgi" and cell.name in store.results]
    return 1 if any("failed" in result or is_void(result) or result["lost"] for result in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
