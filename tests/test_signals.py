"""docs/signals.md, line by line."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from select import select
from signal import Signals

import pytest

from harness import packet, procs
from harness.http import Connection, request
from harness.packet import Response
from harness.server import APPS, Server
from harness.wait import until

STOPPING = [Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT]


@contextmanager
def in_flight(server: Server, path: str = "/busy") -> Iterator[socket.socket]:
    """A request of slow:waits that runs, until `finish` is called."""
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables(path, "POST", b"done")))
        server.log.wait(f"^waiting {re.escape(path.partition('?')[0])}$")
        yield client


def finish(client: socket.socket) -> bytes:
    client.sendall(b"done")
    return Response.parse(packet.read_all(client)).body


def is_closed(client: socket.socket) -> bool:
    """Without an answer."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


# ── stopping ──


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("options", [{}, {"threads": 3, "processes": 2}, {"lazy_apps": True}], ids=str)
def test_a_stop_lets_requests_finish(boot, number, options):
    server = boot("slow:waits", **options)
    with in_flight(server) as client:
        server.signal(number)
        server.log.wait(f"{number.name}: stopping; requests in flight have 60 s")
        server.notifications.wait("STOPPING=1")
        assert finish(client).startswith(b"done ")
    assert server.wait_exit() == 0
    assert server.log.request("/busy")["status"] == "200"


def test_what_waits_in_the_backlog_is_served_before_the_stop(boot):
    server = boot("slow:waits")
    with in_flight(server) as client, server.connect() as late:
        late.sendall(packet.packet(packet.variables("/late")))
        server.signal(Signals.SIGTERM)
        server.log.wait("SIGTERM: stopping")
        assert finish(client).startswith(b"done ")
        assert Response.parse(packet.read_all(late)).status == 200
        assert server.wait_exit() == 0
    assert "/late" in server.log.text


@pytest.mark.parametrize("number", STOPPING)
def test_a_second_signal_stops_at_once(boot, number):
    server = boot("slow:waits", processes=2)
    with in_flight(server) as client:
        server.signal(number)
        server.log.wait(f"{number.name}: stopping")
        # Sooner it would be the first one told twice.
        assert not select([client], [], [], 0.3)[0]
        server.signal(number)
        server.log.wait(f"{number.name} again: stopping at once")
        # By the master itself: there is nothing to guess.
        server.log.expect(r"worker \d \(pid \d+\) was killed by SIGKILL after")
        assert server.wait_exit() == 0
        assert is_closed(client)


# The end of the interpreter lasts until somebody opens the FIFO.
FINALIZES = """\
import atexit, os
def wait(pid=os.getpid()):
    if os.getpid() == pid:
        os.write(2, b"finalizing\\n")
        open({fifo!r}).close()
atexit.register(wait)
"""


@pytest.mark.parametrize("number", [*STOPPING, Signals.SIGHUP, Signals.SIGUSR1])
def test_a_signal_that_comes_while_the_interpreter_ends_changes_nothing(boot, tmp_path, number):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "sitecustomize.py").write_text(FINALIZES.format(fifo=str(fifo)))
    server = boot("hello", env={"PYTHONPATH": f"{tmp_path}:{APPS}"})
    server.signal(Signals.SIGTERM)
    server.log.wait("^finalizing$")
    server.signal(number)
    with open(fifo, "r+b", buffering=0):
        assert server.wait_exit() == 0


@pytest.mark.parametrize("second", STOPPING)
def test_a_signal_that_is_told_twice_counts_once(boot, second):
    """`uv run` passes on the Ctrl-C that the terminal has sent already; supervisors signal a process and its group."""
    server = boot("slow:waits", processes=2)
    with in_flight(server) as client:
        server.signal(Signals.SIGINT)
        server.log.wait("SIGINT: stopping")
        server.signal(second)
        assert finish(client).startswith(b"done ")
    assert server.wait_exit() == 0


def test_ctrl_c_reaches_every_process_and_is_the_masters_business(boot):
    server = boot("slow:waits", processes=2)
    with in_flight(server) as client:
        os.killpg(server.pid, Signals.SIGINT)
        server.log.wait("SIGINT: stopping")
        assert finish(client).startswith(b"done ")
    assert server.wait_exit() == 0


