"""Options about the application and its Python: each shown by what the application sees."""

from __future__ import annotations

import http.client
import json

import pytest

from harness import packet
from harness.wait import until


def state(server, path="/"):
    return json.loads(server.request(path).text)


def test_unenv_removes_and_order_decides(boot):
    server = boot(
        "options",
        "--env=TAKEN=1",
        "--unenv=TAKEN",
        "--unenv=KEPT",
        "--env=KEPT=1",
        "--unenv=OUTER",
        "--unenv=NEVER_SET",
        env={"OUTER": "1"},
    )
    environment = state(server)["environment"]
    assert "TAKEN" not in environment
    assert "OUTER" not in environment
    assert environment["KEPT"] == "1"


@pytest.mark.parametrize("lazy", [False, True])
def test_chdir2_follows_the_import(boot, tmp_path, lazy):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    shown = state(boot("options", chdir=first, chdir2=second, lazy_apps=lazy))
    assert (shown["at_import"], shown["cwd"]) == (str(first), str(second))


def test_chdir2_to_nowhere_is_no_start(start, tmp_path):
    server = start("options", chdir2=tmp_path / "missing")
    server.status = 22
    assert server.wait_exit() == 22
    server.log.find(r"cannot chdir to .*/missing \(chdir2\): No such file")
    server.log.accept_anything()


@pytest.mark.parametrize("lazy", [False, True])
def test_imports(boot, tmp_path, lazy):
    """import runs in each worker, shared-import once before the fork and before the application."""
    note = "import os, sys\nos.write(1, f'{} {{os.getpid()}} {{\"options\" in sys.modules}}\\n'.encode())\n"
    for name in ("each", "once"):
        (tmp_path / f"{name}.py").write_text(note.format(name))
    (tmp_path / "by_path.py").write_text("import os\nos.write(1, b'by path\\n')\n")
    server = boot(
        "options",
        f"--import={tmp_path}/by_path.py",
        "--import=each",
        "--import=no_such_module",
        shared_import="once",
        processes=2,
        lazy_apps=lazy,
        pythonpath=tmp_path,
    )
    pids = server.worker_pids()
    for pid in pids:
        server.log.wait(f"^each {pid} True$")
    server.log.wait("^by path$", count=2)
    server.log.wait(r"cannot import no_such_module \(import\)", count=2)
    server.log.expect("^  Traceback", "^    ", "^  ModuleNotFoundError: No module named 'no_such_module'")
    server.log.wait(r"^once \d+ False$", count=2 if lazy else 1)
    assert sum(line.startswith("once") for line in server.log.lines) == (2 if lazy else 1)
    assert {"each", "once"} <= set(state(server)["modules"])


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("lazy", [False, True])
def test_optimize(boot, level, lazy):
    shown = state(boot("options", optimize=level, lazy_apps=lazy))
    assert shown["checks"] == (level == 0)
    assert shown["documented"] == (level < 2)


def test_bytecode_of_another_level_is_not_taken(boot, tmp_path):
    """With its cache on, a module compiled with assertions and one without are two files."""
    (tmp_path / "cached.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'debug' if __debug__ else b'optimized']\n"
    )
    environment = {"PYTHONDONTWRITEBYTECODE": ""}
    for level, text in ((0, "debug"), (1, "optimized"), (0, "debug")):
        server = boot(module="cached", pythonpath=tmp_path, optimize=level, env=environment)
        assert server.request().text == text
    assert {path.name.split(".")[-2] for path in (tmp_path / "__pycache__").glob("cached.*")} >= {"opt-1"}


@pytest.mark.parametrize("disabled", [False, True])
def test_disable_file_wrapper(boot, disabled):
    assert state(boot("options", wsgi_disable_file_wrapper=disabled))["file_wrapper"] != disabled


@pytest.mark.parametrize("uwsgi", [True, False])
def test_add_header_to_every_answer(boot, uwsgi):
    server = boot("options", "--add-header=X-One: a, b", "--add-header=X-Two:2", uwsgi=uwsgi, http=not uwsgi)
    server.log.expect("Special in .*; answered 500", "^  Traceback", "^    ", "options.Special$")
    for path, status in (("/", 200), ("/fail", 500)):
        if uwsgi:
            response = server.request(path)
            headers, code = dict(response.headers), response.status
        else:
            headers, code = get(server.http_address, path)
        assert code == status
        found = {name.lower(): value for name, value in headers.items()}
        assert (found["x-one"], found["x-two"]) == ("a, b", "2")


def get(address, path):
    client = http.client.HTTPConnection(*address, timeout=5)
    client.request("GET", path)
    response = client.getresponse()
    response.read()
    client.close()
    return dict(response.headers), response.status


def test_catch_exceptions_shows_the_traceback(boot):
    server = boot("options", catch_exceptions=True)
    response = server.request("/fail?why")
    assert response.status == 500
    assert response.text.startswith("Traceback (most recent call last):")
    assert response.text.endswith("options.Special: why\n")
    server.log.wait(r"Special in .*; answered 500, with the traceback \(catch-exceptions\)")
    server.log.expect("^  Traceback", "^    ", "options.Special: why$")


def test_without_it_nothing_is_shown(boot):
    server = boot("options")
    assert server.request("/fail?why").text == "Internal Server Error\n"
    server.log.expect("Special in .*; answered 500$", "^  Traceback", "^    ", "options.Special: why$")


MATCHING = [
    {"reload_on_exception": True},
    {"reload_on_exception_type": "Special"},
    {"reload_on_exception_type": "options.Special"},
    {"reload_on_exception_value": "why"},
    {"reload_on_exception_repr": "options.Special:why"},
]
OTHERS = [
    {"reload_on_exception_type": "ValueError"},
    {"reload_on_exception_value": "wh"},
    {"reload_on_exception_repr": "Special:who"},
]


@pytest.mark.parametrize("options", MATCHING, ids=str)
def test_reload_on_exception_replaces_the_worker(boot, options):
    server = boot("options", **options)
    (old,) = server.worker_pids()
    server.request("/fail?why")
    server.log.expect("Special in .*; answered 500", "^  Traceback", "^    ", "options.Special: why$")
    server.log.wait(r"worker 1 \(pid \d+\) has raised an exception that asks for it \(reload-on-exception\); replaced")
    server.log.wait(rf"worker 1 \(pid {old}\) has left after 1 requests")
    assert server.worker_pids() != [old]


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_other_exceptions_leave_it(boot, options):
    server = boot("options", **options)
    pids = server.worker_pids()
    server.request("/fail?why")
    server.log.expect("Special in .*; answered 500", "^  Traceback", "^    ", "options.Special: why$")
    server.request()
    assert server.worker_pids() == pids


@pytest.mark.parametrize("silent", [False, True])
def test_disable_write_exception(boot, silent):
    """A client that goes away while write() is used."""
    server = boot("writes", disable_write_exception=silent)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables()))
        client.recv(1)
    line = until(lambda: [line for line in server.log.lines if line.startswith("wrote ")], "the end of the writes")[0]
    assert line == f"wrote {'all' if silent else 'until OSError'}"
    server.log.expect("^wrote ")
    until(lambda: server.workers()[0].gone == 1, "the client to be counted")
