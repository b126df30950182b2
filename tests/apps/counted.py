"""Answers with what the request says of itself, in a body whose length is known before, and with the worker's pid."""

import os
import time

# How much memory a worker takes, a MiB a request.
MIB = int(os.environ.get("COUNTED_MIB", "0"))
kept = []


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    _, _, seconds = environ["PATH_INFO"].partition("/sleep/")
    if seconds:
        time.sleep(float(seconds))
    if len(kept) < MIB:
        kept.append(b"x" * (1 << 20))
    answer = f"{environ['QUERY_STRING']} {len(body)} {body[-10:].decode()} {os.getpid():010d}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
