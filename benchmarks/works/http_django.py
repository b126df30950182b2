"""Django over HTTP."""

from load import Load
from model import Goal, Work, variants
from works import site
from works.throughput import METRICS, throughput

WORK = Work(
    name="http-django",
    title="Django's JSON page over HTTP, keep-alive",
    method="wrk with 32 kept connections, 2 processes, `/json/`, access log off.",
    variants=variants("rwsgi", "bjoern", "granian", "uwsgi", "gunicorn"),
    baseline="bjoern",
    metrics=METRICS,
    measure=throughput(Load(connections=32, path="/json/")),
    setup=site.setup("http"),
    goals=[Goal("rate", least=1, against="best peer")],
)
