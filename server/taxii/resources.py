"""TAXII 2.1 resources: formatting of answers and errors, parsing of envelopes.

Pure: values to octets and back.  The HTTP status of each kind of error is decided here and
nowhere else.  Objects are never parsed on their way in or out; only the envelope around them is.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec

from tocsin.admission.errors import (
    Conflict,
    Malformed,
    NotAcceptable,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    ShareError,
    TooLarge,
    TooManyRequests,
    Unavailable,
    Unprocessable,
    UnsupportedCoding,
    UnsupportedMediaType,
)
from tocsin.admission.rules.anonymise_source import AUTHOR_REMOVED, ROUNDED
from tocsin.admission.stix.ijson import replace_lone_surrogates
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.intake.verbatim import TAKEN_UNSEEN
from tocsin.server.model import (
    Collection,
    CollectionKind,
    Entry,
    ObjectPage,
    Page,
    Record,
    Representation,
    Submission,
)
from tocsin.server.publishing.verdicts import OUTCOMES, STAYS, awaits_objects
from tocsin.server.taxii.content import MEDIA_TYPE, STIX
from tocsin.server.taxii.page_token import submission_token
from tocsin.server.taxii.protocols import TaxiiSettings

ROOT = "/hub/"
"""The path of the one API root."""

HTTP_STATUS: dict[type[ShareError], HTTPStatus] = {
    Malformed: HTTPStatus.BAD_REQUEST,
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UnsupportedCoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    ShareError: HTTPStatus.BAD_REQUEST,
}
"""The HTTP status of each kind of error (TAXII 2.1 section 3.6).  The only such table."""

Resource = dict[str, object]
"""A TAXII resource to be encoded; absent properties are omitted, never null."""

_SPECS: dict[CollectionKind, tuple[str, ...]] = {
    CollectionKind.FEED: ("2.1",),
    CollectionKind.INBOX: ("2.0", "2.1"),
    CollectionKind.VERBATIM: ("2.0", "2.1"),
    CollectionKind.AGGREGATE: ("2.0", "2.1"),
    CollectionKind.SNAPSHOT: ("2.0", "2.1"),
}
"""The STIX versions that a collection can hold or accept (TAXII 2.1 section 5.2.1)."""

_SUCCESSES = ("admitted", "merged", "duplicate")
_FAILURES = ("refused",)
_OUTCOMES: dict[str, str] = {
    "admitted": "published",
    "merged": "published, merged with an object that is published already",
    "duplicate": "published already",
    "held": "waits for a reviewer",
    "refused": "refused",
    "pending": "waits for admission",
}
_SET_ASIDE = "could not be examined; waits for the operator, who tries it again or drops it"
_AWAITS_OBJECTS = "not published yet"
"""The outcome of an object that is held only until others arrive: nobody has to decide."""
_UNCHANGED = "published already; nothing changed"
_HELD_FOR_REVIEW = "held for review: "
_INSTEAD = (*OUTCOMES, TAKEN_UNSEEN)
"""Messages that stand for the outcome."""
_ROUTINE = frozenset({AUTHOR_REMOVED, ROUNDED})
"""Messages of what is done to most objects; a status has them only in `x_tocsin_findings`."""
_DECIDING_STAGES = frozenset({"merge", "publish", "review"})
"""Stages whose notes say what became of an object; those of others are about its content."""
_MOST_PLACES = 3
_MAX_MESSAGE = 500
_ID = re.compile(
    r"[a-z][a-z0-9-]{1,248}[a-z0-9]--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.I
)
"""A STIX id (STIX 2.1 section 2.9)."""


def http_status(error: ShareError) -> HTTPStatus:
    """The status of an error's class, or of its nearest base class in the table."""
    return next(HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS)


def encode(resource: Resource) -> bytes:
    """Encode a resource as JSON."""
    return msgspec.json.encode(resource)


def format_error(status: HTTPStatus, description: str = "", error_id: str = "") -> Resource:
    """An error message (TAXII 2.1 section 3.6.1)."""
    resource: Resource = {"title": status.phrase, "http_status": str(status.value)}
    if description:
        resource["description"] = description
    if error_id:
        resource["error_id"] = error_id
    return resource


