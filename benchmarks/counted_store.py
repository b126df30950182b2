"""What the counted load test has measured so far, cell by cell, and how long the rest will take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cells import CLIENTS, HAPPENINGS, Cell

# A cell whose event did not happen often enough is run again so often, each time with twice the patience.
TRIES = 3
# Seconds that a cell takes with the start and the stop of its server, while the store does not know it.
GUESS, GUESS_IF_SLOW, GUESS_OF_ENDS = 6.0, 11.0, 20.0

Result = dict


class Store:
    """The result of each cell, in one file that is written anew after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Result] = json.loads(path.read_text()) if path.exists() else {}

    def tries(self, cell: Cell, build: str) -> int:
        """How often its event has not happened enough, with this build of the peer."""
        result = self.results.get(cell.name, {})
        return result.get("tries", 0) if result.get("build") == build else 0

    def is_settled(self, cell: Cell, build: str) -> bool:
        """With this build it was measured and its event happened, or it was tried often enough."""
        result = self.results.get(cell.name, {})
        if result.get("build") != build or "failed" in result:
            return False
        return not is_void(result) or result.get("tries", 0) >= TRIES

    def put(self, cell: Cell, result: Result) -> None:
        tries = self.tries(cell, result["build"])
        self.results[cell.name] = result | {"tries": tries + is_void(result)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.results, indent=1))
        new.replace(self.path)

    def seconds(self, cells: Iterable[Cell]) -> float:
        """How long these take, one after the other."""
        return sum(self.results.get(cell.name, {}).get("took") or guess(cell) for cell in cells)


def guess(cell: Cell) -> float:
    if HAPPENINGS[cell.event].ends:
        return GUESS_OF_ENDS
    return GUESS if cell.peer == "rwsgi" and cell.mode not in CLIENTS else GUESS_IF_SLOW


def is_void(result: Result) -> bool:
    """Results of before events were checked prove nothing, either."""
    return "failed" not in result and result.get("void", True)
