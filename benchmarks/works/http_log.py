"""What the access log adds to HTTP."""

from load import Load
from model import Goal, Setup, Variant, Work
from works.throughput import METRICS, throughput

OFF = (("access_log", False),)

WORK = Work(
    name="http-log",
    title="Hello over HTTP, keep-alive, access log on and off",
    method="As `http-keepalive`, with and without the request log written to a file (standard error or output).",
    variants=[
        Variant("rwsgi", "rwsgi, log"),
        Variant("rwsgi", "rwsgi, no log", OFF),
        Variant("granian", "granian, log"),
        Variant("granian", "granian, no log", OFF),
        Variant("uwsgi", "uwsgi, log"),
        Variant("uwsgi", "uwsgi, no log", OFF),
    ],
    baseline="rwsgi, no log",
    metrics=METRICS,
    measure=throughput(Load(connections=32)),
    setup=Setup(app="hello:application", protocol="http", processes=1, access_log=True),
    goals=[Goal("cpu_us", most=1.1)],
)
