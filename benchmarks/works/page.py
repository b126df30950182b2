"""A page that computes and waits in turn, as most do."""

from model import Work
from works import places
from works.wagtail import METRICS

WORK = Work(
    name="page",
    title="A typical page: 2 + 2 + 1 ms of CPU around 10 and 5 ms of waiting",
    method="4 processes × 8 threads; closed-loop clients that keep their connections.",
    variants=places.places("page"),
    baseline="uwsgi uwsgi 4×8",
    metrics=METRICS,
    measure=places.measure,
    relate=places.relate,
    rounds=3,
)
