"""A real nginx → unix and TCP socket → the real Django project of examples/mysite, as a browser sees it."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

from conftest import manage
from harness.wait import PATIENCE

TCP, UNIX = 0, 1
both = pytest.mark.parametrize("upstream", [TCP, UNIX], ids=["tcp", "unix"])


class Browser:
    """Keeps cookies and follows redirects."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def open(self, path: str, data: bytes | None = None, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        request = urllib.request.Request(self.base + path, data, headers)
        with self._opener.open(request, timeout=PATIENCE) as response:
            return response, response.read()

    def page(self, path: str) -> str:
        return self.open(path)[1].decode()

    def token(self, path: str) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page(path))
        assert found, f"no form on {path}"
        return found[1]

    def post(self, path: str, **fields: str) -> str:
        """Fills the form on this page."""
        fields["csrfmiddlewaretoken"] = self.token(path)
        return self.open(path, urllib.parse.urlencode(fields).encode(), Referer=self.base + path)[1].decode()

    def upload(self, path: str, name: str, content: bytes) -> str:
        boundary = uuid.uuid4().hex
        token = self.token(path)
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{token}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        body += content + f"\r\n--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        return self.open(path, body, **{"Content-Type": kind, "Referer": self.base + path})[1].decode()


@pytest.fixture
def browser(site, upstream):
    return Browser(site.nginx.ports[upstream])


@both
def test_json(browser):
    response, body = browser.open("/json/")
    assert json.loads(body) == {"message": "hello", "numbers": [1, 2, 3], "ok": True}
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert response.headers["Content-Length"] == str(len(body))


@both
def test_the_session_counts_visits(browser):
    assert "first visit" in browser.page("/")
    assert "visit number 2" in browser.page("/")
    assert [cookie.name for cookie in browser.cookies if cookie.name == "sessionid"] == ["sessionid"]


@both
def test_a_form_with_csrf(browser):
    message = f"<b>Grüße</b> {uuid.uuid4()}"
    page = browser.post("/guestbook/", name="Ann", message=message)
    assert "Thank you" in page
    assert message.replace("<", "&lt;").replace(">", "&gt;") in page


@both
def test_a_form_without_csrf_is_refused(browser, site):
    site.server.log.expect(r"^Forbidden \(CSRF cookie not set\.\): /guestbook/")
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        browser.open("/guestbook/", b"name=Eve&message=hi")
    caught.value.close()


@both
@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_what_was_uploaded_comes_back(browser, site, size):
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    name = f"{uuid.uuid4()}.bin"
    page = browser.upload("/documents/", name, content)
    assert f"{name} has arrived, {size} bytes." in page
    link = re.search(rf'href="(/documents/\d+/)"[^>]*>{name}', page)
    assert link, page
    response, body = browser.open(link[1])
    assert body == content
    assert response.headers["Content-Length"] == str(size)
    assert f'filename="{name}"' in response.headers["Content-Disposition"]
    line = site.server.log.request(f"GET {link[1]}")
    assert (line["via"], line["body_bytes"]) == (" via sendfile() ", str(size))


@both
def test_a_streaming_response(browser):
    response, body = browser.open("/stream/?lines=1000&delay=0")
    lines = body.decode().splitlines()
    assert lines == [f"line {number} of 1000" for number in range(1, 1001)]
    assert response.headers["Content-Length"] is None


