"""Answers with what the request says of itself, so that no answer can be taken for another's."""

import hashlib
import time
from urllib.parse import parse_qs


def filled(token, size):
    """A body that only this request has."""
    unit = token.encode() + b":"
    return (unit * (size // len(unit) + 1))[:size]


def application(environ, start_response):
    asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    token, size = asked["token"], int(asked["size"])
    digest = hashlib.md5(environ["wsgi.input"].read()).hexdigest()
    time.sleep(float(asked["sleep"]))
    body = filled(token, size)
    headers = [("X-Token", token), ("X-Digest", digest)]
    if "pieces" in asked:
        start_response("200 OK", headers)
        return (body[at : at + 50_000] for at in range(0, size, 50_000))
    start_response("200 OK", [*headers, ("Content-Length", str(size))])
    return [body]
