"""Static files: what is served, how much of it, and under which conditions; on both kinds of socket."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness import packet
from harness.http import Connection, request
from harness.packet import Response
from harness.server import Server

pytestmark = pytest.mark.core

MODIFIED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"

Get = Callable[..., Response]


def put(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (MODIFIED, MODIFIED))
    return root


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return put(
        tmp_path / "files",
        {
            "a.txt": ALPHABET,
            "empty.css": b"",
            "large.bin": bytes(range(256)) * 4096,
            "with space.html": b"<p>",
            "dir/index.html": b"<h1>",
            "dir/page.js": b"1;",
            "no-index/x": b"x",
        },
    )


def by_packet(server: Server, path: str, method: str = "GET", **headers: str) -> Response:
    variables = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    variables |= {"PATH_INFO": unquote(path.partition("?")[0], "latin-1")}
    return packet.request(server.address, path, method, **variables)


def by_http(server: Server, path: str, method: str = "GET", **headers: str) -> Response:
    with Connection(server.http_address) as connection:
        connection.send(request(path, method, **headers))
        answer = connection.answer(head=method == "HEAD")
        # The connection goes on, unless the server says otherwise.
        if answer.header("Connection") != "close":
            connection.send(request("/app"))
            assert connection.answer().body == b"hello"
        return answer


def by_http_alone(server: Server, path: str) -> tuple[int, bytes]:
    with Connection(server.http_address) as connection:
        connection.send(request(path))
        answer = connection.answer()
        return answer.status, answer.body


@pytest.fixture(params=["http", "uwsgi"])
def serve(request, boot) -> Callable[..., Get]:
    """Boots a server with both kinds of socket, and asks through one of them."""

    def start(*arguments: str, **options: object) -> Get:
        server = boot("hello", *arguments, uwsgi=True, http=True, **options)
        ask = by_http if request.param == "http" else by_packet

        def get(path: str, method: str = "GET", **headers: str) -> Response:
            return ask(server, path, method, **headers)

        get.server = server
        return get

    return start


@pytest.fixture
def get(serve, files: Path) -> Get:
    return serve(static_map=f"/static={files}", static_index="index.html")


# ── which file ──


def test_a_file_and_what_is_said_of_it(get):
    answer = get("/static/a.txt")
    assert (answer.status_line, answer.body) == ("HTTP/1.1 200 OK", ALPHABET)
    assert answer.header("Content-Type") == "text/plain"
    assert answer.header("Content-Length") == "26"
    assert answer.header("Last-Modified") == DATE
    assert re.fullmatch(r'"[0-9a-f.-]+"', answer.header("ETag"))
    assert answer.header("Accept-Ranges") == "bytes"
    for absent in ("Expires", "Vary", "Content-Encoding", "Cache-Control"):
        assert answer.header(absent) is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/static/large.bin", bytes(range(256)) * 4096),
        ("/static/empty.css", b""),
        ("/static/with%20space.html", b"<p>"),
        ("/static/dir/page.js", b"1;"),
        ("/static//dir/./page.js?v=1", b"1;"),
        ("/static/dir/", b"<h1>"),
        ("/static/%61.txt", ALPHABET),
    ],
)
def test_files(get, path, body):
    answer = get(path)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a.txt",
        "/staticfoo",
        "/static.txt",
        "/stati",
        "/static/none",
        "/static/none/a.txt",
        "/static/a.txt/",
        "/static/a.txt/b",
        "/static/no-index",
        "/static/no-index/",
        "/static/",
        "/STATIC/a.txt",
        "/static/A.txt",
        "/static/" + "a" * 300,
        "/static/" + "a/" * 3000,
    ],
)
def test_all_else_is_the_applications(get, path):
    assert get(path).body == b"hello"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_the_applications(get, method):
    assert get("/static/a.txt", method).body == b"hello"


@pytest.mark.parametrize("path", ["/static/a.txt", "/static/large.bin", "/static/empty.css"])
def test_head_says_the_same_as_get(get, path):
    got, head = get(path), get(path, "HEAD", Range="bytes=0-1")
    assert (head.status, head.body) == (200, b"")
    without_date = [[pair for pair in answer.headers if pair[0] != "Date"] for answer in (got, head)]
    assert without_date[0] == without_date[1]


def test_a_directory_without_its_slash_is_redirected(get):
    answer = get("/static/dir?a=b")
    assert (answer.status, answer.header("Location"), answer.body) == (301, "/static/dir/?a=b", b"")
    # Not to another host.
    assert get("//static/dir").body == b"hello"


def test_a_redirect_names_no_other_host(serve, files):
    get = serve(check_static=files, static_index="index.html")
    assert get("//dir").header("Location") == "/dir/"
    (files / "a b\\").mkdir()
    (files / "a b\\" / "index.html").write_bytes(b"x")
    assert get("///a%20b%5c").header("Location") == "/a%20b%5C/"


def test_a_prefix_with_its_slash(serve, files):
    get = serve(static_map=f"/static/={files}/", static_index="index.html")
    assert get("/static/a.txt").body == ALPHABET
    assert get("/static/dir/").body == b"<h1>"
    assert get("/statica.txt").body == b"hello"


def test_maps_are_looked_at_in_uwsgis_order(serve, tmp_path):
    one = put(tmp_path / "one", {"a": b"one", "s/a": b"one/s", "x": b"x"})
    two = put(tmp_path / "two", {"a": b"two", "b": b"two b"})
    three = put(tmp_path / "three", {"s/a": b"three", "s/c": b"three c"})
    get = serve(static_map=[f"/s={two}", f"/s={one}"], static_map2=f"/s={three}", check_static=str(one))
    assert get("/s/a").body == b"one/s"
    assert get("/s/b").body == b"two b"
    assert get("/s/x").body == b"x"
    assert get("/s/c").body == b"three c"
    assert get("/a").body == b"one"
    assert get("/b").body == b"hello"


def test_a_file_stands_for_everything_below(serve, files):
    get = serve(static_map=f"/robots.txt={files / 'a.txt'}")
    assert get("/robots.txt").body == ALPHABET
    assert get("/robots.txt").header("Content-Type") == "text/plain"
    assert get("/robots.txt/more").body == ALPHABET
    assert get("/robots.txtx").body == b"hello"


def test_document_root(serve, files):
    get = serve(check_static_docroot=True)
    server = get.server
    assert packet.request(server.address, "/a.txt", DOCUMENT_ROOT=str(files)).body == ALPHABET
    assert packet.request(server.address, "/a.txt", DOCUMENT_ROOT="/nowhere").body == b"hello"
    assert packet.request(server.address, "/a.txt", DOCUMENT_ROOT="").body == b"hello"
    # A client names none.
    assert by_http(server, "/a.txt", Document_Root=str(files)).body == b"hello"


def test_extensions_of_the_application(serve, files):
    put(files, {"dir/index.php": b"code"})
    get = serve(static_map=f"/static={files}", static_index=["index.php", "index.html"], static_skip_ext=".php")
    assert get("/static/dir/index.php").body == b"hello"
    assert get("/static/dir/").body == b"<h1>"


def test_a_path_below_a_mountpoint(boot, files):
    server = boot(None, f"--mount=/shop={packet_app()}", static_map=f"/static={files}", manage_script_name=True)
    # As in uWSGI PATH_INFO is looked at when SCRIPT_NAME is off it.
    assert server.request("/shop/static/a.txt").body == ALPHABET
    assert server.request("/shop/none").body == b"hello"


def packet_app() -> Path:
    return Path(__file__).parent / "apps" / "hello.py"


def test_a_relative_directory_counts_from_chdir(serve, files):
    get = serve(static_map="/static=files", chdir=str(files.parent))
    assert get("/static/a.txt").body == ALPHABET


def test_a_new_release_behind_a_symlink_is_seen(serve, tmp_path):
    put(tmp_path, {"1/a": b"one", "2/a": b"two"})
    current = tmp_path / "current"
    current.symlink_to("1")
    get = serve(static_map=f"/s={current}")
    assert get("/s/a").body == b"one"
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(current)
    assert get("/s/a").body == b"two"


def test_a_directory_that_is_not_there_is_told(serve, files):
    """Most often it is a slip of the pen. What is made later is found then."""
    get = serve("--static-map=/css=late", static_map=f"/static={files}", chdir=str(files.parent), processes=2)
    get.server.log.wait(rf'warning: command line: option "static-map": "{files.parent}/late" does not exist$')
    assert get("/css/a.css").body == b"hello"
    put(files.parent, {"late/a.css": b"here"})
    assert get("/css/a.css").body == b"here"


def test_a_server_of_files_alone(boot, files):
    server = boot(None, uwsgi=False, http=True, need_app=False, static_map=f"/={files}", http_readyz=True)
    server.log.wait("serves files on http://")
    assert by_http_alone(server, "/a.txt") == (200, ALPHABET)
    assert by_http_alone(server, "/missing")[0] == 404
    assert by_http_alone(server, "/readyz")[0] == 200


# ── types ──


def test_types(serve, files, tmp_path):
    put(files, {"a.unheard": b"", "a.CSS": b"", "a.special": b"", "none": b"", "page.html": b"", "x.svg": b""})
    types = put(tmp_path, {"types": b"x/special special\ntext/x-css css\n"}) / "types"
    get = serve(static_map=f"/static={files}", mime_file=str(types))
    for name, kind in [
        ("a.special", "x/special"),
        ("a.CSS", "text/x-css"),
        ("page.html", "text/html"),
        ("x.svg", "image/svg+xml"),
        ("a.unheard", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ]:
        assert get(f"/static/{name}").header("Content-Type") == kind


def test_a_missing_mime_file_is_told(serve, files):
    get = serve(static_map=f"/static={files}", mime_file="/nowhere", processes=2)
    get.server.log.wait(r"cannot read /nowhere \(mime-file\)")
    assert get("/static/dir/page.js").header("Content-Type") == "text/javascript"


# ── conditions ──


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_None_Match": "ETAG"}, 304),
        ({"If_None_Match": "W/ETAG"}, 304),
        ({"If_None_Match": '"x", ETAG'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_None_Match": '"x"', "If_Modified_Since": DATE}, 200),
        ({"If_Modified_Since": DATE}, 304),
        ({"If_Modified_Since": LATER}, 304),
        ({"If_Modified_Since": BEFORE}, 200),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_Match": "ETAG"}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": "W/ETAG"}, 412),
        ({"If_Match": '"x"'}, 412),
        ({"If_Match": "ETAG", "If_None_Match": "ETAG"}, 304),
        ({"If_Unmodified_Since": DATE}, 200),
        ({"If_Unmodified_Since": BEFORE}, 412),
        ({"If_Match": "ETAG", "If_Unmodified_Since": BEFORE}, 200),
        ({"If_Match": '"x"', "Range": "bytes=0-1"}, 412),
        ({"If_None_Match": "ETAG", "Range": "bytes=0-1"}, 304),
    ],
    ids=str,
)
def test_conditions(get, headers, status):
    etag = get("/static/a.txt").header("ETag")
    headers = {name: value.replace("ETAG", etag) for name, value in headers.items()}
    answer = get("/static/a.txt", **headers)
    assert (answer.status, answer.body) == (status, ALPHABET if status == 200 else b"")
    if status == 304:
        assert (answer.header("ETag"), answer.header("Last-Modified")) == (etag, DATE)
        assert answer.header("Content-Type") is None
        assert answer.header("Content-Length") is None


def test_a_file_that_has_just_changed_has_a_weak_tag(get, files):
    (files / "a.txt").write_bytes(b"new")
    changed = os.stat(files / "a.txt").st_mtime
    os.utime(files / "a.txt", (changed + 3600, changed + 3600))
    answer = get("/static/a.txt")
    assert answer.header("ETag").startswith('W/"')
    # RFC 9110 §8.8.2.1: not later than the answer.
    assert answer.header("Last-Modified") <= (answer.header("Date") or answer.header("Last-Modified"))
    assert get("/static/a.txt", If_None_Match=answer.header("ETag")).status == 304
    assert get("/static/a.txt", Range="bytes=0-0", If_Range=answer.header("ETag")).status == 200


# ── ranges ──


@pytest.mark.parametrize(
    ("header", "content_range"),
    [
        ("bytes=0-0", "0-0"),
        ("bytes=0-4", "0-4"),
        ("bytes=5-", "5-25"),
        ("bytes=-3", "23-25"),
        ("bytes=-300", "0-25"),
        ("bytes=20-300", "20-25"),
        ("bytes=0-25", "0-25"),
        ("bytes=0-5,3-9", "0-9"),
        ("bytes=0-5,6-9", "0-9"),
        ("bytes=3-4,100-200", "3-4"),
    ],
)
def test_one_range(get, header, content_range):
    answer = get("/static/a.txt", Range=header)
    first, last = map(int, content_range.split("-"))
    assert (answer.status, answer.body) == (206, ALPHABET[first : last + 1])
    assert answer.header("Content-Range") == f"bytes {content_range}/26"
    assert answer.header("Content-Length") == str(last - first + 1)
    assert answer.header("Content-Type") == "text/plain"
    assert answer.header("ETag") is not None


@pytest.mark.parametrize("header", ["bytes=26-", "bytes=100-200", "bytes=-0"])
def test_unsatisfiable_ranges(get, header):
    answer = get("/static/a.txt", Range=header)
    assert (answer.status, answer.body) == (416, b"")
    assert answer.header("Content-Range") == "bytes */26"


@pytest.mark.parametrize(
    "header",
    ["bytes=", "bytes=x-y", "bytes=5-2", "items=0-1", "bytes=0-1;2-3", "bytes=" + ",".join(["0-0"] * 33)],
    ids=str,
)
def test_ranges_that_are_ignored(get, header):
    answer = get("/static/a.txt", Range=header)
    assert (answer.status, answer.body) == (200, ALPHABET)


def test_a_range_of_nothing_is_ignored(get):
    assert get("/static/empty.css", Range="bytes=0-").status == 200


def parts(answer: Response) -> list[Message]:
    head = f"Content-Type: {answer.header('Content-Type')}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.body)
    assert message.is_multipart() and not message.defects
    return message.get_payload()


def test_several_ranges(get):
    answer = get("/static/a.txt", Range="bytes=4-5, 0-1, -2")
    assert answer.status == 206
    assert answer.header("Content-Length") == str(len(answer.body))
    assert answer.header("Content-Range") is None
    found = [(part["Content-Range"], part["Content-Type"], part.get_payload()) for part in parts(answer)]
    assert found == [
        ("bytes 4-5/26", "text/plain", "ef"),
        ("bytes 0-1/26", "text/plain", "ab"),
        ("bytes 24-25/26", "text/plain", "yz"),
    ]


def test_several_large_ranges(get, files):
    content = (files / "large.bin").read_bytes()
    answer = get("/static/large.bin", Range="bytes=500000-,10-300000")
    bodies = answer.body.split(b"\r\n\r\n", 1)[1]
    assert bodies.startswith(content[500000:] + b"\r\n--")
    assert content[10:300001] in answer.body[len(content) - 500000 :]
    assert len(answer.body) == int(answer.header("Content-Length"))


@pytest.mark.parametrize(
    ("if_range", "status"),
    [("ETAG", 206), ("W/ETAG", 200), ('"x"', 200), (DATE, 206), (BEFORE, 200), (LATER, 200), ("nonsense", 200)],
)
def test_if_range(get, if_range, status):
    etag = get("/static/a.txt").header("ETag")
    answer = get("/static/a.txt", Range="bytes=0-1", If_Range=if_range.replace("ETAG", etag))
    assert (answer.status, answer.body) == (status, b"ab" if status == 206 else ALPHABET)


# ── compressed ──


@pytest.fixture
def compressed(files: Path) -> Path:
    names = {
        "c.css": b"plain",
        "c.css.gz": b"gzipped",
        "c.css.br": b"brotli",
        "d.css": b"plain",
        "d.css.gz": b"gzipped",
    }
    return put(files, names)


@pytest.mark.parametrize(
    ("accepted", "name", "coding"),
    [
        (None, "c.css", None),
        ("gzip", "c.css", "gzip"),
        ("br", "c.css", "br"),
        ("gzip, deflate, br", "c.css", "br"),
        ("br;q=0.5, gzip", "c.css", "gzip"),
        ("br;q=0, gzip;q=0.001", "c.css", "gzip"),
        ("gzip;q=0", "c.css", None),
        ("identity", "c.css", None),
        ("*", "c.css", "br"),
        ("br", "d.css", None),
        ("br, gzip", "d.css", "gzip"),
        ("gzip", "a.txt", None),
    ],
)
def test_compressed_files(serve, compressed, accepted, name, coding):
    get = serve(static_map=f"/static={compressed}", static_gzip_all=True)
    answer = get(f"/static/{name}", **({"Accept_Encoding": accepted} if accepted else {}))
    assert answer.header("Content-Encoding") == coding
    assert answer.body == {"gzip": b"gzipped", "br": b"brotli", None: (compressed / name).read_bytes()}[coding]
    assert answer.header("Content-Type") in ("text/css", "text/plain")
    assert answer.header("Vary") == "Accept-Encoding"


def test_each_variant_has_its_tag(serve, compressed):
    get = serve(static_map=f"/static={compressed}", static_gzip_all=True)
    answers = [get("/static/c.css", Accept_Encoding=accepted) for accepted in ("gzip", "br", "identity")]
    tags = [answer.header("ETag") for answer in answers]
    assert len(set(tags)) == 3
    assert get("/static/c.css", Accept_Encoding="gzip", If_None_Match=tags[0]).status == 304
    assert get("/static/c.css", Accept_Encoding="gzip", If_None_Match=tags[1]).status == 200
    part = get("/static/c.css", Accept_Encoding="gzip", Range="bytes=0-3")
    assert (part.body, part.header("Content-Encoding")) == (b"gzip", "gzip")


@pytest.mark.parametrize(
    ("option", "value", "is_compressed"),
    [
        ("static_gzip", r"\.css$", True),
        ("static_gzip", r"\.js$", False),
        ("static_gzip_dir", "FILES", True),
        ("static_gzip_prefix", "/nowhere", False),
        ("static_gzip_ext", ".css", True),
        ("static_gzip_suffix", "js", False),
    ],
)
def test_which_files_are_sent_compressed(serve, compressed, option, value, is_compressed):
    get = serve(static_map=f"/static={compressed}", **{option: value.replace("FILES", str(compressed))})
    answer = get("/static/c.css", Accept_Encoding="gzip")
    assert (answer.header("Content-Encoding") == "gzip") == is_compressed
    assert (answer.header("Vary") == "Accept-Encoding") == is_compressed


def test_without_the_option_nothing_is_compressed(serve, compressed):
    answer = serve(static_map=f"/static={compressed}")("/static/c.css", Accept_Encoding="gzip, br")
    assert (answer.body, answer.header("Vary")) == (b"plain", None)


# ── expiry ──


@pytest.mark.parametrize(
    ("option", "value", "seconds", "from_change"),
    [
        ("static_expires", r"files/.*\.txt$ 60", 60, False),
        ("static_expires", r"\.css$ 60", None, False),
        ("static_expires_mtime", r"a\.txt 60", 60, True),
        ("static_expires_path_info", "^/static/a 1h", 3600, False),
        ("static_expires_path_info_mtime", "^/static/a 60", 60, True),
        ("static_expires_uri", r"\?v=\d+ 60", 60, False),
        ("static_expires_uri_mtime", r"\?v=\d+ 60", 60, True),
        ("static_expires_type", "text/plain=60", 60, False),
        ("static_expires_type", "text=60", None, False),
        ("static_expires_type_mtime", "text/plain=60", 60, True),
    ],
)
def test_expiry(serve, files, option, value, seconds, from_change):
    from email.utils import parsedate_to_datetime
    from time import time

    get = serve(static_map=f"/static={files}", **{option: value})
    for headers in ({}, {"If_Modified_Since": DATE}):
        answer = get("/static/a.txt?v=1", **headers)
        assert answer.status == (304 if headers else 200)
        if seconds is None:
            assert answer.header("Expires") is None
            continue
        expires = parsedate_to_datetime(answer.header("Expires")).timestamp()
        assert abs(expires - (MODIFIED if from_change else time()) - seconds) < 10
        assert answer.header("Cache-Control") == (None if from_change else f"max-age={seconds}")


def test_an_own_cache_control_stays_alone(serve, files):
    get = serve(static_map=f"/static={files}", static_expires=". 60", add_header="Cache-Control: public, immutable")
    answer = get("/static/a.txt")
    assert answer.header("Cache-Control") == "public, immutable"
    assert answer.header("Expires") is not None


# ── others send it ──


@pytest.mark.parametrize(("mode", "name"), [("nginx", "X-Accel-Redirect"), ("x-sendfile", "X-Sendfile")])
def test_the_front_end_sends_the_file(serve, files, mode, name):
    get = serve(static_map=f"/static={files}", file_serve_mode=mode)
    answer = get("/static/with%20space.html")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header(name) == f"{files.resolve()}/with%20space.html"
    assert answer.header("Content-Type") == "text/html"
    assert get("/static/a.txt", If_Modified_Since=DATE).status == 304


def test_without_sendfile(serve, files):
    get = serve(static_map=f"/static={files}", disable_sendfile=True)
    assert get("/static/large.bin").body == (files / "large.bin").read_bytes()
    assert get("/static/large.bin", Range="bytes=5-500000").body == (files / "large.bin").read_bytes()[5:500001]


# ── what is told ──


def test_the_log_has_a_line(get):
    get("/static/large.bin", Range="bytes=0-99999")
    line = get.server.log.request("/static/large.bin")
    assert (line["app"], line["status"], line["body_bytes"]) == ("-1", "206", "100000")
    assert get("/app").body == b"hello"
    assert get.server.log.request("/app")["app"] == "0"
