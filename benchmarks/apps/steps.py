"""Does the steps that the query names, one after the other: `?c2,s10,c2,s5,c1` computes 2 ms, sleeps 10 ms, and so on.

What it computes is fixed by the calibration of cpu.py.
"""

import os
import time

from cpu import LOOPS_PER_MS, burn


def application(environ, start_response):
    for step in filter(None, environ.get("QUERY_STRING", "").split(",")):
        milliseconds = float(step[1:])
        if step[0] == "c":
            burn(int(milliseconds * LOOPS_PER_MS))
        else:
            time.sleep(milliseconds / 1000)
    pid = str(os.getpid())
    body = pid.encode() + b"\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("X-Worker-Pid", pid)]
    start_response("200 OK", headers)
    return [body]
