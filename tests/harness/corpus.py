"""The cases of tests/corpus (its README says what is in them)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "corpus"
ESCAPES = {r"\\": "\\", r"\r": "\r", r"\n": "\n", r"\t": "\t"}


@dataclass
class Case:
    name: str
    data: bytes
    # One for each request of the connection.
    expected: list[list[tuple[str, str]]]

    def all(self, key: str, request: int = 0) -> list[str]:
        return [value for name, value in self.expected[request] if name == key]

    def one(self, key: str, request: int = 0) -> str | None:
        found = self.all(key, request)
        return found[0] if found else None


def unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        found = match[0]
        return chr(int(found[2:], 16)) if found[1] == "x" else ESCAPES[found]

    return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", one, text)


def _block(text: str) -> list[tuple[str, str]]:
    pairs = (line.split(": ", 1) for line in text.splitlines())
    return [(key, unescape(value)) for key, value in pairs]


def cases(folder: str) -> list[Case]:
    suffix = "." + folder.split("/")[0]
    found = []
    for path in sorted((ROOT / folder).glob("*" + suffix)):
        blocks = path.with_suffix(".expect").read_text().rstrip("\n").split("\n\n")
        found.append(Case(path.stem, path.read_bytes(), [_block(block) for block in blocks]))
    assert found, f"no cases in {folder}"
    return found
