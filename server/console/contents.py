"""The objects of a submission in a line, for its senders: `2 domains, 1 URL: evil[.]top, …`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tocsin.admission.descriptions import count, describe_object
from tocsin.admission.errors import Malformed
from tocsin.admission.stix.ijson import parse_object
from tocsin.server.intake.evaluate import split_envelope
from tocsin.server.model import Submission
from tocsin.server.store import Store

MOST_OBJECTS = 500
"""Objects of a submission that are counted; a larger one shows its first values only."""
MOST_OCTETS = 4_000_000
"""Octets of bodies that one page reads, the newest first."""
_MOST_VALUES = 3
_KINDS = {
    "domain-name": ("domain", "domains"),
    "url": ("URL", "URLs"),
    "ipv4-addr": ("IPv4 address", "IPv4 addresses"),
    "ipv6-addr": ("IPv6 address", "IPv6 addresses"),
    "email-addr": ("e-mail address", "e-mail addresses"),
    "MD5": ("hash", "hashes"),
    "SHA-1": ("hash", "hashes"),
    "SHA-256": ("hash", "hashes"),
    "SHA-512": ("hash", "hashes"),
    "attack-pattern": ("attack pattern", "attack patterns"),
    "campaign": ("campaign", "campaigns"),
    "file": ("file", "files"),
    "grouping": ("grouping", "groupings"),
    "identity": ("identity", "identities"),
    "indicator": ("indicator", "indicators"),
    "intrusion-set": ("intrusion set", "intrusion sets"),
    "malware": ("malware", "malware"),
    "marking-definition": ("marking", "markings"),
    "note": ("note", "notes"),
    "opinion": ("opinion", "opinions"),
    "relationship": ("relationship", "relationships"),
    "report": ("report", "reports"),
    "sighting": ("sighting", "sightings"),
    "threat-actor": ("threat actor", "threat actors"),
    "tool": ("tool", "tools"),
    "vulnerability": ("vulnerability", "vulnerabilities"),
}
_OTHER = ("other object", "other objects")


@dataclass(frozen=True, slots=True)
class ContentsSummary:
    """The objects of a submission, in short."""

    counts: str
    """`3 domains, 1 URL`; empty if they were not counted."""
    values: tuple[str, ...]
    """The first values or names."""
    has_more: bool


def read_contents(store: Store, submissions: Iterable[Submission]) -> dict[str, ContentsSummary]:
    """The contents of submissions by their ids, as long as their texts are kept.

    Those for which a page has no time are left out.
    """
    left, found = MOST_OCTETS, dict[str, ContentsSummary]()
    for each in submissions:
        if left <= 0:
            break
        whole = store.submissions.find(each.id)
        if whole is not None and whole.raw:
            left -= len(whole.raw)
            found[each.id] = describe_contents(whole.raw)
    return found


def describe_contents(body: bytes) -> ContentsSummary:
    """The objects of the body of a submission, in short."""
    objects = split_envelope(body)
    is_counted = len(objects) <= MOST_OBJECTS
    described = list(_describe(objects if is_counted else objects[:_MOST_VALUES]))
    counts = Counter(_KINDS.get(kind, _OTHER) for _, kind in described)
    listed = [count(number, *words) for words, number in counts.most_common()]
    values = tuple(dict.fromkeys(value for value, _ in described if value))
    return ContentsSummary(
        ", ".join(listed) if is_counted else "",
        values[:_MOST_VALUES],
        has_more=not is_counted or len(values) > _MOST_VALUES,
    )


def _describe(objects: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    """The values and kinds of objects."""
    for each in objects:
        try:
            yield describe_object(parse_object(each))
        except Malformed:
            yield "", ""
