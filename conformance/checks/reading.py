"""Sections 10, 11, 13, 15 and 18: manifest, objects, object, versions, dates."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from tocsin.conformance.checks.types import of_kind
from tocsin.conformance.client import SkipCheck, Unexpected
from tocsin.conformance.http import Response
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.resource_tables import (
    STIX_ID,
    TIMESTAMP,
    parse_timestamp,
    unknown_properties,
)
from tocsin.conformance.server import Server

FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
FAR = "2999-01-01T00:00:00.000000Z"
_EVERY = {"match[version]": "all"}


def version_of(one: dict[str, Any]) -> str | None:
    """The version of an object as it names it itself."""
    found = one.get("modified", one.get("created"))
    return found if isinstance(found, str) else None


def _one(on: Server, id: str, tail: str = "") -> str:
    return f"{on.writable_path}objects/{quote(id, safe='')}/{tail}"


def _known(on: Server) -> str:
    """The path of an object that is there."""
    found = [path for kind, path, _ in on.pages if kind == "versions"]
    if not found:
        raise SkipCheck("there is no object to look at")
    return found[0].removesuffix("versions/")


def _absent(on: Server) -> str:
    return f"{on.readable}objects/indicator--{uuid.uuid4()}/"


def _objects_and_manifest(on: Server, more: dict[str, str]) -> tuple[Response, Response]:
    """The responses of objects and manifest to the same query."""
    query = {**on.feed.query, **more}
    return on.read(on.feed.at("objects/"), query), on.read(on.feed.at("manifest/"), query)


@check("10.1", "5.3", Level.MUST)
def same_query(on: Server) -> Looked:
    """A manifest lists the objects that the same query finds."""
    for more in ({}, {"match[type]": "indicator"}, {"match[type]": "tool"}, _EVERY):
        objects, records = _objects_and_manifest(on, more)
        if not (objects.resource.get("more") or records.resource.get("more")):
            same = sorted(records.ids) == sorted(objects.ids)
            yield expect(same, "the ids of objects/", records)


@check("10.1", "5.3", Level.DECISION)
def same_pages(on: Server) -> Looked:
    """A manifest has the order and the pages of the same query."""
    for more in ({"limit": "2"}, {"limit": "3", **_EVERY}):
        objects, records = _objects_and_manifest(on, more)
        yield expect(records.ids == objects.ids, "the ids of objects/, in its order", records)


@check("10.2", "5.3.1", Level.MUST)
def records(on: Server) -> Looked:
    """A record has id, date_added and version."""
    answer = on.read(on.feed.at("manifest/"), on.feed.query)
    if not answer.objects:
        raise Unexpected("records in the manifest", answer)
    yield from of_kind(on, "manifest")


@check("10.2", "5.3", Level.MUST)
def record_per_version(on: Server) -> Looked:
    """There is a record for each version."""
    id, versions = on.history[0]["id"], {parse_timestamp(version_of(each)) for each in on.history}
    answer = on.read(f"{on.writable_path}manifest/", {"match[id]": id, **_EVERY})
    reported = {parse_timestamp(each.get("version")) for each in answer.objects}
    yield expect(reported == versions and len(answer.objects) == 3, f"{sorted(versions)}", answer)


@check("10.3", "5.3.1", Level.MUST)
def record_versions(on: Server) -> Looked:
    """A record's version is modified, else created."""
    reported = [each for each in on.one_of_each_kind if version_of(each)]
    query = {"match[id]": ",".join(each["id"] for each in reported)}
    answer = on.read(f"{on.writable_path}manifest/", query)
    found = {str(each.get("id")): each.get("version") for each in answer.objects}
    for each in reported:
        version = version_of(each)
        same = parse_timestamp(found.get(each["id"])) == parse_timestamp(version)
        yield expect(same, f"{version} for {each['id']}", answer)


