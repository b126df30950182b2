"""HTTPS straight from the client, a handshake a request."""

from load import Load
from model import Goal, Setup, Work, variants
from works.throughput import METRICS, throughput

WORK = Work(
    name="https-connection",
    title="Hello over HTTPS, a handshake a request",
    method="As `https-keepalive`, with `Connection: close`: what a handshake costs. wrk resumes no sessions.",
    variants=variants("rwsgi", "granian", "nginx"),
    baseline="granian",
    metrics=METRICS,
    measure=throughput(Load(connections=32, seconds=2, close=True)),
    setup=Setup(app="hello:application", protocol="http", processes=1, keepalive=False, tls=True),
    goals=[Goal("cpu_us", most=1)],
)
