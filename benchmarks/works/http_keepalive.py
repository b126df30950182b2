"""HTTP straight from the client, connections kept."""

from load import Load
from model import Goal, Setup, Work, variants
from works.throughput import METRICS, throughput

WORK = Work(
    name="http-keepalive",
    title="Hello over HTTP, keep-alive",
    method="wrk with 32 kept connections, 1 process, access log off. uWSGI keeps connections only "
    "through its http router, gunicorn only with threads (4 here). `nginx` answers with `return "
    "200`.",
    variants=variants("rwsgi", "bjoern", "granian", "uwsgi", "gunicorn", "nginx"),
    baseline="bjoern",
    metrics=METRICS,
    measure=throughput(Load(connections=32)),
    setup=Setup(app="hello:application", protocol="http", processes=1),
    goals=[Goal("cpu_us", most=0.90)],
)
