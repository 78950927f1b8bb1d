"""Contributions and assessments of partners about one domain, for the tests of merging."""

from typing import Any

from tocsin.admission import parse_policy
from tocsin.admission.merge.statistics import compute_statistics
from tocsin.admission.model import Assessment, AssessmentKind, Contribution, Tlp
from tocsin.config.loading import policy_text

SCALE = parse_policy(policy_text()).confidence
NOW = 1_800_000_000_000_000
HUB_IDENTITY = "identity--00000000-0000-4000-8000-000000000000"


def contribution(partner: Any = "acme", confidence: Any = None, **more: Any) -> Any:
    """Build an indicator as one partner reported it.

    `pattern`, `external_references`, `labels` and `valid_until` become properties of the
    indicator; any other keyword is a field of the contribution.
    """
    body = {
        "type": "indicator",
        "spec_version": "2.1",
        "pattern": more.pop("pattern", "[domain-name:value = 'evil.top']"),
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
    }
    if confidence is not None:
        body["confidence"] = confidence
    placed = ("external_references", "labels", "valid_until")
    body |= {name: more.pop(name) for name in placed if more.get(name) is not None}
    more.pop("valid_until", None)
    fixed = {"source_id": f"indicator--{partner}", "version": "", "received": NOW}
    level = {"tlp": Tlp.GREEN, "scope": "green"}
    return Contribution(partner, **{**fixed, **level, **more}, object=body)


def assessment(partner: Any = "east", kind: Any = AssessmentKind.SIGHTING, **more: Any) -> Any:
    """Build a sighting, a false positive or another opinion of one partner."""
    fixed = {"source_id": f"sighting--{partner}", "when": NOW}
    level = {"tlp": Tlp.GREEN, "scope": "green"}
    return Assessment(partner, kind=kind, **{**fixed, **level, **more})


def public_confidence(*contributions: Any, assessments: Any = (), now: Any = NOW) -> Any:
    """Return the confidence of the public object."""
    return compute_statistics(contributions, assessments, SCALE, now).confidence
