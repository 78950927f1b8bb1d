"""Section 5: data types, in every resource that the server sends."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.conformance import samples
from tocsin.conformance.client import SkipCheck
from tocsin.conformance.model import Failure, Level, Looked, check, expect
from tocsin.conformance.resource_tables import TIMESTAMP, find_faults
from tocsin.conformance.server import Server

_FAR = "2999-01-01T00:00:00.000000Z"


def of_kind(on: Server, *kinds: str, rules: tuple[str, ...] = ()) -> Iterator[Failure | None]:
    """An expectation for each resource of these kinds (none named: of all): free of faults."""
    for kind, answer in on.resources:
        if not kinds or kind in kinds:
            wrong = [
                f.description
                for f in find_faults(kind, answer.resource)
                if not rules or f.rule in rules
            ]
            yield expect(not wrong, "; ".join(wrong[:5]), answer)


@check("5.1", "2", Level.MUST)
def booleans(on: Server) -> Looked:
    """A boolean is true or false."""
    yield from of_kind(on, "collection", "collections", "envelope", "manifest", rules=("boolean",))


@check("5.2", "2", Level.MUST)
def identifiers(on: Server) -> Looked:
    """An identifier is a UUID of version 4."""
    yield from of_kind(on, "collection", "collections", "status", rules=("identifier",))


@check("5.3", "2", Level.MUST)
def integers(on: Server) -> Looked:
    """An integer has at most 53 bits."""
    yield from of_kind(on, "api-root", "status", rules=("integer",))


def _empty(value: object, at: str = "") -> Iterator[str]:
    """The places of empty lists and nulls, outside of STIX objects."""
    if value is None or value == []:
        yield f"{at}: {value}"
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _empty(each, f"{at}.{name}")
    elif isinstance(value, list):
        for each in value:
            yield from _empty(each, f"{at}[]")


@check("5.4", "2", Level.MUST)
def no_empty_lists(on: Server) -> Looked:
    """No list is empty and no value is null."""
    empty = [(k, on.get(p, {**dict(q), "added_after": _FAR})) for k, p, q in on.pages]
    for kind, answer in [*on.resources, *(pair for pair in empty if pair[1].status == 200)]:
        reported = answer.resource
        if kind == "envelope":  # what is inside the objects is their posters'
            reported = {
                name: [0] if value and name == "objects" else value
                for name, value in reported.items()
            }
        wrong = list(_empty(reported, kind))
        yield expect(not wrong, f"the key left out, not {'; '.join(wrong[:5])}", answer)


@check("5.5", "2", Level.MUST)
def timestamps(on: Server) -> Looked:
    """A timestamp has six decimals and Z."""
    yield from of_kind(on, "manifest", "status", rules=("timestamp",))
    for _, path, query in on.pages:
        answer = on.get(path, query)
        for name in ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"):
            given = answer.header(name)
            if given is not None:
                yield expect(bool(TIMESTAMP.fullmatch(given)), f"{name} with six decimals", answer)


@check("5.6", "2", Level.DECISION)
def liberal_timestamps(on: Server) -> Looked:
    """Timestamps in requests may have fewer or more decimals."""
    for day in (
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00.1Z",
        "2020-01-01T00:00:00.123Z",
        "2020-01-01T00:00:00.123456789Z",
        "2020-01-01T00:00:00.000000+00:00",
    ):
        answer = on.get(f"{on.readable}objects/", {"added_after": day, "limit": "1"})
        yield expect(answer.status == 200, f"200 for added_after={day}", answer)


@check("5.7", "3.8", Level.MUST)
def required(on: Server) -> Looked:
    """Required properties are present, with exact names and literals."""
    yield from of_kind(on, rules=("required", "literal"))


@check("5.8", "3.4.1", Level.DECISION)
def versions_as_written(on: Server) -> Looked:
    """A version is returned as it was written."""
    written = ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.1Z", "2020-01-01T00:00:00.123456Z")
    for version in written:
        (one,) = on.add(samples.indicator(created=written[0], modified=version))
        records = on.read(f"{on.writable_path}manifest/", {"match[id]": one["id"]})
        reported = [each.get("version") for each in records.objects]
        yield expect(reported == [version], f"the version {version}", records)


@check("12.11", "7.1.1", Level.MUST, "19.4")
def custom_names(on: Server) -> Looked:
    """Custom properties have lower-case names of 3 letters and more."""
    yield from of_kind(on, rules=("name",))


@check("19.2", "8.2.1", Level.MUST, "19.1")
def valid(on: Server) -> Looked:
    """Every response is the resource that the standard defines."""
    if not on.resources:
        raise SkipCheck("no endpoint answers with a success")
    yield from of_kind(on)
