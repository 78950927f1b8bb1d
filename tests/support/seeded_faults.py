"""Faults seeded into a server's answers, each a broken rule of TAXII 2.1."""

import contextlib
import itertools
import json
from datetime import datetime, timedelta
from typing import Any

from support.faulty_server import (
    DATES,
    Exchange,
    Fault,
)


def told(change: Any) -> Any:
    """A change of a resource."""

    def outwards(x: Exchange) -> None:
        if x.json:
            x.json = change(x, x.json) or x.json

    return outwards


def put(where: Any, **properties: Any) -> Any:
    """Properties of the resource that succeeds at a path."""
    return told(lambda x, r: r | properties if x.is_at(where) and x.status < 300 else None)


def left_out(where: Any, name: Any) -> Any:
    """A property that is missing."""
    return told(lambda x, r: {k: v for k, v in r.items() if k != name} if x.is_at(where) else None)


def each(where: Any, name: Any, **properties: Any) -> Any:
    """Properties of each part of a list."""

    def change(x: Any, r: Any) -> Any:
        if x.is_at(where) and name in r:
            return r | {name: [part | properties for part in r[name]]}
        return None

    return told(change)


def ignored(*names: Any) -> Any:
    """Parameters that the server does not look at."""

    def inwards(x: Exchange) -> None:
        x.query = [(n, v) for n, v in x.query if n not in names]

    return inwards


def once(x: Exchange) -> None:
    x.query = list(dict(x.query).items())


def answering(
    status: Any, *, when: Any, body: Any = b"", type: Any = "application/taxii+json;version=2.1"
) -> Any:
    """Another answer, without asking the hub."""

    def inwards(x: Exchange) -> None:
        if when(x):
            x.status, x.told, x.answered = status, body, {"Content-Type": type}

    return inwards


def turned(old: Any, new: Any, *, where: Any = lambda x: True) -> Any:
    """Another status."""

    def outwards(x: Exchange) -> None:
        if x.status == old and where(x):
            x.status = new

    return outwards


def header(name: Any, change: Any, *, when: Any = lambda x: True) -> Any:
    """Another value of a header; None: it is gone."""

    def outwards(x: Exchange) -> None:
        for known in [n for n in x.answered if n.lower() == name.lower() and when(x)]:
            value = change(x.answered.pop(known))
            x.answered |= {known: value} if value is not None else {}

    return outwards


def short_dates(x: Exchange) -> None:
    for name in DATES:
        if name in x.answered:
            x.answered[name] = x.answered[name][:-4] + "Z"


def now_as_date(x: Exchange) -> None:
    if x.is_at("objects/", "manifest/") and x.method == "GET":
        x.answered |= dict.fromkeys(DATES, "2030-01-01T00:00:00.000000Z")


