"""What the figures of a run have to reach, each as a ratio to another cell of the same run."""

from __future__ import annotations

from balance_names import FRONTS, US, Cell
from balance_run import Figures

Found = dict[Cell, Figures]

LEAST_OF_BEST = 0.95
MOST_OF_ALONE = 1.2
LEAST_JAIN = 0.98
LEAST_EVENNESS = 0.75
LEAST_BUSY = 0.9
QUICK_P50_MS = 15
QUICK_P95_MS = 60
# A page's ratio to the best peer, within what two runs of the same differ.
TOLERANCE = 0.03


def compared(found: Found) -> Found:
    """With the ratios and, for rwsgi's own cells, the number of bars that they miss."""
    return {cell: {**figures, **ratios(cell, figures, found)} for cell, figures in found.items()}


def ratios(cell: Cell, figures: Figures, found: Found) -> Figures:
    made: Figures = {}
    if cell.work == "cpu":
        best = max(other["rate"] for key, other in found.items() if alike(cell, key))
        made["of_best"] = figures["rate"] / best
        if cell.alone() in found:
            made["of_alone"] = figures["p99_ms"] / found[cell.alone()]["p99_ms"]
    elif cell.work in ("page", "wagtail"):
        peers = [other for key, other in found.items() if alike(cell, key) and key.peer != US]
        if peers:
            made["of_best"] = figures["rate"] / max(other["rate"] for other in peers)
            made["of_alone"] = figures["p99_ms"] / min(other["p99_ms"] for other in peers)
    return made


def alike(cell: Cell, other: Cell) -> bool:
    return (cell.work, cell.load) == (other.work, other.load)


def missed(cell: Cell, figures: Figures, found: Found) -> list[str]:
    """The bars that a cell of `compared` misses."""
    if cell.peer != US:
        return []
    if cell.work == "quick":
        return missed_by_quick(cell, figures, found)
    if cell.work == "sleep":
        return named(busy=figures["busy"] < LEAST_BUSY)
    if cell.work == "cpu":
        return missed_by_cpu(cell, figures)
    least, most = 1 - TOLERANCE, 1 + TOLERANCE
    return named(rate=figures.get("of_best", 1) < least, p99=figures.get("of_alone", 1) > most)


def missed_by_cpu(cell: Cell, figures: Figures) -> list[str]:
    return named(
        rate=figures["of_best"] < LEAST_OF_BEST,
        p99=figures.get("of_alone", 0) > MOST_OF_ALONE,
        jain=cell.clients >= 4 and figures["jain"] < LEAST_JAIN,
        least=FRONTS[cell.front].is_kept and figures["evenness"] < LEAST_EVENNESS,
    )


def missed_by_quick(cell: Cell, figures: Figures, found: Found) -> list[str]:
    of_uwsgi = [other["p95_ms"] for key, other in found.items() if alike(cell, key) and key.peer == "uwsgi"]
    most = max([QUICK_P95_MS, *(1.2 * value for value in of_uwsgi)])
    return named(p50=figures["p50_ms"] > QUICK_P50_MS, p95=figures["p95_ms"] > most)


def named(**bars: bool) -> list[str]:
    return [name for name, misses in bars.items() if misses]
