"""Says who answers, is busy as long as the test wants, and moves bytes."""

import hashlib
import json
import os

LARGE = bytes(range(251)) * (5 * (1 << 20) // 251)
TOLD = ("HTTPS", "HTTPS_DN", "HTTPS_CC", "REMOTE_ADDR", "REMOTE_PORT")


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/hold":
        os.write(2, f"holding {os.getpid()}\n".encode())
        # Until the test opens the pipe.
        with open(query) as pipe:
            pipe.read()
    if path == "/large":
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        return [LARGE]
    told = {name: environ[name] for name in TOLD if name in environ}
    told |= {"pid": os.getpid(), "length": len(body), "sum": hashlib.sha256(body).hexdigest()}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
