"""A real site: what `wagtail start` makes, with its database and its home page, in the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import venvs
from model import APPS, Setup

REQUIREMENTS = ("wagtail==8.0.1", "Django==5.2.19")
# The template's own settings of production, without what needs a collected set of static files.
LOCAL = """
SECRET_KEY = "for benchmarks only"
ALLOWED_HOSTS = ["*"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SECURE_SSL_REDIRECT = False
"""


def served(setup: Setup, python: str) -> Setup:
    """The site on whatever server: its packages come by PYTHONPATH, so Python must be of the same version."""
    place = venvs.ensure("wagtail", REQUIREMENTS, python)
    site = made(place)
    packages = next(place.glob("lib/python*/site-packages"))
    env = {"PYTHONPATH": f"{site}:{APPS}:{packages}", "DJANGO_SETTINGS_MODULE": "mysite.settings.production"}
    return replace(setup, app="mysite.wsgi:application", chdir=site, env=tuple(env.items()))


def made(place: Path) -> Path:
    """Below the virtualenv, which is built anew with another version."""
    site = place / "site"
    if (site / "made").exists():
        return site
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir()
    python = str(place / "bin" / "python")
    venvs.run([str(place / "bin" / "wagtail"), "start", "mysite", str(site)], "wagtail")
    (site / "mysite" / "settings" / "local.py").write_text(LOCAL)
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "mysite.settings.production"}
    subprocess.run([python, "manage.py", "migrate", "--verbosity=0"], cwd=site, env=env, check=True)
    (site / "made").touch()
    return site
