"""uWSGI's metrics: names, types, oids and order beside the real uWSGI 2.0.31; one's own; metrics-dir; thresholds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Boot
from harness import packet, stats
from harness.metrics import scrape
from harness.packet import Address
from harness.peer import Uwsgi
from harness.server import Server
from harness.wait import until

Metrics = dict[str, dict[str, Any]]
OWN = [
    "orders",
    "name=temperature,oid=100.2.3,type=gauge,initial_value=-5",
    "name=sum,type=gauge,collector=sum,children=worker.1.requests;worker.2.requests",
    "name=add,collector=adder,children=worker.0.requests,arg1n=7,initial_value=1000",
    "name=mul,collector=multiplier,children=temperature;orders,arg1n=2",
    "name=avg,collector=avg,children=temperature;orders",
    "name=same,type=alias,alias=temperature,oid=9.9",
    "name=limit,type=absolute,collector=file,arg1=/proc/sys/kernel/pid_max",
    "name=port,collector=file,arg1=/proc/sys/net/ipv4/ip_local_port_range,arg1n=1",
]


def metrics(where: Address) -> Metrics:
    found = stats.read(where).get("metrics", {})
    assert isinstance(found, dict)
    return found


def value(where: Address, name: str) -> int:
    return int(metrics(where)[name]["value"])


@pytest.fixture
def pair(boot: Boot, tmp_path: Path) -> Iterator[Callable[..., tuple[tuple[Any, Address], tuple[Server, Address]]]]:
    """The real uWSGI and rwsgi with the same options, and their stats addresses."""
    peers: list[Uwsgi] = []

    def start(app: str, *words: str) -> tuple[tuple[Any, Address], tuple[Server, Address]]:
        where = str(tmp_path / "theirs")
        peers.append(Uwsgi(tmp_path, app, f"--stats={where}", *words))
        server = boot(app, *words, stats=tmp_path / "ours")
        return (peers[-1], where), (server, stats.address(server))

    yield start
    for peer in peers:
        peer.close()


@pytest.mark.parametrize(
    "words",
    [
        ["--enable-metrics"],
        ["--processes=2", "--threads=2", *(f"--metric={own}" for own in OWN)],
        ["--processes=3", "--threads=2", "--metrics-no-cores"],
    ],
    ids=["plain", "own", "no cores"],
)
def test_they_are_those_of_uwsgi(pair, words):
    (_, theirs), (_, ours) = pair("hello", *words)
    # Those that are collected have their values after the first second.
    until(lambda: value(theirs, "core.idle_workers") and value(ours, "core.idle_workers"), "a second to pass")
    shape = [
        [(name, metric["type"], metric["oid"], list(metric)) for name, metric in metrics(where).items()]
        for where in (theirs, ours)
    ]
    assert shape[0] == shape[1]


def test_their_values_are_those_of_uwsgi(pair):
    words = ["--processes=2", *(f"--metric={own}" for own in OWN)]
    (peer, theirs), (server, ours) = pair("hello", *words)
    for address in (peer.address, server.address):
        for _ in range(7):
            assert packet.request(address, "/").status == 200
    same = ["worker.0.requests", "sum", "add", "mul", "avg", "same", "orders", "temperature", "limit", "port"]
    same += ["worker.1.respawns", "worker.0.respawns", "core.busy_workers", "core.idle_workers", "core.overloaded"]
    for where in (theirs, ours):
        until(lambda where=where: value(where, "sum") == 7 and value(where, "add") == 1014, "the requests to be seen")
    found = [{name: metrics(where)[name]["value"] for name in same} for where in (theirs, ours)]
    assert found[0] == found[1]
    for where in (theirs, ours):
        all_of = metrics(where)
        parts = [all_of[f"worker.{worker}.total_tx"]["value"] for worker in (1, 2)]
        assert all_of["core.total_tx"]["value"] == sum(parts) > 0
        assert all_of["core.total_running_time"]["value"] > 0 and all_of["core.avg_response_time"]["value"] > 0


def test_without_the_option_there_are_none(pair):
    (_, theirs), (_, ours) = pair("hello")
    assert "metrics" not in stats.read(theirs) and "metrics" not in stats.read(ours)


def test_the_stats_server_can_leave_them_out(pair):
    (_, theirs), (_, ours) = pair("hello", "--enable-metrics", "--stats-no-metrics")
    assert "metrics" not in stats.read(theirs) and "metrics" not in stats.read(ours)


def test_they_outlive_workers_and_reloads(boot: Boot, tmp_path: Path):
    server = boot("hello", stats=tmp_path / "stats", enable_metrics=True, processes=1)
    where = stats.address(server)
    server.log.accept_anything()
    for _ in range(3):
        server.request()
    until(lambda: value(where, "worker.1.requests") == 3, "the requests to be seen")
    server.reload()
    server.request()
    until(lambda: value(where, "worker.1.requests") == 4, "the request of the new worker to be seen")
    assert value(where, "worker.1.delta_requests") == 1 and value(where, "worker.1.respawns") == 2


def test_one_of_ones_own_is_there_for_prometheus(boot: Boot, tmp_path: Path):
    server = boot(
        "hello", metrics_socket=tmp_path / "metrics", metric=["orders", "name=queue.length,type=gauge,initial_value=-4"]
    )
    server.log.accept_anything()
    found = scrape(str(tmp_path / "metrics"))
    own = {sample.labels["name"]: sample.value for sample in found.all("rwsgi_user_metric")}
    assert own == {"orders": 0, "queue.length": -4}


def test_a_file_is_read_again_and_may_be_missing(boot: Boot, tmp_path: Path):
    source = tmp_path / "number"
    server = boot(
        "hello",
        stats=tmp_path / "stats",
        metric=[f"name=queue,type=gauge,collector=file,arg1={source},arg1n=1", "name=twice,alias=queue"],
    )
    where = stats.address(server)
    source.write_text("jobs 17 of 20\n")
    until(lambda: value(where, "queue") == 17 == value(where, "twice"), "the file to be read")
    source.unlink()
    until(lambda: value(where, "queue") == 0, "the file to be missed")
    # Nobody writes to it, and nobody waits for that.
    os.mkfifo(source)
    assert server.request().status == 200
    before = value(where, "core.idle_workers")
    assert before == 1 and value(where, "queue") == 0


# ── metrics-dir ──


def number(path: Path) -> int:
    """As those read it who know uWSGI's files: the first line."""
    return int(path.read_text().split("\n")[0])


