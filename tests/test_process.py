"""What the server does as a process among others: files, names, users, directories, recycling, PID 1."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from pathlib import Path
from signal import Signals

import pytest

from harness import packet, procs
from harness.load import Load
from harness.server import APPS, TESTS
from harness.wait import until


def facts(server, path: str = "/", **more: str) -> dict[str, object]:
    return json.loads(server.request(path, **more).body)


# ── files ──


def test_pidfile(boot, tmp_path):
    server = boot("hello", pidfile=tmp_path / "pid", vacuum=True)
    server.gone.append(tmp_path / "pid")
    assert (tmp_path / "pid").read_text() == f"{server.pid}\n"


def test_the_pidfile_is_there_when_the_server_is_ready_and_not_before_it_can_start(start, tmp_path):
    server = start("no_such_module", pidfile=tmp_path / "pid", vacuum=True)
    server.status = 22
    server.gone.append(tmp_path / "pid")
    server.wait_exit()
    server.log.accept_anything()


def test_logto(boot, tmp_path):
    server = boot("bodies:errors", logto=tmp_path / "log")
    server.request("/page")
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
    text = (tmp_path / "log").read_text()
    for part in (
        "serves bodies:errors",
        "GET /page => generated",
        "printed to stdout",
        "SIGTERM: stopping",
        "has left",
    ):
        assert part in text
    assert server.log.lines == []
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) & 0o137 == 0


def test_logto_appends(boot, tmp_path):
    (tmp_path / "log").write_text("from yesterday\n")
    boot("hello", logto=tmp_path / "log")
    assert (tmp_path / "log").read_text().startswith("from yesterday\n")


def test_daemonize(start, tmp_path):
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    server = start("environment:facts", daemonize=log, pidfile=pidfile, vacuum=True)
    assert server.wait_exit() == 0
    # Its exit status told the truth: the daemon serves already.
    found = facts(server)
    daemon = int(pidfile.read_text())
    assert daemon not in (server.process.pid, found["pid"])
    assert procs.stat(daemon)[3] == str(daemon), "no session of its own"
    assert os.readlink(f"/proc/{daemon}/fd/0") == "/dev/null"
    assert "serves environment:facts" in log.read_text()
    os.kill(daemon, Signals.SIGTERM)
    until(lambda: not procs.is_alive(daemon), "the daemon to end")
    assert not pidfile.exists()
    assert "has left after 1 requests" in log.read_text()


def test_a_daemon_that_cannot_start_says_so_by_its_exit_status(start, tmp_path):
    server = start("no_such_module", daemonize=tmp_path / "log")
    server.status = 22
    assert server.wait_exit() == 22
    assert "No module named 'no_such_module'" in (tmp_path / "log").read_text()


def test_standard_streams_may_be_closed(boot, tmp_path):
    """Otherwise a socket would become descriptor 1, and what is printed would be sent to a client."""
    shell = ["sh", "-c", 'exec "$0" "$@" 0<&- 1>&- 2>&-', sys.executable, "-m", "rwsgi"]
    server = boot("bodies:errors", command=shell, logto=tmp_path / "log")
    assert server.request().headers == [("Content-Type", "text/plain")]
    assert "printed to stdout" in (tmp_path / "log").read_text()
    assert os.readlink(f"/proc/{server.pid}/fd/0") == "/dev/null"


# ── names ──


@pytest.mark.parametrize(
    ("options", "master", "worker"),
    [
        ({"auto_procname": True}, "rwsgi master", "rwsgi worker 1"),
        ({"procname": "site"}, "site", "site"),
        ({"procname": "site", "procname_master": "boss"}, "boss", "site"),
        ({"auto_procname": True, "procname_prefix": "a-"}, "a-rwsgi master", "a-rwsgi worker 1"),
        ({"auto_procname": True, "procname_prefix_spaced": "a"}, "a rwsgi master", "a rwsgi worker 1"),
        ({"auto_procname": True, "procname_append": " z"}, "rwsgi master z", "rwsgi worker 1 z"),
    ],
    ids=str,
)
def test_names(boot, options, master, worker):
    server = boot("hello", **options)
    assert procs.title(server.pid) == master
    assert procs.title(server.worker_pids()[0]) == worker


def test_without_a_name_the_command_line_stays(boot):
    server = boot("hello")
    assert "-m rwsgi --socket=fd://" in procs.title(server.pid)
    assert "-m rwsgi --socket=fd://" in procs.title(server.worker_pids()[0])


# ── users ──


@pytest.mark.root
@pytest.mark.parametrize("spelling", ["name", "number", "without gid"])
def test_uid_and_gid(boot, public, spelling):
    nobody = pwd.getpwnam("nobody")
    uid = str(nobody.pw_uid) if spelling == "number" else "nobody"
    gid = {} if spelling == "without gid" else {"gid": str(nobody.pw_gid)}
    pidfile = public.directory / f"pid of {spelling}"
    server = boot(module="environment:facts", **public.options, uid=uid, pidfile=pidfile, **gid)
    assert pidfile.read_text() == f"{server.pid}\n"
    found = facts(server)
    assert (found["uid"], found["gid"]) == (nobody.pw_uid, nobody.pw_gid)
    assert 0 not in found["groups"]
    assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in Path(f"/proc/{server.pid}/status").read_text()
    server.reload()
    assert facts(server)["uid"] == nobody.pw_uid


@pytest.mark.root
def test_uid_of_nobody_in_the_database(boot, public):
    """As in containers: the first group stays, further groups of root's do not."""
    server = boot(module="environment:facts", **public.options, uid="54321")
    found = facts(server)
    assert (found["uid"], found["gid"], found["groups"]) == (54321, os.getgid(), [])


