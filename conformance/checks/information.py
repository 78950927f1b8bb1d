"""Sections 6, 7 and 8: discovery, API root, status."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

from tocsin.conformance import samples
from tocsin.conformance.checks.types import of_kind
from tocsin.conformance.client import SkipCheck
from tocsin.conformance.http import MEDIA_TYPE, Response
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.resource_tables import parse_timestamp
from tocsin.conformance.server import Server

_LARGEST = 16 * 1024 * 1024
"""Octets that a check is ready to send."""


@check("6.1", "8.2.1", Level.MUST)
def discovery_path(on: Server) -> Looked:
    """Discovery is at /taxii2/."""
    answer = on.get("/taxii2/")
    yield expect(answer.status == 200 and "title" in answer.resource, "the discovery", answer)


@check("6.2", "8.2.1", Level.MUST)
def api_root(on: Server) -> Looked:
    """An API root exists and answers."""
    answer = on.get(on.root)
    yield expect(answer.status == 200 and "versions" in answer.resource, "the API root", answer)


@check("6.3", "4.1.1", Level.MUST)
def discovery(on: Server) -> Looked:
    """Discovery has a title, and other properties as specified."""
    yield from of_kind(on, "discovery")


@check("6.4", "4.1.1", Level.MUST)
def default(on: Server) -> Looked:
    """default is one of the API roots."""
    reported = on.discovery.resource
    if "default" not in reported:
        raise SkipCheck("discovery names no default")
    listed = on.discovery.items("api_roots")
    yield expect(reported["default"] in listed, "default among api_roots", on.discovery)


@check("6.5", "4.1.1", Level.MUST)
def root_urls(on: Server) -> Looked:
    """API roots are URLs, absolute in HTTPS or relative from /."""
    schemes = {"https", on.options.target.scheme}  # who is asked over HTTP may tell HTTP
    for url in map(str, on.discovery.items("api_roots")):
        parts = urlsplit(url)
        relative = url.startswith("/") and not url.startswith("//")
        absolute = parts.scheme in schemes and bool(parts.netloc)
        good = (relative or absolute) and ".." not in url and not parts.query
        yield expect(good, f"an https URL, or a path from /, not {url[:200]}", on.discovery)


@check("6.10", "4.1", Level.DECISION)
def discovery_for_anybody(on: Server) -> Looked:
    """Discovery without a credential answers 200, 401, 403 or 404."""
    answer = on.get(on.options.discovery, (), Authorization=None)
    yield expect(answer.status in (200, 401, 403, 404), "200, 401, 403 or 404", answer)


@check("7.1", "4.2", Level.MUST)
def unique_roots(on: Server) -> Looked:
    """Every API root has a URL of its own."""
    listed = [str(each).rstrip("/") for each in on.discovery.items("api_roots")]
    if not listed:
        raise SkipCheck("discovery names no API root")
    yield expect(len(set(listed)) == len(listed), "no URL twice in api_roots", on.discovery)


@check("7.2", "4.2.1", Level.MUST)
def root_properties(on: Server) -> Looked:
    """An API root has title, versions and max_content_length."""
    yield from of_kind(on, "api-root")


@check("7.3", "4.2.1", Level.MUST)
def root_versions(on: Server) -> Looked:
    """versions lists the media type of TAXII 2.1."""
    answer = on.read(on.root)
    yield expect(MEDIA_TYPE in answer.items("versions"), f'"{MEDIA_TYPE}" in versions', answer)


@check("7.4", "4.2.1", Level.MUST)
def positive_length(on: Server) -> Looked:
    """max_content_length is positive."""
    answer = on.read(on.root)
    length = answer.resource.get("max_content_length")
    yield expect(isinstance(length, int) and length > 0, "a positive integer", answer)


def _longest(on: Server) -> int:
    length = on.read(on.root).resource.get("max_content_length")
    if not isinstance(length, int):
        raise SkipCheck("the API root has no max_content_length")
    if length > _LARGEST:
        raise SkipCheck(
            f"max_content_length is {length}; bodies of up to {_LARGEST} octets are tried"
        )
    return length


def _padded(length: int) -> bytes:
    """An envelope, good for nothing, of an exact length."""
    body = b'{"objects":[{}]}'
    return body + b" " * (length - len(body))


@check("7.5", "4.2.1", Level.MUST)
def short_enough(on: Server) -> Looked:
    """A body shorter than max_content_length is not too large."""
    length = _longest(on)
    answer = on.post(_padded(length - 1))
    yield expect(answer.status != 413, f"no 413 for {length - 1} octets", answer)


@check("7.5", "4.2.1", Level.DECISION)
def just_short_enough(on: Server) -> Looked:
    """A body of exactly max_content_length is not too large."""
    length = _longest(on)
    answer = on.post(_padded(length))
    yield expect(answer.status != 413, f"no 413 for {length} octets", answer)


@check("7.6", "5.5", Level.DECISION)
def too_long(on: Server) -> Looked:
    """A longer body is too large, announced or in chunks."""
    length = _longest(on)
    for chunked in (False, True):
        answer = on.post(_padded(length + 1), chunked=chunked)
        expected = f"413 for {length + 1} octets{' in chunks' if chunked else ''}"
        yield expect(answer.status == 413, expected, answer)


@check("7.6", "RFC 7230 3.3.3", Level.DECISION)
def chunked(on: Server) -> Looked:
    """A chunked body is accepted."""
    one = samples.indicator()
    on.posted[one["id"]] = None
    answer = on.post({"objects": [one]}, chunked=True)
    yield expect(answer.status == 202, "202 for a body in chunks", answer)


@check("7.7", "4.2", Level.DECISION)
def unknown_root(on: Server) -> Looked:
    """An unknown API root is not found."""
    answer = on.get(f"/no-such-root-{uuid.uuid4().hex[:8]}/")
    yield expect(answer.status in (401, 404), "404", answer)


def _statuses(on: Server) -> list[Response]:
    """A status as returned by POST, and by GET."""
    posted = on.send(samples.indicator(), samples.address())
    if posted.status != 202:
        raise SkipCheck(f"POST answered {posted.status}, so there is no status")
    id = posted.resource.get("id")
    return [posted, on.wait_until_complete(posted), on.get(f"{on.root}status/{id}/")]


@check("8.1", "4.3.1", Level.MUST)
def status_properties(on: Server) -> Looked:
    """A status has its id, state and counts."""
    on.status_id  # noqa: B018  (without a status there is nothing to look at)
    yield from of_kind(on, "status", rules=("required", "identifier"))


@check("8.2", "4.3.1", Level.MUST)
def states(on: Server) -> Looked:
    """A status is complete or pending."""
    for answer in _statuses(on):
        yield expect(answer.resource.get("status") in ("complete", "pending"), "either", answer)


@check("8.3", "4.3.1", Level.MUST)
def counts(on: Server) -> Looked:
    """Counts are not negative."""
    for answer in _statuses(on):
        reported = answer.resource
        names = ("total_count", "success_count", "failure_count", "pending_count")
        good = all(isinstance(reported.get(n), int) and reported[n] >= 0 for n in names)
        yield expect(good, "four counts from 0 up", answer)


@check("8.3", "4.3.1", Level.DECISION)
def sum_of_counts(on: Server) -> Looked:
    """The total is the sum of the other counts."""
    for answer in _statuses(on):
        reported = answer.resource
        parts = [reported.get(f"{n}_count") for n in ("success", "failure", "pending")]
        good = all(isinstance(n, int) for n in parts) and sum(parts) == reported.get("total_count")  # type: ignore[arg-type]
        yield expect(good, "total_count = success_count + failure_count + pending_count", answer)


@check("8.4", "4.3.1", Level.DECISION)
def complete_stays(on: Server) -> Looked:
    """A complete status does not change."""
    *_, first = _statuses(on)
    if first.resource.get("status") != "complete":
        raise SkipCheck("the status is not complete yet")
    again = on.get(first.request.path)
    yield expect(again.resource == first.resource, "the same status again", again)


@check("8.5", "4.3.1", Level.MUST)
def status_types(on: Server) -> Looked:
    """The optional properties of a status have their types."""
    on.status_id  # noqa: B018
    yield from of_kind(on, "status", rules=("list", "timestamp", "string"))


def _details(answer: Response) -> list[object]:
    names = ("successes", "failures", "pendings")
    return [each for name in names for each in answer.items(name)]


@check("8.6", "4.3.1", Level.MUST)
def details(on: Server) -> Looked:
    """Each detail of a status has id and version."""
    found = [answer for answer in _statuses(on) if _details(answer)]
    if not found:
        raise SkipCheck("the server gives no details in a status")
    for answer in found:
        each = _details(answer)
        good = all(isinstance(d, dict) and {"id", "version"} <= d.keys() for d in each)
        yield expect(good, "id and version in each detail", answer)


@check("8.7", "4.3.1", Level.MUST)
def detail_versions(on: Server) -> Looked:
    """A detail's version is modified, else created."""
    one, other = samples.indicator(modified="2024-04-01T00:00:00.000Z"), samples.marking()
    answer = on.wait_until_complete(on.send(one, other))
    reported = {str(d.get("id")): d.get("version") for d in _details(answer) if isinstance(d, dict)}
    if not reported:
        raise SkipCheck("the server gives no details in a status")
    for each, version in ((one, one["modified"]), (other, other["created"])):
        if each["id"] in reported:
            same = parse_timestamp(reported[each["id"]]) == parse_timestamp(version)
            yield expect(same, f"version {version} of {each['id']}", answer)


@check("8.8", "4.3", Level.SHOULD)
def status_stays(on: Server) -> Looked:
    """A status is still there after it is complete."""
    *_, last = _statuses(on)
    yield expect(last.status == 200, "200 (the standard asks for 24 hours; this is at once)", last)


@check("8.9", "4.3", Level.MUST)
def unknown_status(on: Server) -> Looked:
    """An unknown status is not found."""
    answer = on.get(f"{on.root}status/{uuid.uuid4()}/")
    yield expect(answer.status == 404, "404", answer)


@check("8.10", "4.3", Level.DECISION)
def malformed_status(on: Server) -> Looked:
    """A status id that is not a UUID is not found."""
    answer = on.get(f"{on.root}status/foo/")
    yield expect(answer.status == 404, "404", answer)
