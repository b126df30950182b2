#!/bin/sh
# The tests talk to real programs. Installs what is missing of those named where that is allowed, else says how.
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin
missing=
for program; do
    command -v "$program" >/dev/null && continue
    case $program in
        ab) missing="$missing apache2-utils" ;;
        *) missing="$missing $program" ;;
    esac
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && $install </dev/null; } >&2 && exit 0
fi
echo "Install what is missing and come back: sudo $install" >&2
exit 1
