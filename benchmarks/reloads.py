"""The counted load test: what becomes of each request while servers reload, recycle, freeze and end; see README.md."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import signal
import subprocess
import sys
from pathlib import Path

import machine
import venvs
from cells import Amount, Cell, every_cell, run
from model import HERE, REPO
from peers import PEERS, Home, Rwsgi
from procs import ServerFailed

COLUMNS = ("answered", "refused", "lost", "closed_idle", "slowest_ms")
TITLES = ("answered", "refused", "lost", "closed idle", "slowest ms")


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
    parser.add_argument("--least-seconds", type=float, default=5, help="at least so long (5), for the events")
    parser.add_argument("--most-seconds", type=float, default=20, help="not longer than that (20)")
    parser.add_argument("--redo", action="store_true", help="run cells that have a result of this version, too")
    parser.add_argument("--report-only", action="store_true", help="run nothing; write the report of what is stored")
    parser.add_argument("--no-report", action="store_true", help="print the rows; write no report")
    parser.add_argument("--store", type=Path, default=venvs.cache() / "reloads.json", help="the results so far")
    parser.add_argument("--python", default=sys.executable, help="the Python of the peers' virtualenvs")
    ours = str(REPO / ".venv" / "bin" / "python")
    parser.add_argument("--rwsgi-python", default=ours, help="the Python with rwsgi (.venv's)")
    return parser.parse_args(arguments)


def chosen(patterns: list[str]) -> list[Cell]:
    """The peers in turn within each row of the report."""
    found = [cell for cell in every_cell() if any(fnmatch.fnmatch(cell.name, one) for one in patterns or ["*"])]
    return sorted(found, key=lambda cell: cell.name.partition("/")[2])


class Store:
    """The result of each cell, in one file that is written anew after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}

    def has(self, cell: Cell, version: str) -> bool:
        return self.results.get(cell.name, {}).get("version") == version

    def put(self, cell: Cell, result: dict) -> None:
        self.results[cell.name] = result
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.results, indent=1))
        new.replace(self.path)


def install(cells: list[Cell], options: argparse.Namespace) -> dict[str, Home]:
    homes = {}
    for name in dict.fromkeys(cell.peer for cell in cells):
        peer = PEERS[name]
        try:
            homes[name] = peer.install(options.rwsgi_python if isinstance(peer, Rwsgi) else options.python)
        except (venvs.CannotInstall, OSError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return homes


def measure(cell: Cell, home: Home, amount: Amount) -> dict:
    try:
        result = run(cell, home, amount).summary()
    except (ServerFailed, OSError, AssertionError, subprocess.SubprocessError) as error:
        result = {"failed": str(error)[-400:]}
    return result | {"version": home.version, "day": datetime.date.today().isoformat()}


def line(name: str, result: dict) -> str:
    if "failed" in result:
        return f"{name}: failed: {result['failed']}"
    figures = ", ".join(f"{result[key]:,} {title}" for key, title in zip(COLUMNS, TITLES, strict=True))
    return f"{name}: {figures}; {result['rate']:,}/s; {happened(result)} {reasons(result)}"


def happened(result: dict) -> str:
    said = [f"{count} × {name}" for name, count in result["events"].items()]
    return ", ".join([*said, f"{result['workers']} workers"])


def reasons(result: dict) -> str:
    return "; ".join(f"{count} × {reason}" for reason, count in result["reasons"].items())


# ── the report ──


def row(cell: Cell, result: dict) -> str:
    cells = [cell.event, cell.transport, cell.mode, str(cell.threads), cell.peer]
    if "failed" in result:
        cells += ["–"] * len(COLUMNS) + [f"failed: {result['failed'][:80]}".replace("|", "/").replace("\n", " "), ""]
    else:
        cells += [f"{result[key]:,}" for key in COLUMNS] + [happened(result), reasons(result)]
    return "| " + " | ".join(cells) + " |"


def total(cells: list[Cell], store: Store, peer: str) -> str:
    results = [store.results[cell.name] for cell in cells if cell.peer == peer]
    whole = [result for result in results if "failed" not in result]
    sums = {key: sum(result[key] for result in whole) for key in COLUMNS}
    clean = sum(result["lost"] == 0 for result in whole)
    return (
        f"- {peer}: {sums['answered']:,} answered, {sums['refused']:,} refused, {sums['lost']:,} lost, "
        f"{sums['closed_idle']:,} closed idle; {clean} of {len(results)} cells without a loss"
    )


def document(cells: list[Cell], store: Store, about: list[str], day: str) -> str:
    cells = [cell for cell in cells if cell.name in store.results]
    titles = ["event", "over", "mode", "threads", "peer", *TITLES, "what happened", "why lost"]
    lines = ["# What is lost while servers reload, recycle, freeze and end", ""]
    lines += [total(cells, store, peer) for peer in dict.fromkeys(cell.peer for cell in cells)]
    lines += ["", "| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += [row(cell, store.results[cell.name]) for cell in cells]
    versions = sorted({f"{cell.peer} {store.results[cell.name]['version']}" for cell in cells})
    lines += ["", f"{day}; 2 processes each. README.md says how the figures are made.", ""]
    lines += [f"- {one}" for one in [*about, "Measured: " + "; ".join(versions)]]
    return "\n".join(lines) + "\n"


def main() -> int:
    options = parse(sys.argv[1:])
    cells = chosen(options.cells)
    if options.list:
        print("\n".join(cell.name for cell in cells), f"\n{len(cells)} cells")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped on the way out
    store = Store(options.store)
    homes = install(cells, options)
    about = machine.describe(homes, options.python)
    amount = Amount(options.requests, options.least_seconds, options.most_seconds)
    for cell in cells:
        home = homes.get(cell.peer)
        if home is None or options.report_only or (store.has(cell, home.version) and not options.redo):
            continue
        result = measure(cell, home, amount)
        store.put(cell, result)
        print(line(cell.name, result), flush=True)
    day = datetime.date.today().isoformat()
    if not options.no_report:
        (HERE / "results" / f"{day}-reloads.md").write_text(document(cells, store, about, day))
    ours = [store.results[cell.name] for cell in cells if cell.peer == "rwsgi" and cell.name in store.results]
    return 1 if any(result.get("failed") or result["lost"] for result in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
