"""Says where the figures come from: numbers without their machine are worth nothing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from peers import Home


def cpu_model() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def first_line(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines()[0] if done.stdout else ""


def python_version(python: str) -> str:
    return first_line(python, "-c", "import sys; print(sys.version.split()[0])")


def describe(homes: dict[str, Home], python: str) -> list[str]:
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    nginx = first_line("nginx", "-v").rpartition("/")[2]
    wrk = re.search(r"wrk\s+(?:debian/)?(\S+)", first_line("wrk", "-v"))
    lines = [
        f"Machine: {cpu_model()}, {os.cpu_count()} CPUs, {memory_gib():.0f} GiB, "
        f"{platform.system()} {kernel}, {platform.machine()}; "
        f"load average at the start {os.getloadavg()[0]:.1f}",
        f"Tools: Python {python_version(python)}, nginx {nginx}, wrk {wrk[1] if wrk else '?'}, "
        f"{first_line('gcc', '--version')}",
    ]
    lines += [f"{name}: {home.version}{other_python(home, python)}" for name, home in homes.items()]
    return lines


def other_python(home: Home, python: str) -> str:
    """A peer on another Python than the rest is worth a word."""
    if not home.python or python_version(home.python) == python_version(python):
        return ""
    return f" on Python {python_version(home.python)}"
