"""docs/https.md: TLS that the workers speak themselves."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from select import select
from signal import Signals
from ssl import TLSVersion

import pytest
import trustme

from harness import packet
from harness.corpus import cases
from harness.http import Connection as Plain
from harness.http import request
from harness.tls import Authority, Connection
from harness.wait import until
from test_http import CUTS, check_valid, send
from test_http_fairness import hold

pytestmark = pytest.mark.core

VERSIONS = [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]
# Neither rises nor repeats itself with the size of a record.
MEGABYTES = bytes(range(251)) * (10 * (1 << 20) // 251)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def boot_https(boot, authority):
    def one(app: str, *arguments: str, more: str = "", **options):
        return boot(app, *arguments, uwsgi=False, https=authority.sign() + more, **options)

    return one


def ask(connection: Connection, *words: object, **headers: str) -> packet.Response:
    connection.send(request(*words, **headers))
    return connection.answer()


# ── sessions ──


@pytest.mark.parametrize("kind", list(trustme.KeyType), ids=lambda kind: kind.name)
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_versions_and_keys(boot, authority, version, kind):
    server = boot("environ", uwsgi=False, https=authority.sign(kind=kind))
    with Connection(server.https_address, authority.context(version)) as connection:
        assert connection.socket.version() == version.name.replace("_", ".")
        for _ in range(3):
            facts = json.loads(ask(connection).body)
            assert (facts["HTTPS"], facts["wsgi.url_scheme"]) == ("on", "https")
            assert not any(name.startswith("HTTPS_") for name in facts)
    server.log.wait("environ:application on https://")


def test_alpn(boot_https, authority):
    server = boot_https("hello")
    for offered, chosen in [(["h2", "http/1.1"], "http/1.1"), ([], None)]:
        context = authority.context()
        if offered:
            context.set_alpn_protocols(offered)
        with Connection(server.https_address, context) as connection:
            assert connection.socket.selected_alpn_protocol() == chosen
            assert ask(connection).body == b"hello"


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_sessions_are_resumed_by_every_worker(boot_https, authority, version):
    """Each has given out a ticket; each takes those of the other."""
    server = boot_https("slow:waits", processes=2, http_stream_body=True)
    server.log.expect("waiting /")
    context = authority.context(version)
    sessions: dict[str, ssl.SSLSession] = {}
    with ExitStack() as stack:

        def connect(**more: object) -> Connection:
            return stack.enter_context(Connection(server.https_address, context, **more))

        def who(connection: Connection) -> str:
            return ask(connection).text.strip()

        def release(connection: Connection) -> str:
            connection.send(b"x")
            return connection.answer().text.split()[1]

        # While one worker is held, the other one takes every new connection.
        first = connect()
        hold(server, first, "/first")
        second = connect()
        other = who(second)
        # Tickets come behind the handshake, before the first answer.
        sessions[other] = second.socket.session
        hold(server, second, "/second")
        one = release(first)
        sessions[one] = first.socket.session

        def check_all(worker: str) -> None:
            assert len(sessions) == 2
            for session in sessions.values():
                again = connect(session=session)
                assert again.socket.session_reused
                assert who(again) == worker

        check_all(one)
        hold(server, first, "/again")
        release(second)
        check_all(other)
        release(first)


def test_a_ciphers_name_is_obeyed(boot_https, authority):
    chosen = "ECDHE-ECDSA-AES128-GCM-SHA256"
    server = boot_https("hello", more=f",{chosen}:DHE-RSA-AES256-SHA")
    with Connection(server.https_address, authority.context(TLSVersion.TLSv1_2)) as connection:
        assert connection.socket.cipher()[0] == chosen
    context = authority.context(TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    with pytest.raises(ssl.SSLError):
        Connection(server.https_address, context)


@pytest.mark.parametrize("words", [[], ["--tlsv1.2", "--tls-max", "1.2"], ["--http1.0"]], ids=str)
def test_curl(boot_https, authority, words):
    server = boot_https("hello")
    url = f"https://localhost:{server.https_address[1]}/"
    command = ["curl", "-fsS", "--cacert", str(authority.file), "--max-time", "5", *words]
    done = subprocess.run([*command, url, url, "-d", "x=y"], capture_output=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"hellohello"), done.stderr


# ── requests ──


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_valid_requests(boot_https, authority, cut):
    """The corpus, each byte in a record of its own too."""
    server = boot_https("dump")
    context = authority.context()
    for case in cases("http/valid"):
        with Connection(server.https_address, context) as connection:
            send(connection, cut(case.data))
            check_valid(case, connection)


@pytest.mark.parametrize("threads", [1, 3])
def test_pipelining(boot_https, authority, threads):
    """Requests that came in one record are served though the socket has nothing more."""
    server = boot_https("environment:facts", threads=threads)
    with Connection(server.https_address, authority.context()) as connection:
        for _ in range(5):
            connection.send(b"".join(request(f"/{number}", "POST", b"x" * 2000 * number) for number in range(30)))
            paths = [json.loads(connection.answer().body)["path_info"] for _ in range(30)]
            assert paths == [f"/{number}" for number in range(30)]


def test_two_clients_that_pipeline(boot_https, authority):
    """Each has its next request in its buffer when the other has its turn."""
    server = boot_https("hello")
    with ExitStack() as stack:
        clients = [stack.enter_context(Connection(server.https_address, authority.context())) for _ in range(3)]
        for client in clients:
            client.send(request() * 100)
        for client in clients:
            assert [client.answer().body for _ in range(100)] == [b"hello"] * 100


@pytest.mark.parametrize("options", [{}, {"http_stream_body": True}, {"threads": 2}], ids=str)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_ten_megabytes_up(boot_https, authority, options, chunked):
    server = boot_https("inputs:digest", **options)
    expected = f"{len(MEGABYTES)} {sum(MEGABYTES) % 65521}"
    with Connection(server.https_address, authority.context()) as connection:
        for _ in range(2):
            if chunked:
                connection.send(request("/?100000", "POST", Transfer_Encoding="chunked"))
                for at in range(0, len(MEGABYTES), 1 << 20):
                    piece = MEGABYTES[at : at + (1 << 20)]
                    connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                connection.send(b"0\r\n\r\n")
                assert connection.answer().text == expected
            else:
                assert ask(connection, "/?100000", "POST", MEGABYTES).text == expected


@pytest.mark.parametrize("path", ["bodies:large", "bodies:megabytes"])
def test_megabytes_down(boot_https, authority, path):
    """`large` in one piece, `megabytes` from a generator."""
    server = boot_https(path)
    with Connection(server.https_address, authority.context()) as connection:
        for _ in range(3):
            assert len(ask(connection, "/?10").body) == 10 << 20


def test_files(boot_https, authority):
    server = boot_https("files")
    data = bytes(range(256)) * 400
    with Connection(server.https_address, authority.context()) as connection:
        assert ask(connection, "/file").body == data
        assert ask(connection, "/named").body == data[7:]
        assert ask(connection, "/bytesio").body == data
        assert ask(connection, "/empty").body == b""
    server.log.wait("^closed$")
    assert server.log.request("/file")["via"] == " "


def test_expect_100_continue(boot_https, authority):
    for options in ({}, {"http_stream_body": True}):
        server = boot_https("inputs:digest", **options)
        with Connection(server.https_address, authority.context()) as connection:
            connection.send(request("/", "POST", Expect="100-continue", Content_Length="3"))
            assert connection.answer().status == 100
            connection.send(b"abc")
            assert connection.answer().text == f"3 {sum(b'abc')}"


def test_answers_of_the_servers_own(boot_https, authority):
    server = boot_https("hello", http_livez=True)
    with Connection(server.https_address, authority.context()) as connection:
        for _ in range(3):
            assert ask(connection, "/livez").status == 200
            assert ask(connection).body == b"hello"


def test_the_end_is_announced(boot_https, authority):
    """`is_closed` would raise if a close_notify were missing."""
    server = boot_https("hello", http_keepalive=2)
    with Connection(server.https_address, authority.context()) as asked:
        assert ask(asked, Connection="close").header("Connection") == "close"
        assert asked.is_closed()
    with Connection(server.https_address, authority.context()) as idle:
        assert ask(idle).status == 200
        assert idle.is_closed()
    with Connection(server.https_address, authority.context()) as wrong:
        wrong.send(b"GET / HTTP/1.1\r\n\r\n")
        assert wrong.answer().status == 400
        assert wrong.is_closed()
    server.log.expect("refused a request with 400")


def test_an_answer_that_breaks_off_is_seen(boot_https, authority):
    """In HTTP/1.0 the end of the connection is the end of the answer: it must not look like one."""
    server = boot_https("bodies:closes")
    with Connection(server.https_address, authority.context()) as connection:
        connection.send(request("/raises-later", version="1.0"))
        with pytest.raises(ssl.SSLEOFError):
            connection.answer()
    with Connection(server.https_address, authority.context()) as connection:
        connection.send(request("/pieces", version="1.0"))
        assert connection.answer().body == b"one two"
    server.log.expect(
        "^closed$", "ValueError in worker 1 core 0: GET /raises-later; its answer had begun and was cut off"
    )


# ── slow clients ──


def test_slow_readers_hold_no_thread(boot_https, authority):
    server = boot_https("bodies:large")
    with ExitStack() as stack:
        slow = [stack.enter_context(Connection(server.https_address, authority.context())) for _ in range(5)]
        for connection in slow:
            connection.send(request("/?1"))
        other = stack.enter_context(Connection(server.https_address, authority.context()))
        for _ in range(5):
            assert ask(other, "/?0").status == 200
        for connection in slow:
            assert len(connection.answer().body) == 1 << 20
            assert len(ask(connection, "/?1").body) == 1 << 20


def hello(context: ssl.SSLContext) -> bytes:
    """The first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def test_handshakes_that_stall_cost_no_thread_and_end(boot_https, authority):
    server = boot_https("hello", http_headers_timeout=5)
    context = authority.context()
    with ExitStack() as stack:
        stalled = [stack.enter_context(packet.connect(server.https_address)) for _ in range(200)]
        first = hello(context)
        for number, client in enumerate(stalled):
            client.sendall(first[: number * len(first) // 200])
        for _ in range(20):
            with Connection(server.https_address, context) as quick:
                assert ask(quick).body == b"hello"
        assert select(stalled, [], [], 0)[0] == [], "their time is not up yet"
        for client in stalled:
            assert client.recv(100) == b""


def test_a_client_hello_byte_by_byte(boot_https, authority):
    """The client's side of a session, each byte of which is a packet of its own."""
    server = boot_https("hello")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = authority.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with packet.connect(server.https_address) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def pump() -> None:
            for byte in outgoing.read():
                client.send(bytes([byte]))

        def step(call, *arguments):
            while True:
                try:
                    return call(*arguments)
                except ssl.SSLWantReadError:
                    pump()
                    incoming.write(client.recv(65536))

        step(session.do_handshake)
        session.write(request())
        pump()
        assert step(session.read, 65536).endswith(b"\r\n\r\nhello")


# ── names and certificates ──


def is_refused(server, context: ssl.SSLContext, name: str = "localhost") -> bool:
    """In version 1.3 a client learns it only when it reads."""
    try:
        with Connection(server.https_address, context, name) as connection:
            ask(connection)
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def owner(connection: Connection) -> str:
    return dict(pair for part in connection.certificate()["subject"] for pair in part)["commonName"]


def test_names(boot, authority):
    options = {
        "sni": [f"one.example {authority.sign('one.example')}"],
        "sni_regexp": [f"^.*\\.two\\.example$ {authority.sign('a.two.example')}"],
        "sni_dir": authority.directory,
    }
    authority.sign("three.example")
    server = boot("hello", uwsgi=False, https=authority.sign(), **options)
    for name in ("localhost", "one.example", "ONE.example", "a.two.example", "three.example"):
        with Connection(server.https_address, authority.context(), name) as connection:
            assert owner(connection) == name.lower()
            assert ask(connection).body == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'four"):
        Connection(server.https_address, authority.context(), "four.example")


def test_a_name_may_ask_for_certificates_of_clients(boot, authority):
    safe = authority.sign("safe.example")
    server = boot("environ", uwsgi=False, https=authority.sign(), sni=f"safe.example {safe},HIGH,!{authority.file}")
    with Connection(server.https_address, authority.context()) as connection:
        assert ask(connection).status == 200
    assert is_refused(server, authority.context(), "safe.example")
    own = authority.context(own=authority.sign("client.example"))
    with Connection(server.https_address, own, "safe.example") as connection:
        assert json.loads(ask(connection).body)["HTTPS_DN"].endswith("/CN=client.example")


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_certificates_of_clients(boot_https, authority, tmp_path, version, required):
    mark = "!" if required else ""
    server = boot_https("environ", more=f",,{mark}{authority.file}", https_export_cert=True, ssl_verbose=True)
    own = authority.sign("client.example")
    with Connection(server.https_address, authority.context(version, own)) as connection:
        for _ in range(2):
            facts = json.loads(ask(connection).body)
            assert re.fullmatch(r"/O=\\xC3\\x96rg & Co/OU=Testing cert #\S+/CN=client\.example", facts["HTTPS_DN"])
            der = facts["HTTPS_CLIENT_CERTIFICATE"].encode("latin-1")
            pem = Path(own.split(",")[0]).read_text()
            assert ssl.DER_cert_to_PEM_cert(der) == facts["HTTPS_CC"]
            assert facts["HTTPS_CC"] in pem
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").sign("stranger.example")
    assert is_refused(server, authority.context(version, stranger))
    server.log.wait(r"the TLS session of 127\.0\.0\.1:\d+ failed: invalid peer certificate: UnknownIssuer")
    if required:
        assert is_refused(server, authority.context(version))
        server.log.wait("failed: peer sent no certificates")
    else:
        with Connection(server.https_address, authority.context(version)) as connection:
            assert "HTTPS_DN" not in json.loads(ask(connection).body)


# ── reload and stop ──


class Clients:
    """Threads that connect anew for every third request, until they are stopped."""

    def __init__(self, address: packet.Address, context: ssl.SSLContext, count: int) -> None:
        self.failures: list[str] = []
        self.done = 0
        self._address, self._context, self._over = address, context, threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with Connection(self._address, self._context) as connection:
                    self._use(connection)
            except Exception as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    def _use(self, connection: Connection) -> None:
        for number in range(3):
            try:
                answer = ask(connection, Connection="close" if number == 2 else "keep-alive")
            except (OSError, AssertionError):
                # A kept connection may be closed while its next request is on its way; a new one never.
                if number == 0:
                    raise
                return
            assert answer.body == b"hello", answer
            self.done += 1
            if answer.header("Connection") == "close":
                return

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True, "processes": 2}, {"threads": 2}], ids=str)
def test_a_reload_brings_new_certificates(boot_https, authority, options):
    server = boot_https("hello", **options)

    def serial() -> object:
        with Connection(server.https_address, authority.context()) as connection:
            return connection.certificate()["serialNumber"]

    with Clients(server.https_address, authority.context(), 4) as clients:
        seen = {serial()}
        for number in range(3):
            until(lambda wanted=clients.done + 30: clients.done > wanted, "requests to be served")
            authority.sign()
            server.reload()
            seen.add(serial())
            assert len(seen) == number + 2
    assert clients.failures == []


