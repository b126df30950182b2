"""prometheus_client in multiprocess mode, as docs/tracing.md has it."""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

REQUESTS = Counter("app_requests", "Requests.", ["path"])
WORKERS = Gauge("app_workers", "Workers that live.", multiprocess_mode="livesum")


def forget_dead(directory):
    """Gauges of processes that are gone: a killed one could not say so itself."""
    for file in Path(directory).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            multiprocess.mark_process_dead(pid, directory)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/metrics":
        forget_dead(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return [generate_latest(registry)]
    REQUESTS.labels(environ["PATH_INFO"]).inc()
    WORKERS.set(1)
    return [str(os.getpid()).encode()]
