"""One application for two servers: by the first part of the path, one behaviour each."""

import io
import json
import sys
import tempfile

PLAIN = [("Content-Type", "text/plain")]
DATA = bytes(range(256)) * 40


def environ(environ, start_response):
    """Every variable with its type; what is an object shows only that it is there."""
    start_response("200 OK", [("Content-Type", "application/json")])
    simple = (str, int, bool, bytes, tuple)
    facts = {key: repr(value) if isinstance(value, simple) else "an object" for key, value in environ.items()}
    return [json.dumps(facts).encode()]


def hello(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello"]


def generator(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"one "
    yield b"two"


def write(environ, start_response):
    start_response("200 OK", PLAIN)(b"written ")
    return [b"returned"]


def plain_bytes(environ, start_response):
    start_response("200 OK", PLAIN)
    return b"not in a list"


def empty(environ, start_response):
    start_response("200 OK", PLAIN)
    return []


def cookies(environ, start_response):
    start_response("200 OK", [*PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("set-cookie", "c=3")])
    return [b""]


def latin(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Latin", "\u00fc\u00ff")])
    return [environ["PATH_INFO"].encode("latin-1")]


def statuses(environ, start_response):
    start_response(environ["QUERY_STRING"].replace("+", " "), PLAIN)
    return [b"a body"]


def read(environ, start_response):
    """Reads the body in the way that the query string names."""
    name, *arguments = environ["QUERY_STRING"].split(",")
    body = environ["wsgi.input"]
    found = list(body) if name == "iterate" else getattr(body, name)(*map(int, arguments))
    start_response("200 OK", PLAIN)
    return [repr(found).encode()]


def file(environ, start_response):
    found = tempfile.TemporaryFile()
    found.write(DATA)
    found.seek(int(environ["QUERY_STRING"] or 0))
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](found)


def file_like(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](io.BytesIO(DATA), 1000)


def raises(environ, start_response):
    raise ValueError("before")


def raises_after(environ, start_response):
    start_response("200 OK", PLAIN)
    raise ValueError("after")


def raises_later(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"begun"
    raise ValueError("later")


def text(environ, start_response):
    start_response("200 OK", PLAIN)
    return ["text"]


def no_start(environ, start_response):
    return [b"no head"]


def twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("201 Created", PLAIN)
    return [b"twice"]


def exc_info(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        raise ValueError("mended")
    except ValueError:
        start_response("500 Mended", PLAIN, sys.exc_info())
    return [b"mended"]


def split(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Split", "1\r\nX-Injected: 1")])
    return [b"split"]


def no_token(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X Header", "1")])
    return [b"no token"]


def application(environ, start_response):
    name = environ["PATH_INFO"].split("/")[1]
    return globals()[name](environ, start_response)
