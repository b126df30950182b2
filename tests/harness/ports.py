"""Ports for programs that have to be told one."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOWEST = 10_000


def free_ports(count: int) -> list[int]:
    """Ports at which nobody listens, below those that the kernel gives to whoever asks for any: between this look and
    the program's bind(2) no client of another test gets one of them."""
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    assert ephemeral > LOWEST + 1000, f"the kernel gives any client ports from {ephemeral} on"
    candidates = random.sample(range(LOWEST, ephemeral), 100)
    return [port for port in candidates if is_free(port)][:count]


def free_port() -> int:
    return free_ports(1)[0]


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
