"""Alarms, for real: commands, a receiver of events, faults, full backlogs, bad deploys, lines of the log."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness import packet, procs
from harness.peer import Uwsgi
from harness.ports import free_port
from harness.server import TESTS, Server
from harness.tls import Authority
from harness.wait import until
from harness.webhook import Receiver

SEGFAULT = r"worker 1 \(pid \d+\) was killed by SIGSEGV after \d+ requests; replacing it"
READY = r"worker 1 \(pid \d+\) is ready"


def content(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_for(path: Path, pattern: str = ".") -> str:
    """What a command has written there."""
    until(lambda: re.search(pattern, content(path)), f"{pattern!r} in {path.name}")
    return content(path)


def crash(server: Server, path: str = "/segfault") -> None:
    """A request that its worker does not survive."""
    server.log.expect(r"was killed by SIGKILL" if path == "/killed" else SEGFAULT, READY)
    before = sum(bool(re.search(READY, line)) for line in server.log.lines)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables(path)))
        assert packet.read_all(client) == b""
    server.log.wait(READY, before + 1)


# Actions.


def test_a_command_gets_the_message_and_nothing_of_the_server(boot, tmp_path):
    out, files, env = tmp_path / "out", tmp_path / "files", tmp_path / "env"
    command = f"ls -l /proc/self/fd > {files}; env > {env}; cat > {out}"
    server = boot("faults", alarm_segfault=f"mail cmd:{command}")
    crash(server)
    message, record = wait_for(out, "native stack:").split("\n", 1)
    assert re.fullmatch(SEGFAULT, message)
    assert record.startswith("core 0 was running GET /segfault") and "the signal came in thread" in record
    kept = dict(line.split("=", 1) for line in env.read_text().splitlines() if "=" in line)
    assert kept["ALARM_NAME"] == "mail" and kept["ALARM_EVENT"] == "segfault"
    assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"} & set(kept)
    # Its output goes to where the log goes; ls has the directory open.
    assert not re.search(r" [0-9]+ -> (socket|anon_inode):", files.read_text()), files.read_text()
    assert len(re.findall(r" -> ", files.read_text())) == 4


def test_a_command_that_fails_is_in_the_log(boot):
    server = boot("faults", "--log-alarm=bad RuntimeError", alarm="bad cmd:exit 3")
    server.log.expect("RuntimeError in worker 1")
    assert server.request("/raises?x").status == 500
    server.log.wait(r"\[uwsgi-alarm\] bad: its command ended with status 3")


def test_the_log_can_be_the_place_and_makes_no_alarm_of_its_own(boot):
    server = boot("faults", "--log-alarm=again,plain RuntimeError|ALARM", alarm=["again log:look here:", "plain log:"])
    server.log.expect("RuntimeError in worker 1")
    server.request("/raises?x")
    server.log.wait(r"- ALARM: look here: .*")
    server.log.wait(r"- ALARM: (?!look)")
    crash_free = [line for line in server.log.lines if "ALARM:" in line]
    assert len(crash_free) == 2, crash_free


def test_an_event_is_posted_as_json(boot):
    with Receiver() as receiver:
        server = boot("faults", alarm_segfault=f"hook url:{receiver.address}?a=b", procname_master="the shop")
        crash(server)
        event = receiver.wait()
    assert event["event"] == "segfault" and event["server"] == "the shop"
    assert event["host"] == socket.gethostname() and event["pid"] == server.pid
    assert abs(event["time"] - time.time()) < 60
    assert re.fullmatch(SEGFAULT, event["message"])
    assert event["details"]["record"].startswith("core 0 was running GET /segfault")
    assert event["details"]["signal"] == "SIGSEGV" and event["details"]["worker"] == 1


def test_a_receiver_is_believed_by_its_certificate(boot, tmp_path):
    authority = Authority(tmp_path)
    with Receiver(tls=authority.sign()) as receiver:
        server = boot(
            "faults", env={"SSL_CERT_FILE": str(authority.file)}, alarm_segfault=f"hook url:{receiver.address}"
        )
        crash(server)
        assert receiver.wait()["event"] == "segfault"
        stranger = boot("faults", alarm_segfault=f"hook url:{receiver.address}")
        crash(stranger)
        stranger.log.wait(
            r"\[uwsgi-alarm\] hook: localhost:\d+ did not take the event \"segfault\" in 1 attempt: .*cert"
        )
        assert len(receiver.events) == 1


def test_a_receiver_that_fails_is_tried_again(boot):
    with Receiver(500, 503) as receiver:
        server = boot("faults", alarm_segfault=f"hook url:{receiver.address}")
        crash(server)
        first, third = receiver.wait(), receiver.wait(3)
        assert first == third


def test_a_receiver_that_refuses_is_not(boot):
    with Receiver(403) as receiver:
        server = boot("faults", alarm_segfault=f"hook url:{receiver.address}/secret")
        crash(server)
        line = server.log.wait(r"\[uwsgi-alarm\] hook: .* did not take the event \"segfault\" in 1 attempt: status 403")
        assert "secret" not in line.string


def test_who_hangs_delays_neither_requests_nor_the_stop(boot, tmp_path):
    begun = tmp_path / "begun"
    with Receiver(None) as receiver:
        server = boot(
            "faults",
            alarm=[f"hangs cmd:echo $$ >> {begun}; sleep 1000", f"deaf url:{receiver.address}"],
            alarm_event="hangs,deaf segfault",
            processes=2,
        )
        server.log.expect(r"worker \d \(pid \d+\) was killed by SIGSEGV", r"worker \d \(pid \d+\) is ready")
        server.log.expect(r"\[uwsgi-alarm\] (hangs|deaf): it was not done after \d+ s and is killed")
        with server.connect() as client:
            client.sendall(packet.packet(packet.variables("/segfault")))
            packet.read_all(client)
        wait_for(begun)
        receiver.wait()
        server.log.wait(r"worker \d \(pid \d+\) is ready")
        assert all(server.request("/").status == 200 for _ in range(200))
        assert len(server.worker_pids()) == 2
        stopped = time.monotonic()
        server.close()
        # Two seconds are theirs (docs/alarms.md).
        assert time.monotonic() - stopped < 6
    assert not procs.is_alive(int(begun.read_text()))


def test_many_that_wait_do_not_hold_up_the_stop(boot, tmp_path):
    begun = tmp_path / "begun"
    server = boot("faults", "--log-alarm=slow RuntimeError: n", alarm=f"slow cmd:echo >> {begun}; exec sleep 1000")
    dropped = r"\[uwsgi-alarm\] \d+ alarm\(s\) dropped: the server stops"
    server.log.expect("RuntimeError in worker 1", r"\[uwsgi-alarm\] slow: it was not done after", dropped)
    for number in range(16):
        assert server.request(f"/raises?n{number}").status == 500
    wait_for(begun, "\n{4}")
    stopped = time.monotonic()
    server.close()
    # Two seconds are all that there is for all of them (docs/alarms.md).
    assert time.monotonic() - stopped < 6
    server.log.wait(dropped)


def test_a_message_that_is_too_long_for_a_variable_is_in_the_input(boot, tmp_path):
    out = tmp_path / "out"
    command = f'cat > {out}; echo "json: <$ALARM_JSON>" >> {out}'
    server = boot("faults", alarm_segfault=f"a cmd:{command}", alarm_msg_size=1_000_000)
    crash(server, "/deep")
    assert len(wait_for(out, "json: <>\n")) > 120 * 1024


def test_only_those_that_may_raise_alarms_have_the_way_to_it(boot, tmp_path):
    """A reload that wants log-alarm gives it to the workers."""
    out, config = tmp_path / "out", tmp_path / "a.ini"
    text = f"[uwsgi]\nalarm = a cmd:cat > {out}\n"
    config.write_text(text)
    server = boot("faults", f"--ini={config}")
    before = len(procs.descriptors(server.worker_pids()[0]))
    config.write_text(text + "log-alarm = a RuntimeError\n")
    server.reload()
    assert len(procs.descriptors(server.worker_pids()[0])) == before + 1
    server.log.expect("RuntimeError in worker 1")
    assert server.request("/raises?x").status == 500
    wait_for(out, "RuntimeError")


def test_who_is_killed_takes_its_alarms_along(start, tmp_path):
    begun = tmp_path / "begun"
    server = start("faults", alarm_segfault=f"hangs cmd:echo $$ > {begun}; exec sleep 1000").wait_ready()
    crash(server)
    alarm = int(wait_for(begun, r"\d\n"))
    server.status = -signal.SIGKILL
    server.log.accept_anything()
    server.signal(signal.SIGKILL)
    until(lambda: not procs.is_alive(alarm), "the alarm to end")
    server.wait_exit()


def test_a_few_run_at_a_time_and_the_others_wait(boot, tmp_path):
    fifo, out = tmp_path / "fifo", tmp_path / "out"
    os.mkfifo(fifo)
    server = boot(
        "faults",
        "--log-alarm=slow RuntimeError: n",
        alarm=f"slow cmd:echo begun >> {out}; read x < {fifo}; cat >> {out}",
    )
    server.log.expect("RuntimeError in worker 1")
    for number in range(10):
        assert server.request(f"/raises?n{number}").status == 500
    wait_for(out, "(begun\n){4}")
    assert server.request("/").status == 200
    assert content(out).count("begun") == 4
    # Whoever opens it for writing lets those that wait for it go on.
    until(lambda: _opened(fifo) and len(set(re.findall(r"\?n\d", content(out)))) == 10, "all of the messages")
    assert content(out).count("begun") == 10


def _opened(fifo: Path) -> bool:
    try:
        writing = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        # Nobody waits.
        return True
    os.close(writing)
    return True


# Events.


@contextmanager
def full_backlog(server: Server, address: packet.Address) -> Iterator[None]:
    (worker,) = server.worker_pids()
    with frozen(worker, address):
        yield


@contextmanager
def frozen(worker: int, address: packet.Address) -> Iterator[None]:
    """The only worker sleeps, and nobody takes what comes."""
    os.kill(worker, signal.SIGSTOP)
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with ExitStack() as clients:
        try:
            for _ in range(12):
                client = clients.enter_context(socket.socket(family))
                client.setblocking(False)
                client.connect_ex(address)
            yield
        finally:
            clients.close()
            os.kill(worker, signal.SIGCONT)


FULL = r'listen queue of socket "(.*)" \(fd: \d+\) full !!! \((\d+)/(\d+)\)'


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_full_backlog(boot, tmp_path, kind):
    out = tmp_path / "out"
    place = str(tmp_path / "s") if kind == "unix" else "127.0.0.1:0"
    server = boot(
        "hello",
        uwsgi=False,
        socket=place,
        listen=4,
        alarm=f"mailme cmd:cat >> {out}; echo >> {out}",
        alarm_backlog="mailme",
    )
    name = server.log.find(r"serves .* on uwsgi (\S+)")[1]
    host, _, port = name.rpartition(":")
    server.log.expect(FULL)
    with full_backlog(server, name if kind == "unix" else (host, int(port))):
        found = re.match(FULL, wait_for(out, FULL))
    assert found[1] == name and int(found[2]) >= int(found[3]) == 4
    server.log.accept_anything()


def test_uwsgi_says_the_same_of_a_full_backlog(tmp_path):
    out, port = tmp_path / "out", free_port()
    words = ["--socket", f"127.0.0.1:{port}", "--listen", "4", "--alarm", f"a cmd:cat > {out}", "--alarm-backlog", "a"]
    peer = Uwsgi(tmp_path, "hello", *words)
    try:
        (worker,) = procs.children(peer.process.pid)
        with frozen(worker, ("127.0.0.1", port)):
            found = re.fullmatch(FULL, wait_for(out))
        assert found[1] == f"127.0.0.1:{port}" and int(found[2]) >= int(found[3]) == 4
    finally:
        peer.close()


def test_the_seed_as_it_is_written(boot, tmp_path):
    """`alarm-backlog = mailme cmd:mail -s 'uWSGI alarm' -a 'From: …' admin@…` names an alarm and makes it, too."""
    mail, out = tmp_path / "mail", tmp_path / "out"
    mail.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {out}.tmp; cat >> {out}.tmp; mv {out}.tmp {out}\n')
    mail.chmod(0o755)
    seed = TESTS / "fixtures/seeds/alarm.ini"
    place = str(tmp_path / "s")
    server = boot(
        "hello", uwsgi=False, ini=seed, socket=place, listen=3, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )
    server.log.accept_anything()
    with full_backlog(server, place):
        text = wait_for(out)
    arguments, message = text.rsplit("|", 1)
    assert arguments == "-s|uWSGI alarm|-a|From: foobar@example.com|admin@example.com"
    assert re.fullmatch(FULL, message)


def test_a_fault_is_one_event_and_a_kill_another(boot, tmp_path):
    out = tmp_path / "out"
    server = boot("faults", alarm=f"a cmd:echo $ALARM_EVENT >> {out}", alarm_event="a segfault,killed")
    crash(server)
    wait_for(out, "segfault\n")
    crash(server, "/killed")
    assert wait_for(out, "killed\n") == "segfault\nkilled\n"


def test_harakiri(boot):
    with Receiver() as receiver:
        server = boot("late", harakiri=1, alarm=f"hook url:{receiver.address}", alarm_event="hook harakiri")
        server.log.expect("HARAKIRI ON WORKER 1", "was killed by harakiri; replacing it", READY)
        assert server.request("/late?sleep=60").status == 504
        event = receiver.wait()
        server.log.wait(READY)
        assert len(receiver.events) == 1
    assert event["message"].startswith("*** HARAKIRI ON WORKER 1")
    details = event["details"]
    assert (details["method"], details["uri"], details["worker"]) == ("GET", "/late?sleep=60", 1)


APP = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"well"]
"""


