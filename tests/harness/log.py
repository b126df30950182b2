"""The server's log as it is written: lines to wait for, and at the end whether there were any that nobody expected."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from .wait import PATIENCE

REQUEST = re.compile(
    r"\[pid: (?P<pid>\d+)\|app: (?P<app>-?\d+)\|req: (?P<request>\d+)/(?P<total>\d+)\] (?P<addr>\S*) \((?P<user>.*?)\) "
    r"\{(?P<vars>\d+) vars in (?P<vars_bytes>\d+) bytes\} \[(?P<date>.{24})\] (?P<method>\S*) (?P<uri>.*) => "
    r"generated (?P<body_bytes>\d+) bytes in (?P<time>\d+) (?P<unit>msecs|micros)(?P<via>.*?)"
    r"\((?P<protocol>\S*) (?P<status>\d+)\) (?P<headers>\d+) headers in (?P<head_bytes>\d+) bytes "
    r"\(1 switches on core (?P<core>\d+)\)(?: id (?P<id>\S+))?(?: trace (?P<trace>[0-9a-f]{32}))?\Z"
)
DATED = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} - ")

# What every good life says. Everything else is named by the test that makes it happen.
ORDINARY = (
    r"rwsgi \S+ serves .+ on .+ \(master \d+, \d+ workers? × \d+ threads?\)",
    r"SIGTERM: stopping; requests in flight have [\d.]+ s \(worker-reload-mercy\)",
    r"worker \d+ \(pid \d+\) has left after \d+ requests",
    r"status: ",
    # Whatever a test sends at once.
    r"\*\*\* listen queue of socket \".*\" \(fd: \d+\) full !!! \(\d+/\d+\) \*\*\*",
)


@dataclass
class Entry:
    """A line of the server's own with what follows it (a traceback, the rows of a status)."""

    line: str
    more: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        """The first line without its date."""
        return DATED.sub("", self.line, count=1)

    @property
    def text(self) -> str:
        return "\n".join([self.line, *self.more])


class Log:
    """Reads the pipe that is the server's stdout and stderr."""

    def __init__(self, fd: int) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._closed = False
        self._expected: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(fd,), daemon=True)
        self._thread.start()

    def _read(self, fd: int) -> None:
        # A terminal that everybody has closed is EIO.
        with suppress(OSError), os.fdopen(fd, encoding="utf-8", errors="backslashreplace", newline="\n") as pipe:
            for line in pipe:
                with self._changed:
                    self._lines.append(line.removesuffix("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def finish(self) -> None:
        """Waits until the last process has closed its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"somebody still holds the log open\n{self.text}"

    @property
    def lines(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def expect(self, *patterns: str) -> None:
        """These must be in the log when the server is gone."""
        self._expected.extend(patterns)

    def accept_anything(self) -> None:
        """The test has looked at the log itself."""
        self._expected = [".*"]

    def wait(self, pattern: str, count: int = 1, patience: float = PATIENCE) -> re.Match[str]:
        """The `count`-th line with `pattern`, now or as soon as it is written."""
        self.expect(pattern)
        return self.find(pattern, count, patience)

    def request(self, pattern: str = "", count: int = 1) -> re.Match[str]:
        """The `count`-th line of a request with `pattern` in it, taken apart."""
        match = self.find(rf"^\[pid: .*{pattern}.*", count)
        fields = REQUEST.match(match.string)
        assert fields, f"not a request line: {match.string}"
        return fields

    def find(self, pattern: str, count: int = 1, patience: float = PATIENCE) -> re.Match[str]:
        compiled = re.compile(pattern)
        found: list[re.Match[str]] = []

        def enough() -> bool:
            found[:] = [match for line in self._lines if (match := compiled.search(line))]
            return len(found) >= count or self._closed

        with self._changed:
            self._changed.wait_for(enough, patience)
            if len(found) < count:
                text = "\n".join(self._lines)
                raise AssertionError(f"{len(found)} of {count} lines with {pattern!r} in the log:\n{text}")
        return found[count - 1]

    def requests(self) -> list[re.Match[str]]:
        return [match for line in self.lines if (match := REQUEST.match(line))]

    def entries(self) -> Iterator[Entry]:
        """Everything but the request lines."""
        entry: Entry | None = None
        for line in self.lines:
            if REQUEST.match(line):
                continue
            if DATED.match(line) or entry is None:
                if entry:
                    yield entry
                entry = Entry(line)
            else:
                entry.more.append(line)
        if entry:
            yield entry

    def entry(self, pattern: str) -> Entry:
        """The first entry with `pattern` in its first line."""
        found = next((entry for entry in self.entries() if re.search(pattern, entry.line)), None)
        assert found, f"no entry with {pattern!r} in the log:\n{self.text}"
        return found

    def check(self) -> None:
        """Every line was expected, and every expected line came."""
        missing = [pattern for pattern in self._expected if not any(re.search(pattern, x) for x in self.lines)]
        assert not missing, f"not in the log: {missing}\n{self.text}"
        surprises = [entry.text for entry in self.entries() if not self._is_known(entry)]
        assert not surprises, "nobody expected in the log:\n" + "\n".join(surprises)

    def _is_known(self, entry: Entry) -> bool:
        # Of the standard library's errors, people get the words (base::reason).
        if "panicked" in entry.text or "(os error " in entry.text:
            return False
        if any(re.search(pattern, entry.line) for pattern in self._expected):
            return True
        more = [line for line in entry.more if not any(re.search(pattern, line) for pattern in self._expected)]
        ordinary = any(re.match(pattern, entry.head) for pattern in ORDINARY)
        return ordinary and (not more or entry.head.startswith("status: "))