@pytest.mark.root
def test_gid(boot):
    gid = pwd.getpwnam("nobody").pw_gid
    server = boot("environment:facts", gid=str(gid))
    assert facts(server)["gid"] == gid
    assert f"Gid:\t{gid}\t{gid}\t{gid}" in Path(f"/proc/{server.pid}/status").read_text()


@pytest.mark.root
@pytest.mark.parametrize("lazy", [False, True])
def test_master_as_root(boot, lazy):
    """Shown by the group: not every user may read this Python."""
    gid = pwd.getpwnam("nobody").pw_gid
    server = boot("environment:facts", gid=str(gid), master_as_root=True, lazy_apps=lazy)
    found = facts(server)
    assert (found["gid"], found["groups"]) == (gid, [])
    assert "Gid:\t0\t0\t0" in Path(f"/proc/{server.pid}/status").read_text()
    before = set(server.worker_pids())
    server.reload()
    assert facts(server)["gid"] == gid
    assert not before & set(server.worker_pids())


@pytest.mark.root
def test_chown_socket(boot, tmp_path):
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    boot("hello", uwsgi=False, socket=tmp_path / "s", chown_socket=f"nobody:{group}", chmod_socket="660")
    found = (tmp_path / "s").stat()
    assert (found.st_uid, found.st_gid) == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam(group).gr_gid)


@pytest.mark.root
def test_chown_socket_to_an_unknown_owner(start, tmp_path):
    server = start("hello", uwsgi=False, socket=tmp_path / "s", chown_socket="no-such-user")
    server.status = 1
    assert server.wait_exit() == 1
    line = server.log.wait('there is no user "no-such-user"').string
    assert "the directory does not exist" not in line


# ── the application's surroundings ──


def test_chdir(boot, tmp_path):
    (tmp_path / "local_module.py").write_text("from hello import application\n")
    server = boot(None, chdir=tmp_path, module="local_module", pythonpath=APPS)
    assert server.request().body == b"hello"
    server = boot("environment:facts", chdir=tmp_path)
    assert facts(server)["cwd"] == str(tmp_path)


def test_the_working_directory_is_on_the_path(boot, tmp_path):
    (tmp_path / "local_module.py").write_text("from hello import application\n")
    assert boot(None, cwd=tmp_path, module="local_module", pythonpath=APPS).request().body == b"hello"