def test_workers_that_die_again_and_again(boot, tmp_path):
    """A bad deploy that is not reloaded: the next worker that ends finds it."""
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Receiver() as receiver:
        server = boot(
            wsgi_file=app, lazy_apps=True, alarm=f"hook url:{receiver.address}", alarm_event="hook crash-loop"
        )
        (worker,) = server.worker_pids()
        app.write_text("raise RuntimeError('bad deploy')")
        server.log.accept_anything()
        os.kill(worker, signal.SIGKILL)
        event = receiver.wait(2)
    assert re.fullmatch(r"worker 1 is started again in \d+\.\d s", event["message"])
    assert event["details"]["deaths"] >= 2 and event["details"]["wait"] > 0
    app.write_text(APP)
    until(lambda: server.request("/").status == 200, "the mended application")


def test_a_reload_that_fails(boot, tmp_path):
    app, ini, out = tmp_path / "app.py", tmp_path / "a.ini", tmp_path / "out"
    app.write_text(APP)
    text = f"[uwsgi]\nwsgi-file = {app}\nalarm = a cmd:cat >> {out}; echo >> {out}\nalarm-event = a reload-failed\n"
    ini.write_text(text)
    server = boot(ini=ini)
    server.log.accept_anything()
    app.write_text("raise RuntimeError('bad deploy')")
    server.signal(signal.SIGHUP)
    wait_for(out, "the application cannot be loaded; generation 2 is given up, generation 1 serves on")
    ini.write_text(text + "harakiri = soon\n")
    server.signal(signal.SIGHUP)
    said = wait_for(out, "the configuration is not valid")
    assert f'{ini}:5: option "harakiri": "soon" is not a whole number' in said
    assert server.request("/").text == "well"


