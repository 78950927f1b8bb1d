"""What admission remembers from object to object is bounded, whatever a partner sends."""

import tracemalloc
from typing import Any

import pytest
from support.stix_objects import made

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config import policy_text

KEEPING = policy_text(None).replace('custom_properties = "strip"', 'custom_properties = "keep"')
NOW = 1_790_000_000_000_000
SENT = 40
LONG = 200_000


def examined(subjects: Any) -> Any:
    candidates = [Candidate(index, subject) for index, subject in enumerate(subjects)]
    return Pipeline(parse_policy(KEEPING), Submitter(), WarningLists([])).examine(candidates, NOW)


def long(number: Any) -> Any:
    return f"{number}{'x' * LONG}"


def a_time(number: Any) -> Any:
    return made("indicator", valid_from=long(number))


def a_reference(number: Any) -> Any:
    return made("indicator", x_seen_ref=long(number))


def a_name(number: Any) -> Any:
    return made("indicator", x_own={long(number): "ask jane@bank.test"})


@pytest.mark.parametrize("sent", [a_time, a_reference, a_name])
def test_nothing_that_is_long_is_remembered(sent: Any) -> None:
    examined([sent(0)])
    tracemalloc.start()
    try:
        for number in range(1, SENT):
            examined([sent(number)])
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < SENT * LONG / 4


def test_what_is_disguised_all_over_is_remembered_for_few_objects() -> None:
    said = "a_1 a%40b " * 85

    def disguised(number: Any) -> Any:
        links = [{"source_name": f"s{number}", "description": said}]
        return made("malware", is_family=True, name="a", external_references=links)

    examined([disguised(0)])
    tracemalloc.start()
    try:
        for number in range(1, 600):
            examined([disguised(number)])
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 3_000_000
