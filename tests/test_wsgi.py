"""PEP 3333: what the application is given, what it may answer, and what becomes of it when it does wrong."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from harness import packet
from harness.packet import Response

sys.path.insert(0, str(Path(__file__).parent / "apps"))
import files as files_app
import starts as starts_app


def answered_500(kind: str, path: str = "/") -> str:
    return rf"^.{{24}} - {kind} in worker 1 core 0: GET {re.escape(path)}; answered 500$"


def cut_off(kind: str, path: str = "/") -> str:
    return rf"^.{{24}} - {kind} in worker 1 core 0: GET {re.escape(path)}; its answer had begun and was cut off$"


def assert_plain_500(response: Response) -> None:
    assert response.status_line == "HTTP/1.1 500 Internal Server Error"
    assert response.body == b"Internal Server Error\n"
    assert response.header("Content-Type") == "text/plain"
    assert response.header("Content-Length") == str(len(response.body))


# ── the validator ──


@pytest.mark.parametrize(
    ("app", "body"),
    [
        ("listed", b"one two"),
        ("generated", b"one two"),
        ("written", b"one two"),
        ("wrapped", (Path(__file__).parent / "apps/valid.py").read_bytes()),
        ("failed", b"mended"),
    ],
)
def test_the_validator_is_content(boot, app, body):
    server = boot(f"valid:{app}")
    for _ in range(2):
        assert server.request("/a/b?c=d").body == body


def test_the_validator_is_content_with_a_body(boot):
    server = boot("valid:echoed")
    assert server.request("/", "POST", b"first\nsecond").body == b"secondfirst\n"
    assert server.request("/", "POST", b"").body == b""


def test_the_validator_is_content_with_wsgi_errors(boot):
    server = boot("valid:complained")
    assert server.request().body == b"said"
    server.log.wait("^a complaint$")
    server.log.wait("^another$")


def test_the_validator_is_content_without_a_body(boot):
    response = boot("valid:empty").request()
    assert (response.status, response.body) == (204, b"")


# ── environ ──


def environ_of(server, path: str = "/", **more: str) -> dict[str, object]:
    return json.loads(server.request(path, **more).body)


def test_environ(boot):
    environ = environ_of(boot("environ"), "/a%20b?c=d", SCRIPT_NAME="", HTTPS="")
    expected = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/a%20b",
        "QUERY_STRING": "c=d",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.test",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.version": "tuple:(1, 0)",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "uwsgi.node": f"bytes:{socket.gethostname().encode()!r}",
        "uwsgi.version": "bytes:b'2.0.31'",
        "type of environ": "dict",
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert "uwsgi.core" not in environ


@pytest.mark.parametrize(
    ("options", "multithread", "multiprocess"),
    [({}, False, False), ({"processes": 2}, False, True), ({"threads": 2}, True, False)],
)
def test_environ_tells_the_truth_about_processes_and_threads(boot, options, multithread, multiprocess):
    environ = environ_of(boot("environ", **options))
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == (multithread, multiprocess)
    assert (environ.get("uwsgi.core") in (0, 1)) is multithread


@pytest.mark.parametrize(
    ("variables", "scheme"),
    [
        ({}, "http"),
        ({"HTTPS": "on"}, "https"),
        ({"HTTPS": "1"}, "https"),
        ({"HTTPS": "off"}, "http"),
        ({"UWSGI_SCHEME": "https"}, "https"),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, "https"),
        ({"HTTP_X_FORWARDED_SSL": "on"}, "https"),
    ],
)
def test_the_scheme(boot, variables, scheme):
    server = boot("environ")
    environ_of(server, HTTPS="on" if scheme == "http" else "")
    assert environ_of(server, **variables)["wsgi.url_scheme"] == scheme


def test_environ_is_latin_1(boot):
    server = boot("environ:key")
    everything = bytes(range(256)).decode("latin-1")
    assert server.request("/?HTTP_X_ALL", HTTP_X_ALL=everything).body == bytes(range(256))
    assert server.request("/?HTTP_X_UTF", HTTP_X_UTF="snow ☃".encode().decode("latin-1")).body == "snow ☃".encode()


def test_the_last_of_a_repeated_variable_counts(boot):
    server = boot("environ:key")
    pairs = [*packet.variables("/?X").items(), ("X", "first"), ("X", "second")]
    for _ in range(2):
        assert Response.parse(packet.exchange(server.address, packet.packet(pairs))).body == b"second"


def test_every_request_has_an_environ_of_its_own(boot):
    server = boot("environ:keeps")
    answers = [server.request(path).text for path in ("/1", "/2", "/3")]
    assert answers == ["/1", "/1 /2", "/1 /2 /3"]


def test_what_an_application_changes_does_not_reach_the_next_request(boot):
    server = boot("environ:changes")
    assert [server.request(path).text for path in ("/1", "/1", "/2")] == ["/1", "/1", "/2"]


def test_variables_of_the_request_before_are_gone(boot):
    server = boot("environ")
    assert "HTTP_X_ONCE" in environ_of(server, HTTP_X_ONCE="1")
    assert "HTTP_X_ONCE" not in environ_of(server)


# ── start_response ──


@pytest.mark.parametrize("app", ["never", "never_generator", "never_empty"])
def test_without_start_response_it_is_500(boot, app):
    server = boot(f"starts:{app}")
    server.log.expect(answered_500("AssertionError"), "the application did not call start_response")
    assert_plain_500(server.request())


def test_start_response_may_come_with_the_first_piece(boot):
    response = boot("starts:late").request()
    assert (response.status_line, response.body) == ("HTTP/1.1 201 Late", b"late")


def test_a_body_before_start_response_is_500(boot):
    server = boot("starts:too_late")
    server.log.expect(answered_500("AssertionError"))
    assert_plain_500(server.request())


def test_a_second_start_response_is_an_error(boot):
    server = boot("starts:twice")
    server.log.expect(answered_500("AssertionError"), "a second time without exc_info")
    assert_plain_500(server.request())


def test_a_refused_second_start_response_changes_nothing(boot):
    response = boot("starts:twice_caught").request()
    assert (response.status_line, response.body) == ("HTTP/1.1 200 OK", b"the first")


def test_exc_info_replaces_a_head_that_has_not_gone(boot):
    response = boot("starts:replaced").request()
    assert (response.status_line, response.body) == ("HTTP/1.1 502 Replaced", b"replaced")
    assert (response.header("X-First"), response.header("X-Second")) == (None, "2")


def test_exc_info_raises_when_the_head_has_gone(boot):
    server = boot("starts:replaced_too_late")
    server.log.expect(cut_off("KeyError"), "came too late")
    response = server.request()
    assert (response.status, response.body) == (200, b"begun")


def test_exc_info_may_be_none(boot):
    assert boot("starts:none_as_exc_info").request().body == b"none"


def test_write(boot):
    assert boot("starts:writes").request().body == b"one two three"


def test_write_takes_bytes(boot):
    server = boot("starts:writes_text")
    server.log.expect(answered_500("TypeError"))
    assert_plain_500(server.request())


def test_whatever_start_response_refuses_is_never_sent(boot):
    """Wrong types, and whatever would let an application split its answer."""
    server = boot("starts:bad")
    for path in starts_app.BAD:
        server.log.expect(answered_500(r"\w+Error", path))
        response = server.request(path)
        assert_plain_500(response)
        assert b"Injected" not in response.raw, path
        assert b"never sent" not in response.raw, path
    assert server.workers()[0].exceptions == len(starts_app.BAD)


def test_start_response_takes_two_arguments(boot):
    server = boot("starts:missing_headers")
    server.log.expect(answered_500("TypeError"))
    assert_plain_500(server.request())


def test_repeated_headers(boot):
    response = boot("starts:repeated").request()
    assert response.all("Set-Cookie") == ["a=1", "b=2", "c=3"]


def test_headers_are_latin_1(boot):
    response = boot("starts:latin1").request()
    assert response.status_line == "HTTP/1.1 200 Grüße"
    assert response.header("X-Latin") == "".join(map(chr, range(0xA0, 0x100)))


def test_a_kept_start_response_does_not_reach_another_request(boot):
    server = boot("starts:keeps")
    assert [server.request().status_line for _ in range(3)] == ["HTTP/1.1 200 OK"] * 3
    server.log.wait("^refused: ValueError$", count=3)


# ── what is returned ──


@pytest.mark.parametrize("path", ["/list", "/tuple", "/iterator", "/bytes", "/dict"])
def test_bodies(boot, path):
    response = boot("bodies:objects").request(path)
    assert (response.status, response.body) == (200, b"ab")


@pytest.mark.parametrize("path", ["/empty-list", "/empty-bytes", "/empties"])
def test_empty_bodies(boot, path):
    response = boot("bodies:objects").request(path)
    assert (response.status, response.body, response.header("Content-Type")) == (200, b"", "text/plain")


@pytest.mark.parametrize("path", ["/text", "/text-in-list", "/none", "/number"])
def test_what_is_not_bytes_is_500(boot, path):
    server = boot("bodies:objects")
    server.log.expect(answered_500("TypeError", path))
    assert_plain_500(server.request(path))


def test_an_exception_before_start_response_is_500(boot):
    server = boot("bodies:raises")
    assert_plain_500(server.request())
    server.log.wait(answered_500("ValueError"))
    server.log.wait(r'^    File ".*bodies.py", line \d+, in raises$')
    server.log.wait("^  ValueError: before start_response$")
    assert server.log.request()["status"] == "500"
    assert server.workers()[0].exceptions == 1


def test_an_exception_after_start_response_is_500(boot):
    server = boot("bodies:raises_after")
    server.log.expect(answered_500("ValueError"))
    response = server.request()
    assert_plain_500(response)
    assert response.header("X-Lost") is None


@pytest.mark.parametrize(("path", "body"), [("/pieces", b"one two"), ("/single", b"single"), ("/nothing", b"")])
def test_close_is_called_once(boot, path, body):
    server = boot("bodies:closes")
    assert server.request(path).body == body
    server.log.wait("^closed$")
    assert server.log.lines.count("closed") == 1


@pytest.mark.parametrize("path", ["/raises-first", "/text", "/number"])
def test_close_is_called_once_when_the_answer_is_500(boot, path):
    server = boot("bodies:closes")
    server.log.expect(answered_500(r"\w+Error", path))
    assert_plain_500(server.request(path))
    server.log.wait("^closed$")
    assert server.log.lines.count("closed") == 1


@pytest.mark.parametrize("path", ["/raises-later", "/text-later"])
def test_close_is_called_once_when_the_answer_is_cut_off(boot, path):
    server = boot("bodies:closes")
    server.log.expect(cut_off(r"\w+Error", path))
    response = server.request(path)
    assert (response.status, response.body) == (200, b"begun ")
    server.log.wait("^closed$")
    assert server.log.lines.count("closed") == 1


def test_close_is_called_once_for_head(boot):
    server = boot("bodies:closes")
    response = server.request("/pieces", "HEAD")
    assert (response.status, response.body) == (200, b"")
    server.log.wait("^closed$")
    assert server.log.lines.count("closed") == 1


def test_a_close_that_raises_is_logged(boot):
    server = boot("bodies:closes")
    server.log.expect(r"ValueError in worker 1 core 0: GET /close-raises; ", "^closed$", "close failed")
    assert server.request("/close-raises").body == b"body"
    assert server.request("/single").body == b"single"


@pytest.mark.parametrize("path", ["/raises-exit", "/raises-interrupt"])
def test_what_is_no_exception_ends_only_the_request(boot, path):
    server = boot("bodies:closes")
    server.log.expect(answered_500(r"SystemExit|KeyboardInterrupt", path), "^closed$")
    before = server.worker_pids()
    assert_plain_500(server.request(path))
    assert server.request("/single").body == b"single"
    assert server.worker_pids() == before


def test_a_generator_is_closed(boot):
    server = boot("bodies:generator")
    assert server.request().body == b"one two"
    server.log.wait("^finally$")


def test_bytearray_is_not_bytes(boot):
    server = boot("bodies:closes")
    server.log.expect(answered_500("TypeError", "/array"), "^closed$")
    assert_plain_500(server.request("/array"))


def test_each_piece_goes_out_before_the_next_is_made(boot):
    server = boot("bodies:slow_steps")
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/", "POST", b"second")))
        got = b""
        while not got.endswith(b"first"):
            chunk = client.recv(4096)
            assert chunk, got
            got += chunk
        client.sendall(b"second")
        assert packet.read_all(client) == b"second"


def test_a_large_body(boot):
    response = boot("bodies:large").request("/?32")
    assert response.body == bytes(range(256)) * 4096 * 32


# ── lengths ──


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_longer_than_announced_is_cut(boot, pieces):
    response = boot("bodies:length").request(f"/?5,8,{pieces}")
    assert (response.header("Content-Length"), response.body) == ("5", b"xxxxx")


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_shorter_than_announced(boot, pieces):
    response = boot("bodies:length").request(f"/?9,4,{pieces}")
    assert (response.header("Content-Length"), response.body) == ("9", b"xxxx")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", ["204+No+Content", "304+Not+Modified"])
def test_statuses_without_a_body(boot, method, status):
    server = boot("bodies:status")
    response = server.request(f"/?{status}", method)
    assert (response.status_line, response.body) == (f"HTTP/1.1 {status.replace('+', ' ')}", b"")
    assert response.header("X-Kept") == "1"
    server.log.wait("^closed$")


def test_head_has_the_headers_of_get(boot):
    server = boot("bodies:length")
    get, head = server.request("/?4,4,2"), server.request("/?4,4,2", "HEAD")
    assert (get.headers, get.body) == (head.headers, b"xxxx")
    assert head.body == b""


def test_other_statuses(boot):
    server = boot("bodies:status")
    server.log.expect("^closed$")
    for status in ("200 OK", "299 Whatever", "404 Not here", "599 Far"):
        response = server.request(f"/?{status.replace(' ', '+')}")
        assert (response.status_line, response.body) == (f"HTTP/1.1 {status}", b"a body")


# ── wsgi.errors ──


def test_messages_of_the_application_reach_the_log(boot):
    server = boot("bodies:errors")
    server.request()
    server.log.wait("^grüße from the application$")
    server.log.wait("^printed to stdout$")
    server.log.wait("^printed to stderr$")


# ── wsgi.file_wrapper ──

BY_SENDFILE = {
    "/file": files_app.DATA,
    "/partly-read": files_app.DATA[1003:],
    "/named": files_app.DATA[7:],
    "/end": b"",
    "/raw": Path(files_app.__file__).read_bytes(),
    "/empty": b"",
}
BY_BLOCKS = {
    "/gzip": files_app.DATA,
    "/bytesio": files_app.DATA,
    "/pipe": files_app.DATA[:1000],
    "/spooled": b"s" * 10,
    "/spooled-to-disk": b"s" * 10_000_000,
}


@pytest.mark.parametrize("path", BY_SENDFILE)
def test_a_file_goes_by_sendfile(boot, path):
    server = boot("files")
    assert server.request(path).body == BY_SENDFILE[path]
    line = server.log.request(path)
    assert (line["via"], line["body_bytes"]) == (" via sendfile() ", str(len(BY_SENDFILE[path])))


@pytest.mark.parametrize("path", BY_BLOCKS)
def test_what_only_acts_as_a_file_goes_by_blocks(boot, path):
    server = boot("files")
    if path == "/bytesio":
        server.log.expect("^closed$")
    assert server.request(f"{path}?block=4096").body == BY_BLOCKS[path]
    assert server.log.request(path)["via"] == " "


@pytest.mark.parametrize("path", ["/file", "/bytesio"])
def test_a_file_is_cut_at_content_length(boot, path):
    server = boot("files")
    if path == "/bytesio":
        server.log.expect("^closed$")
    assert server.request(f"{path}?length=1000").body == files_app.DATA[:1000]


def test_head_of_a_file(boot):
    server = boot("files")
    response = server.request("/file?length=1000", "HEAD")
    assert (response.header("Content-Length"), response.body) == ("1000", b"")
    assert server.request("/partly-read").body == BY_SENDFILE["/partly-read"]


def test_a_file_of_text_is_500(boot):
    server = boot("files")
    server.log.expect(answered_500("TypeError", "/text"))
    assert_plain_500(server.request("/text"))


def test_a_wrapper_can_be_iterated(boot):
    server = boot("files:iterated")
    assert server.request().body == b"abcd|ef"
    server.log.wait("^closed$")


def test_a_wrapper_around_nothing_is_500(boot):
    server = boot("files:not_a_file")
    server.log.expect(answered_500("AttributeError"))
    assert_plain_500(server.request())


def test_a_wrapper_that_is_not_returned(boot):
    assert boot("files:wrapped_and_dropped").request().body == b"another"


# ── clients that go away ──


def leave(server, path: str = "/") -> None:
    """Sends a request, reads a little of the answer, and resets the connection."""
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables(path)))
        assert client.recv(1000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_a_client_that_goes_away_is_a_counter_and_a_mark(boot):
    server = boot("bodies:endless")
    leave(server)
    server.log.wait("^closed$")
    assert server.log.request()["status"] == "499"
    assert server.log.lines.count("closed") == 1
    worker = server.workers()[0]
    assert (worker.gone, worker.exceptions) == (1, 0)


def test_write_raises_when_the_client_has_gone(boot):
    """The application may let that exception through: it is nobody's fault, and leaves no traceback."""
    server = boot("bodies:endless_write")
    leave(server)
    server.log.wait("^write raised OSError$")
    assert server.log.request()["status"] == "499"
    assert server.workers()[0].exceptions == 0


def test_a_client_that_goes_away_in_a_file(boot):
    server = boot("files:application")
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(packet.packet(packet.variables("/spooled-to-disk?block=10000000")))
        assert client.recv(100)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert server.log.request()["status"] == "499"
    assert server.request("/file").body == files_app.DATA


def test_a_client_that_does_not_read_is_dropped_after_socket_timeout(boot):
    server = boot("bodies:large", socket_timeout=1)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/?64")))
        assert server.log.request()["status"] == "499"
    assert server.request("/?1").status == 200


def test_a_signal_does_not_disturb_an_answer(boot):
    """The master hears USR1 while the answer waits for its client."""
    server = boot("bodies:slow_steps")
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/", "POST", b"word")))
        assert client.recv(10)
        server.signal(signal.SIGUSR1)
        server.log.wait("status: ")
        client.sendall(b"word")
        assert packet.read_all(client).endswith(b"firstword")
