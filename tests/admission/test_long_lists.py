"""The time that an object takes grows with its length, whatever lists its sender makes long."""

import time
from dataclasses import replace
from typing import Any

import pytest
from support.contributions import NOW, contribution
from support.granular_markings import granular_markings
from support.hub import AMBER, default_admission, indicator
from support.slowness import measure_slowness

from tocsin.admission.markings.granular import split_by_tlp
from tocsin.admission.merge.content import merge_by_tlp, merge_contributions
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.stix.validate import validate

LENGTH = 40_000
SECONDS = 3
"""About ten times as long as it takes; in quadratic time it is minutes."""
LABELS = [f"{number:07x}" for number in range(LENGTH)]
REFERENCES = [{"source_name": "a", "external_id": label} for label in LABELS]
FIRST_IS_AMBER = granular_markings(AMBER, "labels.[0]")
EACH = [f"labels.[{at}]" for at in range(LENGTH)]


def merge(subject: Any) -> Any:
    """Merge a GREEN object as one partner's only contribution."""
    split = split_by_tlp(subject, {}, Tlp.GREEN)
    alone = replace(contribution(stricter_layers=split.stricter_layers), object=split.object)
    return merge_by_tlp([alone], merge_contributions)


def selectors(layers: Any) -> list[str]:
    return [each for mark in layers[-1][1]["granular_markings"] for each in mark["selectors"]]


class TestMerging:
    @pytest.mark.slow
    def test_one_marked_item_of_a_long_list_is_found_in_linear_time(self) -> None:
        began = time.process_time()
        layers = merge(indicator(labels=LABELS, granular_markings=FIRST_IS_AMBER))
        assert time.process_time() - began < SECONDS * measure_slowness()
        assert selectors(layers) == ["labels.[0]"]

    @pytest.mark.slow
    def test_many_marked_items_are_found_in_linear_time(self) -> None:
        began = time.process_time()
        marks = granular_markings(AMBER, *EACH[::2])
        layers = merge(indicator(labels=LABELS, granular_markings=marks))
        assert time.process_time() - began < SECONDS * measure_slowness()
        assert selectors(layers) == EACH[::2]

    @pytest.mark.slow
    def test_one_marked_reference_of_many_is_found_in_linear_time(self) -> None:
        began = time.process_time()
        marks = granular_markings(AMBER, "external_references.[7]")
        layers = merge(indicator(external_references=REFERENCES, granular_markings=marks))
        assert time.process_time() - began < SECONDS * measure_slowness()
        assert len(selectors(layers)) == 1

    @pytest.mark.slow
    def test_a_list_that_is_selected_many_times_is_compared_once(self) -> None:
        began = time.process_time()
        german = {"lang": "de", "selectors": ["labels", *["labels"] * 4_000]}
        layers = merge(indicator(labels=LABELS, granular_markings=[german, *FIRST_IS_AMBER]))
        assert time.process_time() - began < SECONDS * measure_slowness()
        assert selectors(layers) == ["labels.[0]", "labels"]


@pytest.mark.parametrize("mode", ["strip", "keep", "refuse"])
class TestCustomProperties:
    def examine(self, subject: Any, mode: str) -> Any:
        policy = replace(default_admission().policy, custom_properties=mode)
        validate(Candidate.from_object(0, indicator(labels=["a"])), policy, NOW)  # schemas are read
        began = time.process_time()
        validated = validate(Candidate.from_object(0, subject), policy, NOW)
        assert time.process_time() - began < SECONDS * measure_slowness()
        return validated

    @pytest.mark.slow
    def test_many_names_and_a_selector_of_each_are_read_in_linear_time(self, mode: str) -> None:
        names = [f"q{number}" for number in range(LENGTH // 2)]
        marks = granular_markings(AMBER, *names)
        self.examine(indicator(**dict.fromkeys(names, "a"), granular_markings=marks), mode)

    @pytest.mark.slow
    def test_many_names_with_lists_in_them_are_read_in_linear_time(self, mode: str) -> None:
        names = [f"q{number}" for number in range(LENGTH // 2)]
        inner = {"source_name": "a", "external_id": "1", "q": 1}
        references = [inner for _ in range(LENGTH // 4)]
        custom = dict.fromkeys(names, "a")
        self.examine(indicator(**custom, external_references=references), mode)
