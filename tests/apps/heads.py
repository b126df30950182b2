"""Answers with heads that are out of the ordinary."""

PLAIN = ("Content-Type", "text/plain")


def hop_by_hop(environ, start_response):
    """Every header that is the server's to set (PEP 3333), or the intermediaries'."""
    names = {
        "Transfer-Encoding": "chunked",
        "Connection": "keep-alive, upgrade",
        "Keep-Alive": "timeout=1",
        "TE": "trailers",
        "Trailer": "Digest",
        "Upgrade": "TLS/1.3",
        "Proxy-Authenticate": "Basic",
    }
    start_response("200 OK", [PLAIN, *names.items()])
    return [b"one ", b"two"]


def long(environ, start_response):
    """As many KiB of headers as the query string says, 1 KiB each."""
    start_response("200 OK", [PLAIN, *[("X-Long", "x" * 1014)] * int(environ["QUERY_STRING"])])
    return [b"whole"]