def test_a_start_that_fails(start, tmp_path):
    out, app = tmp_path / "out", tmp_path / "app.py"
    app.write_text("raise RuntimeError('bad deploy')")
    server = start(wsgi_file=app, alarm=f"a cmd:cat > {out}", alarm_event="a all")
    server.status = 22
    server.log.accept_anything()
    server.wait_exit()
    assert content(out) == "the application cannot be loaded"


def test_a_certificate_that_expires_soon(boot, tmp_path):
    authority = Authority(tmp_path)
    now = datetime.now(timezone.utc)
    soon = authority.sign("soon.example", not_after=now + timedelta(days=5, hours=1))
    later = authority.sign("later.example", not_after=now + timedelta(days=60))
    with Receiver() as receiver:
        server = boot(
            "hello",
            https=later,
            sni=f"soon.example {soon}",
            alarm=f"hook url:{receiver.address}",
            alarm_event="hook certificate",
        )
        event = receiver.wait()
        assert "soon.example.crt" in event["message"] and event["details"]["days"] == 5
        # Looked at anew with each reload; the same message again counts after alarm-freq.
        server.reload()
        assert len(receiver.events) == 1


def test_a_descriptor_that_can_be_read(boot, tmp_path):
    fifo, out = tmp_path / "fifo", tmp_path / "out"
    os.mkfifo(fifo)
    shell = ["sh", "-c", 'exec 9<>"$0"; exec "$@"', str(fifo), sys.executable, "-m", "rwsgi"]
    server = boot("hello", command=shell, alarm=f"a cmd:cat >> {out}", alarm_fd=["a 9 memory is short", "a 8 nobody"])
    server.log.wait(r"\[uwsgi-alarm\] descriptor 8 \(alarm-fd\) cannot be used: it was not handed over")
    fifo.write_bytes(b"x")
    assert wait_for(out) == "memory is short"


