"""Shows a variable of the process environment, or a fact about the process."""

import json
import os
import sys


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get(environ["QUERY_STRING"], "").encode()]


def facts(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    found = {
        "cwd": os.getcwd(),
        "path": sys.path,
        "argv": sys.argv,
        "prefix": sys.prefix,
        "executable": sys.executable,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "path_info": environ.get("PATH_INFO"),
        "script_name": environ.get("SCRIPT_NAME"),
    }
    return [json.dumps(found).encode()]
