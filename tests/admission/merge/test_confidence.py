"""Confidence of a public object: the worked table of docs/merging.md, bounds, and decay."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contributions import NOW, SCALE, assessment, contribution, public_confidence
from support.paths import ROOT
from support.presence import present

from tocsin.admission import parse_policy
from tocsin.admission.errors import PolicyError
from tocsin.admission.merge.confidence import (
    Source,
    combine_confidence,
    decay_confidence,
    half_life,
    lower_by_denials,
    next_decay,
    parse_reliability,
    weigh_confidence,
)
from tocsin.admission.model import AssessmentKind
from tocsin.admission.timestamps import DAY
from tocsin.config.loading import policy_text

TABLE = (ROOT / "docs" / "merging.md").read_text("utf-8")
WORKED = re.findall(r"^\| ([^|]*\([A-F]\)[^|]*) \|([^|]*)\| (\d+|–) \|$", TABLE, re.MULTILINE)


class TestReliability:
    @pytest.mark.parametrize(
        ("reliability", "stated", "weighed"),
        [("F", 60, 60), ("50", 60, 60), ("A", 60, 68), ("B", 60, 64), ("E", 60, 38), ("0", 60, 24)],
    )
    def test_a_stated_confidence_is_weighed_by_the_reliability_of_its_source(
        self, reliability: str, stated: int, weighed: int
    ) -> None:
        assert weigh_confidence(stated, parse_reliability(reliability), SCALE) == weighed

    @pytest.mark.parametrize("text", ["G", "101", "-1", "", "½", "AA"])
    def test_an_invalid_reliability_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="A to F, or 0 to 100"):
            parse_reliability(text)

    @given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 99))
    def test_weighed_confidence_never_falls_when_reliability_rises(
        self, stated: Any, more: Any, reliability: Any
    ) -> None:
        before = weigh_confidence(stated, reliability, SCALE)
        assert 0 <= before <= weigh_confidence(stated, reliability + 1, SCALE) <= 100
        assert weigh_confidence(min(stated, more), reliability, SCALE) <= before or more > stated


class TestCombination:
    @pytest.mark.parametrize(("sources", "denials", "result"), WORKED)
    def test_each_row_of_the_worked_table_has_the_documented_result(
        self, sources: Any, denials: Any, result: Any
    ) -> None:
        stated = [each.rstrip(")").split(" (") for each in sources.split(", ")]
        contributions = [
            contribution(
                f"p{n}",
                None if value == "–" else int(value),
                reliability=parse_reliability(letter),
            )
            for n, (value, letter) in enumerate(stated)
        ]
        letters = denials.replace(",", " ").split()
        false_positives = [
            assessment(
                f"q{n}", AssessmentKind.FALSE_POSITIVE, reliability=parse_reliability(letter)
            )
            for n, letter in enumerate(letters)
        ]
        confidence = public_confidence(*contributions, assessments=false_positives)
        assert confidence == (None if result == "–" else int(result))

    def test_the_worked_table_has_13_rows(self) -> None:
        assert len(WORKED) == 13

    def test_a_single_neutral_source_keeps_its_stated_confidence(self) -> None:
        assert public_confidence(contribution(confidence=60)) == 60

    def test_each_further_source_reduces_the_remaining_doubt(self) -> None:
        two = (contribution("a", 60), contribution("b", 40))
        assert public_confidence(*two) == 64  # 95 - 35 x 7/8
        assert public_confidence(*two, contribution("c")) == 68  # 95 - 35 x 49/64

    def test_a_false_positive_reduces_the_confidence(self) -> None:
        denial = assessment(kind=AssessmentKind.FALSE_POSITIVE)
        confidence = public_confidence(contribution(confidence=60), assessments=[denial])
        assert confidence == 48  # 60 x 4/5

    def test_without_any_stated_confidence_the_result_has_none(self) -> None:
        contributions = (contribution("a"), contribution("b"))
        assert public_confidence(*contributions, assessments=[assessment()]) is None

    @pytest.mark.slow
    @given(
        st.lists(st.tuples(st.integers(0, 100), st.none() | st.integers(0, 100)), min_size=1),
        st.lists(st.integers(0, 100), max_size=5),
        st.data(),
    )
    def test_combined_confidence_is_bounded_monotone_and_independent_of_order(
        self, pairs: Any, denials: Any, data: Any
    ) -> None:
        sources = [Source(*pair) for pair in pairs]
        result = combine_confidence(sources, SCALE)
        shuffled = data.draw(st.permutations(sources))
        assert combine_confidence(shuffled, SCALE) == result
        if result is None:
            assert all(source.confidence is None for source in sources)
            return
        assert 0 <= result <= SCALE.ceiling
        first = sources[0]
        more = replace(first, reliability=min(100, first.reliability + 1))
        assert present(combine_confidence([more, *sources[1:]], SCALE)) >= result
        if first.confidence is not None:
            surer = replace(first, confidence=min(100, first.confidence + 7))
            assert present(combine_confidence([surer, *sources[1:]], SCALE)) >= result
        assert present(combine_confidence([*sources, Source(50, 10)], SCALE)) >= result
        lowered = lower_by_denials(result, denials, SCALE)
        assert 0 <= lower_by_denials(result, [*denials, 50], SCALE) <= lowered <= result


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
    def test_an_invalid_number_of_the_confidence_policy_is_refused_by_name(
        self, line: str, wrong: str
    ) -> None:
        text = policy_text()
        assert line in text
        with pytest.raises(PolicyError, match=r"ceiling|corroboration|step|refresh|ipv4|hash|file"):
            parse_policy(text.replace(line, wrong))


class TestSteps:
    def test_confidence_decays_in_steps_of_ten_points(self) -> None:
        days = [decay_confidence(80, day * DAY, 30 * DAY, 10) for day in range(200)]
        assert sorted(set(days), reverse=True) == [80, 70, 60, 50, 40, 30, 20, 10]
        assert days == sorted(days, reverse=True)
        assert (days[5], days[6], days[30]) == (80, 70, 40)

    @given(st.integers(1, 100), st.integers(0, 10**15), st.integers(1, 400))
    def test_the_age_at_the_next_step_is_predicted(
        self, confidence: Any, age: Any, days: Any
    ) -> None:
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

    @given(st.integers(0, 99), st.integers(0, 10**15), st.integers(0, 400))
    def test_a_higher_confidence_is_never_lower_at_the_same_age(
        self, confidence: Any, age: Any, days: Any
    ) -> None:
        left = decay_confidence(confidence, age, days * DAY, 10)
        assert left <= decay_confidence(confidence + 1, age, days * DAY, 10)

    def test_a_later_report_or_sighting_resets_the_age(self) -> None:
        old = contribution(confidence=80, received=NOW - 300 * DAY)
        denial = assessment(kind=AssessmentKind.FALSE_POSITIVE)
        assert public_confidence(old) < 30
        assert public_confidence(replace(old, last_reported=NOW)) == 80
        assert public_confidence(old, assessments=[assessment()]) > 80
        assert public_confidence(old, assessments=[denial]) < public_confidence(old)


class TestHalfLife:
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
    def test_each_kind_of_observable_has_its_own_half_life(self, pattern: str, days: int) -> None:
        assert half_life(contribution(pattern=pattern).object, SCALE) == days * DAY

    def test_a_kind_that_does_not_decay_outlasts_every_half_life(self) -> None:
        scale = replace(SCALE, half_lives={**SCALE.half_lives, "domain": 0})
        both = "[ipv4-addr:value = '45.12.1.2' AND domain-name:value = 'evil.top']"
        assert half_life(contribution(pattern=both).object, scale) == 0
