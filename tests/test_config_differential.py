"""The configuration as uWSGI reads it and as rwsgi reads it: the same options, in the same order, with the same values.

Each file of tests/fixtures/config is given to both with ``--show-config``. Files that end in ``.args`` are command
lines. ``differences.txt`` beside them lists where rwsgi means to differ, and why; a difference that has gone must leave
the list.

The variable UWSGI names the binary of the real uWSGI; without it nothing is compared.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.core

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "fixtures" / "config"
END = ";end of configuration"
TIMEOUT = 20

# What the files of the corpus read; nothing else of this environment is passed on.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/home/corpus",
    "CORPUS": "corpus",
    "EMPTY": "",
    "PERCENT": "100%n",
    "FILE": "one-line.txt",
}

OPTIONS = {".ini": "--ini", ".xml": "--xml", ".yaml": "--yaml", ".yml": "--yaml"}


def cases() -> list[Path]:
    suffixes = {*OPTIONS, ".args"}
    return sorted(path for path in CORPUS.iterdir() if path.suffix in suffixes)


def differences() -> dict[str, str]:
    """File name → reason."""
    lines = (CORPUS / "differences.txt").read_text().splitlines()
    entries = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return {name: reason for name, _, reason in entries}


def arguments(path: Path) -> list[str]:
    is_line = path.suffix == ".args"
    given = shlex.split(path.read_text()) if is_line else [OPTIONS[path.suffix], path.name]
    return ["--show-config", "--no-server", *given]


def options(output: str) -> list[str] | None:
    """The lines between the head and the end; None: it ended without showing them."""
    _, start, rest = output.partition("[uwsgi]\n")
    shown, end, _ = rest.partition(END)
    return shown.splitlines() if start and end else None


def shown_by_uwsgi(path: Path) -> list[str] | None:
    """It goes on after showing its configuration, so it is stopped there."""
    process = subprocess.Popen(
        [os.environ["UWSGI"], *arguments(path)],
        cwd=CORPUS,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith(END):
                break
    finally:
        process.kill()
        process.wait(TIMEOUT)
        process.stdout.close()
    text = "".join(lines)
    return options(text[text.find(";uWSGI instance configuration") :])


@pytest.fixture(scope="session")
def show_config() -> str:
    """The program that shows a configuration without Python in it."""
    build = ["cargo", "build", "--quiet", "--no-default-features", "--example", "show_config"]
    try:
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("cargo is not installed")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "debug" / "examples" / "show_config")


def shown_by_rwsgi(program: str, path: Path) -> list[str] | None:
    command = [program, *arguments(path)]
    done = subprocess.run(
        command,
        cwd=CORPUS,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
    )
    assert done.returncode >= 0, f"ended by signal {-done.returncode}: {done.stderr}"
    return options(done.stdout)


@pytest.mark.skipif("UWSGI" not in os.environ, reason="UWSGI names no uWSGI to compare with")
@pytest.mark.parametrize("path", cases(), ids=lambda path: path.name)
def test_both_read_the_same(path: Path, show_config: str) -> None:
    expected, found = shown_by_uwsgi(path), shown_by_rwsgi(show_config, path)
    reason = differences().get(path.name)
    if reason is None:
        assert found == expected
    else:
        assert found != expected, f"it does not differ any more: {reason}"


def test_the_corpus_is_large_and_its_differences_are_known() -> None:
    names = {path.name for path in cases()}
    assert len(names) >= 120
    assert set(differences()) <= names
    assert all(differences().values())


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