def format_discovery(settings: TaxiiSettings) -> Resource:
    """The discovery resource (TAXII 2.1 section 4.1.1)."""
    resource: Resource = {"title": settings.title}
    if settings.contact:
        resource["contact"] = settings.contact
    return resource | {"default": ROOT, "api_roots": [ROOT]}


def format_api_root(settings: TaxiiSettings) -> Resource:
    """The API root resource (TAXII 2.1 section 4.2.1)."""
    return {
        "title": settings.title,
        "versions": [MEDIA_TYPE],
        "max_content_length": settings.max_content_length,
        "x_tocsin_date_added": "unique",  # so `added_after` alone loses nothing (docs/protocol.md)
    }


def format_collection(collection: Collection, *, can_read: bool, can_write: bool) -> Resource:
    """A collection as one account sees it (TAXII 2.1 section 5.2.1)."""
    resource: Resource = {"id": collection.id, "title": collection.title}
    if collection.description:
        resource["description"] = collection.description
    if collection.alias:
        resource["alias"] = collection.alias
    return resource | {
        "can_read": can_read,
        "can_write": can_write,
        "media_types": [f"{STIX};version={spec}" for spec in _SPECS[collection.kind]],
    }


def format_collections(collections: Sequence[Resource]) -> Resource:
    """The collections resource (TAXII 2.1 section 5.1.1); empty without collections."""
    return {"collections": list(collections)} if collections else {}


def format_envelope(page: ObjectPage, next: str | None) -> bytes:
    """An envelope (TAXII 2.1 section 3.7): the stored octets of the objects, joined."""
    if not page.count:
        return encode({"more": page.more})
    head = encode(_paging(next, more=page.more))[:-1] + b',"objects":['
    return head + page.objects + b"]}"


def _format_record(entry: Entry) -> bytes:
    """A record of a manifest (TAXII 2.1 section 5.3.2)."""
    return encode(
        {
            "id": entry.id,
            "date_added": timestamp(entry.stamp),
            "version": entry.version,
            "media_type": f"{STIX};version={entry.spec}",
        }
    )


MANIFEST = Representation("manifest", _format_record)
"""The representation of entries in a manifest."""


def format_manifest(page: ObjectPage, next: str | None) -> bytes:
    """A manifest (TAXII 2.1 section 5.3.1), with the `next` that the standard lacks."""
    return format_envelope(page, next) if page.count else b"{}"


def format_versions(page: Page, next: str | None) -> bytes:
    """The versions of an object (TAXII 2.1 section 5.8.1), likewise with `next`."""
    if not page.entries:
        return b"{}"
    return encode(
        _paging(next, more=page.more) | {"versions": [entry.version for entry in page.entries]}
    )


def _paging(next: str | None, *, more: bool) -> Resource:
    return {"more": more} | ({"next": next} if next else {})


def format_status(submission: Submission, records: Sequence[Record]) -> Resource:
    """The status resource (TAXII 2.1 section 4.3.1), counted from the records.

    A record may be read later than its submission and be settled already; the status then is
    still `pending`, never `complete` too early.
    """
    tally = Counter(record.verdict for record in records)
    success = sum(tally[verdict] for verdict in _SUCCESSES)
    failure = sum(tally[verdict] for verdict in _FAILURES)
    pending = submission.total - success - failure
    unsettled = pending - tally["held"]
    resource: Resource = {
        "id": submission.id,
        "status": "complete" if submission.complete else "pending",
        "request_timestamp": timestamp(submission.received),
        "total_count": submission.total,
        "success_count": success,
        "failure_count": failure,
        "pending_count": pending,
        "x_tocsin_settled": unsettled == 0,
        "x_tocsin_counts": _counts(tally, unsettled),
    }
    if submission.set_aside:
        resource["x_tocsin_set_aside"] = _SET_ASIDE
    findings = _number_findings(records)
    if findings:
        resource["x_tocsin_findings"] = [dict(finding) for finding in findings]
    for name, verdicts in (("successes", _SUCCESSES), ("failures", _FAILURES)):
        chosen = [record for record in records if record.verdict in verdicts]
        resource |= _details_list(name, chosen, submission, findings)
    others = [r for r in records if r.verdict not in _SUCCESSES + _FAILURES]
    return resource | _details_list("pendings", others, submission, findings)


