"""uwsgi sockets: how they are bound, what is understood on them, and what is answered to what is not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from harness import packet, procs
from harness.corpus import Case, cases
from harness.packet import Response
from harness.ports import free_port, free_ports
from harness.wait import until

# ── binding ──


def serves(address: packet.Address) -> bool:
    return packet.request(address).body == b"hello"


def test_tcp(boot):
    port = free_port()
    server = boot("hello", uwsgi=False, socket=f"127.0.0.1:{port}")
    assert serves(("127.0.0.1", port))
    server.log.wait(f"on uwsgi 127.0.0.1:{port} ")


def test_tcp_with_a_port_of_the_kernels_choice(boot):
    server = boot("hello", uwsgi=False, socket="127.0.0.1:0")
    port = int(server.log.wait(r"on uwsgi 127\.0\.0\.1:(\d+) ")[1])
    assert serves(("127.0.0.1", port))


@pytest.mark.parametrize("mode", ["660", "600", "777"])
def test_unix_with_a_mode(boot, tmp_path, mode):
    path = tmp_path / "s"
    boot("hello", uwsgi=False, socket=path, chmod_socket=mode)
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    assert serves(str(path))


def test_uwsgi_socket_is_another_name(boot, tmp_path):
    boot("hello", uwsgi=False, uwsgi_socket=tmp_path / "s")
    assert serves(str(tmp_path / "s"))


def test_listen_is_the_backlog(start, tmp_path):
    """While nothing accepts, as many connections are taken as the backlog holds, and on Linux one more."""
    (tmp_path / "waits.py").write_text("import signal\nwhile True:\n    signal.pause()\n")
    path = tmp_path / "s"
    server = start("waits", uwsgi=False, socket=path, listen=3, pythonpath=tmp_path, reload_mercy=0)
    until(path.exists, "the socket")
    with contextlib.ExitStack() as stack:
        taken = 0
        while taken < 10:
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                continue  # bound, and not listening yet
            except BlockingIOError:
                break
            taken += 1
    assert taken == 4
    until(lambda: procs.catches(server.pid, signal.SIGTERM), "the master to hear of signals")
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait_exit() == 0


def test_vacuum_removes_the_socket(boot, tmp_path):
    server = boot("hello", uwsgi=False, socket=tmp_path / "s", vacuum=True)
    server.gone.append(tmp_path / "s")


def test_without_vacuum_the_socket_stays(start, tmp_path):
    with start("hello", uwsgi=False, socket=tmp_path / "s").wait_ready():
        pass
    assert (tmp_path / "s").is_socket()


def test_a_stale_socket_is_replaced(boot, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    boot("hello", uwsgi=False, socket=path)
    assert serves(str(path))


def test_a_socket_on_which_somebody_listens_is_refused(start, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        server = start("hello", uwsgi=False, socket=path, vacuum=True)
        server.status = 1
        assert server.wait_exit() == 1
        server.log.wait(f'cannot listen on "{path}": .*another server listens there')
    assert path.is_socket()


def test_a_server_with_a_full_backlog_is_refused_without_waiting(start, tmp_path):
    path = tmp_path / "s"
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(socket.socket(socket.AF_UNIX))
        live.bind(str(path))
        live.listen(0)
        stack.enter_context(packet.connect(str(path)))
        server = start("hello", uwsgi=False, socket=path)
        server.status = 1
        assert server.wait_exit() == 1
        server.log.wait(f'cannot listen on "{path}": .*another server listens there')


AS_SYSTEMD = """
import os, socket, sys
made = socket.create_server(("127.0.0.1", 0))
print("systemd listens on", made.getsockname()[1], flush=True)
os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "rwsgi", *sys.argv[1:]])
"""


@pytest.mark.parametrize("options", [{}, {"socket": "fd://3"}, {"protocol": "uwsgi", "lazy_apps": True}], ids=str)
def test_what_systemd_hands_over_is_served(boot, options):
    server = boot("hello", uwsgi=False, command=[sys.executable, "-c", AS_SYSTEMD], **options)
    port = int(server.log.wait(r"systemd listens on (\d+)")[1])
    server.log.wait(rf" on uwsgi 127\.0\.0\.1:{port} \(")
    assert serves(("127.0.0.1", port))
    server.reload()
    assert serves(("127.0.0.1", port))


def test_a_descriptor_that_is_not_open_is_named(start):
    server = start("hello", uwsgi=False, socket="fd://99")
    server.status = 1
    assert server.wait_exit() == 1
    line = server.log.wait('cannot listen on "fd://99": no descriptor of this number is open').string
    assert "directory" not in line


def test_a_file_that_is_no_socket_is_refused(start, tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    server = start("hello", uwsgi=False, socket=path, vacuum=True)
    server.status = 1
    assert server.wait_exit() == 1
    server.log.wait(f'cannot listen on "{path}": .*a file that is no socket is in the way')
    assert path.read_text() == "data"


def test_a_missing_directory_is_named(start, tmp_path):
    server = start("hello", uwsgi=False, socket=tmp_path / "missing/s")
    server.status = 1
    assert server.wait_exit() == 1
    server.log.wait("cannot listen on .*; the directory does not exist")


def test_a_port_that_is_taken_is_refused(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start("hello", uwsgi=False, socket=f"127.0.0.1:{port}")
        server.status = 1
        assert server.wait_exit() == 1
        server.log.wait(f'cannot listen on "127.0.0.1:{port}": .*another server listens there')


def test_what_was_bound_before_a_failure_is_cleaned_up(start, tmp_path):
    server = start("hello", uwsgi=False, socket=[str(tmp_path / "s"), str(tmp_path / "missing/s")], vacuum=True)
    server.status = 1
    server.gone.append(tmp_path / "s")
    assert server.wait_exit() == 1
    server.log.wait("cannot listen on .*missing")


def test_abstract(boot):
    name = f"rwsgi-test-{os.getpid()}-{free_port()}"
    boot("hello", uwsgi=False, socket=f"@{name}")
    assert serves(f"\0{name}")


def test_an_inherited_descriptor(boot):
    assert serves(boot("hello").address)


def test_a_descriptor_that_is_not_open_is_refused(start):
    server = start("hello", uwsgi=False, socket="fd://99")
    server.status = 1
    assert server.wait_exit() == 1
    server.log.wait('cannot listen on "fd://99": no descriptor of this number is open')


@pytest.mark.parametrize("threads", [1, 3])
def test_nine_at_once(boot, tmp_path, threads):
    ports = free_ports(3)
    paths = [str(tmp_path / f"s{index}") for index in range(4)]
    name = f"rwsgi-test-{os.getpid()}-{ports[0]}"
    places = [*(f"127.0.0.1:{port}" for port in ports), *paths, f"@{name}"]
    server = boot("hello", socket=places, threads=threads, processes=2)
    addresses = [server.address, *(("127.0.0.1", port) for port in ports), *paths, f"\0{name}"]
    for _ in range(3):
        for address in addresses:
            assert serves(address), address


# ── the corpus on the live server ──

# What the command line says is what the corpus is made for.
LIMITS = {"buffer_size": 4096, "max_vars": 64}
REFUSED = {"http": 400, "too-large": 431, "too-many": 431, "truncated": 400, "empty-key": 400}


def send(address: packet.Address, data: bytes, size: int) -> bytes:
    """Sends the bytes in pieces, closes that side, and reads the answer. A server that refuses need not read all."""
    with packet.connect(address) as client:
        if isinstance(address, tuple):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(data), size):
                client.sendall(data[at : at + size])
            client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            return packet.read_all(client)
        return b""


def expected_variables(case: Case) -> dict[str, str]:
    """The last of a repeated variable counts."""
    return dict(var.split("=", 1) for var in case.all("var"))


def check_valid(case: Case, answer: bytes) -> None:
    modifier = case.one("modifier1")
    if modifier == "100":
        assert answer == packet.head(100, 0, 1), case.name
        return
    if modifier not in ("0", "30") or not case.all("var"):
        # A whole packet, which this server does not serve.
        assert Response.parse(answer).status == (400 if modifier == "0" else 501), case.name
        return
    response = Response.parse(answer)
    assert response.status == 200, f"{case.name}: {response}"
    shown = json.loads(response.body)
    expected = expected_variables(case)
    if modifier == "30":
        expected["PATH_INFO"] = expected["PATH_INFO"].removeprefix(expected["SCRIPT_NAME"])
    assert expected.items() <= shown["environ"].items(), case.name
    length = int(expected.get("CONTENT_LENGTH") or 0)
    assert shown["body"] == (case.one("body") or "")[:length], case.name


@pytest.mark.parametrize("size", [1_000_000, 1], ids=["whole", "by bytes"])
def test_valid_packets(boot, size):
    server = boot("dump", **LIMITS)
    server.log.expect("refused a request with 400: an empty uwsgi packet", "refused a request with 501: ")
    for case in cases("uwsgi/valid"):
        check_valid(case, send(server.address, case.data, size))


@pytest.mark.parametrize("size", [1_000_000, 1], ids=["whole", "by bytes"])
def test_invalid_packets(boot, size):
    server = boot("dump", **LIMITS)
    server.log.expect("worker 1: refused a request with (400|431|501): ")
    refused = 0
    for case in cases("uwsgi/invalid"):
        answer = send(server.address, case.data, size)
        check_invalid(case, answer)
        if answer:
            refused += 1
            server.log.wait("refused a request", count=refused)
    assert server.request().status == 200
    until(lambda: server.workers()[0].requests == 1, "the request to be counted, and no other")


def check_invalid(case: Case, answer: bytes) -> None:
    error = case.one("error")
    if error == "incomplete":
        assert answer == b"" or Response.parse(answer).status == 400, case.name
    elif case.data[0] not in (0, 30) and error != "http":
        assert Response.parse(answer).status in (431, 501), case.name
    else:
        assert Response.parse(answer).status == REFUSED[error], case.name


# ── answers where uWSGI says nothing ──


def assert_refused(server, sent: bytes, status: int, why: str) -> None:
    """An answer, exactly one line with the cause, and a server that goes on."""
    response = Response.parse(packet.exchange(server.address, sent))
    assert response.status == status
    assert response.header("Connection") == "close"
    assert int(response.header("Content-Length")) == len(response.body)
    server.log.wait(why)
    assert sum("refused a request" in line for line in server.log.lines) == 1
    assert server.request().status == 200
    assert server.workers()[0].refused == 1


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /x HTTP/1.0\r\nContent-Length: 0\r\n\r\n"]
)
def test_a_browser_is_told_that_this_is_no_http_socket(boot, sent):
    assert_refused(boot("hello"), sent, 400, "an HTTP client came to a socket that speaks the uwsgi protocol")


def test_an_empty_packet_is_400(boot):
    assert_refused(boot("hello"), packet.head(0, 0), 400, "worker 1: refused a request with 400: an empty uwsgi packet")


def test_a_bad_packet_is_400(boot):
    sent = packet.head(0, 3) + b"\xff\xffx"
    assert_refused(boot("hello"), sent, 400, "worker 1: refused a request with 400: a bad uwsgi packet: ")


@pytest.mark.parametrize("length", ["x", "-1", "1x", "+1", "1,1", " 1", "1 ", "99999999999999999999"])
def test_a_bad_content_length_is_400(boot, length):
    sent = packet.packet(packet.variables(CONTENT_LENGTH=length))
    assert_refused(boot("hello"), sent, 400, "refused a request with 400: CONTENT_LENGTH is not a number")


def test_a_body_over_limit_post_is_413(boot):
    server = boot("dump", limit_post=1000)
    body = b"x" * 1001
    sent = packet.packet(packet.variables("/", "POST", body)) + body
    assert_refused(server, sent, 413, "refused a request with 413: a body of 1001 bytes is more than limit-post = 1000")
    assert server.request("/", "POST", b"x" * 1000).status == 200


def test_variables_over_buffer_size_are_431(boot):
    server = boot("hello", buffer_size=1000)
    sent = packet.packet(packet.variables(HTTP_COOKIE="x" * 1000))
    assert_refused(server, sent, 431, "refused a request with 431: .* than buffer-size = 1000 allows")


def test_too_many_variables_are_431(boot):
    server = boot("hello", max_vars=10)
    sent = packet.packet({f"HTTP_X_{number}": "" for number in range(21)})
    assert_refused(server, sent, 431, "refused a request with 431: .*max-vars")


def test_the_largest_packet_is_served(boot):
    server = boot("dump")
    small = packet.variables(HTTP_X_LONG="")
    rest = 65535 - len(packet.block(small))
    response = server.request(HTTP_X_LONG="x" * rest)
    assert len(json.loads(response.body)["environ"]["HTTP_X_LONG"]) == rest
    assert server.log.request()["vars_bytes"] == "65535"


def test_an_unknown_modifier_is_501(boot):
    server = boot("hello")
    sent = packet.packet(packet.variables(), modifier1=5)
    assert_refused(server, sent, 501, "refused a request with 501: unavailable modifier requested: 5")


def test_without_an_application_it_is_503(boot):
    server = boot(None, mount="/here=hello:application", pythonpath=Path(__file__).parent / "apps")
    assert server.request(SCRIPT_NAME="/here").body == b"hello"
    response = server.request("/there", SCRIPT_NAME="/there")
    assert response.status == 503
    server.log.wait(r"GET /there: no application is loaded for it; answered 503\. .*mount")


def test_without_need_app_it_is_503(boot):
    server = boot("missing_module", need_app="false")
    server.log.expect("cannot load the application from module missing_module", "no application is loaded for it")
    assert server.request().status == 503


# ── more of the protocol ──


def test_ping(boot):
    server = boot("hello")
    assert packet.exchange(server.address, packet.head(100, 0)) == b"\x64\0\0\x01"
    assert server.workers()[0].requests == 0


def test_modifier_30_takes_script_name_off_path_info(boot):
    server = boot("dump")
    response = packet.request(server.address, "/app/page", modifier1=30, SCRIPT_NAME="/app")
    environ = json.loads(response.body)["environ"]
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "/page")
    response = packet.request(server.address, "/app/page", modifier1=0, SCRIPT_NAME="/app")
    assert json.loads(response.body)["environ"]["PATH_INFO"] == "/app/page"


@pytest.mark.parametrize("name", ["UWSGI_FILE", "UWSGI_SCRIPT", "UWSGI_MODULE", "UWSGI_PYHOME", "UWSGI_CHDIR"])
def test_a_client_cannot_load_code(boot, tmp_path, name):
    (tmp_path / "evil.py").write_text("import os\nos.write(2, b'evil code runs\\n')\napplication = None\n")
    values = {"UWSGI_FILE": str(tmp_path / "evil.py"), "UWSGI_SCRIPT": "evil", "UWSGI_MODULE": "evil"}
    server = boot("hello", pythonpath=tmp_path)
    response = server.request(**{name: values.get(name, str(tmp_path)), "SCRIPT_NAME": "/other"})
    assert response.body == b"hello"
    server.log.wait("a request asked to load code .*; ignored, since dynamic-apps is not set")


def test_a_client_cannot_set_the_environment(boot):
    server = boot("environment")
    server.log.expect("a request asked to load code")
    assert server.request("/?PATH", UWSGI_SETENV="PATH=/evil").text == os.environ["PATH"]


# ── slow peers ──


def test_a_slow_client_costs_only_its_thread(boot):
    """One that sends byte by byte, while others are served by the other thread."""
    server = boot("hello", threads=2)
    sent = packet.packet(packet.variables())
    with server.connect() as slow:
        for at in range(len(sent)):
            slow.sendall(sent[at : at + 1])
            if at % 16 == 0:
                assert serves(server.address)
        assert Response.parse(packet.read_all(slow)).body == b"hello"


def part_of_a_packet() -> bytes:
    return packet.packet(packet.variables())[:50]


def body_to_come() -> bytes:
    return packet.packet(packet.variables("/", "POST", CONTENT_LENGTH="9"))


def refused_and_still_sending() -> bytes:
    return packet.packet(packet.variables(), modifier1=5)


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("slow", [bytes, part_of_a_packet, body_to_come, refused_and_still_sending])
def test_a_slow_client_does_not_freeze_a_worker(boot, tmp_path, slow, busy):
    """While another thread runs a request, connections are taken with the interpreter at hand: nobody may wait so."""
    server = boot("held", threads=3, socket_timeout=60, post_buffering=4096)
    with server.connect() as runs, server.connect() as lazy:
        if busy:
            server.log.expect("held /sleeps")
            runs.sendall(packet.packet(packet.variables(f"/sleeps?{tmp_path / 'end'}")))
            until(lambda: "GET /sleeps" in status_of(server), "the request to run")
        lazy.sendall(slow())
        if slow is refused_and_still_sending:
            server.log.wait("refused a request with 501")
        assert server.request("/quick").status == 200
        lazy.close()
        if busy:
            (tmp_path / "end").touch()
            assert Response.parse(packet.read_all(runs)).status == 200
    if slow is body_to_come:
        server.log.wait("POST /: the client closed the connection before the end of the body; answered 400")


def status_of(server) -> str:
    server.workers()
    return server.log.text.split("status: ")[-1]


def test_a_packet_that_does_not_come_is_dropped_after_socket_timeout(boot):
    server = boot("hello", socket_timeout=1)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables())[:100])
        assert packet.read_all(client) == b""
    server.log.wait("a peer sent only 100 bytes of a request within socket-timeout = 1 s; closed")
    assert serves(server.address)


def test_a_connection_without_a_byte_is_nothing(boot):
    """Balancers look whether somebody listens."""
    server = boot("hello")
    for _ in range(3):
        server.connect().close()
    assert serves(server.address)


def test_a_peer_that_leaves_within_its_packet_is_nothing(boot):
    server = boot("hello")
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables())[:50])
    assert serves(server.address)


# ── the end of a connection whose peer still may send ──


def lingers(client: socket.socket) -> bool:
    """Has the server not closed its side? On a unix socket that is known at once."""
    try:
        client.sendall(b"more")
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


@pytest.fixture(params=[1, 2], ids=["one thread", "threads"])
def closing(request, boot, tmp_path):
    """How threads wait decides who reads on: accept() and the worker's own epoll, or the accept queues."""
    return boot("hello", uwsgi=False, socket=tmp_path / "s", threads=request.param), str(tmp_path / "s"), request.param


def test_a_refused_peer_holds_no_thread(closing):
    server, path, threads = closing
    server.log.expect("refused a request with 501: unavailable modifier requested: 9 ")
    with contextlib.ExitStack() as stack:
        refused = [stack.enter_context(packet.connect(path)) for _ in range(threads)]
        for client in refused:
            client.sendall(packet.packet(packet.variables(), modifier1=9))
            assert Response.parse(packet.read_all(client)).status == 501
        assert serves(path)
        assert all(lingers(client) for client in refused)
        until(lambda: not any(lingers(client) for client in refused), "the end of refused connections")


def test_a_connection_whose_body_nobody_read_is_closed(closing):
    _, path, _ = closing
    with packet.connect(path) as client:
        client.sendall(packet.packet(packet.variables("/", "POST", b"never sent")))
        assert Response.parse(packet.read_all(client)).body == b"hello"
        # Without another request that would have somebody look.
        until(lambda: not lingers(client), "the end of the connection")
