"""wsgiref's validator around the usual kinds of answers: it raises when the server breaks PEP 3333."""

from wsgiref.validate import validator

PLAIN = [("Content-Type", "text/plain")]


@validator
def listed(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return [b"one ", b"two"]


@validator
def generated(environ, start_response):
    start_response("200 OK", list(PLAIN))
    yield b"one "
    yield b"two"


@validator
def written(environ, start_response):
    write = start_response("200 OK", list(PLAIN))
    write(b"one ")
    return [b"two"]


@validator
def echoed(environ, start_response):
    body = environ["wsgi.input"]
    first = body.readline()
    rest = body.read(int(environ["CONTENT_LENGTH"]) - len(first))
    start_response("200 OK", list(PLAIN))
    return [rest, first]


@validator
def wrapped(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


@validator
def complained(environ, start_response):
    environ["wsgi.errors"].write("a complaint\n")
    environ["wsgi.errors"].writelines(["another\n"])
    environ["wsgi.errors"].flush()
    start_response("200 OK", list(PLAIN))
    return [b"said"]


@validator
def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


@validator
def failed(environ, start_response):
    import sys

    try:
        raise ValueError("mended")
    except ValueError:
        start_response("500 Mended", list(PLAIN), sys.exc_info())
        return [b"mended"]
