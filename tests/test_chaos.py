"""Everything at once: kept connections, pipelines, bodies, slow requests, clients that vanish, reloads."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from apps.echoes import filled
from harness import procs
from harness.http import Connection, request
from harness.tls import Authority
from harness.tls import Connection as Tls
from harness.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.core]

CLIENTS = 10
RELOADS = 5
SIZES = [0, 1, 100, 5000, 70_000, 2_000_000]


class Asked:
    """A request, and what its answer has to be."""

    def __init__(self, token: str, chance: random.Random, small: bool) -> None:
        self.token = token
        self.size = chance.choice(SIZES[:4] if small else SIZES)
        self.body = chance.randbytes(chance.choice([0, 0, 1000] if small else [0, 0, 1000, 500_000]))
        sleep = chance.choice([0, 0, 0, 0.1])
        path = f"/?token={token}&size={self.size}&sleep={sleep}" + chance.choice(["", "&pieces=1"])
        if chance.random() < 0.5:
            self.sent = request(path, "POST", self.body, Content_Length=str(len(self.body)))
        else:
            chunk = b"%x\r\n%s\r\n" % (len(self.body), self.body) if self.body else b""
            self.sent = request(path, "POST", Transfer_Encoding="chunked") + chunk + b"0\r\n\r\n"

    def check(self, connection: Connection) -> bool:
        """Reads the answer; `False`: it is the last on its connection."""
        answer = connection.answer()
        assert (answer.status, answer.header("X-Token")) == (200, self.token)
        assert answer.header("X-Digest") == hashlib.md5(self.body).hexdigest()
        assert answer.body == filled(self.token, self.size)
        return answer.header("Connection") != "close"


class Client:
    def __init__(self, number: int, connect: Callable[[], Connection], is_over: Callable[[], bool]) -> None:
        self.connect, self.is_over = connect, is_over
        self.chance = random.Random(number)
        self.tokens = (f"{number}-{serial}" for serial in count())
        self.seen: Counter[str] = Counter()

    def plan(self) -> list[Asked]:
        wanted = self.chance.choice([1, 1, 1, 4])
        return [Asked(next(self.tokens), self.chance, wanted > 1) for _ in range(wanted)]

    def run(self) -> Counter[str]:
        plan: list[Asked] = []
        while not self.is_over():
            with self.connect() as connection:
                # What an announced close has left unanswered is asked again.
                plan = self.use(connection, plan)
        return self.seen

    def use(self, connection: Connection, plan: list[Asked]) -> list[Asked]:
        """Asks on one connection until it ends; returns what was not answered."""
        used = 0
        while not self.is_over():
            plan = plan or self.plan()
            if not self.begins(connection, plan):
                # An idle connection may be closed at any time, but not a new one.
                assert used > 0, "a new connection was closed without an answer"
                self.seen["closed"] += 1
                return plan
            if self.chance.random() < 0.03:
                return []
            goes_on = True
            while plan and goes_on:
                goes_on = plan.pop(0).check(connection)
                used += 1
                self.seen["answers"] += 1
            if not goes_on:
                return plan
        return plan

    def begins(self, connection: Connection, plan: list[Asked]) -> bool:
        """Sends the requests; `False`: not a byte comes back."""
        try:
            connection.send(b"".join(asked.sent for asked in plan))
            return bool(connection._held) or connection._more()
        except TimeoutError:
            raise
        except OSError:
            return False


@pytest.mark.parametrize("options", [{"processes": 3}, {"processes": 2, "threads": 3}], ids=str)
def test_no_answer_is_lost_or_taken_for_another(boot, tmp_path, options):
    authority = Authority(tmp_path)
    server = boot(
        "echoes",
        http=True,
        https=authority.sign(),
        http_keepalive_requests=0,
        disable_logging=True,
        reload_mercy=30,
        **options,
    )
    sockets = max(procs.descriptors(pid).count("socket") for pid in server.worker_pids())
    context = authority.context()
    kinds = [lambda: Connection(server.http_address), lambda: Tls(server.https_address, context)]
    over = Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [Client(number, kinds[number % 2], over.is_set) for number in range(CLIENTS)]
        running = [pool.submit(client.run) for client in clients]
        try:
            for number in range(1, RELOADS + 1):
                wanted = 5 * CLIENTS * number
                until(lambda: sum(client.seen["answers"] for client in clients) > wanted, "answers", 30)  # noqa: B023
                server.reload(wait_for_old=False)
        finally:
            over.set()
        seen = sum((future.result() for future in running), Counter())
    assert seen["answers"] > RELOADS * CLIENTS
    until(lambda: all(worker.stage == "ready" for worker in server.workers()), "the old workers to go", 30)
    pids = server.worker_pids()
    assert len(pids) == options["processes"]
    until(lambda: all(procs.descriptors(pid).count("socket") <= sockets for pid in pids), "sockets to be closed")
    assert procs.work(pids) < 0.3
