"""Where rwsgi means to answer otherwise than uWSGI 2.0.31. test_differential.py compares everything else byte for byte.

Each entry: what is asked, what uWSGI says, what rwsgi says, and why. The test fails when either side says anything
else: when a difference has gone, its entry goes, too. docs/differences.md tells the same to users.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def refusal(status: str) -> bytes:
    """A plain answer of the server's own."""
    text = status[4:] + "\n"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    return (head + text).encode()


ERROR_500 = refusal("500 Internal Server Error")


@dataclass
class Ask:
    path: str
    method: str = "GET"
    body: bytes | None = None
    variables: dict[str, str] = field(default_factory=dict)
    modifier1: int = 0


@dataclass
class Difference:
    name: str
    ask: Ask
    uwsgi: bytes
    rwsgi: bytes
    why: str
    # In the log of rwsgi.
    logs: str = ""


def plain(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain\r\n\r\n" + body


ANSWERS = [
    Difference(
        "raises",
        Ask("/raises"),
        uwsgi=b"",
        rwsgi=ERROR_500,
        why="the peer should know why; nginx makes a 502 of a connection that closes without an answer",
        logs="ValueError in worker 1 core 0: GET /raises; answered 500",
    ),
    Difference(
        "raises after start_response",
        Ask("/raises_after"),
        uwsgi=plain(b""),
        rwsgi=ERROR_500,
        why="an empty 200 looks like success",
        logs="ValueError in worker 1 core 0: GET /raises_after; answered 500",
    ),
    Difference(
        "text in the body",
        Ask("/text"),
        uwsgi=plain(b""),
        rwsgi=ERROR_500,
        why="PEP 3333: bytes; an empty 200 hides the mistake",
        logs="TypeError in worker 1 core 0: GET /text; answered 500",
    ),
    Difference(
        "no start_response",
        Ask("/no_start"),
        uwsgi=b"no head",
        rwsgi=ERROR_500,
        why="an answer without a head is none",
        logs="AssertionError in worker 1 core 0: GET /no_start; answered 500",
    ),
    Difference(
        "start_response twice",
        Ask("/twice"),
        uwsgi=plain(b"twice", b"201 Created"),
        rwsgi=ERROR_500,
        why="PEP 3333: an error without exc_info",
        logs="AssertionError in worker 1 core 0: GET /twice; answered 500",
    ),
    Difference(
        "exc_info",
        Ask("/exc_info"),
        uwsgi=plain(b"", b"500 Mended"),
        rwsgi=plain(b"mended", b"500 Mended"),
        why="uWSGI raises SystemError in the application",
    ),
    Difference(
        "a split header",
        Ask("/split"),
        uwsgi=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Split: 1\r\nX-Injected: 1\r\n\r\nsplit",
        rwsgi=ERROR_500,
        why="response splitting",
        logs="ValueError in worker 1 core 0: GET /split; answered 500",
    ),
    Difference(
        "a header name that is no token",
        Ask("/no_token"),
        uwsgi=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX Header: 1\r\n\r\nno token",
        rwsgi=ERROR_500,
        why="RFC 9110 §5.1: front ends refuse it or read it each in its own way",
        logs="ValueError in worker 1 core 0: GET /no_token; answered 500",
    ),
    Difference(
        "HEAD",
        Ask("/hello", "HEAD"),
        uwsgi=plain(b"hello"),
        rwsgi=plain(b""),
        why="RFC 9110 §9.3.2: no body",
    ),
    Difference(
        "204",
        Ask("/statuses?204+No+Content"),
        uwsgi=plain(b"a body", b"204 No Content"),
        rwsgi=plain(b"", b"204 No Content"),
        why="RFC 9110 §15.3.5: no body",
    ),
    Difference(
        "304",
        Ask("/statuses?304+Not+Modified"),
        uwsgi=plain(b"a body", b"304 Not Modified"),
        rwsgi=plain(b"", b"304 Not Modified"),
        why="RFC 9110 §15.4.5: no body",
    ),
    Difference(
        "read(0)",
        Ask("/read?read,0", "POST", b"abc"),
        uwsgi=plain(b"b'abc'"),
        rwsgi=plain(b"b''"),
        why="PEP 3333: as with files",
    ),
    Difference(
        "readline(size)",
        Ask("/read?readline,2", "POST", b"abc\ndef"),
        uwsgi=plain(rb"b'abc\n'"),
        rwsgi=plain(b"b'ab'"),
        why="PEP 3333: the size is obeyed",
    ),
    Difference(
        "readlines(hint)",
        Ask("/read?readlines,2", "POST", b"abc\ndef"),
        uwsgi=plain(rb"[b'abc\n', b'def']"),
        rwsgi=plain(rb"[b'abc\n']"),
        why="PEP 3333: as with files",
    ),
    Difference(
        "a chunked body",
        Ask(
            "/read?read", "POST", b"3\r\nabc\r\n0\r\n\r\n", {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
        ),
        uwsgi=plain(b"b''"),
        rwsgi=plain(b"b'abc'"),
        why="RFC 9112 §7.1: decoded",
    ),
    Difference(
        "an empty packet",
        Ask("", modifier1=0),
        uwsgi=b"",
        rwsgi=refusal("400 Bad Request"),
        why="an answer instead of a silent close",
        logs="refused a request with 400: an empty uwsgi packet",
    ),
    Difference(
        "an unknown modifier",
        Ask("/hello", modifier1=5),
        uwsgi=b"",
        rwsgi=refusal("501 Not Implemented"),
        why="an answer instead of a silent close",
        logs="refused a request with 501: unavailable modifier requested: 5",
    ),
]

# Keys of environ: what rwsgi has that uWSGI has not (and the other way round: none).
ONLY_RWSGI = {
    "wsgi.input_terminated": "reading stops at the end of the body, also of a chunked one",
    "rwsgi.version": "so that an application can tell",
    "SCRIPT_NAME": "PEP 3333 names it, and wsgiref.validate wants it; nginx's uwsgi_params do not send it",
}
# Other values, with which options.
OTHER_VALUES: dict[str, str] = {}
