"""Faults seeded into a server's responses, each a violation of a rule of TAXII 2.1."""

import contextlib
import itertools
import json
from datetime import datetime, timedelta
from typing import Any

from support.faulty_server import DATES, Exchange, Fault


def edit(change: Any) -> Any:
    """Edit the JSON of a response; `change` returns None to leave it unchanged."""

    def on_response(x: Exchange) -> None:
        if x.json:
            x.json = change(x, x.json) or x.json

    return on_response


def assign(where: Any, **properties: Any) -> Any:
    """Set properties of the successful responses at a path."""
    return edit(lambda x, r: r | properties if x.is_at(where) and x.status < 300 else None)


def remove(where: Any, name: Any) -> Any:
    """Remove a property of the responses at a path."""
    return edit(lambda x, r: {k: v for k, v in r.items() if k != name} if x.is_at(where) else None)


def assign_each(where: Any, name: Any, **properties: Any) -> Any:
    """Set properties of each item of a list in the responses at a path."""

    def change(x: Any, r: Any) -> Any:
        if x.is_at(where) and name in r:
            return r | {name: [part | properties for part in r[name]]}
        return None

    return edit(change)


def ignore(*names: Any) -> Any:
    """Ignore query parameters."""

    def on_request(x: Exchange) -> None:
        x.query = [(n, v) for n, v in x.query if n not in names]

    return on_request


def keep_last_parameter(x: Exchange) -> None:
    x.query = list(dict(x.query).items())


def answer_with(
    status: Any, *, when: Any, body: Any = b"", type: Any = "application/taxii+json;version=2.1"
) -> Any:
    """Respond without calling the hub."""

    def on_request(x: Exchange) -> None:
        if when(x):
            x.status, x.content, x.response_headers = status, body, {"Content-Type": type}

    return on_request


def set_status(old: Any, new: Any, *, where: Any = lambda x: True) -> Any:
    """Replace a status code."""

    def on_response(x: Exchange) -> None:
        if x.status == old and where(x):
            x.status = new

    return on_response


def edit_header(name: Any, change: Any, *, when: Any = lambda x: True) -> Any:
    """Change the value of a response header; None removes it."""

    def on_response(x: Exchange) -> None:
        for known in [n for n in x.response_headers if n.lower() == name.lower() and when(x)]:
            value = change(x.response_headers.pop(known))
            x.response_headers |= {known: value} if value is not None else {}

    return on_response


def shorten_dates(x: Exchange) -> None:
    for name in DATES:
        if name in x.response_headers:
            x.response_headers[name] = x.response_headers[name][:-4] + "Z"


def set_future_date_headers(x: Exchange) -> None:
    if x.is_at("objects/", "manifest/") and x.method == "GET":
        x.response_headers |= dict.fromkeys(DATES, "2030-01-01T00:00:00.000000Z")