@check("10.4", "5.3.1", Level.MUST)
def empty_manifest(on: Server) -> Looked:
    """An empty manifest has no objects."""
    answer = on.get(f"{on.readable}manifest/", {"added_after": FAR})
    good = answer.status == 200 and answer.body.lstrip()[:1] == b"{"
    yield expect(good and "objects" not in answer.resource, "200 with {}", answer)


@check("10.6", "5.3.1", Level.MUST)
def record_types(on: Server) -> Looked:
    """A record's media type is one of the collection's."""
    answer = on.read(on.feed.at("manifest/"), on.feed.query)
    listed = on.read(on.feed.path).items("media_types")
    reported = {str(each["media_type"]) for each in answer.objects if "media_type" in each}
    if not reported or not listed:
        raise SkipCheck("the manifest or the collection names no media types")
    yield expect(reported <= set(listed), f"media types among {listed}", answer)


@check("10.7", "3.5", Level.DECISION, "22.11")
def next_everywhere(on: Server) -> Looked:
    """Manifests and versions with more have next too."""
    answer = on.get(on.feed.at("manifest/"), {**on.feed.query, "limit": "1"})
    yield expect("next" in answer.resource, "next beside more", answer)


@check("11.1", "3.7", Level.MUST)
def envelope(on: Server) -> Looked:
    """Objects come in an envelope, not in a bundle."""
    for kind, path, query in on.pages:
        if kind == "envelope":
            answer = on.read(path, query)
            others = unknown_properties("envelope", answer.resource)
            others = [name for name in others if name in ("type", "id", "spec_version")]
            yield expect(not others, f"more, next and objects, not {others}", answer)


@check("11.2", "3.7", Level.MUST)
def stix_objects(on: Server) -> Looked:
    """An envelope contains STIX objects."""
    answer = on.read(on.feed.at("objects/"), on.feed.query)
    for each in answer.items("objects"):
        good = isinstance(each, dict) and str(each.get("id")).startswith(f"{each.get('type')}--")
        yield expect(good and bool(STIX_ID.match(each["id"])), "type and id of STIX", answer)


@check("11.3", "5.4", Level.MUST)
def nothing_found(on: Server) -> Looked:
    """An empty result is an envelope without objects."""
    answer = on.get(f"{on.readable}objects/", {"added_after": FAR})
    good = answer.status == 200 and answer.body.lstrip()[:1] == b"{"
    yield expect(good and "objects" not in answer.resource, "200 without objects", answer)


@check("11.4", "3.7", Level.DECISION)
def next_with_more(on: Server) -> Looked:
    """next is present only with more."""
    if not on.feed.ids:
        raise SkipCheck("needs a collection to write: --collection")
    whole = on.read(on.feed.at("objects/"), {**on.feed.query, "limit": "100"})
    good = not whole.resource.get("more") and "next" not in whole.resource
    yield expect(good, "neither more nor next on the last page", whole)


@check("11.5", "3.7", Level.DECISION)
def as_posted(on: Server) -> Looked:
    """Objects are returned as they were posted."""
    for each in on.one_of_each_kind:
        answer = on.read(_one(on, each["id"]))
        yield expect(answer.objects == [each], f"as posted: {each}", answer)


@check("13.1", "5.6", Level.MUST)
def by_id(on: Server) -> Looked:
    """An object is served at its id."""
    id = on.seven_indicators[0]["id"]
    for written in (id, id.replace("-", "%2D", 1)):
        answer = on.get(f"{on.writable_path}objects/{written}/")
        yield expect(answer.ids == [id], "the object", answer)


@check("13.2", "5.6", Level.MUST)
def unknown_object(on: Server) -> Looked:
    """An unknown object is not found."""
    answer = on.get(_absent(on))
    yield expect(answer.status == 404, "404", answer)


@check("13.2", "5.6", Level.DECISION)
def malformed_object(on: Server) -> Looked:
    """A malformed id is not found."""
    answer = on.get(f"{on.readable}objects/garbage/")
    yield expect(answer.status in (400, 404), "404", answer)


