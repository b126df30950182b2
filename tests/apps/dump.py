"""All that came, as bytes can be compared: the CGI variables and the body."""

import json


def application(environ, start_response):
    variables = {key: value for key, value in environ.items() if isinstance(value, str) and key != "wsgi.url_scheme"}
    body = environ["wsgi.input"].read().decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"environ": variables, "body": body}).encode()]
