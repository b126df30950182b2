"""Somebody on the network who takes events that are posted: well, late, badly or not at all."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from .wait import PATIENCE


class Receiver:
    """Answers with one status after the other, with 204 when there are no more; None is no answer at all."""

    def __init__(self, *statuses: int | None, tls: str | None = None) -> None:
        self._statuses = list(statuses)
        self._events: list[dict] = []
        self._paths: list[str] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                status = receiver._take(self.path, json.loads(body))
                if status is None:
                    receiver._closing.wait(PATIENCE)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/hook"
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*tls.split(","))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.address = f"https://localhost:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _take(self, path: str, event: dict) -> int | None:
        with self._changed:
            self._paths.append(path)
            self._events.append(event)
            self._changed.notify_all()
            return self._statuses.pop(0) if self._statuses else 204

    @property
    def events(self) -> list[dict]:
        with self._changed:
            return list(self._events)

    def wait(self, count: int = 1) -> dict:
        """The event that comes as the `count`th."""
        with self._changed:
            come = self._changed.wait_for(lambda: len(self._events) >= count, PATIENCE)
            assert come, f"{len(self._events)} of {count} events came: {self._events}"
            return self._events[count - 1]

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
