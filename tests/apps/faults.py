"""Requests that end badly, as their path says."""

import ctypes
import os


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/killed":
        os.kill(os.getpid(), 9)
    if path == "/raises":
        raise RuntimeError(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
