"""The peers: where each comes from, and how each is started for a given setup."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nginx
import venvs
from model import HERE, REPO, Setup
from venvs import CannotInstall

DJANGO = "Django>=5.2,<5.3"
BACKLOG = 1024
VERSION = "import importlib.metadata as m; print(m.version('{}'))"

Command = Callable[["Home", Setup, Path], list[str]]


@dataclass(frozen=True)
class Home:
    """Where a peer is installed."""

    python: str = ""
    program: str = ""
    version: str = ""
    # Names what is installed, whatever its version says.
    build: str = ""


@dataclass(frozen=True)
class Peer:
    name: str
    protocols: tuple[str, ...]
    command: Command
    requirements: tuple[str, ...] = ()
    program: str = ""  # in the virtualenv's bin
    needs: str = ""  # what to install when the build fails

    def install(self, python: str) -> Home:
        try:
            place = venvs.ensure(self.name, self.requirements, python) / "bin"
        except CannotInstall as error:
            raise CannotInstall(f"{error}\n{self.needs}") from None
        own = str(place / "python")
        version = version_of(own, self.requirements[0])
        return Home(own, str(place / self.program), version, version)

    def is_replaced(self, home: Home) -> bool:
        """Does something else stand there now?"""
        return False


def version_of(python: str, requirement: str) -> str:
    package = requirement.partition("=")[0].partition(">")[0]
    done = subprocess.run([python, "-c", VERSION.format(package)], capture_output=True, text=True)
    if done.returncode:
        raise CannotInstall(f"{python} has no {package}")
    return done.stdout.strip()


def uwsgi_like(setup: Setup) -> list[str]:
    """The flags that uWSGI and rwsgi share."""
    flags = ["--master", "--need-app", "--die-on-term", "--listen", str(BACKLOG)]
    flags += ["--module", setup.app, "--processes", str(setup.processes)]
    flags += ["--threads", str(setup.threads)] if setup.threads > 1 else []
    flags += ["--static-map", f"/static={setup.statics}"] if setup.statics else []
    flags += [] if setup.access_log else ["--disable-logging"]
    return flags


def rwsgi(home: Home, setup: Setup, _: Path) -> list[str]:
    if setup.ini:
        return [*rwsgi_command(home), "--ini", str(setup.ini)]
    where = ["--socket" if setup.protocol == "uwsgi" else "--http-socket", setup.address]
    if setup.tls:
        where = ["--https-socket", f"{setup.address},{setup.certificate},{setup.key}"]
    stream = ["--http-stream-body"] if setup.read_ahead is False else []
    return [*rwsgi_command(home), *where, *uwsgi_like(setup), *stream]


def rwsgi_command(home: Home) -> list[str]:
    return [home.program] if home.program else [home.python, "-m", "rwsgi"]


def uwsgi(home: Home, setup: Setup, _: Path) -> list[str]:
    virtualenv = str(Path(home.python).parent.parent)
    if setup.ini:
        return [home.program, "--ini", str(setup.ini), "--virtualenv", virtualenv]
    where = ["--socket", setup.address]
    if setup.protocol == "http":
        # its http-socket closes after every answer; only the router in front keeps connections
        where = ["--http", setup.address, "--http-keepalive"] if setup.keepalive else ["--http-socket", setup.address]
    ahead = ["--post-buffering", "65536"] if setup.read_ahead else []
    return [home.program, *where, *uwsgi_like(setup), *ahead, "--virtualenv", virtualenv]


def gunicorn(home: Home, setup: Setup, _: Path) -> list[str]:
    bind = f"unix:{setup.address}" if setup.protocol == "uwsgi" else setup.address
    flags = ["--protocol", setup.protocol, "--bind", bind, "--backlog", str(BACKLOG)]
    flags += ["--workers", str(setup.processes)]
    keeps = setup.protocol == "http" and setup.keepalive
    threads = 4 if keeps and setup.threads == 1 else setup.threads  # sync workers keep nothing
    flags += ["--worker-class", "gthread", "--threads", str(threads)] if threads > 1 else []
    flags += ["--access-logfile", "-"] if setup.access_log else []
    flags += ["--certfile", setup.certificate, "--keyfile", setup.key] if setup.tls else []
    return [home.program, *flags, setup.app]


def granian(home: Home, setup: Setup, _: Path) -> list[str]:
    flags = ["--interface", "wsgi", "--http", "1", "--no-ws", "--host", setup.host, "--port", setup.port]
    flags += ["--workers", str(setup.processes), "--blocking-threads", str(setup.threads)]
    # Without the second, it holds no more connections than its backlog may.
    flags += ["--backlog", str(BACKLOG), "--backpressure", "65535"]
    flags += ["--access-log" if setup.access_log else "--no-access-log"]
    flags += ["--static-path-mount", setup.statics] if setup.statics else []
    flags += ["--ssl-certificate", setup.certificate, "--ssl-keyfile", setup.key] if setup.tls else []
    return [home.program, *flags, setup.app]


def bjoern(home: Home, setup: Setup, _: Path) -> list[str]:
    script = str(HERE / "apps" / "serve_bjoern.py")
    return [home.python, script, setup.app, setup.host, setup.port, str(setup.processes)]


def limit(home: Home, setup: Setup, _: Path) -> list[str]:
    return [home.program, setup.address, str(setup.processes)]


def nginx_responder(_: Home, setup: Setup, directory: Path) -> list[str]:
    if setup.tls:
        tls = nginx.tls(setup.certificate, setup.key)
        return nginx.write(directory, f"{setup.address} ssl", tls + nginx.responder(setup.statics))
    return nginx.write(directory, setup.address, nginx.responder(setup.statics))


class Rwsgi(Peer):
    """Not from PyPI: the one that is being built here."""

    def install(self, python: str) -> Home:
        script = str(Path(python).parent / self.program) if self.program else ""
        return Home(python, script, f"{version_of(python, 'rwsgi')} ({revision()})", build_of(python))

    def is_replaced(self, home: Home) -> bool:
        try:
            return build_of(home.python) != home.build
        except (OSError, subprocess.SubprocessError):
            return True


def build_of(python: str) -> str:
    code = "import rwsgi._rwsgi as m; print(m.__file__)"
    file = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]


class Limit(Peer):
    def install(self, python: str) -> Home:
        return Home(program=str(venvs.compile_c(HERE / "native" / "limit.c")), version="native/limit.c")


class Nginx(Peer):
    def install(self, python: str) -> Home:
        done = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
        return Home(program="nginx", version=done.stderr.rpartition("/")[2].strip())


def revision() -> str:
    command = ["git", "-C", str(REPO), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "no revision"


BOTH = ("uwsgi", "http")
LIBEV = "bjoern needs libev's headers (Debian, Ubuntu: apt-get install libev-dev)."

PEERS = {
    peer.name: peer
    for peer in (
        Rwsgi("rwsgi", BOTH, rwsgi),
        Rwsgi("rwsgi-script", BOTH, rwsgi, program="rwsgi"),
        Peer("uwsgi", BOTH, uwsgi, ("uWSGI==2.0.31", DJANGO), "uwsgi"),
        Peer("gunicorn", BOTH, gunicorn, ("gunicorn==27.0.1", DJANGO), "gunicorn"),
        Peer("granian", ("http",), granian, ("granian==2.8.7", DJANGO), "granian"),
        Peer("bjoern", ("http",), bjoern, ("bjoern==3.2.2", DJANGO), "python", LIBEV),
        Limit("limit", ("uwsgi",), limit),
        Nginx("nginx", ("http",), nginx_responder),
    )
}
