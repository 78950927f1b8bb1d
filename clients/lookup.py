"""Look up single objects in the collections that a key may read.

The result is only what anyone with that key reads in the collections anyway.  The hub's
filters are used; a server that ignores them costs more pages, and its objects are filtered here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.admission.errors import Malformed
from tocsin.admission.model import StixObject
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.clients.http import Collection, Hub
from tocsin.clients.responses import decode_object, read_count

_MAX_PAGES = 1_000
_IDS_AT_ONCE = 50
"""Ids in one request; a URL has room for more, but some proxies stop at 4 KiB."""
_STATEMENTS = ("sighting", "opinion", "note")
"""Types by which others speak about an object."""


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
    raise Malformed(f"{collection.url} has no end after {_MAX_PAGES} pages")


def find_by_id(
    hub: Hub, collections: Iterable[Collection], ids: Sequence[str]
) -> dict[str, StixObject]:
    """The newest version of each object that is in one of the collections, by id."""
    newest: dict[str, StixObject] = {}
    wanted = set(ids)
    for collection in collections:
        for begin in range(0, len(ids), _IDS_AT_ONCE):
            filters = {"match[id]": ",".join(ids[begin : begin + _IDS_AT_ONCE])}
            for found in find_objects(hub, collection, filters):
                _keep_newer(newest, found, wanted)
    return newest


def find_by_pattern(
    hub: Hub, collections: Iterable[Collection], patterns: Sequence[str]
) -> list[StixObject]:
    """The indicators with one of these patterns, in their newest versions, that are in force."""
    newest: dict[str, StixObject] = {}
    for collection in collections:
        for pattern in patterns:
            filters = {"match[type]": "indicator"}
            if "," not in pattern:  # a comma would end the value
                filters["match[pattern]"] = pattern
            for found in find_objects(hub, collection, filters):
                if found.get("pattern") == pattern:
                    _keep_newer(newest, found, {str(found.get("id"))})
    return [each for each in newest.values() if each.get("revoked") is not True]


def find_statements(
    hub: Hub, collections: Iterable[Collection], ids: Sequence[str]
) -> list[StixObject]:
    """Sightings, opinions and notes about these objects, in force, in their newest versions.

    Only of servers whose filters find them; other servers would send the whole collection.
    """
    newest: dict[str, StixObject] = {}
    for collection in collections:
        for begin in range(0, len(ids) if collection.exact else 0, _IDS_AT_ONCE):
            wanted = set(ids[begin : begin + _IDS_AT_ONCE])
            filters = {
                "match[type]": ",".join(_STATEMENTS),
                "match[relationships-all]": ",".join(sorted(wanted)),
            }
            for found in find_objects(hub, collection, filters):
                if wanted & set(list_targets(found)):
                    _keep_newer(newest, found, {str(found.get("id"))})
    return [each for each in newest.values() if each.get("revoked") is not True]


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


def _keep_newer(newest: dict[str, StixObject], found: StixObject, wanted: Iterable[str]) -> None:
    id = str(found.get("id"))
    if id not in wanted:
        return
    before = newest.get(id)
    if before is None or str(before.get("modified", "")) <= str(found.get("modified", "")):
        newest[id] = found