def test_a_supervisor_may_signal_the_whole_group(boot):
    """Workers ask for successors; the master, even if it is the last to hear of the signal, stops them instead."""
    server = boot("hello", processes=4)
    server.worker_pids()
    server.signal(Signals.SIGSTOP)
    os.killpg(server.pid, Signals.SIGTERM)
    server.signal(Signals.SIGCONT)
    server.log.wait("SIGTERM: stopping")
    assert server.wait_exit() == 0


def test_a_worker_that_takes_longer_than_the_mercy_is_killed(boot):
    server = boot("slow:waits", worker_reload_mercy=1)
    with in_flight(server):
        server.signal(Signals.SIGTERM)
        server.log.wait(r"worker 1 \(pid \d+\) is still busy after worker-reload-mercy = 1 s; killed")
        server.log.wait(r"worker 1 \(pid \d+\) was killed by SIGKILL after")
        assert server.wait_exit() == 0


def test_a_zygote_that_does_not_end_is_killed_after_the_mercy(start, tmp_path):
    (tmp_path / "stuck.py").write_text("import os, signal\nos.write(2, b'stuck\\n')\nwhile True:\n    signal.pause()\n")
    server = start("stuck", pythonpath=tmp_path, reload_mercy=1)
    server.log.wait("^stuck$")
    before = time.monotonic()
    os.kill(server.pid, Signals.SIGTERM)
    assert server.wait_exit() == 0
    assert time.monotonic() - before > 0.9


def test_a_server_without_requests_stops_at_once(boot):
    server = boot("hello", processes=3, threads=2)
    server.signal(Signals.SIGTERM)
    assert server.wait_exit(2) == 0
    server.log.wait("has left after 0 requests", count=3)


# ── status, stacks, pause ──


def test_usr1_tells_the_status(boot):
    server = boot("slow:waits", processes=2, threads=2)
    with in_flight(server, "/page?a=b") as client:
        workers = server.workers()
        assert [(worker.id, worker.stage, worker.generation) for worker in workers] == [
            (1, "ready", 1),
            (2, "ready", 1),
        ]
        status = server.log.entry("status: ").text
        assert "status: Serving, generation 1, up 0 s" in status
        assert f"\n  listens on 127.0.0.1:{server.address[1]}, 0 waiting" in status
        assert "\n    core 0: POST /page?a=b for " in status or "\n    core 1: POST /page?a=b for " in status
        finish(client)
    until(lambda: sum(worker.requests for worker in server.workers()) == 1, "the request to be counted")


@pytest.mark.parametrize("threads", [1, 2])
def test_usr2_tells_the_stacks(boot, threads):
    server = boot("slow:waits", threads=threads, processes=2)
    with in_flight(server, "/stuck") as client:
        server.signal(Signals.SIGUSR2)
        server.log.wait(r"SIGUSR2: worker 1 \(pid \d+\)")
        server.log.wait(r"SIGUSR2: worker 2 \(pid \d+\)")
        server.log.wait(r"hread 0x[0-9a-f]+ .*\[core \d: POST /stuck\]")
        server.log.wait(r'  File ".*/slow.py", line \d+ in waits')
        # Nothing is disturbed.
        assert finish(client).startswith(b"done ")
    assert server.request("/", "POST", b"").status == 200
    server.log.expect("^waiting /$")


def test_tstp_pauses_and_resumes(boot):
    server = boot("hello", processes=2)
    server.signal(Signals.SIGTSTP)
    server.log.wait("SIGTSTP: paused")
    with ExitStack() as stack:
        client = until(lambda: _left_waiting(server, stack), "a connection to wait in the backlog")
        assert "paused" in server.log.text.split("status: ")[-1]
        server.signal(Signals.SIGTSTP)
        server.log.wait("SIGTSTP: resumed")
        assert Response.parse(packet.read_all(client)).body == b"hello"


def _left_waiting(server: Server, stack: ExitStack) -> socket.socket | None:
    """A connection that nobody takes. A worker that was just about to accept when the order came takes one more."""
    client = stack.enter_context(server.connect())
    client.sendall(packet.packet(packet.variables()))
    until(
        lambda: _status(server, "1 waiting") or select([client], [], [], 0)[0], "the connection to wait, or an answer"
    )
    return None if select([client], [], [], 0)[0] else client


