"""Shortened contributions: what a merge needs of those that do not lead, without long texts.

A public object is one document with all its contributions, and documents are limited.
Where they do not fit, the contributions that do not lead are shortened: a merge still
has what they add to the object, and who reported it when.  A digest of what was left
out tells whether the partner sends the same again.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson

from tocsin.admission.merge.identity import contributing_properties
from tocsin.admission.model import Contribution, StixObject

SHORT_OCTETS = 256
"""Octets of a property, as JSON, that may stay whatever it says."""
SHORT_OCTETS_OF_ALL = 4_096
"""Octets of all such properties together."""
REFERENCE_OCTETS = 65_536
"""Octets of the external references that stay; they tell independent sources apart."""
_MERGED = frozenset(
    (
        *("type", "spec_version", "pattern", "pattern_type", "pattern_version"),
        *("valid_from", "valid_until", "indicator_types", "kill_chain_phases", "confidence"),
        *("relationship_type", "start_time", "stop_time", "definition", "definition_type"),
    )
)
"""Properties that a merge or the standard needs, apart from references to objects."""
_OF_REFERENCES = ("source_name", "url", "external_id")


def shorten(contribution: Contribution) -> Contribution:
    """The contribution without long texts; what was shortened before stays as it is."""
    if contribution.removed:
        return contribution
    removed: list[StixObject] = []

    def cut(subject: StixObject) -> StixObject:
        kept, left_out = _split(subject)
        removed.append(left_out)
        return kept

    subject = cut(contribution.object)
    stricter = tuple((level, cut(layer)) for level, layer in contribution.stricter_layers)
    digest = _digest(removed)
    drafts = tuple((level, cut(layer)) for level, layer in contribution.unresolved_layers)
    return replace(
        contribution,
        object=subject,
        stricter_layers=stricter,
        unresolved_layers=drafts,
        removed=digest,
    )


def stored_octets(contribution: Contribution) -> int:
    """About how many octets the contribution takes where it is stored."""
    layers = (*contribution.stricter_layers, *contribution.unresolved_layers)
    texts = (contribution.object, *(layer for _, layer in layers))
    return 500 + len(contribution.raw) + sum(len(orjson.dumps(each)) for each in texts)


def _split(subject: StixObject) -> tuple[StixObject, StixObject]:
    """The properties that stay, and those that are left out."""
    needed = _MERGED | set(contributing_properties(subject["type"]))
    kept: StixObject = {}
    left_out: StixObject = {}
    room = SHORT_OCTETS_OF_ALL
    for name in sorted(subject):
        value = subject[name]
        if name in needed or name.endswith(("_ref", "_refs")):
            kept[name] = value
        elif name == "external_references":
            kept[name] = _shorten_references(value)
            if kept[name] != value:
                left_out[name] = value
        elif (octets := len(orjson.dumps(value))) <= min(SHORT_OCTETS, room):
            kept[name] = value
            room -= octets
        else:
            left_out[name] = value
    if left_out and "granular_markings" in kept:  # they name properties that are gone
        left_out["granular_markings"] = kept.pop("granular_markings")
    return kept, left_out


def _shorten_references(references: list[Any]) -> list[Any]:
    kept: list[Any] = []
    room = REFERENCE_OCTETS
    for each in references:
        short = {name: each[name] for name in _OF_REFERENCES if name in each}
        room -= len(orjson.dumps(short))
        if room < 0:
            break
        kept.append(short)
    return kept


def _digest(removed: list[StixObject]) -> bytes:
    text = orjson.dumps(removed, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).digest()
