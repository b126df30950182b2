"""Who is pushed metrics gets what the real uWSGI sends, and holds nobody up: statsd, sockets, carbon, files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Boot
from harness import packet, stats
from harness.peer import Uwsgi
from harness.ports import free_port
from harness.receivers import Carbon, Datagrams
from harness.server import Server
from harness.wait import until

FIRST = "core.routed_signals"


@pytest.fixture
def uwsgi(tmp_path: Path) -> Iterator[Callable[..., Uwsgi]]:
    """Starts the real uWSGI."""
    peers: list[Uwsgi] = []

    def start(*words: str) -> Uwsgi:
        peers.append(Uwsgi(tmp_path, "hello", *words))
        return peers[-1]

    yield start
    for peer in peers:
        peer.close()


@pytest.fixture
def datagrams() -> Iterator[Datagrams]:
    with Datagrams() as made:
        yield made


@pytest.fixture
def carbon() -> Iterator[Carbon]:
    with Carbon() as made:
        yield made


def named(push: list[str]) -> list[tuple[str, str]]:
    """Names and types of a push to a socket."""
    return [(text.split(" ")[0], text.split(" ")[1]) for text in push]


# ── datagrams ──


def test_a_socket_gets_what_uwsgi_sends(boot: Boot, uwsgi, datagrams: Datagrams):
    words = ["--processes=2", "--threads=2", "--stats-pusher-default-freq=1", "--metric=name=mine,type=gauge"]
    with Datagrams() as theirs:
        peer = uwsgi(*words, f"--stats-push=socket:127.0.0.1:{theirs.port},site")
        server = boot("hello", *words, f"--stats-push=socket:127.0.0.1:{datagrams.port},site")
        for address in (peer.address, server.address):
            for _ in range(5):
                packet.request(address, "/")
        pushes = []
        for receiver in (theirs, datagrams):
            push = until(lambda r=receiver: counted(r.push(f"site.{FIRST} ")), "a push with the requests")
            pushes.append(push)
    assert named(pushes[0]) == named(pushes[1])
    assert "site.worker.0.requests 0 5" in pushes[1] and "site.mine 1 0" in pushes[1]


def counted(push: list[str]) -> list[str]:
    return push if any(text.endswith("worker.0.requests 0 5") for text in push) else []


def test_statsd(boot: Boot, datagrams: Datagrams):
    server = boot("hello", stats_push=f"statsd:127.0.0.1:{datagrams.port}", stats_pusher_default_freq=1)
    for _ in range(3):
        server.request()
    until(lambda: "uwsgi.worker.1.requests:3|c" in datagrams.push(f"uwsgi.{FIRST}:"), "the requests")
    push = datagrams.push(f"uwsgi.{FIRST}:")
    assert push[0] == f"uwsgi.{FIRST}:0|c"
    assert {"uwsgi.core.idle_workers:1|g", "uwsgi.core.busy_workers:0|g", "uwsgi.worker.1.respawns:1|c"} < set(push)


def test_a_metric_can_begin_anew_behind_each_push(boot: Boot, tmp_path: Path, datagrams: Datagrams):
    """Each push has what was added since the one before, and nothing is lost between."""
    boot(
        "hello",
        metric=["name=one,initial_value=1", "name=all,collector=accumulator,children=one,reset_after_push=1"],
        stats_push=f"statsd:127.0.0.1:{datagrams.port}",
        stats_pusher_default_freq=2,
    )
    datagrams.push(f"uwsgi.{FIRST}:")
    found = [text for _ in range(2) for text in datagrams.push(f"uwsgi.{FIRST}:") if text.startswith("uwsgi.all:")]
    # Two seconds between pushes; one more or less on a busy machine.
    assert all(1 <= int(text.removeprefix("uwsgi.all:").removesuffix("|c")) <= 3 for text in found), found


def test_a_name_is_looked_up_beside_the_server(boot: Boot, datagrams: Datagrams):
    boot("hello", stats_push=f"socket:localhost:{datagrams.port}", stats_pusher_default_freq=1)
    assert datagrams.push(f"uwsgi.{FIRST} ")


SHADOW = """
import sys
if sys.argv[0] == "-c":
    open({marker!r}, "w").close()
