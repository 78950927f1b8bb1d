"""Sightings and opinions about indicators: parsing them and choosing those that count.

Each partner has one voice: its newest assessment.  `statistics` counts them.
"""

from collections.abc import Iterable

from tocsin.admission.model import (
    Assessment,
    AssessmentKind,
    Contribution,
)
from tocsin.admission.timestamps import micros


def select_visible(assessments: Iterable[Assessment], about: Contribution) -> list[Assessment]:
    """Select the assessments that every reader of the object `about` may know of.

    One at a stricter TLP level, or under a further marking, is left out.
    """
    marks = _other_markings(about.scope)
    return [t for t in assessments if t.tlp <= about.tlp and _other_markings(t.scope) <= marks]


def newest_by_partner(assessments: Iterable[Assessment]) -> list[Assessment]:
    """The newest assessment of each partner, which is the partner's only voice."""
    latest: dict[str, Assessment] = {}
    for each in sorted(assessments, key=assessment_order):
        latest[each.partner] = each
    return list(latest.values())


def trim_assessments(assessments: Iterable[Assessment]) -> tuple[Assessment, ...]:
    """Keep the newest MAX_ASSESSMENTS_PER_PARTNER of each partner, by partner, oldest first."""
    by_partner: dict[str, list[Assessment]] = {}
    for each in sorted(assessments, key=assessment_order):
        by_partner.setdefault(each.partner, []).append(each)
    return tuple(
        t for name in sorted(by_partner) for t in by_partner[name][-MAX_ASSESSMENTS_PER_PARTNER:]
    )


def parse_assessments(contribution: Contribution) -> dict[str, Assessment]:
    """Parse a sighting or an opinion into assessments, by the id of the indicator it is about.

    Empty for any other type and for targets that are not indicators.
    """
    subject = contribution.object
    if subject["type"] == "sighting":
        targets = [subject["sighting_of_ref"]]
        word = (
            AssessmentKind.FALSE_POSITIVE if subject.get("count") == 0 else AssessmentKind.SIGHTING
        )
    elif subject["type"] == "opinion":
        targets = subject["object_refs"]
        word = (
            AssessmentKind.FALSE_POSITIVE
            if "disagree" in subject["opinion"]
            else AssessmentKind.OTHER
        )
    else:
        return {}
    at = subject.get("last_seen") or subject.get("first_seen") or contribution.version
    assessment = Assessment(
        partner=contribution.partner,
        source_id=contribution.source_id,
        kind=word,
        when=min(micros(at), contribution.received) if at else contribution.received,
        tlp=contribution.tlp,
        scope=contribution.scope,
        reliability=contribution.reliability,
        group=contribution.group,
    )
    return {target: assessment for target in targets if target.startswith("indicator--")}


MAX_ASSESSMENTS_PER_PARTNER = 20
"""Sightings and opinions kept per partner and object."""


def _other_markings(scope: str) -> set[str]:
    """The ids of the markings of a scope that are not a TLP level."""
    return set(scope.split("|")[1:])


def assessment_order(assessment: Assessment) -> tuple[int, bool, str, str]:
    """Sort key, newest last; at the same moment a false positive counts as the newer."""
    denies = assessment.kind is AssessmentKind.FALSE_POSITIVE
    return (assessment.when, denies, assessment.source_id, assessment.kind.value)
