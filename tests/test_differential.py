"""The same requests to rwsgi and to the real uWSGI 2.0.31: same answers, same environ, but for tests/differences.py."""

from __future__ import annotations

import json

import pytest

import differences
from differences import Ask, Difference
from harness import packet
from harness.packet import Address, Response
from harness.peer import Uwsgi

pytestmark = pytest.mark.core

SAME = {
    "hello": Ask("/hello"),
    "post": Ask("/hello", "POST", b"ignored"),
    "another method": Ask("/hello", "PROPFIND"),
    "http/1.0": Ask("/hello", variables={"SERVER_PROTOCOL": "HTTP/1.0"}),
    "no protocol": Ask("/hello", variables={"SERVER_PROTOCOL": ""}),
    "generator": Ask("/generator"),
    "write": Ask("/write"),
    "bytes": Ask("/plain_bytes"),
    "empty": Ask("/empty"),
    "repeated headers": Ask("/cookies"),
    "latin-1": Ask("/latin/\xfc\xff"),
    "status 404": Ask("/statuses?404+Not+Found"),
    "status with its own text": Ask("/statuses?299+Whatever+it+is"),
    "status without text": Ask("/statuses?404"),
    "file": Ask("/file"),
    "file-like object": Ask("/file_like"),
    "exception after the head": Ask("/raises_later"),
    "read": Ask("/read?read", "POST", b"line\nrest"),
    "read(3)": Ask("/read?read,3", "POST", b"line\nrest"),
    "read(-1)": Ask("/read?read,-1", "POST", b"line\nrest"),
    "read(1000)": Ask("/read?read,1000", "POST", b"line\nrest"),
    "readline": Ask("/read?readline", "POST", b"line\nrest"),
    "readlines": Ask("/read?readlines", "POST", b"line\nrest"),
    "iterate": Ask("/read?iterate", "POST", b"line\nrest\n\nend"),
    "no body": Ask("/read?read"),
    "body beyond its length": Ask("/read?read", "POST", b"line\nrest", {"CONTENT_LENGTH": "4"}),
    "repeated variable": Ask("/latin/x", variables={"HTTP_X": "1"}),
    "modifier 30": Ask("/hello", modifier1=30),
}


def ask(address: Address, wanted: Ask) -> bytes:
    if not wanted.path:
        return packet.exchange(address, packet.head(wanted.modifier1, 0))
    variables = packet.variables(wanted.path, wanted.method, wanted.body) | wanted.variables
    return packet.exchange(address, packet.packet(variables, wanted.modifier1) + (wanted.body or b""))


@pytest.fixture(scope="module")
def uwsgi(tmp_path_factory):
    peer = Uwsgi(tmp_path_factory.mktemp("uwsgi"), "many")
    yield peer
    peer.close()


@pytest.mark.parametrize("name", SAME)
def test_same_answers(boot, uwsgi, name):
    server = boot("many")
    if name == "exception after the head":
        server.log.expect("ValueError in worker 1 core 0: GET /raises_later; its answer had begun and was cut off")
    theirs = ask(uwsgi.address, SAME[name])
    assert theirs, "uWSGI did not answer"
    assert ask(server.address, SAME[name]) == theirs


@pytest.mark.parametrize("difference", differences.ANSWERS, ids=lambda difference: difference.name)
def test_intended_differences(boot, uwsgi, difference: Difference):
    server = boot("many")
    if difference.logs:
        server.log.expect(difference.logs)
    assert ask(uwsgi.address, difference.ask) == difference.uwsgi
    assert ask(server.address, difference.ask) == difference.rwsgi


KINDS = {
    "one process": ([], {}),
    "processes": (["--processes=2"], {"processes": 2}),
    "threads": (["--threads=2"], {"threads": 2}),
    "both": (["--processes=2", "--threads=2"], {"processes": 2, "threads": 2}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_environ(boot, tmp_path, kind):
    theirs_options, ours_options = KINDS[kind]
    peer = Uwsgi(tmp_path, "many", *theirs_options)
    try:
        for more in ({}, {"HTTPS": "on"}, {"HTTP_X_FORWARDED_PROTO": "https"}, {"HTTPS": "off"}, {"UWSGI_SCHEME": "x"}):
            wanted = Ask("/environ/a%20b/\xfc?q=%C3%BC&r", "POST", b"body", {"CONTENT_TYPE": "text/x", **more})
            theirs = json.loads(Response.parse(ask(peer.address, wanted)).body)
            ours = json.loads(Response.parse(ask(boot("many", **ours_options).address, wanted)).body)
            for key in ("uwsgi.core",):
                # Any core may have answered.
                assert (key in ours) == (key in theirs)
                ours.pop(key, None), theirs.pop(key, None)
            assert ours.keys() - theirs.keys() == differences.ONLY_RWSGI.keys()
            assert {key: ours.get(key) for key in theirs} == theirs | differences.OTHER_VALUES
    finally:
        peer.close()
