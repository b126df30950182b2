"""The stats document beside that of the real uWSGI 2.0.31, for the same instance under the same requests; and the tools
that read it: uwsgitop 0.12 on its terminal, readers that expect what telegraf and exporters expect."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from typing import Any

import pytest

from conftest import Boot
from harness import packet, stats
from harness.packet import Address
from harness.peer import Uwsgi
from harness.server import held
from harness.terminal import Terminal
from harness.wait import until

pytestmark = pytest.mark.core

Document = dict[str, Any]
# A server, and its stats address.
Pair = tuple[Any, Address]


@pytest.fixture
def pair(boot: Boot, tmp_path: Path) -> Iterator[Callable[..., tuple[Pair, Pair]]]:
    """The real uWSGI and rwsgi with the same options, each with a stats server."""
    peers: list[Uwsgi] = []

    def start(app: str, **options: object) -> tuple[Pair, Pair]:
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        where = str(tmp_path / "theirs")
        peers.append(Uwsgi(tmp_path, app, f"--stats={where}", *(word.removesuffix("=True") for word in words)))
        server = boot(app, stats=tmp_path / "ours", **options)
        return (peers[-1], where), (server, stats.address(server))

    yield start
    for peer in peers:
        peer.close()


def shape(value: object) -> object:
    """Keys in their order and types of values; of a list, the shape of its items."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def comparable(document: Document) -> Document:
    """Without what rwsgi has beside it, and the locks that it does not have."""
    assert list(document)[-1] != "rwsgi" or isinstance(document.pop("rwsgi"), dict)
    assert isinstance(document.pop("locks"), list)
    return document


@pytest.mark.parametrize(
    "options",
    [{}, {"processes": 2, "threads": 3}, {"stats_no_cores": True}, {"memory_report": True}, {"stats_minified": True}],
    ids=lambda options: " ".join(options) or "plain",
)
def test_keys_types_and_order(pair, options):
    (_, theirs), (_, ours) = pair("many", **options)
    assert list(stats.read(ours))[-1] == "rwsgi"
    assert shape(comparable(stats.read(ours))) == shape(comparable(stats.read(theirs)))


def layout(text: str) -> list[str]:
    """Each line with its values replaced, up to rwsgi's own key."""
    text = re.sub(r'\t"locks":\[.*?\n\t\],\n', "", text, flags=re.DOTALL)
    text = re.sub(r',\n\t"rwsgi":.*', "\n}", text, flags=re.DOTALL)
    return [re.sub(r':("[^"]*"|-?\d+)', ":V", line) for line in text.split("\n")]


def test_the_layout_of_the_text(pair):
    (_, theirs), (_, ours) = pair("many", threads=2)
    assert layout(stats.read_text(ours)) == layout(stats.read_text(theirs))


def test_minified_has_no_white_space(pair):
    (_, theirs), (_, ours) = pair("many", stats_minified=True)
    for where in (theirs, ours):
        text = stats.read_text(where)
        assert json.loads(text)
        assert not re.search(r"\s", re.sub(r'"(?:[^"\\]|\\.)*"', "", text))


# What is the same of both servers' workers.
SAME = ("id", "accepting", "exceptions", "harakiri_count", "signals", "status")


def test_what_is_counted(pair):
    """Requests, exceptions, bytes and times of one worker, after the same requests."""
    (peer, theirs), (server, ours) = pair("many")
    server.log.expect("ValueError in worker 1 core 0: GET /raises; answered 500")
    sent = [0, 0]
    for at, address in enumerate((peer.address, server.address)):
        for path in ("/hello", "/hello", "/generator", "/raises"):
            sent[at] += len(packet.exchange(address, packet.packet(packet.variables(path))))
    assert sent[0] > 0
    found = []
    for at, where in enumerate((theirs, ours)):
        # uWSGI counts when the client has read its answer already.
        until(lambda where=where: stats.read(where)["workers"][0]["cores"][0]["in_request"] == 0, "the last request")
        worker = stats.read(where)["workers"][0]
        assert worker["running_time"] > 0 and 0 < worker["avg_rt"] <= worker["running_time"]
        assert abs(worker["last_spawn"] - time.time()) < 120
        # The answer to an exception is not the same; all others are.
        assert worker["tx"] == sent[at]
        core = worker["cores"][0]
        found.append(
            {
                **{key: worker[key] for key in SAME},
                "respawn_count": worker["respawn_count"],
                "apps": [(app["id"], app["modifier1"], app["mountpoint"], app["exceptions"]) for app in worker["apps"]],
                "errors": (core["write_errors"], core["read_errors"], core["static_requests"]),
                "vars": core["vars"],
                "req_info": core["req_info"],
            }
        )
        assert worker["requests"] == worker["delta_requests"] == core["requests"] == 4
        assert worker["apps"][0]["requests"] == 4
    assert found[0] == found[1]


