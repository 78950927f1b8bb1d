"""The statistics that the hub publishes in its own name: counts, days, confidence.

They stand in the hub's property extension of an indicator and in `confidence`.
The numbers come from `sources` and `confidence`, and from assessments: sightings
and opinions, of which each partner's newest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tocsin.admission.merge.confidence import (
    ConfidenceSettings,
    Source,
    combine_confidence,
    decay_confidence,
    half_life,
    lower_by_denials,
    merge_sources,
    next_decay,
    weigh_confidence,
)
from tocsin.admission.merge.content import (
    BY_RECEIPT,
    Precedence,
    as_known_at,
    latest_by_partner,
)
from tocsin.admission.merge.sources import Evidence, group_by_origin
from tocsin.admission.model import Assessment, AssessmentKind, Contribution, StixObject, Tlp
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.stix.sightings_and_opinions import read_statement
from tocsin.admission.timestamps import DAY, micros, stix_time


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """The hub's own statements about a public object; `next_decay` is not compared."""

    contributors: int
    """Independent sources that reported it."""
    first_day: int
    """The UTC day on which it was first reported, in days since 1970."""
    last_day: int
    """The UTC day on which it was last reported or sighted, in days since 1970."""
    sightings: int
    """Independent sources that sighted it."""
    false_positives: int
    """Independent sources that call it a false positive."""
    confidence: int | None
    next_decay: int | None = field(default=None, compare=False)
    """Time at which confidence falls next without new evidence, in µs since 1970; None: never."""


def compute_statistics(
    contributions: Sequence[Contribution],
    assessments: Sequence[Assessment],
    scale: ConfidenceSettings,
    now: int,
    precedence: Precedence = BY_RECEIPT,
) -> HubStatistics:
    """Compute the statistics of the object that the contributions make up, at `now` (µs).

    Only assessments that every reader of the object may know of count, and of each partner only
    the newest.  One more contribution, received after all others, lowers neither count nor
    confidence.
    """
    evidence = _count_evidence(contributions, assessments, precedence)
    age = now - evidence.last
    full = combine_confidence([_combine_group(group, scale) for group in evidence.sources], scale)
    confidence, falls = _apply_decay(evidence.reports[0].object, full, age, scale)
    if confidence is not None:
        confidence = lower_by_denials(confidence, evidence.denied_by(scale), scale)
    return HubStatistics(
        contributors=len(group_by_origin(evidence.reported)),
        first_day=min(c.first_reported or c.received for c in evidence.reports) // DAY,
        last_day=evidence.last // DAY,
        sightings=len(group_by_origin(evidence.sighted)),
        false_positives=len(evidence.denials),
        confidence=confidence,
        next_decay=None if falls is None else evidence.last + falls,
    )


@dataclass(frozen=True, slots=True)
class ConfidenceSteps:
    """The stages in which the confidence of an object came about, each from the one before."""

    stated: int
    """The highest that a report states."""
    weighed: int
    """The highest when each statement is weighed by its source's reliability."""
    corroborated: int
    """With all independent sources."""
    aged: int
    """After the time since it was last reported or sighted."""
    now: int
    """After false positives."""
    sources: int
    """Independent sources that reported or sighted it."""
    false_positives: int
    """Independent sources that call it a false positive."""
    falls: tuple[tuple[int, int], ...] = ()
    """The coming falls by age if nothing else happens: when, in µs since 1970, and to what."""


MOST_FALLS = 20
"""Coming falls of one object that are computed."""


def explain_confidence(
    contributions: Sequence[Contribution],
    assessments: Sequence[Assessment],
    scale: ConfidenceSettings,
    now: int,
    precedence: Precedence = BY_RECEIPT,
) -> ConfidenceSteps | None:
    """The steps of the confidence that `compute_statistics` gives; None if nobody states one."""
    evidence = _count_evidence(contributions, assessments, precedence)
    stated = [c.object["confidence"] for c in evidence.reports if "confidence" in c.object]
    combined = [_combine_group(group, scale) for group in evidence.sources]
    full = combine_confidence(combined, scale)
    if full is None:
        return None
    subject, denials = evidence.reports[0].object, evidence.denied_by(scale)
    age = now - evidence.last
    aged, next_age = _apply_decay(subject, full, age, scale)
    falls: list[tuple[int, int]] = []
    while next_age is not None and len(falls) < MOST_FALLS:
        left, following = _apply_decay(subject, full, next_age, scale)
        falls.append((evidence.last + next_age, lower_by_denials(left or 0, denials, scale)))
        next_age = following
    aged = full if aged is None else aged
    return ConfidenceSteps(
        stated=max(stated, default=0),
        weighed=max(each.confidence for each in combined if each.confidence is not None),
        corroborated=full,
        aged=aged,
        now=lower_by_denials(aged, denials, scale),
        sources=len(combined),
        false_positives=len(evidence.denials),
        falls=tuple(falls),
    )


@dataclass(frozen=True, slots=True)
class _CountedEvidence:
    """The reports and assessments that count, grouped by origin."""

    reports: Sequence[Contribution]
    """The latest of each partner."""
    reported: Sequence[Evidence]
    """These reports in the order of receipt."""
    sighted: Sequence[Evidence]
    denials: Sequence[Sequence[Evidence]]
    last: int
    """Time of its last report or sighting, in µs."""

    @property
    def sources(self) -> list[list[Evidence]]:
        """The independent sources that reported or sighted it."""
        return group_by_origin([*self.reported, *self.sighted])

    def denied_by(self, scale: ConfidenceSettings) -> list[int]:
        """The reliabilities of the sources that call it a false positive."""
        return [_combine_group(group, scale).reliability for group in self.denials]


