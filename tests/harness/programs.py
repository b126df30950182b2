"""Programs that the tests talk to and do not bring along."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {"nginx": "nginx-light", "ab": "apache2-utils"}
BESIDE_PATH = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"


def find(name: str) -> str:
    """The program. In CI its absence is a failure, elsewhere the tests that need it are skipped."""
    program = shutil.which(name) or shutil.which(name, path=BESIDE_PATH)
    if program:
        return program
    advice = f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}"
    if os.environ.get("CI"):
        pytest.fail(advice)
    pytest.skip(advice)
