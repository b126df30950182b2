"""Over TLS, too, a request that harakiri ends has an answer: that of tests/test_harakiri.py, encrypted."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import ExitStack
from signal import Signals
from ssl import TLSVersion

import pytest

from harness import procs
from harness.http import Connection as Plain
from harness.http import request
from harness.packet import Response
from harness.tls import Authority, Connection
from test_harakiri import expect_kill

pytestmark = pytest.mark.core

VERSIONS = [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def boot_https(boot, authority):
    def one(app: str, **options):
        return boot(app, uwsgi=False, https=authority.sign(), **{"harakiri": 1, **options})

    return one


@pytest.fixture
def connect(authority, stack):
    def one(server, version: TLSVersion | None = None) -> Connection:
        return stack.enter_context(Connection(server.https_address, authority.context(version)))

    return one


def last_answer(connection: Plain) -> Response:
    """A sound end follows it; without one the client of these tests raises an error."""
    answer = connection.answer()
    assert connection.is_closed()
    return answer


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("how", ["sleep", "spin"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_late_request_is_504_and_its_stack_is_logged(boot_https, connect, version, how, threads):
    server = boot_https("late", threads=threads)
    (old,) = server.worker_pids()
    connection = connect(server, version)
    connection.send(request())
    assert connection.answer().text == str(old)
    connection.send(request(f"/late?{how}=60"))
    assert last_answer(connection).status_line == "HTTP/1.1 504 Gateway Timeout"
    server.log.wait(rf"HARAKIRI ON WORKER 1 \(pid: {old}, core: \d\): GET /late\?{how}=60 has run for 1\.\d s")
    expect_kill(server)
    stacks = server.log.entry("HARAKIRI ON WORKER 1").text
    assert stacks.count("hread 0x") == threads
    assert f": GET /late?{how}=60]" in stacks and "late.py" in stacks
    assert "did not answer in time" not in stacks
    assert server.worker_pids() != [old]
    again = connect(server, version)
    again.send(request())
    assert again.answer().status == 200


def test_clients_with_and_without_tls_hear_the_same(boot_https, connect, stack):
    """In one worker: each is late, or merely beside one that is."""
    server = boot_https("late", http=True, threads=5, harakiri=3, add_header="X-Own: yes")
    clients, neighbours = ([stack.enter_context(Plain(server.http_address)), connect(server)] for _ in range(2))
    for client in clients:
        client.send(request("/late?sleep=60"))
    pause = stack.enter_context(Plain(server.http_address))

    def wait() -> None:
        pause.send(request("/?sleep=1.7"))
        assert pause.answer().status == 200

    # The others begin later.
    wait()
    for client in neighbours:
        client.send(request("/neighbour?sleep=50"))
    # The master does not look between the two deadlines, of which one is milliseconds later.
    server.signal(Signals.SIGSTOP)
    wait()
    server.signal(Signals.SIGCONT)
    for status, pair in ((504, clients), (503, neighbours)):
        plain, encrypted = (last_answer(client) for client in pair)
        assert plain.status == status
        assert encrypted.raw == plain.raw and encrypted.body == plain.body
        assert encrypted.header("X-Own") == "yes"
    server.log.wait(r"HARAKIRI ON WORKER 1 .*GET /late")
    expect_kill(server)
    assert server.log.entry("HARAKIRI").text.count("GET /neighbour?sleep=50]") == 2


def test_an_answer_that_has_begun_is_cut_off(boot_https, connect):
    """Without the end that a sound answer has."""
    server = boot_https("late:begun")
    begun = connect(server)
    begun.send(request("/late", version="1.0"))
    with pytest.raises(ssl.SSLEOFError):
        begun.answer()
    assert begun._held == b"begun"
    server.log.wait(r"HARAKIRI ON WORKER 1 .*GET /late")
    expect_kill(server)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_body_that_is_waited_for_counts(boot_https, connect, version):
    """Its thread holds the session while it waits."""
    server = boot_https("slow:waits", http_stream_body=True, http_headers_timeout=30, socket_timeout=30, threads=2)
    connections = [connect(server, version) for _ in range(2)]
    for connection in connections:
        connection.send(request("/stuck", "POST", b"some", Content_Length="100000"))
    answers = [last_answer(connection).status for connection in connections]
    assert 504 in answers and set(answers) <= {503, 504}
    server.log.wait("^waiting /stuck$", count=2)
    server.log.wait(r"HARAKIRI ON WORKER 1 .*POST /stuck")
    expect_kill(server)
    assert "did not answer in time" not in server.log.entry("HARAKIRI").text


def test_a_client_that_does_not_read_holds_nobody_up(boot_https, connect, tmp_path):
    """Its thread holds the session while it sends; the neighbour has its answer all the same."""
    server = boot_https("moves", threads=2, socket_sndbuf=65536)
    never = tmp_path / "never"
    os.mkfifo(never)
    reader, neighbour = connect(server), connect(server)
    reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    reader.send(request("/large"))
    reader._more()
    neighbour.send(request(f"/hold?{never}"))
    assert last_answer(neighbour).status in (503, 504)
    with pytest.raises(ssl.SSLEOFError):
        reader.answer()
    server.log.wait("^holding")
    server.log.wait("HARAKIRI ON WORKER 1 .*GET /large")
    expect_kill(server)
    assert "did not answer in time" not in server.log.entry("HARAKIRI").text


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_who_goes_on_after_the_exception_is_killed(boot_https, connect, version):
    server = boot_https("late", harakiri_graceful_timeout=1)
    connection = connect(server, version)
    connection.send(request("/late?stubborn=60"))
    assert last_answer(connection).status == 504
    server.log.wait("^shrugs off HarakiriTimeout$")
    server.log.wait("GET /late.*raising HarakiriTimeout in it")
    server.log.wait("GET /late.*the worker is killed")
    expect_kill(server)


def test_one_thread_helps(boot_https, connect):
    """That which looks after kept connections answers for harakiri, too: asleep, or busy with an upload."""
    server = boot_https("late", processes=2, harakiri=2)
    kept = [connect(server) for _ in range(4)]
    for connection in kept:
        connection.send(request())
        assert int(connection.answer().text) in server.worker_pids()
    assert [procs.threads(pid) for pid in server.worker_pids()] == [2, 2]
    for number, uploads in enumerate(([], [connect(server) for _ in range(20)])):
        old = server.worker_pids()
        for upload in uploads:
            upload.send(request("/", "POST", b"some", Content_Length="1000"))
        late = connect(server)
        late.send(request("/late?sleep=60"))
        assert last_answer(late).status == 504
        server.log.wait(r"HARAKIRI ON WORKER \d .*GET /late", count=number + 1)
        server.log.wait(r"worker \d \(pid \d+\) was killed by harakiri; replacing it", count=number + 1)
        server.log.wait(r"worker \d \(pid \d+\) is ready", count=number + 1)
        assert len(set(old) & set(server.worker_pids())) == 1
    assert "did not answer in time" not in server.log.text


def test_a_thread_more_where_it_is_needed(boot, authority):
    """And nowhere else."""
    counts = []
    for options in ({"http": True, "harakiri": 60}, {"https": authority.sign()}):
        (worker,) = boot("late", uwsgi=False, **options).worker_pids()
        counts.append(procs.threads(worker))
    (worker,) = boot("late", uwsgi=False, harakiri=60, https=authority.sign()).worker_pids()
    assert [*counts, procs.threads(worker)] == [1, 1, 2]
