"""Section 9: collections."""

from __future__ import annotations

import uuid
from collections import Counter

from tocsin.conformance.checks.types import of_kind
from tocsin.conformance.client import SkipCheck
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.server import Server


@check("9.1", "5.1.1", Level.MUST)
def no_collections(on: Server) -> Looked:
    """The list of collections is left out where it is empty."""
    who = [on.options.credential or None]
    who += [on.options.other] if on.options.other else []
    for credential in who:
        answer = on.get(f"{on.root}collections/", (), Authorization=credential)
        reported = answer.resource.get("collections", [0])
        yield expect(answer.status == 200 and bool(reported), "at least one, or no key", answer)


@check("9.2", "3.3", Level.MUST)
def same_order(on: Server) -> Looked:
    """Collections are returned in the same order every time."""
    first = [each.get("id") for each in on.collections]
    for _ in range(3):
        answer = on.get(f"{on.root}collections/")
        again = [each.get("id") for each in answer.items("collections") if isinstance(each, dict)]
        yield expect(again == first, "the same order as before", answer)


@check("9.2", "Interop 2.1.7", Level.DECISION)
def ordered_by_id(on: Server) -> Looked:
    """Collections are ordered by ascending id."""
    ids = [str(each.get("id")) for each in on.collections]
    yield expect(ids == sorted(ids), "ascending ids", on.get(f"{on.root}collections/"))


@check("9.3", "5.2.1", Level.MUST)
def properties(on: Server) -> Looked:
    """A collection has id, title, can_read and can_write."""
    yield from of_kind(on, "collections", "collection")


@check("9.4", "5.2.1", Level.MUST)
def flags(on: Server) -> Looked:
    """can_read is true for the account that asks."""
    for each in on.collections[:20]:
        answer = on.get(f"{on.path(each)}objects/", {"limit": "1"})
        allowed = (200,) if each.get("can_read") is True else (403, 404)
        expected = f"{' or '.join(map(str, allowed))} where can_read is {each.get('can_read')}"
        yield expect(answer.status in allowed, expected, answer)


@check("9.5", "5.2.1", Level.MUST)
def unique_aliases(on: Server) -> Looked:
    """No alias is given twice."""
    names = Counter(str(each["alias"]) for each in on.collections if "alias" in each)
    twice = [name for name, count in names.items() if count > 1]
    yield expect(not twice, f"aliases once each, not {twice}", on.get(f"{on.root}collections/"))


@check("9.6", "5.2.1", Level.DECISION)
def aliases(on: Server) -> Looked:
    """An alias names the collection in a URL."""
    named = [each for each in on.collections if isinstance(each.get("alias"), str)]
    if not named:
        raise SkipCheck("no collection has an alias")
    for each in named[:5]:
        answer = on.get(f"{on.root}collections/{each['alias']}/")
        yield expect(answer.resource.get("id") == each.get("id"), "the collection", answer)


@check("9.7", "5.2.1", Level.MUST)
def media_types(on: Server) -> Looked:
    """media_types contains media types."""
    for each in on.collections:
        if "media_types" in each:
            reported = each["media_types"]
            good = (
                isinstance(reported, list)
                and all("/" in str(one) for one in reported)
                and bool(reported)
            )
            yield expect(good, "media types", on.get(on.path(each)))


@check("9.8", "5.2", Level.MUST)
def unknown(on: Server) -> Looked:
    """An unknown collection is not found."""
    for tail in ("", "manifest/", "objects/"):
        answer = on.get(f"{on.root}collections/{uuid.uuid4()}/{tail}")
        yield expect(answer.status == 404, "404", answer)


@check("9.8", "5.2", Level.DECISION)
def malformed(on: Server) -> Looked:
    """A collection id that is not a UUID is not found."""
    for name in ("not-a-uuid", "%00", "%2e%2e"):
        answer = on.get(f"{on.root}collections/{name}/")
        yield expect(answer.status in (400, 404), "404", answer)


@check("9.10", "5.2.1", Level.DECISION)
def whole(on: Server) -> Looked:
    """The list of collections is always complete."""
    answer = on.get(f"{on.root}collections/", {"limit": "1"})
    count = len(answer.items("collections"))
    yield expect(count == len(on.collections), "every collection, whatever limit says", answer)
