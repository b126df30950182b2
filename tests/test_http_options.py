"""What the server answers by itself, and the smaller options of HTTP sockets."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, suppress
from select import select
from signal import Signals

import pytest

from harness import packet
from harness.http import Connection, request
from harness.packet import Response
from harness.wait import PATIENCE, steady, until

pytestmark = pytest.mark.core


def ask(address: packet.Address, path: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> Response:
    with Connection(address) as connection:
        connection.send(request(path, method, body, **headers))
        return connection.answer(head=method == "HEAD")


# ── http-to-https ──


@pytest.mark.parametrize(
    ("port", "sent", "location"),
    [
        (443, request("/a?b=c%20d", Host="shop.example"), "https://shop.example/a?b=c%20d"),
        (443, request("/", Host="shop.example:8000"), "https://shop.example/"),
        (8443, request("/x", Host="shop.example:8000"), "https://shop.example:8443/x"),
        (8443, request("/x", Host="[2001:db8::7]:80"), "https://[2001:db8::7]:8443/x"),
        (443, request("http://other.example:1/y?", Host="shop.example"), "https://other.example/y"),
        (443, request("*", "OPTIONS", Host="shop.example"), "https://shop.example/"),
        (443, request("/x", version="1.0"), f"https://{socket.gethostname()}/x"),
        (443, request("/x", "POST", b"abc", Host="shop.example"), "https://shop.example/x"),
    ],
)
def test_a_client_is_sent_on_to_https(boot, port, sent, location):
    server = boot("hello", uwsgi=False, http=True, to_https=port)
    with Connection(server.redirecting_address) as connection:
        connection.send(sent)
        answer = connection.answer()
        assert (answer.status, answer.header("Location")) == (301, location)
    # The other socket serves.
    assert ask(server.http_address).body == b"hello"


def test_a_redirected_connection_is_kept(boot):
    server = boot("hello", uwsgi=False, to_https=443)
    with Connection(server.redirecting_address) as connection:
        connection.send(request("/1") + request("/2", "HEAD") + request("/3"))
        assert connection.answer().header("Location").endswith("/1")
        head = connection.answer(head=True)
        assert (head.status, head.header("Content-Length")) == (301, "18")
        assert connection.answer().header("Location").endswith("/3")
        connection.send(request("/4", Connection="close"))
        assert connection.answer().header("Connection") == "close"
        assert connection.is_closed()


def test_what_is_no_request_is_not_sent_on(boot):
    server = boot("hello", uwsgi=False, to_https=443)
    server.log.expect("refused a request with 400", "refused a request with 501: CONNECT")
    for sent, status in [(b"GET / HTTP/1.1\r\n\r\n", 400), (request("a.example:443", "CONNECT"), 501)]:
        assert packet.Response.parse(packet.exchange(server.redirecting_address, sent)).status == status


# ── probes ──


def probe(server, path: str = "/readyz", method: str = "GET") -> tuple[int, bytes]:
    answer = ask(server.http_address, path, method)
    return answer.status, answer.body


def test_probes_need_no_application(boot):
    server = boot("dump", uwsgi=False, http=True, http_livez=True, http_readyz="/health/ready")
    assert probe(server, "/livez") == (200, b"ok\n")
    assert probe(server, "/health/ready?full") == (200, b"ok\n")
    answer = ask(server.http_address, "/livez", "HEAD")
    assert (answer.header("Content-Length"), answer.header("Cache-Control")) == ("3", "no-store")
    # Nothing but these is the server's.
    for path, method in [("/readyz", "GET"), ("/livez/", "GET"), ("/livez", "POST")]:
        assert json.loads(ask(server.http_address, path, method).body)["environ"]["REQUEST_URI"] == path
    # Nor are they requests: nobody wants to read of them every second.
    server.log.request(count=3)
    assert [match["uri"] for match in server.log.requests()] == ["/readyz", "/livez/", "/livez"]


def test_probes_are_the_application_s_unless_asked_for(boot):
    server = boot("dump", uwsgi=False, http=True, http_readyz="false")
    assert json.loads(ask(server.http_address, "/readyz").body)["environ"]["REQUEST_URI"] == "/readyz"


def test_a_server_without_an_application_lives_but_is_not_ready(boot):
    server = boot(None, "--module=no_such_module", uwsgi=False, http=True, need_app=False, http_livez=1, http_readyz=1)
    server.log.accept_anything()
    assert probe(server, "/livez")[0] == 200
    assert probe(server) == (503, b"no application is loaded\n")


def test_a_stopping_server_is_not_ready(boot):
    server = boot("slow:waits", uwsgi=False, http=True, threads=2, http_stream_body=True, http_readyz=True)
    with Connection(server.http_address) as busy, Connection(server.http_address) as balancer:
        busy.send(request("/", "POST", b"", Content_Length="4"))
        server.log.wait("waiting /")
        balancer.send(request("/readyz"))
        assert balancer.answer().body == b"ok\n"
        # The next probe has begun to arrive when the stop begins.
        balancer.send(request("/readyz")[:-2])
        server.signal(Signals.SIGTERM)
        assert [worker.stage for worker in server.workers()] == ["leaving (stopped)"]
        balancer.send(b"\r\n")
        answer = balancer.answer()
        assert (answer.status, answer.body, answer.header("Connection")) == (503, b"stopping\n", "close")
        busy.send(b"done")
        assert busy.answer().body.startswith(b"done ")
        assert server.wait_exit() == 0


def test_a_server_with_a_long_backlog_is_not_ready(boot):
    server, address = on_port(boot, "slow:waits", http_stream_body=True, http_readyz=True, listen=8)
    with Connection(address) as client, ExitStack() as stack:
        client.send(request("/", "POST", b"", Transfer_Encoding="chunked"))
        server.log.wait("waiting /")
        for _ in range(6):
            stack.enter_context(Connection(address))
        client.send(b"1\r\nx\r\n0\r\n\r\n" + request("/readyz"))
        assert client.answer().body.startswith(b"x ")
        assert client.answer().body == b"busy\n"
    until(lambda: ask(address, "/readyz").status == 200, "the backlog to be gone")


def test_probes_on_a_uwsgi_socket(boot, nginx):
    """Whoever asks through a front end, or a balancer that speaks uwsgi itself, hears the same as on an HTTP socket."""
    server = boot("dump", http_livez=True, http_readyz="/health/ready")
    front = ("127.0.0.1", nginx("{}:{}".format(*server.address)).ports[0])
    for path in ["/livez", "/health/ready?full"]:
        answer = ask(front, path)
        assert (answer.status, answer.body, answer.header("Cache-Control")) == (200, b"ok\n", "no-store")
    answer = ask(front, "/livez", "HEAD")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", "3")
    # Nothing but these is the server's, and they are no requests.
    for path, method in [("/readyz", "GET"), ("/livez/", "GET"), ("/livez", "POST")]:
        assert json.loads(ask(front, path, method).body)["environ"]["REQUEST_URI"] == path
    server.log.request(count=3)
    assert [match["uri"] for match in server.log.requests()] == ["/readyz", "/livez/", "/livez"]
    direct = packet.request(server.address, "/livez")
    assert (direct.status_line, direct.header("Connection")) == ("HTTP/1.1 200 OK", "close")


def test_a_uwsgi_socket_without_an_application_is_not_ready(boot, nginx):
    server = boot(None, "--module=no_such_module", need_app=False, http_livez=1, http_readyz=1, threads=2)
    server.log.accept_anything()
    front = ("127.0.0.1", nginx("{}:{}".format(*server.address)).ports[0])
    assert ask(front, "/livez").status == 200
    answer = ask(front, "/readyz")
    assert (answer.status, answer.body) == (503, b"no application is loaded\n")


# ── refused requests ──


def test_added_headers_are_on_the_server_s_own_answers(boot):
    added = ["X-Frame-Options: DENY", "Content-Type: text/html", "Content-Length: 7"]
    server = boot("dump", http=True, add_header=added, http_readyz=True, http_server_header="shop", limit_post=5)
    server.log.expect("refused a request with 400", "refused a request with 413")
    with Connection(server.http_address) as connection:
        connection.send(b"nonsense\r\n\r\n")
        refused = connection.answer()
    over = Response.parse(
        packet.exchange(server.address, packet.packet(packet.variables("/", "POST", b"123456")) + b"123456")
    )
    for answer, status in [(refused, 400), (ask(server.http_address, "/readyz"), 200), (over, 413)]:
        assert answer.status == status
        assert (answer.header("X-Frame-Options"), answer.header("Content-Type")) == ("DENY", "text/plain")
    assert refused.header("Server") == "shop"


# ── headers ──


@pytest.mark.parametrize("kept", [False, True])
def test_names_with_underscores(boot, kept):
    server = boot("environ", uwsgi=False, http=True, http_keep_underscores=kept)
    with Connection(server.http_address) as connection:
        connection.send(
            b"GET / HTTP/1.1\r\nHost: x\r\nX_Tenant: a\r\nX_Forwarded_For: 6.6.6.6\r\nContent_Length: 9\r\n"
            b"X_Forwarded_Proto: https\r\n\r\n"
        )
        facts = json.loads(connection.answer().body)
    assert facts.get("HTTP_X_TENANT") == ("a" if kept else None)
    # These are not what they look like, whatever the option says.
    assert "CONTENT_LENGTH" not in facts
    assert (facts["REMOTE_ADDR"], facts["wsgi.url_scheme"]) == ("127.0.0.1", "http")


UPGRADE = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec_WebSocket_Version": "13"}


def test_websocket_is_501(boot):
    server = boot("environ", uwsgi=False, http=True)
    answer = ask(server.http_address, **UPGRADE)
    assert (answer.status, answer.header("Connection")) == (501, "close")
    server.log.wait("refused a request with 501: WebSocket is not spoken here; see http-ignore-upgrade")


def test_websocket_may_be_the_application_s(boot):
    server = boot("environ", uwsgi=False, http=True, http_ignore_upgrade=True)
    assert json.loads(ask(server.http_address, **UPGRADE).body)["HTTP_UPGRADE"] == "websocket"


@pytest.mark.parametrize(
    "headers", [{"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"}, {"Upgrade": "websocket"}], ids=str
)
def test_any_other_upgrade_is_ignored(boot, headers):
    server = boot("environ", uwsgi=False, http=True)
    assert ask(server.http_address, **headers).status == 200


# ── bodies ──


@pytest.mark.parametrize(("option", "status"), [("10", 413), ("1k", 200), ("1", 200), (True, 200)])
def test_http_manage_expect(boot, option, status):
    server = boot("dump", uwsgi=False, http=True, http_manage_expect=option)
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", b"", Content_Length="11", Expect="100-continue"))
        if status == 200:
            assert connection.answer().status == 100
            connection.send(b"12345678901")
        assert connection.answer().status == status
    if status == 413:
        server.log.wait("413: a body of 11 bytes is more than http-manage-expect = 10 allows")
        # Who does not ask is under limit-post only, as in uWSGI.
        assert ask(server.http_address, "/", "POST", b"12345678901").status == 200


@pytest.mark.parametrize("framing", [{"Content_Length": "1000"}, {"Transfer_Encoding": "chunked"}], ids=str)
def test_a_body_that_trickles_is_408(boot, framing):
    server = boot("hello", uwsgi=False, http=True, http_timeout=1, http_min_rate=1000)
    with Connection(server.http_address) as slow:
        slow.send(request("/", "POST", b"", **framing))
        slow.send(b"3e8\r\n" if "Transfer_Encoding" in framing else b"")
        began = time.monotonic()
        while not select([slow.socket], [], [], 0.2)[0]:
            assert time.monotonic() - began < PATIENCE
            slow.send(b"x")
        assert slow.answer().status == 408
        assert time.monotonic() - began > 1
    server.log.wait("408: its client sent less than http-min-rate = 1000 bytes a second of its body")


def test_a_slow_but_honest_body_is_served(boot):
    server = boot("dump", uwsgi=False, http=True, http_timeout=1)
    with Connection(server.http_address) as slow:
        slow.send(request("/", "POST", b"", Content_Length="3072"))
        for _ in steady(24, 0.125):
            slow.send(b"x" * 128)
        assert len(json.loads(slow.answer().body)["body"]) == 3072


def trickle(slow: socket.socket) -> int:
    """Reads 80 KB a second at most, until the server has had enough; returns how much."""
    got = 0
    with suppress(ConnectionResetError):
        for _ in steady(1000, 0.05):
            piece = slow.recv(4096)
            if not piece:
                break
            got += len(piece)
    return got


@pytest.mark.parametrize(
    ("app", "line"),
    [
        ("bodies:large", "a client read less than http-min-rate = 300000 bytes a second; its answer was cut off"),
        ("bodies:endless", "the client read less than http-min-rate = 300000 bytes a second; its answer was cut off"),
    ],
    ids=["without a thread", "with a thread"],
)
def test_an_answer_that_trickles_is_cut_off(boot, app, line):
    options = {"http_timeout": 2, "http_min_rate": 300_000, "socket_sndbuf": "16k"}
    server = boot(app, uwsgi=False, http=True, **options)
    if app == "bodies:endless":
        server.log.expect("^closed$")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(server.http_address)
        slow.settimeout(PATIENCE)
        slow.sendall(request("/?1"))
        assert 50_000 < trickle(slow) < 1 << 20
    server.log.wait(line)
    until(lambda: server.workers()[0].gone == 1, "the client to be counted")


# ── sockets ──


def on_port(boot, app="options", **options):
    server = boot(app, "--http-socket=127.0.0.1:0", uwsgi=False, **options)
    host, port = server.log.find(r"127\.0\.0\.1:\d+").group().split(":")
    return server, (host, int(port))


def test_options_of_the_socket(boot):
    for options in [{}, {"so_keepalive": True, "tcp_fast_open": 17, "reuse_port": True, "tcp_nodelay": True}]:
        _server, address = on_port(boot, **options)
        with Connection(address) as connection:
            connection.send(request("/listeners") + request("/connections"))
            shown = json.loads(connection.answer().body)[0]
            # A connection has what its listener had.
            accepted = json.loads(connection.answer().body)
        assert (shown["keepalive"], shown["reuse_port"]) == (bool(options), bool(options))
        assert (shown["fast_open"], shown["defer_accept"]) == (17 if options else 0, 0)
        assert [(one["keepalive"], one["nodelay"]) for one in accepted] == [(bool(options), 1)]


def test_an_inherited_socket_sends_at_once_too(boot):
    server = boot("options", uwsgi=False, http=True, tcp_fast_open=5)
    shown = json.loads(ask(server.http_address, "/listeners").body)[0]
    assert (shown["nodelay"], shown["fast_open"]) == (1, 5)


def test_two_servers_on_one_port(boot):
    _first, address = on_port(boot, reuse_port=True)
    boot("options", "--http-socket={}:{}".format(*address), uwsgi=False, reuse_port=True)
    pids = set()
    until(lambda: pids.add(json.loads(ask(address).body)["pid"]) or len(pids) == 2, "both to get connections")
