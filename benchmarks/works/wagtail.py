"""A real site, on every peer in the shapes that it may like best."""

import wagtail_site
from model import Metric, Work
from works import places

METRICS = [
    Metric("rate", "requests/s", 0),
    Metric("of_best", "× best peer", 2),
    Metric("p50_ms", "p50, ms", 1),
    Metric("p99_ms", "p99, ms", 1),
    Metric("of_alone", "p99 × best peer", 2),
    Metric("idle", "idle CPUs", 2),
    Metric("failed", "failed", 0),
    Metric("missed", "bars missed", 0),
]

WORK = Work(
    name="wagtail",
    title="Wagtail's home page",
    method=f"What `wagtail start` makes ({', '.join(wagtail_site.REQUIREMENTS)}), SQLite, settings of production; "
    "closed-loop clients that keep their connections. The best peer is the one with the best figure, in any shape.",
    variants=places.places("wagtail"),
    baseline="uwsgi http-kept 2×1",
    metrics=METRICS,
    measure=places.measure,
    relate=places.relate,
    rounds=3,
)
