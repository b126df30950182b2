"""HTTPS straight from the client, connections kept."""

from load import Load
from model import Goal, Setup, Work, variants
from works.throughput import METRICS, throughput

WORK = Work(
    name="https-keepalive",
    title="Hello over HTTPS, keep-alive",
    method="As `http-keepalive`, with TLS 1.3 and one certificate (ECDSA, P-256) for all. Handshakes are made "
    "before the load is measured.",
    variants=variants("rwsgi", "granian", "gunicorn", "nginx"),
    baseline="granian",
    metrics=METRICS,
    measure=throughput(Load(connections=32)),
    setup=Setup(app="hello:application", protocol="http", processes=1, tls=True),
    goals=[Goal("cpu_us", most=1)],
)
