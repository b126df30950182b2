"""wsgi.input: every way of reading × every way of sending a body."""

from __future__ import annotations

import json
import socket

import pytest

from harness import packet
from harness.packet import Response

BODY = b"first line\nsecond\n\nfourth without end"
LINES = ["first line\n", "second\n", "\n", "fourth without end"]
WHOLE = BODY.decode()

# name: steps, results
TABLE: dict[str, tuple[list[list[object]], list[object]]] = {
    "read": ([["read"], ["read"]], [WHOLE, ""]),
    "read negative": ([["read", -1], ["read", -1]], [WHOLE, ""]),
    "read none": ([["read", None]], [WHOLE]),
    "read zero": ([["read", 0], ["read"]], ["", WHOLE]),
    "read sized": ([["read", 5], ["read", 7], ["read"]], [WHOLE[:5], WHOLE[5:12], WHOLE[12:]]),
    "read exact": ([["read", len(BODY)], ["read", 1]], [WHOLE, ""]),
    "read beyond": ([["read", 1000], ["read", 1000]], [WHOLE, ""]),
    "readline": ([["readline"]] * 5, [*LINES, ""]),
    "readline negative": ([["readline", -1]] * 5, [*LINES, ""]),
    "readline none": ([["readline", None]], LINES[:1]),
    "readline zero": ([["readline", 0], ["readline"]], ["", LINES[0]]),
    "readline sized": ([["readline", 5], ["readline", 100], ["readline", 7]], ["first", " line\n", "second\n"]),
    "readline exact": ([["readline", 11], ["readline", 6], ["readline"]], [LINES[0], "second", "\n"]),
    "readlines": ([["readlines"], ["readlines"]], [LINES, []]),
    "readlines hint": ([["readlines", 12], ["readlines"]], [LINES[:2], LINES[2:]]),
    "readlines small hint": ([["readlines", 1], ["read"]], [LINES[:1], "".join(LINES[1:])]),
    "readlines zero": ([["readlines", 0]], [LINES]),
    "readlines negative": ([["readlines", -1]], [LINES]),
    "readlines none": ([["readlines", None]], [LINES]),
    "iterate": ([["iterate"], ["iterate"], ["read"]], [LINES, [], ""]),
    "next": ([["next"]] * 5, [*LINES, None]),
    "mixed": (
        [["readline"], ["read", 3], ["next"], ["readlines", 1], ["read"]],
        [LINES[0], "sec", "ond\n", ["\n"], LINES[3]],
    ),
    "close": ([["close"]], [None]),
}


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def ask(server, steps: list[list[object]], sent: list[bytes], **more: str) -> list[object]:
    """Sends the packet and the body's pieces, each in a segment of its own."""
    variables = packet.variables("/", "POST", **{"HTTP_X_STEPS": json.dumps(steps), **more})
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(packet.packet(variables))
        for piece in sent:
            client.sendall(piece)
        return json.loads(Response.parse(packet.read_all(client)).body)


SENDINGS = {
    "sized": (lambda body: [body], {"CONTENT_LENGTH": "{}"}),
    "sized by bytes": (lambda body: [bytes([byte]) for byte in body], {"CONTENT_LENGTH": "{}"}),
    "chunked": (lambda body: [chunked(body, 1000)], {"HTTP_TRANSFER_ENCODING": "chunked"}),
    "chunked small": (lambda body: [chunked(body, 3)], {"HTTP_TRANSFER_ENCODING": "chunked"}),
    "chunked by bytes": (
        lambda body: [bytes([byte]) for byte in chunked(body, 7)],
        {"HTTP_TRANSFER_ENCODING": "Chunked"},
    ),
}
BUFFERINGS = {"": {}, "in memory": {"post_buffering": 4096}, "in a file": {"post_buffering": 1}}


@pytest.mark.parametrize("buffering", BUFFERINGS)
@pytest.mark.parametrize("sending", SENDINGS)
def test_reading(boot, sending, buffering):
    server = boot("inputs", **BUFFERINGS[buffering])
    split, variables = SENDINGS[sending]
    variables = {name: value.format(len(BODY)) for name, value in variables.items()}
    for name, (steps, results) in TABLE.items():
        assert ask(server, steps, split(BODY), **variables) == results, name


@pytest.mark.parametrize("buffering", BUFFERINGS)
@pytest.mark.parametrize("length", ["0", "", None])
def test_no_body(boot, length, buffering):
    server = boot("inputs", **BUFFERINGS[buffering])
    variables = {} if length is None else {"CONTENT_LENGTH": length}
    steps = [["read"], ["read", 5], ["readline"], ["readlines"], ["iterate"]]
    assert ask(server, steps, [], **variables) == ["", "", "", [], []]
    assert ask(server, [["read"]], [b"0\r\n\r\n"], HTTP_TRANSFER_ENCODING="chunked") == [""]


