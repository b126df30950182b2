"""A site with one view for each kind of trouble, and one that is quick."""

import ctypes
import threading
import time

CONNECTIONS = threading.BoundedSemaphore(1)
KEPT = []


def hang(seconds):
    time.sleep(seconds)


def crash(_):
    ctypes.string_at(0)


def leak(megabytes):
    KEPT.append(b"x" * (int(megabytes) << 20))


def query(seconds):
    time.sleep(seconds)


def connection_from_pool():
    CONNECTIONS.acquire()


def orders(seconds):
    connection_from_pool()
    try:
        query(seconds)
    finally:
        CONNECTIONS.release()


def totals(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100))


def report(seconds):
    totals(seconds)


VIEWS = {"/hang": hang, "/thumbnail": crash, "/export": leak, "/orders": orders, "/report": report}


def application(environ, start_response):
    if view := VIEWS.get(environ["PATH_INFO"]):
        view(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\n"]
