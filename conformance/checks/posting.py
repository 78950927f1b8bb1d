"""Section 12: adding objects."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from tocsin.conformance import samples
from tocsin.conformance.client import SkipCheck
from tocsin.conformance.http import Response
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.samples import StixObject
from tocsin.conformance.server import Server

DEPTH = 10_000
_CROWD = 200_000


def _there(on: Server, *ids: str) -> Response:
    """Ask which of these objects are in the collection."""
    query = {"match[id]": ",".join(ids), "match[version]": "all"}
    return on.read(f"{on.writable_path}objects/", query)


def _count(answer: Response, name: str) -> object:
    return answer.resource.get(f"{name}_count")


@check("12.1", "5.5", Level.MUST)
def accepted(on: Server) -> Looked:
    """Objects are accepted with 202 and a status."""
    answer = on.send(samples.indicator())
    yield expect(answer.status == 202 and "id" in answer.resource, "202 with a status", answer)


@check("12.2", "5.5", Level.MUST, "22.12")
def duplicate(on: Server) -> Looked:
    """Posting an existing object succeeds."""
    (one,) = on.add(samples.indicator())
    answer = on.wait_until_complete(on.send(one))
    yield expect(answer.status in (200, 202), "202 for the same object again", answer)


@check("12.2", "5.5", Level.DECISION)
def duplicate_is_nothing(on: Server) -> Looked:
    """Posting an existing object is a success and changes nothing."""
    (one,) = on.add(samples.indicator())
    query = {"match[id]": one["id"], "match[version]": "all"}
    before = on.read(f"{on.writable_path}manifest/", query)
    answer = on.wait_until_complete(on.send(one))
    yield expect(_count(answer, "success") == 1, "a success for the same object again", answer)
    after = on.read(f"{on.writable_path}manifest/", query)
    yield expect(after.objects == before.objects, f"as before: {before.objects}", after)


@check("12.3", "5.5", Level.DECISION, "22.5")
def conflict(on: Server) -> Looked:
    """The same version with other content is a failure."""
    (one,) = on.add(samples.indicator())
    answer = on.wait_until_complete(on.send(one | {"name": "Another name"}))
    good = answer.status == 422 or _count(answer, "failure") == 1
    yield expect(good, "a failure of that object", answer)
    kept = _there(on, one["id"])
    yield expect(kept.objects == [one], "the first content alone", kept)


@check("12.4", "5.5", Level.DECISION)
def twice(on: Server) -> Looked:
    """An object that is twice in an envelope is stored once."""
    one = samples.indicator()
    answer = on.wait_until_complete(on.send(one, one))
    found = _there(on, one["id"])
    yield expect(len(found.objects) == 1, f"one object after POST: {answer.status}", found)


@check("12.4", "5.5", Level.DECISION)
def at_once(on: Server) -> Looked:
    """An object that several clients post at once is stored once."""
    many = [samples.indicator() for _ in range(5)]
    on.writable_path  # noqa: B018  (known before the threads ask for it)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: on.send(*many), range(4)))
    for answer in answers:
        on.wait_until_complete(answer)
        yield expect(answer.status == 202, "202 for each", answer)
    found = _there(on, *(each["id"] for each in many))
    yield expect(len(found.objects) == len(many), f"{len(many)} objects", found)


@check("12.5", "5.5", Level.MUST, "22.4", risk=1)
def broken_json(on: Server) -> Looked:
    """A body that is not JSON is refused."""
    for body in (b"{bad json", b'{"objects": [', b"<html></html>"):
        answer = on.post(body)
        yield expect(answer.status in (400, 422), f"400 or 422 for {body!r}", answer)


@check("12.5", "5.5", Level.DECISION, "19.3", risk=1)
def no_envelope(on: Server) -> Looked:
    """JSON that is not an envelope answers 422."""
    one = samples.indicator()
    bundle = {"type": "bundle", "id": "bundle--" + one["id"][11:], "objects": [one]}
    on.posted[one["id"]] = None
    bodies: list[object] = [[], "x", {"objects": {}}, {"objects": "x"}, bundle]
    for body in bodies:
        answer = on.post(body)
        expected = f"422 for {json.dumps(body)[:60]}"
        yield expect(answer.status == 422 and answer.is_taxii, expected, answer)


@check("12.6", "2, 4.3.1", Level.DECISION, "22.3", risk=1)
def empty_envelope(on: Server) -> Looked:
    """An envelope without objects answers 422."""
    bodies: list[object] = [{"objects": []}, {}]
    for body in bodies:
        answer = on.post(body)
        yield expect(answer.status == 422, f"422 for {json.dumps(body)}", answer)


@check("12.7", "4.3.1", Level.DECISION, risk=1)
def one_bad(on: Server) -> Looked:
    """One invalid object does not affect the others."""
    good = [samples.indicator() for _ in range(3)]
    bad = {name: value for name, value in samples.indicator().items() if name != "id"}
    answer = on.wait_until_complete(on.send(*good[:2], bad, good[2]))
    found = _there(on, *(each["id"] for each in good))
    if answer.status >= 400:
        yield expect(not found.objects, f"nothing stored after {answer.status}", found)
    else:
        counts = (_count(answer, "success"), _count(answer, "failure"))
        yield expect(counts == (3, 1), "3 successes and 1 failure", answer)
        yield expect(len(found.objects) == 3, "the three good ones", found)


@check("12.7", "4.3.1", Level.DECISION, risk=2)
def hollow(on: Server) -> Looked:
    """An invalid object is a failure."""
    for each in ({"id": "x"}, {"type": "indicator"}, {"id": "indicator--x", "type": "indicator"}):
        answer = on.wait_until_complete(on.send(each))
        good = answer.status == 422 or _count(answer, "failure") == 1
        yield expect(good, f"a failure for {json.dumps(each)}", answer)


@check("12.8", "5.2.1", Level.DECISION)
def other_stix(on: Server) -> Looked:
    """A STIX version that the collection does not support is a failure."""
    listed = on.writable.get("media_types")
    if not isinstance(listed, list) or not all("version=2.1" in str(each) for each in listed):
        raise SkipCheck("the collection takes more than STIX 2.1")
    one = samples.old_indicator(samples.indicator()["id"])
    answer = on.wait_until_complete(on.send(one))
    good = answer.status == 422 or _count(answer, "failure") == 1
    yield expect(good, "a failure for STIX 2.0", answer)


@check("12.9", "3.4.1", Level.DECISION)
def custom_type(on: Server) -> Looked:
    """An object of a custom type is refused, or found by its type."""
    one = samples.indicator()
    one |= {
        "type": "x-conformance-thing",
        "id": one["id"].replace("indicator", "x-conformance-thing"),
    }
    answer = on.wait_until_complete(on.send(one))
    yield expect(answer.status in (200, 202, 422), "202 or 422", answer)
    if _count(answer, "success") == 1:
        query = {"match[type]": "x-conformance-thing", "match[id]": one["id"]}
        found = on.get(f"{on.writable_path}objects/", query)
        yield expect(found.ids == [one["id"]], "the object by match[type]", found)


@check("12.10", "7.1.1", Level.DECISION)
def custom_property(on: Server) -> Looked:
    """Custom properties of an envelope are ignored."""
    one = samples.indicator()
    on.posted[one["id"]] = None
    answer = on.post({"x_conformance": {"a": 1}, "objects": [one]})
    yield expect(answer.status == 202, "202", answer)


def _deep(one: StixObject) -> bytes:
    body = json.dumps({"objects": [one]})
    return body.replace('"DEEP"', '{"a":' * DEPTH + "1" + "}" * DEPTH).encode()


@check("12.12", "appendix B", Level.DECISION, "16.23", risk=3)
def excesses(on: Server) -> Looked:
    """Excessive input is refused and affects no other client."""
    one = samples.indicator(x_conformance="DEEP")
    on.posted[one["id"]] = None
    for what, body in (
        (f"{DEPTH} levels of JSON", _deep(one)),
        (f"{DEPTH} open lists", b'{"objects":' + b"[" * DEPTH),
        (f"{_CROWD} numbers for objects", b'{"objects":[' + b"0," * _CROWD + b"0]}"),
    ):
        answer = on.post(body)
        refused = 400 <= answer.status < 500 or _count(answer, "failure")
        yield expect(bool(refused), f"4xx, or failures, for {what}", answer)
        alive = on.get(f"{on.writable_path}objects/", {"limit": "1"})
        yield expect(alive.status == 200, f"200 for a reader after {what}", alive)


@check("12.14", "5.5", Level.DECISION, risk=4)
def poison(on: Server) -> Looked:
    """No stored object makes reading fail."""
    odd: list[dict[str, object]] = [
        {"modified": "bogus"},
        {"modified": None, "created": 7},
        {"modified": "2024-13-45T00:00:00Z"},
        {"spec_version": {"no": "version"}},
        {"type": 7},
    ]
    for changes in odd:
        on.wait_until_complete(on.send(samples.indicator(**changes)))
    for endpoint in ("objects/", "manifest/"):
        for query in ({}, {"match[version]": "all"}, {"match[version]": "last"}):
            answer = on.get(on.writable_path + endpoint, query)
            yield expect(answer.status == 200, f"200 after objects with {odd}", answer)
