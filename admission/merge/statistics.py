"""The statistics that the hub publishes in its own name: counts, days, confidence.

They stand in the hub's property extension of an indicator and in `confidence`.
The numbers come from `sources`, `assessments`, `confidence` and `decay`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tocsin.admission.merge.assessments import newest_by_partner, select_visible
from tocsin.admission.merge.confidence import (
    ConfidenceSettings,
    Source,
    combine_confidence,
    lower_by_denials,
    merge_sources,
    weigh_confidence,
)
from tocsin.admission.merge.content import latest_by_partner
from tocsin.admission.merge.decay import decay_confidence, half_life, next_decay
from tocsin.admission.merge.sources import BY_RECEIPT, Evidence, Precedence, group_by_origin
from tocsin.admission.model import (
    Assessment,
    AssessmentKind,
    Contribution,
    StixObject,
)
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.timestamps import DAY, stix_time


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
    """When confidence falls next if nothing else happens, in µs since 1970; None: never."""


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
    reports = latest_by_partner(contributions)
    counted = newest_by_partner(select_visible(assessments, reports[0]))
    seen = [each for each in counted if each.kind is AssessmentKind.SIGHTING]
    denied = [each for each in counted if each.kind is AssessmentKind.FALSE_POSITIVE]
    reported, sighted = precedence.by_receipt(reports), precedence.by_receipt(seen)
    sources = [_combine_group(group, scale) for group in group_by_origin([*reported, *sighted])]
    denials = group_by_origin(precedence.by_receipt(denied))
    lost = [_combine_group(group, scale).reliability for group in denials]
    moments = [c.last_reported or c.received for c in reports] + [t.when for t in seen]
    full, last = combine_confidence(sources, scale), max(moments)
    confidence, falls = _apply_decay(reports[0].object, full, now - last, scale)
    if confidence is not None:
        confidence = lower_by_denials(confidence, lost, scale)
    return HubStatistics(
        contributors=len(group_by_origin(reported)),
        first_day=min(c.first_reported or c.received for c in reports) // DAY,
        last_day=last // DAY,
        sightings=len(group_by_origin(sighted)),
        false_positives=len(denials),
        confidence=confidence,
        next_decay=None if falls is None else last + falls,
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
