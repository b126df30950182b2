"""Threads of the application that wait for a client hold up nobody, and no answer waits for the application's end."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness import packet, tls, wait
from harness.http import Connection, request

PATIENCE = 60


def of(kind: str, server) -> tuple[str, int]:
    return server.address if kind == "uwsgi" else server.http_address


def ask(kind: str, path: str = "/", method: str = "GET", length: int | None = None, **headers: str) -> bytes:
    """A request by HTTP or by the uwsgi protocol, whose body is sent elsewhere."""
    if kind == "http":
        more = {} if length is None else {"Content_Length": str(length)}
        return request(path, method, Connection="close", **more, **headers)
    variables = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    if length is not None:
        variables["CONTENT_LENGTH"] = str(length)
    return packet.packet(packet.variables(path, method, **variables))


@pytest.fixture
def boot_both(boot):
    def boot_one(app: str, **options):
        return boot(f"helpers:{app}", http=True, http_stream_body=True, **options)

    return boot_one


KINDS = pytest.mark.parametrize("kind", ["http", "uwsgi"])


def is_served(kind: str, server, path: str = "/") -> bytes:
    """Another request is answered, soon."""
    with packet.connect(of(kind, server), 5) as client:
        client.sendall(ask(kind, path))
        return packet.read_all(client)


# ── threads that wait for their client ──


@KINDS
@pytest.mark.parametrize("threads", [1, 4])
def test_a_thread_that_reads_holds_up_nobody(boot_both, kind, threads):
    server = boot_both("reads", threads=threads, socket_timeout=PATIENCE, http_timeout=PATIENCE)
    with packet.connect(of(kind, server), 5) as client:
        client.sendall(ask(kind, method="POST", length=1000) + b"x")
        if threads > 1:
            assert is_served(kind, server).endswith(b"late")
        assert packet.read_all(client).endswith(b"late")
    server.log.wait("^read raised ValueError: .*after its request had ended$")
    assert is_served(kind, server).endswith(b"late")


def test_a_client_that_trickles_holds_up_nobody(boot_both):
    """Each byte begins the timeout anew for the thread that reads, and for nobody else."""
    server = boot_both("reads", threads=2, socket_timeout=2)
    with packet.connect(server.address) as client:
        client.sendall(ask("uwsgi", method="POST", length=1000) + b"x")
        for _ in wait.steady(5, 0.1):
            client.send(b"x")
            assert is_served("uwsgi", server).endswith(b"late")
        assert packet.read_all(client).endswith(b"late")
    server.log.wait("^read raised ValueError")


@KINDS
@pytest.mark.parametrize("threads", [1, 4])
def test_a_thread_that_writes_holds_up_nobody(boot_both, kind, threads):
    server = boot_both("writes", threads=threads, socket_timeout=PATIENCE, http_timeout=PATIENCE)
    with packet.connect(of(kind, server)) as client:
        client.sendall(ask(kind, "/writes"))
        assert client.recv(100)
        # A chunk that is announced is the core's to send; with one thread nobody else is there meanwhile.
        if (kind, threads) != ("http", 1):
            assert is_served(kind, server)
        # Of a chunk that is announced all is sent; what is in nobody's memory but the thread's is cut off.
        if kind == "uwsgi":
            server.log.wait("^write raised ValueError: the request has ended")
            server.log.wait("returned while another thread was in write")
            assert len(packet.read_all(client)) < 64_000_000
        else:
            server.log.wait("^write gave None")
            assert packet.read_all(client).endswith(b"x\r\n0\r\n\r\n")


def test_pieces_of_two_threads_do_not_mix(boot_both):
    """The second waits for longer than socket-timeout, since the client takes something of the first."""
    server = boot_both("writes_behind", threads=2, socket_timeout=1)
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(ask("uwsgi"))
        begun = b"".join(client.recv(65536) for _ in wait.steady(80, 0.02))
        body = (begun + packet.read_all(client)).partition(b"\r\n\r\n")[2]
    assert body == b"1" * 16_000_000 + b"2" * 16_000_000
    server.log.wait("^write gave None")


def test_threads_share_a_body(boot_both):
    server = boot_both("share")
    lines = [b"%04d\n" % number * 20 for number in range(200)]
    with server.connect() as client:
        client.sendall(ask("uwsgi", method="POST", length=sum(map(len, lines))))
        for line in lines:
            client.sendall(line)
        assert packet.read_all(client).partition(b"\r\n\r\n")[2] == b"".join(lines)


def test_a_read_waits_for_another_only_so_long(boot_both):
    server = boot_both("reads_behind", socket_timeout=1)
    with server.connect() as client:
        client.sendall(ask("uwsgi", method="POST", length=1000) + b"x")
        for _ in wait.steady(30, 0.05):
            client.send(b"x")
        assert packet.read_all(client).endswith(b"read")
    server.log.wait("^second read raised OSError: another thread reads wsgi.input")
    server.log.wait("^first read raised ValueError")


def test_objects_that_are_kept_raise(boot_both):
    server = boot_both("keeps")
    assert server.request().body == server.request().body == b"kept"
    for name in ("read", "tell", "write", "start_response"):
        server.log.wait(f"^{name} raised ValueError: .*ended")


def test_a_fault_of_a_header_is_told_with_nothing_locked(boot_both):
    server = boot_both("says_repr")
    assert server.request().status == 200
    server.log.wait("^write raised AssertionError: write\\(\\) before start_response$")
    server.log.wait("^start_response raised ValueError: .* outside Latin-1: repr$")


def test_a_periodic_signal_does_not_prolong_a_timeout(boot_both):
    server = boot_both("ticks", socket_timeout=1)
    with packet.connect(server.address, 5) as client:
        client.sendall(ask("uwsgi", method="POST", length=10) + b"x")
        assert packet.read_all(client).endswith(b"ticked")
    server.log.wait("^read raised OSError: no bytes of the body came")


@KINDS
def test_a_long_traceback_holds_up_nobody(boot_both, kind):
    server = boot_both("raises_much", threads=2, socket_timeout=PATIENCE, catch_exceptions=True)
    server.log.accept_anything()
    with packet.connect(of(kind, server)) as client:
        client.sendall(ask(kind, "/raises"))
        assert b" 500 " in client.recv(100)
        assert is_served(kind, server).endswith(b"well")
        assert len(packet.read_all(client)) > 20_000_000


def test_harakiri_answers_while_a_thread_waits(boot_both):
    server = boot_both("joins", harakiri=1, socket_timeout=PATIENCE)
    with packet.connect(server.address, 5) as client:
        client.sendall(ask("uwsgi", method="POST", length=10) + b"x")
        assert packet.Response.parse(packet.read_all(client)).status == 504
        # Only then does the client go: the application's thread would be told before the worker is killed.
        server.log.wait(r"worker 1 \(pid \d+\) was killed by harakiri; replacing it")
    server.log.expect("HARAKIRI ON WORKER 1")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")


# ── the end of an answer ──


@KINDS
@pytest.mark.parametrize("how", ["whole", "length", "pieces"])
def test_the_end_goes_out_before_close(boot_both, tmp_path, kind, how):
    """The client has it all, and the end of it, while close() still waits."""
    server = boot_both("closes")
    done = tmp_path / "done"
    with packet.connect(of(kind, server), 5) as client:
        client.sendall(ask(kind, f"/?{how}", X_How=str(done)))
        if kind == "http":
            connection = Connection.__new__(Connection)
            connection.socket, connection._held = client, b""
            assert connection.answer().body == b"one two"
        elif how == "pieces":
            assert packet.read_all(client).endswith(b"one two")
        else:
            got = b""
            while not got.endswith(b"one two"):
                got += client.recv(1000)
        server.log.wait("^closing$")
        assert "closed" not in server.log.lines
        done.touch()
        server.log.wait("^closed$")


@KINDS
@pytest.mark.parametrize("how", ["whole", "length", "pieces"])
def test_an_answer_is_whole_when_close_raises(boot_both, kind, how):
    server = boot_both("closes")
    with packet.connect(of(kind, server), 5) as client:
        client.sendall(ask(kind, f"/?{how}", X_How="raises"))
        raw = packet.read_all(client)
    assert raw.endswith(b"two\r\n0\r\n\r\n" if (kind, how) == ("http", "pieces") else b"one two")
    server.log.wait("^closing$")
    server.log.wait("ValueError in .*; its answer is whole, close\\(\\) failed")
    assert server.workers()[0].exceptions == 1


def test_a_connection_is_kept_when_close_raises(boot_both):
    server = boot_both("closes")
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request("/?pieces", X_How="raises"))
            assert connection.answer().body == b"one two"
    server.log.wait("ValueError in .*close\\(\\) failed", 2)
    server.log.expect("^closing$")


@pytest.fixture
def authority(tmp_path):
    return tls.Authority(tmp_path)


def test_the_end_goes_out_before_close_over_tls(boot, authority, tmp_path):
    server = boot("helpers:closes", uwsgi=False, https=authority.sign())
    done = tmp_path / "done"
    with tls.Connection(server.https_address, authority.context()) as connection:
        # HTTP/1.0: only the end of the session is the end of the answer.
        connection.send(request("/?pieces", version="1.0", X_How=str(done)))
        assert connection.answer().body == b"one two"
        server.log.wait("^closing$")
        assert "closed" not in server.log.lines
        done.touch()
        server.log.wait("^closed$")


def test_a_thread_that_reads_over_tls_holds_up_nobody(boot, authority):
    server = boot("helpers:reads", uwsgi=False, https=authority.sign(), http_stream_body=True, threads=2)
    with tls.Connection(server.https_address, authority.context()) as connection:
        connection.send(request(method="POST", Content_Length="1000") + b"x")
        with tls.Connection(server.https_address, authority.context()) as other:
            other.send(request())
            assert other.answer().body == b"late"
        assert connection.answer().body == b"late"
    server.log.wait("^read raised ValueError: .*after its request had ended$")


def test_django_streams_whole_when_request_finished_fails(boot):
    server = boot("streams", http=True, uwsgi=False)
    server.log.accept_anything()
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request())
            assert connection.answer().body == b"one two"
    server.log.find("request_finished failed", 2)


# ── answers that may send no more ──

COMPLETE = [("HEAD", "200"), ("GET", "204"), ("GET", "304"), ("GET", "200,3"), ("GET", "200,4"), ("HEAD", "200,4")]


@KINDS
@pytest.mark.parametrize("how", ["iterable", "write", "file"])
def test_an_answer_that_is_complete_frees_its_thread(boot_both, kind, how):
    server = boot_both("endless")
    for number, (method, query) in enumerate(COMPLETE, 1):
        with packet.connect(of(kind, server), 5) as client:
            client.sendall(ask(kind, f"/{how}?{query}", method))
            raw = packet.read_all(client)
        body = b"" if "," not in query or method == "HEAD" else b"tick"[: int(query[4:])]
        assert packet.Response.parse(raw).body == body
        server.log.wait("^closed$", number)
    assert is_served(kind, server, "/hello").endswith(b"hello")
    assert server.workers()[0].exceptions == 0


NOTHING_FOR_EVER = [("HEAD", "200"), ("HEAD", "200,4"), ("GET", "204"), ("GET", "304"), ("GET", "200,0")]


@KINDS
def test_an_answer_that_can_have_no_bytes_is_not_waited_for_for_ever(boot_both, kind):
    """The application yields nothing, and its client stays."""
    server = boot_both("endless", socket_timeout=1)
    for number, (method, query) in enumerate(NOTHING_FOR_EVER, 1):
        with packet.connect(of(kind, server), 5) as client:
            client.sendall(ask(kind, f"/empty?{query}", method))
            response = packet.Response.parse(packet.read_all(client))
        assert (response.status, response.body) == (int(query[:3]), b"")
        server.log.wait("^closed$", number)
    assert is_served(kind, server, "/hello").endswith(b"hello")
    assert server.workers()[0].exceptions == 0


@pytest.mark.parametrize("status", ["204", "304"])
def test_code_behind_empty_pieces_runs(boot_both, status):
    """An answer without bytes is one that a generator may work for."""
    server = boot_both("works")
    assert server.request(f"/?{status}").status == int(status)
    server.log.wait("^worked$")


def test_head_on_a_kept_connection_frees_its_thread(boot_both):
    server = boot_both("endless")
    for how in ("iterable", "write", "file"):
        with Connection(server.http_address) as connection:
            connection.send(request(f"/{how}?200", "HEAD"))
            answer = connection.answer(head=True)
            assert (answer.header("Content-Length"), answer.header("Transfer-Encoding")) == (None, None)
            connection.send(request("/hello"))
            assert connection.answer().body == b"hello"
    server.log.wait("^closed$", 3)


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_large_body_longer_than_announced_is_cut(boot, pieces):
    """Also where the client takes it in parts only."""
    response = boot("bodies:length").request(f"/?20000000,36000000,{pieces}")
    assert len(response.body) == 20_000_000


def test_what_stands_behind_the_last_piece_runs(boot_both):
    server = boot_both("ends")
    assert server.request().body == b"tick"
    server.log.wait("^behind the last piece$")


def test_a_fault_behind_the_last_piece_leaves_the_answer_whole(boot_both):
    server = boot_both("length_fault")
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request())
            assert connection.answer().body == b"tick"
    server.log.wait("ValueError in .*; its answer was complete", 2)


# ── clients that leave, and clients that only seem to ──


@pytest.mark.parametrize("place", ["tcp", "unix", "http"])
def test_a_client_that_left_is_noticed_while_nothing_is_sent(boot_both, tmp_path, place):
    path = str(tmp_path / "s")
    server = boot_both("patient", socket=path, socket_timeout=1)
    address = path if place == "unix" else of("http" if place == "http" else "uwsgi", server)
    kind = "http" if place == "http" else "uwsgi"
    server.log.accept_anything()
    with packet.connect(address) as client:
        client.sendall(ask(kind, f"/?{tmp_path}/never"))
        server.log.wait("^patient$")
    assert server.log.request()["status"] == "499"
    assert server.workers()[0].exceptions == 0


@KINDS
def test_a_client_that_only_has_no_more_to_say_is_answered(boot_both, tmp_path, kind):
    server = boot_both("patient")
    done = tmp_path / "done"
    with packet.connect(of(kind, server)) as client:
        client.sendall(ask(kind, f"/?{done}"))
        client.shutdown(socket.SHUT_WR)
        server.log.wait("^patient$")
        server.log.wait("^still patient$")
        done.touch()
        assert b"answer" in packet.read_all(client)


# ── bodies ──


@KINDS
@pytest.mark.parametrize("path", ["/proc/sys/kernel/ostype", "/sys/class/net/lo/mtu"])
def test_files_whose_size_lies_arrive(boot_both, kind, path):
    server = boot_both("kernel_file")
    with packet.connect(of(kind, server), 5) as client:
        client.sendall(ask(kind, path))
        assert Path(path).read_bytes() in packet.read_all(client)


def test_none_is_not_bytes(boot_both):
    server = boot_both("none")
    assert server.request().body == b"begun "
    server.log.wait("^.{24} - TypeError in worker 1 core 0: GET /; its answer had begun and was cut off$")


def test_head_does_not_contradict_get(boot):
    server = boot("hello", http=True)
    with Connection(server.http_address) as connection:
        connection.send(request("/", "HEAD"))
        head = connection.answer(head=True)
        connection.send(request())
        assert connection.answer().header("Content-Length") is not None
    assert head.header("Transfer-Encoding") is None


def test_threads_that_a_fork_loses_are_named_once(boot):
    server = boot("threads", processes=2)
    server.log.wait(r"the application started 1 thread\(s\) while it was imported; they do not run in the workers")
    assert server.request().text == "is gone"
    assert server.log.text.count("while it was imported") == 1


@pytest.mark.parametrize("options", [{"env": {"AGAIN": "1"}}, {"lazy_apps": True}])
def test_threads_that_run_in_the_workers_are_not(boot, options):
    """As those of OpenTelemetry and Datadog, which hooks start again after a fork."""
    server = boot("threads", processes=2, **options)
    assert server.request().text == "runs"
    assert "while it was imported" not in server.log.text
