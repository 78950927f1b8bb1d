"""The memory that admission keeps between objects is bounded."""

import tracemalloc
from functools import cache
from typing import Any

import pytest
from support.stix_objects import make_object

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text

KEEP_CUSTOM_PROPERTIES = policy_text(None).replace(
    'custom_properties = "strip"', 'custom_properties = "keep"'
)
NOW = 1_790_000_000_000_000
COUNT = 40
LENGTH = 200_000


@cache
def build_pipeline() -> Pipeline:
    return Pipeline(parse_policy(KEEP_CUSTOM_PROPERTIES), Submitter(), WarningLists([]))


def examine_objects(subjects: Any) -> Any:
    candidates = [Candidate(index, subject) for index, subject in enumerate(subjects)]
    return build_pipeline().examine(candidates, NOW)


def long_text(number: Any) -> Any:
    return f"{number}{'x' * LENGTH}"


def indicator_with_long_time(number: Any) -> Any:
    return make_object("indicator", valid_from=long_text(number))


def indicator_with_long_reference(number: Any) -> Any:
    return make_object("indicator", x_seen_ref=long_text(number))


def indicator_with_long_property_name(number: Any) -> Any:
    return make_object("indicator", x_own={long_text(number): "ask jane@bank.test"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_object",
    [indicator_with_long_time, indicator_with_long_reference, indicator_with_long_property_name],
)
def test_long_values_are_not_kept_in_a_cache(make_object: Any) -> None:
    examine_objects([make_object(0)])
    tracemalloc.start()
    try:
        for number in range(1, COUNT):
            examine_objects([make_object(number)])
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert allocated < COUNT * LENGTH / 4


@pytest.mark.slow
def test_texts_with_many_decodings_are_cached_for_a_bounded_number_of_objects() -> None:
    text = "a_1 a%40b " * 85

    def malware_with_disguised_text(number: Any) -> Any:
        links = [{"source_name": f"s{number}", "description": text}]
        return make_object("malware", is_family=True, name="a", external_references=links)

    examine_objects([malware_with_disguised_text(0)])
    tracemalloc.start()
    try:
        for number in range(1, 300):
            examine_objects([malware_with_disguised_text(number)])
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert allocated < 2_200_000