def test_pythonpath_comes_first_and_the_last_wins(boot, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    path = facts(boot("environment:facts", pythonpath=[str(tmp_path / "one"), str(tmp_path / "two")]))["path"]
    assert path.index(str(tmp_path / "two")) < path.index(str(tmp_path / "one")) < path.index(os.getcwd())


def test_environment(boot):
    server = boot("environment", "--env=FIRST=1", "--env=SECOND=a=b c")
    assert server.request("/?FIRST").text == "1"
    assert server.request("/?SECOND").text == "a=b c"


def test_pyargv(boot):
    assert facts(boot("environment:facts", pyargv="one --two"))["argv"] == ["rwsgi", "one", "--two"]


def test_virtualenv(boot, tmp_path):
    packages = tmp_path / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    packages.mkdir(parents=True)
    (packages / "from_virtualenv.py").write_text("from environment import facts as application\n")
    found = facts(boot("from_virtualenv", virtualenv=tmp_path))
    assert found["prefix"] == str(tmp_path)
    assert found["path"].index(str(packages)) < found["path"].index(next(p for p in sys.path if "site-packages" in p))
    assert found["executable"] == sys.executable


def test_wsgi_file(boot):
    assert boot(None, wsgi_file=APPS / "hello.py").request().body == b"hello"
    assert facts(boot(None, wsgi_file=APPS / "environment.py", callable="facts"))["path_info"] == "/"


def test_the_interpreter_is_the_one_that_started_it(boot):
    assert facts(boot("environment:facts"))["executable"] == sys.executable


@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}, {"lazy": True}], ids=str)
def test_the_application_is_loaded_as_often_as_said(boot, tmp_path, options):
    text = "import os\nos.write(2, b'imported\\n')\nfrom hello import application\n"
    (tmp_path / "counted.py").write_text(text)
    server = boot("counted", pythonpath=tmp_path, processes=3, **options)
    server.log.wait("^imported$")
    server.worker_pids()
    assert server.log.lines.count("imported") == (3 if options else 1)


def test_mounts(boot):
    mounts = ["/=hello:application", "/a=environment:facts", f"/a/b={APPS}/environment.py:facts"]
    server = boot(None, mount=mounts, manage_script_name=True, pythonpath=APPS)
    for path, script_name, path_info in [
        ("/a/x", "/a", "/x"),
        ("/a", "/a", ""),
        ("/a/", "/a", "/"),
        ("/a/b/c", "/a/b", "/c"),
        ("/a/bc", "/a", "/bc"),
    ]:
        found = facts(server, path)
        assert (found["script_name"], found["path_info"]) == (script_name, path_info), path
    assert server.request("/ab").body == b"hello"


def test_mounts_without_manage_script_name(boot):
    server = boot("hello", mount="/a=environment:facts")
    assert facts(server, "/a/x", SCRIPT_NAME="/a")["path_info"] == "/a/x"
    assert server.request("/a/x").body == b"hello"


def test_no_default_app(boot):
    server = boot("hello", mount="/a=environment:facts", no_default_app=True)
    assert server.request("/x").body == b"hello"
    assert facts(server, "/a/x", SCRIPT_NAME="/a")["path_info"] == "/a/x"
    assert server.request("/b", SCRIPT_NAME="/b").status == 503
    server.log.wait("GET /b: no application is loaded for it; answered 503")


# ── recycling ──


@pytest.mark.parametrize("options", [{}, {"processes": 3, "threads": 2}, {"lazy_apps": True}], ids=str)
def test_max_requests_replaces_workers_and_loses_nothing(boot, options):
    server = boot("environment:facts", max_requests=40, **options)
    before = set(server.worker_pids())
    with Load(server.address, clients=4) as load:
        # A successor is ready before its predecessor goes, which may take its time.
        until(lambda: set(server.worker_pids()) - before, "a successor")
        seen = load.done
        until(lambda: load.done > seen + 400, "requests to be answered")
    assert load.failures == []
    server.log.wait(r"worker \d+ \(pid \d+\) has served \d+ requests; replaced")
    served = [int(number) for number in re.findall(r"has served (\d+) requests; replaced", server.log.text)]
    assert min(served) >= 40
    server.signal(Signals.SIGTERM)
    server.wait_exit()
    assert len(server.log.requests()) == load.done
    first = [match for match in server.log.requests() if match["request"] == "1"]
    assert len(first) > options.get("processes", 1), "no second worker ever answered"


