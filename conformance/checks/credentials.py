"""Sections 3 and 4: authentication, rights and error messages."""

from __future__ import annotations

import uuid

from tocsin.conformance import samples
from tocsin.conformance.client import SkipCheck
from tocsin.conformance.http import Response
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.resource_tables import find_faults, unknown_properties
from tocsin.conformance.server import Collection, Server

DENIED, HIDDEN_OR_DENIED = (401, 404), (403, 404)
_ABSENT = "indicator--00000000-0000-4000-8000-000000000000"


def _closed(on: Server) -> None:
    if not on.options.credential:
        raise SkipCheck("needs an account: --key")
    if on.get(f"{on.root}collections/", (), Authorization=None).status == 200:
        raise SkipCheck("the server shows its collections to anybody")


def _knocks(on: Server) -> list[tuple[str, str]]:
    """Every endpoint of the collections."""
    feed = on.readable
    one = f"{feed}objects/{_ABSENT}/"
    reads = ("", "manifest/", "objects/")
    return [
        ("GET", f"{on.root}collections/"),
        *(("GET", feed + each) for each in reads),
        ("GET", one),
        ("GET", f"{one}versions/"),
        ("POST", f"{feed}objects/"),
        ("DELETE", one),
    ]


def _uninvited(on: Server, knocks: list[tuple[str, str]]) -> list[Response]:
    """The responses without a credential, and to a wrong one."""
    answers = []
    for method, path in knocks:
        body = {"body": b'{"objects":[{}]}'} if method == "POST" else {}
        type = {"Content-Type": "application/taxii+json;version=2.1"} if body else {}
        for credential in (None, on.wrong_credential):
            answers.append(on.ask(method, path, (), {"Authorization": credential, **type}, **body))
    return answers


@check("3.1", "8.2.2", Level.SHOULD)
def basic_opens(on: Server) -> Looked:
    """HTTP Basic gives access, and only with the right password."""
    _closed(on)
    if not on.options.credential.startswith("Basic "):
        raise SkipCheck("the account has no Basic credential")
    yield expect(on.get(on.root).status == 200, "200 for the account", on.get(on.root))
    wrong = on.get(f"{on.root}collections/", (), Authorization=on.wrong_credential)
    yield expect(wrong.status != 200, "no 200 for an unknown account", wrong)


@check("3.3", "1.6.9, RFC 7235 3.1", Level.MUST)
def challenges(on: Server) -> Looked:
    """Every 401 carries a challenge."""
    _closed(on)
    knocks = [("GET", on.options.discovery), ("GET", on.root), *_knocks(on)]
    for answer in _uninvited(on, knocks):
        if answer.status == 401:
            yield expect(bool(answer.header("WWW-Authenticate")), "WWW-Authenticate", answer)


@check("3.4", "5.1 to 5.8", Level.MUST)
def closed(on: Server) -> Looked:
    """Without a valid credential, collections are not accessible."""
    _closed(on)
    for answer in _uninvited(on, _knocks(on)):
        yield expect(answer.status in DENIED, "401 or 404", answer)


@check("3.5", "4.1 to 4.3", Level.DECISION)
def closed_information(on: Server) -> Looked:
    """Without a valid credential, the server discloses little."""
    _closed(on)
    paths = (on.options.discovery, on.root, f"{on.root}status/{uuid.uuid4()}/")
    wrong = [on.get(path, (), Authorization=on.wrong_credential) for path in paths]
    for answer in (*wrong, on.get(paths[2], (), Authorization=None)):
        yield expect(answer.status in (401, 403, 404), "401, 403 or 404", answer)


@check("3.6", "5.3, 5.4, 5.6, 5.8", Level.MUST)
def unreadable(on: Server) -> Looked:
    """Reading without the right answers 403 or 404."""
    closed = [each for each in on.collections if each.get("can_read") is False]
    if not closed:
        raise SkipCheck("the account sees no collection that it may not read")
    for tail in ("manifest/", "objects/", f"objects/{_ABSENT}/", f"objects/{_ABSENT}/versions/"):
        answer = on.get(on.path(closed[0]) + tail)
        yield expect(answer.status in HIDDEN_OR_DENIED, "403 or 404", answer)


def _push(on: Server, collection: Collection, body: bytes, type: str) -> Response:
    path = on.path(collection) + "objects/"
    return on.ask("POST", path, (), {"Content-Type": type}, body=body)


@check("3.7", "5.5", Level.MUST)
def unwritable(on: Server) -> Looked:
    """Writing without the right answers 403 or 404."""
    answer = _push(on, _unwritable(on), b'{"objects":[{}]}', "application/taxii+json;version=2.1")
    yield expect(answer.status in HIDDEN_OR_DENIED, "403 or 404", answer)


@check("3.7", "5.5", Level.DECISION)
def unwritable_first(on: Server) -> Looked:
    """The right to write is checked before the body."""
    answer = _push(on, _unwritable(on), b"{", "application/taxii+json;version=2.1")
    yield expect(answer.status in HIDDEN_OR_DENIED, "403 or 404, though it is not JSON", answer)


def _unwritable(on: Server) -> Collection:
    closed = [each for each in on.collections if each.get("can_write") is False]
    if not closed:
        raise SkipCheck("the account sees no collection that it may not write")
    return closed[0]


@check("3.8", "5.7", Level.MUST, "14.1")
def delete_matrix(on: Server) -> Looked:
    """Deleting requires the rights to read and to write."""
    for read, write, status in ((True, False, 403), (False, True, 403), (False, False, 404)):
        for each in on.with_rights(read, write)[:1]:
            answer = on.ask("DELETE", f"{on.path(each)}objects/{_ABSENT}/")
            may = f"may {'' if read else 'not '}read and may {'' if write else 'not '}write"
            yield expect(answer.status == status, f"{status} where the account {may}", answer)


