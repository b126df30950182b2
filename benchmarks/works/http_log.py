"""What the access log adds to HTTP."""

from dataclasses import replace

from load import Load
from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from stage import Stage
from works.throughput import measured, warm_up

LOAD = Load(connections=32)


def figures(stage: Stage, variant: Variant, setup: Setup) -> dict[str, float]:
    with stage.serve(variant, setup) as running:
        warm_up(running, LOAD)
        return measured(stage, running, LOAD)[1]


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    off = figures(stage, variant, replace(setup, access_log=False))
    on = figures(stage, variant, replace(setup, access_log=True))
    return {
        "": {
            "off_us": off["cpu_us"],
            "on_us": on["cpu_us"],
            "cost": on["cpu_us"] / off["cpu_us"],
            "rate": on["rate"],
            "failed": on["failed"] + off["failed"],
        }
    }


WORK = Work(
    name="http-log",
    title="What the access log costs over HTTP",
    method="As `http-keepalive`, first without and then with the request log, which is written to a file"
    " (standard error or output).",
    variants=variants("rwsgi", "granian", "uwsgi", "gunicorn"),
    baseline="uwsgi",
    metrics=[
        Metric("off_us", "CPU without, µs", 1),
        Metric("on_us", "CPU with, µs", 1, ratio=True),
        Metric("cost", "with / without", 2),
        Metric("rate", "requests/s with", 0),
        Metric("failed", "failed", 0),
    ],
    measure=measure,
    setup=Setup(app="hello:application", protocol="http", processes=1),
    goals=[Goal("cost", most=1.1, of_ratio=False)],
)