# ── PID 1 ──

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_unshare() -> bool:
    """Not in every container, whoever one is there."""
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=10).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.root
@pytest.mark.parametrize("options", [{}, {"lazy_apps": True}], ids=str)
def test_as_pid_1_it_reaps_what_is_orphaned(boot, options):
    if not can_unshare():
        pytest.skip("no PID namespace can be made here")
    server = boot("orphans", command=[*UNSHARE, sys.executable, "-m", "rwsgi"], **options)
    (server.master,) = procs.children(server.process.pid)
    server.log.wait(r"\(master 1, ")
    for status in (0, 3, 22):
        assert server.request(f"/?{status}").body == b"left an orphan"
    until(lambda: all(map(procs.is_alive, procs.children(server.pid))), "the orphans to be reaped")
    assert server.request("/?1").status == 200


def test_orphans_are_reaped_without_being_pid_1(boot):
    server = boot("orphans")
    for status in (0, 3, 22):
        assert server.request(f"/?{status}").body == b"left an orphan"
    until(lambda: all(map(procs.is_alive, procs.children(server.pid))), "the orphans to be reaped")


# ── from Python ──

SERVE = """
import sys, rwsgi
sys.path.insert(0, {apps!r})
_, listen = sys.argv[1].split("=")
{code}
print("serve returned", flush=True)
"""


def boot_python(boot, code: str, **options):
    return boot(None, command=[sys.executable, "-c", SERVE.format(apps=str(APPS), code=code)], **options)


@pytest.mark.parametrize(
    "code",
    [
        'rwsgi.serve("hello", socket=listen, pythonpath={apps!r})',
        'rwsgi.serve("hello:application", socket=listen, pythonpath=[{apps!r}], processes=2, threads=2)',
        "from hello import application\nrwsgi.serve(application, socket=listen)",
        "from hello import application\nrwsgi.serve(application, socket=listen, lazy_apps=True, disable_logging=False)",
        'rwsgi.serve(module="hello", socket=listen, pythonpath={apps!r}, uid=None)',
    ],
)
def test_serve(boot, code):
    server = boot_python(boot, code.replace("{apps!r}", repr(str(APPS))))
    assert server.request().body == b"hello"
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
    server.log.expect("^serve returned$")
    assert server.log.lines.count("serve returned") == 1


def test_serve_survives_a_reload(boot):
    server = boot_python(boot, "from hello import application\nrwsgi.serve(application, socket=listen)")
    server.reload()
    assert server.request().body == b"hello"
    server.log.expect("^serve returned$")


def test_finally_of_the_caller_runs_once(boot):
    """In the process that called serve(), not in each worker."""
    code = 'try:\n    rwsgi.serve("hello", socket=listen, processes=3)\nfinally:\n    print("finally", flush=True)'
    server = boot_python(boot, code)
    server.signal(Signals.SIGTERM)
    server.log.expect("^serve returned$", "^finally$")
    assert server.wait_exit() == 0
    assert server.log.lines.count("finally") == 1


def test_serve_raises_when_the_application_cannot_be_loaded(start):
    call = 'rwsgi.serve("no_such_module", socket=listen)'
    code = f'try:\n    {call}\nexcept rwsgi.BootError as error:\n    print("BootError", error)'
    server = start(None, command=[sys.executable, "-c", SERVE.format(apps=str(APPS), code=code)])
    assert server.wait_exit() == 0
    server.log.wait("^BootError the server ended with status 22; its log says why$")
    server.log.accept_anything()


