"""Many clients of an HTTP socket, in a process of their own so that they do not get in the way of whoever measures.

As a program: `slow_clients.py KIND COUNT HOST PORT PATH`. It says "ready" when all are connected, and goes on until its
input ends; then it says how many still had their connection."""

from __future__ import annotations

import resource
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType

import pytest

# How many connections of one source address there may be, so that ports suffice.
OF_ONE_ADDRESS = 5000
# Rounds in which everybody gets a turn, each a second long.
SLICES = 20
PATIENCE = 60


class Crowd:
    """`kind`: "starters" send a long head without its end, "senders" send a byte of a head each second, "readers" read
    a byte of an answer each second, "idlers" have had an answer and keep their connection."""

    def __init__(self, kind: str, count: int, address: tuple[str, int], path: str = "/") -> None:
        words = [sys.executable, __file__, kind, str(count), *map(str, address), path]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._hear("ready")
        except BaseException:
            self.close()
            raise

    def _hear(self, word: str) -> str:
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        assert line.startswith(word), f"the crowd said {line!r} instead of {word!r}"
        return line

    def left(self) -> int:
        """Sends them home; returns how many the server had kept until then."""
        self._process.stdin.close()
        return int(self._hear("left").split()[1])

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def need_descriptors(count: int) -> None:
    """For the server, which inherits the limit, and for the crowd."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 256:
        pytest.fail(f"this needs {count + 256} open files, of which the system allows {hard}: raise it (ulimit -Hn)")


# ── the program ──


def connect(address: tuple[str, int], number: int, narrow: bool) -> socket.socket:
    made = socket.socket()
    if narrow:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.bind((f"127.0.0.{2 + number // OF_ONE_ADDRESS}", 0))
    made.connect(address)
    return made


def slices(crowd: list[socket.socket]) -> Iterator[list[socket.socket]]:
    while True:
        for at in range(SLICES):
            yield crowd[at::SLICES]


def main(kind: str, count: int, address: tuple[str, int], path: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    request = f"GET {path} HTTP/1.1\r\nHost: crowd\r\n".encode() + b"X-Long: " + b"x" * 4000 + b"\r\n\r\n"
    crowd = []
    for number in range(count):
        # Each has its say at once: the server waits for nobody's first byte for ever.
        crowd.append(connect(address, number, kind == "readers"))
        if kind == "starters":
            crowd[-1].sendall(request.replace(b"x" * 4000, b"x" * 60_000)[:-4])
        elif kind != "senders":
            crowd[-1].sendall(request.replace(b"x" * 4000, b"x"))
        if kind == "idlers":
            crowd[-1].recv(65536)
    print("ready", flush=True)
    turns, second = slices(crowd), 0
    while not select.select([sys.stdin], [], [], 1 / SLICES)[0]:
        for one in next(turns):
            try:
                if kind == "senders":
                    one.send(request[second // SLICES : second // SLICES + 1])
                elif kind == "readers":
                    one.recv(1)
            except OSError:
                pass
        second += 1
    print("left", sum(map(is_open, crowd)), flush=True)


def is_open(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), (sys.argv[3], int(sys.argv[4])), sys.argv[5])
