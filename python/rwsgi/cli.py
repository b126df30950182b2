"""The command line. Options belong to the core: nothing is parsed, and as little as possible imported, here."""

import sys

from rwsgi import _rwsgi


def main() -> int:
    return _rwsgi.main(sys.argv[1:])
