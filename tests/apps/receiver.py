"""A program for the Python of .venv-recipes: takes in what the clients of OpenTelemetry, Sentry and Datadog send, and
prints what it has got, a JSON object a line."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Item = dict[str, Any]


def otlp(body: bytes) -> Iterator[Item]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                facts = {fact.key: fact.value.string_value or fact.value.int_value for fact in span.attributes}
                yield {"trace": span.trace_id.hex(), "parent": span.parent_span_id.hex(), "name": span.name} | facts


def sentry(body: bytes) -> Iterator[Item]:
    lines = iter(body.split(b"\n")[1:])
    for head in lines:
        if head and json.loads(head)["type"] in ("event", "transaction"):
            yield json.loads(next(lines))


def datadog(body: bytes) -> Iterator[Item]:
    import msgpack

    decoded = msgpack.unpackb(body, strict_map_key=False)
    # v0.5: a table of texts, and spans as lists of places in it.
    is_table = len(decoded) == 2 and decoded[0] and isinstance(decoded[0][0], str)
    for trace in decoded[1] if is_table else decoded:
        for span in trace:
            if is_table:
                meta = {decoded[0][key]: decoded[0][value] for key, value in span[9].items()}
                yield {"name": decoded[0][span[1]], "trace": span[3], "parent": span[5], **meta}
            else:
                yield {"name": span["name"], "trace": span["trace_id"], "parent": span.get("parent_id"), **span["meta"]}


TAKERS = {
    "/v1/traces": otlp,
    "/api/1/envelope/": sentry,
    "/v0.4/traces": datadog,
    "/v0.5/traces": datadog,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_POST(self) -> None:
        body = self.body()
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        take = TAKERS.get(self.path)
        for item in take(body) if take else ():
            # One write: several threads do it.
            sys.stdout.write(json.dumps(item) + "\n")
            sys.stdout.flush()
        self.answer(200 if take else 404, b"{}" if self.path.startswith("/v0") else b"")

    do_PUT = do_POST

    def do_GET(self) -> None:
        self.answer(200, json.dumps({"endpoints": ["/v0.4/traces", "/v0.5/traces"]}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(json.dumps({"port": server.server_port}), flush=True)
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
