"""The way into a sandbox: run as a program, `namespace.py SANDBOX COMMAND…` goes in and becomes the command."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

PLACES = ("/tmp", "/home", "/root", "/var/log")
PROJECT = Path(__file__).resolve().parent.parent.parent

# <linux/sched.h>, <linux/mount.h>
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
# <linux/sockios.h>, <linux/if.h>
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def join_network(pid: int) -> None:
    """The calling thread alone goes to the network of a process."""
    with open(f"/proc/{pid}/ns/net") as network:
        check(libc.setns(network.fileno(), CLONE_NEWNET))


def enter(sandbox: Path) -> None:
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWNET))
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    # Parts of the places are needed inside, each where it was.
    needed = [path for path in (str(sandbox), str(PROJECT), sys.prefix, sys.base_prefix) if path.startswith(PLACES)]
    binds = [(sandbox / "rooted" / place.lstrip("/"), place) for place in PLACES] + [
        (Path(path), path) for path in needed
    ]
    # Held open, since the first bind may cover the sources of the others.
    held = [(os.open(source, os.O_PATH), target) for source, target in binds]
    here = os.getcwd()
    for fd, target in held:
        os.makedirs(target, exist_ok=True)
        check(libc.mount(f"/proc/self/fd/{fd}".encode(), target.encode(), None, MS_BIND | MS_REC, None))
        os.close(fd)
    os.chdir(here)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


if __name__ == "__main__":
    enter(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