def test_each_has_a_file_that_a_restart_goes_on_from(boot: Boot, tmp_path: Path):
    directory = tmp_path / "kept"
    directory.mkdir()
    # As uWSGI leaves them: a page with zeros behind the number.
    (directory / "worker.1.requests").write_bytes(b"100\n".ljust(4096, b"\0"))
    (directory / "orders").write_bytes(b"-7\n".ljust(4096, b"\0"))
    (directory / "core.idle_workers").write_text("50\n")
    options = {"metrics_dir": directory, "metrics_dir_restore": True, "metric": "orders", "stats": tmp_path / "stats"}
    server = boot("hello", **options)
    where = stats.address(server)
    server.request()
    until(lambda: number(directory / "worker.1.requests") == 101, "the file of the requests to be written")
    assert (directory / "worker.1.requests").read_text() == "101\n"
    until(lambda: {path.name for path in directory.iterdir()} == set(metrics(where)), "a file for each metric")
    assert number(directory / "orders") == -7 == value(where, "orders")
    assert number(directory / "core.idle_workers") == 1
    # Nobody writes what is as it was.
    before = (directory / "orders").stat().st_mtime_ns
    server.request()
    until(lambda: number(directory / "worker.1.requests") == 102, "the next request to be counted")
    assert (directory / "orders").stat().st_mtime_ns == before
    server.close()
    (tmp_path / "stats").unlink(missing_ok=True)
    server = boot("hello", **options)
    where = stats.address(server)
    until(lambda: value(where, "worker.1.requests") == 102, "the former requests to be counted")
    assert value(where, "worker.1.delta_requests") == 0


def test_a_directory_that_goes_away_is_said_once(boot: Boot, tmp_path: Path):
    directory = tmp_path / "kept"
    directory.mkdir()
    server = boot("hello", metrics_dir=directory)
    server.log.expect("metrics-dir .*kept: cannot write all metrics: No such file", "all metrics are written again")
    until(lambda: (directory / "worker.1.requests").exists(), "the files")
    moved = directory.rename(tmp_path / "moved")
    server.request()
    server.log.find("cannot write all metrics: No such file or directory")
    server.request()
    moved.rename(directory)
    server.log.find("all metrics are written again")
    assert sum("cannot write" in line for line in server.log.lines) == 1
    until(lambda: number(directory / "worker.1.requests") == 2, "the requests to be written")


