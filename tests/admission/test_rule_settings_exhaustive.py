"""Each mode of each rule setting has the effect documented in docs/privacy.md.

A new setting that is a mode needs a trial in tests/support/setting_trials.py; another setting
goes into OTHER_SETTINGS here and is tested beside its rule.  The last tests fail without it.
"""

from __future__ import annotations

from functools import cache
from json import dumps
from typing import Any

import pytest
from support.hub import RED
from support.setting_trials import (
    PROPERTIES,
    TEXTS,
    VALUES,
    Trial,
    comparison_indicator,
    trials,
)
from support.stix_objects import make_object, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter, Verdict, Waiver
from tocsin.admission.rules import default_settings, rule_names, setting_choices, setting_modes
from tocsin.admission.stix.schemas import schema_for
from tocsin.admission.warninglists.index import WarningLists
from tocsin.admission.warninglists.lists import Reach
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
ACME = Submitter(
    partner="acme-slug",
    names=("ACME Corp",),
    terms=("acme.example", "45.12.0.0/16", "acmewidget.com"),
)
LISTS = WarningLists([("resolvers", Reach.EXACT, ["9.9.9.9"])])
KEEP_CUSTOM = (
    policy_text(None)
    .replace('custom_properties = "strip"', 'custom_properties = "keep"')
    .replace('unknown_types = "strip"', 'unknown_types = "keep"')
)

OTHER_SETTINGS = {
    "anonymise_source": {"handles"},
    "personal_data": {"regions"},
    "private_addresses": {"text"},
    "benign": {"exact", "lists", "hold", "ignore", "label", "lower_by"},
    "marking": {"unknown", "acs_scopes", "acs_custodian"},
}
"""Settings without modes: tested below, in test_rules_settings.py, test_benign.py, test_acs.py."""

TRIED_ELSEWHERE = {"recognised_names"}
"""Rules that do nothing without an extra: see test_recognised_names.py."""

REQUIRED_PROPERTIES = {("payloads", "artifact"): {"strip": "refuse", "ask": "hold"}}
"""Modes that act otherwise because the object is invalid without the property."""

TRIALS: dict[str, list[Trial]] = {}
"""By setting and mode; a test of its own for each of a thousand took longer than it."""
for _trial in trials():
    TRIALS.setdefault(str(_trial), []).append(_trial)


@cache
def pipeline(policy_tables: Any, partner: Any, waived: Any) -> Any:
    policy = parse_policy(f"{KEEP_CUSTOM}\n{policy_tables}")
    submitter = ACME if partner is None else Submitter(partner, ACME.names, ACME.terms)
    return Pipeline(policy, submitter, LISTS, Waiver(frozenset(waived)))


def examine_object(
    subject: Any, policy_tables: Any = "", waived: Any = (), partner: Any = None
) -> Any:
    sent = Candidate(0, subject, subject["id"], subject.get("modified"))
    [candidate] = pipeline(policy_tables, partner, waived).examine([sent], NOW)
    assert [
        f.message for f in candidate.findings if f.stage == "validate" and f.action == "refused"
    ] == []
    return candidate


def run_trial(trial: Any, waived: Any = (), partner: Any = None) -> Any:
    """Examine the object of a trial, with every other setting at `keep`."""
    tables: dict[str, dict[str, str]] = {trial.rule: {}}
    tables["recognised_names"] = {"persons": "keep", "addresses": "keep"}
    for rule, setting in TEXTS | VALUES | PROPERTIES:
        tables.setdefault(rule, {})[setting] = "keep"
    tables[trial.rule][trial.setting] = trial.mode
    lines = [
        f"[{place}rules.{rule}]\n" + "\n".join(f'{name} = "{mode}"' for name, mode in table.items())
        for place in [f"partners.{partner}." if partner else ""]
        for rule, table in tables.items()
    ]
    return examine_object(trial.subject, "\n".join(lines), waived, partner)


def expected_mode(trial: Any) -> Any:
    """The mode whose effect the trial must show."""
    if trial.mode in ("generalise", "cut"):
        plain = trial.subject["type"] == "indicator" and " = " in trial.subject["pattern"]
        return "replace" if plain else "hold"
    return REQUIRED_PROPERTIES.get((trial.rule, trial.setting), {}).get(trial.mode, trial.mode)


def published_json(candidate: Any) -> Any:
    """The object and its stricter layers as JSON; empty if it is not published."""
    layers = [candidate.object, *(layer for _, layer in candidate.stricter_layers)]
    return dumps(layers) if candidate.is_open else ""


def sanitise_actions(candidate: Any) -> Any:
    """The actions of the sanitise stage, except notes."""
    stages = [f for f in candidate.findings if f.stage == "sanitise"]
    return {f.action.value for f in stages} - {"noted"}


ACTIONS: dict[str, list[set[str]]] = {
    "replace": [{"replaced"}, {"stripped"}, {"replaced", "stripped"}],
    "strip": [{"stripped"}],
    "ask": [{"asked"}],
    "hold": [{"held"}, {"held", "replaced"}, {"held", "stripped"}],
    "refuse": [{"refused"}],
    "keep": [set()],
}
VERDICTS = {"hold": Verdict.HELD, "refuse": Verdict.REFUSED}
AFTER_APPROVAL = {"ask": "keep", "hold": "keep"}


