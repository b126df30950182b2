"""The report of the counted load test (reloads.py)."""

from __future__ import annotations

from collections.abc import Iterable

from cells import Cell
from counted_store import Result, Store, is_void

COLUMNS = ("answered", "refused", "lost", "closed_idle", "slowest_ms")
TITLES = ("answered", "refused", "lost", "closed idle", "slowest ms")
SUMS = ("begun", "answered", "refused", "lost", "closed_idle")

ABOUT = """\
A void cell is one whose event did not have the effect that it needs while requests were under way: it proves nothing,
and only its losses are counted here. README.md says what an effect is."""


def line(name: str, result: Result) -> str:
    """Of one cell, for the terminal."""
    if "failed" in result:
        return f"{name}: failed: {result['failed']}"
    figures = ", ".join(f"{result[key]:,} {title}" for key, title in zip(COLUMNS, TITLES, strict=True))
    return f"{name}: {figures}; {result['rate']:,}/s; {happened(result)} {reasons(result)}"


def happened(result: Result) -> str:
    said = [f"{count} × {name}" for name, count in result["events"].items() if count]
    effects = f"{result.get('effects', 0)} effects" + (
        f" of {result.get('needed', '?')}: VOID" if is_void(result) else ""
    )
    return ", ".join([*said, effects, f"{result['workers']} workers"])


def reasons(result: Result) -> str:
    return "; ".join(f"{count} × {reason}" for reason, count in result["reasons"].items())


def table(titles: list[str], rows: Iterable[list[str]]) -> list[str]:
    return [cells_of(titles), "|" + "---|" * len(titles), *map(cells_of, rows)]


def cells_of(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def sums(results: list[Result]) -> list[str]:
    """Cells, their figures, void ones and failed ones."""
    whole = [result for result in results if "failed" not in result]
    valid = [result for result in whole if not is_void(result)]
    counted = [sum(result[key] for result in (whole if key == "lost" else valid)) for key in SUMS]
    return [f"{number:,}" for number in [len(results), *counted, len(whole) - len(valid), len(results) - len(whole)]]


def summary(cells: list[Cell], store: Store) -> list[str]:
    groups: dict[tuple[str, ...], list[Result]] = {}
    for cell in cells:
        for key in ((cell.peer, "all", "all"), (cell.peer, cell.event, cell.transport)):
            groups.setdefault(key, []).append(store.results[cell.name])
    titles = ["peer", "event", "over", "cells", "requests", *TITLES[:-1], "void", "failed"]
    ordered = sorted(groups.items(), key=lambda group: (group[0][1] != "all", group[0][1:], group[0][0]))
    return table(titles, [[*key, *sums(results)] for key, results in ordered])


def row(cell: Cell, result: Result) -> list[str]:
    cells = [cell.event, cell.transport, cell.mode, str(cell.threads), cell.peer]
    if "failed" in result:
        why = result["failed"][:80].replace("|", "/").replace("\n", " ")
        return cells + ["–"] * len(COLUMNS) + [f"failed: {why}", ""]
    return cells + [f"{result[key]:,}" for key in COLUMNS] + [happened(result), reasons(result)]


def document(cells: list[Cell], store: Store, about: list[str], day: str) -> str:
    cells = [cell for cell in cells if cell.name in store.results]
    titles = ["event", "over", "mode", "threads", "peer", *TITLES, "what happened", "why lost"]
    lines = ["# What is lost while servers reload, recycle, freeze and end", "", ABOUT, "", *summary(cells, store), ""]
    lines += table(titles, [row(cell, store.results[cell.name]) for cell in cells])
    versions = sorted({f"{cell.peer} {store.results[cell.name]['version']}" for cell in cells})
    lines += ["", f"{day}; 2 processes each. README.md says how the figures are made.", ""]
    lines += [f"- {one}" for one in [*about, "Measured: " + "; ".join(versions)]]
    return "\n".join(lines) + "\n"