@pytest.mark.parametrize("name", ["read", "readline sized", "readlines", "iterate"])
def test_never_past_the_end_of_the_body(boot, name):
    """What follows is not the application's, even when it came with the body."""
    server = boot("inputs")
    steps, results = TABLE[name]
    for sent, more in [
        (BODY + b" and more\n", {"CONTENT_LENGTH": str(len(BODY))}),
        (chunked(BODY, 9) + b"5\r\nmore\n\r\n", {"HTTP_TRANSFER_ENCODING": "chunked"}),
    ]:
        variables = packet.variables("/", "POST", **{"HTTP_X_STEPS": json.dumps(steps), **more})
        answer = packet.exchange(server.address, packet.packet(variables) + sent)
        assert json.loads(Response.parse(answer).body) == results


def test_a_read_does_not_wait_for_more_than_the_body(boot):
    """The client keeps its side open, as nginx does."""
    server = boot("inputs")
    assert ask(server, [["read", 100_000], ["readline", 9], ["read"]], [b"x"], CONTENT_LENGTH="1") == ["x", "", ""]


READING = [["read"], ["read", 1000], ["readline"], ["readlines"], ["iterate"], ["next"]]


def ask_broken(server, step: list[object], sent: bytes, **more: str) -> list[object]:
    """The client sends less than it announced and closes its side."""
    steps = [step, step]
    variables = packet.variables("/", "POST", **{"HTTP_X_STEPS": json.dumps(steps), **more})
    with server.connect() as client:
        client.sendall(packet.packet(variables) + sent)
        client.shutdown(socket.SHUT_WR)
        return json.loads(Response.parse(packet.read_all(client)).body)


@pytest.mark.parametrize("step", READING, ids=str)
def test_a_body_that_was_cut_off_raises(boot, step):
    """Never empty bytes: a short upload must not pass for a whole one."""
    server = boot("inputs")
    results = ask_broken(server, step, b"too short", CONTENT_LENGTH="1000")
    assert [result.get("raised") for result in results] == ["OSError"] * 2
    results = ask_broken(server, step, b"64\r\ntoo short", HTTP_TRANSFER_ENCODING="chunked")
    assert [result.get("raised") for result in results] == ["OSError"] * 2


def test_whole_lines_before_the_cut_can_be_read(boot):
    results = ask_broken(boot("inputs"), ["readline"], b"whole\nbroken", CONTENT_LENGTH="1000")
    assert results[0] == "whole\n"
    assert results[1]["raised"] == "OSError"


MALFORMED = [b"x\r\n", b"-1\r\n", b"5;\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n", b"fffffffffffffffff\r\n"]


@pytest.mark.parametrize("sent", MALFORMED)
def test_malformed_chunks_raise(boot, sent):
    """When the application runs already; it says so."""
    server = boot("inputs")
    steps = json.dumps([["read", 2], ["say"], ["read"], ["readline"]])
    variables = packet.variables("/", "POST", HTTP_TRANSFER_ENCODING="chunked", HTTP_X_STEPS=steps)
    with server.connect() as client:
        client.sendall(packet.packet(variables) + b"2\r\nok\r\n")
        server.log.wait("^saying$")
        client.sendall(sent)
        results = json.loads(Response.parse(packet.read_all(client)).body)
    assert results[0] == "ok"
    assert [result.get("raised") for result in results[2:]] == ["OSError"] * 2


@pytest.mark.parametrize("buffering", BUFFERINGS)
@pytest.mark.parametrize("sent", MALFORMED)
def test_malformed_chunks_are_400_when_seen_in_time(boot, sent, buffering):
    server = boot("inputs", **BUFFERINGS[buffering])
    variables = packet.variables("/", "POST", HTTP_TRANSFER_ENCODING="chunked")
    answer = Response.parse(packet.exchange(server.address, packet.packet(variables) + sent))
    assert answer.status == 400
    server.log.wait("the chunks of the body are malformed; answered 400")


def test_a_body_that_does_not_come_raises_after_socket_timeout(boot):
    server = boot("inputs", socket_timeout=1)
    (result,) = ask(server, [["read"]], [b"half"], CONTENT_LENGTH="8")
    assert (result["raised"], "socket-timeout" in result["text"]) == ("OSError", True)


