"""The figures of a public object (docs/merging.md): worked out from all contributions at once."""

import random
import re
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import ROOT
from support.presence import present

from tocsin.admission import formats, parse_policy
from tocsin.admission.errors import PolicyError
from tocsin.admission.merge.assessments import trim_assessments
from tocsin.admission.merge.confidence import (
    Source,
    combine_confidence,
    parse_reliability,
    weigh_confidence,
)
from tocsin.admission.merge.content import canonical_json, merge_by_tlp, merge_contributions
from tocsin.admission.merge.decay import decay_confidence, half_life, next_decay
from tocsin.admission.merge.sources import group_by_origin
from tocsin.admission.merge.statistics import add_statistics, compute_statistics
from tocsin.admission.model import (
    Assessment as Voice,
)
from tocsin.admission.model import (
    AssessmentKind,
    Contribution,
    Tlp,
)
from tocsin.admission.stix.history_extension import (
    EXTENSION_ID,
    extension_author,
    extension_definition,
)
from tocsin.admission.stix.schemas import schemas
from tocsin.admission.timestamps import DAY
from tocsin.config import policy_text

SCALE = parse_policy(policy_text()).confidence
HUB = "identity--00000000-0000-4000-8000-000000000000"
TABLE = (ROOT / "docs" / "merging.md").read_text("utf-8")
WORKED = re.findall(r"^\| ([^|]*\([A-F]\)[^|]*) \|([^|]*)\| (\d+|–) \|$", TABLE, re.MULTILINE)
NOW = 1_800_000_000_000_000


def said(partner: Any = "acme", stated: Any = None, **more: Any) -> Any:
    """A contribution about one domain; `references` and others go to their places."""
    body = {
        "type": "indicator",
        "spec_version": "2.1",
        "pattern": more.pop("pattern", "[domain-name:value = 'evil.top']"),
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
    }
    if stated is not None:
        body["confidence"] = stated
    placed = ("external_references", "labels", "valid_until")
    body |= {name: more.pop(name) for name in placed if more.get(name) is not None}
    more.pop("valid_until", None)
    fixed = {"source_id": f"indicator--{partner}", "version": "", "received": NOW}
    level = {"tlp": Tlp.GREEN, "scope": "green"}
    return Contribution(partner, **{**fixed, **level, **more}, object=body)


def heard(partner: Any = "east", word: Any = AssessmentKind.SIGHTING, **more: Any) -> Any:
    fixed = {"source_id": f"sighting--{partner}", "when": NOW}
    level = {"tlp": Tlp.GREEN, "scope": "green"}
    return Voice(partner, kind=word, **{**fixed, **level, **more})


def sure(*contributions: Any, testimonies: Any = (), now: Any = NOW) -> Any:
    return compute_statistics(contributions, testimonies, SCALE, now).confidence


