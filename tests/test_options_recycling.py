"""Options that replace workers: by age, by memory. The successor is ready first; only the evil ones kill."""

from __future__ import annotations

import time

import pytest


def pid(server, path="/"):
    return int(server.request(path).text)


def test_max_worker_lifetime(boot):
    server = boot("grows", max_worker_lifetime=1)
    (old,) = server.worker_pids()
    server.log.wait(rf"worker 1 \(pid {old}\) has lived for max-worker-lifetime; replaced")
    server.log.expect("has lived for max-worker-lifetime; replaced")
    assert server.request().status == 200
    assert server.worker_pids() != [old]


def test_max_worker_lifetime_delta(boot):
    """Worker 2 lives so much longer."""
    server = boot("grows", max_worker_lifetime=1, max_worker_lifetime_delta=60, processes=2)
    before = {worker.id: worker.pid for worker in server.workers()}
    server.log.wait(rf"worker 1 \(pid {before[1]}\) has lived for max-worker-lifetime; replaced")
    server.log.wait(rf"worker 1 \(pid {before[1]}\) has left")
    now = {worker.id: worker.pid for worker in server.workers()}
    assert now[2] == before[2]


def test_max_requests_delta(boot):
    """Worker 2 serves so many more."""
    server = boot("grows", max_requests=5, max_requests_delta=100_000, processes=2)
    before = {worker.id: worker.pid for worker in server.workers()}
    for _ in range(60):
        assert server.request().status == 200
    server.log.wait(rf"worker 1 \(pid {before[1]}\) has served \d+ requests; replaced")
    now = {worker.id: worker.pid for worker in server.workers()}
    assert now[2] == before[2]
    server.log.accept_anything()


@pytest.mark.parametrize(("option", "path"), [("reload_on_rss", "/?300"), ("reload_on_as", "/reserve?3000")])
@pytest.mark.parametrize("lazy", [False, True])
def test_memory(boot, option, path, lazy):
    limit = path.split("?")[1]
    server = boot("grows", lazy_apps=lazy, min_worker_lifetime=0, **{option: int(limit)})
    old = pid(server)
    assert pid(server, path) == old
    name = option.replace("_", "-")
    found = server.log.wait(rf"worker 1 \(pid {old}\) has (\d+) MB, more than {name} allows; replaced")
    assert int(found[1]) >= int(limit)
    server.log.wait(rf"worker 1 \(pid {old}\) has left after 2 requests")
    assert pid(server) != old


def test_memory_waits_for_the_shortest_life(boot):
    begun = time.monotonic()
    server = boot("grows", reload_on_rss=200, min_worker_lifetime=3)
    old = pid(server, "/?250")
    server.log.wait(rf"worker 1 \(pid {old}\) has \d+ MB, more than reload-on-rss allows; replaced")
    assert time.monotonic() - begun >= 3


def test_a_worker_that_has_served_nothing_stays(boot):
    """A limit below what the application needs from the start does not replace workers for ever."""
    server = boot("grows", reload_on_rss=1, min_worker_lifetime=0, processes=2)
    pids = server.worker_pids()
    old = pid(server)
    server.log.wait(rf"worker \d \(pid {old}\) has \d+ MB, more than reload-on-rss allows; replaced")
    server.log.wait(rf"worker \d \(pid {old}\) has left")
    pids.remove(old)
    assert pids[0] in server.worker_pids()


@pytest.mark.parametrize(("option", "path"), [("evil_reload_on_rss", "/?300"), ("evil_reload_on_as", "/reserve?3000")])
def test_evil_memory_kills(boot, option, path):
    server = boot("grows", **{option: int(path.split("?")[1])})
    old = pid(server, path)
    server.log.wait(rf"worker 1 \(pid {old}\) has \d+ MB, more than {option.replace('_', '-')} allows; killed")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    assert pid(server) != old


def test_min_worker_lifetime_holds_back_max_requests(boot):
    begun = time.monotonic()
    server = boot("grows", max_requests=1, min_worker_lifetime=2)
    old = pid(server)
    server.log.wait(rf"worker 1 \(pid {old}\) has served 1 requests; replaced")
    assert time.monotonic() - begun >= 2
