"""docs/reload.md: a new generation is ready before the old one goes; one that is not leaves the old one serving."""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from pathlib import Path
from signal import Signals

import pytest

from harness import packet, procs
from harness.packet import Response
from harness.server import Server
from harness.wait import until

KINDS = [{}, {"lazy_apps": True}, {"processes": 2, "threads": 2}]

GOOD = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{}"]
"""
BAD = {
    "syntax error": ("def (", "SyntaxError"),
    "missing module": ("import no_such_module", "ModuleNotFoundError"),
    "missing callable": ("other = None", "has no attribute 'application'"),
    "exception": ("1 / 0", "ZeroDivisionError"),
    "end": ("import os; os._exit(9)", "ended with status 9"),
    "exit": ("raise SystemExit('no')", "SystemExit: no"),
}


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site_to_change.py"
    path.write_text(GOOD.format("first"))
    return path


def boot_site(boot, site: Path, **options):
    server = boot(None, module=site.stem, pythonpath=site.parent, **options)
    assert server.request().body == b"first"
    return server


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_reload_serves_new_code(boot, site, options):
    server = boot_site(boot, site, **options)
    old = server.worker_pids()
    for number in (2, 3):
        site.write_text(GOOD.format(f"code {number}"))
        server.reload()
        server.log.wait(f"SIGHUP: starting generation {number}")
        server.log.wait(f"generation {number} serves; the old workers finish")
        assert server.request().text == f"code {number}"
    assert not set(old) & set(server.worker_pids())
    assert len(server.worker_pids()) == options.get("processes", 1)


@pytest.mark.parametrize("options", KINDS[:2], ids=str)
@pytest.mark.parametrize("kind", BAD)
def test_code_that_does_not_load_leaves_the_old_serving(boot, site, kind, options):
    server = boot_site(boot, site, **options)
    old = server.worker_pids()
    text, complaint = BAD[kind]
    site.write_text(text)
    server.signal(Signals.SIGHUP)
    server.notifications.wait("RELOADING=1")
    server.notifications.wait("READY=1")
    server.log.wait("; generation 2 is given up, generation 1 serves on")
    server.log.wait(complaint)
    server.log.accept_anything()
    assert server.request().body == b"first"
    assert server.worker_pids() == old
    site.write_text(GOOD.format("mended"))
    server.reload()
    assert server.request().body == b"mended"


def test_code_that_does_not_get_ready_leaves_the_old_serving(boot, site):
    server = boot_site(boot, site, boot_timeout=1)
    site.write_text("import threading\nthreading.Event().wait()\n")
    server.signal(Signals.SIGHUP)
    server.notifications.wait("RELOADING=1")
    assert server.request().body == b"first"
    server.notifications.wait("READY=1")
    server.log.wait("SIGHUP: starting generation 2")
    server.log.wait("generation 2 is given up, generation 1 serves on")
    assert server.request().body == b"first"


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_request_that_runs_is_finished_by_the_old_code(boot, options):
    server = boot("slow:waits", **options)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/old", "POST", b"done")))
        server.log.wait("^waiting /old$")
        server.reload(wait_for_old=False)
        client.sendall(b"done")
        assert Response.parse(packet.read_all(client)).text.startswith("done ")


def test_reloads_wait_for_room_while_old_workers_are_busy(boot):
    """The scoreboard has so many slots; the last generation waits until one of them is free, and is not given up."""
    server = boot("slow:waits", lazy_apps=True)
    with ExitStack() as stack:
        busy = []
        for number in range(5):
            busy.append(stack.enter_context(server.connect()))
            busy[-1].sendall(packet.packet(packet.variables(f"/{number}", "POST", b"done")))
            server.log.wait(f"^waiting /{number}$")
            if number < 4:
                server.reload(wait_for_old=False)
        server.signal(Signals.SIGHUP)
        server.notifications.wait("RELOADING=1")
        for client in busy:
            client.sendall(b"done")
            assert Response.parse(packet.read_all(client)).text.startswith("done ")
        server.notifications.wait("READY=1")
        until(lambda: [worker.generation for worker in server.workers()] == [6], "the old workers to go")


def test_an_old_worker_that_takes_longer_than_the_mercy_is_killed(boot):
    server = boot("slow:waits", worker_reload_mercy=1)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/old", "POST", b"never")))
        server.log.wait("^waiting /old$")
        server.reload(wait_for_old=False)
        server.log.wait(r"worker 1 \(pid \d+\) is still busy after worker-reload-mercy = 1 s; killed")
        server.log.wait(r"worker 1 \(pid \d+\) was killed by SIGKILL")
    assert server.request("/new", "POST", b"").status == 200
    server.log.expect("^waiting /new$")


def reload_twice(boot, site, tmp_path, first: str, second: str) -> Server:
    """The second reload comes while the first loads its code, and the code of the second is there by then."""
    gate = tmp_path / "gate"
    server = boot_site(boot, site)
    site.write_text(f"import os\nos.mkfifo({str(gate)!r})\nopen({str(gate)!r}).read()\n{first}")
    server.signal(Signals.SIGHUP)
    server.notifications.wait("RELOADING=1")
    until(gate.exists, "the new code to wait")
    site.write_text(second)
    server.signal(Signals.SIGHUP)
    server.log.wait("SIGHUP: a generation is on its way already; another reload follows it")
    gate.open("w").close()
    return server


def served_by(server: Server, generation: int) -> bytes:
    """What is answered when there is no other generation any more."""
    for state in ("READY=1", "RELOADING=1", "READY=1"):
        server.notifications.wait(state)
    until(lambda: {worker.generation for worker in server.workers()} == {generation}, "the old workers to go")
    return server.request().body


def test_another_reload_during_a_reload_follows_it(boot, site, tmp_path):
    """The second one brings the code that was written after the first had begun."""
    server = reload_twice(boot, site, tmp_path, GOOD.format("second"), GOOD.format("third"))
    assert served_by(server, 3) == b"third"
    server.log.expect("SIGHUP: starting generation 2", "generation . serves; the old workers finish")
    server.log.wait("SIGHUP: starting generation 3")


def test_another_reload_follows_one_that_fails(boot, site, tmp_path):
    """The code was mended while it failed."""
    server = reload_twice(boot, site, tmp_path, "1 / 0\n", GOOD.format("mended"))
    server.log.wait("generation 2 is given up, generation 1 serves on")
    server.log.accept_anything()
    assert served_by(server, 2) == b"mended"


def test_a_stop_during_a_reload(boot, site, tmp_path):
    gate = tmp_path / "gate"
    server = boot_site(boot, site)
    site.write_text(f"import os\nos.mkfifo({str(gate)!r})\nopen({str(gate)!r}).read()\n")
    server.signal(Signals.SIGHUP)
    until(gate.exists, "the new code to wait")
    server.signal(Signals.SIGTERM)
    server.log.wait("SIGHUP: starting generation 2")
    assert server.wait_exit() == 0


def test_reloads_leak_nothing(boot):
    """The master's descriptors and processes after many generations are those after the first."""
    server = boot("hello", processes=2)
    server.reload()
    until(lambda: len(procs.children(server.pid)) == 3, "the old zygote to go")
    before = procs.descriptors(server.pid)
    for _ in range(8):
        server.reload()
    until(lambda: len(procs.children(server.pid)) == 3, "the old zygotes to go")
    assert procs.descriptors(server.pid) == before
    assert all(len(procs.descriptors(pid)) < 20 for pid in server.worker_pids())


def test_what_cannot_be_started_is_tried_once_in_a_second(boot):
    server = boot("hello")
    server.log.expect("SIGHUP: starting generation", "generation .* serves; the old workers finish")
    server.log.expect("cannot start a zygote: Too many open files; trying again in a second")
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    numbers = [int(name) for name in os.listdir(f"/proc/{server.pid}/fd")]
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (len(numbers), hard))
    server.signal(Signals.SIGHUP)
    server.log.wait("cannot start a zygote", 2)
    begun = time.monotonic()
    server.log.wait("cannot start a zygote", 3)
    assert time.monotonic() - begun > 0.7
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
    server.notifications.wait("RELOADING=1")
    server.notifications.wait("READY=1")
