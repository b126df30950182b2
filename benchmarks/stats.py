"""The little arithmetic of the reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def percentile(values: Iterable[float], percent: float) -> float:
    """Nearest rank: a value that was really measured."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def jain(counts: Sequence[int], workers: int) -> float:
    """1 when all workers did the same number of requests, 1/workers when one did them all."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (workers * squares) if squares else float("nan")
