"""X-Request-ID and traceparent: taken over or made, and shown wherever a request is named."""

from __future__ import annotations

import json
import re
from signal import Signals

import pytest

from harness import packet
from harness.http import Connection, request
from harness.packet import Response
from harness.wait import until

pytestmark = pytest.mark.core

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
TRACE = PARENT[3:35]
MADE = re.compile(r"[0-9a-f]{32}")
MADE_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")


def over_http(server, path="/", **headers):
    with Connection(server.http_address) as client:
        client.send(request(path, **headers))
        return client.answer()


def over_uwsgi(server, path="/", **headers):
    given = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return server.request(path, **given)


@pytest.fixture(params=[over_http, over_uwsgi])
def ask(request):
    return request.param


# ── what the application, the log and the client get ──


def test_nothing_is_made_unless_asked_for(boot, ask):
    server = boot("environ", http=True)
    response = ask(server)
    assert not {"HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT"} & json.loads(response.body).keys()
    assert response.header("X-Request-ID") is None
    given = json.loads(ask(server, X_Request_ID="a b", Traceparent="x").body)
    assert (given["HTTP_X_REQUEST_ID"], given["HTTP_TRACEPARENT"]) == ("a b", "x")
    line = server.log.request("", 2)
    assert line["id"] is None and line["trace"] is None


def test_a_request_without_ids_gets_new_ones(boot, ask):
    server = boot("environ", http=True, request_id=True, trace_context=True)
    response = ask(server)
    environ = json.loads(response.body)
    assert MADE.fullmatch(environ["HTTP_X_REQUEST_ID"])
    assert MADE_PARENT.fullmatch(environ["HTTP_TRACEPARENT"])[3] == "01"
    assert response.header("X-Request-ID") == environ["HTTP_X_REQUEST_ID"]
    line = server.log.request()
    assert (line["id"], line["trace"]) == (environ["HTTP_X_REQUEST_ID"], environ["HTTP_TRACEPARENT"][3:35])


def test_sane_ids_are_taken_over(boot, ask):
    server = boot("environ", http=True, request_id=True, trace_context=True)
    response = ask(server, X_Request_ID="7d0f1a52-2ef8", Traceparent=PARENT, Tracestate="vendor=1")
    environ = json.loads(response.body)
    assert [environ[f"HTTP_{name}"] for name in ("X_REQUEST_ID", "TRACEPARENT", "TRACESTATE")] == [
        "7d0f1a52-2ef8",
        PARENT,
        "vendor=1",
    ]
    assert response.header("X-Request-ID") == "7d0f1a52-2ef8"
    assert server.log.request().group("id", "trace") == ("7d0f1a52-2ef8", TRACE)


def test_a_later_version_of_the_header_is_passed_on(boot, ask):
    server = boot("environ", http=True, trace_context=True)
    later = "cc-" + PARENT[3:] + "-what-comes-later"
    assert json.loads(ask(server, Traceparent=later).body)["HTTP_TRACEPARENT"] == later
    assert server.log.request()["trace"] == TRACE


HOSTILE_IDS = ["a b", 'a"b', "a,b", "<script>", "\x1b[2J", "a\\nb", "ü", "x" * 129, "%0d%0aSet-Cookie:a"]


@pytest.mark.parametrize("value", HOSTILE_IDS)
def test_an_insane_id_is_replaced(boot, ask, value):
    server = boot("environ", http=True, request_id=True)
    # A control character is no header: HTTP refuses it, a front end may send it.
    if value.startswith("\x1b") and ask is over_http:
        return assert_refused_with_new_id(server, value)
    response = ask(server, X_Request_ID=value)
    made = json.loads(response.body)["HTTP_X_REQUEST_ID"]
    assert MADE.fullmatch(made) and response.header("X-Request-ID") == made
    assert server.log.request()["id"] == made


def assert_refused_with_new_id(server, value):
    response = over_http(server, X_Request_ID=value)
    assert response.status == 400 and MADE.fullmatch(response.header("X-Request-ID"))
    assert server.log.wait(r"refused a request with 400: .* id (\S+)$")[1] == response.header("X-Request-ID")


def test_a_front_end_cannot_smuggle_lines(boot):
    server = boot("environ", request_id=True, trace_context=True)
    sent = {"HTTP_X_REQUEST_ID": "a\r\nSet-Cookie: b", "HTTP_TRACEPARENT": PARENT + "\r\nX: y"}
    response = server.request("/", **sent)
    assert response.all("Set-Cookie") == [] and response.all("X") == []
    environ = json.loads(response.body)
    assert MADE.fullmatch(environ["HTTP_X_REQUEST_ID"]) and MADE_PARENT.fullmatch(environ["HTTP_TRACEPARENT"])


