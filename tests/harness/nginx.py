"""A real nginx in front, with a configuration of its own and everything that it writes in one directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import programs
from .ports import free_ports
from .wait import PATIENCE, until

# As in examples/nginx: what nginx ships as uwsgi_params.
PARAMS = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri",
    "PATH_INFO": "$document_uri",
    "DOCUMENT_ROOT": "$document_root",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme",
    "HTTPS": "$https if_not_empty",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
}

CONFIGURATION = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log error;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    uwsgi_temp_path {dir}/uwsgi;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    scgi_temp_path {dir}/scgi;
    client_max_body_size 50m;
    {params}
    {servers}
}}
"""

SERVER = """
    server {{
        listen 127.0.0.1:{port};
        location / {{ uwsgi_pass {upstream}; uwsgi_read_timeout 30s; }}
        location /stream/ {{ uwsgi_pass {upstream}; uwsgi_buffering off; }}
        location /unbuffered/ {{ uwsgi_pass {upstream}; uwsgi_request_buffering off; }}
    }}
"""

# For an upstream that begins with http://; a location of it keeps connections.
PROXY = """
    upstream http{port} {{ server {upstream}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://http{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 30s;
        }}
    }}
"""


def block(port: int, upstream: str) -> str:
    kind, address = (PROXY, upstream[7:]) if upstream.startswith("http://") else (SERVER, upstream)
    return kind.format(port=port, upstream=address)


class Nginx:
    """One server block, on a port of its own, for each upstream: an address as uwsgi_pass has it, or with `http://`
    before it, whose connections are kept."""

    def __init__(self, directory: Path, upstreams: list[str]) -> None:
        self.directory = directory
        # nginx cannot tell which port the kernel gave it, and 1.22 crashes on inherited ones: find free ones, and
        # others when somebody was quicker.
        for _ in range(5):
            self.ports = free_ports(len(upstreams))
            self._start(upstreams)
            if until(self._has_decided, "nginx to start") == "runs":
                return
            assert "Address already in use" in self.errors(), self.errors()
        raise AssertionError(self.errors())

    def _start(self, upstreams: list[str]) -> None:
        blocks = [block(port, upstream) for port, upstream in zip(self.ports, upstreams, strict=True)]
        params = "\n    ".join(f"uwsgi_param {name} {value};" for name, value in PARAMS.items())
        text = CONFIGURATION.format(dir=self.directory, params=params, servers="".join(blocks))
        (self.directory / "nginx.conf").write_text(text)
        place = str(self.directory)
        command = [programs.find("nginx"), "-e", f"{place}/error.log", "-p", place, "-c", f"{place}/nginx.conf"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _has_decided(self) -> str | None:
        if self.process.poll() is not None:
            return "ended"
        # Written when its sockets are bound.
        return "runs" if (self.directory / "nginx.pid").exists() else None

    def errors(self) -> str:
        return (self.directory / "error.log").read_text()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