def test_a_request_that_runs(pair):
    pairs = pair("slow:waits", threads=2)
    pairs[1][0].log.expect("waiting /")
    for server, where in pairs:
        body = {"CONTENT_LENGTH": "1"}
        variables = packet.variables("/x%20y?q=%22", "POST") | body
        with held(server.address, packet.packet(variables)) as client:
            until(lambda where=where: stats.read(where)["workers"][0]["status"] == "busy", "the request to run")
            worker = stats.read(where)["workers"][0]
            busy = [core for core in worker["cores"] if core["in_request"]]
            assert len(busy) == 1 and busy[0]["vars"][-1] == ""
            assert {"REQUEST_METHOD=POST", "REQUEST_URI=/x%20y?q=%22", "QUERY_STRING=q=%22"} <= set(busy[0]["vars"])
            assert abs(busy[0]["req_info"]["request_start"] - time.time()) < 30
            idle = next(core for core in worker["cores"] if not core["in_request"])
            assert (idle["vars"], idle["req_info"]) == ([], {})
            client.sendall(b"x")
            packet.read_all(client)
        until(lambda where=where: stats.read(where)["workers"][0]["status"] == "idle", "the end of the request")


def test_counts_survive_the_process(pair):
    pairs = pair("many", max_requests=3, min_worker_lifetime=0)
    pairs[1][0].log.expect(r"has served \d requests; replaced")
    for server, where in pairs:
        for _ in range(5):
            assert packet.request(server.address, "/hello").status == 200
        until(lambda where=where: stats.read(where)["workers"][0]["respawn_count"] == 2, "the second process")
        worker = until(lambda where=where: settled(where), "the second process to serve")
        assert worker["requests"] == 5 and worker["delta_requests"] < 5
        assert worker["cores"][0]["requests"] == 5


def settled(where: Address) -> Document | None:
    document = stats.read(where)
    worker: Document = document["workers"][0]
    others = document.get("rwsgi", {"workers": [0]})["workers"]
    return worker if worker["accepting"] and len(others) == 1 else None


def test_a_pause(pair):
    for server, where in pair("many"):
        process = getattr(server, "process", None)
        if hasattr(server, "signal"):
            server.log.expect("SIGTSTP")
            server.signal(Signals.SIGTSTP)
        else:
            process.send_signal(Signals.SIGTSTP)
        until(lambda where=where: stats.read(where)["workers"][0]["status"] == "pause", "the pause")
        if hasattr(server, "signal"):
            server.signal(Signals.SIGTSTP)
        else:
            process.send_signal(Signals.SIGTSTP)
        until(lambda where=where: stats.read(where)["workers"][0]["status"] == "idle", "the end of the pause")


def test_harakiri_is_counted(pair):
    for server, where in pair("slow", harakiri=1):
        if hasattr(server, "signal"):
            server.log.accept_anything()
        with held(server.address, packet.packet(packet.variables("/?sleep=30"))):
            until(lambda where=where: stats.read(where)["workers"][0]["harakiri_count"] == 1, "harakiri")
        until(lambda where=where: settled(where), "the next process")


# ── queues ──


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_connections_that_wait_are_seen(boot: Boot, tmp_path: Path, kind: str):
    """uWSGI shows those of TCP sockets alone."""
    place = {"tcp": "127.0.0.1:0", "unix": str(tmp_path / "app")}[kind]
    server = boot("slow:waits", uwsgi=False, socket=place, stats=tmp_path / "stats", listen=50)
    where = stats.address(server)
    name = stats.read(where)["sockets"][0]["name"]
    address = stats.address_of(name)
    blocked = packet.packet(packet.variables("/", "POST") | {"CONTENT_LENGTH": "1"})
    server.log.expect("waiting /")
    with held(address, blocked) as client:
        until(lambda: stats.read(where)["workers"][0]["status"] == "busy", "the request to run")
        waiting = [packet.connect(address) for _ in range(3)]
        for one in waiting:
            one.sendall(packet.packet(packet.variables("/next")))
        until(lambda: stats.read(where)["listen_queue"] == 3, "three connections in the backlog")
        document = stats.read(where)
        assert document["load"] == 3
        assert [(s["name"], s["queue"], s["max_queue"]) for s in document["sockets"]] == [(name, 3, 50)]
        assert document["rwsgi"]["listeners"][0]["queue"] == 3
        client.sendall(b"x")
        for one in waiting:
            assert packet.Response.parse(packet.read_all(one)).status == 200
            one.close()
    assert stats.read(where)["listen_queue"] == 0


# ── memory ──


