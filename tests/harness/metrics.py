"""What a server's /metrics says, read by the parser of prometheus_client."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.samples import Sample

from .http import Connection, request
from .packet import Address, Response

OPEN = "application/openmetrics-text; version=1.0.0"


class Scrape:
    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = {family.name: family for family in families}
        self.samples: list[Sample] = [sample for family in self.families.values() for sample in family.samples]

    def all(self, name: str, **labels: str) -> list[Sample]:
        """The samples of this name with these labels, of which there has to be one."""
        found = [sample for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()]
        assert found, f"no {name} with {labels}"
        return found

    def sum(self, name: str, **labels: str) -> float:
        return sum(sample.value for sample in self.all(name, **labels))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by the values of a label, without zeros."""
        sums: dict[str, float] = {}
        for sample in self.all(name):
            value = sample.labels[label]
            sums[value] = sums.get(value, 0) + sample.value
        return {value: count for value, count in sums.items() if count}


def get(address: Address, path: str = "/metrics", **headers: str) -> Response:
    with Connection(address) as client:
        client.send(request(path, **headers))
        return client.answer()


def scrape(address: Address, path: str = "/metrics", *, is_open: bool = False) -> Scrape:
    answer = get(address, path, Accept=OPEN) if is_open else get(address, path)
    assert answer.status == 200, answer
    kind = answer.header("Content-Type") or ""
    assert kind.startswith("application/openmetrics-text; version=1.0.0" if is_open else "text/plain; version=0.0.4")
    parse = open_families if is_open else text_families
    return Scrape(parse(answer.text))
