"""The configurations of five users' notes, to the letter: each is started, serves as its note says, and ends.

What a line says of parts that are not built stands in tests/fixtures/seeds/warnings.txt, which the Rust tests write.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from signal import Signals
from typing import NamedTuple

import pytest

from conftest import MYSITE, Boot
from harness import http, packet, procs, stats
from harness.log import DATED
from harness.packet import Response
from harness.sandbox import Sandbox
from harness.server import APPS, TESTS, Server
from harness.terminal import Terminal
from harness.wait import until

pytestmark = pytest.mark.core

SEEDS = TESTS / "fixtures/seeds"
NO_APP = 22
DJANGO = b'{"message": "hello", "numbers": [1, 2, 3], "ok": true}'


class Seed(NamedTuple):
    """`lacks` is what a note leaves out, because it shows single options."""

    address: str
    workers: str
    protocol: str = "uwsgi"
    lacks: str = ""
    log: str = ""
    # And removes, at its end.
    makes: tuple[str, ...] = ()
    # Where uwsgitop looks.
    stats: str = ""


HERE = "--uwsgi-socket 127.0.0.1:3031 --module wsgi"
SITE = "--module mysite.wsgi"

SEED = {
    "--xml subserver1.xml": Seed("127.0.0.1:3232", "4 workers × 1 thread", stats="127.0.0.1:9393"),
    "--xml subserver2.xml:subserver2": Seed("127.0.0.1:3333", "4 workers × 1 thread", stats="127.0.0.1:9494"),
    "--ini route-cache.ini": Seed("127.0.0.1:9090", "1 worker × 1 thread", "http", stats="/tmp/test_stat.sock"),
    "interactive.args": Seed("127.0.0.1:9090", "1 worker × 1 thread", "http"),
    "-ini standard.ini": Seed(
        "/tmp/standard.sock",
        f"{4 * len(os.sched_getaffinity(0))} workers × 1 thread",
        log="/home/log/uwsgi/standard_uwsgi.log",
        makes=("/tmp/standard.sock", "/tmp/standard.pid", "/tmp/standard_stat.sock"),
        stats="/tmp/standard_stat.sock",
    ),
    "--ini alarm.ini": Seed("127.0.0.1:3031", "1 worker × 1 thread", lacks=HERE),
    "options.args": Seed("/tmp/uwsgi.sock", "8 workers × 1 thread", lacks=SITE, log="/var/log/uwsgi.log"),
    "--ini max-requests.ini": Seed("127.0.0.1:3031", "1 worker × 1 thread", lacks=HERE),
    "-ini fragments.ini": Seed("127.0.0.1:8000", "2 workers × 4 threads", lacks=SITE),
    "--ini http.ini": Seed("127.0.0.1:8000", "1 worker × 1 thread", "http", lacks=SITE),
    "--ini http-socket.ini": Seed("127.0.0.1:8000", "1 worker × 1 thread", "http", lacks=SITE),
    "--ini secstats.ini:secstats": Seed("127.0.0.1:23081", "8 workers × 20 threads"),
    "fastrouter.ini:secstats1": Seed("127.0.0.1:23082", "4 workers × 20 threads"),
    "--ini fastrouter.ini --ini :secstats2": Seed("127.0.0.1:23083", "4 workers × 20 threads"),
    "--ini servers.ini:server1": Seed("127.0.0.1:23082", "4 workers × 20 threads"),
    "--ini servers.ini:server2": Seed("127.0.0.1:23083", "4 workers × 20 threads"),
}
DAEMONS = [line for line, seed in SEED.items() if seed.log]
# Nothing but a router: without that part there is nothing to serve.
ROUTERS = ["--xml fastrouter.xml", "fastrouter.xml:fastrouter", "--ini fastrouter.ini:fastrouter"]


def expected_warnings() -> dict[str, list[str]]:
    """What the server has to say of each line."""
    found: dict[str, list[str]] = {}
    for line in (SEEDS / "warnings.txt").read_text().splitlines():
        if line.startswith(" "):
            found[list(found)[-1]].append(line.strip())
        else:
            found[line] = []
    return found


WARNINGS = expected_warnings()


def furnished(sandbox: Sandbox) -> Sandbox:
    """With what the notes take for granted: a Django project, two single files, a directory for logs."""
    sandbox.make("/home/log/uwsgi")
    shutil.copytree(MYSITE, sandbox.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("var"))
    # Whatever user a note names, the project writes here.
    (sandbox.directory / "var").mkdir()
    (sandbox.directory / "var").chmod(0o777)
    for name in ("wsgi.py", "server.py"):
        shutil.copy(APPS / "hello.py", sandbox.directory / name)
    for seed in SEEDS.iterdir():
        (sandbox.directory / seed.name).write_text(sandbox.text(seed.read_text()))
    return sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return furnished(Sandbox(tmp_path))


def start_in(sandbox: Sandbox, start: Boot, line: str) -> Server:
    lacks = SEED[line].lacks if line in SEED else ""
    words = (sandbox.directory / line).read_text() if line.endswith(".args") else line
    arguments = [*words.split(), *sandbox.text(lacks).split()]
    # The name of the notification socket means nothing in another network.
    quiet = {"NOTIFY_SOCKET": ""}
    return start(None, *arguments, uwsgi=False, command=sandbox.command, cwd=sandbox.directory, env=quiet)


def ask(sandbox: Sandbox, pid: int, seed: Seed) -> Response:
    address = sandbox.address(seed.address)

    def request() -> Response:
        if seed.protocol == "uwsgi":
            return packet.request(address, "/json/", HTTP_HOST="localhost")
        with http.Connection(address) as client:
            client.send(b"GET /json/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.answer()

    return sandbox.inside(pid, request)


def serves(sandbox: Sandbox, pid: int, line: str) -> None:
    answer = ask(sandbox, pid, SEED[line])
    # The Django project, or a file with one function.
    assert (answer.status, answer.body) in [(200, DJANGO), (200, b"hello")]


def is_watched(sandbox: Sandbox, pid: int, seed: Seed) -> None:
    """uwsgitop, as the notes start it, shows the request that was answered."""
    if not seed.stats:
        return
    command = stats.uwsgitop(sandbox.address(seed.stats))

    def look() -> list[str]:
        with Terminal(command, 200) as screen:
            return screen.wait("req: 1 - RPS", "idle")

    lines = sandbox.inside(pid, look)
    assert f"masterpid: {pid}" in lines[1]


def warns(server: Server, line: str) -> None:
    """The server names every part that is not built, and complains of nothing else."""
    heads = [DATED.sub("", written, count=1) for written in server.log.lines]
    assert [head.removeprefix("warning: ") for head in heads if head.startswith("warning: ")] == WARNINGS[line]
    server.log.expect(*map(re.escape, WARNINGS[line]))
    if any(re.search(stats.ENABLED, written) for written in server.log.lines):
        server.log.expect(stats.ENABLED)
    if line == "-ini fragments.ini" and os.getuid() != 0:
        server.log.expect("uid and gid have no effect: the server was not started by root")


def test_no_line_is_forgotten():
    assert {*SEED, *ROUTERS} == set(WARNINGS)


@pytest.mark.parametrize("line", [line for line in SEED if line not in DAEMONS])
def test_it_serves_and_ends(start, sandbox, line):
    server = start_in(sandbox, start, line)
    server.log.wait(rf"rwsgi \S+ serves .+ \(master \d+, {SEED[line].workers}s?\)")
    serves(sandbox, server.pid, line)
    is_watched(sandbox, server.pid, SEED[line])
    # What is tried by hand ends with Ctrl-C; supervisor with stopasgroup sends SIGTERM, to every process as well.
    number = Signals.SIGINT if SEED[line].protocol == "http" else Signals.SIGTERM
    os.killpg(server.pid, number)
    server.log.wait(f"{number.name}: stopping")
    assert server.wait_exit() == 0
    warns(server, line)


def check_daemon(start: Boot, sandbox: Sandbox, line: str) -> None:
    seed = SEED[line]
    server = start_in(sandbox, start, line)
    # It has ended when the daemon is ready.
    assert server.wait_exit() == 0
    warns(server, line)
    log = sandbox.path(seed.log)
    found = re.search(rf"serves .+ \(master (\d+), {seed.workers}s?\)", log.read_text())
    assert found, log.read_text()
    daemon = int(found[1])
    serves(sandbox, daemon, line)
    is_watched(sandbox, daemon, seed)
    made = [sandbox.path(path) for path in seed.makes]
    assert all(path.exists() for path in made)
    os.kill(daemon, Signals.SIGTERM)
    until(lambda: not procs.is_alive(daemon), "the daemon to end")
    assert re.search(r"SIGTERM: stopping(.|\n)* has left after 1 requests", log.read_text())
    assert not any(path.exists() for path in made), "vacuum left something"


def test_the_user_that_a_note_names(start, sandbox):
    """Who is not root stays who he is, and is told so."""
    server = start_in(sandbox, start, "-ini fragments.ini")
    server.log.find("rwsgi .+ serves ")
    names_another = sandbox.is_private and os.getuid() == 0
    wanted = (1000, 1000) if names_another else (os.getuid(), os.getgid())
    for pid in (server.pid, *procs.children(server.pid)):
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"\nUid:\t{wanted[0]}\t" in status and f"\nGid:\t{wanted[1]}\t" in status
    warns(server, "-ini fragments.ini")


@pytest.mark.parametrize("line", DAEMONS)
def test_a_daemon_serves_and_ends(start, sandbox, line):
    check_daemon(start, sandbox, line)


@pytest.mark.parametrize("line", DAEMONS)
def test_what_a_machine_does_not_give_is_exchanged(start, tmp_path, line):
    """As where nobody may make namespaces."""
    check_daemon(start, furnished(Sandbox(tmp_path, private=False)), line)


@pytest.mark.parametrize("line", ROUTERS)
def test_a_router_alone_says_what_is_missing(start, sandbox, line):
    server = start_in(sandbox, start, line)
    server.status = NO_APP
    assert server.wait_exit() == NO_APP
    assert WARNINGS[line]
    warns(server, line)
    server.log.wait("no application is named: use module, wsgi-file or mount")
    server.log.wait("nothing to serve, stopping")
