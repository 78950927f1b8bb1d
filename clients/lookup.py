"""Look up single objects in the collections that a key may read.

The result is only what anyone with that key reads in the collections anyway.  The hub's
filters are used; a server that ignores them costs more pages, and its objects are filtered here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

from tocsin.admission.errors import Malformed
from tocsin.admission.model import StixObject
from tocsin.admission.observables.values import extract_observables, resolve_reference
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.patterns.grammar import quote_string
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.clients.http import Collection, Hub
from tocsin.clients.responses import decode_object, read_count

_MAX_PAGES = 1_000
_IDS_AT_ONCE = 50
"""Ids in one request; a URL has room for more, but some proxies stop at 4 KiB."""
_OCTETS_AT_ONCE = 3_000
"""Octets of the patterns in one request, as they stand in its URL; for the same reason."""
_LONGEST_PATTERN = 4_096
"""Characters of a pattern that a hub looks for."""
_EQUALITY = ("=", "IN")
_STATEMENTS = ("sighting", "opinion", "note")
"""Types by which others speak about an object."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that was found."""

    subject: StixObject
    """Its newest version."""
    collections: tuple[Collection, ...]
    """Those that have it, in this or an earlier version."""

    @property
    def id(self) -> str:
        """The id of the object."""
        return str(self.subject.get("id"))

    @property
    def is_revoked(self) -> bool:
        """True if it is in force no more."""
        return self.subject.get("revoked") is True


@dataclass(frozen=True, slots=True)
class History:
    """Read what a public indicator states about its reports; zeros where it states nothing."""

    contributors: int = 0
    """Independent sources."""
    sightings: int = 0
    false_positives: int = 0


def find_objects(
    hub: Hub, collection: Collection, filters: Mapping[str, str]
) -> Iterator[StixObject]:
    """The objects of a collection that the server's filters select, in its order.

    A server that does not know a filter ignores it, so the caller filters again.
    """
    query = {**filters, "limit": "1000"}
    for _ in range(_MAX_PAGES):
        page = hub.fetch_page(collection, query)
        for text in page.objects:
            found = decode_object(text)
            if isinstance(found, dict) and isinstance(found.get("id"), str):
                yield found
        if not (page.more and page.next):
            return
        query["next"] = page.next
    raise Malformed(
        f"{collection.url} has no end after {_MAX_PAGES:,} pages; "
        "`tocsin poll` reads it into a file, in which you can search"
    )


def find_by_id(
    hub: Hub, collections: Iterable[Collection], ids: Sequence[str]
) -> dict[str, StixObject]:
    """The newest version of each object that is in one of the collections, by id."""
    return {each.id: each.subject for each in locate_by_id(hub, collections, ids)}


def locate_by_id(
    hub: Hub, collections: Iterable[Collection], ids: Sequence[str]
) -> Iterable[Found]:
    """The objects with these ids that are in one of the collections."""
    newest: dict[str, Found] = {}
    wanted = set(ids)
    for collection in collections:
        for begin in range(0, len(ids), _IDS_AT_ONCE):
            filters = {"match[id]": ",".join(ids[begin : begin + _IDS_AT_ONCE])}
            for found in find_objects(hub, collection, filters):
                if found.get("id") in wanted:
                    _keep_newer(newest, found, collection)
    return newest.values()


def find_by_pattern(
    hub: Hub, collections: Iterable[Collection], patterns: Sequence[str]
) -> list[StixObject]:
    """The indicators with one of these patterns, in their newest versions, that are in force."""
    found = locate_by_pattern(hub, collections, patterns)
    return [each.subject for each in found if not each.is_revoked]


def locate_by_pattern(
    hub: Hub, collections: Iterable[Collection], patterns: Iterable[str], *, inside: bool = False
) -> Iterable[Found]:
    """The indicators with one of these patterns, each of a single value.

    With `inside` also those of longer patterns that name the value: the collections are then read
    as wholes, because servers find a pattern only if they are given all of it.
    """
    newest: dict[str, Found] = {}
    wanted = {canonical_pattern(each) for each in patterns}
    for collection in collections:
        for found in _find_indicators(hub, collection, wanted, inside):
            _keep_newer(newest, found, collection)
    return newest.values()