def include_added_after(x: Exchange) -> None:
    def earlier(name: Any, value: Any) -> Any:
        with contextlib.suppress(ValueError):
            if name == "added_after":
                moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
                return (moment - timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return value

    x.query = [(name, earlier(name, value)) for name, value in x.query]


def answer_in_html(x: Exchange) -> None:
    if x.status == 404:
        x.content, x.response_headers = b"<html>Not here</html>", {"Content-Type": "text/html"}


def raise_limit(x: Exchange) -> None:
    limits = {str(n): str(n + 1) for n in range(1, 100)}
    x.query = [(n, limits.get(v, v) if n == "limit" else v) for n, v in x.query]


def drop_last(x: Any, r: Any) -> Any:
    """Remove the last object of a page with `more`."""
    return r | {"objects": r["objects"][:-1]} if r.get("more") and len(r["objects"]) > 1 else None


def reverse_objects(x: Any, r: Any) -> Any:
    return r | {"objects": r["objects"][::-1]} if "objects" in r else None


def remember_limit_1(x: Exchange) -> None:
    if ("limit", "1") in x.query:
        x.query.remove(("limit", "1"))
        x.headers["X-LAST"] = "yes"


def return_last_object(x: Any, r: Any) -> Any:
    wanted = "X-LAST" in x.headers and "objects" in r
    return r | {"objects": r["objects"][-1:], "more": True} if wanted else None


def alternate_order() -> Any:
    turns = itertools.count()

    def change(x: Any, r: Any) -> Any:
        again = x.is_at("collections/") and next(turns) % 2
        return r | {"collections": r["collections"][::-1]} if again else None

    return edit(change)


def consume_next() -> Any:
    """Let each `next` work only once: the second time it returns an empty page."""
    used: set[str] = set()

    def on_request(x: Exchange) -> None:
        given = dict(x.query).get("next")
        if given in used:
            x.status, x.content = 200, b'{"more": false}'
            x.response_headers = {"Content-Type": "application/taxii+json;version=2.1"}
        elif given:
            used.add(given)

    return on_request


def shorten_stamps(x: Any, r: Any) -> Any:
    return json.loads(json.dumps(r).replace(".123456Z", ".123Z"))


def is_error(x: Exchange) -> bool:
    return x.status >= 400


def deletes(x: Exchange) -> bool:
    return x.method == "DELETE"


def posts(x: Exchange) -> bool:
    return x.method == "POST"


def posts_invalid_json(x: Exchange) -> bool:
    return posts(x) and not x.body.startswith(b'{"')


def append_nan(x: Exchange) -> None:
    if x.is_at("manifest/"):
        x.content = x.content[:-1] + b', "x_nan": NaN}'


FAULTS = (
    Fault("no version in Content-Type", ("2.1",), on_response=edit_header(
        "Content-Type", lambda v: v[:22])),
    Fault("a 404 in HTML", ("2.1", "2.13", "4.5"), on_response=answer_in_html),
    Fault("an exact Accept only", ("2.2", "2.3", "2.5", "2.6", "2.8"), answer_with(
        406, when=lambda x: x.headers.get("ACCEPT") != "application/taxii+json;version=2.1")),
    Fault("an exact Content-Type only", ("2.9",), answer_with(
        415, when=lambda x: posts(x)
        and x.headers.get("CONTENT-TYPE") != "application/taxii+json;version=2.1")),
    Fault("any Content-Type", ("2.10",), lambda x: x.headers.update(
        {"CONTENT-TYPE": "application/taxii+json;version=2.1"})),
    Fault("405 without Allow", ("2.14",), on_response=edit_header("Allow", lambda v: None)),
    Fault("NaN", ("2.15",), on_response=append_nan),
    Fault("a body in gzip fails", ("2.16",), answer_with(
        500, when=lambda x: "CONTENT-ENCODING" in x.headers)),
    Fault("no path without its slash", ("2.11",), answer_with(
        404, when=lambda x: not x.is_at("/"))),
    Fault("no challenge", ("3.3",), on_response=edit_header("WWW-Authenticate", lambda v: None)),
    Fault("200 for a wrong credential", ("3.1", "3.4", "3.5", "3.12", "12.13"), answer_with(
        200, body=b"{}", when=lambda x: "AUTHORIZATION" in x.headers
        and x.headers["AUTHORIZATION"].startswith("Basic bm9ib2R5L"))),
    Fault("what may not be read is empty", ("3.6", "9.4"), on_response=set_status(403, 200)),
    Fault("what may not be written is refused late", ("3.7", "12.13"), on_response=set_status(
        403, 422, where=posts)),
    Fault("403 for DELETE is 404", ("3.8",), on_response=set_status(403, 404, where=deletes)),
    Fault("hidden is forbidden", ("3.10", "9.8"), on_response=set_status(404, 403)),
    Fault("a status is shown to all", ("3.13",), on_response=lambda x: "/status/" in x.path
        and set_status(404, 200)(x)),
    Fault("no title", ("2.13", "4.1", "4.5"), on_response=edit(lambda x, r: {
        n: v for n, v in r.items() if n != "title"} if is_error(x) else None)),
    Fault("http_status as a number", ("4.2", "4.3"), on_response=edit(
        lambda x, r: r | {"http_status": x.status} if is_error(x) else None)),
    Fault("strange names in an error", ("4.4",), on_response=edit(
        lambda x, r: r | {"code": 1} if is_error(x) else None)),
    Fault("a boolean as text", ("5.1", "9.3", "19.2"), on_response=assign_each(
        "collections/", "collections", can_read="true")),
    Fault("an id that is no UUID", ("5.2", "8.1", "19.2"), on_response=edit(
        lambda x, r: r | {"id": "work_1"} if "/status/" in x.path else None)),
    Fault("an integer of 64 bits", ("5.3", "7.2"),
        on_response=assign("/hub/", max_content_length=2**60)),
    Fault("empty lists", ("5.4", "11.3", "13.3"), on_response=edit(
        lambda x, r: {"objects": []} | r if x.is_at("/") and "/objects/" in x.path else None)),
    Fault("an empty list in the manifest", ("5.4", "10.4"), on_response=lambda x: setattr(
        x, "json", {"objects": []}) if x.is_at("manifest/") and x.content == b"{}" else None),
    Fault("a list that is null", ("5.4", "19.2"), on_response=assign("/taxii2/", contact=None)),
    Fault("date headers with three decimals", ("5.5", "18.2", "18.3"), on_response=shorten_dates),
    Fault("date_added with three decimals", ("5.5", "10.2", "19.2"), on_response=assign_each(
        "manifest/", "objects", date_added="2030-01-01T00:00:00.000Z")),
    Fault("strict timestamps", ("5.6",), answer_with(400, when=lambda x: any(
        n == "added_after" and len(v) != 27 for n, v in x.query))),
    Fault("a required property is missing", ("5.7", "7.2", "19.2"), on_response=remove(
        "/hub/", "versions")),
    Fault("versions rewritten", ("5.8", "11.5"), on_response=edit(shorten_stamps)),
    Fault("no discovery at its path", ("6.1",), answer_with(
        404, when=lambda x: x.path == "/taxii2/")),
    Fault("discovery without a title", ("6.3", "5.7"), on_response=remove("/taxii2/", "title")),
    Fault("a default that is not listed", ("6.4",),
        on_response=assign("/taxii2/", api_roots=["/x/"])),
    Fault("an API root that climbs", ("6.5",), on_response=assign(
        "/taxii2/", api_roots=["/hub/", "/a/../b/"])),
    Fault("an API root twice", ("7.1",),
        on_response=assign("/taxii2/", api_roots=["/hub/", "/hub"])),
    Fault("a version that is no media type", ("7.3",), on_response=assign(
        "/hub/", versions=["taxii-2.1"])),
    Fault("a length of nothing", ("7.4",), on_response=assign("/hub/", max_content_length=0)),
    Fault("a promise of length that is not kept", ("7.5",), answer_with(
        413, when=lambda x: len(x.body) > 1_000_000)),
    Fault("a limit that is not kept", ("7.6",), on_response=set_status(413, 202)),
    Fault("a status of its own", ("8.2", "5.7"), on_response=edit(
        lambda x, r: r | {"status": "failed"} if "total_count" in r else None)),
    Fault("counts below nothing", ("8.3",), on_response=edit(
        lambda x, r: r | {"pending_count": -1} if "total_count" in r else None)),
    Fault("details without version", ("8.6", "8.1"), on_response=edit(lambda x, r: r | {
        "successes": [{"id": d["id"]} for d in r["successes"]]} if "successes" in r else None)),
    Fault("details with another version", ("8.7",), on_response=edit(lambda x, r: r | {
        "successes": [d | {"version": "1970-01-01T00:00:00.000Z"} for d in r["successes"]]}
        if "successes" in r else None)),
    Fault("a status that is forgotten", ("8.8",), answer_with(
        404, body=b'{"title": "Gone"}', when=lambda x: "/status/" in x.path)),
    Fault("an unknown status", ("8.9", "8.10"), on_response=set_status(
        404, 200, where=lambda x: "/status/" in x.path)),
    Fault("an empty list of collections", ("9.1", "5.4"), on_response=assign(
        "collections/", collections=[])),
    Fault("collections in turns", ("9.2",), on_response=alternate_order()),
    Fault("one alias for all", ("9.5", "9.6"), on_response=assign_each(
        "collections/", "collections", alias="feed")),
    Fault("200 for what is not there", ("9.8", "13.2", "15.8", "14.3", "13.7"),
        on_response=set_status(404, 200)),
    Fault("the manifest ignores filters", ("10.1",), lambda x: x.is_at("manifest/") and ignore(
        "match[type]", "match[version]", "match[id]")(x)),
    Fault("only the last version in the manifest", ("10.2",), lambda x: x.is_at("manifest/")
        and ignore("match[version]")(x)),
    Fault("records with another version", ("10.3", "15.3"), on_response=assign_each(
        "manifest/", "objects", version="1970-01-01T00:00:00.000Z")),
    Fault("a media type that is not listed", ("10.6",), on_response=assign_each(
        "manifest/", "objects", media_type="application/stix+json;version=9.9")),
    Fault("no next in the manifest", ("10.7",), on_response=remove("manifest/", "next")),
    Fault("a bundle", ("11.1",), on_response=assign("objects/", type="bundle", id="bundle--x")),
    Fault("objects without type", ("11.2", "11.5"), on_response=edit(lambda x, r: r | {"objects": [
        {n: v for n, v in o.items() if n != "type"} for o in r["objects"]]}
        if "objects" in r else None)),
    Fault("next at the end", ("11.4",), on_response=assign("objects/", next="on")),
    Fault("200 for POST", ("12.1", "7.6"), on_response=set_status(202, 200)),
    Fault("broken JSON breaks the server", ("12.5",), answer_with(500, when=posts_invalid_json)),
    Fault("an empty envelope is accepted", ("12.6", "12.5"), on_response=set_status(
        422, 202, where=posts)),
    Fault("names with capitals", ("12.11", "19.2"), on_response=assign("/hub/", **{"X-Own": 1})),
    Fault("DELETE does nothing", ("14.3", "14.4", "14.5", "14.6", "14.7"), answer_with(
        200, when=deletes)),
    Fault("DELETE answers 204", ("14.2",), on_response=set_status(200, 204, where=deletes)),
    Fault("DELETE takes every version", ("14.6",), lambda x: deletes(x) and ignore(
        "match[version]")(x)),
    Fault("no versions", ("15.1", "15.2", "15.5", "15.7"), on_response=remove(
        "versions/", "versions")),
    Fault("malformed is ignored", ("16.1", "16.2", "17.7"), on_response=set_status(400, 200)),
    Fault("malformed breaks the server", ("16.1", "16.2", "16.6"),
        on_response=set_status(400, 500)),
    Fault("the last of several counts", ("16.2", "16.6"), keep_last_parameter),
    Fault("added_after is inclusive", ("16.3",), include_added_after),
    Fault("added_after is ignored", ("16.3", "16.20", "17.8", "13.3"), ignore("added_after")),
    Fault("types are ignored", ("16.7", "16.12", "16.10"), ignore("match[type]")),
    Fault("a type is an error", ("16.11",), answer_with(
        400, when=lambda x: ("match[type]", "grouping") in x.query)),
    Fault("ids are ignored", ("16.7", "16.13"), ignore("match[id]")),
    Fault("versions are ignored", ("16.16", "10.2", "13.6"), ignore("match[version]")),
    Fault("spec versions are ignored", ("16.14", "16.15"), ignore("match[spec_version]")),
    Fault("unknown parameters are errors", ("16.8", "16.9"), answer_with(
        400, when=lambda x: any(n in ("foo", "match[x_foo]") for n, v in x.query))),
    Fault("the newest first", ("17.1",), on_response=edit(reverse_objects)),
    Fault("the newest alone", ("16.5",), remember_limit_1, edit(return_last_object)),
    Fault("one more than limit", ("17.2",), raise_limit),
    Fault("limit is ignored", ("17.2", "17.5"), ignore("limit")),
    Fault("the last of each page is lost", ("17.5", "17.6", "17.8"), on_response=edit(drop_last)),
    Fault("more without next", ("17.5", "10.7"), on_response=lambda x: (
        remove("/", "next")(x), [edit_header(name, lambda v: None)(x) for name in DATES])),
    Fault("never more", ("17.5",), on_response=assign("objects/", more=False)),
    Fault("more without end", ("17.3", "17.5"),
        on_response=assign("objects/", more=True, next="x")),
    Fault("next is ignored", ("17.5", "17.7"), ignore("next")),
    Fault("next works once", ("17.10", "17.7"), consume_next()),
    Fault("no date headers", ("18.1",), on_response=lambda x: [
        edit_header(name, lambda v: None)(x) for name in DATES]),
    Fault("the present as date", ("18.3", "18.4", "17.8"), on_response=set_future_date_headers),
    Fault("date headers everywhere", ("18.5",), on_response=lambda x: x.response_headers.update(
        {DATES[1]: "2030-01-01T00:00:00.000000Z"})),
)  # fmt: skip
