"""Section 14: deleting an object."""

from __future__ import annotations

from urllib.parse import quote

from tocsin.conformance import samples
from tocsin.conformance.checks.reading import version_of
from tocsin.conformance.client import SkipCheck, Unexpected
from tocsin.conformance.http import Response
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.samples import StixObject
from tocsin.conformance.server import Server

ALL = {"match[version]": "all"}


def _at(on: Server, one: StixObject) -> str:
    return f"{on.writable_path}objects/{quote(one['id'], safe='')}/"


def _delete(on: Server, one: StixObject, query: dict[str, str]) -> Response:
    answer = on.ask("DELETE", _at(on, one), query)
    if answer.status in (403, 405, 501):
        raise SkipCheck(
            f"DELETE answers {answer.status}: the server does not let this account delete"
        )
    return answer


def _gone(on: Server, one: StixObject, query: dict[str, str]) -> None:
    answer = _delete(on, one, query)
    if answer.status != 200:
        raise Unexpected("200 for DELETE", answer)


def _versions(on: Server, one: StixObject) -> tuple[Response, list[str | None]]:
    answer = on.get(_at(on, one), ALL)
    return answer, [version_of(each) for each in answer.objects]


def _two(on: Server) -> tuple[StixObject, StixObject]:
    """Two versions of a new object."""
    old = samples.indicator()
    new = old | {"modified": "2024-05-01T00:00:00.000Z"}
    on.add(old)
    on.add(new)
    return old, new


@check("14.2", "5.7", Level.MUST)
def answers(on: Server) -> Looked:
    """A deletion answers 200."""
    (one,) = on.add(samples.indicator())
    answer = _delete(on, one, ALL)
    yield expect(answer.status == 200, "200", answer)


@check("14.2", "5.7", Level.DECISION)
def no_body(on: Server) -> Looked:
    """A deletion answers without a body."""
    (one,) = on.add(samples.indicator())
    answer = _delete(on, one, ALL)
    yield expect(answer.is_taxii and not answer.body, "the media type and no body", answer)


@check("14.3", "5.7", Level.MUST)
def not_found(on: Server) -> Looked:
    """A deleted object is not found."""
    (one,) = on.add(samples.indicator())
    _gone(on, one, ALL)
    for path in (_at(on, one), _at(on, one) + "versions/"):
        answer = on.get(path)
        yield expect(answer.status == 404, "404 after DELETE", answer)


@check("14.4", "5.7", Level.MUST)
def not_listed(on: Server) -> Looked:
    """A deleted object is in no list."""
    one, other = on.add(samples.indicator(), samples.indicator())
    query = {"match[id]": f"{one['id']},{other['id']}"}
    first = on.get(f"{on.writable_path}objects/", {**query, "limit": "1"})
    next = first.resource.get("next")
    gone = other if first.ids == [one["id"]] else one
    _gone(on, gone, ALL)
    for endpoint in ("objects/", "manifest/"):
        answer = on.read(on.writable_path + endpoint, query)
        yield expect(gone["id"] not in answer.ids, f"no {gone['id']}", answer)
    if isinstance(next, str):
        answer = on.get(f"{on.writable_path}objects/", {**query, "limit": "1", "next": next})
        yield expect(gone["id"] not in answer.ids, "nor by an older next", answer)


@check("14.5", "5.7", Level.DECISION, "22.7")
def bare(on: Server) -> Looked:
    """Without match[version], every version is deleted."""
    one, _ = _two(on)
    _gone(on, one, {})
    for path in (_at(on, one), _at(on, one) + "versions/"):
        answer = on.get(path)
        yield expect(answer.status == 404, "404 after DELETE", answer)


@check("14.6", "5.7, 3.4.1", Level.MUST)
def named(on: Server) -> Looked:
    """A deletion may name versions: last, first, all, a value."""
    for named, left in (("last", 0), ("first", 1), ("2024-05-01T00:00:00.000Z", 0), ("all", None)):
        both = _two(on)
        _gone(on, both[0], {"match[version]": named})
        answer, found = _versions(on, both[0])
        wanted = [] if left is None else [version_of(both[left])]
        yield expect(found == wanted, f"{wanted} left of two after deleting {named}", answer)


@check("14.7", "5.7", Level.MUST)
def unknown(on: Server) -> Looked:
    """An object that does not exist cannot be deleted."""
    (one,) = on.add(samples.indicator())
    _gone(on, one, ALL)
    for each in (one, samples.indicator()):
        answer = _delete(on, each, ALL)
        yield expect(answer.status == 404, "404", answer)


@check("14.7", "5.7", Level.DECISION)
def unknown_version(on: Server) -> Looked:
    """A version that does not exist cannot be deleted."""
    (one,) = on.add(samples.indicator())
    answer = _delete(on, one, {"match[version]": "1999-01-01T00:00:00.000Z"})
    yield expect(answer.status == 404, "404", answer)


@check("14.9", "5.7", Level.DECISION)
def added_again(on: Server) -> Looked:
    """A deleted object may be added again, with a new date."""
    (one,) = on.add(samples.indicator())
    query = {"match[id]": one["id"]}
    before = on.read(f"{on.writable_path}manifest/", query).objects
    _gone(on, one, ALL)
    on.add(one)
    after = on.read(f"{on.writable_path}manifest/", query)
    dates = [each.get("date_added") for each in (*before, *after.objects)]
    good = len(dates) == 2 and str(dates[0]) < str(dates[1])
    yield expect(good, f"a date after {dates[:1]}", after)
