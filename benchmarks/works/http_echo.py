"""A body of 64 KiB there and back."""

from load import Load
from model import Goal, Setup, Work, variants
from works.throughput import METRICS, throughput

WORK = Work(
    name="http-echo",
    title="Echo of 64 KiB over HTTP, keep-alive",
    method="wrk with 16 kept connections that POST 64 KiB and get them back, 1 process, access log off.",
    variants=variants("rwsgi", "bjoern", "granian", "uwsgi", "gunicorn"),
    baseline="bjoern",
    metrics=METRICS,
    measure=throughput(Load(connections=16, path="/echo", body_size=65536)),
    setup=Setup(app="body:application", protocol="http", processes=1),
    goals=[Goal("rate", least=1, against="best peer"), Goal("cpu_us", most=1, against="best peer")],
)
