"""Writes more than any buffer holds, and says how that ended."""

import os


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        for _ in range(64):
            write(b"x" * 1_000_000)
        how = "all"
    except OSError:
        how = "until OSError"
    os.write(2, f"wrote {how}\n".encode())
    return []
