"""Files that root opens where others may write: what they put there is never written to, given away or waited
for."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import Signals

import pytest

from harness import procs
from harness.wait import until

NOBODY = pwd.getpwnam("nobody")
SECRET = "only root may read this\n"
AS_NOBODY = {"uid": "nobody", "gid": str(NOBODY.pw_gid)}


def owned(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@pytest.fixture
def theirs(public, tmp_path_factory):
    """A directory that the application's user may write to, below one that everybody may enter."""
    directory = public.directory / f"theirs-{os.urandom(4).hex()}"
    directory.mkdir()
    os.chown(directory, NOBODY.pw_uid, NOBODY.pw_gid)
    return directory


@pytest.fixture
def secret(theirs):
    """A file of root's, on the same file system."""
    made = theirs.parent / f"secret-{theirs.name}"
    made.write_text(SECRET)
    made.chmod(0o600)
    yield made
    assert made.read_text() == SECRET
    assert owned(made) == (0, 0, 0o600)


def as_nobody(act: Callable[[], object]) -> None:
    """Lets the application's user act."""
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            os.setgroups([])
            os.setgid(NOBODY.pw_gid)
            os.setuid(NOBODY.pw_uid)
            act()
            status = 0
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def refuses(start, public, message: str, **options) -> None:
    """The server does not start, and says why."""
    server = start(module="environment:facts", **public.options, **options)
    server.status = 1
    assert server.wait_exit() == 1
    server.log.wait(message)


LINK = "is a symlink that others than root can change, .*; name the place that it leads to"
HARD_LINK = r"has another name elsewhere \(a hard link\).*; remove it"
NO_FILE = "is no regular file, and others than root may have made it; remove it"
NO_READER = "it is a FIFO from which nobody reads"

# Each file that the master opens for writing while it is root, and the options under which it is root then.
FILES = {
    "pidfile": AS_NOBODY,
    "safe-pidfile": AS_NOBODY,
    "pidfile2": {},
    "logto": AS_NOBODY,
    "logto2": {},
    "daemonize": AS_NOBODY,
}


def put(how: str, theirs: Path, secret: Path) -> Path:
    """What the application's user makes of a file's name."""
    path = theirs / "file"
    if how == "symlink":
        as_nobody(lambda: path.symlink_to(secret))
    elif how == "dangling":
        as_nobody(lambda: path.symlink_to(secret.with_name("made-by-root")))
    elif how == "directory":
        as_nobody(lambda: (theirs / "below").symlink_to(secret.parent))
        path = theirs / "below" / secret.name
    elif how == "hard link":
        # Nobody may do so himself where fs.protected_hardlinks is set.
        os.link(secret, path)
    elif how == "fifo":
        as_nobody(lambda: os.mkfifo(path))
    return path


@pytest.mark.root
@pytest.mark.parametrize("option", FILES)
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("symlink", LINK),
        ("dangling", LINK),
        ("directory", LINK),
        ("hard link", HARD_LINK),
        ("fifo", NO_READER),
    ],
    ids=["symlink", "dangling", "directory", "hard link", "fifo"],
)
def test_root_writes_to_nothing_that_others_put_there(start, public, theirs, secret, option, how, message):
    path = put(how, theirs, secret)
    refuses(start, public, f"cannot write .*{message}", **{option: path}, **FILES[option])
    assert not secret.with_name("made-by-root").exists()
    if how == "hard link":
        path.unlink()


@pytest.mark.root
@pytest.mark.parametrize(("how", "message"), [("symlink", LINK), ("fifo", NO_READER)])
def test_a_pid_file_that_is_refused_when_the_server_is_ready(boot, public, theirs, secret, how, message):
    """It serves on."""
    path = put(how, theirs, secret)
    server = boot(module="environment:facts", **public.options, safe_pidfile2=path)
    server.log.wait(f"cannot write safe-pidfile2 {path}: .*{message}")
    assert server.request().status == 200


@pytest.mark.root
def test_a_fifo_with_a_reader_is_no_log_of_roots(start, public, theirs, secret):
    path = put("fifo", theirs, secret)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    refuses(start, public, NO_FILE, logto=path, **AS_NOBODY)
    os.close(reader)


@pytest.mark.root
def test_a_pid_file_that_is_there_keeps_its_owner(boot, public, theirs):
    """It may have been something else before somebody gave it this name."""
    (theirs / "pid").write_text("what was in it, and longer than a number\n")
    (theirs / "pid").chmod(0o600)
    server = boot(module="environment:facts", **public.options, pidfile=theirs / "pid", **AS_NOBODY)
    assert (theirs / "pid").read_text() == f"{server.pid}\n"
    assert owned(theirs / "pid") == (0, 0, 0o600)


