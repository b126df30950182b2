# scripts/tsan.sh puts this into its copy of rwsgi: whoever imports it starts again with ThreadSanitizer's runtime,
# which has to be there before anything else. What that process starts goes without it, unless it imports rwsgi, too.
import os as _os
import sys as _sys

with open("/proc/self/maps") as _maps:
    _is_preloaded = "/libtsan.so" in _maps.read()
if not _is_preloaded:
    _os.execve(_sys.executable, _sys.orig_argv, {**_os.environ, "LD_PRELOAD": _os.environ["TSAN_LIBRARIES"]})
_os.environ.pop("LD_PRELOAD", None)
