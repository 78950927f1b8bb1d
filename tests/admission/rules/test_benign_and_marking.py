"""The rules about a whole object, benign and marking; and how rules are found."""

from typing import Any

import pytest

from tocsin.admission.errors import PolicyError
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import (
    Action,
    Candidate,
    RuleContext,
    Submitter,
    Tlp,
    Verdict,
)
from tocsin.admission.rules import (
    build_rule,
    check_settings,
    default_settings,
    rule_names,
)
from tocsin.admission.warninglists.index import Reach, WarningLists

LISTS = WarningLists(
    [
        ("famous sites", Reach.WIDE, ["good.test"]),
        ("resolvers", Reach.EXACT, ["8.8.8.8"]),
        ("clouds", Reach.WITHIN, ["52.0.0.0/8"]),
    ]
)
FOREIGN = "marking-definition--00000000-1111-4222-8333-444444444444"


def indicator(pattern: Any, **more: Any) -> Any:
    return {"type": "indicator", "pattern": pattern, "pattern_type": "stix", **more}


def asked(
    name: Any, subject: Any, settings: Any = None, submitter: Any = None, **candidate: Any
) -> Any:
    around = RuleContext(submitter or Submitter(), 0, LISTS, settings=settings or {})
    return build_rule(name, around)(Candidate(0, subject, **candidate))


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
        candidate = asked("benign", indicator(pattern))
        assert candidate.verdict is Verdict.REFUSED
        assert "warning list" in candidate.findings[0].message

    def test_an_indicator_on_listed_and_other_values_is_held(self) -> None:
        candidate = asked("benign", indicator("[domain-name:value IN ('good.test', 'evil.test')]"))
        assert candidate.verdict is Verdict.HELD

    def test_a_warning_list_may_hold_or_be_ignored(self) -> None:
        subject = indicator("[ipv4-addr:value = '8.8.8.8']")
        held = asked("benign", subject, {"hold": ["resolvers"]})
        ignored = asked("benign", subject, {"ignore": ["resolvers"]})
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
        assert asked("benign", indicator(pattern)).findings == ()

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
        candidate = asked("benign", indicator(pattern, confidence=50, labels=["c2"]))
        assert candidate.is_open
        assert candidate.object["labels"] == ["c2", "benign-infrastructure"]
        assert candidate.object["confidence"] == 30
        assert candidate.findings[0].action is Action.LOWERED

    def test_confidence_is_lowered_only_once(self) -> None:
        subject = indicator("[ipv4-addr:value = '52.1.2.3']", confidence=50)
        once = asked("benign", subject).object
        assert asked("benign", once).object == once
        assert "labels" not in subject

    def test_missing_confidence_is_not_invented(self) -> None:
        candidate = asked("benign", indicator("[ipv4-addr:value = '52.1.2.3']"))
        assert "confidence" not in candidate.object

    def test_an_observable_on_a_warning_list_is_only_noted(self) -> None:
        candidate = asked("benign", {"type": "ipv4-addr", "value": "8.8.8.8"})
        assert candidate.is_open and candidate.findings[0].action is Action.NOTED


class TestMarking:
    def test_tlp_red_is_refused_whatever_the_partner_may_send(self) -> None:
        every = Submitter(max_tlp=Tlp.RED)
        candidate = asked("marking", {}, submitter=every, tlp=Tlp.RED)
        assert candidate.verdict is Verdict.REFUSED

    def test_a_level_above_the_agreement_is_refused_with_advice(self) -> None:
        candidate = asked("marking", {}, tlp=Tlp.AMBER, submitter=Submitter(max_tlp=Tlp.GREEN))
        assert candidate.verdict is Verdict.REFUSED
        assert "TLP:GREEN" in candidate.findings[0].message

    @pytest.mark.parametrize("tlp", [Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER])
    def test_a_level_up_to_the_agreement_passes(self, tlp: Any) -> None:
        subject = {"object_marking_refs": [TLP_2_IDS[tlp], FOREIGN]}
        candidate = asked("marking", subject, tlp=tlp, scope=f"{tlp.label}|{FOREIGN}")
        assert candidate.is_open and not candidate.findings

    def test_an_unknown_marking_is_held(self) -> None:
        subject = {"object_marking_refs": [TLP_2_IDS[Tlp.GREEN], FOREIGN]}
        candidate = asked("marking", subject, tlp=Tlp.GREEN, scope="green")
        assert candidate.verdict is Verdict.HELD

    def test_an_unknown_marking_on_a_part_is_held(self) -> None:
        subject = {"granular_markings": [{"marking_ref": FOREIGN, "selectors": ["name"]}]}
        assert asked("marking", subject, tlp=Tlp.GREEN, scope="green").verdict is Verdict.HELD

    def test_an_unknown_marking_may_be_refused(self) -> None:
        subject = {"object_marking_refs": [FOREIGN]}
        candidate = asked("marking", subject, {"unknown": "refuse"}, tlp=Tlp.GREEN, scope="green")
        assert candidate.verdict is Verdict.REFUSED


class TestRules:
    def test_rules_are_found_by_folder(self) -> None:
        assert set(rule_names()) >= {
            *("anonymise_source", "personal_data", "victim_terms"),
            *("private_addresses", "benign", "marking"),
        }

    @pytest.mark.parametrize("name", ["nonsense", "_masking", "os.path", ""])
    def test_unknown_rules_are_refused(self, name: str) -> None:
        with pytest.raises(PolicyError, match="no sanitising rule"):
            check_settings(name, {})

    @pytest.mark.parametrize("name", rule_names())
    def test_each_rule_accepts_its_own_defaults(self, name: Any) -> None:
        check_settings(name, default_settings(name))

    @pytest.mark.parametrize("settings", [{"hodl": []}, {"hold": "resolvers"}])
    def test_wrong_settings_of_a_rule_are_named(self, settings: Any) -> None:
        with pytest.raises(PolicyError, match=next(iter(settings))):
            check_settings("benign", settings)

    @pytest.mark.parametrize("name", rule_names())
    def test_every_rule_passes_an_object_that_could_not_be_read(self, name: Any) -> None:
        assert asked(name, None).object is None
