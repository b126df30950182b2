"""Lets clients have a say in the log, and prints."""

import os
import sys


def application(environ, start_response):
    what = environ["PATH_INFO"]
    if what.startswith("/raise"):
        raise ValueError(what)
    if what == "/long":
        raise ValueError("x" * 65536)
    if what == "/bytes":
        raise ValueError(os.fsdecode(b"name \xff"))
    if what.startswith("/type"):
        raise type(what, (Exception,), {})()
    if what == "/print":
        while True:
            print("the application prints", file=sys.stderr)
    if what == "/replaced":
        sys.stderr = sys.__stdout__
        raise ValueError("with a stream of the application's own")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"said"]