def _status(server: Server, text: str) -> bool:
    server.workers()
    return text in server.log.text.split("status: ")[-1]


def test_a_request_that_runs_is_finished_on_pause(boot):
    server = boot("slow:waits")
    with in_flight(server) as client:
        server.signal(Signals.SIGTSTP)
        server.log.wait("SIGTSTP: paused")
        assert finish(client).startswith(b"done ")


def test_a_paused_server_stops(boot):
    server = boot("hello", threads=2)
    server.signal(Signals.SIGTSTP)
    server.log.wait("SIGTSTP: paused")
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0


def test_a_paused_server_reloads_and_stays_paused(boot):
    server = boot("hello")
    server.signal(Signals.SIGTSTP)
    server.log.wait("SIGTSTP: paused")
    server.reload()
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables()))
        until(lambda: _status(server, "1 waiting"), "the connection to wait in the backlog")
        server.signal(Signals.SIGTSTP)
        server.log.wait("SIGTSTP: resumed")
        assert Response.parse(packet.read_all(client)).body == b"hello"


@pytest.mark.parametrize("how", ["reload", "term"])
def test_connections_outlast_the_replacement_of_paused_workers(boot, how):
    """Those who take them over do not serve yet."""
    server = boot("hello", http=True, uwsgi=False)
    with ExitStack() as stack:
        kept, new, half = (stack.enter_context(Connection(server.http_address)) for _ in range(3))
        kept.send(request("/kept"))
        assert kept.answer().status == 200
        half.send(request("/half")[:9])
        (old,) = server.worker_pids()
        server.signal(Signals.SIGTSTP)
        server.log.wait("SIGTSTP: paused")
        if how == "reload":
            server.reload(wait_for_old=False)
        else:
            os.kill(old, Signals.SIGTERM)
            server.log.wait(r"worker 1 \(pid \d+\) was told to leave; replaced")
        assert select([connection.socket for connection in (kept, new, half)], [], [], 1.5)[0] == []
        server.signal(Signals.SIGTSTP)
        server.log.wait("SIGTSTP: resumed")
        kept.send(request("/kept"))
        new.send(request("/new"))
        half.send(request("/half")[9:])
        assert [connection.answer().status for connection in (kept, new, half)] == [200] * 3


def test_a_server_that_is_told_to_stop_while_it_binds_leaves_no_socket_behind(start, tmp_path):
    """The first of many sockets is there long before the server is."""
    paths = [tmp_path / f"{number}.sock" for number in range(250)]
    server = start("hello", uwsgi=False, http_socket=[str(path) for path in paths], vacuum=True)
    until(lambda: any(tmp_path.iterdir()), "the first socket")
    server.signal(Signals.SIGTERM)
    server.log.wait("SIGTERM: stopping")
    assert server.wait_exit() == 0
    assert list(tmp_path.iterdir()) == []


BLOCKS_ALL = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals());"


def test_signals_that_were_blocked_before_the_start_are_obeyed(boot):
    command = [sys.executable, "-c", BLOCKS_ALL + "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"]
    server = boot("hello", command=[*command, "-m", "rwsgi"])
    server.reload()
    (worker,) = server.worker_pids()
    os.kill(worker, Signals.SIGTERM)
    server.log.wait("was told to leave; replaced")
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}], ids=str)
def test_a_worker_whose_application_blocks_signals_dies_after_its_master(boot, tmp_path, options):
    (tmp_path / "blocks.py").write_text(f"{BLOCKS_ALL}\nfrom slow import waits\n")
    server = boot(
        None,
        f"--pythonpath={APPS}",
        f"--pythonpath={tmp_path}",
        "--module=blocks:waits",
        worker_reload_mercy=1,
        **options,
    )
    server.log.accept_anything()
    server.status = -signal.SIGKILL
    with in_flight(server):
        server.signal(Signals.SIGKILL)
        server.process.wait()
        until(lambda: not server.processes, "the worker to die")


def test_pipe_is_ignored(boot):
    server = boot("hello")
    server.signal(Signals.SIGPIPE)
    assert server.request().status == 200


