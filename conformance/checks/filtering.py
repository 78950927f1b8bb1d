"""Section 16: filters."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from tocsin.conformance import samples
from tocsin.conformance.checks.reading import version_of
from tocsin.conformance.client import Query, SkipCheck, Unexpected
from tocsin.conformance.http import Response
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.resource_tables import parse_timestamp
from tocsin.conformance.server import Server

PAST = "2000-01-01T00:00:00.000000Z"
STIX_TYPES = [
    "attack-pattern",
    "campaign",
    "course-of-action",
    "grouping",
    "identity",
    "incident",
    "indicator",
    "infrastructure",
    "intrusion-set",
    "location",
    "malware",
    "malware-analysis",
    "note",
    "observed-data",
    "opinion",
    "report",
    "threat-actor",
    "tool",
    "vulnerability",
    "relationship",
    "sighting",
    "language-content",
    "marking-definition",
    "extension-definition",
    "artifact",
    "autonomous-system",
    "directory",
    "domain-name",
    "email-addr",
    "email-message",
    "file",
    "ipv4-addr",
    "ipv6-addr",
    "mac-addr",
    "mutex",
    "network-traffic",
    "process",
    "software",
    "url",
    "user-account",
    "windows-registry-key",
    "x509-certificate",
]


def _objects(on: Server, query: Query) -> Response:
    return on.get(f"{on.readable}objects/", query)


@check("16.1", "3.4", Level.MUST)
def malformed(on: Server) -> Looked:
    """A malformed parameter is refused."""
    wrong = [("limit", value) for value in ("0", "-1", "1.5", "abc", "")]
    days = ("yesterday", "2020-13-45T00:00:00Z", "")
    wrong += [("added_after", value) for value in days]
    wrong += [("match[version]", v) for v in ("foo", "all,last", "last,last")]
    for name, value in wrong:
        for endpoint in ("objects/", "manifest/"):
            answer = on.get(on.readable + endpoint, {name: value})
            yield expect(answer.status == 400, f"400 for {name}={value}", answer)


@check("16.2", "3.4", Level.MUST)
def added_after_once(on: Server) -> Looked:
    """added_after is given once, with one timestamp."""
    for query in (
        [("added_after", PAST), ("added_after", PAST)],
        {"added_after": f"{PAST},{PAST}"},
    ):
        answer = _objects(on, query)
        yield expect(answer.status == 400, "400", answer)


def _moment(record: dict[str, object]) -> datetime:
    return datetime.fromisoformat(str(record["date_added"]).replace("Z", "+00:00"))


@check("16.3", "3.4", Level.MUST)
def exclusive(on: Server) -> Looked:
    """added_after excludes exactly that instant, and nothing later."""
    records = on.read(on.feed.at("manifest/"), {**on.feed.query, "limit": "1"})
    record = (records.objects or [{}])[0]
    if not re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z$", str(record.get("date_added"))):
        raise Unexpected("a record with date_added", records)
    before = (_moment(record) - timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for endpoint in ("objects/", "manifest/"):
        query = {**on.feed.query, "match[id]": str(record["id"])}
        at = on.get(on.feed.at(endpoint), {**query, "added_after": str(record["date_added"])})
        good = at.status == 200 and record["id"] not in at.ids
        yield expect(good, f"not the object added at {record['date_added']}", at)
        just = on.get(on.feed.at(endpoint), {**query, "added_after": before})
        yield expect(record["id"] in just.ids, f"the object a microsecond after {before}", just)


@check("16.4", "3.4", Level.MUST)
def unrelated(on: Server) -> Looked:
    """added_after does not depend on the objects' own dates."""
    (one,) = on.add(
        samples.indicator(created="2001-01-01T00:00:00.000Z", modified="2001-01-01T00:00:00.000Z")
    )
    query = {"match[id]": one["id"], "added_after": "2010-01-01T00:00:00.000000Z"}
    answer = on.get(f"{on.writable_path}objects/", query)
    yield expect(answer.ids == [one["id"]], "an object of 2001 that was added today", answer)


@check("16.5", "3.4", Level.MUST)
def oldest_first(on: Server) -> Looked:
    """Without added_after, objects start with the oldest."""
    whole = on.read(on.feed.at("manifest/"), on.feed.query)
    first = on.read(on.feed.at("manifest/"), {**on.feed.query, "limit": "1"})
    dates = [str(each.get("date_added")) for each in whole.objects]
    reported = [str(each.get("date_added")) for each in first.objects]
    yield expect(bool(reported) and reported[0] == min(dates), "the oldest record", first)


