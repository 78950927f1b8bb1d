"""Section 2: media types and HTTP headers."""

from __future__ import annotations

import gzip
import json

from tocsin.conformance import samples
from tocsin.conformance.http import MEDIA_TYPE, InvalidJson
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.server import Server

TAXII = "application/taxii+json"
ENVELOPE: dict[str, list[dict[str, str]]] = {"objects": [{}]}
"""An envelope whose one object is good for nothing."""


@check("2.1", "3.1", Level.MUST)
def type_of_successes(on: Server) -> Looked:
    """Every success carries media type and version."""
    for _, answer in on.resources:
        yield expect(answer.is_taxii, f"Content-Type: {MEDIA_TYPE}", answer)


@check("2.1", "3.1", Level.MUST)
def type_of_errors(on: Server) -> Looked:
    """Every error of an endpoint carries media type and version."""
    for answer in on.errors:
        yield expect(answer.is_taxii, f"Content-Type: {MEDIA_TYPE}", answer)


@check("2.2", "3.1", Level.MUST)
def own_type(on: Server) -> Looked:
    """The endpoint's own media type is acceptable."""
    for path in (on.options.discovery, on.root, f"{on.root}collections/", f"{on.readable}objects/"):
        answer = on.get(path, (), Accept=MEDIA_TYPE)
        yield expect(answer.status == 200, f"200 for Accept: {MEDIA_TYPE}", answer)


@check("2.2", "3.1, 1.6.8.2", Level.MUST)
def own_type_without_version(on: Server) -> Looked:
    """The media type without version is acceptable."""
    for path in (on.options.discovery, on.root, f"{on.root}collections/", f"{on.readable}objects/"):
        answer = on.get(path, (), Accept=TAXII)
        yield expect(answer.status != 406, f"no 406 for Accept: {TAXII}", answer)


@check("2.3", "3.1", Level.SHOULD)
def highest_version(on: Server) -> Looked:
    """Accept without a version selects the highest version."""
    answer = on.get(on.root, (), Accept=TAXII)
    versions = [str(each) for each in on.get(on.root).items("versions")]
    if any("version=2.1" in each.replace(" ", "") for each in versions):
        yield expect(
            answer.status == 200 and answer.is_taxii, f"200 and Content-Type: {MEDIA_TYPE}", answer
        )


@check("2.4", "5.3", Level.MUST)
def manifest_types(on: Server) -> Looked:
    """A manifest is available with both of its media types."""
    both = f"{MEDIA_TYPE},application/stix+json;version=2.1"
    answer = on.get(f"{on.readable}manifest/", (), Accept=both)
    yield expect(answer.status == 200 and answer.is_taxii, f"200 as {MEDIA_TYPE}", answer)


@check("2.5", "3.1", Level.DECISION)
def other_types(on: Server) -> Looked:
    """Other media types are answered with TAXII or 406."""
    answer = on.get(on.root, (), Accept="text/html")
    expected = "406 as a TAXII error, or 200"
    yield expect(answer.status in (200, 406) and answer.is_taxii, expected, answer)


@check("2.5", "RFC 7231 5.3.2", Level.DECISION, "22.1")
def wildcards(on: Server) -> Looked:
    """Wildcards in Accept match."""
    for accept in ("*/*", "application/*", "application/json, text/plain, */*"):
        answer = on.get(on.root, (), Accept=accept)
        yield expect(answer.status == 200, f"200 for Accept: {accept}", answer)


@check("2.6", "3.1", Level.DECISION, "22.1")
def no_accept(on: Server) -> Looked:
    """A request without Accept is answered."""
    answer = on.get(on.root, (), Accept=None)
    yield expect(answer.status == 200, "200 without Accept", answer)


@check("2.7", "1.6.8.2", Level.DECISION)
def other_version(on: Server) -> Looked:
    """A version that is not served is not acceptable."""
    answer = on.get(on.root, (), Accept=f"{TAXII};version=1.9")
    yield expect(answer.status == 406, "406 for version=1.9 alone", answer)


@check("2.8", "3.1, RFC 7231 5.3.2", Level.MUST)
def spellings(on: Server) -> Looked:
    """Accept follows HTTP: lists, case, quality."""
    for accept in (
        f"{TAXII}; version=2.1",
        f'{TAXII};version="2.1"',
        "APPLICATION/TAXII+JSON;VERSION=2.1",
        f"{TAXII};version=2.0, {MEDIA_TYPE}",
        f"{MEDIA_TYPE};q=0.5, */*;q=0.1",
        f"text/html, {MEDIA_TYPE};q=0.1",
    ):
        answer = on.get(on.root, (), Accept=accept)
        yield expect(answer.status == 200, f"200 for Accept: {accept}", answer)


@check("2.8", "RFC 7231 5.3.1", Level.DECISION)
def excluded(on: Server) -> Looked:
    """A quality of 0 in Accept excludes."""
    answer = on.get(on.root, (), Accept=f"{MEDIA_TYPE};q=0")
    yield expect(answer.status == 406, "406 for the only type with q=0", answer)


