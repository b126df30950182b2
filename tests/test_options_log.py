"""Options about the log and the pid files."""

from __future__ import annotations

import os
import re
from signal import Signals

import pytest

from harness.wait import until

pytestmark = pytest.mark.core


def contains(path, text, count=1):
    return until(lambda: path.exists() and path.read_text().count(text) >= count, f"{text} in {path}")


@pytest.mark.parametrize("option", ["logto", "logto2"])
@pytest.mark.parametrize("truncate", [False, True])
def test_a_file_and_its_truncation(start, tmp_path, option, truncate):
    log = tmp_path / "log"
    log.write_text("from before\n")
    with start("hello", log_truncate=truncate, **{option: log}).wait_ready() as server:
        assert server.request().status == 200
        contains(log, "GET /")
    text = log.read_text()
    assert text.startswith("from before") != truncate
    assert "rwsgi " in text
    assert "has left after 1 requests" in text


def test_logto2_takes_over_from_logto(start, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    with start("hello", logto=first, logto2=second).wait_ready():
        contains(second, " serves ")
    assert " serves " not in first.read_text()


def test_logto2_is_relative_to_the_start_and_not_to_chdir(start, tmp_path):
    (tmp_path / "there").mkdir()
    with start("hello", logto2="log", chdir=tmp_path / "there", cwd=tmp_path).wait_ready():
        contains(tmp_path / "log", " serves ")


def test_a_log_that_cannot_be_written_is_no_start(start, tmp_path):
    server = start("hello", logto2=tmp_path / "missing" / "log")
    server.status = 1
    assert server.wait_exit() == 1
    server.log.wait("cannot write the log to .*/missing/log: No such file or directory")


def test_log_date(boot):
    server = boot("hello", log_date="[%Y]")
    server.log.wait(r"^\[20\d\d\] - rwsgi ")
    server.log.accept_anything()


def test_log_date_without_a_format_is_the_usual_one(boot):
    server = boot("hello", log_date=True)
    server.log.find(r"^\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} - rwsgi ")


@pytest.mark.parametrize("options", [{}, {"processes": 2, "threads": 2}, {"lazy_apps": True}], ids=str)
def test_touch_logreopen(start, tmp_path, options):
    """As logrotate does it: the file gets another name, then the workers write to a new one."""
    log, old, marker = tmp_path / "log", tmp_path / "log.1", tmp_path / "marker"
    with start("hello", logto=log, touch_logreopen=marker, **options).wait_ready() as server:
        server.request("/before")
        contains(log, "GET /before")
        log.rename(old)
        marker.touch()
        contains(log, f"touch-logreopen {marker}: {log} opened anew")
        for _ in range(4):
            server.request("/after")
        contains(log, "GET /after", 4)
        # A worker that is forked by a zygote with the old file has the new one.
        os.kill(a_worker(server, log), Signals.SIGKILL)
        contains(log, "is ready")
        for _ in range(8):
            server.request("/later")
        contains(log, "GET /later", 8)
    assert "/after" not in old.read_text()
    assert "/later" not in old.read_text()


def a_worker(server, log):
    """SIGUSR1 answers into the file."""
    server.signal(Signals.SIGUSR1)
    contains(log, "  worker ")
    return int(re.search(r"  worker \d+ \(pid (\d+)\): ready", log.read_text())[1])


def test_log_reopen_on_reload(start, tmp_path):
    log, old = tmp_path / "log", tmp_path / "log.1"
    with start("hello", logto=log, log_reopen=True).wait_ready() as server:
        log.rename(old)
        server.signal(Signals.SIGHUP)
        contains(log, "generation 2 serves")
        contains(log, f"SIGHUP: {log} opened anew")
        server.request("/after")
        contains(log, "GET /after")


def test_without_log_reopen_the_file_stays(start, tmp_path):
    log, old = tmp_path / "log", tmp_path / "log.1"
    with start("hello", logto=log).wait_ready() as server:
        log.rename(old)
        server.signal(Signals.SIGHUP)
        contains(old, "generation 2 serves")
    assert not log.exists()


def test_reopening_what_is_no_file(boot, tmp_path):
    server = boot("hello", touch_logreopen=tmp_path / "marker")
    (tmp_path / "marker").touch()
    server.log.wait("touch-logreopen .*: the log is no file of the server's; it stays as it is")


# ── pid files ──


@pytest.mark.parametrize("option", ["pidfile", "pidfile2", "safe_pidfile", "safe_pidfile2"])
@pytest.mark.parametrize("vacuum", [False, True])
def test_a_pid_file(start, tmp_path, option, vacuum):
    path = tmp_path / "pid"
    with start("hello", vacuum=vacuum, **{option: path}).wait_ready() as server:
        assert contains(path, f"{server.pid}\n")
    assert path.exists() != vacuum


@pytest.mark.parametrize("option", ["safe_pidfile", "safe_pidfile2"])
def test_a_safe_one_survives_a_start_that_fails(start, tmp_path, option):
    path = tmp_path / "pid"
    path.write_text("4711\n")
    server = start("no_such_module", vacuum=True, **{option: path})
    server.status = 22
    assert server.wait_exit() == 22
    server.log.accept_anything()
    assert path.read_text() == "4711\n"


def test_relative_to_chdir_or_not(start, tmp_path):
    (tmp_path / "there").mkdir()
    options = {"pidfile": "one", "safe_pidfile": "two", "pidfile2": "three", "safe_pidfile2": "four"}
    with start("hello", chdir=tmp_path / "there", cwd=tmp_path, **options).wait_ready():
        contains(tmp_path / "there" / "four", "\n")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "there"}
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"three", "four"}
