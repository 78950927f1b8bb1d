"""Indicators and observables on warning lists."""

from typing import Any

import pytest

from tocsin.admission.model import Action, Candidate, RuleContext, Submitter, Verdict
from tocsin.admission.rules import build_rule
from tocsin.admission.warninglists.index import Reach, WarningLists

LISTS = WarningLists(
    [
        ("famous sites", Reach.WIDE, ["good.test"]),
        ("resolvers", Reach.EXACT, ["8.8.8.8"]),
        ("clouds", Reach.WITHIN, ["52.0.0.0/8"]),
    ]
)


HELD = WarningLists([("popular", Reach.EXACT, ["popular.test"])], mode="hold")


def indicator(pattern: str, **more: Any) -> Any:
    return {"type": "indicator", "pattern": pattern, "pattern_type": "stix", **more}


def apply_benign(subject: Any, settings: Any = None, lists: Any = LISTS) -> Any:
    context = RuleContext(Submitter(), 0, lists, settings=settings or {})
    return build_rule("benign", context)(Candidate(0, subject))


class TestBenign:
    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'good.test']",
            "[ipv4-addr:value = '8.8.8.8']",
            "[domain-name:value = 'good.test' OR ipv4-addr:value = '8.8.8.8']",
            "[url:value = 'https://good.test/']",
        ],
    )
    def test_an_indicator_on_listed_values_only_is_refused(self, pattern: str) -> None:
        candidate = apply_benign(indicator(pattern))
        assert candidate.verdict is Verdict.REFUSED
        assert "warning list" in candidate.findings[0].message

    def test_an_indicator_on_listed_and_other_values_is_held(self) -> None:
        candidate = apply_benign(indicator("[domain-name:value IN ('good.test', 'evil.test')]"))
        assert candidate.verdict is Verdict.HELD

    def test_a_list_that_attackers_may_be_on_holds(self) -> None:
        held = apply_benign(indicator("[domain-name:value = 'popular.test']"), lists=HELD)
        assert held.verdict is Verdict.HELD
        assert held.findings[0].message.startswith("held for review: known to be harmless")

    @pytest.mark.parametrize(
        ("settings", "verdict"),
        [
            ({"exact": "refuse"}, Verdict.HELD),
            ({"exact": "lower"}, Verdict.OPEN),
            ({"lists": {"popular": "refuse"}}, Verdict.REFUSED),
            ({"ignore": ["popular"]}, Verdict.OPEN),
        ],
    )
    def test_the_policy_may_change_what_such_a_list_does(
        self, settings: Any, verdict: Verdict
    ) -> None:
        subject = indicator("[domain-name:value = 'popular.test']")
        assert apply_benign(subject, settings, HELD).verdict is verdict

    def test_a_warning_list_may_hold_or_be_ignored(self) -> None:
        subject = indicator("[ipv4-addr:value = '8.8.8.8']")
        held = apply_benign(subject, {"hold": ["resolvers"]})
        ignored = apply_benign(subject, {"ignore": ["resolvers"]})
        assert (held.verdict, ignored.verdict) == (Verdict.HELD, Verdict.OPEN)

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value != 'good.test']",
            "[domain-name:value LIKE 'good.test']",
            "[domain-name:value = 'evil.test']",
        ],
    )
    def test_a_pattern_that_does_not_match_on_a_listed_value_stays(self, pattern: str) -> None:
        assert apply_benign(indicator(pattern)).findings == ()

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'evil.good.test']",
            "[url:value = 'https://good.test/evil']",
            "[ipv4-addr:value = '52.1.2.3']",
        ],
    )
    def test_a_value_close_to_a_listed_one_is_labelled_and_loses_confidence(
        self, pattern: str
    ) -> None:
        candidate = apply_benign(indicator(pattern, confidence=50, labels=["c2"]))
        assert candidate.is_open
        assert candidate.object["labels"] == ["c2", "benign-infrastructure"]
        assert candidate.object["confidence"] == 30
        assert candidate.findings[0].action is Action.LOWERED

    def test_confidence_is_lowered_only_once(self) -> None:
        subject = indicator("[ipv4-addr:value = '52.1.2.3']", confidence=50)
        once = apply_benign(subject).object
        assert apply_benign(once).object == once
        assert "labels" not in subject

    def test_missing_confidence_is_not_invented(self) -> None:
        candidate = apply_benign(indicator("[ipv4-addr:value = '52.1.2.3']"))
        assert "confidence" not in candidate.object

    def test_an_observable_on_a_warning_list_is_only_noted(self) -> None:
        candidate = apply_benign({"type": "ipv4-addr", "value": "8.8.8.8"})
        assert candidate.is_open and candidate.findings[0].action is Action.NOTED

    @pytest.mark.parametrize(
        "pattern",
        [
            "[ipv4-addr:value = '0.0.0.0/0']",
            "[ipv4-addr:value ISSUBSET '52.0.0.0/11']",
            "[domain-name:value = 'evil.test' OR ipv4-addr:value = '52.0.0.0/8']",
            "[ipv6-addr:value = '2600::/19']",
        ],
    )
    def test_an_indicator_on_a_network_that_would_cut_readers_off_is_held(
        self, pattern: str
    ) -> None:
        candidate = apply_benign(indicator(pattern))
        assert candidate.verdict is Verdict.HELD and "so wide" in candidate.findings[0].message
        assert apply_benign(indicator(pattern), {"wide": "keep"}).verdict is Verdict.OPEN

    @pytest.mark.parametrize(
        "pattern",
        [
            "[ipv4-addr:value = '45.0.0.0/12']",
            "[ipv6-addr:value = '2a00:1000::/28']",
            "[ipv4-addr:value != '52.0.0.0/8']",
        ],
    )
    def test_an_indicator_on_a_narrower_network_is_not_held(self, pattern: str) -> None:
        assert apply_benign(indicator(pattern)).verdict is Verdict.OPEN
