"""Boot the rwsgi that is installed for this Python, ask it for one page and stop it. Every wheel passes this first."""

import http.client
import importlib.metadata
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rwsgi

APP = """
import sys

def application(environ, start_response):
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Gil", str(gil))])
    return [b"hello from ", environ["PATH_INFO"].encode()]
"""
PATIENCE = 30.0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        try:
            self.sock.connect(str(self.path))
        except OSError:
            self.sock.close()
            raise


def connect(path: Path, server: subprocess.Popen[bytes]) -> UnixConnection:
    connection = UnixConnection(path)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.connect()
            return connection
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main() -> None:
    version = importlib.metadata.version("rwsgi")
    assert rwsgi.__version__ == version, (rwsgi.__version__, version)
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "hello.py").write_text(APP)
        path = directory / "http.sock"
        command = [sys.executable, "-m", "rwsgi", "--module", "hello", "--http-socket", str(path), "--processes", "2"]
        server = subprocess.Popen(command, cwd=directory)
        try:
            connection = connect(path, server)
            connection.request("GET", "/smoke")
            response = connection.getresponse()
            body = response.read()
            assert (response.status, body) == (200, b"hello from /smoke"), (response.status, body)
            assert response.getheader("X-Gil") == str(not free_threaded), "loading rwsgi has switched the GIL on"
            connection.close()
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0, server.returncode
        finally:
            server.kill()
    print(f"rwsgi {version} works on {sys.version}")


if __name__ == "__main__":
    main()