@check("16.6", "3.4", Level.MUST)
def field_once(on: Server) -> Looked:
    """A match field is given once."""
    for name, value in (
        ("type", "indicator"),
        ("id", samples.indicator()["id"]),
        ("version", "all"),
    ):
        answer = _objects(on, [(f"match[{name}]", value), (f"match[{name}]", value)])
        yield expect(answer.status == 400, f"400 for match[{name}] twice", answer)


@check("16.7", "3.4", Level.MUST)
def joined(on: Server) -> Looked:
    """Match fields are combined with AND, their values with OR."""
    one, other, third = (each["id"] for each in on.one_of_each_kind[:3])
    every = f"{one},{other},{third}"
    for ids, types, wanted in (
        (every, "indicator", {one}),
        (every, "indicator,ipv4-addr", {one, other}),
        (every, "ipv4-addr,marking-definition,tool", {other, third}),
        (every, "tool", set()),
        (one, "indicator,ipv4-addr", {one}),
    ):
        query = {"match[id]": ids, "match[type]": types}
        answer = on.get(f"{on.writable_path}objects/", query)
        expected = f"{sorted(wanted)} for match[type]={types}"
        yield expect(answer.status == 200 and set(answer.ids) == wanted, expected, answer)


@check("16.8", "3.4", Level.DECISION, "22.14")
def unknown_field(on: Server) -> Looked:
    """An unknown match field is ignored."""
    plain = on.get(on.feed.at("objects/"), {**on.feed.query, "limit": "2"})
    answer = on.get(on.feed.at("objects/"), {**on.feed.query, "limit": "2", "match[x_foo]": "1"})
    yield expect(answer.status == 200 and answer.ids == plain.ids, "200, as without it", answer)


@check("16.9", "3.4", Level.DECISION)
def unknown_parameter(on: Server) -> Looked:
    """An unknown parameter is ignored."""
    answer = _objects(on, {"limit": "1", "foo": "1"})
    yield expect(answer.status == 200, "200", answer)


@check("16.10", "3.4", Level.DECISION)
def brackets(on: Server) -> Looked:
    """Brackets may be literal or percent-encoded."""
    for written in ("match[type]", "match%5Btype%5D", "match%5btype%5d"):
        answer = on.get(f"{on.readable}objects/?{written}=x-no-such-type&limit=1")
        yield expect(answer.status == 200 and not answer.ids, "no objects of that type", answer)


@check("16.11", "3.4.1", Level.MUST)
def stix_types(on: Server) -> Looked:
    """Every STIX 2.1 type is accepted in match[type]."""
    for type in STIX_TYPES:
        answer = _objects(on, {"match[type]": type, "limit": "1"})
        yield expect(answer.status == 200, f"200 for match[type]={type}", answer)


@check("16.12", "3.4.1", Level.MUST)
def only_types(on: Server) -> Looked:
    """Only objects of the requested types are returned."""
    for type in ("indicator", "indicator,relationship"):
        answer = _objects(on, {"match[type]": type})
        found = {str(each.get("type")) for each in answer.objects}
        yield expect(found <= set(type.split(",")), f"only {type}", answer)


@check("16.13", "3.4.1", Level.DECISION)
def unknown_id(on: Server) -> Looked:
    """An unknown id matches nothing."""
    for endpoint in ("objects/", "manifest/"):
        answer = on.get(on.readable + endpoint, {"match[id]": samples.indicator()["id"]})
        yield expect(answer.status == 200 and not answer.ids, "200 without objects", answer)


def _both(on: Server) -> str:
    """The id of an object that is there in STIX 2.0 and 2.1."""
    listed = on.writable.get("media_types") or []
    if not any("version=2.0" in str(each) for each in listed):
        raise SkipCheck("the collection does not list STIX 2.0")
    new = samples.indicator(modified="2024-07-01T00:00:00.000Z")
    on.add(samples.old_indicator(new["id"]))
    on.add(new)
    return str(new["id"])


@check("16.14", "3.4.1", Level.MUST, "19.7")
def spec_versions(on: Server) -> Looked:
    """By default each object is returned in its latest spec version."""
    id = _both(on)
    for query, wanted in (
        ({}, ["2.1"]),
        ({"match[spec_version]": "2.0"}, ["2.0"]),
        ({"match[spec_version]": "2.1"}, ["2.1"]),
        ({"match[spec_version]": "2.0,2.1", "match[version]": "all"}, ["2.0", "2.1"]),
    ):
        answer = on.get(f"{on.writable_path}objects/", {"match[id]": id, **query})
        found = sorted(str(each.get("spec_version", "2.0")) for each in answer.objects)
        yield expect(found == wanted, f"{wanted}", answer)


@check("16.15", "3.4.1", Level.DECISION)
def observable(on: Server) -> Looked:
    """An observable without spec_version counts as STIX 2.1."""
    one = samples.address()
    del one["spec_version"]
    on.add(one)
    for spec, wanted in (("2.1", [one["id"]]), ("2.0", [])):
        query = {"match[id]": one["id"], "match[spec_version]": spec}
        answer = on.get(f"{on.writable_path}objects/", query)
        yield expect(answer.status == 200 and answer.ids == wanted, f"{wanted} for {spec}", answer)


