"""A static file of 1 MiB."""

import tempfile
from dataclasses import replace
from pathlib import Path

from load import Load
from model import Goal, Sample, Setup, Variant, Work, variants
from stage import Stage
from works.throughput import METRICS, throughput

SIZE = 1 << 20
MEASURE = throughput(Load(connections=32, path="/static/file.bin"))


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    with tempfile.TemporaryDirectory(prefix="rwsgi-bench-") as directory:
        Path(directory).chmod(0o755)
        (Path(directory) / "file.bin").write_bytes(bytes(SIZE))
        return MEASURE(stage, variant, replace(setup, statics=directory))


WORK = Work(
    name="http-static",
    title="Static file of 1 MiB over HTTP",
    method="wrk with 32 kept connections, 1 process, each peer's own way to serve a directory. bjoern has none.",
    variants=variants("rwsgi", "granian", "uwsgi", "nginx"),
    baseline="uwsgi",
    metrics=METRICS,
    measure=measure,
    setup=Setup(app="hello:application", protocol="http", processes=1),
    goals=[Goal("rate", least=1, against="best peer"), Goal("cpu_us", most=1, against="best peer")],
)
