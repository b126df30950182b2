"""Fixtures: the server, booted and looked through afterwards; nginx; the real uWSGI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness import procs
from harness.server import Server

Boot = Callable[..., Server]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    setattr(item, f"report_{report.when}", report)
    return report


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
            request.node.add_report_section("call", "server log", server.log.text)
            print(f"--- the server's log\n{server.log.text}")
        return
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)


@pytest.fixture
def boot(start: Boot) -> Boot:
    """Starts a server and waits until it is ready."""
    return lambda *arguments, **options: start(*arguments, **options).wait_ready()
