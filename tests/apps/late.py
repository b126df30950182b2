"""Requests that take too long, each in its own way: `?how=seconds`."""

import os
import time

import rwsgi


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def stubborn(seconds):
    """Goes on whatever is raised in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except Exception as error:
            os.write(2, f"shrugs off {type(error).__name__}\n".encode())


def application(environ, start_response):
    how, _, seconds = environ["QUERY_STRING"].partition("=")
    try:
        {"sleep": time.sleep, "spin": spin, "stubborn": stubborn, "": float}[how](float(seconds or 0))
    except rwsgi.HarakiriTimeout as error:
        os.write(2, f"HarakiriTimeout is a {type(error).__mro__[1].__name__}\n".encode())
        if environ["PATH_INFO"] == "/caught":
            start_response("503 Too late", [("Content-Type", "text/plain")])
            return [b"gave up"]
        raise
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def begun(environ, start_response):
    """Hangs when half of its answer is out."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    time.sleep(60)
