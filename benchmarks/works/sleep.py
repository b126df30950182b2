"""Requests that only wait: do they have every thread?"""

from balance_bars import LEAST_BUSY
from model import Metric, Work
from works import places

WORK = Work(
    name="sleep",
    title="Requests that sleep for 20 ms",
    method="4 processes × 8 threads; closed-loop clients. Busy: requests a second over what as many threads can answer "
    f"as there are, or clients if they are fewer. Bar for rwsgi: ≥ {LEAST_BUSY}.",
    variants=places.places("sleep"),
    baseline="uwsgi uwsgi 4×8",
    metrics=[
        Metric("rate", "requests/s", 0),
        Metric("busy", "busy", 2),
        Metric("p50_ms", "p50, ms", 1),
        Metric("p99_ms", "p99, ms", 1),
        Metric("failed", "failed", 0),
        Metric("missed", "bars missed", 0),
    ],
    measure=places.measure,
    relate=places.relate,
    rounds=3,
)
