"""Answers with the status that the path names, raises, or takes its time; the body of a request is read to its end."""

import time


def application(environ, start_response):
    _, kind, value = (environ["PATH_INFO"] + "//").split("/")[:3]
    if kind == "raises":
        raise ValueError("as always")
    if kind == "sleep":
        time.sleep(float(value))
    environ["wsgi.input"].read()
    code = value if kind == "status" else "200"
    start_response(f"{code} As Asked", [("Content-Type", "text/plain")])
    if kind == "stream":
        return (b"x" * 100 for _ in range(10))
    if kind == "large":
        return [b"x" * (4 << 20)]
    return [b"" if code == "304" else b"hello"]
