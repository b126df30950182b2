"""Options about sockets, limits and processors: each shown by what the kernel says inside a worker."""

from __future__ import annotations

import json
import os
import stat

import pytest

from harness import packet

pytestmark = pytest.mark.core


def on_port(boot, *arguments, option="socket", **options):
    """A server that binds by itself; returns it with its address."""
    server = boot("options", *arguments, f"--{option}=127.0.0.1:0", uwsgi=False, **options)
    host, port = server.log.find(r"127\.0\.0\.1:\d+").group().split(":")
    return server, (host, int(port))


def listener(boot, *arguments, **options):
    _, address = on_port(boot, *arguments, **options)
    return json.loads(packet.request(address, "/listeners").text)[0]


def state(server):
    return json.loads(server.request().text)


@pytest.mark.parametrize("on", [False, True])
def test_keepalive(boot, on):
    assert listener(boot, so_keepalive=on)["keepalive"] == on


def test_umask(boot, tmp_path):
    boot("hello", umask="077", pidfile=tmp_path / "pid")
    assert stat.S_IMODE((tmp_path / "pid").stat().st_mode) == 0o600


def test_buffers(boot):
    shown = listener(boot, socket_sndbuf="64k", socket_rcvbuf=32768)
    assert (shown["sndbuf"], shown["rcvbuf"]) == (131072, 65536)


@pytest.mark.parametrize("on", [False, True])
def test_reuse_port(boot, on):
    _server, (host, port) = on_port(boot, reuse_port=on)
    assert json.loads(packet.request((host, port), "/listeners").text)[0]["reuse_port"] == on
    if on:
        boot("options", "--reuse-port", f"--socket={host}:{port}", uwsgi=False)


@pytest.mark.parametrize("on", [False, True])
def test_freebind(boot, on):
    """An address that no interface has."""
    assert listener(boot, freebind=on)["freebind"] == on
    if on:
        boot("options", "--freebind", "--socket=192.0.2.77:0", uwsgi=False)


@pytest.mark.parametrize("off", [False, True])
def test_defer_accept(boot, off):
    assert bool(listener(boot, no_defer_accept=off)["defer_accept"]) != off


def test_fast_open(boot):
    assert listener(boot)["fast_open"] == 0
    assert listener(boot, tcp_fast_open=17)["fast_open"] == 17


def test_nodelay_and_close_on_exec_need_no_option(boot):
    shown = listener(boot)
    assert shown["nodelay"]
    assert not shown["inheritable"]


def test_ipv6(boot):
    server = boot("options", "--socket=[::1]:0", uwsgi=False)
    port = int(server.log.find(r"\[::1\]:(\d+)").group(1))
    assert packet.request(("::1", port), "/listeners").text


def test_send_timeout(boot):
    """A client that does not read is given up after so-send-timeout, not after socket-timeout."""
    server = boot("writes", so_send_timeout=1, socket_timeout=60)
    with server.connect() as client:
        client.sendall(packet.packet(packet.variables()))
        server.log.wait("^wrote until OSError$")


def test_limits(boot):
    shown = state(boot("options", max_fd=321, limit_as=4096, limit_nproc=4321))["limits"]
    assert shown == {"RLIMIT_NOFILE": 321, "RLIMIT_AS": 4096 << 20, "RLIMIT_NPROC": 4321}


def test_cpu_affinity(boot):
    every = sorted(os.sched_getaffinity(0))
    assert state(boot("options"))["processors"] == every
    server = boot("options", cpu_affinity=1, processes=3)
    pinned = {worker.id: sorted(os.sched_getaffinity(worker.pid)) for worker in server.workers()}
    assert pinned == {number: [every[(number - 1) % len(every)]] for number in (1, 2, 3)}


def test_thread_stack_size(boot, tmp_path):
    (tmp_path / "stacks.py").write_text(STACKS)
    server = boot(module="stacks", pythonpath=tmp_path, threads=2, thread_stack_size=1024)
    sizes = {int(server.request().text) for _ in range(1)}
    until_both = {int(response.text) for response in both(server)}
    assert 1 << 20 in sizes | until_both


def both(server):
    """Two requests at once run on two threads."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: server.request(), range(2)))


STACKS = """
import ctypes
import threading

libc = ctypes.CDLL(None)
libc.pthread_self.restype = ctypes.c_ulong
barrier = threading.Barrier(2)


def size():
    attributes, found = ctypes.create_string_buffer(64), ctypes.c_size_t()
    libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attributes)
    libc.pthread_attr_getstacksize(attributes, ctypes.byref(found))
    return found.value


def application(environ, start_response):
    try:
        barrier.wait(1)
    except threading.BrokenBarrierError:
        barrier.reset()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size()).encode()]
"""
