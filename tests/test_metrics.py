"""What /metrics counts is what clients have counted, across reloads, recyclings and deaths."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from harness import packet, tls
from harness.http import Connection, request
from harness.metrics import Scrape, get, scrape
from harness.packet import Address
from harness.server import TESTS, Server, held
from harness.wait import until

PATHS = ["/", "/status/404", "/stream", "/status/302", "/status/503", "/file.txt", "/livez", "/status/204"]
CLASSES = {2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}


def start(boot, tmp_path: Path, **options: object) -> tuple[Server, Address]:
    """A server with everything that answers: an application, a file, a probe."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/file.txt").write_text("a file")
    metrics = tmp_path / "metrics"
    server = boot(
        "metered",
        http=True,
        disable_logging=True,
        check_static=tmp_path / "files",
        http_livez="/livez",
        metrics_socket=metrics,
        **options,
    )
    server.log.accept_anything()
    return server, str(metrics)


def name(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


class Books:
    """Answers by listener and class of the status, and requests that were not answered."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[str] = Counter()
        self.lock = threading.Lock()

    def note(self, listener: str, status: int) -> None:
        with self.lock:
            self.answers[listener, CLASSES[status // 100]] += 1

    def note_failure(self, listener: str) -> None:
        with self.lock:
            self.failed[listener] += 1

    def uwsgi(self, server: Server, count: int) -> None:
        for number in range(count):
            try:
                path = PATHS[number % len(PATHS)]
                answer = packet.request(server.address, path)
                self.note(name(server.address), answer.status)
            except (OSError, ValueError, AssertionError):
                self.note_failure(name(server.address))

    def http(self, server: Server, count: int) -> None:
        client = None
        for number in range(count):
            try:
                client = client or Connection(server.http_address)
                client.send(request(PATHS[number % len(PATHS)]))
                answer = client.answer()
                self.note(name(server.http_address), answer.status)
                if answer.header("Connection") == "close":
                    client = client.close()
            except (OSError, ValueError, AssertionError):
                self.note_failure(name(server.http_address))
                client = client.close() if client else None
        if client:
            client.close()

    def load(self, server: Server, threads: int, count: int) -> list[threading.Thread]:
        made = [threading.Thread(target=run, args=(server, count)) for run in [self.uwsgi, self.http] * threads]
        for thread in made:
            thread.start()
        return made


def counted(found: Scrape) -> Counter[tuple[str, str]]:
    samples = found.all("rwsgi_requests_total")
    return Counter({(one.labels["listener"], one.labels["status"]): int(one.value) for one in samples if one.value})


def has_crashed(metrics: Address, times: int) -> bool:
    return scrape(metrics).sum("rwsgi_process_ends_total", reason="crashed") >= times


def check_sums(found: Scrape) -> None:
    """The histogram has each request but those of which no core knows."""
    answers = found.sum("rwsgi_requests_total")
    durations = found.sum("rwsgi_request_duration_seconds_count")
    assert durations + found.sum("rwsgi_canned_answers_total") == answers
    assert found.sum("rwsgi_request_duration_seconds_bucket", le="+Inf") == durations


@pytest.mark.parametrize("threads", [1, 4])
def test_sums_are_what_clients_counted(boot, tmp_path, threads):
    server, metrics = start(boot, tmp_path, processes=2, threads=threads, max_requests=150, min_worker_lifetime=0)
    books = Books()
    running = books.load(server, 4, 40)
    server.signal(signal.SIGHUP)
    server.notifications.wait("RELOADING=1")
    server.notifications.wait("READY=1")
    for thread in running:
        thread.join()
    assert not books.failed
    found = scrape(metrics)
    assert counted(found) == books.answers
    check_sums(found)
    assert found.sum("rwsgi_reloads_total", result="success") == 1
    assert found.sum("rwsgi_generation") == 2
    assert found.sum("rwsgi_static_requests_total") == 4 * 2 * 5
    assert found.sum("rwsgi_canned_answers_total") == 4 * 2 * 5
    # One that is killed has counted what it has answered.
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    until(lambda: has_crashed(metrics, 1), "the end of the worker")
    for thread in books.load(server, 2, 16):
        thread.join()
    assert counted(scrape(metrics)) == books.answers


def test_who_is_killed_under_load_has_counted_its_answers(boot, tmp_path):
    server, metrics = start(boot, tmp_path, processes=2, threads=2)
    books = Books()
    running = books.load(server, 2, 150)
    for kill in range(1, 4):
        victim = max(until(server.workers, "the workers"), key=lambda worker: worker.requests)
        os.kill(victim.pid, signal.SIGKILL)
        until(partial(has_crashed, metrics, kill), "its end")
    for thread in running:
        thread.join()
    found = scrape(metrics)
    for listener in (name(server.address), name(server.http_address)):
        answered = sum(count for (one, _), count in books.answers.items() if one == listener)
        seen = found.sum("rwsgi_requests_total", listener=listener)
        assert answered <= seen <= answered + books.failed[listener]
    check_sums(found)
    assert found.sum("rwsgi_spawns_total") == 5


def test_an_answer_is_counted_when_its_client_has_it(boot, tmp_path):
    server, metrics = start(boot, tmp_path)
    for number, path in enumerate(PATHS * 3, 1):
        packet.request(server.address, path)
        assert scrape(metrics).sum("rwsgi_requests_total") == number, path


def test_refusals_have_their_status(boot, tmp_path):
    server, metrics = start(boot, tmp_path, limit_post=100, http_request_line=200)
    address = server.http_address
    for data, status in [
        (request("/", "POST", b"x" * 101), 413),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (request("/" + "x" * 300), 414),
        (request("/", Upgrade="websocket", Connection="upgrade"), None),
    ]:
        with Connection(address) as client:
            client.send(data)
            answer = client.answer()
            assert status is None or answer.status == status
    assert packet.request(server.address, "/", "POST", b"x" * 101).status == 413
    found = scrape(metrics)
    by_status = found.by("rwsgi_refused_requests_total", "status")
    assert (by_status["413"], by_status["400"], by_status["414"]) == (2, 1, 1)
    assert sum(by_status.values()) == found.sum("rwsgi_canned_answers_total")
    assert found.sum("rwsgi_requests_total", listener=name(server.address), status="4xx") == 1


def test_exceptions_disconnects_and_bytes(boot, tmp_path):
    server, metrics = start(boot, tmp_path)
    sent = packet.packet(packet.variables("/status/200", "POST", b"body")) + b"body"
    received = packet.exchange(server.address, sent)
    found = scrape(metrics)
    assert found.sum("rwsgi_received_bytes_total") == len(sent)
    assert found.sum("rwsgi_sent_bytes_total") == len(received)
    assert packet.request(server.address, "/raises").status == 500
    with packet.connect(server.address) as client:
        client.sendall(packet.packet(packet.variables("/sleep/0.2")))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    until(lambda: scrape(metrics).sum("rwsgi_request_duration_seconds_count") == 3, "the end of the request")
    until(lambda: scrape(metrics).sum("rwsgi_disconnects_total") == 1, "the client that went away")
    assert scrape(metrics).sum("rwsgi_exceptions_total") == 1


def test_times_are_those_of_requests(boot, tmp_path):
    server, metrics = start(boot, tmp_path, http_timeout=5)
    packet.request(server.address, "/sleep/0.3")
    # The body comes late: that is no time of the application.
    body = packet.packet(packet.variables("/", "POST", b"x" * 10))
    with held(server.address, body) as client:
        until(lambda: scrape(metrics).sum("rwsgi_cores_busy") == 1, "the request to run")
        until(lambda: scrape(metrics).sum("rwsgi_connections", state="running") == 1, "its connection")
        client.sendall(b"x" * 10)
        packet.read_all(client)
    found = scrape(metrics)
    slow = found.all("rwsgi_request_duration_seconds_bucket", le="0.25")[0].value
    assert slow <= 1
    busy, application = found.sum("rwsgi_busy_seconds_total"), found.sum("rwsgi_application_seconds_total")
    receiving = found.sum("rwsgi_receiving_wait_seconds_total")
    assert busy >= application >= 0.3
    assert receiving > 0
    assert busy == pytest.approx(application + receiving, abs=0.05)
    assert found.sum("rwsgi_request_duration_seconds_sum") == pytest.approx(busy, abs=0.001)


def test_a_slow_reader_is_time_in_sending(boot, tmp_path):
    # A unix socket holds little.
    _, metrics = start(boot, tmp_path, socket=tmp_path / "s")
    with packet.connect(str(tmp_path / "s")) as client:
        client.sendall(packet.packet(packet.variables("/large")))
        until(lambda: scrape(metrics).sum("rwsgi_cores_busy") == 1, "the answer to wait for its client")
        packet.read_all(client)
    until(lambda: scrape(metrics).sum("rwsgi_cores_busy") == 0, "the end of the request")
    assert scrape(metrics).sum("rwsgi_sending_wait_seconds_total") > 0


def test_harakiri_is_counted_with_its_answer(boot, tmp_path):
    server, metrics = start(boot, tmp_path, harakiri=1, processes=1, threads=2)
    answers = []

    def ask(path: str) -> None:
        answers.append(packet.request(server.address, path).status)

    asking = [threading.Thread(target=ask, args=(path,)) for path in ("/sleep/60", "/sleep/59")]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    until(lambda: scrape(metrics).sum("rwsgi_harakiri_total") == 1, "the harakiri")
    found = scrape(metrics)
    # The one that was late, and perhaps the other.
    assert 504 in answers and set(answers) <= {503, 504}, answers
    assert found.sum("rwsgi_requests_total", status="5xx") == 2
    assert found.sum("rwsgi_process_ends_total", reason="harakiri") == 1
    check_sums(found)


def test_recyclings_have_reasons(boot, tmp_path):
    server, metrics = start(boot, tmp_path, max_requests=5, min_worker_lifetime=0)
    for _ in range(5):
        server.request()
    until(lambda: scrape(metrics).sum("rwsgi_recyclings_total", reason="max-requests") == 1, "the recycling")
    until(lambda: scrape(metrics).sum("rwsgi_process_ends_total", reason="recycled") == 1, "the old worker's end")
    found = scrape(metrics)
    assert found.sum("rwsgi_spawns_total") == 2
    assert found.sum("rwsgi_requests_total") == 5


def test_connections_have_states(boot, tmp_path):
    server, metrics = start(boot, tmp_path)

    def are(**expected: int) -> bool:
        return until(
            lambda: scrape(metrics).by("rwsgi_connections", "state") == expected, f"connections to be {expected}"
        )

    assert are()
    with Connection(server.http_address) as kept, Connection(server.http_address) as half:
        kept.send(request("/"))
        kept.answer()
        half.send(b"GET / HT")
        assert are(idle=1, reading=1)
        kept.send(request("/sleep/0.4"))
        assert are(running=1, reading=1)
        kept.answer()
        assert are(idle=1, reading=1)
    assert are()


def test_tls_handshakes_are_counted_and_failures(boot, tmp_path):
    authority = tls.Authority(tmp_path)
    server = boot("metered", https=authority.sign(), metrics_socket=tmp_path / "m", disable_logging=True)
    server.log.accept_anything()
    for _ in range(3):
        with tls.Connection(server.https_address, authority.context()) as client:
            client.send(request("/"))
            client.answer()
    with Connection(server.https_address) as plain:
        plain.send(request("/"))
        assert plain.answer().status == 400
    found = scrape(str(tmp_path / "m"))
    assert (found.sum("rwsgi_tls_handshakes_total"), found.sum("rwsgi_tls_failures_total")) == (3, 1)
    assert found.by("rwsgi_requests_total", "status") == {"2xx": 3, "4xx": 1}


def test_both_formats_say_the_same(boot, tmp_path):
    server, metrics = start(boot, tmp_path, processes=2)
    server.request()
    text, is_open = (scrape(metrics, "/metrics?worker=each", is_open=one) for one in (False, True))
    of = [{(one.name, tuple(sorted(one.labels.items()))) for one in found.samples} for found in (text, is_open)]
    assert of[0] == of[1]
    assert {family.type for family in text.families.values()} == {"counter", "gauge", "histogram"}
    assert all(family.documentation for family in text.families.values())
    assert text.sum("rwsgi_worker_requests_total") == 1
    assert {one.labels["worker"] for one in text.all("rwsgi_worker_spawns_total")} == {"1", "2"}


def test_a_metrics_socket_answers_for_metrics_alone(boot, tmp_path):
    _, metrics = start(boot, tmp_path)
    assert scrape(metrics, "/").samples
    assert get(metrics, "/stats").status == 404
    assert get(metrics, "/history").status == 404
    with Connection(metrics) as client:
        client.send(request("/metrics", "POST", b"x"))
        assert client.answer().status == 405


def test_buckets_can_be_chosen(boot, tmp_path):
    _, metrics = start(boot, tmp_path, metrics_buckets="1,250.5", metrics_per_worker=True)
    bounds = [one.labels["le"] for one in scrape(metrics).all("rwsgi_request_duration_seconds_bucket")]
    assert bounds == ["0.001", "0.2505", "+Inf"]
    assert scrape(metrics).all("rwsgi_worker_requests_total")


def test_there_is_a_history(boot, tmp_path):
    stats = tmp_path / "stats"
    server = boot("metered", stats=stats, stats_http=True, disable_logging=True)
    server.log.accept_anything()
    for _ in range(7):
        server.request("/status/500")

    def samples() -> list[dict[str, object]]:
        answer = get(str(stats), "/history")
        assert answer.header("Content-Type") == "application/json"
        return json.loads(answer.body)["samples"]

    first = until(samples, "the first sample")[0]
    assert (first["requests"], first["errors"], first["cores"], first["workers"]) == (7, 7, 1, 1)
    assert first["p50_ms"] <= first["p95_ms"] <= first["p99_ms"]


def test_requests_have_waited_no_longer_than_their_clients(boot, tmp_path):
    server, metrics = start(boot, tmp_path, processes=2, threads=2)
    spent: list[float] = []

    def load() -> None:
        for _ in range(10):
            begun = time.monotonic()
            with Connection(server.http_address) as client:
                client.send(request("/sleep/0.01", Connection="close"))
                assert client.answer().status == 200
            spent.append(time.monotonic() - begun)

    # More at once than there are cores: some wait. Those that come one by one afterwards do not.
    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load()
    assert len(spent) == 90
    assert 0 < scrape(metrics).sum("rwsgi_queue_seconds_total") < sum(spent)


def test_the_start_is_always_the_same_moment(boot, tmp_path):
    """Whoever alarms at changes of it is told of restarts, and of nothing else."""
    _, metrics = start(boot, tmp_path)
    assert len({scrape(metrics).sum("rwsgi_start_time_seconds") for _ in range(20)}) == 1


def test_every_metric_is_documented(boot, tmp_path):
    _, metrics = start(boot, tmp_path, metric="queue")
    names = {sample.name for sample in scrape(metrics, "/metrics?worker=each").samples}
    names = {re.sub("_(bucket|sum|count)$", "", one) for one in names}
    documented = set(re.findall(r"`(rwsgi_\w+)[`{]", (TESTS.parent / "docs/metrics.md").read_text()))
    # Of the application's own, which this one has not.
    assert names | {"rwsgi_user_metric"} == documented


MONITORING = TESTS.parent / "examples/monitoring"
# Of Debian's package prometheus; CI has it, a machine without it tests the names alone.
PROMTOOL = shutil.which("promtool")


def expressions() -> list[str]:
    """Of the dashboard, with values for Grafana's variables."""
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [one.replace("$__rate_interval", "1m").replace("$instance", ".*") for one in found]


def test_the_examples_name_metrics_that_there_are(boot, tmp_path):
    _, metrics = start(boot, tmp_path)
    names = {sample.name for sample in scrape(metrics, "/metrics?worker=each").samples}
    assert len(expressions()) >= 15
    text = "\n".join(expressions()) + (MONITORING / "alerts.yml").read_text()
    used = set(re.findall(r"\brwsgi_\w+", text))
    assert used <= names, used - names


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_accepts_the_examples_and_the_metrics(boot, tmp_path):
    _, metrics = start(boot, tmp_path)
    promtool = str(PROMTOOL)
    subprocess.run([promtool, "check", "config", MONITORING / "prometheus.yml"], check=True, timeout=60)
    # As rules, so that what Grafana sends is parsed, too.
    rules = [{"record": f"expression_{number}", "expr": one} for number, one in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], check=True, timeout=60)
    text = get(metrics, "/metrics?worker=each").body
    found = subprocess.run([promtool, "check", "metrics"], input=text, timeout=60, capture_output=True)
    assert found.returncode == 0, found.stderr
