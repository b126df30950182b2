"""Where the time goes: profiles of the workers, by HTTP and by the command."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import packet
from harness.packet import Response
from harness.stats import address as address_of
from harness.wait import until


def get(address, path: str) -> Response:
    with packet.connect(address, timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return Response.parse(packet.read_all(client))


def stacks_in(folded: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in folded.splitlines():
        calls, _, count = line.rpartition(" ")
        found[calls] += int(count)
    return found


def count(stacks: Counter[str], *names: str) -> int:
    """Samples whose stack has each of these."""
    return sum(n for stack, n in stacks.items() if all(name in stack for name in names))


@contextmanager
def requests_on(server, path: str, clients: int = 1):
    """Runs the same request again and again meanwhile."""
    over = threading.Event()
    answers: list[int] = []

    def run() -> None:
        while not over.is_set():
            answers.append(server.request(path).status)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {200}


def test_a_profile_has_the_functions_and_their_shares(boot):
    server = boot("stacks", "--stats-http", processes=2, stats="127.0.0.1:0")
    address = address_of(server)
    assert server.request("/thread").text == "started"
    with requests_on(server, "/compute/0.4", clients=2):
        answer = get(address, "/profile?seconds=2&hz=100")
    assert (answer.status, answer.header("Content-Type")) == (200, "text/plain; charset=utf-8")
    stacks = stacks_in(answer.text)
    a_lot = count(stacks, "requests;", ";compute_a_lot (", ";computes (")
    little = count(stacks, "requests;", ";compute_little (", ";computes (")
    # Three quarters and one quarter of the time.
    assert little > 10 and 1.8 < a_lot / little < 5, stacks
    # Nearly all samples of requests are there, and each ends in the frame where the time goes.
    assert a_lot + little > 0.8 * count(stacks, "requests;")
    # Threads that run no requests stand by themselves, by their names; the server's own frames are not shown.
    assert count(stacks, "other threads;a thread of the site;", ";background (") > 20
    assert not any("cli.py" in stack for stack in stacks)
    # The thread that samples is gone.
    for pid in server.worker_pids():
        names = [(task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()]
        assert "rwsgi profile" not in names


@pytest.mark.parametrize("how", ["sleep", "gil", "compute"])
def test_a_request_that_has_begun_long_ago_is_seen(boot, how):
    """The only thread of the only worker is busy from the beginning to the end of the profile."""
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables(f"/{how}/3")))
        until(lambda: '"request": "GET ' in get(address_of(server), "/stacks").text, "the request to begin")
        stacks = stacks_in(get(address_of(server), "/profile?seconds=1&hz=50").text)
        assert packet.read_all(client).endswith(str(server.worker_pids()[0]).encode())
    function = {"sleep": "sleeps_deep_inside", "gil": "holds_the_gil", "compute": "computes"}[how]
    assert count(stacks, "requests;", f";{function} (") > 20, stacks


def test_one_profile_at_a_time_and_bad_ones_are_refused(boot):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    address = address_of(server)
    with socket.create_connection(address) as first:
        first.sendall(b"GET /profile?seconds=1 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert get(address, "/profile?seconds=1").status == 409
        assert packet.read_all(first).startswith(b"HTTP/1.1 200 ")
    assert get(address, "/profile?seconds=0.1").status == 200
    for query in ("seconds=61", "seconds=x", "hz=0", "hz=251", "seconds=nan"):
        assert get(address, f"/profile?{query}").status == 400, query
    assert get(address, "/profile?worker=2").status == 404


def test_a_worker_that_ends_ends_no_profile(boot):
    server = boot("stacks", "--stats-http", processes=2, stats="127.0.0.1:0")
    address = address_of(server)
    first, _ = server.worker_pids()
    with socket.create_connection(address) as client:
        client.sendall(b"GET /profile?seconds=2 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert server.request("/fork").text == "7"
        os.kill(first, signal.SIGKILL)
        server.log.wait(rf"worker \d \(pid {first}\) was killed by SIGKILL")
        server.log.wait(r"worker \d \(pid \d+\) is ready")
        answer = packet.read_all(client).decode()
    assert "(worker 1 has ended: no samples) 1" in answer
    # The next one has both again.
    with requests_on(server, "/sleep/0.05"):
        assert count(stacks_in(get(address, "/profile?seconds=0.5").text), ";sleeps_deep_inside (") > 10


def test_a_frozen_worker_keeps_nobody_waiting(boot):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    (pid,) = server.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = get(address_of(server), "/profile?seconds=0.2")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert answer.text == "(worker 1 has left no samples in time) 1\n"
    # What it leaves later is of no other profile.
    with requests_on(server, "/sleep/0.05"):
        assert count(stacks_in(get(address_of(server), "/profile?seconds=0.5").text), ";sleeps_deep_inside (") > 10


def test_a_profile_is_bounded_whatever_it_finds(boot):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0", threads=2)
    assert server.request("/crowd/20/9000").text == "started"
    with requests_on(server, "/branches/2"):
        text = get(address_of(server), "/profile?seconds=2&hz=250").text
    stacks = stacks_in(text)
    assert len(text) <= 1 << 20
    assert count(stacks, "requests;", ";branches (", ";branch_") > 100
    assert count(stacks, "other threads;", ";waits_below (") > 20
    # Nothing is left of it where a shorter one is written.
    short = get(address_of(server), "/profile?seconds=0.2&hz=5").text
    assert "branch_" not in short, short


def test_names_that_are_not_utf_8_are_shown(boot):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    with requests_on(server, "/nowhere"):
        stacks = stacks_in(get(address_of(server), "/profile?seconds=0.5").text)
    assert count(stacks, "requests;", ";lost (/srv/\ufffd") > 10, stacks


@pytest.mark.parametrize("how", ["blocks-signals", "own-handler"])
def test_a_worker_that_gets_no_signal_is_told(boot, how):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    assert server.request(f"/{how}").status == 200
    answer = get(address_of(server), "/profile?seconds=0.2")
    assert answer.text == "(worker 1 has left no samples in time) 1\n"
    assert server.request("/sleep/0").status == 200


def test_a_reader_that_goes_away_breaks_nothing(boot):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    address = address_of(server)
    with socket.create_connection(address) as client:
        client.sendall(b"GET /profile?seconds=3 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        refused = until(
            lambda: (answer := get(address, "/profile?seconds=0.1")).status == 409 and answer, "the profile to begin"
        )
    assert re.search(r"one at a time; it ends in at most [3-6] s", refused.text), refused.text
    until(lambda: get(address, "/profile?seconds=0.1").status == 200, "the profile to end", 15)


def test_workers_that_leave_leave_what_they_have_found(boot):
    """Neither a reload nor recycling takes anything from a profile but the time that is left."""
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0", processes=4, disable_logging=True)
    address = address_of(server)
    for generation in (2, 3, 4):
        with requests_on(server, "/sleep/0.02", clients=4), socket.create_connection(address) as client:
            client.sendall(b"GET /profile?seconds=2&hz=50 HTTP/1.0\r\nHost: localhost\r\n\r\n")
            until(lambda: get(address, "/profile?seconds=0.1").status == 409, "the profile to begin")
            os.kill(server.pid, signal.SIGHUP)
            server.log.wait(rf"generation {generation}")
            answer = packet.read_all(client).decode()
        assert answer.startswith("HTTP/1.1 200 ") and "has ended" not in answer, answer
        assert ";sleeps_deep_inside (" in answer
    server.log.accept_anything()


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "rwsgi", *map(str, words)], capture_output=True, text=True, timeout=60)


def test_the_command_writes_what_the_name_says(boot, tmp_path):
    server = boot("stacks", "--stats-http", stats="127.0.0.1:0")
    address = "{}:{}".format(*address_of(server))
    with requests_on(server, "/compute/0.4"):
        made = run("profile", address, "--seconds", 1, "-o", tmp_path / "a.svg")
        assert (made.returncode, made.stdout) == (0, ""), made
        made = run("profile", address, "--seconds=1", "--worker=1", f"--output={tmp_path / 'a.json'}")
        assert made.returncode == 0, made
        made = run("profile", "--seconds", "0.5", "--hz", "50", f"http://{address}/")
    assert count(stacks_in(made.stdout), ";compute_a_lot (") > 3
    titles = [title.text for title in ElementTree.parse(tmp_path / "a.svg").iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("compute_a_lot (") for title in titles)
    profile = json.loads((tmp_path / "a.json").read_text())
    assert profile["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    (one,) = profile["profiles"]
    assert len(one["samples"]) == len(one["weights"]) and sum(one["weights"]) == pytest.approx(one["endValue"])
    names = {frame["name"] for frame in profile["shared"]["frames"]}
    assert {"requests", "compute_a_lot", "computes"} <= names
    assert max(max(sample) for sample in one["samples"]) < len(profile["shared"]["frames"])


def test_the_command_says_what_is_wrong(boot, tmp_path):
    server = boot("stacks", stats=tmp_path / "raw")
    address_of(server)
    raw = run("profile", tmp_path / "raw", "--seconds", 1)
    assert raw.returncode == 1 and "stats-http = true" in raw.stderr, raw
    assert run("profile").returncode == 2
    wrong = run("profile", "--hz", "1000", "/x")
    assert wrong.returncode == 2 and '--hz: "1000" is no number from 1 to 250' in wrong.stderr, wrong
    assert run("profile", "--help").stdout.startswith("Usage: rwsgi profile ")
    assert server.request("/sleep/0").status == 200
