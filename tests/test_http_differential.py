"""The same valid requests, straight from the client, to gunicorn, to uWSGI's http-socket and to rwsgi: the same
environ, but for what is listed here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.corpus import Case, cases
from harness.http import Connection
from harness.peer import find as find_uwsgi
from harness.ports import free_port
from harness.server import APPS
from harness.wait import PATIENCE, until

pytestmark = pytest.mark.core

# Of the connection, or named after the server.
PRIVATE = {"SERVER_PORT", "REMOTE_PORT", "SERVER_NAME", "SERVER_SOFTWARE", "RAW_URI", "GATEWAY_INTERFACE"}
CHUNKED = {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}
# The authority of an absolute target replaces the Host (RFC 9112 §3.2.2), and its empty path is "/".
ABSOLUTE = {"HTTP_HOST", "PATH_INFO"}

# By the number of the case: what differs, or None where the peer refuses a valid request or hangs.
GUNICORN: dict[str, set[str] | None] = {
    "007": None,  # methods: upper case only
    "008": None,
    "009": None,
    "020": None,  # raw UTF-8 in the target
    "026": ABSOLUTE,
    "027": ABSOLUTE,
    "028": ABSOLUTE,
    "030": ABSOLUTE,
    "031": ABSOLUTE,
    "033": {"SERVER_PROTOCOL"},  # RFC 9110 §6.2: the version by whose rules it is served
    "035": None,  # a shorter limit
    "044": {"HTTP_ACCEPT", "HTTP_X_ONE"},  # joined with "," and not ", "
    "045": {"HTTP_COOKIE"},
    "046": {"REMOTE_ADDR"},  # X-Forwarded-For of a trusted peer
    "050": None,
    "078": None,  # trailers
    "086": {"HTTP_CONNECTION"},
    "102": {"HTTP_X_ONE"},
    "106": {"HTTP_EXPECT"},
}
UWSGI: dict[str, set[str] | None] = {
    "016": {"PATH_INFO"},  # a broken escape
    "017": {"PATH_INFO"},  # dot segments
    "026": ABSOLUTE,
    "027": ABSOLUTE,
    "028": ABSOLUTE,
    "029": ABSOLUTE,
    "030": ABSOLUTE,
    "031": ABSOLUTE,
    "033": {"SERVER_PROTOCOL"},
    "034": {"REQUEST_METHOD"},  # an empty line becomes part of the method
    "037": {"HTTP_A", "HTTP_HOST"},  # white space around values stays
    "038": {"HTTP_B"},
    "045": {"HTTP_COOKIE"},
    "046": None,  # Content_Length counts, and the body never comes
    "047": {"HTTP_TRANSFER_ENCODING"},
    "050": None,
    "063": {"CONTENT_LENGTH", "body"},
}


def gunicorn(port: int, _: Path) -> list[str]:
    pytest.importorskip("gunicorn")
    return [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--pythonpath", str(APPS), "dump:application"]


def uwsgi(port: int, _: Path) -> list[str]:
    words = ["--need-app", "--die-on-term", "--master", "--buffer-size", "65535", "--max-vars", "500"]
    return [find_uwsgi(), "--http-socket", f"127.0.0.1:{port}", "--pythonpath", str(APPS), "--module", "dump", *words]


@pytest.fixture
def peer(request, tmp_path) -> Iterator[tuple[str, int]]:
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI")}
    with (tmp_path / "peer.log").open("wb") as log:
        process = subprocess.Popen(request.param(port, tmp_path), stdout=log, stderr=log, env=env)
    try:
        until(lambda: answers(port), f"{request.param.__name__} to listen")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(address: tuple[str, int], case: Case) -> dict[str, str]:
    with Connection(address) as connection:
        connection.send(case.data)
        answer = connection.answer()
        while answer.status == 100:
            answer = connection.answer()
        assert answer.status == 200, f"{case.name}: {answer}"
    shown = json.loads(answer.body)
    return {"body": shown["body"]} | {
        name: value for name, value in shown["environ"].items() if name not in PRIVATE and "." not in name
    }


@pytest.mark.parametrize(
    ("peer", "differences", "chunked", "unset"),
    [
        (gunicorn, GUNICORN, CHUNKED, {"REQUEST_URI"}),
        # uWSGI does not decode chunked bodies.
        (uwsgi, UWSGI, CHUNKED | {"body"}, set()),
    ],
    indirect=["peer"],
    ids=["gunicorn", "uwsgi"],
)
def test_environ_is_that_of_other_servers(boot, peer, differences, chunked, unset):
    server = boot("dump", uwsgi=False, http=True)
    for case in cases("http/valid"):
        intended = differences.get(case.name[:3], set())
        if intended is None or len(case.expected) > 1 or case.one("method") == "HEAD":
            continue
        if case.one("framing") == "chunked":
            intended = intended | chunked
        ours, theirs = ask(server.http_address, case), ask(peer, case)
        different = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
        assert different - unset <= intended, f"{case.name}: {ours} {theirs}"
