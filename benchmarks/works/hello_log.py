"""What an access log costs on top."""

from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from stage import Running, Stage
from works.throughput import BEHIND_NGINX, METRICS, measured, warm_up


def log_lines(running: Running) -> int:
    """Counted after the stop: what was still in a buffer must be there, too."""
    running.server.stop()
    with running.server.log.open("rb") as log:
        return sum(b"GET / " in line for line in log)


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    with stage.serve(variant, setup) as running:
        requests = warm_up(running, BEHIND_NGINX["16 clients"]).requests
        sample: Sample = {}
        for case, load in BEHIND_NGINX.items():
            outcome, sample[case] = measured(stage, running, load)
            requests += outcome.requests
        logged = log_lines(running) / max(1, requests)
        return {case: {**figures, "logged": logged} for case, figures in sample.items()}


WORK = Work(
    name="hello-log",
    title="Hello behind nginx, access log on",
    method="As `hello`, with each peer's own request log written to a file (standard error or output). "
    "Log lines are counted after the stop, over all loads: below 1.00 a request, lines were lost.",
    variants=variants("rwsgi", "uwsgi", "gunicorn"),
    baseline="uwsgi",
    metrics=[*METRICS, Metric("logged", "log lines per request", 2)],
    measure=measure,
    setup=Setup(app="hello:application", access_log=True),
    goals=[Goal("cpu_us", most=0.50), Goal("logged", least=1, of_ratio=False)],
)