class TestConfidence:
    @pytest.mark.parametrize(
        ("reliability", "stated", "counts"),
        [("F", 60, 60), ("50", 60, 60), ("A", 60, 68), ("B", 60, 64), ("E", 60, 38), ("0", 60, 24)],
    )
    def test_the_word_of_a_source_counts_by_its_reliability(
        self, reliability: str, stated: int, counts: int
    ) -> None:
        assert weigh_confidence(stated, parse_reliability(reliability), SCALE) == counts

    @pytest.mark.parametrize(("sources", "denials", "result"), WORKED)
    def test_the_worked_table_is_right(self, sources: Any, denials: Any, result: Any) -> None:
        words = [each.rstrip(")").split(" (") for each in sources.split(", ")]
        spoken = [
            said(f"p{n}", None if word == "–" else int(word), reliability=parse_reliability(letter))
            for n, (word, letter) in enumerate(words)
        ]
        letters = denials.replace(",", " ").split()
        false = [
            heard(f"q{n}", AssessmentKind.FALSE_POSITIVE, reliability=parse_reliability(x))
            for n, x in enumerate(letters)
        ]
        assert sure(*spoken, testimonies=false) == (None if result == "–" else int(result))

    def test_the_table_is_there(self) -> None:
        assert len(WORKED) == 13

    @pytest.mark.parametrize("text", ["G", "101", "-1", "", "½", "AA"])
    def test_what_is_no_reliability_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="A to F, or 0 to 100"):
            parse_reliability(text)

    def test_alone_a_neutral_source_is_taken_at_its_word(self) -> None:
        assert sure(said(stated=60)) == 60

    def test_each_further_source_takes_its_share_of_the_doubt(self) -> None:
        assert sure(said("a", 60), said("b", 40)) == 64  # 95 - 35 x 7/8
        assert sure(said("a", 60), said("b", 40), said("c")) == 68  # 95 - 35 x 49/64

    def test_a_false_alarm_takes_its_share_of_the_confidence(self) -> None:
        assert (
            sure(said(stated=60), testimonies=[heard(word=AssessmentKind.FALSE_POSITIVE)]) == 48
        )  # 60 x 4/5

    def test_what_nobody_stated_is_not_invented(self) -> None:
        assert sure(said("a"), said("b"), testimonies=[heard()]) is None

    @given(
        st.lists(st.tuples(st.integers(0, 100), st.none() | st.integers(0, 100)), min_size=1),
        st.lists(st.integers(0, 100), max_size=5),
        st.data(),
    )
    def test_it_is_bounded_and_monotone_whatever_the_order(
        self, pairs: Any, denials: Any, data: Any
    ) -> None:
        sources = [Source(*pair) for pair in pairs]
        result = combine_confidence(sources, denials, SCALE)
        shuffled = data.draw(st.permutations(sources))
        assert combine_confidence(shuffled, denials, SCALE) == result
        if result is None:
            assert all(source.confidence is None for source in sources)
            return
        assert 0 <= result <= SCALE.ceiling
        first = sources[0]
        more = replace(first, reliability=min(100, first.reliability + 1))
        assert present(combine_confidence([more, *sources[1:]], denials, SCALE)) >= result
        if first.confidence is not None:
            surer = replace(first, confidence=min(100, first.confidence + 7))
            assert present(combine_confidence([surer, *sources[1:]], denials, SCALE)) >= result
        assert present(combine_confidence([*sources, Source(50, 10)], denials, SCALE)) >= result
        assert present(combine_confidence(sources, [*denials, 50], SCALE)) <= result

    @given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 99))
    def test_a_more_reliable_source_is_never_believed_less(
        self, stated: Any, more: Any, reliability: Any
    ) -> None:
        before = weigh_confidence(stated, reliability, SCALE)
        assert 0 <= before <= weigh_confidence(stated, reliability + 1, SCALE) <= 100
        assert weigh_confidence(min(stated, more), reliability, SCALE) <= before or more > stated


class TestAge:
    def test_it_falls_by_ten_points_at_a_time(self) -> None:
        days = [decay_confidence(80, day * DAY, 30 * DAY, 10) for day in range(200)]
        assert sorted(set(days), reverse=True) == [80, 70, 60, 50, 40, 30, 20, 10]
        assert days == sorted(days, reverse=True)
        assert (days[5], days[6], days[30]) == (80, 70, 40)

    @given(st.integers(1, 100), st.integers(0, 10**15), st.integers(1, 400))
    def test_the_next_fall_is_known_beforehand(self, confidence: Any, age: Any, days: Any) -> None:
        half = days * DAY
        before = decay_confidence(confidence, age, half, 10)
        moment = next_decay(confidence, age, half, 10)
        if moment is None:
            assert decay_confidence(confidence, 10**18, half, 10) == before
        else:
            assert moment > age
            assert (
                decay_confidence(confidence, moment - 1000, half, 10) == before
                or moment - 1000 <= age
            )
            assert decay_confidence(confidence, moment + 1000, half, 10) < before

    @pytest.mark.parametrize(
        ("pattern", "days"),
        [
            ("[ipv4-addr:value = '45.12.1.2']", 30),
            ("[domain-name:value = 'evil.top']", 120),
            ("[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf84270']", 1095),
            ("[ipv4-addr:value = '45.12.1.2' AND domain-name:value = 'evil.top']", 120),
            ("[mutex:name = 'x']", 365),
        ],
    )
    def test_each_kind_of_observable_ages_at_its_own_pace(self, pattern: str, days: int) -> None:
        assert half_life(said(pattern=pattern).object, SCALE) == days * DAY

    def test_what_does_not_age_is_the_most_lasting(self) -> None:
        scale = replace(SCALE, half_lives={**SCALE.half_lives, "domain": 0})
        both = "[ipv4-addr:value = '45.12.1.2' AND domain-name:value = 'evil.top']"
        assert half_life(said(pattern=both).object, scale) == 0

    def test_a_later_report_makes_it_young_again(self) -> None:
        old = said(stated=80, received=NOW - 300 * DAY)
        assert sure(old) < 30
        assert sure(replace(old, last_reported=NOW)) == 80
        assert sure(old, testimonies=[heard()]) > 80
        assert sure(old, testimonies=[heard(word=AssessmentKind.FALSE_POSITIVE)]) < sure(old)


