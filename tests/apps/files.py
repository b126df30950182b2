"""wsgi.file_wrapper around what is a file and what only looks like one."""

# The server closes the files.

import gzip
import io
import os
import tempfile

DATA = bytes(range(256)) * 400


def note(text):
    os.write(2, f"{text}\n".encode())


def temporary(content=DATA):
    file = tempfile.TemporaryFile()
    file.write(content)
    file.seek(0)
    return file


class Noting(io.BytesIO):
    def close(self):
        note("closed")
        super().close()


def partly_read():
    """What was read ahead is not lost: the place is that of tell(), not that of the descriptor."""
    file = temporary()
    file.readline()
    file.seek(1000)
    file.read(3)
    return file


def gzipped():
    """Has a fileno(), but its bytes are others than those of the descriptor."""
    file = tempfile.NamedTemporaryFile()
    with gzip.open(file.name, "wb") as out:
        out.write(DATA)
    return gzip.open(file.name)


def named():
    file = tempfile.NamedTemporaryFile()
    file.write(DATA)
    file.seek(7)
    return file


def at_end():
    file = temporary()
    file.seek(0, 2)
    return file


def pipe():
    reading, writing = os.pipe()
    os.write(writing, DATA[:1000])
    os.close(writing)
    return os.fdopen(reading, "rb")


def raw():
    return io.FileIO(__file__)


FILES = {
    "/file": temporary,
    "/partly-read": partly_read,
    "/gzip": gzipped,
    "/named": named,
    "/end": at_end,
    "/bytesio": lambda: Noting(DATA),
    "/pipe": pipe,
    "/raw": raw,
    "/text": lambda: io.StringIO("text"),
    "/empty": lambda: temporary(b""),
    "/spooled": lambda: spooled(10),
    "/spooled-to-disk": lambda: spooled(10_000_000),
}


def spooled(size):
    file = tempfile.SpooledTemporaryFile(max_size=1000)
    file.write(b"s" * size)
    file.seek(0)
    return file


def application(environ, start_response):
    """`?length=` announces so many bytes, `?block=` is the second argument."""
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&") if pair)
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    start_response("200 OK", headers)
    file = FILES[environ["PATH_INFO"]]()
    block = [int(query["block"])] if "block" in query else []
    return environ["wsgi.file_wrapper"](file, *block)


def iterated(environ, start_response):
    """As middleware would use it, which knows nothing of sendfile."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    wrapper = environ["wsgi.file_wrapper"](Noting(b"abcdef"), 4)
    try:
        return [b"|".join(wrapper)]
    finally:
        wrapper.close()


def not_a_file(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](object())


def wrapped_and_dropped(environ, start_response):
    """The file stays the application's when the wrapper is not returned."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    environ["wsgi.file_wrapper"](io.BytesIO(b"dropped"))
    return [b"another"]
