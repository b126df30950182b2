"""Reads a request body: `/echo` sends it back, every other path counts its bytes."""

CHUNK = 65536


def count(stream):
    total = 0
    while data := stream.read(CHUNK):
        total += len(data)
    return str(total).encode()


def application(environ, start_response):
    stream = environ["wsgi.input"]
    body = stream.read(int(environ["CONTENT_LENGTH"])) if environ["PATH_INFO"] == "/echo" else count(stream)
    headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
