"""Turns samples into markdown tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from model import Goal, Sample, Work

US = "rwsgi"
BEST_PEER = "best peer"
NOT_PEERS = ("limit", "nginx")  # no WSGI servers


@dataclass
class Results:
    """Every sample of one work: variant → one entry a round, None where it failed."""

    work: Work
    samples: dict[str, list[Sample | None]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def cases(self) -> list[str]:
        cases: dict[str, None] = {}
        for sample in self._all():
            cases |= dict.fromkeys(sample)
        return list(cases)

    def values(self, variant: str, case: str, metric: str) -> list[float]:
        return [sample[case][metric] for sample in self.samples.get(variant, []) if sample and case in sample]

    def ratios(self, variant: str, against: str, case: str, metric: str) -> list[float]:
        """One ratio a round: both sides were measured within the same minute."""
        pairs = zip(self.samples.get(variant, []), self.samples.get(against, []), strict=False)
        both = [(mine[case], theirs[case]) for mine, theirs in pairs if case in (mine or ()) and case in (theirs or ())]
        return [mine[metric] / theirs[metric] for mine, theirs in both if theirs[metric]]

    def _all(self) -> Iterable[Sample]:
        return (sample for rounds in self.samples.values() for sample in rounds if sample)


def number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def ratio(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def header(work: Work) -> list[str]:
    titles = []
    for metric in work.metrics:
        titles.append(metric.title)
        if metric.ratio:
            titles.append(f"× {work.baseline}")
    return titles


def row(results: Results, variant: str, case: str) -> list[str]:
    cells = []
    for metric in results.work.metrics:
        values = results.values(variant, case, metric.key)
        cells.append(number(median(values), metric.digits) if values else "–")
        if metric.ratio:
            cells.append(ratio(results.ratios(variant, results.work.baseline, case, metric.key)))
    return cells


def table(results: Results) -> list[str]:
    work, cases = results.work, results.cases()
    several = cases != [""]
    titles = (["load"] if several else []) + ["peer", *header(work)]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for case in cases:
        for variant, samples in results.samples.items():
            if any(samples) and not results.values(variant, case, work.metrics[0].key):
                continue
            first = ([case] if several else []) + [variant]
            lines.append("| " + " | ".join([*first, *row(results, variant, case)]) + " |")
    return lines


def goal_lines(results: Results) -> list[str]:
    return [line for goal in results.work.goals for case in results.cases() if (line := goal_line(results, goal, case))]


def goal_line(results: Results, goal: Goal, case: str) -> str:
    ours = next((name for name in results.samples if name.startswith(US)), None)
    if ours is None or (goal.cases and case not in goal.cases):
        return ""
    against = rival(results, goal, case)
    values = (
        results.ratios(ours, against, case, goal.metric) if goal.of_ratio else results.values(ours, case, goal.metric)
    )
    if not values:
        return ""
    metric = next(metric for metric in results.work.metrics if metric.key == goal.metric)
    value = worst(values, goal) if not goal.of_ratio else median(values)
    verdict = "reached" if goal.holds(value) else "**missed**"
    place = f" with {case}" if case else ""
    of = f" × {against}" if goal.of_ratio else ""
    return f"- {metric.title}{place}: {goal.words()}{of}. {ours}: {value:.3g}, {verdict}"


def worst(values: list[float], goal: Goal) -> float:
    """A figure has to hold in the median of the rounds; 'none at all' has to hold in each of them."""
    if goal.most == 0:
        return max(values)
    return median(values)


def rival(results: Results, goal: Goal, case: str) -> str:
    if goal.against != BEST_PEER:
        return goal.against or results.work.baseline
    peers = [name for name in results.samples if not name.startswith(US) and name not in NOT_PEERS]
    middle = {name: results.values(name, case, goal.metric) for name in peers}
    known = {name: median(values) for name, values in middle.items() if values}
    if not known:
        return results.work.baseline
    return (min if goal.most is not None else max)(known, key=known.__getitem__)


def document(results: Results, machine: list[str], commands: dict[str, str], day: str) -> str:
    work = results.work
    rounds = max((len(samples) for samples in results.samples.values()), default=0)
    lines = [f"# {work.title}", "", work.method, "", *table(results), ""]
    lines += [f"- {name} failed: {why}" for name, why in results.failures.items()]
    goals = goal_lines(results)
    lines += ["Figures to reach:", "", *goals, ""] if goals else []
    lines += [
        f"{day}; {rounds} rounds, the peers in turn within each; medians of the rounds. "
        f"Ratios are made within a round: median (least–most).",
        "",
        *[f"- {line}" for line in machine],
        "",
        "```",
        *[f"{name}: {command}" for name, command in commands.items()],
        "```",
    ]
    return "\n".join(lines) + "\n"
