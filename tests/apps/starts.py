"""start_response in every way it can be called."""

import sys

PLAIN = [("Content-Type", "text/plain")]


def never(environ, start_response):
    return [b"no head"]


def never_generator(environ, start_response):
    yield b"no head"


def never_empty(environ, start_response):
    return []


def late(environ, start_response):
    """Only when the first piece is asked for."""
    yield b""
    start_response("201 Late", PLAIN)
    yield b"late"


def too_late(environ, start_response):
    yield b"body first"
    start_response("200 OK", PLAIN)


def twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("201 Created", PLAIN)
    return [b"twice"]


def twice_caught(environ, start_response):
    """The first call stays good."""
    start_response("200 OK", PLAIN)
    try:
        start_response("201 Created", PLAIN)
    except AssertionError:
        return [b"the first"]
    return [b"both"]


def replaced(environ, start_response):
    """With exc_info, before anything has been sent: the new head counts."""
    start_response("200 OK", [*PLAIN, ("X-First", "1")])
    try:
        raise KeyError("lost")
    except KeyError:
        start_response("502 Replaced", [*PLAIN, ("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


def replaced_too_late(environ, start_response):
    """With exc_info, after the head has gone: the exception is raised again."""
    start_response("200 OK", [*PLAIN, ("Content-Length", "100")])
    yield b"begun"
    try:
        raise KeyError("came too late")
    except KeyError:
        start_response("500 Too late", PLAIN, sys.exc_info())
    yield b"unreachable"


def none_as_exc_info(environ, start_response):
    start_response("200 OK", PLAIN, None)
    return [b"none"]


def writes(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"one ")
    write(b"")
    write(b"two ")
    return [b"three"]


def writes_text(environ, start_response):
    start_response("200 OK", PLAIN)("text")
    return []


# What start_response is called with, by the request's path.
BAD = {
    "/status-bytes": (b"200 OK", PLAIN),
    "/status-number": (200, PLAIN),
    "/status-none": (None, PLAIN),
    "/status-not-latin": ("200 ☃", PLAIN),
    "/status-short": ("20", PLAIN),
    "/status-letters": ("abc OK", PLAIN),
    "/status-empty": ("", PLAIN),
    "/status-cr": ("200 OK\rX", PLAIN),
    "/status-lf": ("200 OK\nX-Injected: 1", PLAIN),
    "/status-crlf": ("200 OK\r\nX-Injected: 1", PLAIN),
    "/status-nul": ("200 OK\0", PLAIN),
    "/headers-tuple": ("200 OK", tuple(PLAIN)),
    "/headers-dict": ("200 OK", dict(PLAIN)),
    "/headers-none": ("200 OK", None),
    "/header-list": ("200 OK", [["X-A", "1"]]),
    "/header-triple": ("200 OK", [("X-A", "1", "2")]),
    "/header-single": ("200 OK", [("X-A",)]),
    "/name-bytes": ("200 OK", [(b"X-A", "1")]),
    "/name-empty": ("200 OK", [("", "1")]),
    "/name-colon": ("200 OK", [("X:A", "1")]),
    "/name-space": ("200 OK", [("X A", "1")]),
    "/name-lf": ("200 OK", [("X-A\nX-Injected", "1")]),
    "/name-not-latin": ("200 OK", [("X-☃", "1")]),
    "/value-bytes": ("200 OK", [("X-A", b"1")]),
    "/value-number": ("200 OK", [("Content-Length", 3)]),
    "/value-none": ("200 OK", [("X-A", None)]),
    "/value-cr": ("200 OK", [("X-A", "1\rX-Injected: 1")]),
    "/value-lf": ("200 OK", [("X-A", "1\nX-Injected: 1")]),
    "/value-crlf": ("200 OK", [("X-A", "1\r\nX-Injected: 1")]),
    "/value-nul": ("200 OK", [("X-A", "1\0")]),
    "/value-not-latin": ("200 OK", [("X-A", "☃")]),
}


def bad(environ, start_response):
    start_response(*BAD[environ["PATH_INFO"]])
    return [b"never sent"]


def missing_headers(environ, start_response):
    start_response("200 OK")
    return [b"never sent"]


def repeated(environ, start_response):
    start_response("200 OK", [*PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("set-cookie", "c=3")])
    return [b"repeated"]


def latin1(environ, start_response):
    start_response("200 Grüße", [*PLAIN, ("X-Latin", "".join(map(chr, range(0xA0, 0x100))))])
    return [b"latin"]


kept = []


def keeps(environ, start_response):
    """Uses the start_response of the request before, which must not reach this one."""
    for old in kept:
        try:
            old("500 Stolen", PLAIN)
        except Exception as error:
            environ["wsgi.errors"].write(f"refused: {type(error).__name__}\n")
            environ["wsgi.errors"].flush()
    kept.append(start_response)
    start_response("200 OK", PLAIN)
    return [b"mine"]
