"""Read what a hub says in Prometheus' text format."""

from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


def read_samples(text: str) -> Samples:
    """The value of each sample, by its name and labels."""
    parse: Callable[[str], Any] = text_string_to_metric_families
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def find_value(text: str, name: str, **labels: str) -> float | None:
    """The value of one sample; None if it is not there."""
    return read_samples(text).get((name, frozenset(labels.items())))
