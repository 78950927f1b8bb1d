"""Shared by the formats for SIEMs: current indicators, parsed, with their listed values."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tocsin.admission.output_formats import CurrentState
from tocsin.admission.output_formats.entries import parse_object, single_line, tlp_label
from tocsin.admission.output_formats.listed_values import Listed, listed_values


class SiemIndicator(NamedTuple):
    """A current indicator."""

    object: Mapping[str, Any]
    values: tuple[Listed, ...]
    name: str
    description: str
    tlp: str
    """The level in lower case; empty without a marking."""


def siem_indicators(state: CurrentState) -> Iterator[SiemIndicator]:
    """The current indicators, ordered by id."""
    for body in state.objects("indicator"):
        subject = parse_object(body)
        yield SiemIndicator(
            subject,
            listed_values(subject),
            single_line(subject.get("name"), 300),
            single_line(subject.get("description"), 2000),
            tlp_label(subject),
        )


def present(properties: Mapping[str, object]) -> dict[str, object]:
    """The properties that have a value."""
    return {name: value for name, value in properties.items() if value not in (None, "", [], {})}
