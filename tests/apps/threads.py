"""Starts a thread while it is imported, and tells which threads run."""

import os
import threading


def sleep():
    threading.Event().wait()


def begin():
    threading.Thread(target=sleep, name="helper", daemon=True).start()


begin()
if "AGAIN" in os.environ:
    os.register_at_fork(after_in_child=begin)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"runs" if any(thread.name == "helper" for thread in threading.enumerate()) else b"is gone"]