@check("16.16", "3.4.1", Level.MUST)
def versions(on: Server) -> Looked:
    """match[version] supports last, first, all and exact versions."""
    id = on.history[0]["id"]
    y22, y23, y21 = (str(version_of(each)) for each in on.history)
    for asked, wanted in (
        (None, [y23]),
        ("last", [y23]),
        ("first", [y21]),
        ("all", [y21, y22, y23]),
        ("first,last", [y21, y23]),
        (y22, [y22]),
        (f"{y22},{y21}", [y21, y22]),
        (f"first,{y22}", [y21, y22]),
    ):
        more = {"match[version]": asked} if asked else {}
        answer = on.get(f"{on.writable_path}objects/", {"match[id]": id, **more})
        found = sorted(str(version_of(each)) for each in answer.objects)
        yield expect(found == wanted, f"{wanted} for match[version]={asked}", answer)


@check("16.17", "3.4.1", Level.DECISION)
def any_spelling(on: Server) -> Looked:
    """An exact version matches as an instant, in any spelling."""
    id, version = on.history[0]["id"], str(version_of(on.history[0]))
    for written in (version.replace(".000Z", "Z"), version.replace(".000Z", ".000000Z")):
        answer = on.get(f"{on.writable_path}objects/", {"match[id]": id, "match[version]": written})
        yield expect(answer.ids == [id], f"the object for match[version]={written}", answer)
    for odd in ("2020-01-01T00:00:00.1Z", "2020-01-01T00:00:00.123456789Z"):
        answer = _objects(on, {"match[version]": odd, "limit": "1"})
        yield expect(answer.status == 200, f"200 for match[version]={odd}", answer)


@check("16.18", "3.4.1", Level.MUST)
def by_created(on: Server) -> Looked:
    """An object without modified is matched by created."""
    marking = on.one_of_each_kind[2]
    query = {"match[id]": marking["id"], "match[version]": marking["created"]}
    answer = on.get(f"{on.writable_path}objects/", query)
    yield expect(answer.ids == [marking["id"]], "the marking definition", answer)


@check("16.19", "3.4.1", Level.DECISION)
def unversioned(on: Server) -> Looked:
    """An object without versions is its own first, last and only version."""
    id = on.one_of_each_kind[1]["id"]
    for keyword in ("first", "last", "all"):
        answer = on.get(f"{on.writable_path}objects/", {"match[id]": id, "match[version]": keyword})
        yield expect(answer.ids == [id], f"the observable for match[version]={keyword}", answer)


@check("16.20", "3.4.1", Level.DECISION, "22.9")
def version_first(on: Server) -> Looked:
    """The version is chosen before added_after acts."""
    id = on.history[0]["id"]
    every = on.read(f"{on.writable_path}manifest/", {"match[id]": id, "match[version]": "all"})
    dates = {
        parse_timestamp(each.get("version")): str(each.get("date_added")) for each in every.objects
    }
    newest = parse_timestamp(version_of(on.history[1]))
    if newest not in dates:
        raise Unexpected(f"a record of the version {newest}", every)
    answer = on.get(f"{on.writable_path}objects/", {"match[id]": id, "added_after": dates[newest]})
    expected = "nothing, as the latest version was added before; an older one is not new"
    yield expect(answer.status == 200 and not answer.ids, expected, answer)


@check("16.21", "3.4.1", Level.DECISION)
def all_of_latest(on: Server) -> Looked:
    """All versions are those of the latest spec version."""
    id = _both(on)
    answer = on.get(f"{on.writable_path}objects/", {"match[id]": id, "match[version]": "all"})
    found = [each.get("spec_version", "2.0") for each in answer.objects]
    yield expect(found == ["2.1"], "the one of STIX 2.1", answer)


@check("16.22", "5.3 to 5.8", Level.MUST, "10.5")
def tables(on: Server) -> Looked:
    """Every endpoint accepts the filters of its table."""
    paged = {"added_after": PAST, "limit": "1", "match[spec_version]": "2.0,2.1"}
    wide = paged | {"match[id]": "a", "match[type]": "indicator", "match[version]": "all"}
    for kind, path, _ in on.pages:
        query = wide if path.endswith(("collections/", "manifest/")) else paged
        if kind == "envelope" and path == f"{on.readable}objects/":
            query = wide
        for name, value in query.items():
            value = samples.indicator()["id"] if name == "match[id]" else value
            answer = on.get(path, {name: value})
            yield expect(answer.status == 200, f"200 for {name}={value}", answer)
