"""Computes or sleeps as the query says, and tells who did it and when: `?c=0.005` is 5 ms of CPU, `?s=0.02` sleep.

How long it waits for the GIL or a processor does not change how much it computes.
"""

import os
import time


def application(environ, start_response):
    began = time.monotonic()
    kind, _, seconds = environ["QUERY_STRING"].partition("=")
    if kind == "c":
        end = time.thread_time() + float(seconds)
        while time.thread_time() < end:
            pass
    elif kind == "s":
        time.sleep(float(seconds))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {began} {time.monotonic()}".encode()]
