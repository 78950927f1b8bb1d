"""The hub keeps TAXII 2.1: every conformance check is a test of it, by its number and sentence."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.conformance_hub import ConformanceHub
from support.conformance_numbers import ELSEWHERE, NOT_HERE, NUMBERS

from tocsin.conformance.model import Check, Outcome
from tocsin.conformance.registry import CHECKS, SECTIONS
from tocsin.conformance.report import list_checks
from tocsin.conformance.runner import run_check
from tocsin.conformance.server import Server

TESTS = Path(__file__).parent.parent
BY_RISK = sorted(CHECKS, key=lambda c: c.risk)
NOT_SEEN = {"12.8": "the collection takes more than STIX 2.1"}
"""Checks that have nothing to look at in this hub, and the reason that they must give."""


@pytest.fixture(scope="module")
def subject(conformance_hub: ConformanceHub) -> Iterator[Server]:
    subject = conformance_hub.subject()
    yield subject
    assert subject.delete_posted() == []


@pytest.fixture(scope="module")
def certified(conformance_hub: ConformanceHub) -> Server:
    return conformance_hub.subject_with_certificate()


@pytest.mark.parametrize("check", BY_RISK, ids=lambda c: c.name)
def test_the_hub_keeps(check: Check, subject: Server, certified: Server) -> None:
    result = run_check(certified if check.number == "1.8" else subject, check)
    assert result.complaints == ()
    if result.outcome is Outcome.SKIPPED:
        assert result.reason == NOT_SEEN.get(check.number)
        pytest.skip(result.reason)


class TestTheList:
    @pytest.mark.parametrize("number", NUMBERS)
    def test_every_row_is_looked_at_by_a_check_or_by_a_test_or_said_not_to_be(
        self, number: Any
    ) -> None:
        checked = any(number in (check.number, *check.also) for check in CHECKS)
        assert checked + (number in ELSEWHERE) + (number in NOT_HERE) == 1

    @pytest.mark.parametrize("place", ELSEWHERE.values())
    def test_the_tests_that_are_named_are_there(self, place: Any) -> None:
        file, name = place.split("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {name}\(", text, re.MULTILINE)

    def test_no_check_has_a_number_that_is_not_in_the_list(self) -> None:
        assert {n for check in CHECKS for n in (check.number, *check.also)} <= set(NUMBERS)

    def test_every_section_of_the_list_has_a_check_and_a_name(self) -> None:
        assert {check.number.split(".")[0] for check in CHECKS} == set(SECTIONS)

    def test_no_two_checks_go_by_the_same_name(self) -> None:
        assert len({check.name for check in CHECKS}) == len(CHECKS)

    @pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
    def test_every_check_says_where_the_standard_says_it(self, check: Any) -> None:
        known = r"\d+(\.\d+)*|RFC \d+ [\d.]+|appendix B|Interop [\d.]+"
        assert re.fullmatch(rf"({known})((, | to )({known}))*", check.clause)
        assert check.clause in next(iter(list_checks([check])))
