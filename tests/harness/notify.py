"""The other end of NOTIFY_SOCKET (sd_notify(3)): readiness as an event."""

from __future__ import annotations

import os
import select
import socket
import uuid

from .wait import PATIENCE


class Notifications:
    def __init__(self) -> None:
        # Abstract: no file to clean up, and as many at once as there are tests.
        self.name = f"@rwsgi-test-{uuid.uuid4()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.name[1:])

    def wait(self, state: str, patience: float = PATIENCE, process: int | None = None) -> str:
        """The next message, which must be `state`. Gives up when `process`, a child, has ended."""
        message = self._next(patience, process)
        assert message.split("\n")[0] == state, f"{message!r} came instead of {state}"
        return message

    def _next(self, patience: float, process: int | None) -> str:
        sources: list[socket.socket | int] = [self._socket]
        if process is not None:
            sources.append(os.pidfd_open(process))
        try:
            readable = select.select(sources, [], [], patience)[0]
        finally:
            for fd in sources[1:]:
                os.close(fd)
        assert readable, f"no message within {patience:.0f} s"
        assert self._socket in readable, "the process ended"
        return self._socket.recv(4096).decode()

    def poll(self) -> str | None:
        """A message that is there already."""
        self._socket.setblocking(False)
        try:
            return self._socket.recv(4096).decode()
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._socket.close()