def test_a_directory_that_is_not_there_is_an_error(start: Boot, tmp_path: Path):
    server = start("hello", metrics_dir=tmp_path / "none")
    server.status = 1
    server.log.expect("metrics-dir .*none: No such file or directory; make it")
    assert server.wait_exit() == 1


@pytest.mark.root
def test_root_writes_through_no_link_of_another_user(boot: Boot, public):
    directory = public.directory / "metrics-of-nobody"
    directory.mkdir()
    secret = public.directory / "secret-of-root"
    secret.write_text("only root may read this\n")
    (directory / "worker.1.requests").symlink_to(secret)
    os.link(secret, directory / "worker.1.respawns")
    for path in (directory, directory / "worker.1.requests"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    server = boot("hello", metrics_dir=directory)
    server.log.expect("cannot write all metrics: .* is a symlink|cannot write all metrics: .*hard link")
    server.log.find("cannot write all metrics")
    until(lambda: (directory / "worker.1.total_tx").exists(), "the others to be written")
    assert secret.read_text() == "only root may read this\n"


# ── thresholds ──


def test_a_threshold_raises_its_alarm_once_in_its_time(boot: Boot, tmp_path: Path):
    source = tmp_path / "number"
    source.write_text("3")
    server = boot(
        "hello",
        stats=tmp_path / "stats",
        alarm="mine log:said",
        alarm_freq=1,
        metric=f"name=queue,type=gauge,collector=file,arg1={source}",
        metric_threshold=[
            "key=queue,value=10,alarm=mine,rate=3600,msg=the queue is long",
            "key=queue,value=12,alarm=mine,rate=2",
        ],
    )
    where = stats.address(server)
    server.log.accept_anything()
    until(lambda: value(where, "queue") == 3, "the file to be read")
    assert "ALARM" not in server.log.text
    source.write_text("10")
    server.log.find("ALARM: said the queue is long")
    source.write_text("12")
    # Its name is the message of one that has none.
    server.log.find("ALARM: said queue", 3)
    assert sum("the queue is long" in line for line in server.log.lines) == 1


def test_a_threshold_may_reset_its_metric(boot: Boot, tmp_path: Path):
    server = boot(
        "hello",
        stats=tmp_path / "stats",
        metric="name=orders,initial_value=9",
        metric_threshold="key=orders,value=9,reset=2",
    )
    where = stats.address(server)
    until(lambda: value(where, "orders") == 2, "the metric to be reset")


# ── the configuration ──


def test_mistakes_name_their_line(start: Boot, tmp_path: Path):
    for line, said in [
        ("metric = name=a,collector=func,arg1=f", "collector=func reads a symbol of uWSGI's C code.*collector=file"),
        ("metric = name=a,collector=sum,children=b", 'there is no metric "b"'),
        ("metric-threshold = key=worker.9.requests,value=1,alarm=x", 'there is no metric "worker.9.requests"'),
        ("metric = a b", '"a b" is no name of a metric'),
        ("stats-push = rrd:/tmp", 'there is no pusher "rrd"; write socket:'),
        ("stats-push = statsd:127.0.0.1", '"127.0.0.1" has no port'),
        ("carbon-idle-avg = mean", "write last, zero or none"),
    ]:
        config = tmp_path / "config.ini"
        config.write_text(f"[uwsgi]\n\n{line}\n")
        server = start("hello", ini=config)
        server.status = 1
        server.log.expect(f"config.ini:3: option .*{said}")
        assert server.wait_exit() == 1, line
        server.log.find(f"config.ini:3: option .*{said}")


def test_a_reload_can_begin_to_collect_and_says_what_it_cannot(boot: Boot, tmp_path: Path):
    config = tmp_path / "config.ini"
    config.write_text("[uwsgi]\nprocesses = 2\n")
    server = boot("hello", ini=config, stats=tmp_path / "stats")
    where = stats.address(server)
    server.log.accept_anything()
    assert metrics(where) == {}
    config.write_text("[uwsgi]\nprocesses = 2\nenable-metrics = true\nmetric = orders\n")
    server.reload()
    server.log.find("metric cannot change in a running server; restart it for that")
    until(lambda: value(where, "core.idle_workers") == 2, "metrics to be collected")
    assert "orders" not in metrics(where)