@pytest.mark.root
def test_a_safe_pid_file_is_kept_until_the_server_is_ready(start, boot, public, theirs):
    path = theirs / "pid"
    path.write_text("1\n")
    options = public.options | AS_NOBODY | {"safe_pidfile": path}
    server = start(module="no_such_module", need_app=True, **options)
    server.status = 22
    assert server.wait_exit() == 22
    server.log.accept_anything()
    assert path.read_text() == "1\n"
    server = boot(module="environment:facts", **options)
    until(lambda: path.read_text() == f"{server.pid}\n", "the pid")
    # No child of the master can write to it.
    for pid in server.worker_pids():
        assert str(path) not in procs.descriptors(pid)


@pytest.mark.root
@pytest.mark.parametrize("is_writable", [True, False])
def test_a_server_that_cannot_start_leaves_no_safe_pid_file(start, public, theirs, is_writable):
    """Root has made it, and the application's user removes it where that is allowed."""
    if not is_writable:
        os.chown(theirs, 0, 0)
    options = public.options | AS_NOBODY | {"safe_pidfile": theirs / "pid"}
    server = start(module="no_such_module", need_app=True, **options)
    server.status = 22
    assert server.wait_exit() == 22
    server.log.accept_anything()
    assert (theirs / "pid").exists() is not is_writable
    if not is_writable:
        server.log.find(f"cannot remove safe-pidfile {theirs}/pid, which is empty: Permission denied")


@pytest.mark.root
def test_new_files_belong_to_whom_they_did(boot, public, theirs):
    server = boot(
        module="environment:facts",
        **public.options,
        pidfile=theirs / "pid",
        logto=theirs / "log",
        umask="027",
        **AS_NOBODY,
    )
    assert owned(theirs / "pid") == (NOBODY.pw_uid, NOBODY.pw_gid, 0o640)
    assert owned(theirs / "log") == (0, 0, 0o640)
    assert (theirs / "pid").read_text() == f"{server.pid}\n"


@pytest.mark.root
def test_symlinks_of_roots_are_followed(boot, public, tmp_path):
    """/var/run is one, and so are logs that lead to another disk, and a container's /dev/stdout."""
    below = public.directory / f"real-{tmp_path.name}"
    below.mkdir()
    link = public.directory / f"link-{tmp_path.name}"
    link.symlink_to(below.name)
    (below / "log").symlink_to(below / "real log")
    server = boot(
        module="environment:facts", **public.options, pidfile=link / "pid", logto=link / "log", socket=link / "s"
    )
    assert (below / "pid").read_text() == f"{server.pid}\n"
    until(lambda: "serves environment:facts" in (below / "real log").read_text(), "the line of the start")
    assert (below / "s").is_socket()


@pytest.mark.root
@pytest.mark.parametrize("path", ["/dev/stdout", "/proc/self/fd/1", "/dev/stderr", "/dev/null"])
def test_the_log_may_be_a_standard_stream(boot, path):
    server = boot("hello", logto=path)
    assert server.request().status == 200
    if path != "/dev/null":
        server.log.wait("serves hello:application")


@pytest.mark.root
@pytest.mark.parametrize("how", ["reload", "touch"])
def test_a_log_that_became_a_link_is_not_reopened(boot, public, theirs, secret, how):
    """The master is root all the time: the application's user changes the name under which the log is opened anew."""
    log, trigger = theirs / "log", theirs / "trigger"
    trigger.touch()
    means = {"log_reopen": True} if how == "reload" else {"touch_logreopen": trigger}
    master = AS_NOBODY | {"master_as_root": True, "logto": log}
    server = boot(module="environment:facts", **public.options, **master, **means)
    as_nobody(lambda: (log.rename(theirs / "old"), log.symlink_to(secret)))
    if how == "reload":
        server.signal(Signals.SIGHUP)
    else:
        os.utime(trigger, (1, 1))
    until(lambda: f"cannot open {log} anew" in (theirs / "old").read_text(), "the refusal")
    assert "is a symlink that others than root can change" in (theirs / "old").read_text()
    assert server.request().status == 200


# ── sockets ──


@pytest.mark.root
def test_a_socket_below_a_link_of_others(start, public, theirs, secret):
    as_nobody(lambda: (theirs / "below").symlink_to(secret.parent))
    refuses(start, public, f"cannot listen on .*{LINK}", socket=theirs / "below" / "s")
    assert not (secret.parent / "s").exists()


def bound(directory: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(directory / "s"))
    return made


def test_the_socket_of_a_server_that_is_gone_is_replaced(boot, tmp_path):
    bound(tmp_path).close()
    server = boot("hello", uwsgi=False, socket=tmp_path / "s", chmod_socket="640")
    server.log.wait(f"serves hello:application on uwsgi {tmp_path / 's'} ")
    assert os.listdir(tmp_path) == ["s"]
    assert owned(tmp_path / "s")[2] == 0o640


def test_the_socket_of_a_living_server_is_left_alone(start, tmp_path):
    with bound(tmp_path) as living:
        living.listen()
        server = start("hello", uwsgi=False, socket=tmp_path / "s")
        server.status = 1
        assert server.wait_exit() == 1
        server.log.wait("another server listens there")
    assert os.listdir(tmp_path) == ["s"]