# Lines of the log.


def test_lines_that_match(boot, tmp_path):
    out = tmp_path / "out"
    server = boot(
        "faults",
        "--not-log-alarm=a RuntimeError: usual",
        "--log-alarm=a,b (?i)runtimeerror|GET /watched ",
        alarm=[f"a cmd:cat >> {out}.a", f"b cmd:cat >> {out}.b"],
    )
    server.log.expect("RuntimeError in worker 1")
    server.request("/raises?usual")
    server.request("/other")
    server.request("/raises?unusual")
    for name in "ab":
        text = wait_for(Path(f"{out}.{name}"), "RuntimeError: unusual")
        assert "Traceback" in text and "RuntimeError: usual" not in text
    server.request("/watched")
    assert "GET /watched => generated" in wait_for(Path(f"{out}.a"), "watched")


def test_the_same_message_counts_once_in_alarm_freq(boot, tmp_path):
    out = tmp_path / "out"
    server = boot(
        "faults",
        "--log-alarm=a RuntimeError",
        "--log-alarm=b RuntimeError",
        log_date="now",
        alarm_msg_size=150,
        alarm=[f"a cmd:cat >> {out}; echo >> {out}", f"b cmd:echo b >> {out}.b"],
    )
    server.log.accept_anything()
    for _ in range(5):
        server.request("/raises?same")
    wait_for(Path(f"{out}.b"))
    server.request("/raises?other")
    text = wait_for(out, "other")
    server.close()
    assert content(out).count("/raises?same") == text.count("/raises?other") == 1, content(out)
    assert all(len(f"now - {message}") <= 152 for message in text.split("now - "))


