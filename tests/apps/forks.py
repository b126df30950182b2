"""Forks, and does with the child what applications do."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress


def never_ends():
    while True:
        signal.pause()


def ended_by(number):
    """A child of multiprocessing that gets this signal at once, and what became of it."""
    child = multiprocessing.get_context("fork").Process(target=never_ends)
    child.start()
    os.kill(child.pid, number)
    child.join()
    return child.exitcode


def status_of_child(leave):
    child = os.fork()
    if child == 0:
        leave()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fails():
    raise ValueError("in the child")


def forked_program():
    """What a program sees that the application starts by fork() and exec()."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.execvp("cat", ["cat", "/proc/self/status"])
    os.close(writing)
    with open(reading, "rb") as shown:
        status = shown.read()
    os.waitpid(child, 0)
    return status


def streams_beside_a_child(pipe):
    """An answer that ends with its connection; the child stays until the test opens the pipe."""
    if os.fork() == 0:
        open(pipe).read()
        os._exit(0)
    yield b"one "
    yield b"two"


def writes_in_both(start_response):
    """The child's write() comes first."""
    write = start_response("200 OK", [("Content-Type", "text/plain")], (None, None, None))
    child = os.fork()
    if child == 0:
        write(b"child ")
        os._exit(0)
    os.waitpid(child, 0)
    write(b"parent ")
    return b"end"


def uses_of(body, start_response):
    """What code in a child may do with the request without thinking of it."""
    return {
        "read": lambda: body.read(1),
        "line": body.readline,
        "tell": body.tell,
        "seek": lambda: body.seek(0),
        "start": lambda: start_response("200 OK", [], (None, None, None)),
    }


def forks_beside_readers(body, use):
    """Forks while threads read the body, and so while one of them is at it; how the first child ended that hung."""
    is_over = threading.Event()

    def reads():
        while not is_over.is_set():
            body.seek(0)
            body.read(100_000)

    def uses():
        signal.alarm(10)
        with suppress(OSError):
            use()
        os._exit(0)

    readers = [threading.Thread(target=reads) for _ in range(2)]
    for reader in readers:
        reader.start()
    ends = (status_of_child(uses) for _ in range(40))
    hung = next((status for status in ends if status), 0)
    is_over.set()
    for reader in readers:
        reader.join()
    return hung


def body_in_a_child(body):
    """What a child reads of a body that has come, and what the parent reads afterwards."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, body.read())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading, "rb") as read:
        return read.read() + b" " + body.read()


def connections_in_a_child(port):
    """How many of those that were accepted at this port a child has open."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(sum(is_accepted(int(name), port) for name in os.listdir("/proc/self/fd"))).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as read:
        found = read.read()
    os.waitpid(child, 0)
    return found


def is_accepted(number, port):
    try:
        with socket.socket(fileno=os.dup(number)) as made:
            made.getpeername()
            return made.family == socket.AF_INET and made.getsockname()[1] == port
    except OSError:
        return False


def iterates():
    """Forks between two pieces."""
    yield b"one "
    child = os.fork()
    if child:
        yield str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode()
    else:
        yield b"never sent"


def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/exit":
        return [str(status_of_child(lambda: sys.exit(3))).encode()]
    if path == "/exit-none":
        return [str(status_of_child(sys.exit)).encode()]
    if path == "/raise":
        return [str(status_of_child(fails)).encode()]
    if path == "/return":
        child = os.fork()
        return [b"child" if child == 0 else str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode()]
    if path == "/uses":
        use = uses_of(environ["wsgi.input"], start_response)[environ["QUERY_STRING"]]
        return [str(forks_beside_readers(environ["wsgi.input"], use)).encode()]
    if path == "/body":
        return [body_in_a_child(environ["wsgi.input"])]
    if path == "/connections":
        return [connections_in_a_child(int(environ["QUERY_STRING"]))]
    if path == "/iterate":
        return iterates()
    if path == "/signal":
        return [str(ended_by(int(environ["QUERY_STRING"]))).encode()]
    if path == "/stays":
        if os.fork() == 0:
            # Until the test opens the pipe.
            open(environ["QUERY_STRING"]).read()
            os._exit(0)
        return [b"forked"]
    if path == "/program":
        return [subprocess.run(["cat", "/proc/self/status"], capture_output=True, check=True).stdout]
    if path == "/forked-program":
        return [forked_program()]
    if path == "/streams":
        return streams_beside_a_child(environ["QUERY_STRING"])
    if path == "/write":
        return [writes_in_both(start_response)]
    if path == "/files":
        return [subprocess.run(["ls", "/proc/self/fd"], capture_output=True, check=True, close_fds=False).stdout]
    if path == "/closed":
        for number in (0, 1, 2):
            os.close(number)
        return [b"closed"]
    if path == "/prints":
        os.write(1, b"printed\n")
        os.write(2, b"logged\n")
        return [b"said"]
    return [str(os.getpid()).encode()]


def slow_hook():
    """A factory: once the application is loaded, whoever forks waits for somebody to write into the pipe."""

    def before():
        os.write(2, f"before fork in {os.getpid()}\n".encode())
        if os.path.exists(os.environ["GATE"]):
            open(os.environ["GATE"], "rb").read()

    os.register_at_fork(before=before)
    return application
