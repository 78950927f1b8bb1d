"""Apply one rule to one object, and check the invariants of every rule."""

from json import dumps
from typing import Any

from tocsin.admission.model import Candidate, RuleContext, Submitter
from tocsin.admission.rules import build_rule
from tocsin.admission.warninglists.index import WarningLists

TEXT_FOR_THE_RECOGNISER = "Yesterday Zelda Miller came to see it."
"""A name that no rule finds by itself."""


def rule_context(settings: Any = None, submitter: Any = None) -> Any:
    return RuleContext(submitter or Submitter(), WarningLists([]), settings=settings or {})


def indicator(pattern: Any = "[domain-name:value = 'evil.test']", **more: Any) -> Any:
    id_ = "indicator--3bc740bc-763a-5f0a-8c7c-c85f319ae188"
    return {"type": "indicator", "id": id_, "pattern": pattern, "pattern_type": "stix", **more}


def apply_rule(name: Any, subject: Any, settings: Any = None, secrets: Any = ()) -> Any:
    """Return the candidate after the rule.

    The rule must not change its argument, repeat a secret in a finding, or change its own
    result when it is applied again.
    """
    before = dumps(subject)
    candidate = build_rule(name, rule_context(settings))(Candidate(0, subject))
    assert dumps(subject) == before
    for finding in candidate.findings:
        assert finding.stage == "sanitise" and finding.rule == name
        assert not any(secret in finding.message for secret in secrets)
    if candidate.is_open:
        again = build_rule(name, rule_context(settings))(candidate)
        assert again.object == candidate.object
    return candidate


def sanitise_description(name: Any, text: Any, settings: Any = None) -> Any:
    """Apply the rule to an indicator with this description; return the new description."""
    return apply_rule(name, indicator(description=text), settings).object["description"]