# ── workers ──


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}, {"threads": 2}], ids=str)
@pytest.mark.parametrize("number", [Signals.SIGKILL, Signals.SIGSEGV])
def test_a_killed_worker_is_replaced_and_the_log_says_of_what_it_died(boot, number, options):
    server = boot("hello", processes=2, **options)
    first, second = server.worker_pids()
    os.kill(first, number)
    server.log.wait(rf"worker 1 \(pid {first}\) was killed by {number.name}.* after 0 requests; replacing it")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    pids = server.worker_pids()
    assert second in pids and first not in pids and len(pids) == 2
    assert server.request().status == 200


@pytest.mark.parametrize("number", [Signals.SIGTERM, Signals.SIGHUP])
def test_a_worker_that_is_told_to_go_finishes_and_is_replaced(boot, number):
    server = boot("slow:waits")
    (old,) = server.worker_pids()
    with in_flight(server) as client:
        os.kill(old, number)
        assert finish(client) == f"done {old}".encode()
    server.log.wait(rf"worker 1 \(pid {old}\) was told to leave; replaced")
    server.log.wait(rf"worker 1 \(pid {old}\) has left after 1 requests")
    assert server.request("/again", "POST", b"").status == 200
    server.log.wait("^waiting /again$")


@pytest.mark.parametrize("number", [Signals.SIGINT, Signals.SIGQUIT])
def test_a_worker_ignores(boot, number):
    server = boot("environment:facts")
    (pid,) = server.worker_pids()
    os.kill(pid, number)
    assert server.request().status == 200
    assert server.worker_pids() == [pid]


def test_workers_end_when_the_master_is_gone(boot):
    server = boot("slow:waits", processes=2, threads=2, lazy_apps=True)
    server.log.expect(*[f"worker {number}: the master is gone; leaving" for number in (1, 2)])
    with in_flight(server) as client:
        server.status = -signal.SIGKILL
        server.signal(Signals.SIGKILL)
        server.process.wait()
        # What runs is finished all the same.
        assert finish(client).startswith(b"done ")
    until(lambda: not server.processes, "the orphans to end")


def test_the_zygote_ends_when_the_master_is_gone(boot):
    server = boot("hello", processes=2)
    server.log.expect(*[f"worker {number}: the master is gone; leaving" for number in (1, 2)])
    server.status = -signal.SIGKILL
    server.signal(Signals.SIGKILL)
    server.process.wait()
    until(lambda: not server.processes, "the orphans to end")


def test_a_killed_zygote_is_started_again_when_it_is_needed(boot):
    server = boot("hello")
    (worker,) = server.worker_pids()
    (zygote,) = set(procs.children(server.pid)) - {worker}
    os.kill(zygote, Signals.SIGKILL)
    server.log.wait("the process that loads the application was killed by SIGKILL")
    os.kill(worker, Signals.SIGKILL)
    server.log.wait(r"worker 1 \(pid \d+\) was killed by SIGKILL")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    assert server.request().status == 200


@pytest.mark.parametrize("number", [Signals.SIGTERM, Signals.SIGHUP])
def test_what_a_zygote_is_told_is_not_meant_for_its_workers(boot, number):
    """They would ask for a successor, and each successor for another."""
    server = boot("hello", processes=2)
    workers = server.worker_pids()
    (zygote,) = set(procs.children(server.pid)) - set(workers)
    os.kill(zygote, number)
    os.kill(workers[0], Signals.SIGKILL)
    server.log.wait(r"worker 1 \(pid \d+\) was killed by SIGKILL")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    successor = set(server.worker_pids()) - set(workers)
    assert server.request().status == 200
    os.kill(workers[1], Signals.SIGTERM)
    server.log.wait(r"worker 2 \(pid \d+\) was told to leave; replaced")
    server.log.wait(r"worker 2 \(pid \d+\) has left")
    assert successor < set(server.worker_pids())


# ── handlers of the application ──


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}, {"threads": 3}], ids=str)
def test_handlers_of_the_application_run_in_workers(boot, options):
    server = boot("handlers:with_handlers()", **options)
    server.log.expect("^handler of SIGTERM")
    (pid,) = server.worker_pids()
    for number in (Signals.SIGUSR1, Signals.SIGUSR2):
        os.kill(pid, number)
        server.log.wait(f"^handler of {number.name} in main thread of {pid}$")
    assert server.request().text == str(pid)