def _find_indicators(
    hub: Hub, collection: Collection, wanted: Set[str], inside: bool
) -> Iterator[StixObject]:
    """The versions in a collection that have a wanted pattern, in as few requests as possible."""
    for batch in _split_patterns(wanted, whole=inside):
        filters = {"match[type]": "indicator"}
        filters |= {"match[pattern]": ",".join(batch)} if batch else {}
        is_filtered = bool(batch)
        for found in find_objects(hub, collection, filters):
            own = list_patterns(found, inside=inside)
            if own & wanted:
                yield found
            is_filtered = is_filtered and not own.isdisjoint(batch)
        if not is_filtered:  # it has sent all that it has
            return


def _split_patterns(wanted: Set[str], *, whole: bool) -> Iterator[tuple[str, ...]]:
    """The patterns of each request; none stands for the whole collection.

    A pattern that no filter can hold makes that necessary: a comma would end it.
    """
    if whole or any("," in each or len(each) > _LONGEST_PATTERN for each in wanted):
        yield ()
        return
    batch: tuple[str, ...] = ()
    for pattern in sorted(wanted):
        spelt = (pattern, *_other_spellings(pattern))
        if batch and len(quote_plus(",".join((*batch, *spelt)))) > _OCTETS_AT_ONCE:
            yield batch
            batch = ()
        batch += spelt
    if batch:
        yield batch


def _other_spellings(pattern: str) -> Iterator[str]:
    """The spellings of a canonical pattern that verbatim collections and other servers have.

    >>> [*_other_spellings("[domain-name:value = 'evil.top']")]
    ["[domain-name:value='evil.top']"]
    """
    yield pattern.replace(" = ", "=", 1)
    if ".'MD5' = " in pattern:
        yield pattern.replace(".'MD5' = ", ".MD5 = ", 1)


def list_patterns(subject: StixObject, *, inside: bool = False) -> frozenset[str]:
    """The canonical patterns of single values that an indicator has.

    That is its own, or with `inside` one for each value that it names by equality.

    >>> list_patterns({"type": "indicator", "pattern": "[domain-name:value='EVIL.top']"})
    frozenset({"[domain-name:value = 'evil.top']"})
    """
    values = [each for each in extract_observables(subject) if each.operator in _EQUALITY]
    if subject.get("type") != "indicator" or (len(values) != 1 and not inside):
        return frozenset()
    try:
        if not inside:
            return frozenset((canonical_pattern(str(subject["pattern"])),))
        return frozenset(
            canonical_pattern(f"[{each.kind}:{each.property} = {quote_string(each.value)}]")
            for each in map(resolve_reference, values)
            if not each.negated
        )
    except Malformed:  # it is of another server
        return frozenset()


def find_statements(
    hub: Hub, collections: Iterable[Collection], ids: Sequence[str]
) -> list[StixObject]:
    """Sightings, opinions and notes about these objects, in force, in their newest versions.

    Only of servers whose filters find them; other servers would send the whole collection.
    """
    newest: dict[str, Found] = {}
    for collection in collections:
        for begin in range(0, len(ids) if collection.exact else 0, _IDS_AT_ONCE):
            wanted = set(ids[begin : begin + _IDS_AT_ONCE])
            filters = {
                "match[type]": ",".join(_STATEMENTS),
                "match[relationships-all]": ",".join(sorted(wanted)),
            }
            for found in find_objects(hub, collection, filters):
                if wanted & set(list_targets(found)):
                    _keep_newer(newest, found, collection)
    return [each.subject for each in newest.values() if not each.is_revoked]


def list_targets(statement: StixObject) -> list[str]:
    """The ids of the objects that a sighting, an opinion or a note is about."""
    refs = statement.get("object_refs")
    several = refs if isinstance(refs, list) else []
    return [str(each) for each in (statement.get("sighting_of_ref"), *several) if each]


def read_history(subject: StixObject) -> History:
    """Reports of a public indicator, as the hub counted them."""
    extensions = subject.get("extensions")
    own: Any = extensions.get(EXTENSION_ID) if isinstance(extensions, dict) else None
    if not isinstance(own, dict):
        return History()
    return History(
        contributors=read_count(own, "contributors"),
        sightings=read_count(own, "sightings"),
        false_positives=read_count(own, "false_positives"),
    )


def _keep_newer(newest: dict[str, Found], subject: StixObject, collection: Collection) -> None:
    """Keep the newest version of each object, and note the collections."""
    found = Found(subject, (collection,))
    before = newest.get(found.id)
    if before is not None:
        is_newer = str(before.subject.get("modified", "")) <= str(subject.get("modified", ""))
        places = dict.fromkeys((*before.collections, collection))
        found = replace(found if is_newer else before, collections=tuple(places))
    newest[found.id] = found