def check_mode(candidate: Any, mode: Any, secret: Any) -> None:
    """Check verdict, findings and published content against the mode."""
    assert candidate.verdict is VERDICTS.get(mode, Verdict.OPEN)
    assert sanitise_actions(candidate) in ACTIONS[mode]
    assert (secret in published_json(candidate)) == (mode == "keep")
    assert mode == "keep" or secret not in dumps([f.as_json() for f in candidate.findings])
    assert not candidate.is_open or schema_for(candidate.object).validator.is_valid(
        candidate.object
    )
    if mode in ("ask", "hold"):
        assert secret in dumps(candidate.original)


@pytest.mark.parametrize("named", TRIALS)
class TestModes:
    def test_each_mode_has_its_documented_effect(self, named: str) -> None:
        for trial in TRIALS[named]:
            check_mode(run_trial(trial), expected_mode(trial), trial.secret)

    def test_each_mode_has_its_effect_in_the_table_of_one_partner(self, named: str) -> None:
        for trial in TRIALS[named]:
            candidate = run_trial(trial, partner="north")
            check_mode(candidate, expected_mode(trial), trial.secret)

    def test_approval_releases_only_asked_and_held_content(self, named: str) -> None:
        for trial in TRIALS[named]:
            mode = expected_mode(trial)
            candidate = run_trial(trial, (trial.rule,))
            check_mode(candidate, AFTER_APPROVAL.get(mode, mode), trial.secret)


class TestCoverage:
    @pytest.mark.parametrize("rule", sorted(set(rule_names()) - TRIED_ELSEWHERE))
    def test_every_setting_of_a_rule_has_a_trial(self, rule: Any) -> None:
        here = {setting for of, setting in TEXTS | VALUES | PROPERTIES if of == rule}
        assert here == set(setting_modes(rule))
        assert here | OTHER_SETTINGS.get(rule, set()) == set(default_settings(rule))

    @pytest.mark.parametrize("rule", rule_names())
    def test_every_setting_with_a_word_as_value_has_named_choices(self, rule: Any) -> None:
        words = {name for name, value in default_settings(rule).items() if type(value) is str}
        named = {*setting_modes(rule), *setting_choices(rule)}
        assert words - named <= {"label", "acs_custodian"}


class TestOtherSettings:
    @pytest.mark.parametrize(("value", "published"), [("true", False), ("false", True)])
    def test_handles_and_private_addresses_in_texts_are_masked_as_their_setting_says(
        self, value: str, published: bool
    ) -> None:
        handles = f"[rules.anonymise_source]\nhandles = {value}"
        addresses = f"[rules.private_addresses]\ntext = {value}"
        policy_tables = f"{handles}\n{addresses}"
        for text in ("@joan_roe", "10.1.2.3"):
            candidate = examine_object(
                make_object("malware", description=f"by {text}"), policy_tables
            )
            assert (text in published_json(candidate)) == published

    @pytest.mark.parametrize(("regions", "published"), [('["US"]', False), ("[]", True)])
    def test_the_setting_regions_decides_which_telephone_numbers_are_masked(
        self, regions: str, published: bool
    ) -> None:
        policy_tables = f"[rules.personal_data]\nregions = {regions}"
        candidate = examine_object(
            make_object("malware", description="Try (212) 456-7890 today"), policy_tables
        )
        assert ("456-7890" in published_json(candidate)) == published

    @pytest.mark.parametrize(
        ("value", "verdict"), [("hold", Verdict.HELD), ("refuse", Verdict.REFUSED)]
    )
    def test_the_setting_unknown_decides_about_unknown_markings(
        self, value: str, verdict: Any
    ) -> None:
        subject = make_object("malware", object_marking_refs=[ref("marking-definition")])
        assert examine_object(subject, f'[rules.marking]\nunknown = "{value}"').verdict is verdict

    @pytest.mark.parametrize("rule", ["benign", "marking"])
    def test_approval_of_a_rule_without_modes_releases_no_refused_object(self, rule: str) -> None:
        subject = make_object("malware", object_marking_refs=[RED])
        assert examine_object(subject, waived=(rule,)).verdict is Verdict.REFUSED

    @pytest.mark.parametrize(
        ("value", "verdict", "confidence"),
        [
            ('exact = "refuse"', Verdict.REFUSED, None),
            ('exact = "hold"', Verdict.HELD, None),
            ('hold = ["resolvers"]', Verdict.HELD, None),
            ('lists = { resolvers = "hold" }', Verdict.HELD, None),
            ('exact = "lower"', Verdict.OPEN, 30),
            ('exact = "lower"\nlower_by = 5', Verdict.OPEN, 45),
            ('exact = "ignore"', Verdict.OPEN, 50),
            ('ignore = ["resolvers"]', Verdict.OPEN, 50),
        ],
    )
    def test_the_settings_of_benign_decide_about_listed_values(
        self, value: str, verdict: Any, confidence: None | int
    ) -> None:
        subject = comparison_indicator("ipv4-addr:value", "9.9.9.9") | {"confidence": 50}
        candidate = examine_object(subject, f"[rules.benign]\n{value}")
        assert candidate.verdict is verdict
        assert confidence is None or candidate.object["confidence"] == confidence

    def test_the_setting_label_is_added_where_confidence_is_lowered(self) -> None:
        policy_tables = '[rules.benign]\nexact = "lower"\nlabel = "rented"'
        candidate = examine_object(
            comparison_indicator("ipv4-addr:value", "9.9.9.9"), policy_tables
        )
        assert candidate.object["labels"] == ["rented"]
