"""Whichever way a request comes: does it wait in one process while another has nothing to do?"""

from balance_bars import LEAST_EVENNESS, LEAST_JAIN, LEAST_OF_BEST, MOST_OF_ALONE
from balance_names import CPU_MS
from model import Metric, Work
from works import places

WORK = Work(
    name="http-balance",
    title=f"Who runs a request: {CPU_MS} ms of CPU each, every front and shape",
    method="Closed-loop clients; `uwsgi` and `nginx-http` are behind nginx, which keeps its HTTP connections. Best: "
    "the row with the most requests a second among those with as many clients. Alone: rwsgi with as many processes of "
    "one thread each, on the uwsgi socket. Jain's index is over the processes, or over as many of them as there are "
    "kept connections. Least: the requests of the least served client over those of the most served. "
    f"Bars for rwsgi: rate ≥ {LEAST_OF_BEST} × best, p99 ≤ {MOST_OF_ALONE} × alone, Jain ≥ {LEAST_JAIN} from 4 clients "
    f"on, least ≥ {LEAST_EVENNESS} with kept connections.",
    variants=places.places("cpu"),
    baseline="rwsgi uwsgi 2×1",
    metrics=[
        Metric("rate", "requests/s", 0),
        Metric("of_best", "× best", 2),
        Metric("p50_ms", "p50, ms", 1),
        Metric("p99_ms", "p99, ms", 1),
        Metric("of_alone", "p99 × alone", 2),
        Metric("jain", "Jain index", 3),
        Metric("evenness", "least", 2),
        Metric("idle", "idle CPUs", 2),
        Metric("failed", "failed", 0),
        Metric("missed", "bars missed", 0),
    ],
    measure=places.measure,
    relate=places.relate,
    rounds=3,
)
