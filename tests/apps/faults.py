"""Requests that end badly, as their path says."""

import ctypes
import os
import threading

ENDLESS = threading.Event()
DEEP = threading.Semaphore(0)


def deep(calls):
    if calls:
        deep(calls - 1)
    DEEP.release()
    ENDLESS.wait()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/deep":
        for _ in range(40):
            threading.Thread(target=deep, args=(90,), daemon=True).start()
            DEEP.acquire()
        ctypes.string_at(0)
    if path == "/killed":
        os.kill(os.getpid(), 9)
    if path == "/raises":
        raise RuntimeError(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
