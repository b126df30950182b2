"""Shows what the application was given."""

import json
import threading


def plain(value):
    return value if isinstance(value, (str, int, bool, list)) else f"{type(value).__name__}:{value!r}"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    facts = {key: plain(value) for key, value in environ.items()}
    facts["type of environ"] = type(environ).__name__
    facts["thread"] = threading.current_thread().name
    return [json.dumps(facts).encode()]


def key(environ, start_response):
    """The bytes of the variable that the query string names, by way of Latin-1."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [environ[environ["QUERY_STRING"]].encode("latin-1")]


kept = []


def keeps(environ, start_response):
    """Keeps every environ; tells the paths of all that it has kept."""
    kept.append(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(old["PATH_INFO"] for old in kept).encode()]


def changes(environ, start_response):
    """Changes its environ; the next one must not be changed."""
    found = [name for name in ("LEFT_BEHIND", "wsgi.left") if name in environ] + [environ["PATH_INFO"]]
    environ.update({"LEFT_BEHIND": "1", "wsgi.left": "1", "PATH_INFO": "/changed"})
    del environ["SERVER_NAME"], environ["wsgi.url_scheme"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(found).encode()]
