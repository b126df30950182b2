"""Over TLS a connection goes to another worker only before its first byte is read."""

from __future__ import annotations

import json
import os
import select
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from ssl import TLSVersion
from typing import Any

import pytest

from harness import procs
from harness.http import Connection as Plain
from harness.http import request
from harness.tls import Authority, ByHand, Connection, Openssl
from harness.wait import until

pytestmark = pytest.mark.core

VERSIONS = [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def ask(connection: Plain, *words: Any, **headers: str) -> dict[str, Any]:
    connection.send(request(*words, **headers))
    return told(connection)


def told(connection: Plain) -> dict[str, Any]:
    answer = connection.answer()
    assert answer.status == 200, answer
    return json.loads(answer.body)


class Two:
    """A server with two workers of one thread, and a connection in each that can keep it busy."""

    def __init__(
        self, boot: Any, authority: Authority, directory: Path, stack: ExitStack, more: str = "", **options: Any
    ):
        https = authority.sign() + more
        options = {"processes": 2, "http_keepalive_requests": 0, **options}
        self.server = boot("moves", uwsgi=False, https=https, **options)
        self.server.log.expect("holding")
        self.authority, self.stack = authority, stack
        self._pipe, self._held = directory / "pipe", 0
        os.mkfifo(self._pipe)
        first = self.connect()
        self._holders = {ask(first)["pid"]: first}
        with self.hold(*self._holders):
            second = self.connect()
            self._holders[ask(second)["pid"]] = second
        assert set(self._holders) == set(self.server.worker_pids())

    def connect(self, version: TLSVersion | None = None) -> Connection:
        return self.stack.enter_context(Connection(self.server.https_address, self.authority.context(version)))

    def by_hand(self, version: TLSVersion) -> ByHand:
        return self.stack.enter_context(ByHand(self.server.https_address, self.authority.context(version)))

    @contextmanager
    def hold(self, pid: int) -> Iterator[None]:
        """This worker is busy."""
        holder = self._holders[pid]
        self._held += 1
        holder.send(request(f"/hold?{self._pipe}"))
        self.server.log.find("^holding", self._held)
        yield
        self._pipe.write_text("")
        assert told(holder)["pid"] == pid


@pytest.fixture
def two(boot, authority, tmp_path):
    with ExitStack() as stack:
        yield partial(Two, boot, authority, tmp_path, stack)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_new_connection_does_not_wait_behind_a_slow_request(two, version):
    server = two()
    workers = server.server.worker_pids()
    for busy in workers:
        with server.hold(busy):
            for _ in range(8):
                assert ask(server.connect(version))["pid"] in set(workers) - {busy}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_connections_that_were_opened_in_advance_go_to_the_idle_worker(two, version):
    """One worker has accepted them all and read nothing, since nothing came, when it gets busy."""
    server = two()
    first, second = server.server.worker_pids()
    with server.hold(second):
        before = len(procs.descriptors(first))
        opened = [server.by_hand(version) for _ in range(12)]
        until(lambda: len(procs.descriptors(first)) >= before + 12, "all to be accepted")
    with server.hold(first):
        for client in opened:
            client.handshake()
            facts = ask(client)
            assert (facts["pid"], facts["HTTPS"]) == (second, "on")
            assert int(facts["REMOTE_PORT"]) == client.socket.getsockname()[1]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_session_that_has_begun_stays_and_goes_on(two, version):
    """The limit that docs/https.md names: it waits for its own worker, whatever state it is in, and loses nothing."""
    server = two()
    first, second = server.server.worker_pids()
    shaking, kept, half = (server.by_hand(version) for _ in range(3))
    with server.hold(second):
        for client in (kept, half):
            client.handshake()
            assert ask(client)["pid"] == first
        assert not shaking.step()
        shaking.send(b"")
        shaking.hear()
        half.send(b"GET / HT")
    with server.hold(first):
        kept.send(request())
        half.send(b"TP/1.1\r\nHost: x\r\n\r\n")
        shaking.handshake()
        shaking.send(request())
        assert kept.is_quiet(0.3) and half.is_quiet(0)
        # Meanwhile the other one is there for everybody else.
        assert ask(server.connect(version))["pid"] == second
    assert told(kept)["pid"] == told(half)["pid"] == told(shaking)["pid"] == first


def test_a_handshake_ends_while_the_only_worker_is_busy(boot, authority, tmp_path):
    """The client knows that it is connected; in TLS 1.2 that takes two answers of the server."""
    server = boot("moves", uwsgi=False, https=authority.sign())
    server.log.expect("holding")
    os.mkfifo(pipe := tmp_path / "pipe")
    context = authority.context(TLSVersion.TLSv1_2)
    with ExitStack() as stack:
        holder = stack.enter_context(Connection(server.https_address, context))
        clients = [stack.enter_context(ByHand(server.https_address, context)) for _ in range(6)]
        for client in clients:
            client.step()
            client.send(b"")
            client.hear()
        holder.send(request(f"/hold?{pipe}"))
        server.log.find("^holding")
        for client in clients:
            client.handshake()
            client.send(request())
        assert all(client.is_quiet(0) for client in clients)
        pipe.write_text("")
        assert holder.answer().status == 200
        assert all(told(client)["HTTPS"] == "on" for client in clients)


def test_workers_take_new_connections_in_turn(boot, authority):
    """Each stays with its worker, so one that had all of them would compute for all of them."""
    server = boot("shares", uwsgi=False, https=authority.sign(), processes=2, threads=4)
    with ExitStack() as stack:
        context = authority.context()
        clients = [stack.enter_context(Connection(server.https_address, context)) for _ in range(8)]
        pids: Counter[str] = Counter()
        for client in clients:
            client.send(request("/"))
            pids[client.answer().text.split()[0]] += 1
    assert len(pids) == 2 and min(pids.values()) >= 2, pids


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_another_thread_of_the_worker_takes_a_kept_connection(boot, authority, version):
    server = boot("slow", uwsgi=False, https=authority.sign(), processes=1, threads=2)
    with ExitStack() as stack:
        context = authority.context(version)
        sleeping, *others = (stack.enter_context(Connection(server.https_address, context)) for _ in range(6))
        for connection in (sleeping, *others):
            connection.send(request())
            assert connection.answer().status == 200
        sleeping.send(request("/?sleep=2"))
        for _ in range(3):
            for connection in others:
                connection.send(request())
                assert connection.answer().status == 200
        assert select.select([sleeping.socket], [], [], 0)[0] == []
        assert sleeping.answer().status == 200


def test_new_keys_are_followed(two):
    """KeyUpdate (RFC 8446 §4.6.3), beside a worker that is busy or not."""
    server = two()
    client = server.stack.enter_context(Openssl(server.server.https_address, "-tls1_3", commands=True))
    pid = ask(client)["pid"]
    (other,) = set(server.server.worker_pids()) - {pid}
    for _ in range(2):
        client.change_keys()
        with server.hold(other):
            assert ask(client)["pid"] == pid
        client.change_keys()
        assert ask(client)["pid"] == pid


def test_a_reload_meanwhile(two):
    """Connections end with an answer that says so, or while nothing is asked."""
    server = two()
    connections = [server.connect() for _ in range(6)]
    old = server.server.worker_pids()
    assert {ask(connection)["pid"] for connection in connections} <= set(old)
    asked, idle = connections[::2], connections[1::2]
    for connection in asked:
        connection.send(b"GET / HTTP/1.1\r\n")
    # Whoever is still to read that has done so once a later request is answered.
    assert {ask(server._holders[pid])["pid"] for pid in old} == set(old)
    server.server.reload(wait_for_old=False)
    for connection in idle:
        assert connection.is_closed()
    for connection in asked:
        connection.send(b"Host: x\r\n\r\n")
        answer = connection.answer()
        assert (answer.status, answer.header("Connection")) == (200, "close")
        assert connection.is_closed()
    until(lambda: not set(old) & set(server.server.worker_pids()), "the old workers to leave")
