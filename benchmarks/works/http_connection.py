"""HTTP straight from the client, a connection a request."""

from load import Load
from model import Goal, Setup, Work, variants
from works.throughput import METRICS, throughput

WORK = Work(
    name="http-connection",
    title="Hello over HTTP, a connection a request",
    method="wrk with 32 clients that ask for `Connection: close`, 1 process, access log off. uWSGI with "
    "http-socket: it does not announce its close, which wrk counts as a failed read.",
    variants=variants("rwsgi", "bjoern", "granian", "uwsgi", "gunicorn", "nginx"),
    baseline="bjoern",
    metrics=METRICS,
    measure=throughput(Load(connections=32, seconds=2, close=True)),
    setup=Setup(app="hello:application", protocol="http", processes=1, keepalive=False),
    goals=[Goal("cpu_us", most=1)],
)
