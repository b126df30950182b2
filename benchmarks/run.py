"""The benchmark's command line: python3 benchmarks/run.py [work …]; see README.md."""

from __future__ import annotations

import argparse
import datetime
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import machine
import report
from model import HERE, REPO, Variant, Work
from peers import PEERS, Home, Rwsgi
from procs import ServerFailed
from stage import Stage
from venvs import CannotInstall
from works import ALL

RESULTS = HERE / "results"
TOOLS = ("nginx", "wrk", "gcc", "openssl")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Measures rwsgi against its peers.")
    parser.add_argument("works", nargs="*", metavar="work", help="which works (default: all); see --list")
    parser.add_argument("--list", action="store_true", help="list the works and peers, and end")
    parser.add_argument("--peer", action="append", choices=sorted(PEERS), help="only this peer (repeat for more)")
    parser.add_argument("--rounds", type=int, help="rounds per work (default: the work's own, 5 or 3)")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all runs; not written")
    parser.add_argument("--python", default=sys.executable, help="the Python of the peers' virtualenvs")
    ours = str(REPO / ".venv" / "bin" / "python")
    parser.add_argument("--rwsgi-python", default=ours, help="the Python with rwsgi and Django (.venv's)")
    options = parser.parse_args(arguments)
    unknown = [work for work in options.works if work not in ALL]
    if unknown:
        parser.error(f"unknown work {', '.join(unknown)}; there are {', '.join(ALL)}")
    return options


def install(works: list[Work], options: argparse.Namespace) -> dict[str, Home]:
    """Every peer that the works need; one that cannot be had is left out, with a word."""
    wanted = {variant.peer for work in works for variant in work.variants}
    homes = {}
    for name, peer in PEERS.items():
        if name not in wanted or (options.peer and name not in options.peer):
            continue
        try:
            homes[name] = peer.install(options.rwsgi_python if isinstance(peer, Rwsgi) else options.python)
        except (CannotInstall, OSError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return homes


def run_work(work: Work, stage: Stage, rounds: int) -> report.Results:
    results = report.Results(work)
    chosen = [variant for variant in work.variants if variant.peer in stage.homes]
    for turn in range(rounds):
        for variant in chosen:
            print(f"{work.name}: round {turn + 1} of {rounds}, {variant.name}", file=sys.stderr, flush=True)
            results.samples.setdefault(variant.name, []).append(sample(work, stage, variant, results))
        if work.relate:
            work.relate(chosen, {name: samples[-1] for name, samples in results.samples.items() if samples[-1]})
    return results


def sample(work: Work, stage: Stage, variant: Variant, results: report.Results) -> dict | None:
    """A peer that failed once is not started again in this work."""
    if variant.name in results.failures:
        return None
    try:
        return work.measure(stage, variant, work.setup)
    except (ServerFailed, OSError, subprocess.SubprocessError) as error:
        results.failures[variant.name] = str(error)[-400:]
        return None


def write(work: Work, text: str, day: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{day}-{work.name}.md").write_text(text)
    newest = [newest_result(name) for name in ALL]
    (RESULTS / "latest.md").write_text("\n".join(path.read_text() for path in newest if path))


def newest_result(work: str) -> Path | None:
    """The names begin with the date."""
    return max(RESULTS.glob(f"[0-9]*-[0-9][0-9]-[0-9][0-9]-{work}.md"), default=None)


def listing() -> str:
    works = "\n".join(f"  {work.name:<18} {work.title}" for work in ALL.values())
    return f"works:\n{works}\npeers: {', '.join(PEERS)}"


def main() -> int:
    options = parse(sys.argv[1:])
    if options.list:
        print(listing())
        return 0
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        print(
            f"missing: {', '.join(missing)} (Debian, Ubuntu: apt-get install {' '.join(missing)})",
            file=sys.stderr,
        )
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped on the way out
    works = [ALL[name] for name in options.works] or list(ALL.values())
    homes = install(works, options)
    about = machine.describe(homes, options.python)
    print("\n".join(about), "\n")
    day = datetime.date.today().isoformat()
    failed = False
    for work in works:
        stage = Stage(homes, options.quick)
        results = run_work(work, stage, options.rounds or (1 if options.quick else work.rounds))
        text = report.document(results, about, stage.commands, day)
        print(text, flush=True)
        failed = failed or bool(results.failures)
        if not options.quick:
            write(work, text, day)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
