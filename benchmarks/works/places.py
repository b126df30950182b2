"""What the works over cells have in common: a row is a peer at a front in a shape, a case is a load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import balance_run
from balance_bars import Found, compared, missed
from balance_names import LOADS, US, Cell, catalogue
from model import Sample, Setup, Variant
from stage import Stage

SECONDS = 3
NOBODY = {"of_best": math.nan, "of_alone": math.nan}  # to compare with


@dataclass(frozen=True)
class Place(Variant):
    cell: Cell | None = None  # with whatever load

    def cells(self) -> Iterator[tuple[str, Cell]]:
        """By case."""
        assert self.cell
        for load in LOADS[self.cell.work]:
            yield case(load), replace(self.cell, load=load)


def case(load: str) -> str:
    return f"{load} clients" if load.isdecimal() else load.replace("x", " of ").removesuffix("s") + " s"


def places(work: str) -> list[Variant]:
    """rwsgi's first."""
    found = {replace(cell, load=LOADS[work][0]): None for cell in catalogue() if cell.work == work}
    ours_first = sorted(found, key=lambda cell: cell.peer != US)
    return [Place(cell.peer, label(cell), cell.threads, cell) for cell in ours_first]


def label(cell: Cell) -> str:
    return f"{cell.peer} {cell.front} {cell.processes}×{cell.threads}"


def measure(stage: Stage, place: Place, _: Setup) -> Sample:
    cases = {cell: name for name, cell in place.cells()}
    seconds = stage.seconds(SECONDS)
    return {cases[cell]: figures for cell, figures in balance_run.run(stage, list(cases), seconds)}


def relate(variants: list[Place], samples: dict[str, Sample]) -> None:
    """Adds what compares the rows of one round with each other."""
    known = [place for place in variants if place.name in samples]
    where = {cell: samples[place.name][name] for place in known for name, cell in place.cells()}
    found: Found = compared(where)
    for cell, figures in found.items():
        where[cell] |= {**NOBODY, **figures, "missed": len(missed(cell, figures, found))}
