"""What docs/troubleshooting.md says is there: each trouble for real, and what stats, metrics and log tell of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from conftest import Boot
from harness import packet, programs, stats
from harness.metrics import Scrape, scrape
from harness.packet import Address
from harness.server import TESTS, Server
from harness.wait import PATIENCE, until

PAGE = " ".join((TESTS.parent / "docs/troubleshooting.md").read_text().split())


class Site:
    """A server, as somebody sees it who cannot look into its code."""

    def __init__(self, server: Server, where: Address) -> None:
        self.server = server
        self.where = where
        self.name = where if isinstance(where, str) else f"{where[0]}:{where[1]}"

    def run(self, *words: str) -> str:
        command = [sys.executable, "-m", "rwsgi", *words, self.name]
        return subprocess.run(command, capture_output=True, text=True, timeout=6 * PATIENCE, check=True).stdout

    def top(self) -> str:
        return self.run("top", "--once")

    def metrics(self) -> Scrape:
        return scrape(self.where)


@pytest.fixture
def site(boot: Boot) -> Callable[..., Site]:
    def make(app: str | None = "troubles", **options: object) -> Site:
        server = boot(app, "--stats-http", stats="127.0.0.1:0", stats_host="example.test", **options)
        return Site(server, stats.address(server))

    return make


@contextmanager
def asking(server: Server, *paths: str) -> Iterator[None]:
    """Clients that wait for their answers."""
    with ExitStack() as stack:
        for path in paths:
            client = stack.enter_context(server.connect())
            client.sendall(packet.packet(packet.variables(path)))
        yield


def ends_without_answer(server: Server, path: str) -> None:
    with server.connect() as client, suppress(ConnectionResetError):
        client.sendall(packet.packet(packet.variables(path)))
        assert packet.read_all(client) == b""


def on_page(*texts: str) -> None:
    """What a test has seen is what the page shows."""
    for text in texts:
        assert " ".join(text.split()) in PAGE, text


def test_harakiri(site: Callable[..., Site]) -> None:
    here = site(harakiri=1)
    assert here.server.request("/hang?20").status == 504
    here.server.log.wait(
        r"HARAKIRI ON WORKER 1 .*: GET /hang\?20 has run for 1\.\d s, harakiri = 1 s; the worker is killed"
    )
    here.server.log.wait(r"worker 1 \(pid \d+\) was killed by harakiri; replacing it")
    here.server.log.wait(r"worker 1 \(pid \d+\) is ready")
    assert any(line.endswith(" in hang") for line in here.server.log.entry("HARAKIRI").more)
    assert here.metrics().sum("rwsgi_harakiri_total") == 1
    assert here.metrics().by("rwsgi_process_ends_total", "reason") == {"harakiri": 1}
    assert "harakiri 1  respawns 1" in here.top()
    on_page("HARAKIRI ON WORKER", "rwsgi_harakiri_total", "harakiri 1  respawns 1")


def test_segfault(site: Callable[..., Site]) -> None:
    here = site()
    ends_without_answer(here.server, "/thumbnail")
    killed = r"worker 1 \(pid \d+\) was killed by SIGSEGV after 0 requests; replacing it"
    here.server.log.wait(killed)
    here.server.log.wait(r"worker 1 \(pid \d+\) is ready")
    entry = here.server.log.entry(killed).more
    assert any("core 0 was running GET /thumbnail" in line for line in entry)
    assert any(line.endswith(" in crash") for line in entry) and any("native stack:" in line for line in entry)
    assert here.metrics().by("rwsgi_process_ends_total", "reason") == {"crashed": 1}
    assert "respawns 1  died 1" in here.top()
    on_page("was killed by SIGSEGV", 'reason="crashed"', "respawns 1  died 1")


def test_a_full_backlog(site: Callable[..., Site]) -> None:
    # The server's own socket: the harness' has a longer backlog.
    here = site(uwsgi=False, binds=True, listen=2)
    name = f"127.0.0.1:{here.server.http_address[1]}"
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(here.server.http_address)
            with suppress(OSError):
                client.send(b"GET /report?1.5 HTTP/1.1\r\nHost: a\r\n\r\n")
        here.server.log.wait(rf'\*\*\* listen queue of socket "{name}" \(fd: \d+\) full !!! \([23]/2\) \*\*\*')
        shown = here.metrics()
        assert shown.sum("rwsgi_listen_queue") >= shown.sum("rwsgi_listen_queue_limit") == 2
        assert shown.sum("rwsgi_cores_busy") == shown.sum("rwsgi_cores") == 1
        top = here.top()
        assert re.search(r"[23] of 2 in backlog", top) and " GET /report?1.5" in top
        assert "in totals" in here.run("stacks")
    on_page("full !!!", "rwsgi_listen_queue", " in backlog")


def test_a_leak(site: Callable[..., Site]) -> None:
    here = site(processes=2, reload_on_rss=120, min_worker_lifetime=0)
    before = here.metrics().sum("rwsgi_resident_memory_bytes")
    assert here.server.request("/export?40").status == 200
    here.server.log.expect(r"\d+ MB, more than reload-on-rss", r"worker \d \(pid \d+\) (has left|is ready)")
    until(lambda: here.metrics().sum("rwsgi_resident_memory_bytes") > before + (30 << 20), "the memory to be seen")
    each = scrape(here.where, "/metrics?worker=each").all("rwsgi_worker_resident_memory_bytes")
    assert abs(each[0].value - each[1].value) > 30 << 20
    while not here.metrics().by("rwsgi_recyclings_total", "reason"):
        assert here.server.request("/export?40").status == 200
    assert set(here.metrics().by("rwsgi_recyclings_total", "reason")) == {"memory"}
    here.server.log.wait(r"worker \d \(pid \d+\) has \d+ MB, more than reload-on-rss allows; replaced")
    on_page("more than reload-on-rss allows; replaced", 'reason="memory"', "rwsgi_worker_resident_memory_bytes")


def test_a_pool_that_is_exhausted(site: Callable[..., Site]) -> None:
    here = site(threads=3)
    with asking(here.server, *["/orders?2"] * 3):
        until(lambda: here.metrics().sum("rwsgi_cores_busy") == 3, "three requests to run")
        assert "3 of 3 busy" in here.top()
        stacks = here.run("stacks")
        assert stacks.count("in query\n") == 1 and "in connection_from_pool\n" in stacks
        folded = here.run("profile", "--seconds", "0.3")
        assert re.search(r";connection_from_pool \(\S+\);.* \d+\n", folded), folded
    on_page("in connection_from_pool", " busy in ")


def test_one_slow_endpoint(site: Callable[..., Site]) -> None:
    here = site(threads=2, log_slow_stack=200)
    with asking(here.server, "/report?2"):
        for _ in range(20):
            assert here.server.request("/").status == 200
        here.server.log.wait(r"slow request: GET /report\?2 has run for 0\.\d s in worker 1 ")
        assert re.search(r"1 +[01] +\d+ +[\d.]+m?s GET +/report\?2", here.top())
        assert here.server.log.request(r"GET /report\?2 => generated 6 bytes in 2\d{3} msecs")
    assert " in totals" in here.server.log.entry("slow request").text
    buckets = {
        sample.labels["le"]: sample.value for sample in here.metrics().all("rwsgi_request_duration_seconds_bucket")
    }
    assert buckets["0.25"] >= 20 and buckets["0.5"] == buckets["0.25"] and buckets["+Inf"] == buckets["0.5"] + 1
    on_page("slow request: GET /report", "rwsgi_request_duration_seconds_bucket")


def test_a_bad_deploy(site: Callable[..., Site], tmp_path: Path) -> None:
    app = tmp_path / "deployed.py"
    app.write_text("from hello import application\n")
    here = site(None, pythonpath=[str(tmp_path), str(TESTS / "apps")], module="deployed")
    app.write_text("import nothing_like_this\n")
    here.server.signal(signal.SIGHUP)
    here.server.log.expect("SIGHUP: starting generation", "cannot load the application", "ModuleNotFoundError")
    here.server.log.wait("the application cannot be loaded; generation 2 is given up, generation 1 serves on")
    assert here.metrics().by("rwsgi_reloads_total", "result") == {"failure": 1}
    assert "failed reloads 1" in here.top()
    assert here.server.request("/").status == 200
    # This one loads, and dies with each request.
    app.write_text("import os\ndef application(environ, start_response):\n    os._exit(3)\n")
    here.server.signal(signal.SIGHUP)
    here.server.log.wait("generation 2 serves; the old workers finish")
    here.server.log.expect("has left after", r"worker 1 \(pid \d+\) is ready")
    ended = r"worker 1 \(pid \d+\) ended with status 3"
    deaths = 0
    while "is started again in" not in here.server.log.text:
        deaths += 1
        ends_without_answer(here.server, "/cart")
        here.server.log.wait(ended, deaths)
        here.server.log.wait(r"worker 1 (is started again in|\(pid \d+\) is ready)", deaths)
    assert "core 0 was running GET /cart" in here.server.log.entry(ended).text
    here.server.log.wait(r"worker 1 is started again in \d\.\d s")
    assert here.metrics().by("rwsgi_process_ends_total", "reason")["exited"] == deaths
    assert f"died {deaths}" in here.top()
    on_page(
        "is given up, generation 1 serves on", "failed reloads 1", "is started again in", 'reason="exited"', "  died "
    )


# ── the log ──


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """One that can be frozen: whoever writes to it waits."""
    image, place = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    place.mkdir()
    subprocess.run([programs.find("mkfs.ext4"), "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def frozen(disk: Path) -> Iterator[None]:
    freeze = programs.find("fsfreeze")
    subprocess.run([freeze, "-f", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run([freeze, "-u", str(disk)], check=True)


@pytest.mark.root
def test_a_slow_disk_under_the_log(start: Boot, disk: Path, tmp_path: Path) -> None:
    log, where = disk / "log", str(tmp_path / "stats")
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = start("troubles", "--stats-http", "--vacuum", stats=where, output=output).wait_ready()
    os.close(output)
    here = Site(server, where)
    assert server.request("/").status == 200
    with asking(server, "/"), frozen(disk):
        until(lambda: here.metrics().sum("rwsgi_log_stalled_seconds") > 1.2, "the write to hang")
        top = here.top()
        assert "0 of 1 busy" in top and re.search(r"log stalled for \d\.\ds", top)
    until(lambda: "the disk under the log is slow" in log.read_text(), "the log to say so")
    assert re.search(r"worker 1: a write to the log took \d\.\d s, and requests waited for it", log.read_text())
    until(lambda: here.metrics().sum("rwsgi_log_stalled_seconds") == 0, "the write to come back")
    assert here.metrics().sum("rwsgi_log_write_seconds_total") > 1
    on_page("log stalled for", "the disk under the log is slow", "rwsgi_log_stalled_seconds")


def test_a_log_that_nobody_reads(start: Boot, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    where = str(tmp_path / "stats")
    server = start("troubles", "--stats-http", "--vacuum", stats=where, output=writing).wait_ready()
    os.close(writing)
    here = Site(server, where)
    for _ in range(1500):
        assert server.request("/").status == 200
    until(lambda: here.metrics().sum("rwsgi_dropped_log_lines_total"), "lines to be dropped")
    assert re.search(r"dropped log lines \d+", here.top())
    os.close(reading)
    on_page("dropped log lines", "rwsgi_dropped_log_lines_total")


# ── asked the wrong one, or when nothing happens ──


@pytest.mark.parametrize("command", ["stacks", "profile"])
def test_what_is_no_stats_server_is_told_so(boot: Boot, command: str) -> None:
    server = boot("hello", http=True)
    words = [sys.executable, "-m", "rwsgi", command, f"127.0.0.1:{server.http_address[1]}"]
    found = subprocess.run(words, capture_output=True, text=True, timeout=6 * PATIENCE)
    assert found.returncode == 1 and found.stderr.endswith("this is no stats server of rwsgi\n"), found


def test_a_profile_of_an_idle_server_says_so(site: Callable[..., Site]) -> None:
    words = [sys.executable, "-m", "rwsgi", "profile", "--seconds", "0.2", site().name]
    found = subprocess.run(words, capture_output=True, text=True, timeout=6 * PATIENCE)
    assert (found.returncode, found.stdout) == (0, "") and found.stderr.startswith("nothing ran meanwhile"), found