@both
def test_a_stream_reaches_the_client_line_by_line(site, upstream):
    """The last line is made 5 s after the first, which must not wait for it."""
    with socket.create_connection(("127.0.0.1", site.nginx.ports[upstream]), 3) as client:
        client.sendall(b"GET /stream/?lines=2&delay=5 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        got = b""
        while b"line 1 of 2" not in got:
            chunk = client.recv(4096)
            assert chunk, got
            got += chunk
        assert b"line 2 of 2" not in got


@both
def test_the_admin(browser, site):
    user = f"admin-{uuid.uuid4()}"
    manage(
        site.directory / "data",
        *("createsuperuser", "--no-input", f"--username={user}", "--email=admin@example.test"),
        DJANGO_SUPERUSER_PASSWORD="correct horse",
    )
    assert "Log in" in browser.page("/admin/")
    page = browser.post("/admin/login/?next=/admin/", username=user, password="correct horse")
    assert "Site administration" in page
    assert f"{user}" in browser.page("/admin/auth/user/")
    response, css = browser.open("/static/admin/css/base.css")
    assert (response.headers["Content-Type"], b"body {" in css) == ("text/css", True)


@both
def test_a_wrong_password(browser):
    assert "Please enter the correct username" in browser.post("/admin/login/", username="eve", password="guess")


@both
def test_the_environ_behind_nginx(browser):
    page = browser.page("/server/?a=b&c=%C3%BC")
    for text in ("a=b&amp;c=%C3%BC", "127.0.0.1", "wsgi.multithread", "wsgi.multiprocess", "uwsgi.version"):
        assert text in page


@both
def test_an_unknown_page_is_djangos_404(browser, site):
    site.server.log.expect("^Not Found: /missing/")
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        browser.open("/missing/")
    caught.value.close()


@both
def test_head(site, upstream):
    connection = http.client.HTTPConnection("127.0.0.1", site.nginx.ports[upstream], timeout=PATIENCE)
    connection.request("HEAD", "/json/")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    assert response.headers["Content-Length"] == "54"
    connection.close()


# ── small applications behind nginx ──


def get(port: int, path: str = "/", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_hello(boot, nginx, tmp_path):
    server = boot("hello", socket=tmp_path / "s", processes=2, threads=2)
    ports = nginx(f"127.0.0.1:{server.address[1]}", f"unix:{tmp_path / 's'}").ports
    for port in ports * 10:
        assert get(port) == (200, b"hello")


def test_refusals_reach_the_client(boot, nginx):
    """uWSGI closes the connection, and nginx makes a 502 of it."""
    server = boot("hello", buffer_size=2000, limit_post=1000)
    (port,) = nginx(f"127.0.0.1:{server.address[1]}").ports
    assert get(port, Cookie="x" * 3000)[0] == 431
    server.log.wait("refused a request with 431: .*buffer-size = 2000")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", "/", b"x" * 500_000)
    assert connection.getresponse().status == 413
    connection.close()
    server.log.wait("refused a request with 413: .*limit-post = 1000")


def test_an_exception_is_a_500_and_not_a_502(boot, nginx):
    server = boot("bodies:raises")
    (port,) = nginx(f"127.0.0.1:{server.address[1]}").ports
    assert get(port) == (500, b"Internal Server Error\n")
    server.log.wait("ValueError in worker 1 core 0: GET /; answered 500")


def test_a_chunked_upload_through_nginx(boot, nginx):
    """nginx buffers the body and knows its length then."""
    server = boot("inputs:digest")
    (port,) = nginx(f"127.0.0.1:{server.address[1]}").ports
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    pieces = [bytes([number]) * 10_000 for number in range(50)]
    connection.request("POST", "/?1000", iter(pieces), encode_chunked=True)
    expected = f"500000 {sum(map(sum, pieces)) % 65521}"
    assert connection.getresponse().read().decode() == expected
    connection.close()


@pytest.mark.parametrize("length", ["known", "chunked"])
def test_an_upload_that_nginx_does_not_buffer(boot, nginx, length):
    server = boot("inputs:digest")
    (port,) = nginx(f"127.0.0.1:{server.address[1]}").ports
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    body = b"unbuffered" * 20_000
    connection.request("POST", "/unbuffered/?777", iter([body]) if length == "chunked" else body)
    assert connection.getresponse().read().decode() == f"{len(body)} {sum(body) % 65521}"
    connection.close()
