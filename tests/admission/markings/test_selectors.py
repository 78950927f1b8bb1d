"""Selectors of granular markings: the part of an object that each one selects."""

from typing import Any

import pytest

from tocsin.admission.markings.selectors import resolve_selector

SUBJECT = {
    "labels": ["a", "b"],
    "kill_chain_phases": [{"phase_name": "x"}],
    "extensions": {"1": "one"},
}


@pytest.mark.parametrize(
    ("selector", "path"),
    [
        ("labels", ("labels",)),
        ("labels.[1]", ("labels", 1)),
        ("kill_chain_phases.[0].phase_name", ("kill_chain_phases", 0, "phase_name")),
        ("extensions.1", ("extensions", "1")),
    ],
)
def test_a_selector_of_an_existing_property_resolves_to_its_path(selector: str, path: Any) -> None:
    assert resolve_selector(SUBJECT, selector) == path


@pytest.mark.parametrize(
    "selector",
    ["name", "labels.[2]", "labels.1", "labels.x1x", "labels.[²]", "labels.[-1]", "labels.a", ""],
)
def test_a_selector_of_a_missing_property_resolves_to_none(selector: str) -> None:
    assert resolve_selector(SUBJECT, selector) is None