def format_submissions(
    found: Sequence[Submission], limit: int, aliases: Mapping[str, str]
) -> Resource:
    """A page of the submissions of a partner, of which `found` may have one more.

    `aliases` of the collections by id.  Each says what its status says, without the objects.
    """
    page = found[:limit]
    resource: Resource = {}
    if len(found) > limit:
        last = page[-1]
        resource = {"more": True, "next": submission_token(last.received, last.id)}
    if page:
        resource["submissions"] = [_format_submission(each, aliases) for each in page]
    return resource


def _format_submission(submission: Submission, aliases: Mapping[str, str]) -> Resource:
    unsettled = submission.total - submission.settled
    resource: Resource = {
        "id": submission.id,
        "status": "complete" if submission.complete else "pending",
        "request_timestamp": timestamp(submission.received),
        "collection_id": submission.collection,
        "account": submission.account,
        "total_count": submission.total,
        "settled": unsettled == 0,
        "counts": _counts(submission.counts, unsettled),
    }
    alias = aliases.get(submission.collection)
    return resource | ({"collection_alias": alias} if alias else {})


def _counts(tally: Mapping[str, int], unsettled: int) -> dict[str, int]:
    counts = {v: tally[v] for v in (*_SUCCESSES, "held", *_FAILURES) if tally.get(v)}
    return counts | ({"pending": unsettled} if unsettled else {})


_Findings = Mapping[tuple[tuple[str, str], ...], int]
"""The distinct findings of a status, each with its place in the list of them."""


def _number_findings(records: Sequence[Record]) -> _Findings:
    found: dict[tuple[tuple[str, str], ...], int] = {}
    for record in records:
        for finding in record.findings:
            found.setdefault(tuple(finding.items()), len(found))
    return found


def _details_list(
    name: str, records: Sequence[Record], submission: Submission, findings: _Findings
) -> Resource:
    details = [_details(record, submission, findings) for record in records]
    return {name: details} if details else {}


def _details(record: Record, submission: Submission, findings: _Findings) -> Resource:
    """The outcome for one object (TAXII 2.1 section 4.3.1).

    Clients expect a STIX id and a timestamp here.  An invalid id is replaced by a placeholder
    with the object's index, an invalid version by the time of receipt.  A public id would tell a
    sender that may not learn it that its object was stored.
    """
    resource: Resource = {
        "id": record.source_id if _ID.fullmatch(record.source_id) else placeholder_id(record.index),
        "version": _valid_timestamp(record.version) or timestamp(submission.received),
        "message": _message(record),
        "x_tocsin_index": record.index,
        "x_tocsin_verdict": record.verdict,
    }
    if record.public_id and all(f.get("message") != TAKEN_UNSEEN for f in record.findings):
        resource["x_tocsin_public_id"] = record.public_id
    if record.findings:
        indexes = [findings[tuple(finding.items())] for finding in record.findings]
        resource["x_tocsin_finding_indexes"] = indexes
    return resource


def _valid_timestamp(text: str) -> str:
    """The text if it is a timestamp, else empty."""
    try:
        micros(text)
    except Malformed:
        return ""
    return text


def placeholder_id(index: int) -> str:
    """A STIX id that stands for an object without a valid one: its index, in decimal digits.

    >>> placeholder_id(12)
    'record--00000000-0000-4000-8000-000000000012'
    """
    return f"record--00000000-0000-4000-8000-{index:012d}"


def _message(record: Record) -> str:
    """The outcome for an object in words, then the findings that explain it."""
    successful = record.verdict in _SUCCESSES
    if successful and (said := list(filter(_says_all, record.findings))):
        return said[-1]["message"]
    explains = _explains_success if successful else _explains_failure
    reported = [f for f in record.findings if f.get("message") and explains(record.verdict, f)]
    if successful:  # notes on where it is published first: of changes there may be many
        reported.sort(key=lambda finding: finding.get("action") != "noted")
    outcome, reasons = _outcome(record, is_explained=bool(reported)), _join_reasons(reported)
    text = f"{outcome}: {reasons}" if reasons else outcome
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def _outcome(record: Record, *, is_explained: bool) -> str:
    if awaits_objects(record):
        return _AWAITS_OBJECTS
    if record.verdict == "duplicate" and not is_explained:
        return _UNCHANGED
    return _OUTCOMES.get(record.verdict, record.verdict)


