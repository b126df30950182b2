"""The harness finds what it is there to find: a test that could not fail would prove nothing."""

from __future__ import annotations

import pytest

from harness.server import Server
from harness.wait import until


def close_after(path: str, **options: object) -> Server:
    server = Server("careless", **options).wait_ready()
    assert server.request(path).status == 200
    return server


def test_a_good_server():
    close_after("/nothing").close()


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/descriptor", "leaks descriptors"),
        ("/process", "processes are left"),
        ("/line", "nobody expected in the log:(.|\n)*something unheard of"),
    ],
)
def test_what_is_left_is_found(path, complaint):
    server = close_after(path)
    with pytest.raises(AssertionError, match=complaint):
        server.close()
    until(lambda: not server.processes, "what was left to be gone")


def test_a_line_that_does_not_come_is_missed():
    server = close_after("/nothing")
    server.log.expect("never written")
    with pytest.raises(AssertionError, match="not in the log"):
        server.close()


def test_a_file_that_stays_is_found(tmp_path):
    server = close_after("/nothing")
    server.gone.append(tmp_path)
    with pytest.raises(AssertionError, match="files are left"):
        server.close()


def test_another_exit_status_is_found():
    server = Server("no_such_module")
    server.log.accept_anything()
    assert server.wait_exit() == 22
    with pytest.raises(AssertionError, match="exit status 22 instead of 0"):
        server.close()


def test_a_server_that_does_not_get_ready_is_not_waited_for():
    server = Server("no_such_module", command=["sh", "-c", "exit 3"])
    with pytest.raises(AssertionError, match="the process ended"):
        server.wait_ready()
    server.status = 3
    server.close()


def test_a_server_that_does_not_end_is_found_and_killed():
    server = Server("hello", command=["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    with pytest.raises(AssertionError, match="did not end within"):
        server.wait_exit(0.2)
    until(lambda: not server.processes, "what was killed to be gone")
    server.status = -9
    server.notifications.close()
