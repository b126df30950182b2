"""The recipes of docs/tracing.md, each with the real client and a receiver on loopback: what every worker has to say
arrives, to the last request before it retires.

They need packages that are not among those of the other tests: `make test` installs them into .venv-recipes, which the
variable RECIPES names. Elsewhere these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from harness.http import Connection, request
from harness.log import Log
from harness.server import APPS, TESTS
from harness.wait import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.core, pytest.mark.timeout(180)]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The directory of the environment's programs."""
    found = Path(os.environ.get("RECIPES", TESTS.parent / ".venv-recipes")) / "bin"
    if not (found / "rwsgi").exists():
        advice = f"{found} has no rwsgi: `make test` makes this environment"
        pytest.fail(advice) if os.environ.get("CI") else pytest.skip(advice)
    return found


class Receiver:
    def __init__(self, python: Path) -> None:
        reading, writing = os.pipe()
        command = [str(python), str(APPS / "receiver.py")]
        self.process = subprocess.Popen(command, stdout=writing, stderr=writing, stdin=subprocess.DEVNULL)
        os.close(writing)
        self.log = Log(reading)
        self.port = int(self.log.find(r'^{"port": (\d+)}$')[1])

    def items(self) -> list[dict]:
        """What it got so far; the rest of its output is about connections that ended early."""
        return [json.loads(line) for line in self.log.lines[1:] if line.startswith("{")]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.finish()


@pytest.fixture
def receiver(programs: Path) -> Iterator[Receiver]:
    with closing(Receiver(programs / "python")) as made:
        yield made


@pytest.fixture
def serve(start, programs) -> Callable:
    """The site, its workers replaced after every third request."""

    def start_site(command: list[str], app: str = "traced", **env: str):
        paths = {"PYTHONPATH": str(APPS), "PATH": f"{programs}:{os.environ['PATH']}"}
        server = start(
            app,
            command=command,
            env=paths | env,
            uwsgi=False,
            http=True,
            processes=2,
            max_requests=3,
            trace_context=True,
            request_id=True,
            may_keep_files=True,
        )
        server.log.accept_anything()
        # These clients take seconds to be imported.
        return server.wait_ready(6 * PATIENCE)

    return start_site


def ask(server, numbers, path="hello", **headers) -> set[str]:
    """The requests, one after the other; returns what was answered: the pids of workers."""
    answers = set()
    for number in numbers:
        with Connection(server.http_address) as client:
            client.send(request(f"/{path}/{number}", Connection="close", **headers))
            answers.add(client.answer().text)
    return answers


def ask_several_generations(server, numbers: Sequence[int]) -> None:
    """The same, by workers that take turns: half of them after the first has been replaced."""
    half = len(numbers) // 2
    pids = ask(server, numbers[:half])
    server.log.find("has left after [1-9]", patience=6 * PATIENCE)
    assert ask(server, numbers[half:]) != pids


OTEL = {
    "OTEL_SERVICE_NAME": "site",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "DJANGO_SETTINGS_MODULE": "traced_settings",
}


@pytest.mark.parametrize("words", [["rwsgi"], ["python", "-m", "rwsgi"]])
def test_opentelemetry(serve, receiver, programs, words):
    endpoint = f"http://127.0.0.1:{receiver.port}"
    command = [str(programs / "opentelemetry-instrument"), *words]
    server = serve(command, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **OTEL)
    ask_several_generations(server, range(10))
    ask(server, [10], Traceparent=f"00-{TRACE}-{PARENT}-01")
    server.close()
    spans = {span["http.target"]: span for span in receiver.items()}
    assert spans.keys() == {f"/hello/{number}" for number in range(11)}
    assert (spans["/hello/10"]["trace"], spans["/hello/10"]["parent"]) == (TRACE, PARENT)
    assert "while it was imported" not in server.log.text
    # The span of a request without a trace is part of the one that the server has begun, and logged.
    logged = {line["uri"]: line["trace"] for line in server.log.requests()}
    assert {uri: span["trace"] for uri, span in spans.items()} == logged


def test_sentry(serve, receiver, programs):
    server = serve([str(programs / "rwsgi")], SENTRY_DSN=f"http://key@127.0.0.1:{receiver.port}/1")
    ask_several_generations(server, range(12))
    ask(server, range(12, 15), "fail")
    server.close()
    events = [item for item in receiver.items() if "exception" in item]
    texts = {event["exception"]["values"][-1]["value"].partition(" in ")[0] for event in events}
    assert texts == {f"request {number} fails" for number in range(12, 15)}
    # Which request it was: the headers of an event have the id of the log.
    named = {event["request"]["url"].partition("/fail")[2]: event["request"]["headers"] for event in events}
    logged = {line["uri"].partition("/fail")[2]: line["id"] for line in server.log.requests() if "fail" in line["uri"]}
    assert {path: headers["X-Request-Id"] for path, headers in named.items()} == logged
    transactions = [item for item in receiver.items() if item.get("type") == "transaction"]
    assert len(transactions) == 15


DATADOG = {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}


def test_ddtrace(serve, receiver, programs):
    agent = f"http://127.0.0.1:{receiver.port}"
    command = [str(programs / "ddtrace-run"), "rwsgi"]
    server = serve(command, DD_TRACE_AGENT_URL=agent, DJANGO_SETTINGS_MODULE="traced_settings", **DATADOG)
    ask_several_generations(server, range(10))
    server.close()
    seen = {
        item.get("http.url", "").rpartition("/")[2] for item in receiver.items() if item["name"] == "django.request"
    }
    assert seen == {str(number) for number in range(10)}


def test_prometheus_client(serve, programs, tmp_path):
    directory = tmp_path / "metrics"
    directory.mkdir()
    server = serve([str(programs / "rwsgi")], "multiprocess", PROMETHEUS_MULTIPROC_DIR=str(directory))
    ask_several_generations(server, [1] * 20)

    def metrics() -> dict[str, float]:
        with Connection(server.http_address) as client:
            client.send(request("/metrics", Connection="close"))
            lines = [line for line in client.answer().text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    # Workers that have ended are in the sum of what was counted, and not among those that live.
    assert metrics()['app_requests_total{path="/hello/1"}'] == 20
    until(lambda: metrics().get("app_workers", 0) <= 2, "dead workers to be forgotten")
