"""Many contributions, one public object.

Pure and independent of order: the public object is computed from all
contributions anew, so it does not matter which came first.  Nothing of a
partner gets in but the content that admission left.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from tocsin.admission.model import Contribution, StixObject
from tocsin.admission.timestamps import micros

CEILING = 95
"""Agreement among partners never raises confidence above this."""

PER_PARTNER = 10
"""How much each further partner raises the highest confidence that was stated."""

_UNITED = ("indicator_types", "kill_chain_phases", "labels", "external_references")
_HUBS = ("id", "created", "modified", "created_by_ref", "revoked")


def public_id(kind: str, key: str, namespace: uuid.UUID) -> str:
    """The hub's own id for what `key` names: a stable map without a table.

    `namespace` is secret, so nobody outside can compute the map.
    """
    return f"{kind}--{uuid.uuid5(namespace, key)}"


def digest(subject: StixObject, leaving_out: Iterable[str] = ()) -> bytes:
    """16 octets over the object's value; equal for equal objects however they are spelt."""
    skipped = set(leaving_out)
    chosen = {name: value for name, value in subject.items() if name not in skipped}
    return hashlib.blake2b(spelt(chosen), digest_size=16).digest()


def spelt(subject: StixObject) -> bytes:
    """The object as compact JSON with sorted keys."""
    return orjson.dumps(subject, option=orjson.OPT_SORT_KEYS)


def merged(contributions: Sequence[Contribution]) -> StixObject:
    """What all contributions together say, without what is the hub's own to say.

    Where several levels meet in one object (an SCO keeps its id at every
    level), only the least strict contributions count, so that nothing known
    at a stricter level shows.
    """
    least = min(contribution.tlp for contribution in contributions)
    seen = sorted((c for c in contributions if c.tlp == least), key=_newest_first)
    content = {name: value for name, value in seen[0].object.items() if name not in _HUBS}
    if seen[0].object["type"] == "indicator":
        content |= _indicator([contribution.object for contribution in seen])
    confidence = _confidence([contribution.object for contribution in seen])
    if confidence is not None:
        content["confidence"] = confidence
    for name in _UNITED:
        union = _union(contribution.object.get(name, ()) for contribution in seen)
        if union:
            content[name] = union
    return {name: value for name, value in content.items() if value is not None}


def _newest_first(contribution: Contribution) -> tuple[int, bytes]:
    stamp = micros(contribution.version) if contribution.version else 0
    return (-stamp, spelt(contribution.object))


def _indicator(subjects: Sequence[StixObject]) -> StixObject:
    content: StixObject = {"valid_from": min((s["valid_from"] for s in subjects), key=micros)}
    content["valid_until"] = None
    if all("valid_until" in subject for subject in subjects):
        content["valid_until"] = max((s["valid_until"] for s in subjects), key=micros)
    for name in ("name", "description"):
        texts = [subject[name] for subject in subjects if subject.get(name)]
        if texts:
            content[name] = min(texts, key=_fullest)
    return content


def _fullest(text: str) -> tuple[int, str]:
    """Masked texts come last, then the longest first."""
    return (-len(text) + 1000 * text.count("[removed"), text)


def _confidence(subjects: Sequence[StixObject]) -> int | None:
    """The highest that was stated, raised by each further partner (docs/privacy.md)."""
    stated = [subject["confidence"] for subject in subjects if "confidence" in subject]
    if not stated:
        return None
    highest = int(max(stated))
    return max(highest, min(CEILING, highest + PER_PARTNER * (len(subjects) - 1)))


def _union(lists: Iterable[Sequence[Any]]) -> list[Any]:
    by_text: dict[bytes, Any] = {}

    for items in lists:
        by_text.update({orjson.dumps(item, option=orjson.OPT_SORT_KEYS): item for item in items})
    return [by_text[text] for text in sorted(by_text)]
