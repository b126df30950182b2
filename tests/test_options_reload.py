"""What starts a reload, and what a reload reads: the configuration again, and the modules that have changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from signal import Signals

import pytest

from harness import procs
from harness.wait import until

APP = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(os.environ.get("SAID", "") + "{}").encode()]
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site_to_watch.py").write_text(APP.format("first"))
    return tmp_path


@pytest.fixture
def config(site):
    def write(*lines: str) -> Path:
        path = site / "server.ini"
        path.write_text("\n".join(["[uwsgi]", "module = site_to_watch", f"pythonpath = {site}", *lines]) + "\n")
        return path

    return write


def next_generation(server, cause, number=2):
    server.log.wait(f"{cause}: starting generation {number}$")
    server.log.wait(f"generation {number} serves; the old workers finish")
    until(lambda: all(worker.generation == number for worker in server.workers()), "the old workers to go")


# ── the configuration ──


def test_a_reload_reads_the_configuration_again(boot, config):
    path = config("env = SAID=one ", "processes = 2")
    server = boot(None, f"--ini={path}")
    assert server.request().text == "onefirst"
    config("env = SAID=two ", "processes = 2")
    server.reload()
    assert server.request().text == "twofirst"


def test_a_relative_name_is_found_after_chdir(boot, config, site):
    other = site / "other"
    other.mkdir()
    config("env = SAID=one", f"chdir = {other}")
    server = boot(None, "--ini=server.ini", cwd=site)
    config("env = SAID=two", f"chdir = {other}")
    server.reload()
    assert server.request().text == "twofirst"


@pytest.mark.parametrize("words", [["--ini=-"], ["--ini", "-"]], ids=str)
def test_what_can_be_read_but_once_stays(boot, config, words):
    path = config("env = SAID=one")
    command = ["sh", "-c", f'exec "$@" < {path}', "sh", sys.executable, "-m", "rwsgi"]
    server = boot(None, *words, command=command)
    server.reload()
    assert server.request().text == "onefirst"


def test_an_invalid_configuration_leaves_the_old_serving(boot, config):
    path = config("env = SAID=one", "harakiri = 60")
    server = boot(None, f"--ini={path}")
    pids = server.worker_pids()
    config("env = SAID=two", "harakiri = soon")
    server.signal(Signals.SIGHUP)
    server.log.wait(rf'SIGHUP: the configuration is not valid: {path}:5: .*"soon".*; generation 1 serves on')
    server.notifications.wait("RELOADING=1")
    server.notifications.wait("READY=1")
    assert server.worker_pids() == pids
    assert server.request().text == "onefirst"
    config("env = SAID=three", "harakiri = 60")
    server.reload()
    assert server.request().text == "threefirst"


def test_a_configuration_that_is_gone_leaves_the_old_serving(boot, config):
    path = config()
    server = boot(None, f"--ini={path}")
    path.unlink()
    server.signal(Signals.SIGHUP)
    server.log.wait("SIGHUP: the configuration is not valid: .*; generation 1 serves on")
    assert server.request().text == "first"


def test_what_cannot_change_is_named_and_stays(boot, config):
    path = config("processes = 1", "threads = 1")
    server = boot(None, f"--ini={path}")
    config("# a line more", "processes = 3", "threads = 2", "http-socket = 127.0.0.1:0", "env = SAID=new")
    server.reload()
    named = "http-socket, processes, threads"
    server.log.wait(f"SIGHUP: {named} cannot change in a running server; restart it for that")
    assert server.request().text == "newfirst"
    assert len(server.worker_pids()) == 1


def test_it_is_named_at_each_reload(boot, config):
    path = config()
    server = boot(None, f"--ini={path}")
    config("log-truncate = true", "master-as-root = true")
    named = "SIGHUP: master-as-root, log-truncate cannot change in a running server; restart it for that"
    server.log.expect(named)
    server.reload()
    server.reload()
    assert server.log.text.count(named) == 2


def test_names_of_processes_follow(boot, config):
    path = config()
    server = boot(None, f"--ini={path}")
    before = procs.title(server.pid)
    config("procname = site", "procname-master = boss")
    server.reload()
    assert (procs.title(server.pid), procs.title(server.worker_pids()[0])) == ("boss", "site")
    config()
    server.reload()
    assert (procs.title(server.pid), procs.title(server.worker_pids()[0])) == (before, before)


@pytest.mark.parametrize(("old", "new"), [("false", "true"), ("true", "false")])
def test_vacuum_follows(start, config, site, old, new):
    pidfile = f"pidfile = {site}/pid"
    path = config(pidfile, f"vacuum = {old}")
    with start(None, f"--ini={path}").wait_ready() as server:
        config(pidfile, f"vacuum = {new}")
        server.reload()
        assert (site / "pid").exists()
    assert (site / "pid").exists() == (new == "false")


def test_a_code_that_does_not_load_keeps_its_configuration(boot, config, site):
    """A worker of the old generation that dies gets a successor with the old configuration."""
    path = config("env = SAID=one")
    server = boot(None, f"--ini={path}")
    config("env = SAID=two")
    (site / "site_to_watch.py").write_text("1 / 0")
    server.signal(Signals.SIGHUP)
    server.log.wait("generation 2 is given up, generation 1 serves on")
    (site / "site_to_watch.py").write_text(APP.format("mended"))
    (old,) = server.worker_pids()
    os.kill(old, Signals.SIGKILL)
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    assert server.request().text == "onemended"
    server.log.accept_anything()


def test_a_new_warning_is_logged_once(boot, config):
    path = config()
    server = boot(None, f"--ini={path}")
    config("harakirri = 3")
    server.reload()
    server.log.wait(f"warning: {path}:4: .*harakirri.*harakiri")
    server.signal(Signals.SIGHUP)
    server.log.wait("generation 3 serves")
    server.log.expect("starting generation 3")
    assert sum("warning: " in line for line in server.log.lines) == 1


def test_limits_of_requests_follow(boot, config):
    path = config()
    server = boot(None, f"--ini={path}")
    config("limit-post = 3")
    server.reload()
    assert server.request("/", "POST", b"four").status == 413
    server.log.expect("refused a request with 413|limit-post = 3")


# ── files ──


@pytest.mark.parametrize("option", ["touch-reload", "touch-workers-reload", "touch-chain-reload"])
@pytest.mark.parametrize("exists", [False, True])
def test_touch(boot, site, config, option, exists):
    marker = site / "marker"
    if exists:
        marker.write_text("")
        os.utime(marker, (1, 1))
    path = config(f"{option} = {marker}")
    server = boot(None, f"--ini={path}")
    (site / "site_to_watch.py").write_text(APP.format("second"))
    marker.touch()
    next_generation(server, f"{option} {marker}")
    assert server.request().text == "second"


def test_files_that_change_together_reload_once(boot, site, config):
    first, second = site / "a", site / "b"
    path = config(f"touch-reload = {first}", f"touch-chain-reload = {second}")
    server = boot(None, f"--ini={path}")
    # A rename brings both at one moment.
    for name in (first, second):
        name.with_suffix(".new").touch()
    os.kill(server.pid, Signals.SIGSTOP)
    for name in (first, second):
        name.with_suffix(".new").rename(name)
    os.kill(server.pid, Signals.SIGCONT)
    next_generation(server, f"touch-reload {first}")
    server.reload()
    server.log.expect("starting generation 3")


def test_exit_on_reload(start, config):
    path = config("exit-on-reload = true")
    server = start(None, f"--ini={path}").wait_ready()
    server.signal(Signals.SIGHUP)
    server.log.wait(r"SIGHUP: stopping instead of reloading \(exit-on-reload\)")
    assert server.wait_exit() == 0


# ── modules ──


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}, {"threads": 2, "processes": 2}], ids=str)
def test_py_autoreload(boot, site, options):
    server = boot(None, module="site_to_watch", pythonpath=site, py_autoreload=1, **options)
    assert server.request().text == "first"
    until(lambda: server.log.lines, "the start")
    rewrite(site / "site_to_watch.py", APP.format("second"))
    server.log.wait(rf"py-autoreload: site_to_watch has changed \({site}/site_to_watch.py\)")
    next_generation(server, "py-autoreload")
    assert server.request().text == "second"


def test_py_autoreload_sees_what_a_request_has_imported(boot, site):
    (site / "late.py").write_text("TEXT = 'one'")
    (site / "lazily.py").write_text(
        "def application(environ, start_response):\n"
        "    import late\n"
        "    start_response('200 OK', [])\n"
        "    return [late.TEXT.encode()]\n"
    )
    server = boot(None, module="lazily", pythonpath=site, py_autoreload=1)
    assert server.request().text == "one"
    number = 0

    def has_changed():
        nonlocal number
        number += 1
        rewrite(site / "late.py", "TEXT = 'two'" + "#" * number)
        return any("late has changed" in line for line in server.log.lines)

    until(has_changed, "the change to be seen")
    server.log.expect("py-autoreload: late has changed", "py-autoreload: ", "generation")
    until(lambda: server.request().text == "two", "the new code")


def test_py_autoreload_goes_on_after_a_syntax_error(boot, site):
    server = boot(None, module="site_to_watch", pythonpath=site, py_autoreload=1)
    assert server.request().text == "first"
    rewrite(site / "site_to_watch.py", "def (")
    server.log.wait("generation 2 is given up, generation 1 serves on")
    rewrite(site / "site_to_watch.py", APP.format("mended"))
    next_generation(server, "py-autoreload")
    assert server.request().text == "mended"
    server.log.accept_anything()


def test_py_autoreload_sees_what_has_changed_before_the_worker_was_forked(boot, site):
    """A recycled worker comes from the zygote, which has the old code."""
    server = boot(None, module="site_to_watch", pythonpath=site, py_autoreload=1)
    (old,) = server.worker_pids()
    os.kill(old, Signals.SIGSTOP)
    rewrite(site / "site_to_watch.py", APP.format("second"))
    os.kill(old, Signals.SIGKILL)
    server.log.wait("was killed by SIGKILL")
    next_generation(server, "py-autoreload")
    server.log.expect("is ready", "py-autoreload: ")
    assert server.request().text == "second"


def test_py_autoreload_ignores(boot, site):
    (site / "left_alone.py").write_text("")
    (site / "site_to_watch.py").write_text("import left_alone\n" + APP.format("first"))
    server = boot(None, module="site_to_watch", pythonpath=site, py_autoreload=1, py_auto_reload_ignore="left_alone")
    server.request()
    rewrite(site / "left_alone.py", "x = 1")
    rewrite(site / "site_to_watch.py", APP.format("second"))
    next_generation(server, "py-autoreload")
    server.log.expect("py-autoreload: site_to_watch has changed")
    assert not any("left_alone has changed" in line for line in server.log.lines)


def rewrite(path, text):
    """In one step, so that nobody reads half of it; with another length, so that it differs whatever the clock says."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


# ── no server ──


@pytest.mark.parametrize("lazy", [False, True])
def test_no_server(start, lazy):
    server = start("options", no_server=True, lazy_apps=lazy)
    assert server.wait_exit() == 0
    server.log.find("no-server: everything is in order; stopping before the workers start")
    server.log.expect("no-server: ")
    assert not any("serves" in line for line in server.log.lines)


def test_no_server_with_a_broken_application(start):
    server = start("no_such_module", no_server=True)
    server.status = 22
    assert server.wait_exit() == 22
    server.log.accept_anything()