sys.path.remove({path!r})
del sys.modules["_socket"]
import _socket
"""


def test_a_name_is_looked_up_without_code_of_the_application(boot: Boot, tmp_path: Path, datagrams: Datagrams):
    """The master may be root, and PYTHONPATH lead to directories that are not root's."""
    place, marker = tmp_path / "path", tmp_path / "marker"
    place.mkdir()
    (place / "_socket.py").write_text(SHADOW.format(marker=str(marker), path=str(place)))
    boot("hello", stats_push=f"statsd:localhost:{datagrams.port}", env={"PYTHONPATH": str(place)})
    datagrams.push(f"uwsgi.{FIRST}:")
    assert not marker.exists()


def test_nobody_waits_for_a_name_that_nobody_knows(boot: Boot, tmp_path: Path):
    server = boot(
        "hello", stats_push="statsd:no-such-host.invalid:8125", stats_pusher_default_freq=1, stats=tmp_path / "stats"
    )
    where = stats.address(server)
    server.log.accept_anything()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        begun = time.monotonic()
        assert server.request().status == 200
        stats.read(where)
        assert time.monotonic() - begun < 1


# ── carbon ──


def values(sending: list[list[str]]) -> dict[str, str]:
    """By the part of the name behind the host and the id."""
    return {name.split(".mine.", 1)[1]: text for name, text, _ in sending}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--carbon-no-workers", "--memory-report"],
        ["--memory-report", "--carbon-root=my.root", "--carbon-hostname-dots=_"],
        ["--carbon-use-metrics", "--enable-metrics", "--carbon-root="],
        ["--carbon-idle-avg=none"],
    ],
    ids=["plain", "no workers", "root", "metrics", "no average"],
)
def test_carbon_gets_what_uwsgi_sends(carbon: Carbon, boot: Boot, uwsgi, words: list[str]):
    words = ["--processes=2", "--carbon-id=mine", "--carbon-freq=1", *words]
    with Carbon() as theirs:
        uwsgi(*words, f"--carbon=127.0.0.1:{theirs.port}")
        boot("hello", *words, f"--carbon=127.0.0.1:{carbon.port}")
        sendings = [receiver.sending() for receiver in (theirs, carbon)]
    names = [[name for name, _, _ in sending] for sending in sendings]
    assert names[0] == names[1]
    assert abs(int(sendings[0][0][2]) - int(sendings[1][0][2])) <= 30
    if "--carbon-idle-avg=none" in words:
        assert not any(name.endswith("avg_rt") for name in names[1])


def test_carbon_counts(carbon: Carbon, boot: Boot):
    server = boot("hello", processes=2, carbon=f"127.0.0.1:{carbon.port}", carbon_freq=1, carbon_id="mine")
    for _ in range(6):
        server.request()
    found = until(lambda: (lambda got: got["requests"] == "6" and got)(values(carbon.sending())), "the requests")
    assert int(found["worker1.requests"]) + int(found["worker2.requests"]) == 6
    assert int(found["tx"]) == int(found["worker1.tx"]) + int(found["worker2.tx"]) > 0
    assert found["active_workers"] == "2" and found["harakiri"] == "0"


def test_the_id_is_the_first_socket(carbon: Carbon, boot: Boot):
    server = boot("hello", carbon=f"127.0.0.1:{carbon.port}", carbon_freq=1)
    host = socket.gethostname()
    assert carbon.sending()[0][0] == f"uwsgi.{host}.127_0_0_1:{server.address[1]}.requests"


def test_a_carbon_that_is_down_is_tried_again(boot: Boot):
    port = free_port()
    server = boot("hello", carbon=f"127.0.0.1:{port}", carbon_freq=3600, carbon_max_retry=50, carbon_retry_delay=1)
    server.log.expect("carbon to .* fails: Connection refused; it is tried again", "carbon to .* works again")
    server.log.find("carbon to .* fails: Connection refused")
    with Carbon(port) as carbon:
        assert carbon.sending()
    server.log.find("carbon to .* works again")
    assert sum("Connection refused" in line for line in server.log.lines) == 1


