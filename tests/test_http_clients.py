"""The clients that people use: libraries, command lines, load generators, and the checks of a balancer."""

from __future__ import annotations

import json
import re
import subprocess
from signal import Signals

import httpx
import pytest
import requests

from harness import programs
from harness.haproxy import Haproxy
from harness.http import Connection, request
from harness.wait import until

pytestmark = pytest.mark.core

BODY = bytes(range(256)) * 1000


def pieces():
    for at in range(0, len(BODY), 1000):
        yield BODY[at : at + 1000]


@pytest.fixture
def server(boot):
    return boot("dump", uwsgi=False, http=True, disable_logging=True)


@pytest.fixture
def url(server) -> str:
    return "http://{}:{}".format(*server.http_address)


def check(answer, method: str, body: bytes = b"") -> None:
    assert answer.status_code == 200
    shown = json.loads(answer.content)
    assert (shown["environ"]["REQUEST_METHOD"], shown["body"].encode("latin-1")) == (method, body)


@pytest.mark.parametrize("library", [requests.Session, httpx.Client], ids=["requests", "httpx"])
def test_python(url, library):
    with library() as client:
        for _ in range(3):
            check(client.get(url + "/a%20b?c=d"), "GET")
            kinds = {"data": BODY} if library is requests.Session else {"content": BODY}
            check(client.post(url, **kinds), "POST", BODY)
            # A generator is sent chunked.
            check(client.put(url, **{kind: pieces() for kind in kinds}), "PUT", BODY)
        assert client.head(url).content == b""
        assert client.request("OPTIONS", url).status_code == 200
        shown = client.post(url, files={"upload": ("a.bin", BODY)}).json()
        assert BODY in shown["body"].encode("latin-1")


def test_python_streams_an_answer(boot):
    server = boot("bodies:kib", uwsgi=False, http=True, disable_logging=True)
    url = "http://{}:{}/?5000".format(*server.http_address)
    with requests.get(url, stream=True) as answer:
        assert sum(map(len, answer.iter_content(1000))) == 5000 * 1024
    with httpx.stream("GET", url) as answer:
        assert sum(map(len, answer.iter_bytes())) == 5000 * 1024


def run(*words: str) -> str:
    done = subprocess.run([programs.find(words[0]), *words[1:]], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [[], ["--http1.0"], ["--http2"], ["--data-binary", "x" * 5000], ["-T", "-"], ["-H", "Expect: 100-continue", "-dx"]],
    ids=str,
)
def test_curl(url, words):
    # Two requests with one connection.
    shown = run(
        "curl",
        "-sS",
        "--max-time",
        "10",
        *words,
        url,
        url,
        "-w",
        "%{http_code} %{num_connects}\\n",
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
    )
    connects = 1 if "--http1.0" in words else 0
    assert shown.split() == ["200", "1", "200", str(connects)]


@pytest.mark.parametrize("words", [["ab"], ["ab", "-k"], ["ab", "-k", "-p", __file__]], ids=str)
def test_ab(url, words):
    shown = run(*words, "-q", "-n", "500", "-c", "20", url + "/")
    assert re.search(r"Complete requests: +500\n", shown), shown
    assert "Failed requests:        0\n" in shown
    assert "Non-2xx" not in shown
    if "-k" in words:
        assert re.search(r"Keep-Alive requests: +500\n", shown), shown


def test_wrk(url):
    shown = run("wrk", "-t1", "-c20", "-d1s", url)
    assert re.search(r"\d+ requests in", shown), shown
    assert "Socket errors" not in shown
    assert "Non-2xx" not in shown


HTTPCHK = "option httpchk\n    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host app"


@pytest.mark.parametrize("proxy", ["", "send-proxy", "send-proxy-v2"])
def test_checks_of_a_balancer(boot, tmp_path, proxy):
    options = {"http_stream_body": True, "http_readyz": True, "threads": 2}
    server = boot("slow:waits", uwsgi=False, http=True, http_enable_proxy_protocol=str(bool(proxy)).lower(), **options)
    front = Haproxy(tmp_path, server.http_address, HTTPCHK, f"check inter 100 rise 2 fall 1 {proxy}")
    try:
        until(lambda: (tmp_path / "stats").exists() and front.check() == ("UP", "L7OK", "200"), "the check to succeed")
        with Connection(front.address) as client:
            client.send(request("/", "POST", b"", Content_Length="4"))
            server.log.wait("waiting /")
            server.signal(Signals.SIGTERM)
            until(lambda: front.check()[0] == "DOWN", "the check to fail")
            client.send(b"done")
            assert client.answer().body.startswith(b"done ")
        assert server.wait_exit() == 0
    finally:
        front.close()