def _says_all(finding: Mapping[str, str]) -> bool:
    """True if the message says itself what became of an object that succeeded."""
    return finding.get("message", "").startswith(_INSTEAD) or finding.get("stage") == "identify"


def _explains_failure(verdict: str, finding: Mapping[str, str]) -> bool:
    return finding.get("action") == verdict or finding.get("message") == STAYS


def _explains_success(_: str, finding: Mapping[str, str]) -> bool:
    """True for changes of the object, and for notes on where it is published."""
    action, message = finding.get("action"), finding.get("message")
    if action == "noted":
        decides = finding.get("stage") in _DECIDING_STAGES or finding.get("rule") == "marking"
        return decides and message != STAYS  # it was said while the object waited
    return action not in ("repaired", "held") and message not in _ROUTINE


def _join_reasons(findings: Sequence[Mapping[str, str]]) -> str:
    """The messages, each once, with the places that they are about in front."""
    places: dict[str, dict[str, None]] = {}
    for each in findings:
        found = places.setdefault(each["message"].removeprefix(_HELD_FOR_REVIEW), {})
        found |= {each["path"]: None} if each.get("path") else {}
    return "; ".join(
        f"{_join_places(list(found))}: {message}" if found else message
        for message, found in places.items()
    )


def _join_places(places: Sequence[str]) -> str:
    more = ", …" if len(places) > _MOST_PLACES else ""
    return ", ".join(places[:_MOST_PLACES]) + more


class _UniqueName:
    """A property name that equals no other, so that a repeated name stays visible."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _unique_name(_: type, text: object) -> _UniqueName:
    return _UniqueName(str(text))


_PROPERTIES = msgspec.json.Decoder(dict[_UniqueName, msgspec.Raw], dec_hook=_unique_name)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MIN_OBJECT_LENGTH = 8
"""The fewest octets of a STIX object; a body with more commas than that allows is refused."""


def parse_envelope(body: bytes, max_objects: int = 100_000) -> list[bytes]:
    """The objects of an envelope, each as the octets that were sent.

    Raises Malformed if the body is not JSON in UTF-8, Unprocessable if it is not an envelope of
    one to `max_objects` objects.  Custom properties are ignored.
    """
    too_many_values = body.count(b",") > max(max_objects, len(body) // _MIN_OBJECT_LENGTH)
    if too_many_values:  # decoding them would take far more memory than the body
        raise Unprocessable("more values than a list of STIX objects could have")
    found = _properties(body)
    if "objects" not in found:
        raise Unprocessable(
            'not an envelope: the property objects is missing; send {"objects": […]} with objects '
            "of STIX; an event of MISP or another file: with tocsin push"
        )
    objects = _split_list(found["objects"])
    if not objects:
        raise Unprocessable("objects is empty; send at least one object")
    if len(objects) > max_objects:
        raise Unprocessable(f"more than {max_objects} objects; send them in several envelopes")
    return [bytes(one) for one in objects]


def _properties(body: bytes) -> dict[str, msgspec.Raw]:
    """The envelope's properties, undecoded."""
    pairs = [(name.text, value) for name, value in _decode_properties(body).items()]
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("the envelope has a property twice")
    if "type" in found and bytes(found["type"]) == b'"bundle"':
        raise Unprocessable(
            'a STIX bundle is not an envelope: send {"objects": […]} without type and id'
        )
    return found


def _decode_properties(body: bytes) -> dict[_UniqueName, msgspec.Raw]:
    if not body or body.isspace():
        raise Malformed('the body is empty: send {"objects": […]}')
    if body.startswith(b"\xef\xbb\xbf"):
        raise Malformed("the body begins with a byte order mark; send UTF-8 without it")
    try:
        body.decode()
        return _PROPERTIES.decode(body)
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (octet {error.start})") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    except msgspec.ValidationError as error:
        _check_json(body)
        raise Unprocessable("not an envelope: the body must be a JSON object") from error
    except msgspec.DecodeError as error:
        whole = replace_lone_surrogates(body)
        if whole != body:
            return _decode_properties(whole)
        raise Malformed(f"the body is not JSON: {error}") from error


def _check_json(body: bytes) -> None:
    """Raises Malformed unless the body is JSON."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error


def _split_list(value: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _LIST.decode(value)
    except msgspec.ValidationError as error:
        raise Unprocessable("objects must be a list of STIX objects") from error