@pytest.mark.parametrize(("umask", "mode"), [("022", 0o755), ("007", 0o770), ("077", 0o700)])
def test_umask_makes_the_mode_of_a_socket(boot, tmp_path, umask, mode):
    boot("hello", uwsgi=False, socket=tmp_path / "s", umask=umask)
    assert owned(tmp_path / "s")[2] == mode


def test_a_socket_with_the_longest_path(boot, tmp_path):
    path = tmp_path / ("x" * (107 - len(str(tmp_path)) - 1))
    boot("hello", uwsgi=False, socket=path)
    assert path.is_socket()


@pytest.mark.root
def test_chown_socket_of_the_group_alone(boot, tmp_path):
    """As in docs/nginx.md."""
    boot("hello", uwsgi=False, socket=tmp_path / "s", chown_socket=f":{NOBODY.pw_gid}")
    assert owned(tmp_path / "s")[:2] == (os.getuid(), NOBODY.pw_gid)


@pytest.mark.root
def test_who_may_not_give_a_socket_away_is_told(start, public, theirs):
    ids = [f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]
    options = public.options | {"command": ["setpriv", *ids, *public.options["command"]]}
    ini = theirs / "a.ini"
    ini.write_text(f"[uwsgi]\nsocket = {theirs}/s\nchown-socket = root:root\n")
    server = start(None, f"--ini={ini}", uwsgi=False, module="environment:facts", **options)
    server.status = 1
    assert server.wait_exit() == 1
    server.log.wait(f'{ini}:3: option "chown-socket": Operation not permitted; only root gives a socket')
    assert os.listdir(theirs) == ["a.ini"]


# ── the end ──


@pytest.mark.root
def test_vacuum_says_what_it_cannot_remove(boot, public):
    """The directory is root's, and the server is not root any more."""
    directory = public.directory / f"roots-{os.urandom(4).hex()}"
    directory.mkdir()
    files = {"socket": directory / "s", "pidfile": directory / "pid"}
    server = boot(uwsgi=False, module="environment:facts", **public.options, **files, vacuum=True, **AS_NOBODY)
    server.signal(Signals.SIGTERM)
    assert server.wait_exit() == 0
    server.log.wait(f"vacuum cannot remove the socket {directory}/s: Permission denied")
    server.log.wait(f"vacuum cannot remove pidfile {directory}/pid: Permission denied")


@pytest.mark.root
def test_vacuum_removes_nothing_that_others_put_there(boot, public, theirs, secret):
    files = {"socket": theirs / "s", "pidfile": theirs / "pid"}
    server = boot(uwsgi=False, module="environment:facts", **public.options, **files, vacuum=True)
    for name in ("s", "pid"):
        (theirs / name).unlink()
    as_nobody(lambda: ((theirs / "s").symlink_to(secret), os.mkfifo(theirs / "pid")))
    server.signal(Signals.SIGTERM)
    # Nobody reads from or writes to the FIFO.
    assert server.wait_exit() == 0
    assert sorted(os.listdir(theirs)) == ["pid", "s"]


# ── names of nobody ──


@pytest.mark.root
@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("uid", "no-such-user", 'user "no-such-user"'),
        ("gid", "no-such-group", 'group "no-such-group"'),
        ("chown-socket", "no-such-user", 'user "no-such-user"'),
        ("chown-socket", ":no-such-group", 'group "no-such-group"'),
    ],
)
def test_who_does_not_exist_is_an_error_of_the_configuration(start, tmp_path, option, value, what):
    (tmp_path / "a.ini").write_text(f"[uwsgi]\nsocket = {tmp_path}/s\n{option} = {value}\n")
    server = start("hello", f"--ini={tmp_path}/a.ini", uwsgi=False)
    server.status = 1
    assert server.wait_exit() == 1
    server.log.wait(f'a.ini:3: option "{option}": there is no {what}; name one that exists, or write its number')
    assert not (tmp_path / "s").exists()


# ── whom root signals ──


@pytest.mark.root
def test_a_worker_cannot_speak_for_the_zygote(boot, public):
    server = boot(module="forger", **public.options, master_as_root=True, processes=2, **AS_NOBODY)
    assert server.request().text == "0"


@pytest.mark.root
def test_root_signals_no_process_that_the_application_names(start, public):
    with subprocess.Popen(["sleep", "60"]) as victim:
        options = public.options | {"env": public.options["env"] | {"VICTIM": str(victim.pid)}}
        server = start(module="forger", **options, master_as_root=True, processes=2, **AS_NOBODY)
        server.status = 1
        server.log.wait(f"told that process {victim.pid} is a worker, which is not its child: killing the zygote")
        assert server.wait_exit() == 1
        # A worker of the zygote that was killed finds that it has no slot.
        until(lambda: not server.processes, "the last process to leave")
        server.log.accept_anything()
        assert victim.poll() is None
        victim.kill()