def inclusive(x: Exchange) -> None:
    def earlier(name: Any, value: Any) -> Any:
        with contextlib.suppress(ValueError):
            if name == "added_after":
                moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
                return (moment - timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return value

    x.query = [(name, earlier(name, value)) for name, value in x.query]


def html(x: Exchange) -> None:
    if x.status == 404:
        x.told, x.answered = b"<html>Not here</html>", {"Content-Type": "text/html"}


def one_more(x: Exchange) -> None:
    limits = {str(n): str(n + 1) for n in range(1, 100)}
    x.query = [(n, limits.get(v, v) if n == "limit" else v) for n, v in x.query]


def last_lost(x: Any, r: Any) -> Any:
    """The last object of a page with more is not sent."""
    return r | {"objects": r["objects"][:-1]} if r.get("more") and len(r["objects"]) > 1 else None


def backwards(x: Any, r: Any) -> Any:
    return r | {"objects": r["objects"][::-1]} if "objects" in r else None


def newest(x: Exchange) -> None:
    if ("limit", "1") in x.query:
        x.query.remove(("limit", "1"))
        x.headers["X-LAST"] = "yes"


def only_last(x: Any, r: Any) -> Any:
    wanted = "X-LAST" in x.headers and "objects" in r
    return r | {"objects": r["objects"][-1:], "more": True} if wanted else None


def shuffled() -> Any:
    turns = itertools.count()

    def change(x: Any, r: Any) -> Any:
        again = x.is_at("collections/") and next(turns) % 2
        return r | {"collections": r["collections"][::-1]} if again else None

    return told(change)


def moving() -> Any:
    """`next` goes on by itself: the second time it is another page."""
    used: set[str] = set()

    def inwards(x: Exchange) -> None:
        given = dict(x.query).get("next")
        if given in used:
            x.status, x.told = 200, b'{"more": false}'
            x.answered = {"Content-Type": "application/taxii+json;version=2.1"}
        elif given:
            used.add(given)

    return inwards


def reformatted(x: Any, r: Any) -> Any:
    return json.loads(json.dumps(r).replace(".123456Z", ".123Z"))


def is_error(x: Exchange) -> bool:
    return x.status >= 400


def deletes(x: Exchange) -> bool:
    return x.method == "DELETE"


def posts(x: Exchange) -> bool:
    return x.method == "POST"


def garbage(x: Exchange) -> bool:
    return posts(x) and not x.body.startswith(b'{"')


def not_a_number(x: Exchange) -> None:
    if x.is_at("manifest/"):
        x.told = x.told[:-1] + b', "x_nan": NaN}'


FAULTS = (
    Fault("no version in Content-Type", ("2.1",), outwards=header(
        "Content-Type", lambda v: v[:22])),
    Fault("a 404 in HTML", ("2.1", "2.13", "4.5"), outwards=html),
    Fault("an exact Accept only", ("2.2", "2.3", "2.5", "2.6", "2.8"), answering(
        406, when=lambda x: x.headers.get("ACCEPT") != "application/taxii+json;version=2.1")),
    Fault("an exact Content-Type only", ("2.9",), answering(
        415, when=lambda x: posts(x)
        and x.headers.get("CONTENT-TYPE") != "application/taxii+json;version=2.1")),
    Fault("any Content-Type", ("2.10",), lambda x: x.headers.update(
        {"CONTENT-TYPE": "application/taxii+json;version=2.1"})),
    Fault("405 without Allow", ("2.14",), outwards=header("Allow", lambda v: None)),
    Fault("NaN", ("2.15",), outwards=not_a_number),
    Fault("a body in gzip fails", ("2.16",), answering(
        500, when=lambda x: "CONTENT-ENCODING" in x.headers)),
    Fault("no path without its slash", ("2.11",), answering(
        404, when=lambda x: not x.is_at("/"))),
    Fault("no challenge", ("3.3",), outwards=header("WWW-Authenticate", lambda v: None)),
    Fault("200 for a wrong credential", ("3.1", "3.4", "3.5", "3.12", "12.13"), answering(
        200, body=b"{}", when=lambda x: "AUTHORIZATION" in x.headers
        and x.headers["AUTHORIZATION"].startswith("Basic bm9ib2R5L"))),
    Fault("what may not be read is empty", ("3.6", "9.4"), outwards=turned(403, 200)),
    Fault("what may not be written is refused late", ("3.7", "12.13"), outwards=turned(
        403, 422, where=posts)),
    Fault("403 for DELETE is 404", ("3.8",), outwards=turned(403, 404, where=deletes)),
    Fault("hidden is forbidden", ("3.10", "9.8"), outwards=turned(404, 403)),
    Fault("a status is told to all", ("3.13",), outwards=lambda x: "/status/" in x.path
        and turned(404, 200)(x)),
    Fault("no title", ("2.13", "4.1", "4.5"), outwards=told(lambda x, r: {
        n: v for n, v in r.items() if n != "title"} if is_error(x) else None)),
    Fault("http_status as a number", ("4.2", "4.3"), outwards=told(
        lambda x, r: r | {"http_status": x.status} if is_error(x) else None)),
    Fault("strange names in an error", ("4.4",), outwards=told(
        lambda x, r: r | {"code": 1} if is_error(x) else None)),
    Fault("a boolean as text", ("5.1", "9.3", "19.2"), outwards=each(
        "collections/", "collections", can_read="true")),
    Fault("an id that is no UUID", ("5.2", "8.1", "19.2"), outwards=told(
        lambda x, r: r | {"id": "work_1"} if "/status/" in x.path else None)),
    Fault("an integer of 64 bits", ("5.3", "7.2"), outwards=put("/hub/", max_content_length=2**60)),
    Fault("empty lists", ("5.4", "11.3", "13.3"), outwards=told(
        lambda x, r: {"objects": []} | r if x.is_at("/") and "/objects/" in x.path else None)),
    Fault("an empty list in the manifest", ("5.4", "10.4"), outwards=lambda x: setattr(
        x, "json", {"objects": []}) if x.is_at("manifest/") and x.told == b"{}" else None),
    Fault("a list that is null", ("5.4", "19.2"), outwards=put("/taxii2/", contact=None)),
    Fault("date headers with three decimals", ("5.5", "18.2", "18.3"), outwards=short_dates),
    Fault("date_added with three decimals", ("5.5", "10.2", "19.2"), outwards=each(
        "manifest/", "objects", date_added="2030-01-01T00:00:00.000Z")),
    Fault("strict timestamps", ("5.6",), answering(400, when=lambda x: any(
        n == "added_after" and len(v) != 27 for n, v in x.query))),
    Fault("a required property is missing", ("5.7", "7.2", "19.2"), outwards=left_out(
        "/hub/", "versions")),
    Fault("versions rewritten", ("5.8", "11.5"), outwards=told(reformatted)),
    Fault("no discovery at its path", ("6.1",), answering(
        404, when=lambda x: x.path == "/taxii2/")),
    Fault("discovery without a title", ("6.3", "5.7"), outwards=left_out("/taxii2/", "title")),
    Fault("a default that is not listed", ("6.4",), outwards=put("/taxii2/", api_roots=["/x/"])),
    Fault("an API root that climbs", ("6.5",), outwards=put(
        "/taxii2/", api_roots=["/hub/", "/a/../b/"])),
    Fault("an API root twice", ("7.1",), outwards=put("/taxii2/", api_roots=["/hub/", "/hub"])),
    Fault("a version that is no media type", ("7.3",), outwards=put(
        "/hub/", versions=["taxii-2.1"])),
    Fault("a length of nothing", ("7.4",), outwards=put("/hub/", max_content_length=0)),
    Fault("a promise of length that is not kept", ("7.5",), answering(
        413, when=lambda x: len(x.body) > 1_000_000)),
    Fault("a limit that is not kept", ("7.6",), outwards=turned(413, 202)),
    Fault("a status of its own", ("8.2", "5.7"), outwards=told(
        lambda x, r: r | {"status": "failed"} if "total_count" in r else None)),
    Fault("counts below nothing", ("8.3",), outwards=told(
        lambda x, r: r | {"pending_count": -1} if "total_count" in r else None)),
    Fault("details without version", ("8.6", "8.1"), outwards=told(lambda x, r: r | {
        "successes": [{"id": d["id"]} for d in r["successes"]]} if "successes" in r else None)),
    Fault("details with another version", ("8.7",), outwards=told(lambda x, r: r | {
        "successes": [d | {"version": "1970-01-01T00:00:00.000Z"} for d in r["successes"]]}
        if "successes" in r else None)),
    Fault("a status that is forgotten", ("8.8",), answering(
        404, body=b'{"title": "Gone"}', when=lambda x: "/status/" in x.path)),
    Fault("an unknown status", ("8.9", "8.10"), outwards=turned(
        404, 200, where=lambda x: "/status/" in x.path)),
    Fault("an empty list of collections", ("9.1", "5.4"), outwards=put(
        "collections/", collections=[])),
    Fault("collections in turns", ("9.2",), outwards=shuffled()),
    Fault("one alias for all", ("9.5", "9.6"), outwards=each(
        "collections/", "collections", alias="feed")),
    Fault("200 for what is not there", ("9.8", "13.2", "15.8", "14.3", "13.7"),
        outwards=turned(404, 200)),
    Fault("the manifest ignores filters", ("10.1",), lambda x: x.is_at("manifest/") and ignored(
        "match[type]", "match[version]", "match[id]")(x)),
    Fault("only the last version in the manifest", ("10.2",), lambda x: x.is_at("manifest/")
        and ignored("match[version]")(x)),
    Fault("records with another version", ("10.3", "15.3"), outwards=each(
        "manifest/", "objects", version="1970-01-01T00:00:00.000Z")),
    Fault("a media type that is not listed", ("10.6",), outwards=each(
        "manifest/", "objects", media_type="application/stix+json;version=9.9")),
    Fault("no next in the manifest", ("10.7",), outwards=left_out("manifest/", "next")),
    Fault("a bundle", ("11.1",), outwards=put("objects/", type="bundle", id="bundle--x")),
    Fault("objects without type", ("11.2", "11.5"), outwards=told(lambda x, r: r | {"objects": [
        {n: v for n, v in o.items() if n != "type"} for o in r["objects"]]}
        if "objects" in r else None)),
    Fault("next at the end", ("11.4",), outwards=put("objects/", next="on")),
    Fault("200 for POST", ("12.1", "7.6"), outwards=turned(202, 200)),
    Fault("broken JSON breaks the server", ("12.5",), answering(500, when=garbage)),
    Fault("an empty envelope is accepted", ("12.6", "12.5"), outwards=turned(
        422, 202, where=posts)),
    Fault("names with capitals", ("12.11", "19.2"), outwards=put("/hub/", **{"X-Own": 1})),
    Fault("DELETE does nothing", ("14.3", "14.4", "14.5", "14.6", "14.7"), answering(
        200, when=deletes)),
    Fault("DELETE answers 204", ("14.2",), outwards=turned(200, 204, where=deletes)),
    Fault("DELETE takes every version", ("14.6",), lambda x: deletes(x) and ignored(
        "match[version]")(x)),
    Fault("no versions", ("15.1", "15.2", "15.5", "15.7"), outwards=left_out(
        "versions/", "versions")),
    Fault("malformed is ignored", ("16.1", "16.2", "17.7"), outwards=turned(400, 200)),
    Fault("malformed breaks the server", ("16.1", "16.2", "16.6"), outwards=turned(400, 500)),
    Fault("the last of several counts", ("16.2", "16.6"), once),
    Fault("added_after is inclusive", ("16.3",), inclusive),
    Fault("added_after is ignored", ("16.3", "16.20", "17.8", "13.3"), ignored("added_after")),
    Fault("types are ignored", ("16.7", "16.12", "16.10"), ignored("match[type]")),
    Fault("a type is an error", ("16.11",), answering(
        400, when=lambda x: ("match[type]", "grouping") in x.query)),
    Fault("ids are ignored", ("16.7", "16.13"), ignored("match[id]")),
    Fault("versions are ignored", ("16.16", "10.2", "13.6"), ignored("match[version]")),
    Fault("spec versions are ignored", ("16.14", "16.15"), ignored("match[spec_version]")),
    Fault("unknown parameters are errors", ("16.8", "16.9"), answering(
        400, when=lambda x: any(n in ("foo", "match[x_foo]") for n, v in x.query))),
    Fault("the newest first", ("17.1",), outwards=told(backwards)),
    Fault("the newest alone", ("16.5",), newest, told(only_last)),
    Fault("one more than limit", ("17.2",), one_more),
    Fault("limit is ignored", ("17.2", "17.5"), ignored("limit")),
    Fault("the last of each page is lost", ("17.5", "17.6", "17.8"), outwards=told(last_lost)),
    Fault("more without next", ("17.5", "10.7"), outwards=lambda x: (
        left_out("/", "next")(x), [header(name, lambda v: None)(x) for name in DATES])),
    Fault("never more", ("17.5",), outwards=put("objects/", more=False)),
    Fault("more without end", ("17.3", "17.5"), outwards=put("objects/", more=True, next="x")),
    Fault("next is ignored", ("17.5", "17.7"), ignored("next")),
    Fault("next works once", ("17.10", "17.7"), moving()),
    Fault("no date headers", ("18.1",), outwards=lambda x: [
        header(name, lambda v: None)(x) for name in DATES]),
    Fault("the present as date", ("18.3", "18.4", "17.8"), outwards=now_as_date),
    Fault("date headers everywhere", ("18.5",), outwards=lambda x: x.answered.update(
        {DATES[1]: "2030-01-01T00:00:00.000000Z"})),
)  # fmt: skip
