#!/bin/sh
# The tests talk to a real nginx. Install it where that is allowed, else say how.
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v nginx >/dev/null && exit 0

install="apt-get install -y --no-install-recommends nginx"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && $install </dev/null; } >&2 && exit 0
fi
echo "nginx is missing. Install it and come back: sudo $install" >&2
exit 1