def test_a_certificate_that_cannot_be_used_leaves_the_old_one(boot_https, authority):
    server = boot_https("hello")
    (authority.directory / "localhost.key").write_text("nonsense")
    server.signal(Signals.SIGHUP)
    server.log.wait(
        r'SIGHUP: the configuration is not valid: command line: option "https": .* holds no private key; '
        r"name the PEM file with the key; generation 1 serves on"
    )
    with Connection(server.https_address, authority.context()) as connection:
        assert ask(connection).body == b"hello"


def test_a_session_that_has_just_begun_is_served_before_the_end(boot_https, authority):
    server = boot_https("hello")
    with Connection(server.https_address, authority.context()) as young:
        server.signal(Signals.SIGTERM)
        server.log.wait("SIGTERM: stopping")
        answer = ask(young)
        assert (answer.body, answer.header("Connection")) == (b"hello", "close")
        assert young.is_closed()
    assert server.wait_exit() == 0


def test_a_kept_connection_does_not_hold_up_the_stop(boot_https, authority):
    server = boot_https("hello", processes=2, threads=2)
    with Connection(server.https_address, authority.context()) as idle:
        assert ask(idle).status == 200
        server.signal(Signals.SIGTERM)
        assert server.wait_exit(2) == 0
        assert idle.is_closed()


