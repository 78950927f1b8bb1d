"""What the tests of rules share: an object, a rule, and what must never happen."""

from json import dumps

from tocsin.admission.model import Candidate, RuleContext, Submitter
from tocsin.admission.rules import (
    build_rule,
)
from tocsin.admission.warninglists.index import WarningLists


def around(settings=None, submitter=None):
    return RuleContext(submitter or Submitter(), 0, WarningLists([]), settings=settings or {})


def indicator(pattern="[domain-name:value = 'evil.test']", **more):
    id_ = "indicator--3bc740bc-763a-5f0a-8c7c-c85f319ae188"
    return {"type": "indicator", "id": id_, "pattern": pattern, "pattern_type": "stix", **more}


def after(name, subject, settings=None, secrets=()):
    """What the rule makes of an object; it must not change its argument or tell a secret."""
    before = dumps(subject)
    candidate = build_rule(name, around(settings))(Candidate(0, subject))
    assert dumps(subject) == before
    for finding in candidate.findings:
        assert finding.stage == "sanitise" and finding.rule == name
        assert not any(secret in finding.message for secret in secrets)
    if candidate.is_open:
        assert build_rule(name, around(settings))(candidate).object == candidate.object
    return candidate


def text_after(name, text, settings=None):
    return after(name, indicator(description=text), settings).object["description"]
