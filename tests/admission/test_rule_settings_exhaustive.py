"""Each mode of each setting does what docs/privacy.md says, wherever private data stands.

A new setting needs a trial in tests/support/setting_trials.py; the last tests fail without one.
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
    comparing,
    trials,
)
from support.stix_objects import made, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter, Verdict
from tocsin.admission.rules import (
    default_settings,
    rule_names,
    setting_choices,
    setting_modes,
)
from tocsin.admission.stix.schemas import schema_for
from tocsin.admission.warninglists.index import Reach, WarningLists
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000
ACME = Submitter(
    partner="acme-slug",
    names=("ACME Corp",),
    terms=("acme.example", "45.12.0.0/16", "acmewidget.com"),
)
LISTS = WarningLists([("resolvers", Reach.EXACT, ["9.9.9.9"])])
KEEPING = (
    policy_text(None)
    .replace('custom_properties = "strip"', 'custom_properties = "keep"')
    .replace('unknown_types = "strip"', 'unknown_types = "keep"')
)

OTHERS = {
    "anonymise_source": {"handles"},
    "personal_data": {"regions"},
    "private_addresses": {"text"},
    "benign": {"exact", "lists", "hold", "ignore", "label", "lower_by"},
    "marking": {"unknown", "acs_scopes"},
}
"""Settings that are no modes: below, in test_rules_settings.py and in test_acs.py."""

NOTHING_LEFT = {("payloads", "artifact"): {"strip": "refuse", "ask": "hold"}}
"""Where the object is none without."""

TRIALS = list(trials())


@cache
def judge(more: Any, partner: Any, waived: Any) -> Any:
    policy = parse_policy(f"{KEEPING}\n{more}")
    submitter = ACME if partner is None else Submitter(partner, ACME.names, ACME.terms)
    return Pipeline(policy, submitter, LISTS, frozenset(waived))


def judged(subject: Any, more: Any = "", waived: Any = (), partner: Any = None) -> Any:
    candidate = Candidate(0, subject, subject["id"], subject.get("modified"))
    [told] = judge(more, partner, waived).examine([candidate], NOW)
    assert [
        f.message for f in told.findings if f.stage == "validate" and f.action == "refused"
    ] == []
    return told


def tried(trial: Any, waived: Any = (), partner: Any = None) -> Any:
    """What becomes of it, all other settings being such that they leave it alone."""
    tables: dict[str, dict[str, str]] = {trial.rule: {}}
    for rule, setting in TEXTS | VALUES | PROPERTIES:
        tables.setdefault(rule, {})[setting] = "keep"
    tables[trial.rule][trial.setting] = trial.mode
    lines = [
        f"[{place}rules.{rule}]\n" + "\n".join(f'{name} = "{mode}"' for name, mode in table.items())
        for place in [f"partners.{partner}." if partner else ""]
        for rule, table in tables.items()
    ]
    return judged(trial.subject, "\n".join(lines), waived, partner)


def wanted(trial: Any) -> Any:
    """What the mode comes to here."""
    if trial.mode == "generalise":
        plain = trial.subject["type"] == "indicator" and " = " in trial.subject["pattern"]
        return "replace" if plain else "hold"
    return NOTHING_LEFT.get((trial.rule, trial.setting), {}).get(trial.mode, trial.mode)


def going_out(told: Any) -> Any:
    """All that anybody may see of it."""
    layers = [told.object, *(layer for _, layer in told.stricter_layers)]
    return dumps(layers) if told.is_open else ""


def actions(told: Any) -> Any:
    """What was done, spelling and notes apart."""
    stages = [f for f in told.findings if f.stage == "sanitise"]
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
AFTER_YES = {"ask": "keep", "hold": "keep"}


def check(told: Any, mode: Any, secret: Any) -> None:
    """That it is as the mode says: the verdict, what is told, what goes out."""
    assert told.verdict is VERDICTS.get(mode, Verdict.OPEN)
    assert actions(told) in ACTIONS[mode]
    assert (secret in going_out(told)) == (mode == "keep")
    assert mode == "keep" or secret not in dumps([f.as_json() for f in told.findings])
    assert not told.is_open or schema_for(told.object).validator.is_valid(told.object)
    if mode in ("ask", "hold"):
        assert secret in dumps(told.original)


@pytest.mark.parametrize("trial", TRIALS, ids=str)
class TestModes:
    def test_each_does_what_it_says(self, trial: Any) -> None:
        check(tried(trial), wanted(trial), trial.secret)

    def test_and_for_one_partner_in_its_own_table(self, trial: Any) -> None:
        check(tried(trial, partner="north"), wanted(trial), trial.secret)

    def test_a_yes_lets_out_what_was_asked_or_held_for_and_nothing_else(self, trial: Any) -> None:
        mode = wanted(trial)
        check(tried(trial, (trial.rule,)), AFTER_YES.get(mode, mode), trial.secret)


class TestEverySetting:
    @pytest.mark.parametrize("rule", rule_names())
    def test_is_tried_here(self, rule: Any) -> None:
        here = {setting for of, setting in TEXTS | VALUES | PROPERTIES if of == rule}
        assert here == set(setting_modes(rule))
        assert here | OTHERS.get(rule, set()) == set(default_settings(rule))

    @pytest.mark.parametrize("rule", rule_names())
    def test_that_is_a_word_is_one_of_those_that_are_named(self, rule: Any) -> None:
        words = {name for name, value in default_settings(rule).items() if type(value) is str}
        named = {*setting_modes(rule), *setting_choices(rule)}
        assert words - named <= {"label"}


class TestOthers:
    @pytest.mark.parametrize(("said", "seen"), [("true", False), ("false", True)])
    def test_handles_and_private_addresses_in_texts(self, said: str, seen: bool) -> None:
        more = (
            f"[rules.anonymise_source]\nhandles = {said}\n[rules.private_addresses]\ntext = {said}"
        )
        for text in ("@joan_roe", "10.1.2.3"):
            told = judged(made("malware", description=f"by {text}"), more)
            assert (text in going_out(told)) == seen

    @pytest.mark.parametrize(("regions", "seen"), [('["US"]', False), ("[]", True)])
    def test_regions(self, regions: str, seen: bool) -> None:
        more = f"[rules.personal_data]\nregions = {regions}"
        told = judged(made("malware", description="Try (212) 456-7890 today"), more)
        assert ("456-7890" in going_out(told)) == seen

    @pytest.mark.parametrize(
        ("said", "verdict"), [("hold", Verdict.HELD), ("refuse", Verdict.REFUSED)]
    )
    def test_unknown_markings(self, said: str, verdict: Any) -> None:
        subject = made("malware", object_marking_refs=[ref("marking-definition")])
        assert judged(subject, f'[rules.marking]\nunknown = "{said}"').verdict is verdict

    @pytest.mark.parametrize("rule", ["benign", "marking"])
    def test_a_yes_to_a_rule_without_modes_releases_nothing_that_is_refused(
        self, rule: str
    ) -> None:
        subject = made("malware", object_marking_refs=[RED])
        assert judged(subject, waived=(rule,)).verdict is Verdict.REFUSED

    @pytest.mark.parametrize(
        ("said", "verdict", "confidence"),
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
    def test_warning_lists(self, said: str, verdict: Any, confidence: None | int) -> None:
        subject = comparing("ipv4-addr:value", "9.9.9.9") | {"confidence": 50}
        told = judged(subject, f"[rules.benign]\n{said}")
        assert told.verdict is verdict
        assert confidence is None or told.object["confidence"] == confidence

    def test_the_label_of_what_is_lowered(self) -> None:
        more = '[rules.benign]\nexact = "lower"\nlabel = "rented"'
        told = judged(comparing("ipv4-addr:value", "9.9.9.9"), more)
        assert told.object["labels"] == ["rented"]
