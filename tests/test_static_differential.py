"""The same requests for files, to uWSGI and to rwsgi: the same status, type and bytes, but for what is listed here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import packet
from harness.packet import Response
from harness.peer import Uwsgi

pytestmark = pytest.mark.core

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
FILES = {
    "a.txt": b"abcdefghij",
    "page.html": b"<p>",
    "none": b"without a type",
    "style.css": b"plain",
    "style.css.gz": b"gzipped",
    "style.css.br": b"brotli",
    "empty.txt": b"",
    "code.php": b"code",
    "dir/index.html": b"<h1>",
    "dir/sub/x.txt": b"x",
    "old/x.txt": b"old",
}
OPTIONS = {
    "static-map": "/static=ROOT/files",
    "static-map2": "/dir=ROOT/files",
    "check-static": "ROOT/checked",
    "static-index": "index.html",
    "static-skip-ext": ".php",
    "static-safe": "ROOT/safe",
    "static-gzip-ext": ".css",
    "static-expires-type": "text/html=3600",
    "mime-file": "ROOT/types",
}
RANGE = {"HTTP_RANGE": "bytes=2-4"}

# What is asked, and with which variables.
SAME: list[tuple[str, dict[str, str]]] = [
    ("/", {}),
    ("/static/a.txt", {}),
    ("/static/a.txt?v=1", {}),
    ("/static/page.html", {}),
    ("/static/empty.txt", {}),
    ("/static/dir/", {}),
    ("/static/dir/sub/x.txt", {}),
    ("/static//dir//sub/x.txt", {}),
    ("/static/dir/sub", {}),
    ("/static/dir/sub/", {}),
    ("/static/missing", {}),
    ("/static/a.txt/b", {}),
    ("/static/code.php", {}),
    ("/static/../secret", {}),
    ("/static/out", {}),
    ("/static/absolute-in.txt", {}),
    ("/static/into-safe.txt", {}),
    ("/dir/sub/x.txt", {}),
    ("/dir/index.html", {}),
    ("/checked.txt", {}),
    ("/other", {}),
    ("/static/a.txt", {"REQUEST_METHOD": "HEAD"}),
    ("/static/a.txt", {"REQUEST_METHOD": "POST"}),
    ("/static/a.txt", {"REQUEST_METHOD": "OPTIONS"}),
    ("/static/a.txt", {"HTTP_IF_MODIFIED_SINCE": DATE}),
    ("/static/a.txt", {"HTTP_IF_MODIFIED_SINCE": "Sun, 06 Nov 1994 08:49:38 GMT"}),
    ("/static/a.txt", {"HTTP_IF_MODIFIED_SINCE": "Sun, 06 Nov 1994 08:49:36 GMT"}),
    ("/static/style.css", {}),
    ("/static/style.css", {"HTTP_ACCEPT_ENCODING": "gzip"}),
    ("/static/style.css", {"HTTP_ACCEPT_ENCODING": "gzip, deflate, br"}),
    ("/static/a.txt", {"HTTP_ACCEPT_ENCODING": "gzip"}),
    ("/static/a.txt", RANGE),
    ("/static/a.txt", {"HTTP_RANGE": "bytes=2-"}),
    ("/static/a.txt", {"HTTP_RANGE": "bytes=-3"}),
    ("/static/a.txt", {"HTTP_RANGE": "bytes=2-400"}),
]

# (path, variables, uWSGI's status and body, rwsgi's, why)
DIFFERENT: list[tuple[str, dict[str, str], tuple[int, bytes], tuple[int, bytes], str]] = [
    ("/statica.txt", {}, (200, b"abcdefghij"), (200, b"hello"), "a prefix ends where a part of the path ends"),
    ("/static/dir", {}, (200, b"<h1>"), (301, b""), "relative links of the index"),
    ("/static/dir/../a.txt", {}, (200, b"abcdefghij"), (200, b"hello"), "no path climbs"),
    ("/static/into-safely", {}, (200, b"secret"), (200, b"hello"), "static-safe ends where a part of the path ends"),
    ("/static/style.css", {"HTTP_ACCEPT_ENCODING": "gzip;q=0"}, (200, b"gzipped"), (200, b"plain"), "weights"),
    ("/static/a.txt", {"HTTP_IF_NONE_MATCH": "*"}, (200, b"abcdefghij"), (304, b""), "entity tags"),
    (
        "/static/a.txt",
        {"HTTP_IF_UNMODIFIED_SINCE": "Sun, 06 Nov 1994 08:49:36 GMT"},
        (200, b"abcdefghij"),
        (412, b""),
        "",
    ),
    ("/static/a.txt", {**RANGE, "HTTP_IF_RANGE": '"x"'}, (206, b"cde"), (200, b"abcdefghij"), "If-Range"),
    ("/static/a.txt", {"HTTP_RANGE": "bytes=0-"}, (200, b"abcdefghij"), (206, b"abcdefghij"), "players expect 206"),
    ("/static/a.txt", {"HTTP_RANGE": "items=2-4"}, (416, b""), (200, b"abcdefghij"), "RFC 9110 §14.2: ignored"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    everything = {f"files/{name}": content for name, content in FILES.items()}
    everything |= {"secret": b"secret", "checked/checked.txt": b"checked", "safe/x.txt": b"safe", "safely/x": b"secret"}
    everything |= {"types": b"text/plain txt\ntext/html html\ntext/css css\n"}
    for name, content in everything.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (784111777, 784111777))
    for name, target in [
        ("out", tmp_path / "secret"),
        ("absolute-in.txt", tmp_path / "files/a.txt"),
        ("latest", tmp_path / "files/a.txt"),
        ("into-safe.txt", tmp_path / "safe/x.txt"),
        ("into-safely", tmp_path / "safely/x"),
    ]:
        (tmp_path / "files" / name).symlink_to(target)
    return tmp_path


@pytest.fixture
def both(boot, root):
    words = [f"--{name}={value.replace('ROOT', str(root))}" for name, value in OPTIONS.items()]
    server = boot("hello", *words, "--honour-range", "--offload-threads=1")
    server.log.accept_anything()
    (root / "peer").mkdir()
    peer = Uwsgi(root / "peer", "hello", *words, "--honour-range")
    yield peer.address, server.address
    peer.close()


def told(answer: Response) -> dict[str, object]:
    """What both say in the same way. Expires may be a second later in one of them."""
    names = ("Content-Type", "Content-Length", "Content-Range", "Content-Encoding", "Last-Modified")
    found: dict[str, object] = {name: answer.header(name) for name in names}
    found |= {"Expires": answer.header("Expires") is not None}
    return found | {"status": answer.status, "body": answer.body}


def test_files_are_answered_as_by_uwsgi(both):
    for path, variables in SAME:
        theirs, ours = (told(packet.request(address, path, **variables)) for address in both)
        if theirs["status"] == 304:
            # RFC 9110 §15.4.5: the same headers as a 200 would have.
            ours["Last-Modified"] = None
        assert ours == theirs, f"{path} {variables}"


def test_intended_differences(both):
    for path, variables, theirs, ours, why in DIFFERENT:
        for address, expected in zip(both, (theirs, ours), strict=True):
            answer = packet.request(address, path, **variables)
            assert (answer.status, answer.body) == expected, f"{path} {variables}: {why}"


def test_an_unknown_type_is_named(both):
    kinds = [packet.request(address, "/static/none").header("Content-Type") for address in both]
    assert kinds == [None, "application/octet-stream"]
    # The name that was asked for counts, not that of a symlink's target.
    kinds = [packet.request(address, "/static/latest").header("Content-Type") for address in both]
    assert kinds == ["text/plain", "application/octet-stream"]