@pytest.mark.parametrize(
    "value",
    [
        "",
        PARENT[:-1],
        PARENT.upper(),
        PARENT + "-more",
        "ff" + PARENT[2:],
        PARENT.replace(TRACE, "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        f"{PARENT}, {PARENT}",
    ],
)
def test_a_trace_that_is_none_begins_anew(boot, ask, value):
    server = boot("environ", http=True, trace_context=True)
    environ = json.loads(ask(server, Tracestate="vendor=1", Traceparent=value).body)
    made = MADE_PARENT.fullmatch(environ["HTTP_TRACEPARENT"])
    assert made and made[1] != TRACE
    assert "HTTP_TRACESTATE" not in environ
    assert server.log.request()["trace"] == made[1]


def test_repeated_headers_are_no_id(boot):
    server = boot("environ", http=True, request_id=True, trace_context=True)
    with Connection(server.http_address) as client:
        twice = f"X-Request-ID: a\r\nX-Request-ID: b\r\nTraceparent: {PARENT}\r\nTraceparent: {PARENT}\r\n"
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{twice}\r\n".encode())
        environ = json.loads(client.answer().body)
    assert MADE.fullmatch(environ["HTTP_X_REQUEST_ID"])
    assert MADE_PARENT.fullmatch(environ["HTTP_TRACEPARENT"])[1] != TRACE
    # Of variables the last counts, and so it does for what the server puts in its place.
    pairs = [*packet.variables("/").items(), ("HTTP_X_REQUEST_ID", "a"), ("HTTP_X_REQUEST_ID", " ")]
    response = Response.parse(packet.exchange(server.address, packet.packet(pairs)))
    assert json.loads(response.body)["HTTP_X_REQUEST_ID"] == response.header("X-Request-ID") != "a"


def test_new_ids_whatever_the_client_says(boot, ask):
    server = boot("environ", http=True, request_id="new", trace_context="new")
    response = ask(server, X_Request_ID="mine", Traceparent=PARENT, Tracestate="vendor=1")
    environ = json.loads(response.body)
    assert MADE.fullmatch(environ["HTTP_X_REQUEST_ID"]) and response.header("X-Request-ID") != "mine"
    assert TRACE not in environ["HTTP_TRACEPARENT"] and "HTTP_TRACESTATE" not in environ


def test_the_body_of_a_packet_stays_what_it_is(boot):
    """The new variables are appended to those of the request, and a body may have come right behind them."""
    server = boot("slow:waits", request_id=True, trace_context=True)
    server.log.expect("^waiting /$")
    assert server.request("/", "POST", b"body" * 100).body.startswith(b"body" * 100 + b" ")


def test_kept_connections_get_one_for_each_request(boot):
    server = boot("environ", http=True, request_id=True)
    with Connection(server.http_address) as client:
        ids = []
        for given in ({}, {"X_Request_ID": "mine"}, {}):
            client.send(request("/", **given))
            response = client.answer()
            ids.append(response.header("X-Request-ID"))
            assert json.loads(response.body)["HTTP_X_REQUEST_ID"] == ids[-1]
    assert ids[1] == "mine" and len({*ids}) == 3


def test_no_two_requests_get_the_same(boot):
    """Over processes, threads, and workers that were forked from one zygote."""
    server = boot("environ", http=True, request_id=True, trace_context=True, processes=3, threads=2, max_requests=40)
    server.log.accept_anything()
    found = []
    for _ in range(60):
        with Connection(server.http_address) as client:
            client.send(request() * 5)
            found += [json.loads(client.answer().body) for _ in range(5)]
    assert len({environ["HTTP_X_REQUEST_ID"] for environ in found}) == 300
    parents = [environ["HTTP_TRACEPARENT"].split("-") for environ in found]
    assert len({parent[1] for parent in parents}) == len({parent[2] for parent in parents}) == 300


@pytest.mark.parametrize("percent, flags", [(0, {"00"}), (100, {"01"}), (50, {"00", "01"})])
def test_a_share_of_new_traces_is_sampled(boot, percent, flags):
    server = boot("environ", http=True, trace_context=True, trace_sample=percent)
    with Connection(server.http_address) as client:
        client.send(request() * 64)
        made = [json.loads(client.answer().body)["HTTP_TRACEPARENT"] for _ in range(64)]
    assert {parent[-2:] for parent in made} == flags


# ── the answer ──


def test_the_application_may_set_it_itself(boot, ask, tmp_path):
    (tmp_path / "own.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [('x-request-id', 'own')])\n"
        "    return [b'']\n"
    )
    server = boot(None, http=True, request_id=True, pythonpath=tmp_path, module="own")
    assert ask(server).header("X-Request-ID") == "own"


def test_the_answer_goes_without_where_a_front_end_adds_it(boot, ask):
    server = boot("environ", http=True, request_id=True, request_id_response=False)
    response = ask(server)
    assert response.header("X-Request-ID") is None and "HTTP_X_REQUEST_ID" in json.loads(response.body)


def test_errors_and_files_carry_it_too(boot, ask, tmp_path):
    (tmp_path / "f.txt").write_text("file")
    server = boot("mixed", http=True, request_id=True, static_map=f"/static={tmp_path}")
    for path, status in [("/raises", 500), ("/static/f.txt", 200), ("/static/none", 200)]:
        response = ask(server, path, X_Request_ID="mine")
        assert (response.status, response.header("X-Request-ID")) == (status, "mine")
    server.log.wait(r"ValueError in worker 1 core 0: GET /raises id mine; answered 500")


# ── records ──


def test_refused_requests_are_named(boot, ask):
    server = boot("hello", http=True, request_id=True, limit_post=3)
    response = (
        ask(server, Content_Length="9", X_Request_ID="mine")
        if ask is over_http
        else server.request("/", "POST", b"too long!", HTTP_X_REQUEST_ID="mine")
    )
    assert (response.status, response.header("X-Request-ID")) == (413, "mine")
    server.log.wait(r"refused a request with 413: .*limit-post = 3 allows.* id mine$")


def test_a_refused_head_and_a_bad_body_are_named(boot):
    server = boot("hello", http=True)
    response = over_http(server, X_Request_ID="one", Content_Length="1, 2")
    assert (response.status, response.header("X-Request-ID")) == (400, None)
    server.log.wait(r"refused a request with 400: .* id one$")
    with Connection(server.http_address) as client:
        client.send(request("/", "POST", X_Request_ID="two", Transfer_Encoding="chunked"))
        client.send(b"no chunk\r\n")
        assert client.answer().status == 400
    server.log.wait(r"refused a request with 400: .* id two$")


@pytest.mark.parametrize("options", [{}, {"request_id": True, "trace_context": True}])
def test_harakiri_and_its_stacks_name_the_request(boot, ask, options):
    """A front end's id is named without any option."""
    server = boot("late", http=True, harakiri=1, **options)
    assert ask(server, "/late?sleep=60", X_Request_ID="mine", Traceparent=PARENT).status == 504
    named = rf"GET /late\?sleep=60 id mine trace {TRACE}"
    server.log.wait(rf"HARAKIRI ON WORKER 1 .*: {named} has run for")
    server.log.wait(r"worker 1 \(pid \d+\) was killed by harakiri; replacing it")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")
    assert re.search(rf"\[core 0: {named}\]", server.log.entry("HARAKIRI").text)


def test_the_status_and_stacks_on_request_name_it(boot, ask):
    server = boot("slow:waits", http=True, request_id=True, socket_timeout=30, http_timeout=30, http_stream_body=True)
    if ask is over_http:
        data = request("/a", "POST", X_Request_ID="mine", Content_Length="4")
        address = server.http_address
    else:
        data = packet.packet(packet.variables("/a", "POST", b"body", HTTP_X_REQUEST_ID="mine"))
        address = server.address
    with packet.connect(address) as client:
        client.sendall(data)
        server.log.wait("^waiting /a$")
        server.signal(Signals.SIGUSR1)
        server.log.find(r"  core 0: POST /a id mine for \d+ ms")
        server.log.expect("SIGUSR2: worker 1")
        server.signal(Signals.SIGUSR2)
        server.log.find(r"\[core 0: POST /a id mine\]")
        client.sendall(b"body")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_request_behind_one_with_an_id_has_none_of_its(boot):
    server = boot("late", harakiri=1)
    assert server.request("/", HTTP_X_REQUEST_ID="first").status == 200
    assert server.request("/late?sleep=60").status == 504
    server.log.wait(r"HARAKIRI ON WORKER 1 .*: GET /late\?sleep=60 has run for")
    server.log.wait(r"worker 1 \(pid \d+\) was killed by harakiri; replacing it")
    server.log.wait(r"worker 1 \(pid \d+\) is ready")


def test_a_reload_turns_it_on(start, tmp_path):
    config = tmp_path / "c.ini"
    config.write_text("[uwsgi]\n")
    server = start("environ", http=True, ini=config).wait_ready()
    assert over_http(server).header("X-Request-ID") is None
    config.write_text("[uwsgi]\nrequest-id = true\n")
    server.reload()
    assert MADE.fullmatch(over_http(server).header("X-Request-ID"))


# ── behind nginx ──


def test_nginx_names_the_request(boot, nginx, tmp_path):
    """Its `$request_id` is the one of rwsgi's log, in both protocols."""
    server = boot("environ", http=True, request_id=True)
    front = nginx(f"127.0.0.1:{server.address[1]}", f"http://127.0.0.1:{server.http_address[1]}")
    for number, port in enumerate(front.ports, 1):
        with Connection(("127.0.0.1", port)) as client:
            client.send(request("/", X_Request_ID="from-the-client"))
            response = client.answer()
        assert response.header("X-Request-ID") == "from-the-client"
        assert until(lambda number=number: server.log.request("", number), "its line")["id"] == "from-the-client"


# ── options ──


@pytest.mark.parametrize(
    "option, remedy",
    [("request-id=old", "write true, false or new"), ("trace-sample=101", "write a number from 0 to 100")],
)
def test_what_an_option_cannot_be(start, option, remedy):
    server = start("hello", f"--{option}")
    server.status = server.wait_exit()
    assert server.status == 1
    server.log.wait(re.escape(remedy))
