"""The counted matrix (benchmarks/reloads.py) proves nothing by a cell in which nothing happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import events
from harness.books import Books
from harness.server import APPS

sys.path.insert(0, str(APPS.parent.parent / "benchmarks"))

import counted_report
from cells import SAMPLE_MODES, Cell, Outcome, every_cell, sampled
from counted_store import TRIES, Store

CELL = Cell("rwsgi", "hup", "http", "new", 1)


@pytest.fixture
def child():
    """A process that was started just now."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.stdin.close()


def happened(event: events.Event, now: float = 0.0) -> events.Event:
    event.start(now)
    event.fire(Books(), now)
    return event


def touched(path: Path) -> events.Event:
    return happened(events.touch(path, 1))


def test_a_worker_that_was_there_before_is_no_effect(tmp_path):
    event = touched(tmp_path / "file")
    event.first_answer(os.getpid())
    assert (event.count, event.effects) == (1, 0)


def test_a_worker_that_is_gone_is_no_effect(tmp_path):
    with subprocess.Popen(["true"]) as process:
        process.wait()
    event = touched(tmp_path / "file")
    event.first_answer(process.pid)
    assert event.effects == 0


def test_each_event_has_one_effect_at_most(tmp_path):
    event = touched(tmp_path / "file")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as one, subprocess.Popen(["true"]) as other:
        event.first_answer(one.pid)
        event.first_answer(other.pid)
        one.stdin.close()
    assert event.effects == 1


def test_an_event_that_has_not_happened_has_no_effect(child, tmp_path):
    event = events.touch(tmp_path / "file", 1)
    event.start(0)
    event.first_answer(child)
    assert event.effects == 0


def test_a_freeze_counts_when_it_has_ended(child):
    event = events.Freeze(1)
    event.start(0)
    event.fire(Books(workers={child: 0.0}), 0)
    assert (event.count, event.effects) == (1, 0)
    event.finish()
    assert event.effects == 1


def result(effects: int = 2, **changed: object) -> dict:
    return {**Outcome(Books(begun=9, answered=9), effects, 2).summary(), "build": "1", **changed}


@pytest.mark.parametrize(
    ("stored", "settled"),
    [
        (result(), True),
        (result(effects=1), False),
        (result(build="0"), False),
        ({"failed": "no 200", "build": "1"}, False),
    ],
    ids=["proven", "void", "of another build", "failed"],
)
def test_what_proves_nothing_is_run_again(tmp_path, stored, settled):
    store = Store(tmp_path / "store.json")
    store.put(CELL, stored)
    assert Store(tmp_path / "store.json").is_settled(CELL, "1") is settled


def test_results_from_before_events_were_checked_prove_nothing(tmp_path):
    old = {key: value for key, value in result().items() if key not in ("void", "effects", "needed")}
    (tmp_path / "store.json").write_text(json.dumps({CELL.name: old}))
    assert not Store(tmp_path / "store.json").is_settled(CELL, "1")


def test_tries_have_an_end(tmp_path):
    store = Store(tmp_path / "store.json")
    for number in range(TRIES):
        assert (store.tries(CELL, "1"), store.is_settled(CELL, "1")) == (number, False)
        store.put(CELL, result(effects=1))
    assert store.is_settled(CELL, "1")


def test_a_void_cell_counts_for_its_losses_only(tmp_path):
    store = Store(tmp_path / "store.json")
    void = Cell("rwsgi", "hup", "http", "kept", 1)
    store.put(CELL, result())
    store.put(void, result(effects=0, lost=3))
    lines = counted_report.summary([CELL, void], store)
    assert "| rwsgi | hup | http | 2 | 9 | 9 | 0 | 3 | 0 | 1 | 0 |" in lines
    assert "VOID" in counted_report.line(void.name, store.results[void.name])


def test_a_sample_is_the_same_each_time_and_has_every_event():
    cells = list(every_cell())
    sample = sampled(cells, 20)
    assert set(sample) == set(sampled(reversed(cells), 20))
    assert {cell.mode for cell in sample} == set(SAMPLE_MODES)
    for peer in ("rwsgi", "uwsgi", "gunicorn"):
        own = [cell for cell in sample if cell.peer == peer]
        assert len(own) == 20
        assert {cell.event for cell in own} == {cell.event for cell in cells if cell.peer == peer}