def full_backlog() -> tuple[socket.socket, list[socket.socket]]:
    """A listener whose backlog is full: the kernel answers no further connection."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    clients = []
    for _ in range(3):
        clients.append(socket.socket())
        clients[-1].setblocking(False)
        clients[-1].connect_ex(listener.getsockname())
    return listener, clients


def test_nobody_waits_for_a_carbon_that_does_not_answer(carbon: Carbon, boot: Boot, tmp_path: Path):
    listener, clients = full_backlog()
    port = listener.getsockname()[1]
    server = boot(
        "hello",
        carbon=[f"127.0.0.1:{port}", f"127.0.0.1:{carbon.port}"],
        carbon_freq=1,
        carbon_timeout=2,
        stats=tmp_path / "stats",
    )
    where = stats.address(server)
    server.log.accept_anything()
    # The other one has its sendings all the time.
    for _ in range(3):
        begun = time.monotonic()
        assert server.request().status == 200
        stats.read(where)
        assert time.monotonic() - begun < 1
        assert carbon.sending()
    for one in [listener, *clients]:
        one.close()


def test_a_carbon_that_answers_in_time_or_not_at_all(boot: Boot):
    listener, clients = full_backlog()
    server = boot("hello", carbon=f"127.0.0.1:{listener.getsockname()[1]}", carbon_freq=3600, carbon_timeout=1)
    server.log.expect(r"carbon to .* fails: it did not answer in time \(carbon-timeout\)")
    server.log.find("it did not answer in time")
    for one in [listener, *clients]:
        one.close()


def test_a_carbon_that_talks_and_hangs_up(carbon: Carbon, boot: Boot):
    """What it sends is not read, and what it does is no harm."""
    server = boot("hello", carbon=f"127.0.0.1:{carbon.port}", carbon_freq=1)
    server.log.accept_anything()
    for _ in range(2):
        with carbon.accept() as client:
            client.sendall(b"\0garbage\r\n" * 1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert carbon.sending() and server.request().status == 200


def test_a_carbon_that_reads_nothing(carbon: Carbon, boot: Boot, tmp_path: Path):
    """With so many metrics that the kernel cannot take them all."""
    carbon.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    config = tmp_path / "many.ini"
    config.write_text("\n".join(["[uwsgi]", *(f"metric = own{number}" for number in range(3000))]))
    server = boot(
        "hello",
        ini=config,
        carbon=f"127.0.0.1:{carbon.port}",
        carbon_id="x" * 4000,
        carbon_freq=3600,
        carbon_use_metrics=True,
    )
    server.log.expect(r"carbon to .* fails: it did not take all of it in time \(carbon-timeout\)")
    with carbon.accept():
        server.log.find("it did not take all of it in time")
        assert server.request().status == 200


# ── files ──


def documents(path: Path, separator: str) -> list[dict[str, Any]]:
    """Those that are whole."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(one) for one in text.split(separator)[:-1]]


def test_a_file_gets_the_document_of_the_stats_server(boot: Boot, tmp_path: Path):
    path = tmp_path / "pushed"
    path.write_text('"what was there"---\n')
    server = boot(
        "hello", stats=tmp_path / "stats", stats_push=f"file:path={path},separator=---\\n,freq=1", stats_min=True
    )
    server.request()
    found = until(lambda: (lambda all_of: len(all_of) >= 4 and all_of)(documents(path, "---\n")), "three documents")
    assert found[0] == "what was there"
    until(lambda: documents(path, "---\n")[-1]["workers"][0]["requests"] == 1, "the request")
    assert list(documents(path, "---\n")[-1]) == list(stats.read(stats.address(server)))


def test_two_line_ends_are_between_documents(boot: Boot, tmp_path: Path):
    # As from uWSGI an empty list has an empty line in it, without stats-minified.
    boot("hello", stats_push="file", stats_pusher_default_freq=1, stats_minified=True, chdir=tmp_path)
    until(lambda: len(documents(tmp_path / "uwsgi.stats", "\n\n")) >= 2, "two documents")


