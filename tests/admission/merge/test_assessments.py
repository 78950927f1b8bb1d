"""Assessments: the newest of each partner counts, at its level, and their number is bounded."""

import random
from typing import Any

from support.contributions import NOW, SCALE, assessment, contribution

from tocsin.admission.merge.assessments import trim_assessments
from tocsin.admission.merge.statistics import compute_statistics
from tocsin.admission.model import AssessmentKind, Tlp


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
