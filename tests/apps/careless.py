"""Leaves behind what the harness must find."""

import os
import subprocess
import sys

kept = []


def application(environ, start_response):
    what = environ["PATH_INFO"]
    if what == "/descriptor":
        kept.append(os.open("/dev/null", os.O_RDONLY))
    elif what == "/process":
        # In a session of its own, so that nobody finds it by its parents.
        child = subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=-3)
        child.returncode = 0
    elif what == "/line":
        print("something unheard of", file=sys.stderr, flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
