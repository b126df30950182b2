"""`rwsgi check` in the Python that the server would run in: what it knows of modules, and whether they load."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.core


@pytest.fixture
def site(tmp_path):
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "__init__.py").touch()
    (tmp_path / "mysite" / "wsgi.py").write_text("print('imported')\ndef application(environ, start): ...\n")
    (tmp_path / "mysite" / "broken.py").write_text("raise RuntimeError('out of order')\n")
    (tmp_path / "library.cpython-399-x86_64-linux-gnu.so").touch()
    return tmp_path


def check(site: Path, text: str, *flags: str, cwd: Path | None = None):
    (site / "site.ini").write_text(f"[uwsgi]\nhttp = 127.0.0.1:8099\n{text}\n")
    command = [sys.executable, "-m", "rwsgi", "check", "--output=json", *flags, str(site / "site.ini")]
    done = subprocess.run(command, cwd=cwd or site, capture_output=True, text=True, timeout=30)
    report = json.loads(done.stdout)
    return done, [(finding["severity"], finding["line"], finding["text"]) for finding in report["findings"]]


@pytest.mark.parametrize("module", ["mysite.wsgi", "mysite", "json.decoder", "rwsgi.cli", "sys", "library"])
def test_modules_that_are_there(site, module):
    done, findings = check(site, f"module = {module}")
    assert (done.returncode, findings) == (0, [])


def test_a_missing_module_is_an_error(site):
    version = ".".join(map(str, sys.version_info[:2]))
    for module, place in [
        ("mysyte.wsgi", f'there is no "mysyte" in {site}, nor anywhere else where Python {version} looks'),
        ("mysite.wsgy", f'there is no "wsgy" in {site}/mysite'),
        ("mysite.wsgi.deeper", f'there is no "wsgi" in {site}/mysite'),
        ("json.encodings", 'there is no "encodings" in '),
    ]:
        done, findings = check(site, f"chdir = {site}\nmodule = {module}", cwd=Path("/"))
        assert done.returncode == 2, module
        ((severity, line, text),) = findings
        assert (severity, line) == ("error", 4)
        assert text.startswith(f'module "{module}" is not there: {place}'), text


def test_places_of_files_are_looked_at(site):
    text = "module = mysite.wsgi\nstatic-map = /static={}\nstatic-map = /there=mysite\nstatic-safe = {}"
    done, findings = check(site, text.format("statik", "/nowhere"))
    places = [("static-map", 4, f"{site}/statik"), ("static-safe", 6, "/nowhere")]
    assert done.returncode == 0
    assert findings == [("warning", line, f'option "{name}": "{path}" does not exist') for name, line, path in places]


def test_chdir_and_pythonpath_count(site):
    _, findings = check(site, "module = mysite.wsgi", cwd=Path("/"))
    assert 'there is no "mysite" in /, nor' in findings[0][2]
    for line in (f"chdir = {site}", f"pythonpath = {site}", f"chdir = /\npp = {site}"):
        assert check(site, f"{line}\nmodule = mysite.wsgi", cwd=Path("/"))[1] == []


def test_virtualenv_counts_with_its_pth_files(site, tmp_path):
    home = tmp_path / "env"
    venv.create(home, symlinks=True)
    packages = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "inside.py").touch()
    (packages / "more.pth").write_text(f"import sys\n{site / 'aside'}\n")
    (site / "aside").mkdir()
    (site / "aside" / "by_pth.py").touch()
    for module in ("inside", "by_pth"):
        assert check(site, f"module = {module}")[0].returncode == 2
        assert check(site, f"virtualenv = {home}\nmodule = {module}")[1] == []
    # What the hook of an editable installation would find is not known here.
    (packages / "__editable___project_finder.pth").write_text("import __editable___project_finder; ...\n")
    ((severity, _, text),) = check(site, f"virtualenv = {home}\nmodule = elsewhere")[1]
    assert severity == "warning"
    assert text.endswith("; the Python that starts rwsgi must find it elsewhere")


def test_virtualenv_of_another_python(site, tmp_path):
    (tmp_path / "old" / "bin").mkdir(parents=True)
    (tmp_path / "old" / "bin" / "python").touch()
    (tmp_path / "old" / "lib" / "python3.4" / "site-packages").mkdir(parents=True)
    done, findings = check(site, f"module = mysite.wsgi\nvirtualenv = {tmp_path}/old")
    assert done.returncode == 2
    assert f'"{tmp_path}/old" is no virtualenv of Python 3.{sys.version_info[1]}' in findings[0][2]


def test_import_proves_that_it_loads(site):
    done, findings = check(site, "module = mysite.wsgi")
    assert "imported" not in done.stdout + done.stderr
    done, findings = check(site, "module = mysite.wsgi", "--import")
    assert (done.returncode, findings, done.stderr) == (0, [], "imported\n")
    done, findings = check(site, "module = mysite.broken", "--import")
    assert done.returncode == 2
    assert findings == [("error", 3, "the application cannot be loaded; the reason is on the standard error")]
    assert "RuntimeError: out of order" in done.stderr
    assert "importlib" not in done.stderr
    # What would not start anyway is not loaded.
    done, findings = check(site, "module = mysite.wsgi\nprocesses = x", "--import")
    assert "imported" not in done.stderr