@check("2.9", "3.1", Level.MUST, "22.2")
def own_content_type(on: Server) -> Looked:
    """A defined Content-Type is never unsupported."""
    for given in (MEDIA_TYPE, f"{TAXII}; version=2.1", TAXII):
        answer = on.post(ENVELOPE, {"Content-Type": given})
        yield expect(answer.status != 415, f"no 415 for Content-Type: {given}", answer)


@check("2.9", "3.1", Level.DECISION)
def content_type_with_charset(on: Server) -> Looked:
    """charset=utf-8 beside a defined Content-Type is accepted."""
    answer = on.post(ENVELOPE, {"Content-Type": f"{MEDIA_TYPE};charset=utf-8"})
    yield expect(answer.status != 415, "no 415 for charset=utf-8", answer)


@check("2.10", "3.1", Level.DECISION)
def other_content_type(on: Server) -> Looked:
    """Any other Content-Type is unsupported."""
    for given in ("application/json", None, f"{TAXII};version=2.0", "text/plain"):
        answer = on.post(ENVELOPE, {"Content-Type": given})
        yield expect(answer.status == 415, f"415 for Content-Type: {given}", answer)


@check("2.11", "3.1", Level.DECISION)
def no_slash(on: Server) -> Looked:
    """A path without its last slash is served or redirected."""
    for path in (f"{on.root}collections", f"{on.readable}objects"):
        answer = on.get(path)
        led = answer.status in (301, 307, 308) and (answer.header("Location") or "").endswith("/")
        yield expect(answer.status == 200 or led, "200, or a redirect to the path with /", answer)


@check("2.12", "3.1", Level.MUST)
def bodies(on: Server) -> Looked:
    """Every success has the endpoint's resource as its body."""
    for kind, answer in on.resources:
        yield expect(answer.body.lstrip()[:1] == b"{", f"a {kind} resource", answer)


@check("2.13", "3.1", Level.DECISION)
def error_bodies(on: Server) -> Looked:
    """Errors have the error message as their body."""
    for answer in on.errors:
        yield expect("title" in answer.resource, "an error message (section 3.6.1)", answer)


@check("2.14", "RFC 7231 6.5.5", Level.DECISION)
def other_methods(on: Server) -> Looked:
    """Other methods answer 405 with Allow."""
    for path in (on.root, f"{on.root}collections/"):
        answer = on.ask("PUT", path)
        allowed = (answer.header("Allow") or "").upper()
        yield expect(answer.status == 405 and "GET" in allowed, "405 with Allow: GET …", answer)


@check("2.15", "1.6.7", Level.MUST)
def strict_answers(on: Server) -> Looked:
    """Answers are strict JSON in UTF-8."""
    for answer in [answer for _, answer in on.resources]:
        try:
            answer.body.decode("utf-8")
            faulty = "" if answer.json is not None else "null"
        except (UnicodeDecodeError, InvalidJson) as error:
            faulty = str(error)
        yield expect(not faulty, f"I-JSON (RFC 7493), not: {faulty}", answer)


@check("2.15", "1.6.7", Level.DECISION, risk=2)
def strict_bodies(on: Server) -> Looked:
    """Bodies that are not I-JSON are refused, and nothing is stored."""
    one = json.dumps(samples.indicator())
    for what, body in (
        ("a name given twice", one[:-1] + ', "name": "again"}'),
        ("NaN", one[:-1] + ', "x_conformance": NaN}'),
        ("a lone surrogate", one[:-1] + ', "x_conformance": "\\ud800"}'),
        ("octets that are not UTF-8", one[:-1] + ', "x_conformance": "\xff"}'),
    ):
        answer = on.wait_until_complete(on.post(f'{{"objects": [{body}]}}'.encode("latin-1")))
        taken = answer.status in (200, 202) and answer.resource.get("failure_count") != 1
        if taken:
            on.posted[json.loads(one)["id"]] = None
        expected = f"400 or 422, or a failure of the object, for {what}"
        yield expect(not taken and answer.status < 500, expected, answer)


@check("2.16", "RFC 7231 3.1.2.2", Level.DECISION)
def packed(on: Server) -> Looked:
    """A gzip body is accepted or unsupported."""
    one = samples.indicator()
    body = gzip.compress(json.dumps({"objects": [one]}).encode())
    answer = on.post(body, {"Content-Encoding": "gzip"})
    if answer.status == 202:
        on.posted[one["id"]] = None
    yield expect(answer.status in (202, 415), "202 or 415 for Content-Encoding: gzip", answer)


@check("2.17", "3.4", Level.DECISION)
def dated(on: Server) -> Looked:
    """Every response has a Date."""
    for answer in (on.discovery, *(answer for _, answer in on.resources), *on.errors):
        yield expect(bool(answer.header("Date")), "a Date header", answer)
