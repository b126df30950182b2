"""Applications that a request names: only with `dynamic-apps`, once for each mountpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

APP = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"dynamic {os.getpid()} {loads}".encode()]

def other(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"other"]

loads = os.environ["LOADS"] = str(int(os.environ.get("LOADS", "0")) + 1)
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "named.py"
    path.write_text(APP)
    return str(path)


def test_a_named_file_is_loaded_once_for_its_mountpoint(boot, file):
    server = boot("dump", dynamic_apps=True)
    for _ in range(2):
        answer = server.request("/x", SCRIPT_NAME="/named", UWSGI_FILE=file)
        assert answer.body.startswith(b"dynamic ") and answer.body.endswith(b" 1")
    server.log.expect("loaded a dynamic application for mountpoint '/named'")
    assert b"dynamic" not in server.request("/x").body


def test_a_callable_can_be_named(boot, file):
    server = boot("dump", dynamic_apps=True)
    answer = server.request("/x", SCRIPT_NAME="/b", UWSGI_FILE=file, UWSGI_CALLABLE="other")
    assert answer.body == b"other"
    server.log.expect("loaded a dynamic application for mountpoint '/b'")


def test_what_cannot_be_loaded_is_a_500(boot):
    server = boot("dump", dynamic_apps=True)
    assert server.request("/x", SCRIPT_NAME="/c", UWSGI_MODULE="no_such_module").status == 500
    server.log.expect("ModuleNotFoundError in worker 1 core 0: GET /x; answered 500")
    server.log.expect("^  ModuleNotFoundError: No module named")
    assert server.request("/x").status == 200