@check("13.3", "5.6", Level.MUST)
def nothing_left(on: Server) -> Looked:
    """A known object without matching versions is an empty envelope."""
    answer = on.get(_known(on), {"added_after": FAR})
    good = answer.status == 200 and "objects" not in answer.resource
    yield expect(good, "200 without objects", answer)


@check("13.4", "5.6", Level.MUST)
def object_filters(on: Server) -> Looked:
    """The object endpoint accepts the filters of its table."""
    for query in (
        {"added_after": "2000-01-01T00:00:00.000000Z"},
        {"limit": "1"},
        {"match[version]": "all"},
        {"match[spec_version]": "2.0,2.1"},
    ):
        answer = on.get(_known(on), query)
        yield expect(answer.status == 200, "200", answer)


@check("13.5", "3.4.1", Level.MUST)
def latest(on: Server) -> Looked:
    """The object endpoint returns the latest version by default."""
    answer = on.read(_one(on, on.history[0]["id"]))
    versions = [version_of(each) for each in answer.objects]
    yield expect(versions == [version_of(on.history[1])], "the version of 2023 alone", answer)


@check("13.6", "3.7", Level.DECISION)
def pages_of_versions(on: Server) -> Looked:
    """The versions of an object are paged."""
    query = {**_EVERY, "limit": "1"}
    found: list[str | None] = []
    for _ in range(4):
        answer = on.read(_one(on, on.history[0]["id"]), query)
        found += [version_of(each) for each in answer.objects]
        if not answer.resource.get("more"):
            break
        query["next"] = str(answer.resource.get("next", ""))
    wanted = sorted(str(version_of(each)) for each in on.history)
    yield expect(sorted(map(str, found)) == wanted, "three pages of one version", answer)


@check("13.7", "5.6", Level.DECISION, "22.8")
def absent_version(on: Server) -> Looked:
    """A version that the object does not have is not found."""
    answer = on.get(_known(on), {"match[version]": "1999-01-01T00:00:00.000Z"})
    yield expect(answer.status == 404, "404", answer)


@check("15.1", "5.8.1", Level.MUST)
def versions(on: Server) -> Looked:
    """Versions are strings; without any the key is left out."""
    path = f"{_known(on)}versions/"
    answer = on.read(path)
    reported = answer.items("versions")
    yield expect(bool(reported) and all(isinstance(v, str) for v in reported), "strings", answer)
    answer = on.get(path, {"added_after": FAR})
    yield expect(answer.status == 200 and "versions" not in answer.resource, "200 with {}", answer)


@check("15.2", "5.8", Level.MUST)
def created(on: Server) -> Looked:
    """The version of an object without modified is created."""
    marking = on.one_of_each_kind[2]
    answer = on.read(_one(on, marking["id"], "versions/"))
    reported = [parse_timestamp(each) for each in answer.items("versions")]
    yield expect(reported == [parse_timestamp(marking["created"])], marking["created"], answer)


@check("15.3", "3.4.1", Level.DECISION, "22.6")
def server_version(on: Server) -> Looked:
    """An object without dates has the same version everywhere."""
    id = on.one_of_each_kind[1]["id"]
    record = on.read(f"{on.writable_path}manifest/", {"match[id]": id})
    version = str((record.objects or [{}])[0].get("version"))
    reported = on.read(_one(on, id, "versions/"))
    yield expect(reported.items("versions") == [version], f"{version} as in the manifest", reported)
    found = on.get(f"{on.writable_path}objects/", {"match[id]": id, "match[version]": version})
    yield expect(found.ids == [id], f"the object for match[version]={version}", found)


@check("15.4", "5.8", Level.MUST)
def version_filters(on: Server) -> Looked:
    """The versions endpoint accepts the filters of its table."""
    for query in ({"added_after": "2000-01-01T00:00:00.000000Z"}, {"limit": "1"}):
        answer = on.get(f"{_known(on)}versions/", query)
        yield expect(answer.status == 200, "200", answer)
    answer = on.get(f"{_known(on)}versions/", {"match[spec_version]": "2.0,2.1"})
    yield expect(answer.status == 200, "200", answer)


