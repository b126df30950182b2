"""The books of a load: each request is answered, refused at connect, or lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Lost:
    """What is known of a request without a right answer."""

    reason: str
    phase: str
    # Of the answer.
    received: int
    # Answers that came over the same connection before.
    before: int
    # Seconds since the request began, since its connection was opened, and since the last event.
    after: float
    connection_age: float
    since_event: float | None
    event: str
    token: int

    def __str__(self) -> str:
        event = "no event yet" if self.since_event is None else f"{self.since_event * 1000:.1f} ms after {self.event}"
        return (
            f"request {self.token}: {self.reason} in phase {self.phase!r}, {self.received} bytes received, "
            f"{self.after * 1000:.1f} ms after its begin, {self.before} answers before on a connection "
            f"{self.connection_age * 1000:.1f} ms old, {event}"
        )


@dataclass
class Books:
    begun: int = 0
    answered: int = 0
    refused: int = 0
    lost: list[Lost] = field(default_factory=list)
    # Kept connections that the server closed while idle without having said so in the last answer.
    closed_idle: int = 0
    # Kept connections that ended with `Connection: close`.
    closed_as_said: int = 0
    connections: int = 0
    # Answers that took longer than a second.
    slow: int = 0
    # Of the answers, in seconds, and how long after the last event the slowest one came.
    slowest: float = 0.0
    slowest_since_event: float | None = None
    seconds: float = 0.0
    events: Counter[str] = field(default_factory=Counter)
    # How many of them were seen to change something (events.py).
    effects: Counter[str] = field(default_factory=Counter)
    # When each worker answered last.
    workers: dict[int, float] = field(default_factory=dict)

    def check(self) -> None:
        """Nothing is left out, and nothing counts twice."""
        ended = self.answered + self.refused + len(self.lost)
        assert self.begun == ended, f"{self.begun} requests began, {ended} ended"

    @property
    def rate(self) -> float:
        return self.answered / self.seconds if self.seconds else 0.0

    def reasons(self) -> Counter[str]:
        return Counter(f"{lost.reason} ({lost.phase})" for lost in self.lost)

    def summary(self) -> dict[str, object]:
        """For a file: without the single times of the workers, and with the first of the losses."""
        return {
            "begun": self.begun,
            "answered": self.answered,
            "refused": self.refused,
            "lost": len(self.lost),
            "closed_idle": self.closed_idle,
            "closed_as_said": self.closed_as_said,
            "connections": self.connections,
            "slow": self.slow,
            "slowest_ms": round(self.slowest * 1000, 1),
            "seconds": round(self.seconds, 2),
            "rate": round(self.rate),
            "events": dict(self.events),
            "effects": dict(self.effects),
            "workers": len(self.workers),
            "reasons": dict(self.reasons()),
            "first_lost": [asdict(lost) for lost in self.lost[:10]],
        }

    def __str__(self) -> str:
        lines = [
            f"{self.begun} requests: {self.answered} answered, {self.refused} refused, {len(self.lost)} lost; "
            f"{self.closed_idle} connections closed while idle, {self.closed_as_said} as said; "
            f"slowest {self.slowest * 1000:.0f} ms, {self.slow} over a second; "
            f"{dict(self.events)}; {len(self.workers)} workers"
        ]
        return "\n".join([*lines, *map(str, self.lost[:10])])