def test_handlers_hear_of_a_stop(boot):
    server = boot("handlers:with_handlers()")
    (pid,) = server.worker_pids()
    server.signal(Signals.SIGTERM)
    server.log.wait(f"^handler of SIGTERM in main thread of {pid}$")
    assert server.wait_exit() == 0


def test_handlers_hear_of_a_reload(boot):
    server = boot("handlers:with_handlers()")
    (pid,) = server.worker_pids()
    server.reload()
    server.log.wait(f"^handler of SIGHUP in main thread of {pid}$")
    server.log.expect("^handler of SIGTERM")


def test_a_handler_that_exits_ends_its_worker_in_good_order(boot):
    server = boot("handlers:with_exit()")
    server.log.expect("^atexit in ")
    (pid,) = server.worker_pids()
    os.kill(pid, Signals.SIGUSR1)
    server.log.wait(f"^atexit in {pid}$")
    server.log.wait(rf"worker 1 \(pid {pid}\) was told to leave; replaced")
    server.log.wait(rf"worker 1 \(pid {pid}\) has left after 0 requests")


# ── the end of a worker's life ──


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}, {"threads": 2}], ids=str)
def test_atexit_handlers_run_in_every_worker(boot, options):
    server = boot("handlers:with_atexit()", processes=2, **options)
    pids = server.worker_pids()
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
    ran = {int(line.split()[-1]) for line in server.log.lines if line.startswith("atexit in ")}
    server.log.expect("^atexit in ")
    assert set(pids) <= ran


def test_atexit_handlers_run_at_a_reload(boot):
    server = boot("handlers:with_atexit()")
    server.log.expect("^atexit in ")
    (pid,) = server.worker_pids()
    server.reload()
    server.log.wait(f"^atexit in {pid}$")


def test_handlers_run_while_atexit_handlers_do(boot):
    server = boot("handlers:with_handler_at_the_end()")
    (pid,) = server.worker_pids()
    server.signal(Signals.SIGTERM)
    server.log.wait(f"^atexit in {pid}$")
    os.kill(pid, Signals.SIGUSR1)
    assert server.wait_exit() == 0


def test_an_atexit_handler_that_raises_is_no_catastrophe(boot):
    server = boot("handlers:with_bad_atexit()")
    server.signal(Signals.SIGTERM)
    server.log.expect("^Exception ignored in atexit callback|^Traceback|^  ", "^ZeroDivisionError: division by zero$")
    assert server.wait_exit() == 0


def test_an_atexit_handler_that_does_not_end_is_killed_after_the_mercy(boot):
    server = boot("handlers:with_lingering_atexit()", worker_reload_mercy=1)
    server.signal(Signals.SIGTERM)
    server.log.wait(r"worker 1 .* is still busy after worker-reload-mercy = 1 s; killed")
    server.log.wait(r"worker 1 \(pid \d+\) was killed by SIGKILL")
    assert server.wait_exit() == 0


def test_streams_are_flushed_at_the_end(boot):
    server = boot("handlers:with_stdio()")
    server.request()
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
    server.log.expect("unflushed stdout", "unflushed stderr")


def test_threads_of_the_application_are_waited_for(boot):
    server = boot("handlers:with_thread()")
    pid = server.request().text
    server.signal(Signals.SIGTERM)
    server.log.wait(f"^thread ends in {pid}$")
    assert server.wait_exit() == 0


@pytest.mark.parametrize("processes", [1, 3])
def test_all_fork_hooks_run_on_every_fork(boot, processes):
    server = boot("handlers:with_fork_hooks()", processes=processes)
    pids = server.worker_pids()
    for pid in pids:
        server.log.wait(f"^after fork in child {pid}$")
    server.log.wait("^before fork in ", count=processes)
    server.log.wait("^after fork in parent ", count=processes)
    os.kill(pids[0], Signals.SIGKILL)
    server.log.wait("was killed by SIGKILL")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    server.log.wait(f"^after fork in child {server.worker_pids()[0]}$")