def test_a_body_that_does_not_come_is_408_when_buffered(boot):
    server = boot("inputs", socket_timeout=1, post_buffering=4096)
    variables = packet.variables("/", "POST", CONTENT_LENGTH="8")
    answer = Response.parse(packet.exchange(server.address, packet.packet(variables) + b"half"))
    assert answer.status == 408
    server.log.wait("within socket-timeout; answered 408")
    assert server.log.request()["status"] == "408"


def test_a_client_that_leaves_while_its_body_is_buffered(boot):
    server = boot("inputs", post_buffering=4096)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables("/gone", "POST", CONTENT_LENGTH="8")) + b"half")
    server.log.wait("closed the connection before the end of the body; answered 400")
    server.log.request("/gone")


@pytest.mark.parametrize("buffering", BUFFERINGS)
@pytest.mark.parametrize("size", ["", "1000", "65536", "100000"])
def test_a_large_body(boot, size, buffering):
    body = bytes(range(256)) * 8000
    server = boot("inputs:digest", **BUFFERINGS[buffering])
    expected = f"{len(body)} {sum(body) % 65521}"
    assert server.request(f"/?{size}", "POST", body).text == expected
    variables = packet.variables(f"/?{size}", "POST", HTTP_TRANSFER_ENCODING="chunked")
    answer = packet.exchange(server.address, packet.packet(variables) + chunked(body, 70_000))
    assert Response.parse(answer).text == expected


@pytest.mark.parametrize("buffering", ["in memory", "in a file"])
def test_seeking(boot, buffering):
    server = boot("inputs", **BUFFERINGS[buffering])
    steps = [
        ["read", 5],
        ["tell"],
        ["seek", 0],
        ["readline"],
        ["seek", -3, 2],
        ["read"],
        ["tell"],
        ["seek", 1],
        ["read", 3],
    ]
    expected = [WHOLE[:5], 5, 0, LINES[0], len(BODY) - 3, "end", len(BODY), 1, WHOLE[1:4]]
    assert ask(server, steps, [BODY], CONTENT_LENGTH=str(len(BODY))) == expected
    (result,) = ask(server, [["seek", 1000]], [BODY], CONTENT_LENGTH=str(len(BODY)))
    assert result["raised"] == "OSError"


def test_seeking_needs_post_buffering(boot):
    (result,) = ask(boot("inputs"), [["seek", 0]], [BODY], CONTENT_LENGTH=str(len(BODY)))
    assert (result["raised"], "post-buffering" in result["text"]) == ("OSError", True)


@pytest.mark.parametrize("size", [10, 100_000, 4_000_000])
def test_an_unread_body_does_not_cost_the_answer(boot, size):
    """Closing while the client still sends would reset the connection under the answer."""
    server = boot("inputs:unread")
    assert server.request("/", "POST", b"x" * size).body == b"unread"


def test_another_thread_may_read(boot):
    assert boot("inputs:in_thread").request("/", "POST", BODY).body == BODY


@pytest.mark.parametrize("buffering", BUFFERINGS)
def test_the_input_of_an_ended_request_raises(boot, buffering):
    server = boot("inputs:keeps", **BUFFERINGS[buffering])
    assert json.loads(server.request("/", "POST", b"one").body) == ["one"]
    old, new = json.loads(server.request("/", "POST", b"two").body)
    assert old.startswith("ValueError: ")
    assert new == "two"


def test_a_late_read_of_another_thread_raises(boot):
    server = boot("inputs:after")
    assert server.request("/", "POST", BODY).body == b"answered early"
    server.log.wait("^late read raised ValueError$")


def test_limit_post_counts_the_bytes_of_chunks(boot):
    server = boot("inputs", limit_post=10)
    variables = packet.variables("/", "POST", HTTP_X_STEPS='[["read"]]', HTTP_TRANSFER_ENCODING="chunked")
    with server.connect() as client:
        client.sendall(packet.packet(variables) + chunked(b"x" * 11, 4))
        assert Response.parse(packet.read_all(client)).status == 413
    server.log.expect("the body is longer than limit-post allows; answered 413")
    with server.connect() as client:
        # The app runs already when the body grows too long.
        client.sendall(packet.packet({**variables, "HTTP_X_SAY": "1"}) + chunked(b"x" * 4, 4)[:-5])
        server.log.wait("^reading$")
        client.sendall(chunked(b"x" * 7, 7))
        (result,) = json.loads(Response.parse(packet.read_all(client)).body)
    assert (result["raised"], "limit-post" in result["text"]) == ("OSError", True)
    assert ask(server, [["read"]], [chunked(b"x" * 10, 4)], HTTP_TRANSFER_ENCODING="chunked") == ["x" * 10]
