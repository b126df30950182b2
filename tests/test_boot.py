"""A server that cannot start says why, ends with a status that tells, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from conftest import MYSITE
from harness.server import APPS

LAZY = [{}, {"lazy_apps": True, "processes": 2}, {"threads": 2}]
NO_APP = 22


def fails(start, status: int, *patterns: str, **options) -> str:
    """Starts a server that must end by itself with this status and these lines in its log."""
    server = start(**options)
    server.status = status
    assert server.wait_exit() == status
    for pattern in patterns:
        server.log.wait(pattern)
    server.log.accept_anything()
    assert "panicked" not in server.log.text
    assert server.notifications.poll() in (None, "STOPPING=1")
    return server.log.text


@pytest.mark.parametrize("options", LAZY, ids=str)
def test_a_missing_module(start, options):
    text = fails(
        start,
        NO_APP,
        r"cannot load the application from module no_such_module \(command line, mountpoint ''\)",
        "^  ModuleNotFoundError: No module named 'no_such_module'$",
        "There is no module no_such_module in .*: set chdir or pythonpath",
        "the application cannot be loaded; nothing to serve, stopping",
        app="no_such_module",
        **options,
    )
    assert "for want of memory" not in text


def test_a_module_that_misses_another(start, tmp_path):
    """Then chdir and pythonpath are not what is wrong."""
    (tmp_path / "needy.py").write_text("import no_such_module\n")
    text = fails(start, NO_APP, "No module named 'no_such_module'", module="needy", pythonpath=tmp_path)
    assert "set chdir or pythonpath" not in text


@pytest.mark.parametrize("options", LAZY, ids=str)
def test_a_missing_callable(start, options):
    fails(start, NO_APP, "module 'hello' has no attribute 'missing'", app="hello:missing", **options)


def test_the_package_instead_of_its_module(start, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "wsgi.py").touch()
    fails(start, NO_APP, "There is a module shop.wsgi: say so with module", module="shop", pythonpath=tmp_path)


def test_a_callable_that_is_none(start):
    fails(start, NO_APP, "BODIES is no WSGI application: dict objects cannot be called", app="bodies:BODIES")


def test_a_syntax_error(start, tmp_path):
    (tmp_path / "broken.py").write_text("def (\n")
    fails(start, NO_APP, 'broken.py", line 1$', "^  SyntaxError: ", module="broken", pythonpath=tmp_path)


def test_a_missing_file(start, tmp_path):
    patterns = f"cannot load the application from file {tmp_path}/no.py", f"there is no file {tmp_path}/no.py$"
    fails(start, NO_APP, *patterns, wsgi_file=tmp_path / "no.py")


def test_one_bad_mount_is_enough(start):
    options = {"mount": ["/a=hello:application", "/b=no_such_module:application"], "pythonpath": APPS}
    fails(start, NO_APP, "No module named 'no_such_module'", "mountpoint '/b'", **options)


def test_no_application_at_all(start):
    fails(start, NO_APP, "no application is named: use module, wsgi-file or mount")


@pytest.mark.parametrize("options", LAZY[:2], ids=str)
def test_an_application_that_kills_its_process(start, tmp_path, options):
    (tmp_path / "dies.py").write_text("import os\nos._exit(7)\n")
    fails(start, 1, "ended with status 7", "nothing to serve, stopping", module="dies", pythonpath=tmp_path, **options)


@pytest.mark.parametrize("options", LAZY[:2], ids=str)
def test_an_application_that_exits_while_it_is_imported(start, tmp_path, options):
    (tmp_path / "exits.py").write_text("import sys\nsys.exit('configuration missing')\n")
    fails(start, NO_APP, "SystemExit: configuration missing", module="exits", pythonpath=tmp_path, **options)


@pytest.mark.parametrize("options", LAZY[:2], ids=str)
def test_an_application_that_does_not_get_ready(start, tmp_path, options):
    (tmp_path / "hangs.py").write_text("import threading\nthreading.Event().wait()\n")
    fails(start, 1, "nothing to serve, stopping", module="hangs", pythonpath=tmp_path, boot_timeout=1, **options)


def test_a_backlog_that_the_kernel_cuts(boot):
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    server = boot("hello", listen=most + 1)
    server.log.expect(rf"warning: listen = {most + 1} is more than the kernel allows: {most} connections can wait")


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"chdir": "/no/such"}, "cannot chdir to /no/such: No such file or directory"),
        ({"pidfile": "/no/such/pid"}, "cannot write pidfile /no/such/pid: No such file or directory"),
        ({"logto": "/no/such/log"}, "cannot write the log to /no/such/log: No such file or directory"),
        ({"uid": "no-such-user"}, 'option "uid": there is no user "no-such-user"'),
        ({"gid": "no-such-group"}, 'option "gid": there is no group "no-such-group"'),
    ],
    ids=str,
)
def test_what_the_system_refuses(start, options, pattern):
    fails(start, 1, pattern, app="hello", **options)


def test_a_virtualenv_that_is_none(start, tmp_path):
    fails(start, NO_APP, f"{tmp_path} is no virtualenv of Python", app="hello", virtualenv=tmp_path)


# ── the command line ──


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rwsgi", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, cwd=cwd)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--proceses=2"], 'rwsgi: command line: unknown option "--proceses"; did you mean "processes"?\n'),
        (
            ["--processes=two"],
            'rwsgi: command line: option "processes": "two" is not a whole number; write digits only',
        ),
        (["--processes"], 'rwsgi: command line: option "processes"'),
        (["--socket=127.0.0.1:notaport"], 'option "socket": "127.0.0.1:notaport" is no address'),
        (["--http=0.0.0.0"], 'option "http": "0.0.0.0" has no port; write 0.0.0.0:8000'),
        (["--harakiri=soon"], 'option "harakiri"'),
        (["--chmod-socket=999"], 'option "chmod-socket"'),
        (["--ini=/no/such.ini"], "/no/such.ini"),
    ],
    ids=str,
)
def test_what_is_wrong_on_the_command_line(words, message):
    done = run("--module=hello", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def manage(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "rwsgi", *words]
    env = {**os.environ, "MYSITE_DATA": str(data)}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=MYSITE, env=env)


def test_the_management_command(tmp_path):
    done = manage(tmp_path, "0", "--threads=2", "--no-server", "--show-config")
    assert done.returncode == 0, done.stderr
    for line in ("module = mysite.wsgi:application", "http = 127.0.0.1:0", "threads = 2"):
        assert f"\n{line}\n" in done.stdout


def test_the_management_command_needs_an_address(tmp_path):
    done = manage(tmp_path, "nonsense")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'CommandError: "nonsense" is no address: write a port, or address:port\n'


def test_the_version():
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{version('rwsgi')}\n"


def test_the_help():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--processes" in done.stdout


def test_an_unknown_option_in_a_file_is_named_with_its_line(start, tmp_path):
    ini = tmp_path / "site.ini"
    ini.write_text("[uwsgi]\nmodule = hello\nprocesess = 2\n")
    server = start("hello", ini=ini).wait_ready()
    server.log.wait(rf'warning: {ini}:3: unknown option "procesess"; did you mean "processes"\?')
    done = run(f"--ini={ini}", "--strict")
    assert (done.returncode, done.stderr) == (
        1,
        f'rwsgi: {ini}:3: unknown option "procesess"; did you mean "processes"?\n',
    )


def test_the_first_line_says_what_is_served_and_where(boot):
    server = boot("hello", processes=3, threads=2)
    line = server.log.wait(r"rwsgi (\S+) serves (\S+) on (.+) \((.+)\)")
    places = f"uwsgi 127.0.0.1:{server.address[1]}"
    assert line.groups()[1:] == ("hello:application", places, f"master {server.pid}, 3 workers × 2 threads")
    assert len(server.log.lines) == 1
