"""The words that peers, works, runner and report share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
APPS = HERE / "apps"


@dataclass(frozen=True)
class Setup:
    """What a server is asked to serve, and how: the same words for every peer."""

    app: str = "hello:application"
    protocol: str = "uwsgi"  # or "http"
    address: str = ""  # a unix socket's path, or host:port
    processes: int = 2
    threads: int = 1
    access_log: bool = False
    keepalive: bool = True
    read_ahead: bool | None = None  # bodies whole before the app runs, or as they come; None: the peer's own default
    upload_limit: int = 0  # bytes; 0: the peer's own default
    tls: bool = False  # with HTTP
    behind_nginx: bool = False  # with HTTP, too; nginx keeps its connections. A uwsgi socket always is
    certificate: str = ""  # the files of it
    key: str = ""
    statics: str = ""  # a directory to serve at /static
    ini: Path | None = None  # a file that says all the rest
    chdir: Path = APPS
    env: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2]


@dataclass(frozen=True)
class Variant:
    """One row of a table: a peer, perhaps with another number of threads than the rest."""

    peer: str
    label: str = ""
    threads: int = 0

    @property
    def name(self) -> str:
        return self.label or self.peer

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, threads=self.threads) if self.threads else setup


@dataclass(frozen=True)
class Metric:
    """One figure of a sample. `ratio`: show it as a multiple of the baseline's, too."""

    key: str
    title: str
    digits: int = 1
    ratio: bool = False


@dataclass(frozen=True)
class Goal:
    """A figure that rwsgi has to reach: of the ratio to the baseline, or of the value itself."""

    metric: str
    most: float | None = None
    least: float | None = None
    of_ratio: bool = True
    against: str = ""  # another variant than the baseline
    cases: tuple[str, ...] = ()  # all, when empty

    def holds(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def words(self) -> str:
        return f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}"


Sample = dict[str, dict[str, float]]  # case → metric → value; a work with one case calls it ""


@dataclass
class Work:
    """A question of the benchmark. `measure` starts one variant, loads it, and answers with figures."""

    name: str
    title: str
    method: str
    variants: list[Variant]
    baseline: str
    metrics: list[Metric]
    measure: Callable[..., Sample]
    setup: Setup = field(default_factory=Setup)
    goals: list[Goal] = field(default_factory=list)
    rounds: int = 5
    # Adds to the samples of a round (by the variant's name) what compares them with each other.
    relate: Callable[..., None] | None = None


def variants(*peers: str) -> list[Variant]:
    return [Variant(peer) for peer in peers]
