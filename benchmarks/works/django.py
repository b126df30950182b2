"""A real framework: where the server is only a part of the request."""

from load import Load
from model import Goal, Work, variants
from works import site
from works.throughput import METRICS, throughput

WORK = Work(
    name="django",
    title="Django's JSON page behind nginx",
    method="nginx → unix socket, 2 processes, `/json/` of examples/mysite (of apps/djangojson.py where "
    "that is missing), access log off, wrk with 16 connections.",
    variants=variants("rwsgi", "uwsgi", "gunicorn"),
    baseline="uwsgi",
    metrics=METRICS,
    measure=throughput(Load(connections=16, path="/json/")),
    setup=site.setup("uwsgi"),
    goals=[Goal("rate", least=1), Goal("cpu_us", most=1)],
)
