"""Readers of a server's documents, in a process of their own: python3 readers.py ADDR REQUESTS_A_SECOND PATH…

A path of `raw` connects and reads without asking, as uwsgitop does. Each path is read so often a second until the
process is told to end."""

from __future__ import annotations

import socket
import sys
import time
from itertools import cycle


def read(address: str, path: str) -> int:
    family = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    host, _, port = address.rpartition(":")
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address if family == socket.AF_UNIX else (host, int(port)))
        if path != "raw":
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return sum(map(len, iter(lambda: client.recv(1 << 16), b"")))


def main(address: str, rate: str, *paths: str) -> None:
    pause = 1 / (float(rate) * len(paths))
    due = time.monotonic()
    for path in cycle(paths):
        if not read(address, path):
            sys.exit(f"{address} has nothing to say at {path}")
        due = max(due + pause, time.monotonic() - 1)
        time.sleep(max(0, due - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
