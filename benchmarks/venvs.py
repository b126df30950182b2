"""A virtualenv a peer, built once from PyPI and kept in the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


class CannotInstall(Exception):
    """A peer's packages could not be built here."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rwsgi-bench"


def tag(python: str) -> str:
    code = "import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_config_var('SOABI'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def ensure(peer: str, requirements: tuple[str, ...], python: str) -> Path:
    """The directory of the peer's virtualenv, which is built anew when Python or the requirements changed."""
    place = cache() / peer
    stamp = place / "built-from"
    wanted = "\n".join([tag(python), *requirements])
    if stamp.exists() and stamp.read_text() == wanted:
        return place
    shutil.rmtree(place, ignore_errors=True)
    print(f"building the virtualenv of {peer} ({', '.join(requirements)})", flush=True)
    run([python, "-m", "venv", str(place)], peer)
    run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements], peer)
    stamp.write_text(wanted)
    return place


def run(command: list[str], peer: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise CannotInstall(f"{peer}: {' '.join(command[-3:])} failed:\n{done.stdout[-2000:]}")


def compile_c(source: Path) -> Path:
    binary = cache() / source.stem
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(binary), str(source)], source.stem)
    return binary
