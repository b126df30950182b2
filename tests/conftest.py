"""Fixtures: the server, booted and looked through afterwards; nginx; the real uWSGI."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import procs, programs
from harness.nginx import Nginx
from harness.public import Public
from harness.server import TESTS, Server

MYSITE = TESTS.parent / "examples/mysite"
Boot = Callable[..., Server]

if "SERVERS_PYTHONPATH" in os.environ:
    # Another build of rwsgi for the servers, and not for the tests themselves (scripts/tsan.sh).
    os.environ["PYTHONPATH"] = os.environ["SERVERS_PYTHONPATH"]

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    # A shell ignores them for what it starts in the background (nohup, `make test &`), and a server would inherit that.
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    setattr(item, f"report_{report.when}", report)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and os.getuid() != 0:
        pytest.skip("only root may do this")


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """Starts servers and does not wait for them. After the test each is stopped and checked."""
    servers: list[Server] = []

    def start_one(*arguments: object, **options: object) -> Server:
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield start_one
    failed = getattr(request.node, "report_call", None)
    if failed is not None and failed.failed:
        for server in servers:
            procs.kill(server.processes)
            server.process.wait()
            server.notifications.close()
            server.log.finish()
            print("--- the server's log", *server.log.lines[-100:], sep="\n")
        return
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)


@pytest.fixture
def boot(start: Boot) -> Boot:
    """Starts a server and waits until it is ready."""
    return lambda *arguments, **options: start(*arguments, **options).wait_ready()


@pytest.fixture(scope="session")
def public() -> Iterator[Public]:
    # Not below pytest's own directory, which is closed to others.
    with tempfile.TemporaryDirectory() as name:
        yield Public(Path(name))


class Site:
    """The example project behind nginx, on a TCP and on a unix socket."""

    def __init__(self, directory: Path) -> None:
        (directory / "data").mkdir()
        (directory / "nginx").mkdir()
        self.server = Server(
            socket=directory / "s",
            cwd=MYSITE,
            ini=MYSITE / "rwsgi.ini",
            env={"MYSITE_DATA": str(directory / "data"), "SECRET_KEY": "only for this test"},
            may_keep_files=True,
        )
        manage(directory / "data", "migrate", "--no-input", "--verbosity=0")
        self.server.wait_ready()
        tcp = f"127.0.0.1:{self.server.address[1]}"
        self.nginx = Nginx(directory / "nginx", [tcp, f"unix:{directory / 's'}"])
        self.directory = directory


def manage(data: Path, *words: str, **more: str) -> None:
    """manage.py of the example."""
    env = {**os.environ, "MYSITE_DATA": str(data), **more}
    subprocess.run([sys.executable, "manage.py", *words], cwd=MYSITE, env=env, check=True, timeout=60)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    programs.find("nginx")
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.nginx.close()
    errors = made.nginx.errors()
    made.server.close()
    assert errors == ""


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    """Starts an nginx in front of upstreams."""
    made: list[Nginx] = []

    def start_nginx(*upstreams: str) -> Nginx:
        programs.find("nginx")
        directory = tmp_path / f"nginx{len(made)}"
        directory.mkdir()
        made.append(Nginx(directory, list(upstreams)))
        return made[-1]

    yield start_nginx
    for one in made:
        one.close()