class TestIndependence:
    def report(self, **reference: Any) -> Any:
        return {"external_references": [{"source_name": "blog", **reference}]}

    def count(self, *contributions: Any) -> Any:
        return compute_statistics(contributions, (), SCALE, NOW).contributors

    def test_different_partners_are_different_sources(self) -> None:
        assert self.count(said("a"), said("b")) == 2

    def test_partners_of_a_group_are_one(self) -> None:
        assert self.count(said("a", group="g"), said("b", group="g"), said("c", group="h")) == 2

    def test_who_forwards_the_same_object_is_one(self) -> None:
        assert self.count(said("a", source_id="x"), said("b", source_id="x")) == 1

    @pytest.mark.parametrize(
        ("name", "sources"),
        [
            ("indicator--6f1e0c6a-9d1b-4f0a-8c3d-1a2b3c4d5e6f", 1),  # given at random
            ("indicator--6f1e0c6a-9d1b-5f0a-8c3d-1a2b3c4d5e6f", 2),  # made of the value
            ("indicator--6f1e0c6a-9d1b-3f0a-8c3d-1a2b3c4d5e6f", 2),
        ],
    )
    def test_an_id_that_follows_from_the_value_is_no_origin(self, name: str, sources: int) -> None:
        assert self.count(said("a", source_id=name), said("b", source_id=name)) == sources

    def test_two_who_list_the_same_value_are_two(self) -> None:
        both = [
            next(formats.read("a.csv", f"value\n{value}\n".encode(), formats.ReadOptions(now=NOW)))
            for value in ("evil.top", "evil[.]top")
        ]
        assert both[0].source_id == both[1].source_id
        spoken = [said(who, source_id=each.source_id) for who, each in zip("ab", both, strict=True)]
        assert self.count(*spoken) == 2

    @pytest.mark.parametrize("same", [{"url": "https://a.example/r/1"}, {"external_id": "R-1"}])
    def test_who_quotes_the_same_report_is_one(self, same: Any) -> None:
        assert self.count(said("a", **self.report(**same)), said("b", **self.report(**same))) == 1

    @pytest.mark.parametrize(
        "common",
        [
            {"url": "https://a.example/"},
            {"source_name": "mitre-attack", "external_id": "T1566"},
            {"source_name": "cve", "external_id": "CVE-2026-1", "url": "https://nvd.example/1"},
        ],
    )
    def test_a_site_or_a_catalogue_is_no_report(self, common: Any) -> None:
        both = self.report(**common)
        assert self.count(said("a", **both), said("b", **both)) == 2

    def test_one_origin_leads_to_the_next(self) -> None:
        first = said("a", group="g")
        second = said("b", group="g", **self.report(external_id="R-1"))
        third = said("c", **self.report(external_id="R-1"))
        assert len(group_by_origin([first, third])) == 2
        assert len(group_by_origin([first, second, third])) == 1

    def test_the_sighting_of_a_contributor_corroborates_nothing(self) -> None:
        once = said("a", 60)
        with_own = compute_statistics([once], [heard("a")], SCALE, NOW)
        assert (with_own.confidence, with_own.sightings) == (60, 1)


class TestTestimonies:
    def told(self, *testimonies: Any, about: Any = None) -> Any:
        found = compute_statistics([about or said(stated=60)], testimonies, SCALE, NOW)
        return (found.sightings, found.false_positives)

    def test_each_partner_has_one_voice_its_newest(self) -> None:
        seen = [heard(source_id=f"sighting--{n}", when=NOW - n) for n in range(5, 9)]
        assert self.told(*seen) == (1, 0)
        assert self.told(*seen, heard(word=AssessmentKind.FALSE_POSITIVE)) == (0, 1)
        assert self.told(
            *seen,
            heard(word=AssessmentKind.FALSE_POSITIVE),
            heard(word=AssessmentKind.OTHER, when=NOW + 1),
        ) == (
            0,
            0,
        )

    def test_a_group_has_one_voice(self) -> None:
        assert self.told(heard("a", group="g"), heard("b", group="g"), heard("c")) == (2, 0)

    def test_what_is_known_at_a_stricter_level_counts_nothing(self) -> None:
        stricter = heard(tlp=Tlp.AMBER, scope="amber")
        assert self.told(stricter) == (0, 0)
        assert self.told(heard(scope="green|marking-definition--1")) == (0, 0)
        assert self.told(stricter, about=said(tlp=Tlp.AMBER, scope="amber")) == (1, 0)

    def test_of_each_partner_the_newest_few_are_remembered(self) -> None:
        many = [heard("a", source_id=str(n), when=n) for n in range(100)] + [heard("b")]
        random.Random(1).shuffle(many)
        left = trim_assessments(many)
        assert len(left) == 21
        assert min(t.when for t in left) == 80


