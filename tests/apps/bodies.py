"""What an application may return, and what becomes of it."""

import os
import sys
import threading

PLAIN = [("Content-Type", "text/plain")]


def note(text):
    """Into the log, at once."""
    os.write(2, f"{text}\n".encode())


class Body:
    """Yields its pieces, raises what stands among them, and says in the log when it is closed."""

    def __init__(self, *pieces):
        self.pieces = pieces

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self):
        note("closed")


class Failing:
    """Has a close() that raises."""

    def __iter__(self):
        return iter([b"body"])

    def close(self):
        note("closed")
        raise ValueError("close failed")


BODIES = {
    "/pieces": lambda: Body(b"one ", b"", b"two"),
    "/single": lambda: Body(b"single"),
    "/nothing": lambda: Body(),
    "/raises-first": lambda: Body(ValueError("before the head")),
    "/raises-later": lambda: Body(b"begun ", ValueError("after the head")),
    "/raises-exit": lambda: Body(SystemExit(3)),
    "/raises-interrupt": lambda: Body(KeyboardInterrupt()),
    "/text": lambda: Body("text"),
    "/number": lambda: Body(42),
    "/array": lambda: Body(bytearray(b"array")),
    "/text-later": lambda: Body(b"begun ", "text"),
    "/close-raises": Failing,
}


def closes(environ, start_response):
    start_response("200 OK", PLAIN)
    return BODIES[environ["PATH_INFO"]]()


OBJECTS = {
    "/list": [b"a", b"b"],
    "/tuple": (b"a", b"b"),
    "/bytes": b"ab",
    "/empty-list": [],
    "/empty-bytes": b"",
    "/empties": [b"", b""],
    "/text": "ab",
    "/text-in-list": ["ab"],
    "/none": None,
    "/number": 42,
    "/dict": {b"a": 1, b"b": 2},
    "/iterator": iter,
}


def objects(environ, start_response):
    start_response("200 OK", PLAIN)
    found = OBJECTS[environ["PATH_INFO"]]
    return iter([b"a", b"b"]) if found is iter else found


def raises(environ, start_response):
    raise ValueError("before start_response")


def raises_after(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Lost", "1")])
    raise ValueError("after start_response")


def length(environ, start_response):
    """Announces and sends as many bytes as the query string says: `announced,sent,pieces`."""
    announced, sent, pieces = map(int, environ["QUERY_STRING"].split(","))
    start_response("200 OK", [*PLAIN, ("Content-Length", str(announced))])
    return [b"x" * (sent // pieces)] * pieces


def status(environ, start_response):
    """The status of the query string, and a body that some of them must not have."""
    start_response(environ["QUERY_STRING"].replace("+", " "), [*PLAIN, ("X-Kept", "1")])
    return Body(b"a body")


def reset(environ, start_response):
    """205, and a body that it must not have: whole, in pieces, or of a length that it tells."""
    how = environ["QUERY_STRING"]
    start_response("205 Reset Content", [*PLAIN, *([("Content-Length", "6")] if how == "length" else [])])
    return iter([b"a ", b"body"]) if how == "pieces" else [b"a body"]


def generator(environ, start_response):
    """close() of a generator is its GeneratorExit."""
    start_response("200 OK", PLAIN)
    try:
        yield b"one "
        yield b"two"
    finally:
        note("finally")


def endless(environ, start_response):
    """Until the client goes away."""
    start_response("200 OK", PLAIN)
    return Endless()


class Endless:
    def __iter__(self):
        while True:
            yield b"x" * 65536

    def close(self):
        note("closed")


def endless_write(environ, start_response):
    """Writes until write() raises, and lets the exception through."""
    write = start_response("200 OK", PLAIN)
    try:
        while True:
            write(b"x" * 65536)
    except OSError as error:
        note(f"write raised {type(error).__name__}")
        raise


def slow_steps(environ, start_response):
    """Each piece must be on its way before the next is made: the second waits for the client's word."""
    start_response("200 OK", PLAIN)
    yield b"first"
    yield environ["wsgi.input"].read()


def errors(environ, start_response):
    environ["wsgi.errors"].write("grüße from the application\n")
    print("printed to stdout", flush=True)
    print("printed to stderr", file=sys.stderr, flush=True)
    start_response("200 OK", PLAIN)
    return [threading.current_thread().name.encode()]


def megabytes(environ, start_response):
    """As many pieces as the query string says, and no length."""
    start_response("200 OK", PLAIN)
    return (bytes(1 << 20) for _ in range(int(environ["QUERY_STRING"])))


def large(environ, start_response):
    """As many MiB as the query string says."""
    start_response("200 OK", PLAIN)
    return [bytes(range(256)) * 4096 * int(environ["QUERY_STRING"])]


def kib(environ, start_response):
    """As many KiB as the query string says."""
    start_response("200 OK", PLAIN)
    return [b"x" * 1024 * int(environ["QUERY_STRING"])]
