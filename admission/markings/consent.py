"""Consent that an identity itself gives, in a label (exchange of AIS): it may only be less.

More than the partner agreed to with the hub is not taken from a label, which
anybody may write onto an identity that he passes on.
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

_LESS = {f"ais-consent-{each.value}": each for each in (Consent.NONE, Consent.USG)}


def apply_consent_labels(submitter: Submitter, subjects: Iterable[StixObject]) -> Submitter:
    """The submitter as its own identities want it in this submission."""
    if submitter.consent not in CONSENTS_TO_NAME:
        return submitter
    sent = list(subjects)
    creators = {str(each.get("created_by_ref")) for each in sent}
    names = {name.casefold() for name in submitter.names}
    for each in sent:
        own = str(each.get("id")) in creators or str(each.get("name", "")).casefold() in names
        labels = each.get("labels")
        if own and each.get("type") == "identity" and isinstance(labels, list):
            said = (_LESS.get(str(label).strip().lower()) for label in labels)
            if less := next(filter(None, said), None):
                return replace(submitter, consent=less)
    return submitter
