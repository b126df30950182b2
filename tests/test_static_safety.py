"""Static files: nothing is served that is not meant to be."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness import packet, procs
from harness.http import Connection, request

pytestmark = pytest.mark.core

SECRET = b"the secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "files-of-others").mkdir()
    (tmp_path / "files-of-others/secret").write_bytes(SECRET)
    (tmp_path / "files/sub").mkdir(parents=True)
    (tmp_path / "files/a").write_bytes(b"public")
    (tmp_path / "files/sub/b").write_bytes(b"public b")
    return tmp_path / "files"


@pytest.fixture
def server(boot, root):
    return boot("hello", http=True, static_map=f"/static={root}", check_static=str(root), static_index="index")


CLIMBING = [
    "../secret",
    "sub/../../secret",
    "sub/../../files-of-others/secret",
    "../files-of-others/secret",
    "..",
    "../",
    "./../secret",
    ".//../secret",
    "%2e%2e/secret",
    "%2E%2E%2fsecret",
    "..%2fsecret",
    "%252e%252e%252fsecret",
    "%252e%252e/secret",
    "..%252fsecret",
    "..%5csecret",
    "..\\secret",
    "%2e%2e%5csecret",
    "....//secret",
    "...//secret",
    "..;/secret",
    "%c0%ae%c0%ae/secret",
    "%c0%ae%c0%ae%c0%afsecret",
    "..%c0%afsecret",
    "%uff0e%uff0e/secret",
    "a/../../secret",
    "a%00/../../secret",
    "../secret%00.txt",
    "%00",
    "a%00",
    "a%00.css",
    "sub/%00/../../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "../" * 20 + "etc/passwd",
    "%2e%2e/" * 20 + "etc/passwd",
    "/proc/self/environ",
    "sub/../a/../../secret",
    "~root",
    "-files-of-others/secret",
]


@pytest.mark.parametrize("path", CLIMBING)
def test_no_path_climbs_out(server, path):
    for target in (f"/static/{path}", f"/static{path}", f"/{path}", path):
        decoded = unquote(target.partition("?")[0], "latin-1")
        assert packet.request(server.address, target, PATH_INFO=decoded).body == b"hello"
        if not target.startswith("/"):
            continue
        with Connection(server.http_address) as connection:
            connection.send(request(target))
            answer = connection.answer()
            # Some are no targets at all.
            assert answer.status == 400 or answer.body == b"hello"
    server.log.accept_anything()


def test_a_packet_may_hold_any_path(server):
    for path in ("/static/a\0", "/static/a\0b", "\0", "/static/\0../a", "static/a", "a"):
        assert packet.request(server.address, "/", PATH_INFO=path).body == b"hello"


def ask(server, path: str) -> bytes:
    return packet.request(server.address, path).body


def test_symlinks(boot, root, tmp_path):
    (root / "relative-in").symlink_to("sub/b")
    (root / "absolute-in").symlink_to(root / "sub/b")
    (root / "chain-in").symlink_to("absolute-in")
    (root / "directory-in").symlink_to("sub")
    (root / "up-and-in").symlink_to("../files/a")
    (root / "out").symlink_to("../secret")
    (root / "absolute-out").symlink_to(tmp_path / "secret")
    (root / "chain-out").symlink_to("out")
    (root / "directory-out").symlink_to("../files-of-others")
    (root / "loop").symlink_to("loop")
    (root / "nowhere").symlink_to("nothing")
    (root / "process").symlink_to("/proc/self")
    (root / "system").symlink_to("/")
    server = boot("hello", static_map=f"/static={root}")
    for name in ("relative-in", "absolute-in", "chain-in", "directory-in/b"):
        assert ask(server, f"/static/{name}") == b"public b", name
    assert ask(server, "/static/up-and-in") == b"public"
    outside = ("out", "absolute-out", "chain-out", "directory-out/secret", "process/environ", "system/etc/passwd")
    for name in (*outside, "loop", "nowhere", "directory-out"):
        assert ask(server, f"/static/{name}") == b"hello", name
    server.log.wait(rf"{tmp_path}/secret is not below {root}, and not served; static-safe names", 3)
    server.log.expect("is not below")


def test_safe_directories(boot, root, tmp_path):
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe/c").write_bytes(b"safe")
    (tmp_path / "safely").mkdir()
    (tmp_path / "safely/c").write_bytes(SECRET)
    (tmp_path / "known-as").symlink_to("safe")
    (root / "c").symlink_to(tmp_path / "safe/c")
    (root / "linked").symlink_to(tmp_path / "safe")
    (root / "not").symlink_to(tmp_path / "safely/c")
    (root / "climbs").symlink_to(tmp_path / "safe/../secret")
    server = boot("hello", static_map=f"/static={root}", static_safe=[str(tmp_path / "known-as"), "/nowhere"])
    assert ask(server, "/static/c") == ask(server, "/static/linked/c") == b"safe"
    for name in ("not", "climbs", "linked/../secret"):
        assert ask(server, f"/static/{name}") == b"hello"
    server.log.expect("is not below", '"/nowhere" does not exist$')


def test_the_root_itself_may_be_a_symlink(boot, root, tmp_path):
    (tmp_path / "alias").symlink_to(root)
    (root / "absolute-in").symlink_to(tmp_path / "alias/sub/b")
    server = boot("hello", static_map=f"/static={tmp_path / 'alias'}")
    assert ask(server, "/static/a") == b"public"
    assert ask(server, "/static/absolute-in") == b"public b"


def test_a_symlink_that_is_swapped_never_leads_out(boot, root, tmp_path):
    server = boot("hello", http=True, static_map=f"/static={root}")
    server.log.accept_anything()
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for target in (root / "sub", tmp_path / "files-of-others"):
                (tmp_path / "next").symlink_to(target)
                (tmp_path / "next").replace(root / "swapped")

    (root / "sub/secret").write_bytes(b"public")
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        with Connection(server.http_address) as connection:
            seen = set()
            for _ in range(3000):
                connection.send(request("/static/swapped/secret"))
                seen.add(connection.answer().body)
    finally:
        done.set()
        swapper.join()
    assert seen == {b"public", b"hello"}


def test_only_regular_files(boot, root):
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "fifo.gz")
    (root / "device").symlink_to("/dev/zero")
    server = boot("hello", static_map=f"/static={root}", static_gzip_all=True, static_safe="/dev")
    for name in ("fifo", "device", "sub"):
        assert ask(server, f"/static/{name}") == b"hello"


def test_no_descriptor_is_left(server, root):
    (root / "out").symlink_to("../secret")
    server.log.accept_anything()
    pid = server.workers()[0].pid
    with Connection(server.http_address) as connection:
        for path in ("a", "none", "sub", "sub/b", "out", "../a") * 850:
            connection.send(request(f"/static/{path}") if path != "a" else request("/static/a", Range="bytes=9-"))
            assert connection.answer().status in (200, 416)
    before = procs.descriptors(pid)
    assert not [name for name in before if str(root) in name]


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may enter."""
    made = Path(tempfile.mkdtemp(prefix="rwsgi-static-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.root
def test_a_file_that_may_not_be_read(boot, public):
    (public / "a").write_bytes(SECRET)
    (public / "a").chmod(0o600)
    server = boot("hello", static_map=f"/static={public}", check_static=str(public), uid="65534", gid="65534")
    server.log.expect("GET /static/a: cannot open the file: Permission denied")
    assert packet.request(server.address, "/static/a").status == 403
    # What is only tried may be the application's.
    assert ask(server, "/a") == b"hello"
