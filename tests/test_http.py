"""HTTP straight from the client: the corpus on the live server, keep-alive, bodies, slow clients, the end."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from contextlib import suppress
from signal import Signals

import pytest

from harness import packet
from harness.corpus import Case, cases
from harness.http import Connection, request
from harness.packet import Response
from harness.wait import until

pytestmark = pytest.mark.core


def boot_http(boot, app: str | None, **options):
    return boot(app, uwsgi=False, http=True, **options)


# ── the corpus ──


def check_valid(case: Case, connection: Connection) -> None:
    for at in range(len(case.expected)):
        method = case.one("method", at)
        answer = connection.answer(head=method == "HEAD")
        while answer.status == 100:
            answer = connection.answer(head=method == "HEAD")
        assert answer.status == 200, f"{case.name} #{at}: {answer}"
        if method != "HEAD":
            check_environ(case, at, answer)
    if case.one("keep-alive", len(case.expected) - 1) == "no":
        assert connection.is_closed(), case.name


def check_environ(case: Case, at: int, answer: Response) -> None:
    shown = json.loads(answer.body)
    assert shown["body"] == (case.one("body", at) or ""), f"{case.name} #{at}"
    for line in case.all("cgi", at):
        name, _, value = line.partition("=")
        assert shown["environ"].get(name) == value, f"{case.name} #{at}: {name}"
    # A chunked body is here as a whole when the application is called: then it has a length and no coding.
    chunked = case.one("framing", at) == "chunked"
    if chunked:
        assert shown["environ"]["CONTENT_LENGTH"] == str(len(case.one("body", at) or "")), f"{case.name} #{at}"
        assert "HTTP_TRANSFER_ENCODING" not in shown["environ"]
    for name in case.all("no-cgi", at):
        if chunked and name == "CONTENT_LENGTH":
            continue
        assert name not in shown["environ"], f"{case.name} #{at}: {name}"


CUTS = {
    "whole": lambda data: [data],
    "by lines": lambda data: data.splitlines(keepends=True),
    "by bytes": lambda data: [bytes([byte]) for byte in data],
}


def send(connection: Connection, pieces: list[bytes]) -> None:
    """A server that refuses need not read all."""
    with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        for piece in pieces:
            connection.send(piece)


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_valid_requests(boot, cut):
    server = boot_http(boot, "dump")
    for case in cases("http/valid"):
        with Connection(server.http_address) as connection:
            send(connection, cut(case.data))
            check_valid(case, connection)


@pytest.mark.parametrize("streams", [False, True], ids=["read ahead", "streamed"])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_invalid_requests(boot, cut, streams):
    server = boot_http(boot, "dump", http_stream_body=str(streams).lower())
    # Each has its line in the log; which, is said by the cases.
    server.log.accept_anything()
    for case in cases("http/invalid"):
        with Connection(server.http_address) as connection:
            send(connection, cut(case.data))
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_WR)
            check_invalid(case, connection)
    assert "panicked" not in server.log.text
    with Connection(server.http_address) as connection:
        connection.send(request())
        assert connection.answer().status == 200


def check_invalid(case: Case, connection: Connection) -> None:
    for _ in range(int(case.one("served") or 0)):
        assert connection.answer().status == 200, case.name
    if case.one("status") == "incomplete":
        # The end of the connection, perhaps after a word; the application never saw a whole request.
        with suppress(AssertionError):
            assert connection.answer().status in (400, 408, 500), case.name
    else:
        answer = connection.answer(head=case.data.startswith(b"HEAD"))
        while answer.status == 100:
            answer = connection.answer()
        assert answer.status == int(case.one("status")), f"{case.name}: {answer}"
        assert answer.header("Connection") == "close", case.name
    assert connection.is_closed(), case.name


# ── connections ──


def test_curl(boot):
    server = boot_http(boot, "hello")
    url = "http://{}:{}/".format(*server.http_address)
    for words in (["-fsS"], ["-fsS", "--http1.0"], ["-fsSd", "field=value"], ["-fsST", __file__]):
        done = subprocess.run(["curl", *words, "--max-time", "5", url], capture_output=True, timeout=20)
        assert (done.returncode, done.stdout) == (0, b"hello"), done.stderr


def test_keep_alive(boot):
    server = boot_http(boot, "environment:facts")
    with Connection(server.http_address) as connection:
        for number in range(20):
            connection.send(request(f"/{number}"))
            assert json.loads(connection.answer().body)["path_info"] == f"/{number}"


def test_pipelining(boot):
    server = boot_http(boot, "environment:facts")
    with Connection(server.http_address) as connection:
        connection.send(b"".join(request(f"/{number}", "POST", b"x" * number) for number in range(10)))
        paths = [json.loads(connection.answer().body)["path_info"] for _ in range(10)]
    assert paths == [f"/{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("sent", "stays"),
    [
        (request(), True),
        (request(Connection="close"), False),
        (request(version="1.0"), False),
        (request(version="1.0", Connection="keep-alive"), True),
    ],
    ids=["1.1", "1.1 close", "1.0", "1.0 keep-alive"],
)
def test_who_keeps_the_connection(boot, sent, stays):
    server = boot_http(boot, "hello")
    with Connection(server.http_address) as connection:
        connection.send(sent)
        answer = connection.answer()
        assert answer.body == b"hello"
        if stays:
            connection.send(sent)
            assert connection.answer().body == b"hello"
        else:
            assert connection.is_closed()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_idle_connection_holds_no_thread(boot, threads):
    """Slow clients belong to the table of connections, not to a thread."""
    server = boot_http(boot, "hello", threads=threads)
    lazy = [Connection(server.http_address) for _ in range(20)]
    for number, connection in enumerate(lazy):
        connection.send(request()[:number])
    with Connection(server.http_address) as quick:
        for _ in range(5):
            quick.send(request())
            assert quick.answer().body == b"hello"
    for number, connection in enumerate(lazy):
        connection.send(request()[number:])
        assert connection.answer().body == b"hello"
        connection.close()


@pytest.mark.parametrize("options", [{}, {"processes": 2, "threads": 2}], ids=str)
def test_a_kept_connection_does_not_hold_up_the_stop(boot, options):
    server = boot_http(boot, "hello", **options)
    with Connection(server.http_address) as idle:
        idle.send(request())
        assert idle.answer().status == 200
        server.signal(Signals.SIGTERM)
        assert server.wait_exit(2) == 0
        assert idle.is_closed()


def test_a_connection_on_which_nothing_was_sent_does_not_hold_up_the_stop(boot):
    """Browsers open such in advance."""
    server = boot_http(boot, "hello")
    with Connection(server.http_address) as fresh, Connection(server.http_address) as other:
        other.send(request(Connection="close"))
        # The fresh one was accepted before it.
        assert other.answer().status == 200
        server.signal(Signals.SIGTERM)
        assert server.wait_exit(5) == 0
        assert fresh.is_closed()


def test_a_kept_connection_survives_a_reload(boot):
    server = boot_http(boot, "hello")
    with Connection(server.http_address) as kept:
        for _ in range(2):
            kept.send(request())
            assert kept.answer().status == 200
            server.reload()
        kept.send(request())
        assert kept.answer().status == 200


# ── answers ──


def ask(server, path: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> Response:
    with Connection(server.http_address) as connection:
        connection.send(request(path, method, body, **headers))
        return connection.answer(head=method == "HEAD")


def test_the_head_of_an_answer(boot):
    answer = ask(boot_http(boot, "hello"))
    assert answer.status_line == "HTTP/1.1 200 OK"
    assert answer.header("Content-Type") == "text/plain"
    assert answer.header("Content-Length") == "5"
    assert answer.header("Date").endswith(" GMT")


def test_a_body_of_unknown_length_is_chunked(boot):
    server = boot_http(boot, "bodies:generator")
    answer = ask(server)
    assert (answer.header("Transfer-Encoding"), answer.header("Content-Length")) == ("chunked", None)
    assert answer.body == b"one two"
    with Connection(server.http_address) as connection:
        connection.send(request(version="1.0"))
        answer = connection.answer()
    assert (answer.header("Transfer-Encoding"), answer.body) == (None, b"one two")
    server.log.wait("^finally$", count=2)


def test_head(boot):
    server = boot_http(boot, "hello")
    with Connection(server.http_address) as connection:
        for _ in range(3):
            connection.send(request(method="HEAD"))
            assert connection.answer(head=True).status == 200
        connection.send(request())
        assert connection.answer().body == b"hello"


def test_a_short_answer_closes_the_connection(boot):
    """The client must notice that bytes are missing."""
    server = boot_http(boot, "bodies:length")
    with Connection(server.http_address) as connection:
        connection.send(request("/?9,4,2"))
        with pytest.raises(AssertionError, match="4 of 9 bytes came"):
            connection.answer()


def test_a_long_answer_does_not_run_into_the_next(boot):
    server = boot_http(boot, "bodies:length")
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request("/?3,9,3"))
            assert connection.answer().body == b"xxx"


def test_an_exception_after_the_head_is_seen_by_the_client(boot):
    """Not as a complete answer: the last chunk is missing."""
    server = boot_http(boot, "bodies:closes")
    server.log.expect("ValueError in worker 1 core 0: GET /raises-later; its answer had begun", "^closed$")
    with Connection(server.http_address) as connection:
        connection.send(request("/raises-later"))
        with pytest.raises(AssertionError, match="ended within the chunks"):
            connection.answer()


def test_a_500_keeps_or_closes_but_is_whole(boot):
    server = boot_http(boot, "bodies:raises")
    server.log.expect("ValueError in worker 1 core 0: GET /; answered 500")
    assert ask(server).body == b"Internal Server Error\n"


def test_a_file(boot):
    server = boot_http(boot, "files")
    answer = ask(server, "/file")
    assert answer.body == bytes(range(256)) * 400
    assert answer.header("Content-Length") == "102400"
    assert server.log.request("GET /file")["via"] == " via sendfile() "


# ── bodies ──


@pytest.mark.parametrize("buffering", [0, 1, 100_000])
def test_bodies(boot, buffering):
    server = boot_http(boot, "inputs:digest", post_buffering=buffering)
    body = bytes(range(256)) * 2000
    expected = f"{len(body)} {sum(body) % 65521}"
    with Connection(server.http_address) as connection:
        for _ in range(2):
            connection.send(request("/?1000", "POST", body))
            assert connection.answer().text == expected
            chunks = b"".join(b"%x\r\n%s\r\n" % (1000, body[at : at + 1000]) for at in range(0, len(body), 1000))
            connection.send(request("/?777", "POST", Transfer_Encoding="chunked") + chunks + b"0\r\n\r\n")
            assert connection.answer().text == expected


def test_expect_100_continue(boot):
    server = boot_http(boot, "inputs:digest")
    with Connection(server.http_address) as connection:
        connection.send(request("/?", "POST", Content_Length="3", Expect="100-continue"))
        assert connection.answer().status_line == "HTTP/1.1 100 Continue"
        connection.send(b"abc")
        assert connection.answer().text == f"3 {sum(b'abc')}"


def test_an_application_that_does_not_read_invites_nobody(boot):
    server = boot_http(boot, "inputs:unread", http_stream_body=True)
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", Content_Length="3", Expect="100-continue"))
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, b"unread")
        assert connection.is_closed()


def test_an_unread_body_is_not_the_next_request(boot):
    server = boot_http(boot, "inputs:unread")
    with Connection(server.http_address) as connection:
        connection.send(request("/", "POST", request("/smuggled")) + request("/next"))
        assert connection.answer().body == b"unread"
        with suppress(AssertionError):
            assert connection.answer().body == b"unread"
    server.workers()
    assert "smuggled" not in server.log.text


def test_a_body_over_limit_post_is_413(boot):
    server = boot_http(boot, "dump", limit_post=10)
    assert ask(server, "/", "POST", b"x" * 11).status == 413
    server.log.wait("413.*limit-post = 10")
    assert ask(server, "/", "POST", b"x" * 10).status == 200


def test_a_head_over_buffer_size_is_431(boot):
    server = boot_http(boot, "dump", buffer_size=1000)
    assert ask(server, Cookie="x" * 1000).status == 431
    server.log.wait("431.*buffer-size")


# ── places ──


def test_a_unix_socket(boot, tmp_path):
    boot("hello", uwsgi=False, http_socket=tmp_path / "s")
    with Connection(str(tmp_path / "s")) as connection:
        connection.send(request())
        assert connection.answer().body == b"hello"


def test_http_and_uwsgi_together(boot):
    server = boot("hello", http=True, threads=2)
    for _ in range(3):
        assert server.request().body == b"hello"
        assert ask(server).body == b"hello"


@pytest.mark.parametrize("option", ["http", "http_socket"])
def test_both_names(boot, option):
    server = boot("hello", uwsgi=False, **{option: "127.0.0.1:0"})
    port = int(server.log.wait(r"on http://127\.0\.0\.1:(\d+) ")[1])
    with Connection(("127.0.0.1", port)) as connection:
        connection.send(request())
        assert connection.answer().body == b"hello"


def test_a_client_that_does_not_read(boot):
    """A client that does not read is dropped after http-timeout, others are served meanwhile."""
    server = boot_http(boot, "bodies:large", threads=2, http_timeout=1)
    server.log.expect("the client read nothing for 1 s; its answer was cut off")
    with Connection(server.http_address) as lazy:
        lazy.send(request("/?64"))
        assert len(ask(server, "/?1").body) == 1 << 20
        until(lambda: any(line["status"] == "499" for line in server.log.requests()), "the lazy client to be dropped")


def test_environ(boot):
    server = boot_http(boot, "environ")
    environ = json.loads(ask(server, "/a%20b/%C3%BC?q=%20", X_Header="value", Content_Type="text/x").body)
    expected = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a%20b/%C3%BC?q=%20",
        "PATH_INFO": "/a b/\xc3\xbc",
        "QUERY_STRING": "q=%20",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_PORT": str(server.http_address[1]),
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "example.test",
        "HTTP_X_HEADER": "value",
        "CONTENT_TYPE": "text/x",
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
    }
    assert {name: environ.get(name) for name in expected} == expected
    assert server.log.request("GET")["addr"] == "127.0.0.1"


def test_the_validator_is_content(boot):
    for app in ("listed", "generated", "written"):
        assert ask(boot_http(boot, f"valid:{app}"), "/a/b?c").body == b"one two"
    assert ask(boot_http(boot, "valid:echoed"), "/", "POST", b"first\nsecond").body == b"secondfirst\n"


def test_harakiri(boot):
    server = boot_http(boot, "late", harakiri=1)
    assert ask(server, "/late?sleep=60").status == 504
    server.log.wait("HARAKIRI ON WORKER 1 .*GET /late")
    server.log.wait("was killed by harakiri; replacing it")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")


def test_packets_are_no_http(boot):
    server = boot_http(boot, "hello")
    server.log.accept_anything()
    answer = packet.exchange(server.http_address, packet.packet(packet.variables()))
    assert Response.parse(answer).status == 400
