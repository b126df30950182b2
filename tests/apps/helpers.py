"""Threads of the application that use the objects of a request, and answers that end before the application does."""

import os
import signal
import threading
import time

PLAIN = [("Content-Type", "text/plain")]


def note(text):
    """Into the log, at once."""
    os.write(2, f"{text}\n".encode())


def tried(what, call):
    """Calls, and says in the log how that ended."""
    try:
        result = call()
    except Exception as error:
        note(f"{what} raised {type(error).__name__}: {error}")
    else:
        note(f"{what} gave {len(result) if isinstance(result, bytes) else result}")


def start(what, call):
    thread = threading.Thread(target=tried, args=(what, call), daemon=True)
    thread.start()
    # It waits for its client by now, or is about to.
    thread.join(0.3)
    return thread


def reads(environ, start_response):
    """A thread reads more than comes; the answer does not wait for it."""
    if environ["REQUEST_METHOD"] == "POST":
        start("read", lambda: environ["wsgi.input"].read(1000))
    start_response("408 Request Timeout", [*PLAIN, ("Content-Length", "4")])
    return [b"late"]


def writes(environ, start_response):
    """A thread writes more than its client reads; the request ends meanwhile."""
    write = start_response("200 OK", PLAIN)
    if environ["PATH_INFO"] == "/writes":
        start("write", lambda: write(b"x" * 64_000_000))
    return []


def writes_behind(environ, start_response):
    """The thread that writes first has its turn until all of its piece is out."""
    write = start_response("200 OK", PLAIN)
    thread = start("write", lambda: write(b"1" * 16_000_000))
    yield b"2" * 16_000_000
    thread.join()


def share(environ, start_response):
    """Four threads and the request itself read lines until there are none."""
    lines = []

    def read():
        while line := environ["wsgi.input"].readline():
            lines.append(line)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    read()
    for thread in threads:
        thread.join()
    start_response("200 OK", PLAIN)
    return [b"".join(sorted(lines))]


def reads_behind(environ, start_response):
    """The request reads behind a thread that gets a byte now and then."""
    body = environ["wsgi.input"]
    start("first read", lambda: body.read(1000))
    tried("second read", lambda: body.read(1))
    start_response("200 OK", PLAIN)
    return [b"read"]


kept = {}


def keeps(environ, start_response):
    """Every object of the first request is used in the second."""
    if kept:
        tried("read", kept["input"].read)
        tried("tell", kept["input"].tell)
        tried("write", lambda: kept["write"](b"x"))
        tried("start_response", lambda: kept["start_response"]("200 OK", []))
    write = start_response("200 OK", PLAIN)
    kept.update(input=environ["wsgi.input"], write=write, start_response=start_response)
    return [b"kept"]


class Repr(str):
    """A header that writes while its fault is told."""

    write = None

    def __repr__(self):
        tried("write", lambda: Repr.write(b"x"))
        return "repr"


def says_repr(environ, start_response):
    Repr.write = start_response("200 OK", PLAIN)
    tried("start_response", lambda: start_response("200 OK", [("X-Snow", Repr("\u2603"))], (None, ValueError(), None)))
    start_response("200 OK", PLAIN)
    return [b"told"]


def ticks(environ, start_response):
    """A signal handler runs every 50 ms while the body is waited for."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    tried("read", environ["wsgi.input"].read)
    signal.setitimer(signal.ITIMER_REAL, 0)
    start_response("200 OK", PLAIN)
    return [b"ticked"]


def raises_much(environ, start_response):
    if environ["PATH_INFO"] == "/raises":
        raise ValueError("much " * 4_000_000)
    start_response("200 OK", PLAIN)
    return [b"well"]


# ── close() ──


class Closing:
    """close() waits until a file is there, or raises."""

    def __init__(self, how, pieces):
        self.how = how
        self.pieces = pieces

    def __iter__(self):
        return iter(self.pieces)

    def __len__(self):
        return len(self.pieces)

    def close(self):
        note("closing")
        if self.how == "raises":
            raise ValueError("close failed")
        while not os.path.exists(self.how):
            time.sleep(0.01)
        note("closed")


def closes(environ, start_response):
    """`?whole` is one piece, `?length` has a Content-Length, `?pieces` has none."""
    query = environ["QUERY_STRING"]
    pieces = [b"one two"] if query == "whole" else [b"one ", b"two"]
    start_response("200 OK", PLAIN + ([("Content-Length", "7")] if query == "length" else []))
    return Closing(environ["HTTP_X_HOW"], pieces)


# ── answers that may send no more ──


class Endless:
    """Yields, and reads as a file does, for ever."""

    def __init__(self, piece, pause=0.01):
        self.piece = piece
        self.pause = pause

    def __iter__(self):
        return self

    def __next__(self):
        time.sleep(self.pause)
        return self.piece

    def read(self, size):
        return next(self)

    def close(self):
        note("closed")


def endless(environ, start_response):
    """The path says how, the query string which status and which length."""
    how = environ["PATH_INFO"]
    if how == "/hello":
        start_response("200 OK", PLAIN)
        return [b"hello"]
    status, _, length = environ["QUERY_STRING"].partition(",")
    write = start_response(f"{status} Whatever", PLAIN + ([("Content-Length", length)] if length else []))
    if how == "/write":
        try:
            while True:
                write(b"tick")
                time.sleep(0.01)
        finally:
            note("closed")
    if how == "/file":
        return environ["wsgi.file_wrapper"](Endless(b"tick"))
    return Endless(b"" if how == "/empty" else b"tick")


def works(environ, start_response):
    """Has done its work after some empty pieces."""
    start_response(environ["QUERY_STRING"] + " Status", [])
    for _ in range(5):
        yield b""
    note("worked")


def ends(environ, start_response):
    """What stands behind the last piece runs, although the length is reached."""
    start_response("200 OK", [*PLAIN, ("Content-Length", "4")])
    yield b"tick"
    note("behind the last piece")


def length_fault(environ, start_response):
    start_response("200 OK", [*PLAIN, ("Content-Length", "4")])
    yield b"tick"
    raise ValueError("behind the last piece")


def patient(environ, start_response):
    """Yields nothing until a file is there."""
    start_response("200 OK", PLAIN)
    note("patient")
    number = 0
    while not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.02)
        yield b""
        number += 1
        if number == 25:
            note("still patient")
    yield b"answer"


def none(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"begun "
    yield None


def kernel_file(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](open(environ["PATH_INFO"], "rb"))


def joins(environ, start_response):
    """Waits for a thread that waits for the body."""
    thread = start("read", environ["wsgi.input"].read)
    thread.join()
    start_response("200 OK", PLAIN)
    return [b"joined"]
