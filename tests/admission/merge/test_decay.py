"""Decay of confidence with age, by the half-life of each kind of observable."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contributions import NOW, SCALE, assessment, contribution, public_confidence

from tocsin.admission.merge.decay import decay_confidence, half_life, next_decay
from tocsin.admission.model import AssessmentKind
from tocsin.admission.timestamps import DAY


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