def test_a_flood_of_lines_is_bounded(boot, tmp_path):
    out = tmp_path / "out"
    server = boot("hello", "--log-alarm=a GET /flood", alarm=f"a cmd:echo x >> {out}", http=True, processes=2)
    begun = time.monotonic()
    for number in range(1500):
        assert server.request(f"/flood/{number}").status == 200
    seconds = time.monotonic() - begun
    wait_for(out)
    server.log.accept_anything()
    server.close()
    # Twenty a second and process at most, of which 68 wait and run.
    assert content(out).count("x") <= 40 * (seconds + 2)


def test_what_cannot_be_is_an_error(start):
    for option, why in [
        ("--alarm=a mule:1", r'option "alarm": there are no mules yet to send an alarm to; write NAME cmd:COMMAND'),
        ("--alarm=nonsense", r'option "alarm": "nonsense" is no alarm; write'),
        ("--log-alarm=a (?=x)", r"look-around.*not-log-alarm takes lines out"),
        ("--alarm-event=a fire", r'there is no event "fire"; write NAME EVENT'),
    ]:
        server = start("hello", option)
        server.status = 1
        server.log.accept_anything()
        server.wait_exit()
        assert re.search(why, server.log.text), server.log.text


def test_what_does_nothing_is_said(boot):
    server = boot("hello", alarm=["s signal:17", "c curl:smtp://x"], alarm_backlog="nobody", alarm_list=True)
    server.log.wait(r'warning: command line: option "alarm": uwsgi signals are not there yet: the message is written')
    server.log.wait(r'warning: command line: option "alarm": there is no action "curl:" here')
    server.log.wait(r'warning: command line: "alarm-backlog" raises nothing: there is no alarm "nobody"')
    server.log.wait(r"actions of alarms: cmd, url, log, signal")
