"""AIS consent labels on a submitter's own identities: they can only reduce its consent.

A label never grants more than the partner agreed to with the hub, because
anybody who forwards an identity can add one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Consent,
    StixObject,
    Submitter,
)

_REDUCING_LABELS = {f"ais-consent-{each.value}": each for each in (Consent.NONE, Consent.USG)}


def apply_consent_labels(submitter: Submitter, subjects: Iterable[StixObject]) -> Submitter:
    """Reduce the submitter's consent to what its identities in this submission state."""
    if submitter.consent not in CONSENTS_TO_NAME:
        return submitter
    sent = list(subjects)
    creators = {str(each.get("created_by_ref")) for each in sent}
    names = {name.casefold() for name in submitter.names}
    for each in sent:
        own = str(each.get("id")) in creators or str(each.get("name", "")).casefold() in names
        labels = each.get("labels")
        if own and each.get("type") == "identity" and isinstance(labels, list):
            consents = (_REDUCING_LABELS.get(str(label).strip().lower()) for label in labels)
            if reduced := next(filter(None, consents), None):
                return replace(submitter, consent=reduced)
    return submitter
