"""A little of everything, for long runs."""

import sys

PLAIN = [("Content-Type", "text/plain")]
# Tracebacks of ten thousand exceptions are not what is to be seen.
sys.tracebacklimit = 0


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise ValueError("as always")
    start_response("200 OK", PLAIN)
    if path == "/file":
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    if path == "/stream":
        return (b"x" * 100 for _ in range(10))
    return [b"hello"]