@check("15.5", "3.5", Level.DECISION)
def version_order(on: Server) -> Looked:
    """Versions are ordered by the date at which they were added."""
    answer = on.read(_one(on, on.history[0]["id"], "versions/"))
    wanted = [parse_timestamp(version_of(each)) for each in on.history]
    reported = [parse_timestamp(each) for each in answer.items("versions")]
    yield expect(reported == wanted, f"{wanted}", answer)


@check("15.7", "3.5", Level.DECISION)
def walk_versions(on: Server) -> Looked:
    """Versions can be paged with added_after alone."""
    path, query = _one(on, on.history[0]["id"], "versions/"), {"limit": "2"}
    first = on.read(path, query)
    last = first.header(LAST)
    if last is None:
        raise Unexpected(LAST, first)
    second = on.read(path, {**query, "added_after": last})
    found = [*first.items("versions"), *second.items("versions")]
    wanted = sorted(parse_timestamp(version_of(each)) for each in on.history)
    yield expect(sorted(map(parse_timestamp, found)) == wanted, f"{wanted} on two pages", second)


@check("15.8", "5.8", Level.MUST)
def unknown_versions(on: Server) -> Looked:
    """The versions of an unknown object are not found."""
    answer = on.get(f"{_absent(on)}versions/")
    yield expect(answer.status == 404, "404", answer)


def _dated(on: Server) -> list[Response]:
    answers = [on.get(path, query) for _, path, query in on.pages]
    return [answer for answer in answers if answer.items("objects") or answer.items("versions")]


@check("18.1", "3.2", Level.MUST, "15.6", "18.6")
def date_headers(on: Server) -> Looked:
    """Every page states its first and last date_added."""
    for answer in _dated(on):
        good = answer.header(FIRST) is not None and answer.header(LAST) is not None
        yield expect(good, f"{FIRST} and {LAST}", answer)


@check("18.2", "3.2", Level.MUST)
def date_form(on: Server) -> Looked:
    """The date headers are timestamps."""
    for answer in _dated(on):
        for name in (FIRST, LAST):
            given = answer.header(name)
            if given is not None:
                yield expect(bool(TIMESTAMP.fullmatch(given)), f"{name} with six decimals", answer)


@check("18.3", "3.2", Level.MUST)
def date_of_page(on: Server) -> Looked:
    """The date headers match the page."""
    query = {**on.feed.query, "limit": "3"}
    records = on.read(on.feed.at("manifest/"), query)
    dates = [each.get("date_added") for each in records.objects]
    if not dates:
        raise Unexpected("records in the manifest", records)
    for path in ("manifest/", "objects/"):
        answer = on.read(on.feed.at(path), query)
        reported = [parse_timestamp(answer.header(name)) for name in (FIRST, LAST)]
        wanted = [parse_timestamp(dates[0]), parse_timestamp(dates[-1])]
        yield expect(reported == wanted, f"{dates[0]} and {dates[-1]}", answer)


@check("18.4", "3.2", Level.DECISION, "22.10")
def date_of_nothing(on: Server) -> Looked:
    """On an empty page the date headers move no poller."""
    answer = on.read(f"{on.readable}objects/", {"added_after": FAR})
    reported = (answer.header(FIRST), answer.header(LAST))
    yield expect(
        reported in ((None, None), (FAR, FAR)), "no header, or added_after in both", answer
    )
    answer = on.read(f"{on.readable}objects/", {"match[type]": "x-no-such-type"})
    yield expect(answer.header(LAST) is None, "no header without added_after", answer)


@check("18.5", "3.2", Level.DECISION)
def no_dates(on: Server) -> Looked:
    """Other endpoints have no date headers."""
    for kind, answer in on.resources:
        if kind in ("discovery", "api-root", "collections", "collection", "status"):
            yield expect(answer.header(LAST) is None, f"no {LAST}", answer)
