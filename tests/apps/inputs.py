"""Reads wsgi.input as the request says, and shows each result."""

import json
import os
import threading


def show(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [show(item) for item in value] if isinstance(value, list) else value


def call(body, name, arguments):
    """One step of the script: a method with its arguments, `iterate`, `next`, or `say`."""
    if name == "iterate":
        return list(body)
    if name == "say":
        return os.write(2, b"saying\n")
    if name == "next":
        return next(body, None)
    return getattr(body, name)(*arguments)


def application(environ, start_response):
    """HTTP_X_STEPS is a list of [method, argument, …]; what raises shows as {"raised": kind}."""
    results = []
    if "HTTP_X_SAY" in environ:
        print("reading")
    for name, *arguments in json.loads(environ["HTTP_X_STEPS"]):
        try:
            results.append(show(call(environ["wsgi.input"], name, arguments)))
        except Exception as error:
            results.append({"raised": type(error).__name__, "text": str(error)})
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(results).encode()]


def unread(environ, start_response):
    """Answers without looking at the body."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"unread"]


def digest(environ, start_response):
    """Reads in blocks of the query string's size; length and sum of the body."""
    size = int(environ["QUERY_STRING"] or -1)
    length = total = 0
    while block := environ["wsgi.input"].read(size):
        length += len(block)
        total = (total + sum(block)) % 65521
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{length} {total}".encode()]


kept = []


def keeps(environ, start_response):
    """Reads the input of the request before, too."""
    results = []
    for old in kept:
        try:
            results.append(show(old.read()))
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")
    kept[:] = [environ["wsgi.input"]]
    results.append(show(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(results).encode()]


def in_thread(environ, start_response):
    """Another thread reads, while the request waits for it."""
    found = []
    thread = threading.Thread(target=lambda: found.append(environ["wsgi.input"].read()))
    thread.start()
    thread.join()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return found


def after(environ, start_response):
    """A thread reads when the request is over."""
    body = environ["wsgi.input"]
    ended = threading.Event()

    def read():
        ended.wait(10)
        try:
            os.write(2, f"late read gave {body.read()!r}\n".encode())
        except Exception as error:
            os.write(2, f"late read raised {type(error).__name__}\n".encode())

    threading.Thread(target=read).start()

    class Body(list):
        def close(self):
            threading.Timer(0.05, ended.set).start()

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body([b"answered ", b"early"])


def streams_unread(environ, start_response):
    """An answer in two pieces, and a body that nobody reads."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"one", b"two"])
