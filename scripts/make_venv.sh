#!/bin/sh
# make_venv.sh PYTHON DIRECTORY: a virtualenv whose pip knows dependency groups.
set -eu
python=$1 directory=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "$python is not CPython 3.10 or newer. Name another one: make PYTHON=python3.12 …" >&2
    exit 1
}
"$python" -m venv --clear "$directory" || {
    echo "$python cannot make a virtualenv. On Debian and Ubuntu: apt-get install python3-venv python3-dev" >&2
    exit 1
}
"$directory/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
