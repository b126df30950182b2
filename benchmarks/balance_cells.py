"""Single cells of `http-balance`, `quick`, `page`, `sleep` and `wagtail`, a line each; see README.md.

python3 benchmarks/balance_cells.py 'http-kept/2x4/*' --seconds 3 --python PATH
"""

from __future__ import annotations

import argparse
import atexit
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import balance_run
from balance_bars import Found, compared, missed
from balance_names import US, Cell, catalogue, select
from balance_run import Figures
from model import REPO
from peers import PEERS, Home
from procs import ServerFailed, be_nice
from stage import Stage
from venvs import CannotInstall

HEAD = f"{'cell':<34} {'rps':>6} {'p50':>7} {'p95':>7} {'p99':>7}  {'jain':>5} {'least':>5}  {'cpu':>4} {'idle':>4}"
TAIL = f"{'×best':>6} {'×p99':>6}  missed"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="balance_cells.py", description="Measures how requests are shared.")
    parser.add_argument("cells", nargs="*", metavar="CELL", help="names or patterns, such as 'http-kept/2x4/*'")
    parser.add_argument("--list", action="store_true", help="list the cells that match, and end")
    parser.add_argument("--seconds", type=float, default=3, help="of load for each cell (3)")
    parser.add_argument("--clients", help="only these loads, such as 2,8,16")
    parser.add_argument("--alone", action="store_true", help="without the cells that p99 is compared with")
    parser.add_argument("--python", default=str(REPO / ".venv/bin/python"), help="the Python with rwsgi (.venv's)")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python of the peers' virtualenvs")
    parser.add_argument("--nice", type=int, default=0, help="for everything that is started, clients included")
    parser.add_argument("--append", type=Path, help="a file that the lines are appended to as well")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--against", type=Path, help="figures of another run, from --json: adds × of its rate and p99")
    return parser.parse_args(arguments)


def wanted(options: argparse.Namespace) -> list[Cell]:
    cells = select(options.cells or ["*"])
    if options.clients:
        loads = options.clients.split(",")
        cells = [cell for cell in cells if cell.load in loads]
    if not options.alone:
        references = {cell.alone(): None for cell in cells if cell.work == "cpu"}
        cells = list(references | dict.fromkeys(cells))
    return cells


def installed(cells: list[Cell], options: argparse.Namespace) -> dict[str, Home]:
    homes = {}
    for name in {cell.peer for cell in cells}:
        homes[name] = PEERS[name].install(options.python if name == US else options.peers_python)
    return homes


def value(number: float, width: int, digits: int) -> str:
    return f"{'–' if math.isnan(number) else format(number, f'.{digits}f'):>{width}}"


def row(cell: Cell, figures: Figures) -> str:
    """What is known as soon as the cell has run."""
    columns = (("rate", 6, 0), ("p50_ms", 7, 1), ("p95_ms", 7, 1), ("p99_ms", 7, 1))
    shares = (("jain", 6, 3), ("evenness", 5, 2))
    processors = (("cpu", 5, 2), ("idle", 4, 2))
    text = [value(figures.get(key, math.nan), *form) for key, *form in (*columns, *shares, *processors)]
    failed = f"  {figures['failed']:.0f} FAILED" if figures["failed"] else ""
    return f"{cell.name:<34} {' '.join(text)}{failed}"


def closing(cell: Cell, figures: Figures, found: Found, before: dict[str, Figures]) -> str:
    """The same, with what needs the other cells."""
    compare = [value(figures.get(key, math.nan), 6, 2) for key in ("of_best", "of_alone")]
    if cell.name in before:
        then = before[cell.name]
        compare.append(f" [{figures['rate'] / then['rate']:.2f} {figures['p99_ms'] / then['p99_ms']:.2f}]")
    return f"{row(cell, figures)} {' '.join(compare)}  {' '.join(missed(cell, figures, found)) or '·'}"


def say(text: str, options: argparse.Namespace) -> None:
    print(text, flush=True)
    if options.append:
        with options.append.open("a") as file:
            file.write(text + "\n")


def measure(cells: list[Cell], options: argparse.Namespace) -> Found:
    stage = Stage(installed(cells, options))
    found: Found = {}
    print(HEAD, file=sys.stderr, flush=True)
    for cell, figures in balance_run.run(stage, cells, options.seconds):
        found[cell] = figures
        print(row(cell, figures), file=sys.stderr, flush=True)
    return found


def report(found: Found, options: argparse.Namespace) -> None:
    before = json.loads(options.against.read_text()) if options.against else {}
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    say(f"\n{time.strftime('%H:%M:%S')} {options.seconds:g} s a cell, load average {load}, {options.python}", options)
    say(f"{HEAD} {TAIL}", options)
    full = compared(found)
    for cell, figures in full.items():
        say(closing(cell, figures, full, before), options)
    if options.json:
        options.json.write_text(json.dumps({cell.name: figures for cell, figures in full.items()}, indent=1))


def main() -> int:
    options = parse(sys.argv[1:])
    try:
        cells = wanted(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(cell.name for cell in (cells if options.cells else catalogue())))
        return 0
    if options.nice:
        os.nice(options.nice)
        be_nice(os.getpid(), options.nice)
        atexit.register(be_nice, os.getpid(), 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped on the way out
    try:
        found = measure(cells, options)
    except (CannotInstall, ServerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    report(found, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
