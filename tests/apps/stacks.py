"""A Django site whose views take their time, each below functions whose names can be found in a stack."""

import ctypes
import faulthandler
import os
import signal
import sys
import tempfile
import threading
import time

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import Context, Template
from django.urls import path

ENGINE = {"BACKEND": "django.template.backends.django.DjangoTemplates"}
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="tests", USE_TZ=True, TEMPLATES=[ENGINE])
django.setup()
ROWS = Template("{% for row in rows %}<li>{{ row.name|upper }}: {{ row.value }}</li>{% endfor %}")


def sleeps_deep_inside(seconds):
    time.sleep(seconds)


def sleep(request, seconds):
    sleeps_deep_inside(float(seconds))
    return HttpResponse(str(os.getpid()))


def computes(seconds):
    end = time.monotonic() + seconds
    total = 0
    while time.monotonic() < end:
        total += sum(i * i for i in range(100))
    return total


def compute_a_lot(seconds):
    return computes(seconds)


def compute_little(seconds):
    return computes(seconds)


def compute(request, seconds):
    """Three quarters of the time in one function, a quarter in another."""
    for _ in range(round(float(seconds) * 5)):
        compute_a_lot(0.15)
        compute_little(0.05)
    return HttpResponse(str(os.getpid()))


def page(request):
    """Some 5 ms of work of the kind that a Django page is: a deep stack and many small calls."""
    rows = [{"name": f"row {number}", "value": number} for number in range(300)]
    text = ROWS.render(Context({"rows": rows}))
    return HttpResponse(text)


def holds_the_gil(request, seconds):
    """Calls into C that give the GIL to nobody. A signal ends one of them."""
    end = time.monotonic() + float(seconds)
    while (left := end - time.monotonic()) > 0:
        ctypes.PyDLL(None).usleep(int(left * 1e6))
    return HttpResponse(str(os.getpid()))


def background():
    threading.Event().wait()


def thread(request):
    threading.Thread(target=background, name="a thread of the site", daemon=True).start()
    return HttpResponse("started")


def waits_below(depth):
    threading.Event().wait() if depth == 0 else waits_below(depth - 1)


def crowd(request, threads, depth):
    """Threads whose stacks are deep."""
    sys.setrecursionlimit(20_000)
    for _ in range(threads):
        threading.Thread(target=waits_below, args=(depth,), daemon=True).start()
    return HttpResponse("started")


def branches(request, seconds):
    """Each call of it is found in another stack."""
    namespace = {}
    end = time.monotonic() + float(seconds)
    number = 0
    while time.monotonic() < end:
        number += 1
        name = f"branch_{number}_{'x' * 100}"
        exec(f"def {name}(wait): wait(0.002)", namespace)
        namespace[name](time.sleep)
    return HttpResponse(str(number))


def nowhere(request):
    """Its file name is not UTF-8."""
    code = compile("import time\ndef lost(): time.sleep(1.5)\nlost()", "/srv/\udce4.py", "exec")
    exec(code, {})
    return HttpResponse("found")


def blocks_signals(request):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(signal.SIGRTMIN, signal.SIGRTMAX))
    return HttpResponse("blocked")


def own_handler(request):
    signal.signal(signal.SIGRTMIN + 6, lambda *_: None)
    signal.set_wakeup_fd(-1)
    return HttpResponse("set")


def fork(request):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return HttpResponse(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def hang_in_the_linker():
    """A thread that keeps dlopen from everybody: what it loads is a FIFO, from which nothing comes."""
    library = tempfile.mkdtemp() + "/library"
    os.mkfifo(library)
    threading.Thread(target=ctypes.CDLL(None).dlopen, args=(library.encode(), os.RTLD_NOW), daemon=True).start()
    while True:
        try:
            return os.open(library, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.01)


def crashes_here(how):
    if how == "locked":
        hang_in_the_linker()
        ctypes.string_at(0)
    if how == "segv":
        ctypes.string_at(0)
    elif how == "abort":
        os.abort()
    elif how == "overflow":
        # Recursion in C: repr of a list that is nested too deep for the stack of its thread, without Python's counter.
        recursing = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        libc = ctypes.CDLL(None)

        def compare(one, other):
            values = (ctypes.c_int * 2)(2, 1)
            libc.qsort(values, 2, 4, callback)
            return 0

        callback = recursing(compare)
        sys.setrecursionlimit(1 << 30)
        compare(None, None)
    else:
        os.kill(os.getpid(), getattr(signal, how))
        time.sleep(10)


def crash(request, how):
    crashes_here(how)
    return HttpResponse("still here")


def crash_in_child(request):
    """The child of the application dies; the worker does not."""
    pid = os.fork()
    if pid == 0:
        ctypes.string_at(0)
    return HttpResponse(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def enable(request):
    faulthandler.enable()
    return HttpResponse("enabled")


urlpatterns = [
    path("sleep/<str:seconds>", sleep),
    path("compute/<str:seconds>", compute),
    path("page", page),
    path("gil/<str:seconds>", holds_the_gil),
    path("thread", thread),
    path("crowd/<int:threads>/<int:depth>", crowd),
    path("branches/<str:seconds>", branches),
    path("nowhere", nowhere),
    path("blocks-signals", blocks_signals),
    path("own-handler", own_handler),
    path("fork", fork),
    path("crash/<str:how>", crash),
    path("crash-in-child", crash_in_child),
    path("enable", enable),
]
application = get_wsgi_application()