def test_config_errors():
    import rwsgi

    for options, message in [
        ({"proceses": 2}, 'unknown option "proceses"; did you mean "processes"?'),
        ({"processes": "two"}, 'option "processes": "two" is not a whole number; write digits only, such as 4'),
        ({"socket": ["127.0.0.1:x"]}, 'option "socket": "127.0.0.1:x" is no address'),
    ]:
        with pytest.raises(rwsgi.ConfigError, match=re.escape(message)) as caught:
            rwsgi.serve("hello", **options)
        assert isinstance(caught.value, ValueError)
    assert rwsgi.ConfigError.__module__ == "rwsgi"
    with pytest.raises(TypeError, match="app must be a WSGI callable or the name of one"):
        rwsgi.serve(42)


def test_manage_py_rwsgi(boot, tmp_path):
    command = [sys.executable, "manage.py", "rwsgi"]
    site = TESTS.parent / "examples/mysite"
    server = boot(None, command=command, cwd=site, env={"MYSITE_DATA": str(tmp_path)})
    assert (
        server.request("/json/", HTTP_HOST="localhost").body
        == b'{"message": "hello", "numbers": [1, 2, 3], "ok": true}'
    )
    server.log.wait("serves mysite.wsgi:application on uwsgi")


def test_the_console_script(boot):
    script = Path(sys.executable).with_name("rwsgi")
    assert boot("hello", command=[str(script)]).request().body == b"hello"


# ── the request log ──


def test_the_request_line_is_uwsgis(boot):
    server = boot("hello")
    server.request("/a?b=c", "POST", b"body", REMOTE_USER="ann")
    line = server.log.request()
    expected = {
        "pid": str(server.worker_pids()[0]),
        "app": "0",
        "request": "1",
        "total": "1",
        "addr": "192.0.2.7",
        "user": "ann",
        "vars": str(2 * (len(packet.variables()) + 1)),
        "vars_bytes": str(len(packet.block(packet.variables("/a?b=c", "POST", b"body", REMOTE_USER="ann")))),
        "method": "POST",
        "uri": "/a?b=c",
        "body_bytes": "5",
        "unit": "msecs",
        "via": " ",
        "protocol": "HTTP/1.1",
        "status": "200",
        "headers": "1",
        "head_bytes": str(len(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")),
        "core": "0",
    }
    assert {name: line[name] for name in expected} == expected


def test_a_client_cannot_forge_a_line(boot):
    server = boot("hello")
    server.request("/x\n[pid: 1|app: 0|req: 1/1] forged", REMOTE_ADDR="1\r\n2", REMOTE_USER="\x1b[2J\xff")
    assert "forged" in server.log.request("forged")["uri"]
    server.workers()
    assert not any(line.startswith("[pid: 1|") for line in server.log.lines)
    assert "\x1b" not in server.log.text


def test_disable_logging(boot):
    server = boot("hello", disable_logging=True)
    for _ in range(3):
        server.request()
    server.signal(Signals.SIGTERM)
    server.wait_exit()
    assert server.log.requests() == []


def test_log_x_forwarded_for(boot):
    server = boot("hello", log_x_forwarded_for=True)
    server.request(HTTP_X_FORWARDED_FOR="203.0.113.9")
    assert server.log.request()["addr"] == "203.0.113.9"


def test_log_micros(boot):
    server = boot("hello", log_micros=True)
    server.request()
    assert server.log.request()["unit"] == "micros"


def test_no_line_is_lost_at_the_end(boot):
    server = boot("hello", processes=2, threads=2)
    with Load(server.address, clients=3, requests=300) as load:
        load.join()
    server.signal(Signals.SIGTERM)
    server.wait_exit()
    assert len(server.log.requests()) == 300
    assert sorted(int(line["total"]) for line in server.log.requests()) == list(range(1, 301))


def test_lines_of_a_killed_worker_are_not_lost(boot):
    server = boot("hello")
    for _ in range(20):
        server.request()
    (worker,) = until(lambda: [worker for worker in server.workers() if worker.requests == 20], "all to be counted")
    os.kill(worker.pid, Signals.SIGKILL)
    server.log.wait("was killed by SIGKILL")
    server.log.wait("is ready")
    assert len(server.log.requests()) == 20
