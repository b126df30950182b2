"""Takes its time: as long as the query string says, in a way that it says, too."""

import os
import time


def application(environ, start_response):
    kind, _, seconds = environ["QUERY_STRING"].partition("=")
    if kind == "sleep":
        time.sleep(float(seconds))
    elif kind == "spin":
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def waits(environ, start_response):
    """Says that it runs, and waits for the rest of its body: the test decides when it ends."""
    os.write(2, f"waiting {environ['PATH_INFO']}\n".encode())
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body, b" ", str(os.getpid()).encode()]