@pytest.mark.root
def test_root_appends_to_no_link_of_another_user(boot: Boot, public):
    directory = public.directory / "pushed-by-nobody"
    directory.mkdir()
    secret = public.directory / "file-of-root"
    secret.write_text("root's\n")
    (directory / "file").symlink_to(secret)
    for path in (directory, directory / "file"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    server = boot("hello", stats_push=f"file:path={directory / 'file'},freq=1")
    server.log.expect("stats-push to .* fails: .* is a symlink")
    server.log.find("stats-push to .* fails: .* is a symlink")
    assert secret.read_text() == "root's\n"


@pytest.mark.root
def test_a_full_disk_leaves_no_half_of_a_document(boot: Boot, tmp_path: Path):
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=True)
    try:
        server = boot("hello", stats_push=f"file:path={place}/stats,freq=1,separator==")
        server.log.expect(r"stats-push to .* fails: No space left on device")
        (place / "other").write_bytes(b"x" * 16 * 3584)
        server.log.wait(r"stats-push to .* fails: No space left on device")
        written = (place / "stats").read_text()
        assert all(json.loads(document) for document in written.split("=") if document), written
        assert written == "" or written.endswith("}=")
    finally:
        server.close()
        subprocess.run(["umount", str(place)], check=True)


def test_a_fifo_is_no_file(boot: Boot, tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    server = boot("hello", stats_push=f"file:path={tmp_path / 'fifo'},freq=1")
    server.log.expect("stats-push to .* fails: it is no regular file")
    server.log.find("stats-push to .* fails: it is no regular file")
    assert server.request().status == 200
    os.close(reader)


# ── all of them ──


def test_a_pusher_that_is_not_there_says_what_is(boot: Boot):
    server = boot("hello", stats_push="mongodb:addr=127.0.0.1:27017", rrdtool="/tmp")
    server.log.expect(
        "nothing is sent to mongodb; send to statsd or carbon", "rrdtool.*send metrics to carbon or statsd"
    )
    server.log.find("nothing is sent to mongodb")


def reloaded(server: Server, config: Path, text: str) -> None:
    config.write_text(text)
    server.reload()


def test_a_reload_takes_other_pushers(boot: Boot, tmp_path: Path, datagrams: Datagrams):
    config = tmp_path / "config.ini"
    config.write_text("[uwsgi]\n")
    server = boot("hello", ini=config)
    server.log.accept_anything()
    text = f"[uwsgi]\nstats-push = socket:127.0.0.1:{datagrams.port},new\nstats-pusher-default-freq = 1\n"
    reloaded(server, config, text)
    assert datagrams.push(f"new.{FIRST} ")
    reloaded(server, config, "[uwsgi]\n")
    datagrams.socket.settimeout(1.5)
    with pytest.raises(TimeoutError):
        while True:
            datagrams.receive()


def test_a_reload_that_ends_several_keeps_the_way_to_its_zygote(boot: Boot, tmp_path: Path, datagrams: Datagrams):
    """The numbers of their sockets are free again, and the zygote's socket gets one of them."""
    config = tmp_path / "config.ini"
    pushers = "".join(f"stats-push = socket:127.0.0.1:{datagrams.port},p{number}\n" for number in range(4))
    config.write_text(f"[uwsgi]\nstats-pusher-default-freq = 1\n{pushers}")
    server = boot("hello", ini=config)
    datagrams.push(f"p3.{FIRST} ")
    reloaded(server, config, "[uwsgi]\n")


def test_children_have_nothing_of_it(boot: Boot, datagrams: Datagrams):
    """A worker that begins while pushes are on their way holds no socket of theirs: the harness counts descriptors."""
    server = boot("hello", stats_push=f"socket:127.0.0.1:{datagrams.port}", stats_pusher_default_freq=1, processes=2)
    server.log.accept_anything()
    datagrams.push(f"uwsgi.{FIRST} ")
    server.reload()
    for pid in server.worker_pids():
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        udp = Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
        assert not inodes & {line.split()[9] for line in udp}