# ── what is no TLS ──


def test_plain_http_is_told(boot_https, authority):
    server = boot_https("hello")
    for _ in range(3):
        with Plain(server.https_address) as plain:
            plain.send(request())
            answer = plain.answer()
            assert (answer.status, answer.header("Connection")) == (400, "close")
            assert answer.text == "This port speaks HTTPS: the address begins with https://.\n"
            assert plain.is_closed()
    server.log.wait(r"refused a request of 127\.0\.0\.1:\d+ with 400: plain HTTP came to .*, which speaks HTTPS")
    assert sum("plain HTTP came" in line for line in server.log.lines) == 1
    assert server.workers()[0].refused == 3


def test_tls_on_a_plain_socket_is_told(boot, authority):
    server = boot("hello", uwsgi=False, http=True)
    with pytest.raises(ssl.SSLError):
        Connection(server.http_address, authority.context())
    server.log.wait("refused a request with 400: a TLS client came to a socket that speaks plain HTTP")


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x00\x05hello", b"\x16" * 70_000, b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\0", b"\x80\x2e\1\3\1"],
    ids=lambda sent: repr(sent[:6]),
)
def test_nonsense_is_no_harm(boot_https, authority, sent):
    server = boot_https("hello")
    with Plain(server.https_address) as wrong:
        with suppress(OSError):
            wrong.send(sent)
            wrong.socket.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while wrong.socket.recv(65536):
                pass
    with Connection(server.https_address, authority.context()) as connection:
        assert ask(connection).body == b"hello"
    server.log.accept_anything()
    assert "panicked" not in server.log.text


def test_the_proxy_protocol_comes_before_tls(boot_https, authority):
    server = boot_https("environ", http_enable_proxy_protocol=True)
    plain = packet.connect(server.https_address)
    plain.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n")
    connection = Connection.__new__(Connection)
    connection._held = b""
    with authority.context().wrap_socket(plain, server_hostname="localhost") as connection.socket:
        facts = json.loads(ask(connection).body)
        assert (facts["REMOTE_ADDR"], facts["HTTPS"]) == ("192.0.2.7", "on")


# ── what the server answers by itself ──


def test_the_server_s_own_answers_are_encrypted_too(boot_https, authority):
    server = boot_https("hello", to_https=8443, http_livez=True)
    server.log.expect("refused a request with 501: CONNECT")
    with Plain(server.redirecting_address) as plain:
        plain.send(request("/page", Host="localhost"))
        assert plain.answer().header("Location") == "https://localhost:8443/page"
    with Connection(server.https_address, authority.context()) as connection:
        assert ask(connection, "/livez").body == b"ok\n"
        assert ask(connection).body == b"hello"
        assert ask(connection, "localhost:1", "CONNECT").status == 501
