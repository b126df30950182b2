"""Leaves a process behind that nobody waits for: it ends with a status that means something to the server."""

import os


def application(environ, start_response):
    status = int(environ["QUERY_STRING"])
    if child := os.fork():
        os.waitpid(child, 0)
    elif os.fork():
        os._exit(0)
    else:
        os._exit(status)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"left an orphan"]
