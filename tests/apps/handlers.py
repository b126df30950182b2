"""Has signal handlers, exit handlers and fork hooks of its own, and says when they run."""

import atexit
import os
import signal
import sys
import threading


def note(text):
    os.write(2, f"{text}\n".encode())


def handle(number, frame):
    kind = "main thread" if threading.current_thread() is threading.main_thread() else "another thread"
    note(f"handler of {signal.Signals(number).name} in {kind} of {os.getpid()}")


def main():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, handle)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def with_handlers():
    """A factory: the handlers are installed while the application is loaded."""
    main()
    return application


def with_exit():
    """A handler that raises SystemExit ends its worker in good order."""
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
    return with_atexit()


def with_atexit():
    atexit.register(lambda: note(f"atexit in {os.getpid()}"))
    return application


def with_stdio():
    """Leaves text in the buffers of its streams."""

    def app(environ, start_response):
        sys.stdout.write("unflushed stdout")
        sys.stderr.write("unflushed stderr")
        return application(environ, start_response)

    sys.stdout = os.fdopen(os.dup(1), "w", buffering=10_000)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=10_000)
    return app


def with_thread():
    """A thread that is no daemon is waited for."""

    def late():
        threading.main_thread().join()
        note(f"thread ends in {os.getpid()}")

    def app(environ, start_response):
        threading.Thread(target=late).start()
        return application(environ, start_response)

    return app


def with_fork_hooks():
    os.register_at_fork(
        before=lambda: note(f"before fork in {os.getpid()}"),
        after_in_parent=lambda: note(f"after fork in parent {os.getpid()}"),
        after_in_child=lambda: note(f"after fork in child {os.getpid()}"),
    )
    return application


def with_bad_atexit():
    atexit.register(lambda: 1 / 0)
    return application


def with_lingering_atexit():
    """Never ends by itself."""
    atexit.register(threading.Event().wait)
    return application


def with_handler_at_the_end():
    """Ends when a signal comes while exit handlers run."""
    ended = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: ended.set())
    atexit.register(ended.wait)
    return with_atexit()
