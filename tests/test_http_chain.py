"""nginx or haproxy in front with connections that it keeps: whatever is sent to it, the two never disagree on where a
request ends, so nobody gets an answer that is not his."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from harness import nginx, programs
from harness.corpus import cases
from harness.haproxy import Haproxy
from harness.http import Connection, request
from harness.packet import Address

pytestmark = pytest.mark.core

UPSTREAM = """
    upstream app {{ server {address}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
"""

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def attempt(*lines: str, body: bytes = HIDDEN) -> bytes:
    return "\r\n".join(["POST /attempt HTTP/1.1", "Host: x", *lines, "", ""]).encode() + body


ATTEMPTS = [
    attempt("Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    attempt("Transfer-Encoding: chunked", "Content-Length: 4", body=b"0\r\n\r\n" + HIDDEN),
    attempt("Content-Length: 0", "Content-Length: 4"),
    attempt("Content-Length: +4"),
    attempt("Content-Length: 4, 4"),
    attempt("Content-Length : 4"),
    attempt("Content_Length: 4"),
    attempt("Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + HIDDEN),
    attempt("Transfer-Encoding : chunked", body=b"0\r\n\r\n" + HIDDEN),
    attempt("Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n" + HIDDEN),
    attempt("Transfer_Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n" + HIDDEN),
    attempt("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n" + HIDDEN),
    attempt("Transfer-Encoding: chunked", body=b"0x0\r\n\r\n" + HIDDEN),
    attempt("Transfer-Encoding: chunked", body=b"1;\nx\r\n0\r\n\r\n" + HIDDEN),
    attempt("Transfer-Encoding: chunked", body=b"0\r\n" + HIDDEN),
    attempt("Transfer-Encoding: chunked", body=b"1\r\nxx\r\n0\r\n\r\n" + HIDDEN),
    attempt("X: a\r b", "Content-Length: 0"),
    attempt("X: a", " Content-Length: 4"),
    b"GET /attempt HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    b"GET /attempt HTTP/1.1\nHost: x\nContent-Length: 4\n\n" + HIDDEN,
    b"GET /attempt HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n" + HIDDEN,
]


class Front(nginx.Nginx):
    def _start(self, upstreams: list[str]) -> None:
        servers = UPSTREAM.format(port=self.ports[0], address=upstreams[0])
        text = nginx.CONFIGURATION.format(dir=self.directory, params="", servers=servers)
        (self.directory / "nginx.conf").write_text(text)
        place = str(self.directory)
        command = [programs.find("nginx"), "-e", f"{place}/error.log", "-p", place, "-c", f"{place}/nginx.conf"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(params=["nginx", "haproxy", "haproxy, PROXY v2"])
def chain(boot, tmp_path, request) -> Iterator[Address]:
    introduced = "PROXY" in request.param
    server = boot("dump", uwsgi=False, http=True, processes=2, enable_proxy_protocol=str(introduced).lower())
    # What is refused has its line.
    server.log.accept_anything()
    if request.param == "nginx":
        front = Front(tmp_path, ["{}:{}".format(*server.http_address)])
        address = "127.0.0.1", front.ports[0]
    else:
        front = Haproxy(tmp_path, server.http_address, options="send-proxy-v2" if introduced else "")
        address = front.address
    yield address
    front.close()
    assert "panicked" not in server.log.text


def send_and_forget(address: Address, data: bytes) -> None:
    with Connection(address) as client, suppress(OSError):
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        while client.socket.recv(65536):
            pass


def test_nobody_gets_the_answer_of_another(chain):
    attempts = [*ATTEMPTS, *(case.data for folder in ("invalid", "valid") for case in cases(f"http/{folder}"))]
    for number, data in enumerate(attempts):
        send_and_forget(chain, data)
        with Connection(chain) as innocent:
            # More than one: the front may choose among its connections.
            for again in range(3):
                path = f"/innocent-{number}-{again}"
                innocent.send(request(path, "POST", f"{number}".encode()))
                shown = json.loads(innocent.answer().body)
                assert (shown["environ"]["REQUEST_URI"], shown["body"]) == (path, f"{number}"), data


@pytest.mark.parametrize("chain", ["nginx", "haproxy"], indirect=True)
def test_the_front_keeps_its_connections(chain):
    ports = set()
    for _ in range(20):
        with Connection(chain) as client:
            client.send(request())
            ports.add(json.loads(client.answer().body)["environ"]["REMOTE_PORT"])
    assert len(ports) <= 4
