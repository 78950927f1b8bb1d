"""Content of a public object: independent of order of arrival, and free of stricter levels."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contributions import HUB_IDENTITY, NOW, SCALE, assessment, contribution

from tocsin.admission.merge.content import canonical_json, merge_by_tlp, merge_contributions
from tocsin.admission.merge.statistics import add_statistics, compute_statistics, trim_assessments
from tocsin.admission.model import AssessmentKind, Tlp
from tocsin.admission.timestamps import DAY

PARTNERS = st.sampled_from("abcd")
LEVELS = st.sampled_from([(Tlp.GREEN, "green"), (Tlp.AMBER, "amber")])
STATED = st.none() | st.integers(0, 100)
TIMES = st.integers(NOW - 400 * DAY, NOW)


@st.composite
def any_contribution(draw: Any) -> Any:
    level, scope = draw(LEVELS)
    until = draw(st.none() | st.sampled_from(["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]))
    return contribution(
        draw(PARTNERS),
        draw(STATED),
        valid_until=until,
        source_id=draw(st.sampled_from(["x", "y", "z"])),
        received=draw(TIMES),
        tlp=level,
        scope=scope,
        reliability=draw(st.integers(0, 100)),
        group=draw(st.sampled_from(["", "g"])),
        labels=[f"{scope}-{draw(st.sampled_from(['p', 'q']))}"],
    )


@st.composite
def any_assessment(draw: Any) -> Any:
    level, scope = draw(LEVELS)
    kind, number = draw(st.sampled_from(AssessmentKind)), draw(st.integers(0, 3))
    when = draw(st.sampled_from([NOW - DAY, NOW]) | TIMES)
    name = f"sighting--{number}"
    return assessment(draw(PARTNERS), kind, source_id=name, when=when, tlp=level, scope=scope)


def public_bytes(contributions: Any, assessments: Any) -> Any:
    """The public object with its statistics, as canonical JSON."""
    statistics = compute_statistics(contributions, assessments, SCALE, NOW)
    return canonical_json(
        add_statistics(merge_contributions(contributions), statistics, HUB_IDENTITY)
    )


class TestAnyContributions:
    @pytest.mark.slow
    @given(
        st.lists(
            any_contribution(), min_size=1, max_size=4, unique_by=lambda c: (c.partner, c.source_id)
        ),
        st.lists(any_assessment(), max_size=4, unique_by=lambda t: (t.partner, t.source_id)),
    )
    def test_the_order_of_arrival_does_not_change_the_public_object(
        self, contributions: Any, assessments: Any
    ) -> None:
        expected = public_bytes(contributions, trim_assessments(assessments))
        for order in permutations(contributions):
            assert public_bytes(order, trim_assessments(assessments)) == expected
        for order in permutations(assessments):
            assert public_bytes(contributions, trim_assessments(order)) == expected

    @pytest.mark.slow
    @given(
        st.lists(
            any_contribution(), min_size=1, max_size=4, unique_by=lambda c: (c.partner, c.source_id)
        ),
        st.lists(any_assessment(), max_size=4),
    )
    def test_a_public_object_shows_nothing_of_a_stricter_level(
        self, contributions: Any, assessments: Any
    ) -> None:
        green = [c for c in contributions if c.tlp is Tlp.GREEN]
        if green:
            public = public_bytes(contributions, assessments)
            assert b"amber" not in public
            assert public == public_bytes(green, [t for t in assessments if t.tlp is Tlp.GREEN])


def test_a_language_marking_of_an_unused_contribution_is_dropped() -> None:
    one, other = (contribution(source_id=f"indicator--{name}", labels=["Hand"]) for name in "ab")
    german = {"granular_markings": [{"lang": "de", "selectors": ["labels"]}]}
    marked = [replace(each, object={**each.object, **german}) for each in (one, other)]
    merged = [
        merge_by_tlp(each, merge_contributions)[0][1]
        for each in ((marked[0], other), (one, marked[1]))
    ]
    assert ["granular_markings" in each for each in merged] == [False, True]


class TestOrderOfLists:
    """Translations and granular markings select items by position."""

    def test_lists_are_in_the_order_of_the_leading_contribution(self) -> None:
        references = [{"source_name": "zblog"}, {"source_name": "ablog"}]
        phases = [{"kill_chain_name": "own", "phase_name": name} for name in ("z", "a", "z")]
        lists = {"labels": ["zeta", "alpha"], "external_references": references}
        lists |= {"kill_chain_phases": phases, "indicator_types": ["unknown", "anonymization"]}
        sent = contribution()
        merged = merge_contributions([replace(sent, object={**sent.object, **lists})])
        assert {name: merged[name] for name in lists} == lists

    def test_what_others_add_follows_in_an_order_that_arrival_does_not_change(self) -> None:
        first, *others = [contribution(name, received=NOW + at) for at, name in enumerate("abc")]
        words = [["unknown", "attribution"], ["compromised"], ["anonymization", "attribution"]]
        reports = [
            replace(each, object={**each.object, "indicator_types": types})
            for each, types in zip((first, *others), words, strict=True)
        ]
        for order in permutations(reports):
            merged = merge_contributions(order)["indicator_types"]
            assert merged == ["unknown", "attribution", "anonymization", "compromised"]

    def test_the_language_marking_of_one_label_stays(self) -> None:
        sent = contribution(labels=["zeta", "alpha"])
        german = [{"lang": "de", "selectors": ["labels.[0]"]}]
        marked = replace(sent, object={**sent.object, "granular_markings": german})
        ((_, merged),) = merge_by_tlp([marked], merge_contributions)
        assert (merged["labels"][0], merged["granular_markings"]) == ("zeta", german)
