"""What the server itself costs, behind nginx."""

from model import Goal, Setup, Work, variants
from works.throughput import BEHIND_NGINX, METRICS, throughput

WORK = Work(
    name="hello",
    title="Hello behind nginx, no access log",
    method="nginx → unix socket, 2 processes, access log off. `limit` is a static responder in C that "
    "only accepts, receives, sends and closes. Sleeps: voluntary context switches of the tree; "
    "the faster a server, the more often it has to wait for nginx, and a sleep costs as much as "
    "several system calls.",
    variants=variants("rwsgi", "uwsgi", "gunicorn", "limit"),
    baseline="uwsgi",
    metrics=METRICS,
    measure=throughput(BEHIND_NGINX),
    setup=Setup(app="hello:application"),
    goals=[Goal("cpu_us", most=0.55)],
)
