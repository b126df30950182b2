"""Whoever reads an answer or sends a body does not wait for the application, however long it keeps every thread."""

from __future__ import annotations

import hashlib
import selectors
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness import packet, procs
from harness.http import Connection, request
from harness.server import Server
from harness.tls import Authority
from harness.wait import steady, until

pytestmark = pytest.mark.core

BLOCK = bytes(range(256)) * 4096
LARGE = BLOCK * 32
MEDIUM = BLOCK * 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    (made / "large").write_bytes(LARGE)
    (made / "medium").write_bytes(MEDIUM)
    (made / "small").write_bytes(b"small")
    return made


class Narrow(Connection):
    """A client of few kernel buffers: the server sees at once whether it reads, and it whether the server does."""

    def __init__(self, address: packet.Address, context: ssl.SSLContext | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        self.socket.settimeout(20)
        self.socket.connect(address)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._held = b""

    def begin(self, path: str) -> None:
        """Asks, and reads the head of the answer and a little more."""
        self.send(request(path))
        while b"\r\n\r\n" not in self._held:
            assert self._more(), "no answer came"
        self._held = self._held.partition(b"\r\n\r\n")[2]

    def upload(self, length: int) -> None:
        """Announces a body; the server waits for it when this returns."""
        self.send(request("/", "POST", Content_Length=str(length), Expect="100-continue"))
        assert self.answer().status == 100

    def rest(self, length: int) -> str:
        """Reads so many bytes and returns their digest."""
        hashed = hashlib.md5()
        while length > 0:
            assert self._held or self._more(), f"the last {length} bytes did not come"
            taken, self._held = self._held[:length], self._held[length:]
            hashed.update(taken)
            length -= len(taken)
        return hashed.hexdigest()


def digest(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@contextmanager
def held(
    server: Server, flag: Path, how: str = "sleeps", on: list[Connection] | None = None, threads: int = 1
) -> Iterator:
    """All threads of a worker are inside of the application as long as this lasts."""
    with ExitStack() as stack:
        holding = on or [stack.enter_context(Connection(server.http_address)) for _ in range(threads)]
        for connection in holding:
            connection.send(request(f"/{how}?{flag}"))
        server.log.wait(f"held /{how}", len(holding))
        try:
            yield
        finally:
            flag.touch()
        assert all(connection.answer().status == 200 for connection in holding)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("how", ["sleeps", "computes"])
def test_a_download_goes_on(boot, root, tmp_path, how, threads):
    server = boot("held", uwsgi=False, http=True, static_map=f"/static={root}", threads=threads)
    with Narrow(server.http_address) as reader, Narrow(server.http_address) as stalled:
        reader.begin("/static/large")
        stalled.begin("/static/large")
        with held(server, tmp_path / "go", how, threads=threads):
            assert reader.rest(len(LARGE)) == digest(LARGE)
            reader.send(request("/static/small"))
        assert reader.answer().body == b"small"
        assert stalled.rest(len(LARGE)) == digest(LARGE)


def test_a_download_over_tls_goes_on(boot, root, tmp_path):
    authority = Authority(tmp_path)
    server = boot("held", uwsgi=False, http=True, https=authority.sign(), static_map=f"/static={root}")
    with Narrow(server.https_address, authority.context()) as reader:
        reader.begin("/static/large")
        with held(server, tmp_path / "go", "computes"):
            assert reader.rest(len(LARGE)) == digest(LARGE)
            reader.send(request("/static/small"))
        assert reader.answer().body == b"small"


def test_an_answer_of_the_application_goes_on(boot, tmp_path):
    server = boot("held", uwsgi=False, http=True)
    with Narrow(server.http_address) as reader, Narrow(server.http_address) as last:
        reader.begin("/large")
        last.send(request("/large", Connection="close"))
        server.log.request("/large", 2)
        with held(server, tmp_path / "go"):
            assert reader.rest(len(BLOCK)) == digest(BLOCK)
            assert last.answer().body == BLOCK
            assert last.is_closed()
            reader.send(request("/"))
        assert reader.answer().status == 200


def test_many_downloads_go_on(boot, root, tmp_path):
    server = boot("held", uwsgi=False, http=True, static_map=f"/static={root}", disable_logging=True)
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        left = {}
        for _ in range(100):
            reader = stack.enter_context(Narrow(server.http_address))
            reader.begin("/static/medium")
            left[reader] = len(MEDIUM) - len(reader._held)
            ready.register(reader.socket, selectors.EVENT_READ, reader)
        with held(server, tmp_path / "go"):
            while any(left.values()):
                events = ready.select(20)
                assert events, f"{sum(map(bool, left.values()))} wait in vain"
                for key, _ in events:
                    left[key.data] -= len(key.fileobj.recv(65536))


def of_one_worker(stack: ExitStack, server: Server, count: int) -> list[Connection]:
    """Kept connections that one of the workers has accepted."""
    found: dict[bytes, list[Connection]] = {}
    for _ in range(2 * count):
        made = stack.enter_context(Narrow(server.http_address))
        made.send(request("/"))
        found.setdefault(made.answer().body, []).append(made)
    return max(found.values(), key=len)[:count]


def test_the_next_request_of_a_download_finds_an_idle_worker(boot, root, tmp_path):
    server = boot("held", uwsgi=False, http=True, processes=2, static_map=f"/static={root}")
    with ExitStack() as stack:
        holding, *readers = of_one_worker(stack, server, 5)
        for reader in readers:
            reader.begin("/static/medium")
        readers[0].send(request("/static/small") + request("/"))
        with held(server, tmp_path / "go", on=[holding]):
            for reader in readers:
                assert reader.rest(len(MEDIUM)) == digest(MEDIUM)
                if reader is not readers[0]:
                    reader.send(request("/static/small") + request("/"))
                assert (reader.answer().body, reader.answer().status) == (b"small", 200)


@pytest.mark.parametrize("tls", [False, True])
def test_an_upload_goes_on(boot, tmp_path, tls):
    authority = Authority(tmp_path)
    server = boot("held", uwsgi=False, http=True, https=authority.sign())
    address, context = (server.https_address, authority.context()) if tls else (server.http_address, None)
    with Narrow(address, context) as sender:
        sender.upload(len(LARGE))
        with held(server, tmp_path / "go"):
            sender.send(LARGE + request("/large"))
        assert sender.answer().body.endswith(b" %d" % len(LARGE))
        assert sender.answer().body == BLOCK


def tell_to_leave(server: Server, ends: str) -> None:
    if ends == "reload":
        server.reload(wait_for_old=False)
    else:
        server.signal(signal.SIGTERM)
        server.log.wait("SIGTERM: stopping")


def goes_on_or_is_closed(reader: Connection, ends: str) -> None:
    """A worker that retires gives its connections to its successor."""
    if ends == "stop":
        assert reader.is_closed()
        return
    reader.send(request("/static/small"))
    assert reader.answer().body == b"small"


@pytest.mark.parametrize("ends", ["stop", "reload"])
def test_a_download_goes_on_in_a_worker_that_is_to_leave(boot, root, tmp_path, ends):
    server = boot("held", uwsgi=False, http=True, static_map=f"/static={root}", reload_mercy=30)
    with Narrow(server.http_address) as reader, Connection(server.http_address) as holding:
        reader.begin("/static/large")
        with held(server, tmp_path / "go", on=[holding]):
            tell_to_leave(server, ends)
            assert reader.rest(len(LARGE)) == digest(LARGE)
            goes_on_or_is_closed(reader, ends)
    if ends == "stop":
        assert server.wait_exit() == 0


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("ends", ["stop", "reload"])
def test_what_was_asked_behind_a_download_is_answered_by_a_worker_that_leaves(boot, root, tmp_path, ends, is_busy):
    server = boot("held", uwsgi=False, http=True, static_map=f"/static={root}", reload_mercy=30)
    with Narrow(server.http_address) as reader, ExitStack() as stack:
        reader.send(request("/static/large") + request("/static/small"))
        while b"\r\n\r\n" not in reader._held:
            assert reader._more()
        reader._held = reader._held.partition(b"\r\n\r\n")[2]
        if is_busy:
            stack.enter_context(held(server, tmp_path / "go"))
        tell_to_leave(server, ends)
        assert reader.rest(len(LARGE)) == digest(LARGE)
        stack.close()
        answer = reader.answer()
        assert (answer.body, answer.header("Connection")) == (b"small", "close" if ends == "stop" else None)
        goes_on_or_is_closed(reader, ends)
    if ends == "stop":
        assert server.wait_exit() == 0


def test_a_download_and_an_upload_go_on_on_pause(boot, root):
    server = boot("held", uwsgi=False, http=True, static_map=f"/static={root}")
    with Narrow(server.http_address) as reader, Narrow(server.http_address) as sender:
        reader.begin("/static/large")
        sender.upload(len(LARGE))
        server.signal(signal.SIGTSTP)
        server.log.wait("SIGTSTP: paused")
        assert reader.rest(len(LARGE)) == digest(LARGE)
        sender.send(LARGE)
        server.signal(signal.SIGTSTP)
        server.log.wait("SIGTSTP: .*resumed")
        assert sender.answer().body.endswith(b" %d" % len(LARGE))


# ── limits ──


def test_nobody_is_late_because_the_worker_was_busy(boot, root, tmp_path):
    """Whoever has done its part in time is served, though nobody has looked until its time was over."""
    limits = {"http_headers_timeout": 3, "http_timeout": 3, "http_keepalive": 3}
    server = boot("held", uwsgi=False, http=True, static_map=f"/static={root}", **limits)
    with ExitStack() as stack:
        busy, gone, idle, head, body, reader = [stack.enter_context(Narrow(server.http_address)) for _ in range(6)]
        body.upload(2)
        head.send(request("/")[:-2])
        reader.begin("/static/large")
        for connection in (busy, gone, idle):
            connection.send(request("/"))
            assert connection.answer().status == 200
        left = len(LARGE)
        with held(server, tmp_path / "go", on=[busy]):
            # What comes first makes the server look for those who are late.
            gone.close()
            idle.send(request("/"))
            head.send(b"\r\n")
            body.send(b"12")
            for _ in steady(16, 0.25):
                reader.rest(1 << 20)
                left -= 1 << 20
        assert [connection.answer().status for connection in (idle, head, body)] == [200] * 3
        reader.rest(left)


def test_a_reader_that_stalls_meanwhile_is_cut_off(boot, root, tmp_path):
    server = boot("held", uwsgi=False, http=True, static_map=f"/static={root}", http_timeout=1)
    with Narrow(server.http_address) as stalled, Narrow(server.http_address) as reader:
        stalled.begin("/static/large")
        reader.begin("/static/large")
        left = len(LARGE)
        with held(server, tmp_path / "go"):
            for _ in steady(12, 0.25):
                reader.rest(1 << 20)
                left -= 1 << 20
        reader.rest(left)
        server.log.wait("a client read nothing for http-timeout = 1 s; its answer was cut off")
        reader.send(request("/"))
        assert reader.answer().status == 200
    until(lambda: server.workers()[0].gone == 1, "one to be counted")


def test_those_who_are_late_are_dropped_under_load(boot):
    """Where every wait brings a request."""
    server = boot("hello", uwsgi=False, http=True, http_headers_timeout=1, disable_logging=True)
    with Connection(server.http_address) as late, Connection(server.http_address) as other:
        late.send(b"GET / HT")
        late.socket.setblocking(False)
        with selectors.DefaultSelector() as ready:
            ready.register(late.socket, selectors.EVENT_READ)

            def is_answered() -> bool:
                other.send(request("/"))
                assert other.answer().status == 200
                return bool(ready.select(0))

            until(is_answered, "a 408")
        late.socket.setblocking(True)
        assert late.answer().status == 408
    server.log.expect("refused a request with 408")


# ── front ends ──


@pytest.mark.parametrize("ends", ["", "stop", "reload"])
def test_slow_front_ends_hold_no_thread_where_threads_stand_in_line(boot, root, ends):
    server = boot("hello", static_map=f"/static={root}", processes=2, threads=2, reload_mercy=30)
    with ExitStack() as stack:
        # More than there are threads.
        slow = [stack.enter_context(Narrow(server.address)) for _ in range(6)]
        for client in slow:
            client.send(packet.packet(packet.variables("/static/large")))
        server.log.request("/static/large", len(slow))
        for _ in range(20):
            assert server.request("/app").body == b"hello"
        if ends == "reload":
            server.reload(wait_for_old=False)
        elif ends == "stop":
            server.signal(signal.SIGTERM)
            server.log.wait("SIGTERM: stopping")
        for client in slow:
            while b"\r\n\r\n" not in client._held:
                assert client._more()
            client._held = client._held.partition(b"\r\n\r\n")[2]
            assert client.rest(len(LARGE)) == digest(LARGE)
            assert client.is_closed()
    if ends == "stop":
        assert server.wait_exit() == 0


def test_a_front_end_that_stalls_is_cut_off_where_threads_stand_in_line(boot, root):
    server = boot("hello", static_map=f"/static={root}", processes=2, threads=2, http_timeout=1)
    with Narrow(server.address) as stalled:
        stalled.send(packet.packet(packet.variables("/static/large")))
        server.log.wait("a client read nothing for http-timeout = 1 s; its answer was cut off")


def test_a_full_table_keeps_no_thread_busy_where_threads_stand_in_line(boot, root):
    """Who comes while it is full waits in the backlog."""
    server = boot("hello", static_map=f"/static={root}", processes=2, threads=2, http_connections=16)
    with ExitStack() as stack:
        slow = [stack.enter_context(Narrow(server.address)) for _ in range(40)]
        for client in slow:
            client.send(packet.packet(packet.variables("/static/large")))
        server.log.request("/static/large", 32)
        assert procs.work(server.worker_pids()) < 0.3
    assert server.request("/app").body == b"hello"
