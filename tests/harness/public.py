"""What a server needs that has given up root: a Python, rwsgi and the applications where everybody can read them. Those of
the tests may lie in somebody's home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import rwsgi

from .server import APPS

NOT_NEEDED = shutil.ignore_patterns(
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "config-*"
)


class Public:
    """`options` make a `Server` see nothing but this directory; its application is a `module`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        stdlib = Path(sysconfig.get_path("stdlib"))
        (directory / "bin").mkdir()
        shutil.copy(os.path.realpath(sys.executable), directory / "bin/python3")
        shutil.copytree(stdlib, directory / "lib" / stdlib.name, ignore=NOT_NEEDED)
        shared = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("INSTSONAME")
        if shared.suffix != ".a" and shared.exists():
            shutil.copy(shared, directory / "lib")
        shutil.copytree(Path(rwsgi.__file__).parent, directory / "lib" / stdlib.name / "rwsgi")
        shutil.copytree(APPS, directory / "apps")
        subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
        paths = {"PYTHONHOME": "", "LD_LIBRARY_PATH": "lib", "PYTHONPATH": "apps"}
        self.options = {
            "command": [str(directory / "bin/python3"), "-m", "rwsgi"],
            "env": {name: str(directory / path) for name, path in paths.items()},
            "cwd": directory,
        }
