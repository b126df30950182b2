"""The pictures of docs/tuning.md, from what the simulation prints:

python3 -m venv .venv-plots && .venv-plots/bin/pip install matplotlib
cargo run --profile quick --no-default-features --example simulation > target/simulation.csv
.venv-plots/bin/python benchmarks/plot_simulation.py target/simulation.csv docs/pictures
"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, StrMethodFormatter

Row = dict[str, str]

matplotlib.rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "rwsgi",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}

RULES = {
    "one a process": ("N×1, one request a process", "0.5"),
    "first thread": ("the first thread that the kernel wakes", "C3"),
    "plain accept": ("any thread that is free", "C1"),
    "age": ("rwsgi", "C0"),
}
SHAPED = {
    "5 ms": "5 ms of CPU",
    "page": "page: 5 ms of CPU, 15 of waiting",
    "sleep": "20 ms of waiting",
}


def pick(rows: list[Row], **wanted: str) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def line(axes, rows: list[Row], x: str, y: str, **style) -> None:
    axes.plot([float(row[x]) for row in rows], [float(row[y]) for row in rows], marker=".", **style)


def ticks(axes, values: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()


def milliseconds(axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.yaxis.minorticks_off()


def plot_rules(rows: list[Row]):
    """Short requests: what does it matter who takes them?"""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for rule, (label, color) in RULES.items():
        found = pick(rows, part="rules", work="5 ms", connections="New", processes="2", threads="4", rule=rule)
        line(left, found, "clients", "throughput", label=label, color=color)
        line(right, found, "clients", "p99", label=label, color=color)
    for axes, title in [(left, "requests a second"), (right, "p99, ms")]:
        axes.set(title=title, xlabel="clients, each with a request under way")
        ticks(axes, [1, 2, 4, 8, 16, 32, 64])
    left.set_ylim(bottom=0)
    milliseconds(right)
    left.legend(loc="lower right")
    return figure


def plot_ages(rows: list[Row]):
    """For how long should a computation keep others out?"""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    ages = pick(rows, part="ages", connections="New")
    for work in ["5 ms", "10 ms", "20 ms", "40 ms", "heavy tail"]:
        (single,) = pick(ages, work=work, rule="one a process")
        found = [row for row in pick(ages, work=work) if row["rule"] != "one a process"]
        ratios = [float(row["p99"]) / float(single["p99"]) for row in found]
        left.plot([float(row["rule"]) for row in found], ratios, marker=".", label=work)
    for work in ["quick beside 2 of 0.3 s", "quick beside 4 of 0.3 s", "quick beside 4 of 30 ms"]:
        found = [row for row in pick(ages, work=work) if row["rule"] != "one a process"]
        line(right, found, "rule", "p95", label=work)
    left.set(title="p99, × that of one request a process", xlabel="young for, ms of CPU")
    right.set(title="p95 of a quick request, ms", xlabel="young for, ms of CPU")
    left.legend()
    right.legend()
    return figure


def plot_shapes(rows: list[Row]):
    """How many processes, how many threads?"""
    figure, panels = plt.subplots(2, len(SHAPED), figsize=(9, 5), layout="constrained", sharex=True)
    for column, (work, title) in enumerate(SHAPED.items()):
        for processes in ["1", "2", "4", "8"]:
            found = pick(rows, part="shapes", work=work, processes=processes)
            for row, figures in enumerate(["throughput", "p99"]):
                line(panels[row][column], found, "threads", figures, label=f"processes = {processes}")
        panels[0][column].set(title=title, ylim=(0, None))
        panels[1][column].set(xlabel="threads a process")
        milliseconds(panels[1][column])
        ticks(panels[1][column], [1, 2, 4, 8, 16, 32])
    panels[0][0].set_ylabel("requests a second")
    panels[1][0].set_ylabel("p99, ms")
    panels[0][0].legend(loc="lower right")
    return figure


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    with source.open() as text:
        rows = list(csv.DictReader(text))
    target.mkdir(exist_ok=True)
    for name, plot in [("rules", plot_rules), ("ages", plot_ages), ("shapes", plot_shapes)]:
        plot(rows).savefig(target / f"{name}.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
