"""A program in a terminal: what stands on the screen, and keys that are pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pyte

from .wait import PATIENCE, until


def _environment() -> dict[str, str]:
    """COLUMNS and LINES would be believed instead of the size of this terminal. pyte knows all that `linux` can do, and
    not the repetitions of an xterm."""
    inherited = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return {**inherited, "TERM": "linux", "LC_ALL": "C.UTF-8"}


class Terminal:
    """The program is the leader of a session of its own, whose terminal this is."""

    def __init__(self, words: list[str], columns: int = 80, lines: int = 24, cwd: Path | None = None) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self._master, self._slave = pty.openpty()
        os.set_blocking(self._master, False)
        self._set_size(columns, lines)
        self._before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *words],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=_environment(),
            cwd=cwd,
        )

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)

    @property
    def lines(self) -> list[str]:
        """The screen as it is now."""
        while data := self._read():
            self.written += data
            self._stream.feed(data)
        return list(self._screen.display)

    def _read(self) -> bytes:
        """Nothing: nothing has come, or the terminal is gone."""
        try:
            return os.read(self._master, 65536)
        except OSError:
            return b""

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def find(self, text: str) -> str:
        """The first line with this text, as soon as there is one."""
        return next(line for line in self.wait(text) if text in line)

    def wait(self, *texts: str) -> list[str]:
        """The lines of the screen, as soon as all of these stand on it."""

        def lines() -> list[str] | None:
            now = self.lines
            return now if all(any(text in line for line in now) for text in texts) else None

        try:
            return until(lines, f"{texts} on the screen", 2 * PATIENCE) or []
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def hang_up(self) -> None:
        """As when the window is closed, or the connection to the machine is lost."""
        os.dup2(self._slave, self._master)
        os.set_blocking(self._master, False)

    def lose(self, text: str) -> None:
        """Waits until no line has this text."""
        until(lambda: text not in self.text, f"{text!r} to leave the screen", 2 * PATIENCE)

    def wait_exit(self) -> int:
        # A terminal that nobody reads holds its program up.
        until(lambda: self.text is None or self.process.poll() is not None, "the program to end")
        return self.process.wait()

    @property
    def is_restored(self) -> bool:
        """Lines and echo as before, the first screen again, and a cursor."""
        _ = self.lines
        shown = self.written.rfind(b"\x1b[?1049l") > self.written.rfind(b"\x1b[?1049h")
        cursor = self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        return shown and cursor and termios.tcgetattr(self._slave) == self._before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
