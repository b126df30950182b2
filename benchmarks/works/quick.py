"""Does a quick request wait for those that compute for long?"""

from balance_bars import QUICK_P50_MS, QUICK_P95_MS
from model import Metric, Work
from works import places

WORK = Work(
    name="quick",
    title="A quick request beside long computations",
    method="One client with requests of 0.1 ms of CPU and 20 ms between answer and request, beside 2 that compute 3 s "
    "a request, 2 with 0.3 s, 4 with 0.3 s, in closed loop. The latencies are those of the quick ones. Who runs the "
    "long ones in one process has the other for the quick ones, at the price of their throughput: see the CPUs used. "
    f"Bars for rwsgi: p50 ≤ {QUICK_P50_MS} ms, p95 ≤ {QUICK_P95_MS} ms or 1.2 × uWSGI's.",
    variants=places.places("quick"),
    baseline="uwsgi uwsgi 2×4",
    metrics=[
        Metric("p50_ms", "p50, ms", 1),
        Metric("p95_ms", "p95, ms", 1),
        Metric("p99_ms", "p99, ms", 1),
        Metric("cpu", "CPUs used", 2),
        Metric("failed", "failed", 0),
        Metric("missed", "bars missed", 0),
    ],
    measure=places.measure,
    relate=places.relate,
    rounds=3,
)
