"""Shows what options have done to its process; `/fail` raises."""

import json
import os
import resource
import socket
import stat
import sys

at_import = os.getcwd()


class Special(Exception):
    pass


def checked():
    try:
        assert False  # noqa: B011
    except AssertionError:
        return True
    return False


def sockets(listening):
    """What the kernel says of the TCP sockets of this process: those that listen, or those that were accepted."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        if not is_socket(number):
            continue
        with socket.socket(fileno=os.dup(number)) as one:
            if one.family != socket.AF_UNIX and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == listening:
                found.append(about(one))
    return found


def is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


def about(one):
    return {
        "keepalive": one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        "sndbuf": one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
        "rcvbuf": one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        "reuse_port": one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT),
        "freebind": one.getsockopt(socket.IPPROTO_IP, 15),
        "nodelay": one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
        "defer_accept": one.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT),
        "fast_open": one.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN),
        "inheritable": one.get_inheritable(),
    }


def state(environ):
    return {
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "at_import": at_import,
        "cwd": os.getcwd(),
        "modules": sorted(sys.modules),
        "checks": checked(),
        "documented": state_with_doc.__doc__ is not None,
        "file_wrapper": "wsgi.file_wrapper" in environ,
        "processors": sorted(os.sched_getaffinity(0)),
        "limits": {name: resource.getrlimit(getattr(resource, name))[0] for name in LIMITS},
    }


LIMITS = ("RLIMIT_NOFILE", "RLIMIT_AS", "RLIMIT_NPROC")


def state_with_doc():
    """Gone with -OO."""


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise Special(environ["QUERY_STRING"])
    shows = {"/listeners": lambda: sockets(True), "/connections": lambda: sockets(False)}
    shown = shows.get(path, lambda: state(environ))()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]
