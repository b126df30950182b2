"""Headless Chromium, driven through the DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import websocket

from .wait import PATIENCE, until

NAMES = ("chromium", "chromium-browser", "google-chrome")
# As root there is no sandbox, and in a container little of /dev/shm.
WORDS = ["--headless", "--disable-gpu", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"]
WORDS += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]


def find() -> str:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    return program


class Browser:
    """One page of a browser of its own. The sizes are those of the page."""

    def __init__(self, directory: Path, width: int = 1280, height: int = 900) -> None:
        words = [find(), *WORDS, f"--user-data-dir={directory / 'profile'}", f"--window-size={width},{height}"]
        self._log = (directory / "chromium.log").open("wb")
        environment = {**os.environ, "HOME": str(directory)}
        self._process = subprocess.Popen(
            [*words, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )
        self._numbers = itertools.count(1)
        self.console: list[str] = []
        try:
            port = until(lambda: self._port(directory / "profile/DevToolsActivePort"), "Chromium", 3 * PATIENCE)
            self._socket = websocket.create_connection(self._page(port), suppress_origin=True, timeout=3 * PATIENCE)
        except BaseException:
            self._end()
            raise
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _port(self, file: Path) -> str | None:
        assert self._process.poll() is None, Path(self._log.name).read_text(errors="replace")
        lines = file.read_text().split() if file.exists() else []
        return lines[0] if len(lines) == 2 else None

    def _page(self, port: str) -> str:
        from urllib.request import urlopen

        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
            pages = [one for one in json.load(answer) if one["type"] == "page"]
        return str(pages[0]["webSocketDebuggerUrl"])

    def call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: Any) -> None:
        """What the browser complains of: errors of the script, and what the page's policy forbids."""
        if message.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(message["params"]["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["source"] != "network":
            self.console.append(message["params"]["entry"]["text"])

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression: str, what: str | None = None) -> Any:
        """The first true value of a JavaScript expression."""
        return until(lambda: self.evaluate(expression), what or expression, 2 * PATIENCE)

    def text(self, selector: str) -> str:
        return str(self.evaluate(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText || ''"))

    def size(self, width: int, height: int, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def key(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def close(self) -> None:
        self.call("Browser.close")
        self._socket.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
