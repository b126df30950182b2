"""The stats server: where it listens, what it says over HTTP and to whom, and that no reader holds anything up."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from signal import Signals

import pytest

from conftest import Boot
from harness import packet, procs, stats
from harness.http import Connection
from harness.packet import Address, Response
from harness.server import Server
from harness.wait import until


@pytest.fixture
def watched(boot: Boot) -> Callable[..., tuple[Server, Address]]:
    """A server with a stats server, and its address."""

    def start(*arguments: object, **options: object) -> tuple[Server, Address]:
        server = boot(*arguments, **{"stats": "127.0.0.1:0", **options})
        return server, stats.address(server)

    return start


def ask(where: Address, path: str = "/", method: str = "GET", host: str = "127.0.0.1", **fields: str) -> Response:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    client = Connection(where)
    with client.socket:
        client.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = client.answer(head=method == "HEAD")
        assert client.is_closed()
        return answer


# ── where it listens ──


def test_every_kind_of_address(start: Boot, tmp_path: Path):
    name = f"rwsgi-stats-{os.getpid()}"
    wanted = ["127.0.0.1:0", "0", str(tmp_path / "stats"), "@" + name]
    server = start("hello", stats=wanted, vacuum=True).wait_ready()
    found = [stats.address(server, number) for number in range(1, 5)]
    assert isinstance(found[0], tuple) and isinstance(found[1], tuple) and found[0] != found[1]
    assert found[1][0] == "127.0.0.1" and found[1][1] > 0
    assert found[2:] == [str(tmp_path / "stats"), "\0" + name]
    assert {stats.read(where)["pid"] for where in found} == {server.pid}
    server.gone.append(tmp_path / "stats")


def test_it_is_bound_before_root_is_given_up_and_belongs_to_the_user(boot: Boot, tmp_path: Path):
    path = tmp_path / "stats"
    server = boot("hello", stats=path, chmod_socket="640")
    stats.address(server)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.root
def test_the_user_that_the_server_becomes_owns_the_socket(boot: Boot, public):
    path = public.directory / "stats-of-nobody"
    server = boot(module="hello", stats=path, uid=65534, gid=65534, **public.options)
    where = stats.address(server)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    assert (stats.read(where)["uid"], stats.read(where)["gid"]) == (65534, 65534)


def test_an_address_that_is_taken(start: Boot):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        server = start("hello", stats=place)
        server.status = 1
        server.log.wait(f'command line: option "stats": cannot listen on "{place}": .*; another server listens')
        server.wait_exit()


def test_it_answers_all_the_time_of_a_reload_at_the_same_address(watched):
    server, where = watched("hello", processes=2)
    server.log.expect("SIGHUP: starting generation", "generation .* serves; the old workers finish")
    server.signal(Signals.SIGHUP)
    # No reader is refused meanwhile: `connect` would raise.
    until(lambda: stats.read(where)["rwsgi"]["generation"] == 2, "the second generation")
    until(lambda: stats.read(where)["rwsgi"]["phase"] == "serving", "the end of the reload")
    until(lambda: len(stats.read(where)["rwsgi"]["workers"]) == 2, "the old workers to go")
    assert {worker["respawn_count"] for worker in stats.read(where)["workers"]} == {2}


def test_no_child_has_a_socket_of_it(watched):
    """Nor those that are forked while somebody reads."""
    server, where = watched("hello", processes=2)
    number = server.log.find(r"Stats server enabled on .* fd: (\d+)")[1]
    listening = os.readlink(f"/proc/{server.pid}/fd/{number}")
    before = sockets_of(server.pid)
    assert listening in before
    with packet.connect(where) as reader:
        until(lambda: reader.recv(1, socket.MSG_PEEK), "an answer")
        connected = sockets_of(server.pid) - before
        assert connected
        server.reload()
        for child in procs.children(server.pid):
            assert not {listening, *connected} & sockets_of(child)


def sockets_of(pid: int) -> set[str]:
    found = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return {link for link in found if link.startswith("socket:")}


# ── HTTP ──


@pytest.fixture
def over_http(watched) -> Address:
    _server, where = watched("hello", stats_http=True)
    return where


def test_any_path_gets_the_document(over_http: Address):
    for path in ("/", "/stats", "/anything?at=all"):
        answer = ask(over_http, path)
        assert answer.status == 200 and answer.header("Content-Type") == "application/json"
        assert answer.header("Connection") == "close" and answer.header("Cache-Control") == "no-store"
        assert json.loads(answer.body)["workers"]
    head = ask(over_http, method="HEAD")
    assert head.status == 200 and int(head.header("Content-Length") or 0) > 1000


def test_an_old_client_needs_no_host(over_http: Address):
    answer = packet.exchange(over_http, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("host", ["localhost:9191", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_names_that_every_server_has(over_http: Address, host: str):
    assert ask(over_http, host=host).status == 200


def test_other_names_are_refused(watched):
    """A page of another site can have its own name point here, and would then read the answer as its own."""
    _server, where = watched("hello", stats_http=True, stats_host=["stats.example.com", "b.example"])
    assert ask(where, host="evil.example").status == 421
    assert "stats-host" in ask(where, host="evil.example:80").text
    assert [ask(where, host=name).status for name in ("stats.example.com", "B.example:9191")] == [200, 200]
    assert packet.exchange(where, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_unix_socket_has_no_name_to_be_wrong(boot: Boot, tmp_path: Path):
    server = boot("hello", stats=tmp_path / "s", stats_http=True)
    assert ask(stats.address(server), host="whatever.example").status == 200


def test_pages_of_other_sites_get_nothing(over_http: Address):
    answer = ask(over_http, Origin="http://evil.example")
    assert answer.header("Access-Control-Allow-Origin") is None
    for site in ("cross-site", "same-site"):
        assert ask(over_http, "/stats", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert ask(over_http, "/", **link).status == 200
    assert ask(over_http, "/", **{**link, "Sec_Fetch_Dest": "iframe"}).status == 403
    assert ask(over_http, "/profile?seconds=60", **link).status == 403
    assert ask(over_http, "/stats", Sec_Fetch_Site="same-origin").status == 200


def test_the_answer_to_head_has_no_body_whatever_it_is(over_http: Address):
    for path, host in (("/stats", "evil.example"), ("/profile?seconds=x", "localhost"), ("/", "localhost")):
        head = packet.exchange(over_http, f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert head.endswith(b"\r\n\r\n") and b"\r\nContent-Length: " in head, head


def test_methods_that_change_things_are_refused(over_http: Address):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = ask(over_http, method=method)
        assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 2000, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 10_000, 431),
        (b"GET /" + b"x" * 10_000, 414),
        (b"\x16\x03\x01 no HTTP\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
    ],
    ids=["many fields", "a long field", "a long path", "TLS", "HTTP/2", "two hosts", "folded"],
)
def test_what_is_no_request_is_told_so(over_http: Address, sent: bytes, status: int):
    assert packet.exchange(over_http, sent).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_browser_gets_no_json_for_a_page_that_is_not_there(over_http: Address):
    assert ask(over_http, "/nothing", Accept="text/html,*/*;q=0.8").status == 404
    assert ask(over_http, "/favicon.ico").status == 404


def test_a_request_in_pieces(over_http: Address):
    sent = b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = packet.exchange(over_http, b"", pieces=[sent[at : at + 1] for at in range(len(sent))])
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


# ── readers that do not read ──

CROWD = 1000


@pytest.fixture
def descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("over_http", "sent"),
    [
        (False, b""),
        (False, b"x" * 1000),
        (True, b""),
        (True, b"GET / HTTP/1.1\r\nHost: localhost\r\nX:"),
        (True, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (True, b"GET / HTTP/1.1\r\nX: " + b"y" * 5000),
    ],
    ids=["read nothing", "send to a raw one", "say nothing", "half a request", "read no answer", "half a large one"],
)
def test_a_crowd_delays_nothing(watched, descriptors: None, over_http: bool, sent: bytes):
    server, where = watched("hello", processes=2, threads=8, **({"stats_http": True} if over_http else {}))
    before = memory_of(server.pid)
    with ExitStack() as crowd:
        for _ in range(CROWD):
            client = crowd.enter_context(packet.connect(where))
            # One that had to make room may have been closed by now.
            with suppress(ConnectionError):
                client.sendall(sent)
        for _ in range(20):
            assert server.request().status == 200
        assert len(os.listdir(f"/proc/{server.pid}/fd")) < 120
        if over_http:
            assert ask(where).status == 200
        else:
            assert stats.read(where)["pid"] == server.pid
        server.reload()
        assert memory_of(server.pid) - before < 20 << 20
        server.signal(Signals.SIGTERM)
        server.wait_exit()


def test_a_crowd_leaves_the_master_the_descriptors_that_it_needs(watched):
    server, where = watched("hello", processes=2)
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    limit = len(os.listdir(f"/proc/{server.pid}/fd")) + 20
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, hard))
    with ExitStack() as crowd:
        for _ in range(60):
            crowd.enter_context(packet.connect(where))
        assert stats.read(where)["pid"] == server.pid
        # A zygote is started, and workers.
        server.reload()


def memory_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_slow_reader_gets_the_whole_document(watched):
    """Larger than the buffers of the kernel: 64 workers are not there, but the document has an entry for each core."""
    server, where = watched("hello", threads=400)
    client = socket.socket()
    with client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(where)
        # Others are served while this one has not read a byte.
        assert stats.read(where)["pid"] == server.pid
        assert len(json.loads(packet.read_all(client))["workers"][0]["cores"]) == 400


def test_a_reader_that_sends_gets_its_document_whole(watched):
    """A kernel that has unread bytes resets a connection that is closed, and what was sent is lost."""
    server, where = watched("hello")
    for _ in range(50):
        assert json.loads(packet.exchange(where, b"GET / HTTP/1.0\r\n\r\n"))["pid"] == server.pid


def test_readers_that_are_gone_leave_nothing(watched):
    server, where = watched("hello")
    before = len(os.listdir(f"/proc/{server.pid}/fd"))
    for _ in range(100):
        packet.connect(where).close()
    stats.read(where)
    until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= before, "the descriptors of readers to be closed")
