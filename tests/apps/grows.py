"""Takes as many megabytes as the query string says, and keeps them."""

import mmap
import os

kept = []


def application(environ, start_response):
    megabytes = int(environ["QUERY_STRING"] or 0)
    if environ["PATH_INFO"] == "/reserve":
        kept.append(mmap.mmap(-1, (megabytes << 20) or 1))
    else:
        kept.append(b"x" * (megabytes << 20))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
