"""Breaks what the server needs, in one request."""

import os
import socket
from contextlib import suppress


def is_needed(number: int) -> bool:
    with suppress(OSError):
        if "eventpoll" in os.readlink(f"/proc/self/fd/{number}"):
            return True
        copy = socket.socket(fileno=os.dup(number))
        with copy:
            return bool(copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    return False


def closes_what_it_does_not_know(environ, start_response):
    """Some libraries close every descriptor before they become a daemon; here those that take connections."""
    if environ["PATH_INFO"] == "/close":
        for number in filter(is_needed, map(int, os.listdir("/proc/self/fd"))):
            os.close(number)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
