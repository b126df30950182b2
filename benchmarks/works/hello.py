"""What the server itself costs, behind nginx."""

from load import Load
from model import Goal, Setup, Work, variants
from works.throughput import METRICS, throughput

WORK = Work(
    name="hello",
    title="Hello behind nginx, no access log",
    method="nginx → unix socket, 2 processes, access log off, wrk with 16 connections. `limit` is a static "
    "responder in C that only accepts, receives, sends and closes.",
    variants=variants("rwsgi", "uwsgi", "gunicorn", "limit"),
    baseline="uwsgi",
    metrics=METRICS,
    measure=throughput(Load(connections=16)),
    setup=Setup(app="hello:application"),
    goals=[Goal("cpu_us", most=0.55)],
)
