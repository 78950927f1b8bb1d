"""recognised_names: what a recogniser sees is asked about; nothing is masked or lost unasked."""

from collections.abc import Sequence
from typing import Any

import pytest
from support.paths import ROOT
from support.rules import TEXT_FOR_THE_RECOGNISER, indicator, rule_context, sanitise_description
from support.stix_objects import make_object

from tocsin.admission import parse_policy
from tocsin.admission.detectors.person_names import PERSON
from tocsin.admission.detectors.postal_addresses import POSTAL_ADDRESS
from tocsin.admission.detectors.spans import Span
from tocsin.admission.model import Action, Candidate, Verdict
from tocsin.admission.recogniser.recogniser import is_installed
from tocsin.admission.rules import approve_settings, recognised_names
from tocsin.config.loading import policy_text

RULE = "recognised_names"
NAME, ADDRESS = "Zelda Fitz", "12 Rosenweg, Bremen"
TEXT = f"Yesterday {NAME} told us about it."


class FakeRecogniser:
    """Knows one person and one address, and counts what it reads."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, passage: str, owner: str) -> Sequence[Span]:
        self.read.append(passage)
        known = ((NAME, PERSON), (ADDRESS, POSTAL_ADDRESS))
        return [
            Span(passage.find(value), passage.find(value) + len(value), what)
            for value, what in known
            if value in passage
        ]


def apply_rule(subject: Any, fake: FakeRecogniser | None = None, **settings: Any) -> Candidate:
    rule = recognised_names.build_rule(rule_context(settings), fake or FakeRecogniser())
    return rule(Candidate(0, subject))


def malware(text: str = TEXT, **more: Any) -> Any:
    return make_object("malware", description=text, **more)


class TestWhatIsAsked:
    @pytest.mark.parametrize("text", [TEXT, f"The mail went to {ADDRESS} in May."])
    def test_an_object_with_a_person_or_an_address_is_held_as_it_came(self, text: str) -> None:
        candidate = apply_rule(malware(text))
        assert candidate.verdict is Verdict.HELD
        assert candidate.original == malware(text)

    def test_an_indicator_is_not_late_but_published_with_a_mask(self) -> None:
        candidate = apply_rule(indicator(description=TEXT))
        assert candidate.is_open
        assert [f.action for f in candidate.findings] == [Action.ASKED]
        assert candidate.object == indicator(
            description="Yesterday [removed: person's name] told us about it."
        )

    def test_an_indicator_is_held_too_if_the_policy_says_so(self) -> None:
        assert apply_rule(indicator(description=TEXT), indicators="hold").verdict is Verdict.HELD

    def test_what_is_kept_is_not_asked_about(self) -> None:
        assert apply_rule(malware(), persons="keep") == Candidate(0, malware())

    def test_a_note_changes_nothing(self) -> None:
        candidate = apply_rule(malware(), persons="note")
        assert candidate.is_open and candidate.object == malware()
        assert [(f.action, f.path) for f in candidate.findings] == [(Action.NOTED, "description")]

    def test_no_finding_repeats_the_name(self) -> None:
        for mode in ("hold", "ask", "note"):
            findings = apply_rule(malware(), persons=mode).findings
            assert findings and not any("Zelda" in f.message for f in findings)


class TestWhatIsLeftAlone:
    def test_prose_about_malware_stays_as_it_is(self) -> None:
        text = "The loader drops Emotet, which Wizard Spider sells. It then calls home."
        assert apply_rule(malware(text)) == Candidate(0, malware(text))

    def test_an_actor_may_be_called_like_a_person(self) -> None:
        actor = make_object("threat-actor", name=NAME, description=TEXT)
        assert apply_rule(actor).is_open

    def test_the_authors_of_publications_are_not_asked_about(self) -> None:
        reference = {"source_name": "blog", "description": f"{NAME}, 2024: How it works"}
        assert apply_rule(make_object("malware", external_references=[reference])).is_open

    def test_the_value_that_an_indicator_is_about_is_not_asked_about(self) -> None:
        subject = indicator(f"[file:name = '{NAME}']", description=TEXT)
        assert apply_rule(subject) == Candidate(0, subject)


class TestAnalyst:
    def settings(self, **how: bool) -> Any:
        return approve_settings(RULE, {}, **how)

    @pytest.mark.parametrize("subject", [malware(), indicator(description=TEXT)])
    def test_what_was_released_is_published_and_not_asked_about_again(self, subject: Any) -> None:
        assert apply_rule(subject, **self.settings()) == Candidate(0, subject)

    @pytest.mark.parametrize("subject", [malware(), indicator(description=TEXT)])
    def test_a_release_without_text_masks_the_words(self, subject: Any) -> None:
        candidate = apply_rule(subject, **self.settings(without_text=True))
        assert candidate.is_open and candidate.object is not None
        assert candidate.object["description"].startswith("Yesterday [removed: person's name]")


class TestCost:
    def test_what_comes_again_in_a_submission_is_free(self) -> None:
        rule = recognised_names.build_rule(rule_context({"characters": 300}), FakeRecogniser())
        again = [rule(Candidate(i, malware(name=f"m{i}"))) for i in range(50)]
        assert {each.verdict for each in again} == {Verdict.HELD}

    def test_a_text_beyond_what_is_read_says_so(self) -> None:
        fake = FakeRecogniser()
        rule = recognised_names.build_rule(rule_context({"characters": 300}), fake)
        texts = [f"On day {i} Zelda told us about it, as she did on others." for i in range(5)]
        results = [rule(Candidate(i, malware(text))) for i, text in enumerate(texts)]
        assert len(fake.read) == 1
        assert [len(each.findings) for each in results] == [0, 1, 1, 1, 1]
        assert "did not read" in results[1].findings[0].message

    def test_lists_and_technical_values_are_not_read(self) -> None:
        fake = FakeRecogniser()
        for text in ("evil.test other.test", "(" * 100_000, "\n".join(["0cc175b9c0f1b6a8"] * 99)):
            apply_rule(malware(text), fake)
        assert fake.read == []


class TestPreview:
    policy = parse_policy(
        policy_text(None)
        + f'[rules.{RULE}]\naddresses = "keep"\n[partners.a.rules.{RULE}]\npersons = "ask"\n'
    ).for_preview()

    @pytest.mark.parametrize("partner", ["", "a", "other"])
    def test_a_preview_only_notes_what_the_hub_asks(self, partner: str) -> None:
        settings = self.policy.settings_for(RULE, partner)
        assert (settings["persons"], settings["addresses"]) == ("note", "keep")

    def test_other_rules_act_in_a_preview_as_in_the_hub(self) -> None:
        plain = parse_policy(policy_text(None))
        for rule in set(plain.rules) - {RULE}:
            assert plain.for_preview().settings_for(rule, "") == plain.settings_for(rule, "")


@pytest.mark.skipif(is_installed(), reason="the recogniser is installed")
class TestWithoutTheExtra:
    def apply(self, text: str, **settings: Any) -> Candidate:
        return recognised_names.build_rule(rule_context(settings))(Candidate(0, malware(text)))

    def test_nothing_is_asked(self) -> None:
        assert self.apply(TEXT) == Candidate(0, malware())

    def test_a_policy_that_expects_it_says_that_the_hub_also_asks(self) -> None:
        [note] = self.apply(TEXT, expected=True).findings
        assert note.action is Action.NOTED and "also asks" in note.message

    def test_texts_that_would_not_be_read_get_no_note(self) -> None:
        assert self.apply("drops Emotet on the disk", expected=True).findings == ()


def test_no_rule_finds_the_name_with_which_the_recogniser_is_tried() -> None:
    text = TEXT_FOR_THE_RECOGNISER
    for rule in ("personal_data", "user_paths", "victim_terms", "private_addresses"):
        assert sanitise_description(rule, text) == text
    assert text in (ROOT / "scripts" / "release").read_text()
