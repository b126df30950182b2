"""What a server holds on to after a day's requests."""

from load import Load, wrk
from model import Goal, Metric, Sample, Setup, Variant, Work, variants
from procs import ServerFailed
from stage import Stage

REQUESTS = 100_000
MIB = 1024


def measure(stage: Stage, variant: Variant, setup: Setup) -> Sample:
    wanted = REQUESTS // 20 if stage.quick else REQUESTS
    with stage.serve(variant, setup) as running:
        fresh, _ = running.server.memory_kib()
        done = 0
        for _ in range(60):
            done += wrk(running.url, Load(connections=16, seconds=2)).requests
            if done >= wanted:
                break
        else:
            raise ServerFailed(f"only {done} requests in two minutes")
        pss, anon = running.server.memory_kib()
        return {
            "": {
                "pss": pss / MIB,
                "anon": anon / MIB,
                "growth": (pss - fresh) / MIB,
                "processes": running.server.processes(),
            }
        }


WORK = Work(
    name="memory",
    title="Memory after 100,000 requests",
    method="Hello behind nginx, 2 workers, access log off; PSS of the whole process tree from "
    "smaps_rollup after at least 100,000 requests. Anonymous memory stands beside it because the "
    "file-backed share depends on who else on the machine maps the same files (this runner is a "
    "Python, too).",
    variants=variants("rwsgi", "uwsgi", "gunicorn"),
    baseline="uwsgi",
    metrics=[
        Metric("pss", "PSS, MiB", 1, ratio=True),
        Metric("anon", "of it anonymous, MiB", 1, ratio=True),
        Metric("growth", "growth since the first request, MiB", 2),
        Metric("processes", "processes", 0),
    ],
    measure=measure,
    setup=Setup(app="hello:application"),
    goals=[Goal("pss", most=1)],
    rounds=3,
)
