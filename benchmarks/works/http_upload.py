"""An upload of 100 MiB that the app reads."""

import http.client
import time
from dataclasses import replace

from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from procs import ServerFailed
from stage import Running, Stage

SIZE = 100 << 20
CHUNK = bytes(256 * 1024)
UPLOADS = 20

# Before the app runs, so that a slow client holds no thread, or as it comes: that is a setting of some peers.
AHEAD, STREAMED = "read ahead", "streamed"
WAYS = {"rwsgi": (AHEAD, STREAMED), "uwsgi": (AHEAD, STREAMED), "bjoern": (AHEAD,)}


def upload(running: Running, size: int) -> None:
    connection = http.client.HTTPConnection(*running.host_and_port, timeout=60)
    body = (CHUNK for _ in range(size // len(CHUNK)))
    connection.request("POST", "/upload", body=body, headers={"Content-Length": str(size)})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200 or text != str(size).encode():
        raise ServerFailed(f"upload answered {answer.status} {text[:80]!r}")


def figures(stage: Stage, variant: Variant, setup: Setup) -> dict[str, float]:
    times = 1 if stage.quick else UPLOADS
    with stage.serve(variant, setup) as running:
        upload(running, len(CHUNK))
        before, start = running.server.cpu_seconds(), time.perf_counter()
        for _ in range(times):
            upload(running, SIZE)
        seconds = time.perf_counter() - start
        spent = running.server.cpu_seconds() - before
        pss, _ = running.server.memory_kib()
        return {"rate": times * 100 / seconds, "cpu_ms": spent / times * 1000, "pss": pss / 1024}


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    cases = WAYS.get(variant.peer, (STREAMED,))
    return {case: figures(stage, variant, replace(setup, read_ahead=case == AHEAD)) for case in cases}


WORK = Work(
    name="http-upload",
    title="Upload of 100 MiB over HTTP",
    method="One client, one upload after the other, the app reads the body in 64 KiB pieces; 1 process. "
    "Read ahead: the server takes the whole body first (rwsgi's default, uWSGI's post-buffering); streamed: the app "
    "reads it as it comes (rwsgi's http-stream-body).",
    variants=variants("rwsgi", "bjoern", "granian", "uwsgi", "gunicorn"),
    baseline="uwsgi",
    metrics=[
        Metric("rate", "MiB/s", 0, ratio=True),
        Metric("cpu_ms", "CPU per upload, ms", 1, ratio=True),
        Metric("pss", "PSS afterwards, MiB", 1),
    ],
    measure=measure,
    setup=Setup(app="body:application", protocol="http", processes=1, keepalive=False),
    goals=[Goal("rate", least=1, against="best peer"), Goal("cpu_ms", most=1, against="best peer")],
)
