"""Burns the milliseconds that `?ms=` asks for, and says in a header which worker did it.

The amount of work is fixed by a calibration that the runner makes once (BENCH_LOOPS_PER_MS), not by a clock:
a thread that waits for the GIL or the CPU takes longer, and that is what is measured.
Run as a program, it prints the calibration.
"""

import os
import time

LOOPS_PER_MS = int(os.environ.get("BENCH_LOOPS_PER_MS", "20000"))


def burn(loops):
    total = 0
    for number in range(loops):
        total += number
    return total


def application(environ, start_response):
    wanted = environ.get("QUERY_STRING", "").partition("ms=")[2]
    burn(int(float(wanted or 0) * LOOPS_PER_MS))
    pid = str(os.getpid())
    body = pid.encode() + b"\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("X-Worker-Pid", pid)]
    start_response("200 OK", headers)
    return [body]


def calibrate(loops=200_000, rounds=9):
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        burn(loops)
        best = min(best, time.thread_time() - start)
    return int(loops / (best * 1000))


if __name__ == "__main__":
    print(calibrate())
