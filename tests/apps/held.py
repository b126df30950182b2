"""Holds its thread until a file is there, in the way that the path says; or answers at once, with much or little."""

import os
import time

LARGE = bytes(range(256)) * 4096


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path in ("/sleeps", "/computes"):
        os.write(2, f"held {path} {os.getpid()}\n".encode())
        while not os.path.exists(environ["QUERY_STRING"]):
            if path == "/sleeps":
                time.sleep(0.01)
            else:
                sum(range(10_000))
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/large":
        return [LARGE]
    length = len(environ["wsgi.input"].read())
    return [f"{os.getpid()} {length}".encode()]