PARTNERS = st.sampled_from("abcd")
LEVELS = st.sampled_from([(Tlp.GREEN, "green"), (Tlp.AMBER, "amber")])
STATED = st.none() | st.integers(0, 100)
TIMES = st.integers(NOW - 400 * DAY, NOW)


@st.composite
def contributions(draw: Any) -> Any:
    level, scope = draw(LEVELS)
    until = draw(st.none() | st.sampled_from(["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]))
    return said(
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
def voices_of(draw: Any) -> Any:
    level, scope = draw(LEVELS)
    word, number = draw(st.sampled_from(AssessmentKind)), draw(st.integers(0, 3))
    when = draw(st.sampled_from([NOW - DAY, NOW]) | TIMES)
    name = f"sighting--{number}"
    return heard(draw(PARTNERS), word, source_id=name, when=when, tlp=level, scope=scope)


def public(spoken: Any, voices: Any) -> Any:
    return canonical_json(
        add_statistics(
            merge_contributions(spoken), compute_statistics(spoken, voices, SCALE, NOW), HUB
        )
    )


class TestTheWhole:
    @given(
        st.lists(
            contributions(), min_size=1, max_size=4, unique_by=lambda c: (c.partner, c.source_id)
        ),
        st.lists(voices_of(), max_size=4, unique_by=lambda t: (t.partner, t.source_id)),
    )
    def test_the_order_of_arrival_changes_no_byte(self, spoken: Any, voices: Any) -> None:
        expected = public(spoken, trim_assessments(voices))
        for order in permutations(spoken):
            assert public(order, trim_assessments(voices)) == expected
        for order in permutations(voices):
            assert public(spoken, trim_assessments(order)) == expected

    @given(
        st.lists(
            contributions(), min_size=1, max_size=4, unique_by=lambda c: (c.partner, c.source_id)
        ),
        st.lists(voices_of(), max_size=4),
    )
    def test_nothing_of_a_stricter_level_shows(self, spoken: Any, voices: Any) -> None:
        green = [c for c in spoken if c.tlp is Tlp.GREEN]
        if green:
            shown = public(spoken, voices)
            assert b"amber" not in shown
            assert shown == public(green, [t for t in voices if t.tlp is Tlp.GREEN])

    def test_a_word_that_does_not_count_marks_no_language(self) -> None:
        one, other = (said(source_id=f"indicator--{name}", labels=["Hand"]) for name in "ab")
        german = {"granular_markings": [{"lang": "de", "selectors": ["labels"]}]}
        marked = [replace(each, object={**each.object, **german}) for each in (one, other)]
        told = [
            merge_by_tlp(each, merge_contributions)[0][1]
            for each in ((marked[0], other), (one, marked[1]))
        ]
        assert ["granular_markings" in each for each in told] == [False, True]

    def test_what_is_published_is_valid_by_the_schema(self) -> None:
        shown = add_statistics(
            merge_contributions([said(stated=60)]),
            compute_statistics([said(stated=60)], (), SCALE, NOW),
            HUB,
        )
        stamps = dict.fromkeys(("created", "modified"), "2026-11-25T00:00:00.000Z")
        whole = {**shown, **stamps, "id": "indicator--00000000-0000-4000-8000-000000000001"}
        for body in (whole, extension_author(), extension_definition()):
            assert list(schemas()[body["type"]].validator.iter_errors(body)) == []
        assert shown["extensions"][EXTENSION_ID]["first_reported"].endswith("T00:00:00.000Z")

    def test_only_the_day_is_told(self) -> None:
        shown = compute_statistics(
            [said(received=NOW - 3 * DAY, last_reported=NOW)], (), SCALE, NOW
        )
        assert (shown.last_day - shown.first_day, shown.last_day) == (3, NOW // DAY)


class TestPolicy:
    @pytest.mark.parametrize(
        ("line", "wrong"),
        [
            ("ceiling = 95", "ceiling = 101"),
            ("corroboration_percent = 25", "corroboration_percent = 91"),
            ("step = 10", "step = 9"),
            ("refresh_days = 7", "refresh_days = 0"),
            ("ipv4_days = 30", "ipv4_days = 1.5"),
            ("hash_days = 1_095", "file_days = 1"),
        ],
    )
    def test_a_wrong_number_is_named(self, line: str, wrong: str) -> None:
        text = policy_text()
        assert line in text
        with pytest.raises(PolicyError, match=r"ceiling|corroboration|step|refresh|ipv4|hash|file"):
            parse_policy(text.replace(line, wrong))