def _other(on: Server) -> str:
    if not on.options.other:
        raise SkipCheck("needs a second account: --other-key")
    return on.options.other


@check("3.10", "appendix B", Level.DECISION, "22.13")
def hidden(on: Server) -> Looked:
    """A hidden collection answers like an unknown one."""
    listed = on.get(f"{on.root}collections/", (), Authorization=_other(on)).items("collections")
    known = [each.get("id") for each in on.collections]
    secret = [each for each in listed if isinstance(each, dict) and each.get("id") not in known]
    if not secret:
        raise SkipCheck("the second account sees no collection that the first does not")
    found = on.get(on.path(secret[0]))
    unknown = on.get(f"{on.root}collections/{uuid.uuid4()}/")
    same = {**found.resource, "error_id": 0} == {**unknown.resource, "error_id": 0}
    expected = "the same 404 for a hidden collection as for an unknown one"
    yield expect(found.status == unknown.status == 404 and same, expected, found)


@check("3.12", "appendix B", Level.MUST, "17.14")
def cursor_rights(on: Server) -> Looked:
    """next gives no account a right."""
    query = {**on.feed.query, "limit": "1"}
    next = on.get(on.feed.at("objects/"), query).resource.get("next")
    if not isinstance(next, str):
        raise SkipCheck("the server gives no next")
    moved = {**query, "next": next}
    if on.options.credential:
        _closed(on)
        answer = on.get(on.feed.at("objects/"), moved, Authorization=on.wrong_credential)
        yield expect(answer.status in DENIED, "401 or 404 for next with a wrong credential", answer)
    if on.options.other:
        plain = on.get(on.feed.at("objects/"), query, Authorization=on.options.other)
        answer = on.get(on.feed.at("objects/"), moved, Authorization=on.options.other)
        if plain.status in (401, 403, 404):
            expected = "no objects for the next of an account that may read, where this one may not"
            yield expect(answer.status in (400, 401, 403, 404), expected, answer)


@check("3.13", "4.3", Level.DECISION)
def status_is_private(on: Server) -> Looked:
    """A status is visible to its submitter only."""
    other = _other(on)
    path = f"{on.root}status/{on.status_id}/"
    yield expect(on.get(path).status == 200, "200 for the submitter", on.get(path))
    answer = on.get(path, (), Authorization=other)
    yield expect(answer.status in HIDDEN_OR_DENIED, "404 or 403 for another account", answer)


@check("4.1", "3.6.1", Level.MUST)
def title(on: Server) -> Looked:
    """An error message has a title."""
    for answer in on.errors:
        if answer.is_taxii or answer.resource:
            yield expect(isinstance(answer.resource.get("title"), str), "title, a string", answer)


@check("4.2", "3.6.1", Level.MUST)
def http_status(on: Server) -> Looked:
    """http_status in an error is the status, as a string."""
    for answer in on.errors:
        reported = answer.resource.get("http_status", str(answer.status))
        yield expect(reported == str(answer.status), f'http_status "{answer.status}"', answer)


@check("4.3", "3.6.1", Level.MUST)
def error_types(on: Server) -> Looked:
    """The properties of an error have their types."""
    for answer in on.errors:
        if answer.resource:
            wrong = [
                f.description for f in find_faults("error", answer.resource) if f.rule == "string"
            ]
            yield expect(not wrong, "; ".join(wrong), answer)


@check("4.4", "3.8, 7.1.1", Level.SHOULD)
def error_names(on: Server) -> Looked:
    """Other properties of an error are named x_…."""
    for answer in on.errors:
        others = [n for n in unknown_properties("error", answer.resource) if not n.startswith("x_")]
        yield expect(not others, f"names of section 3.6.1 or x_…, not {others}", answer)


@check("4.5", "3.6", Level.DECISION)
def framework_errors(on: Server) -> Looked:
    """Errors of the web framework are TAXII errors too."""
    answers = [
        on.get(f"{on.root}no-such-endpoint/"),
        on.ask("PUT", f"{on.root}collections/"),
        on.get(f"{on.root}status/foo/"),
    ]
    if on.options.credential:
        answers.append(on.get(on.root, (), Authorization="Basic ???"))
        answers.append(on.get(on.root, (), Authorization=on.wrong_credential))
    if on.options.collection:
        answers.append(on.post(b'{"objects": [' + b"{" * 3))
    for answer in answers:
        if answer.status >= 400:
            good = answer.is_taxii and isinstance(answer.resource.get("title"), str)
            yield expect(good and answer.status != 500, "a TAXII error", answer)


@check("12.13", "5.5", Level.DECISION)
def order(on: Server) -> Looked:
    """The credential is checked before the rest of a request."""
    _closed(on)
    sent = {"Authorization": on.wrong_credential, "Content-Type": "text/plain", "Accept": "a/b"}
    answer = on.ask("POST", f"{on.readable}objects/", (), sent, body=b"{")
    yield expect(answer.status in DENIED, "401 though everything else is wrong too", answer)
    for each in on.with_rights(read=True, write=False)[:1]:
        answer = _push(on, each, b"{", "text/plain")
        yield expect(answer.status in HIDDEN_OR_DENIED, "403 before 415", answer)
    if on.options.collection:
        body = b"{" + str(samples.indicator()).encode()
        answer = on.post(body, {"Content-Type": "text/plain"})
        yield expect(answer.status == 415, "415 before the body is read as JSON", answer)