def _count_evidence(
    contributions: Sequence[Contribution],
    assessments: Sequence[Assessment],
    precedence: Precedence,
) -> _CountedEvidence:
    reports = latest_by_partner(contributions)
    counted = newest_by_partner(select_visible(assessments, reports[0]))
    seen = [each for each in counted if each.kind is AssessmentKind.SIGHTING]
    denied = [each for each in counted if each.kind is AssessmentKind.FALSE_POSITIVE]
    return _CountedEvidence(
        reports=reports,
        reported=precedence.by_receipt(reports),
        sighted=precedence.by_receipt(seen),
        denials=group_by_origin(precedence.by_receipt(denied)),
        last=max([c.last_reported or c.received for c in reports] + [t.when for t in seen]),
    )


def add_statistics(content: StixObject, statistics: HubStatistics, hub: str) -> StixObject:
    """Add the statistics to the content; `hub` is the id of the hub's identity."""
    if statistics.confidence is not None:
        content = {**content, "confidence": statistics.confidence}
    if content["type"] != "indicator":
        return content
    history = {
        "extension_type": "property-extension",
        "hub_ref": hub,
        "contributors": statistics.contributors,
        "first_reported": stix_time(statistics.first_day * DAY),
        "last_reported": stix_time(statistics.last_day * DAY),
        "sightings": statistics.sightings,
        "false_positives": statistics.false_positives,
    }
    return {**content, "extensions": {**content.get("extensions", {}), EXTENSION_ID: history}}


def _combine_group(group: Sequence[Evidence], scale: ConfidenceSettings) -> Source:
    return merge_sources(
        [Source(each.reliability, _weighed_confidence(each, scale)) for each in group]
    )


def _weighed_confidence(evidence: Evidence, scale: ConfidenceSettings) -> int | None:
    stated = evidence.object.get("confidence") if isinstance(evidence, Contribution) else None
    return None if stated is None else weigh_confidence(stated, evidence.reliability, scale)


def _apply_decay(
    subject: StixObject, full: int | None, age: int, scale: ConfidenceSettings
) -> tuple[int | None, int | None]:
    """The confidence at that age, and the age at which it falls next (µs)."""
    if full is None:
        return None, None
    half = half_life(subject, scale)
    return decay_confidence(full, age, half, scale.step), next_decay(full, age, half, scale.step)


def select_visible(assessments: Iterable[Assessment], about: Contribution) -> list[Assessment]:
    """Select the assessments that every reader of the object `about` may know of.

    One at a stricter TLP level, or under a further marking, is left out.
    """
    marks = _other_markings(about.scope)
    return [t for t in assessments if t.tlp <= about.tlp and _other_markings(t.scope) <= marks]


def newest_by_partner(assessments: Iterable[Assessment]) -> list[Assessment]:
    """The newest assessment of each partner, which is the partner's only voice.

    An opinion that does not disagree takes back a false positive; of a sighting it says nothing.
    """
    latest: dict[str, Assessment] = {}
    for each in sorted(assessments, key=assessment_order):
        before = latest.get(each.partner)
        sighted = before is not None and before.kind is AssessmentKind.SIGHTING
        if not (sighted and each.kind is AssessmentKind.OTHER):
            latest[each.partner] = each
    return list(latest.values())


def trim_assessments(assessments: Iterable[Assessment]) -> tuple[Assessment, ...]:
    """Keep the newest MAX_ASSESSMENTS_PER_PARTNER of each partner and level, in that order.

    The oldest first, and the one that counts among them.  Stricter ones take no room from those
    that more readers see: their count would fall, and show that there are others.
    """
    found: dict[tuple[str, Tlp], list[Assessment]] = {}
    for each in sorted(assessments, key=assessment_order):
        found.setdefault((each.partner, each.tlp), []).append(each)
    return tuple(t for key in sorted(found) for t in _trim_own(found[key]))


def _trim_own(own: Sequence[Assessment]) -> list[Assessment]:
    kept = list(own[-MAX_ASSESSMENTS_PER_PARTNER:])
    (counted,) = newest_by_partner(own)
    return kept if counted in kept else [counted, *kept[1:]]


def parse_assessments(contribution: Contribution) -> dict[str, Assessment]:
    """Parse a sighting or an opinion into assessments, by the id of the indicator it is about.

    Empty for any other type and for targets that are not indicators.
    """
    contribution = as_known_at(contribution, contribution.tlp)
    subject = contribution.object
    statement = read_statement(subject)
    if statement is None:
        return {}
    kind, targets = statement
    at = subject.get("last_seen") or subject.get("first_seen") or contribution.version
    assessment = Assessment(
        partner=contribution.partner,
        source_id=contribution.source_id,
        kind=kind,
        when=min(micros(at), contribution.received) if at else contribution.received,
        tlp=contribution.tlp,
        scope=contribution.scope,
        reliability=contribution.reliability,
        group=contribution.group,
    )
    return {target: assessment for target in targets if target.startswith("indicator--")}


MAX_ASSESSMENTS_PER_PARTNER = 20
"""Sightings and opinions kept per partner, level and object."""


def _other_markings(scope: str) -> set[str]:
    """The ids of the markings of a scope that are not a TLP level."""
    return set(scope.split("|")[1:])


def assessment_order(assessment: Assessment) -> tuple[int, bool, str, str]:
    """Sort key, newest last; at the same moment a false positive counts as the newer."""
    denies = assessment.kind is AssessmentKind.FALSE_POSITIVE
    return (assessment.when, denies, assessment.source_id, assessment.kind.value)
