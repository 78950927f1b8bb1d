"""Every check that there is, in the order of its number."""

from __future__ import annotations

from types import ModuleType

from tocsin.conformance.checks import (
    collections,
    credentials,
    deleting,
    filtering,
    information,
    negotiation,
    paging,
    posting,
    reading,
    transport,
    types,
)
from tocsin.conformance.model import Check

_FILES: tuple[ModuleType, ...] = (
    transport,
    negotiation,
    credentials,
    types,
    information,
    collections,
    reading,
    posting,
    deleting,
    filtering,
    paging,
)

SECTIONS = {
    "1": "Transport",
    "2": "Content negotiation",
    "3": "Authentication and rights",
    "4": "Error messages",
    "5": "Data types",
    "6": "Discovery",
    "7": "API root",
    "8": "Status",
    "9": "Collections",
    "10": "Manifest",
    "11": "Objects",
    "12": "Adding objects",
    "13": "One object",
    "14": "Deleting",
    "15": "Versions",
    "16": "Filters",
    "17": "Pages",
    "18": "Dates",
    "19": "The whole",
}
"""The sections of the list; 22, the open questions, is answered by checks of the others."""


def _place(check: Check) -> tuple[int, int]:
    section, _, row = check.number.partition(".")
    return int(section), int(row)


CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (each for file in _FILES for each in vars(file).values() if isinstance(each, Check)),
        key=_place,
    )
)


def select_checks(only: list[str]) -> list[Check]:
    """The checks that some numbers or sections ask for; all, if there are none."""
    return [each for each in CHECKS if not only or any(each.answers(one) for one in only)]
