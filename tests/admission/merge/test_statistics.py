"""The hub's statistics about a public object: counts, days of report, and a valid extension.

Of the assessments, the newest of each partner counts, at its level, and their number is bounded.
"""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contributions import HUB_IDENTITY, NOW, SCALE, assessment, contribution

from tocsin.admission.merge.content import Precedence, merge_contributions
from tocsin.admission.merge.statistics import add_statistics, compute_statistics, trim_assessments
from tocsin.admission.model import AssessmentKind, Tlp
from tocsin.admission.stix.history_extension import (
    EXTENSION_ID,
    extension_author,
    extension_definition,
)
from tocsin.admission.stix.schemas import schemas
from tocsin.admission.timestamps import DAY


def test_a_sighting_by_a_contributor_does_not_raise_the_confidence() -> None:
    own = compute_statistics([contribution("a", 60)], [assessment("a")], SCALE, NOW)
    assert (own.confidence, own.sightings) == (60, 1)


def test_a_published_indicator_with_statistics_is_valid_by_the_schema() -> None:
    contributions = [contribution(confidence=60)]
    public = add_statistics(
        merge_contributions(contributions),
        compute_statistics(contributions, (), SCALE, NOW),
        HUB_IDENTITY,
    )
    stamps = dict.fromkeys(("created", "modified"), "2026-11-25T00:00:00.000Z")
    whole = {**public, **stamps, "id": "indicator--00000000-0000-4000-8000-000000000001"}
    for body in (whole, extension_author(), extension_definition()):
        assert list(schemas()[body["type"]].validator.iter_errors(body)) == []
    assert public["extensions"][EXTENSION_ID]["first_reported"].endswith("T00:00:00.000Z")


def test_statistics_give_the_days_of_the_reports_and_no_time_of_day() -> None:
    reported = contribution(received=NOW - 3 * DAY, last_reported=NOW)
    found = compute_statistics([reported], (), SCALE, NOW)
    assert (found.last_day - found.first_day, found.last_day) == (3, NOW // DAY)


AGES, RELIABILITIES = st.integers(0, 400 * DAY), st.integers(0, 100)
REPORTS = st.tuples(
    AGES,
    st.none() | st.integers(0, 100),
    RELIABILITIES,
    st.sampled_from(["", "", "g", "h"]),
    st.sets(st.integers(1, 5), max_size=5),
)
SIGHTINGS = st.tuples(
    st.integers(0, 9), st.sampled_from(AssessmentKind), AGES, RELIABILITIES, st.sampled_from("g-")
)


def reported(number: int, report: Any) -> Any:
    """The contribution of a partner, which cites reports by number."""
    age, confidence, reliability, group, cited = report
    more = {"received": NOW - age, "reliability": reliability, "group": group}
    found = [{"source_name": "blog", "external_id": f"R-{each}"} for each in sorted(cited)]
    if found:
        more["external_references"] = found
    return contribution(f"p{number}", confidence, **more)


def assessed(number: int, kind: Any, age: int, reliability: int, group: str) -> Any:
    more = {"when": NOW - age, "reliability": reliability, "group": group.strip("-")}
    return assessment(f"p{number}", kind, **more)


@pytest.mark.slow
@given(
    st.lists(REPORTS, min_size=2, max_size=7),
    st.lists(SIGHTINGS, max_size=3),
    st.binary(max_size=8),
)
def test_a_contribution_that_joins_lowers_neither_count_nor_confidence(
    reports: Any, sightings: Any, secret: bytes
) -> None:
    oldest_first = sorted(reports, key=lambda report: -report[0])
    *before, last = [reported(number, each) for number, each in enumerate(oldest_first)]
    last = replace(last, received=last.received + 1)
    assessments = [assessed(*each) for each in sightings]
    precedence = Precedence("indicator--x", "", secret)
    old = compute_statistics(before, assessments, SCALE, NOW + DAY, precedence)
    new = compute_statistics([*before, last], assessments, SCALE, NOW + DAY, precedence)
    assert new.contributors >= old.contributors
    assert (new.confidence or 0) >= (old.confidence or 0)
    assert (new.confidence is None) <= (old.confidence is None)
    assert (new.sightings, new.false_positives) == (old.sightings, old.false_positives)


def count_assessments(*assessments: Any, about: Any = None) -> Any:
    """Sightings and false positives."""
    target = about or contribution(confidence=60)
    found = compute_statistics([target], assessments, SCALE, NOW)
    return (found.sightings, found.false_positives)


def test_only_the_newest_assessment_of_a_partner_counts() -> None:
    sightings = [assessment(source_id=f"sighting--{n}", when=NOW - n) for n in range(5, 9)]
    denial = assessment(kind=AssessmentKind.FALSE_POSITIVE)
    other = assessment(kind=AssessmentKind.OTHER, when=NOW + 1)
    assert count_assessments(*sightings) == (1, 0)
    assert count_assessments(*sightings, denial) == (0, 1)
    assert count_assessments(*sightings, denial, other) == (0, 0)


def test_an_opinion_that_does_not_disagree_leaves_the_sighting_of_its_partner() -> None:
    sighting = assessment()
    opinions = [
        assessment(kind=AssessmentKind.OTHER, source_id=f"opinion--{n}", when=NOW + n)
        for n in range(25)
    ]
    assert count_assessments(sighting, opinions[0]) == (1, 0)
    assert count_assessments(*trim_assessments([sighting, *opinions])) == (1, 0)
    denial = assessment(kind=AssessmentKind.FALSE_POSITIVE, when=NOW + 50)
    assert count_assessments(sighting, *opinions, denial) == (0, 1)


def test_partners_of_one_group_have_one_assessment() -> None:
    a, b = assessment("a", group="g"), assessment("b", group="g")
    assert count_assessments(a, b, assessment("c")) == (2, 0)


def test_an_assessment_at_a_stricter_level_does_not_count() -> None:
    stricter = assessment(tlp=Tlp.AMBER, scope="amber")
    assert count_assessments(stricter) == (0, 0)
    assert count_assessments(assessment(scope="green|marking-definition--1")) == (0, 0)
    amber = contribution(tlp=Tlp.AMBER, scope="amber")
    assert count_assessments(stricter, about=amber) == (1, 0)


def test_only_the_20_newest_assessments_of_a_partner_are_kept() -> None:
    many = [assessment("a", source_id=str(n), when=n) for n in range(100)] + [assessment("b")]
    random.Random(1).shuffle(many)
    left = trim_assessments(many)
    assert len(left) == 21
    assert min(t.when for t in left) == 80


@pytest.mark.parametrize("kind", [AssessmentKind.SIGHTING, AssessmentKind.FALSE_POSITIVE])
def test_stricter_assessments_do_not_take_the_room_of_those_that_more_readers_see(
    kind: AssessmentKind,
) -> None:
    known = assessment(kind=kind, when=1)
    stricter = [
        assessment(tlp=Tlp.AMBER, scope="amber", source_id=f"sighting--{n}", when=2 + n)
        for n in range(25)
    ]
    left = trim_assessments([known, *stricter])
    assert count_assessments(*left) == count_assessments(known)
