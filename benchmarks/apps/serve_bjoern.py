"""bjoern has no command line: serve_bjoern.py MODULE HOST PORT PROCESSES."""

import importlib
import os
import signal
import sys

import bjoern


def main(module, host, port, processes):
    name, _, attribute = module.partition(":")
    application = getattr(importlib.import_module(name), attribute or "application")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    bjoern.listen(application, host, int(port))
    for _ in range(int(processes) - 1):
        if os.fork() == 0:
            break
    bjoern.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