def test_memory_is_that_of_the_process(boot: Boot, tmp_path: Path):
    server = boot("hello", processes=2, stats=tmp_path / "s", memory_report=True)
    where = stats.address(server)
    page = 4096
    for worker in stats.read(where)["workers"]:
        vsz, rss = (int(x) * page for x in Path(f"/proc/{worker['pid']}/statm").read_text().split()[:2])
        assert abs(worker["rss"] - rss) < 8 << 20 and abs(worker["vsz"] - vsz) < 64 << 20
    # What several share counts by its part, so all of them together have less than the sum of what each has.
    workers = until(lambda: with_shares(where), "the proportional memory of each worker")
    assert all(0 < worker["pss"] < worker["rss"] for worker in workers)


def with_shares(where: Address) -> list[Document]:
    workers: list[Document] = stats.read(where)["rwsgi"]["workers"]
    return workers if all(worker["pss"] for worker in workers) else []


# ── readers ──

TELEGRAF = {
    "top": ["pid", "uid", "gid", "listen_queue", "listen_queue_errors", "signal_queue", "load"],
    "workers": [
        *["id", "pid", "accepting", "requests", "delta_requests", "exceptions", "harakiri_count", "signals"],
        *["signal_queue", "rss", "vsz", "running_time", "last_spawn", "respawn_count", "tx", "avg_rt"],
    ],
    "apps": ["id", "modifier1", "requests", "startup_time", "exceptions"],
    "cores": [
        *["id", "requests", "static_requests", "routed_requests", "offloaded_requests", "write_errors"],
        *["read_errors", "in_request"],
    ],
    "sockets": ["queue", "max_queue", "shared", "can_offload"],
}


def test_what_telegraf_and_exporters_read(boot: Boot):
    """Both decode into whole numbers of 64 bits and texts, and fail at anything else."""
    server = boot("hello", processes=2, threads=2, stats="127.0.0.1:0")
    server.request()
    document = stats.read(stats.address(server))
    objects = {
        "top": [document],
        "sockets": document["sockets"],
        "workers": document["workers"],
        "apps": [app for worker in document["workers"] for app in worker["apps"]],
        "cores": [core for worker in document["workers"] for core in worker["cores"]],
    }
    for kind, keys in TELEGRAF.items():
        assert objects[kind]
        for found in objects[kind]:
            assert all(type(found[key]) is int and 0 <= found[key] < 1 << 63 for key in keys), (kind, found)
    assert isinstance(document["version"], str)
    assert all(isinstance(worker["status"], str) for worker in document["workers"])
    assert all(isinstance(text, str) for core in objects["cores"] for text in core["vars"])


def columns(line: str) -> list[str]:
    return re.split(r"\s+", line.strip())


def test_uwsgitop_shows_the_same_of_both(pair):
    """Its screen, read: workers, requests, exceptions, bytes; then with their cores."""
    (peer, theirs), (server, ours) = pair("many", processes=2, threads=2)
    screens = []
    for address, where in ((peer.address, theirs), (server.address, ours)):
        for _ in range(6):
            packet.request(address, "/hello")
        with Terminal(stats.uwsgitop(where), 200) as screen:
            lines = screen.wait("req: 6 - RPS", " WID")
            assert f"masterpid: {stats.read(where)['pid']}" in lines[1] and "cwd: " in lines[1]
            workers = sorted((columns(line) for line in lines[3:] if line.strip()), key=lambda row: row[0])
            assert [row[0] for row in workers] == ["1", "2"]
            assert sum(int(row[3]) for row in workers) == 6
            # Exceptions, signals and state; respawns and harakiri behind the bytes.
            screens.append([(row[5], row[6], row[7], row[12], row[13]) for row in workers])
            assert re.fullmatch(r"\d\d:\d\d:\d\d", workers[0][15])
            screen.press("aa")
            screen.wait("  :")
            screen.press("q")
    assert screens[0] == screens[1]


@pytest.mark.parametrize("kind", ["tcp", "unix", "abstract", "http"])
def test_uwsgitop_reads_every_kind_of_address(boot: Boot, tmp_path: Path, kind: str):
    place = {"unix": str(tmp_path / "s"), "abstract": f"@rwsgi-top-{tmp_path.name}"}.get(kind, "127.0.0.1:0")
    server = boot("hello", stats=place, **({"stats_http": True} if kind == "http" else {}))
    where = stats.address(server)
    server.request()
    shown = f"http://{where[0]}:{where[1]}" if kind == "http" else where
    with Terminal(stats.uwsgitop(shown), 200) as screen:
        lines = screen.wait("req: 1 - RPS", "idle")
        assert lines[0].startswith("uwsgi-0.")
        screen.press("q")
