"""Drives the server of scripts/tsan.sh: kept and new connections, uploads, slow and large answers, a stop."""

import http.client
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

APP = """
import time

def application(environ, start_response):
    environ["wsgi.input"].read()
    time.sleep(0.05 if environ["PATH_INFO"] == "/slow" else 0)
    body = b"x" * (1_000_000 if environ["PATH_INFO"] == "/large" else 5)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
THREADS = 4
PATIENCE = 120.0


class Server:
    def __init__(self, directory: Path, processes: int) -> None:
        (directory / "app.py").write_text(APP)
        options = {
            "http-socket": "127.0.0.1:0",
            "processes": processes,
            "threads": THREADS,
            "module": "app:application",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "rwsgi", "--chdir", str(directory), *words]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.log = self.process.stderr
        line = self.wait(" serves app:application on ")
        self.port = int(line.split(" on http://127.0.0.1:")[1].split(" ")[0])
        # The log goes on, and nobody has to hold it up.
        threading.Thread(target=self.log.read, daemon=True).start()

    def wait(self, text: str) -> str:
        for line in self.log:
            if text in line:
                return line
        raise SystemExit("the server did not start")

    def ask(self, rounds: int, keep: bool) -> None:
        paths = ["/", "/slow", "/large"]
        for number in range(rounds):
            if number == 0 or not keep:
                client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            client.request("POST", paths[number % 3], body=b"b" * 3000 * (number % 2))
            answer = client.getresponse()
            assert answer.status == 200, answer.status
            answer.read()


def drive(processes: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name), processes)
        clients = [threading.Thread(target=server.ask, args=(rounds, keep)) for keep in (True, False) * THREADS]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        server.process.send_signal(signal.SIGTERM)
        status = server.process.wait(PATIENCE)
        print(f"{processes} processes: {len(clients) * rounds} requests, exit status {status}")


for count in (1, 2):
    drive(count, int(sys.argv[1]))
