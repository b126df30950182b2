"""Speaks to the master in the place of the process that has loaded it."""

import os
import signal
import socket
import struct

LOADED_BY = os.getpid()


def control_sockets():
    """Packet sockets that this process has: none is the application's."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                found.append(socket.socket(fileno=os.dup(number)))
        except OSError:
            pass
    return [one for one in found if one.family == socket.AF_UNIX and one.type == socket.SOCK_SEQPACKET]


def forge():
    """The first worker has this pid; of those that it really has forked the process does not tell any more."""
    for one in control_sockets():
        one.send(struct.pack("<Qi", 1, int(os.environ["VICTIM"])))
    while os.getpid() == LOADED_BY:
        signal.pause()


if "VICTIM" in os.environ:
    os.register_at_fork(after_in_parent=forge)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(control_sockets())).encode()]
