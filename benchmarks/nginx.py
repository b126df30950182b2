"""nginx as the front of uwsgi sockets, and as an HTTP responder to compare with."""

from __future__ import annotations

import os
import socket
from pathlib import Path

BASE = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 32768;
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log warn;
{user}
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/nginx-body;
    uwsgi_temp_path {dir}/nginx-uwsgi;
    proxy_temp_path {dir}/nginx-proxy;
    fastcgi_temp_path {dir}/nginx-fastcgi;
    scgi_temp_path {dir}/nginx-scgi;
    client_max_body_size 0;
    {upstreams}
    server {{
        listen {address} backlog=4096;
        {server}
    }}
}}
"""

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
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
}


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def write(directory: Path, address: str, server: str, upstreams: str = "") -> list[str]:
    """Writes the configuration, and returns the command that runs it in the foreground."""
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not open the socket
    config = directory / "nginx.conf"
    config.write_text(BASE.format(dir=directory, address=address, server=server, upstreams=upstreams, user=user))
    return ["nginx", "-p", str(directory), "-e", str(directory / "nginx-error.log"), "-c", str(config)]


def front_of(socket_path: str) -> str:
    params = "\n".join(f"        uwsgi_param {name} {value};" for name, value in PARAMS.items())
    return f"location / {{\n{params}\n        uwsgi_pass unix:{socket_path};\n    }}"


def upstream(address: str) -> str:
    """What PROXY passes to: HTTP connections that are kept, as many as there may be clients."""
    return f"upstream kept {{ server {address}; keepalive 128; keepalive_requests 1000000000; }}"


PROXY = 'location / { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; }'


def tls(certificate: str, key: str) -> str:
    return f"ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key}; "


def responder(statics: str) -> str:
    files = f"location /static/ {{ alias {statics}/; }}" if statics else ""
    return files + ' location / { default_type text/plain; return 200 "Hello, World!\\n"; }'
