"""TAXII 2.1 as it is spelt: resources and errors out, envelopes in.

Pure: values to octets and back.  What each kind of error means in HTTP is
decided here and nowhere else.  Objects are never parsed on their way in or
out; only the envelope around them is.
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
from tocsin.admission.stix.ijson import replace_lone_surrogates
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.model import (
    Collection,
    CollectionKind,
    Page,
    Record,
    Submission,
)
from tocsin.server.publishing.verdicts import WITHDRAWN
from tocsin.server.taxii.content import MEDIA_TYPE, STIX
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
"""What each kind of error is in HTTP (TAXII 2.1 section 3.6).  The only such table."""

Resource = dict[str, object]
"""A TAXII resource on its way out; absent properties are left out, never null."""

_SPECS: dict[CollectionKind, tuple[str, ...]] = {
    CollectionKind.FEED: ("2.1",),
    CollectionKind.INBOX: ("2.0", "2.1"),
    CollectionKind.VERBATIM: ("2.0", "2.1"),
    CollectionKind.AGGREGATE: ("2.0", "2.1"),
    CollectionKind.SNAPSHOT: ("2.0", "2.1"),
}
"""The STIX versions that a collection can store or take (TAXII 2.1 section 5.2.1)."""

_SUCCESSES = ("admitted", "merged", "duplicate")
_FAILURES = ("refused",)
_OUTCOMES: dict[str, str] = {
    "admitted": "published",
    "merged": "published, joined with what was known already",
    "duplicate": "known already; nothing changed",
    "held": "waits for an analyst",
    "refused": "not taken",
    "pending": "waits for admission",
}
_QUIET = frozenset({"noted", "repaired", "held"})
"""Actions that the message of a success leaves to `x_tocsin_findings`: it waits no longer."""
_MAX_MESSAGE = 500
_ID = re.compile(
    r"[a-z][a-z0-9-]{1,248}[a-z0-9]--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.I
)
"""An object's id as STIX has it (STIX 2.1 section 2.9)."""


def http_status(error: ShareError) -> HTTPStatus:
    """The status of an error, or of the nearest kind that it is one of."""
    return next(HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS)


def encoded(resource: Resource) -> bytes:
    """A resource as JSON."""
    return msgspec.json.encode(resource)


def error(status: HTTPStatus, description: str = "", error_id: str = "") -> Resource:
    """An error message (TAXII 2.1 section 3.6.1)."""
    told: Resource = {"title": status.phrase, "http_status": str(status.value)}
    if description:
        told["description"] = description
    if error_id:
        told["error_id"] = error_id
    return told


def discovery(settings: TaxiiSettings) -> Resource:
    """The discovery resource (TAXII 2.1 section 4.1.1)."""
    told: Resource = {"title": settings.title}
    if settings.description:
        told["description"] = settings.description
    if settings.contact:
        told["contact"] = settings.contact
    return told | {"default": ROOT, "api_roots": [ROOT]}


def api_root(settings: TaxiiSettings) -> Resource:
    """The API root resource (TAXII 2.1 section 4.2.1)."""
    told: Resource = {"title": settings.title}
    if settings.description:
        told["description"] = settings.description
    return told | {
        "versions": [MEDIA_TYPE],
        "max_content_length": settings.max_content_length,
        "x_tocsin_date_added": "unique",  # so `added_after` alone loses nothing (docs/protocol.md)
    }


def collection(known: Collection, *, can_read: bool, can_write: bool) -> Resource:
    """A collection as one account sees it (TAXII 2.1 section 5.2.1)."""
    told: Resource = {"id": known.id, "title": known.title}
    if known.description:
        told["description"] = known.description
    if known.alias:
        told["alias"] = known.alias
    return told | {
        "can_read": can_read,
        "can_write": can_write,
        "media_types": [f"{STIX};version={spec}" for spec in _SPECS[known.kind]],
    }


def collections(told: Sequence[Resource]) -> Resource:
    """The collections resource; the key is left out if there are none."""
    return {"collections": list(told)} if told else {}


def objects(page: Page, next: str | None) -> bytes:
    """An envelope (TAXII 2.1 section 3.7): the objects' own octets, joined."""
    if not page.entries:
        return encoded({"more": page.more})
    head = encoded(_paging(page, next))[:-1] + b',"objects":['
    return head + b",".join(entry.body for entry in page.entries) + b"]}"


def manifest(page: Page, next: str | None) -> bytes:
    """A manifest (TAXII 2.1 section 5.3.1), with `next`, which the standard forgot."""
    if not page.entries:
        return b"{}"
    records = [
        {
            "id": entry.id,
            "date_added": timestamp(entry.stamp),
            "version": entry.version,
            "media_type": f"{STIX};version={entry.spec}",
        }
        for entry in page.entries
    ]
    return encoded(_paging(page, next) | {"objects": records})


def versions(page: Page, next: str | None) -> bytes:
    """The versions of an object (TAXII 2.1 section 5.8.1), with `next` likewise."""
    if not page.entries:
        return b"{}"
    return encoded(_paging(page, next) | {"versions": [entry.version for entry in page.entries]})


def date_added(page: Page, otherwise: int | None) -> dict[str, str]:
    """The headers that tell the first and last date_added of a page (TAXII 2.1 section 3.2).

    On an empty page both tell `otherwise`, so that a poller which keeps the
    last one stays where it was; without that they are left out.
    """
    first, last = otherwise, otherwise
    if page.entries:
        first, last = page.entries[0].stamp, page.entries[-1].stamp
    if first is None or last is None:
        return {}
    return {
        "X-TAXII-Date-Added-First": timestamp(first),
        "X-TAXII-Date-Added-Last": timestamp(last),
    }


def _paging(page: Page, next: str | None) -> Resource:
    return {"more": page.more} | ({"next": next} if next else {})


def status(submission: Submission, records: Sequence[Record]) -> Resource:
    """The status resource (TAXII 2.1 section 4.3.1), counted from the records.

    A record read after its submission may be further on; then the status is
    `pending` once more, never `complete` too early.
    """
    tally = Counter(record.verdict for record in records)
    success = sum(tally[verdict] for verdict in _SUCCESSES)
    failure = sum(tally[verdict] for verdict in _FAILURES)
    pending = submission.total - success - failure
    unsettled = pending - tally["held"]
    told: Resource = {
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
    for name, those in (("successes", _SUCCESSES), ("failures", _FAILURES)):
        told |= _listed(name, [r for r in records if r.verdict in those], submission)
    others = [r for r in records if r.verdict not in _SUCCESSES + _FAILURES]
    return told | _listed("pendings", others, submission)


def _counts(tally: Mapping[str, int], unsettled: int) -> dict[str, int]:
    counts = {v: tally[v] for v in (*_SUCCESSES, "held", *_FAILURES) if tally.get(v)}
    return counts | ({"pending": unsettled} if unsettled else {})


def _listed(name: str, records: Sequence[Record], submission: Submission) -> Resource:
    details = [_details(record, submission) for record in records]
    return {name: details} if details else {}


def _details(record: Record, submission: Submission) -> Resource:
    """What became of one object.

    Clients read a STIX id and a timestamp here, so what was sent in their place is not
    repeated: the object is told by its place then, its version by the time of receipt.
    """
    told: Resource = {
        "id": record.source_id if _ID.fullmatch(record.source_id) else nameless(record.index),
        "version": _version(record.version) or timestamp(submission.received),
        "message": _message(record),
        "x_tocsin_index": record.index,
        "x_tocsin_verdict": record.verdict,
    }
    if record.public_id:
        told["x_tocsin_public_id"] = record.public_id
    if record.findings:
        told["x_tocsin_findings"] = [dict(finding) for finding in record.findings]
    return told


def _version(text: str) -> str:
    """The text if it is a timestamp, else nothing."""
    try:
        micros(text)
    except Malformed:
        return ""
    return text


def nameless(index: int) -> str:
    """What stands for the id of an object without a proper one: its place, in decimal digits.

    It has the form of a STIX id, as clients check for one.

    >>> nameless(12)
    'record--00000000-0000-4000-8000-000000000012'
    """
    return f"record--00000000-0000-4000-8000-{index:012d}"


def _message(record: Record) -> str:
    outcome = _OUTCOMES.get(record.verdict, record.verdict)
    if record.verdict in ("refused", "held"):
        telling = [f for f in record.findings if f.get("action") == record.verdict]
    elif any(f.get("message") == WITHDRAWN for f in record.findings):
        return WITHDRAWN
    else:
        telling = [f for f in record.findings if f.get("action") not in _QUIET]
    reasons = "; ".join(dict.fromkeys(f["message"] for f in telling if f.get("message")))
    text = f"{outcome}: {reasons}" if reasons else outcome
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


class _Name:
    """A top-level name, each its own key, so that one given twice is seen."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _named(_: type, text: object) -> _Name:
    return _Name(str(text))


_TOP = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=_named)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT_OCTETS = 8
"""Less than this for each comma, and a body is no list of STIX objects."""


def envelope(body: bytes, max_objects: int = 100_000) -> list[bytes]:
    """The objects of an envelope, each as the octets that were sent.

    Raises Malformed if the body is not JSON in UTF-8, Unprocessable if it is no
    envelope with at least one object and at most `max_objects`.  Custom
    properties are ignored.
    """
    crowded = body.count(b",") > max(max_objects, len(body) // _OBJECT_OCTETS)
    if crowded:  # decoding a million scraps would cost far more memory than the body
        raise Unprocessable("more values than a list of STIX objects could have")
    found = _top(body)
    if "objects" not in found:
        raise Unprocessable("not an envelope with objects: the property objects is missing")
    objects = _elements(found["objects"])
    if not objects:
        raise Unprocessable("objects is empty; an envelope has at least one object")
    if len(objects) > max_objects:
        raise Unprocessable(f"more than {max_objects} objects; send them in several envelopes")
    return [bytes(one) for one in objects]


def _top(body: bytes) -> dict[str, msgspec.Raw]:
    """The envelope's properties, undecoded."""
    pairs = [(name.text, value) for name, value in _decoded_top(body).items()]
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("the envelope gives a property twice")
    if "type" in found and bytes(found["type"]) == b'"bundle"':
        raise Unprocessable(
            'a STIX bundle is not an envelope: send {"objects": […]} without type and id'
        )
    return found


def _decoded_top(body: bytes) -> dict[_Name, msgspec.Raw]:
    if body.startswith(b"\xef\xbb\xbf"):
        raise Malformed("the body begins with a byte order mark; send UTF-8 without one")
    try:
        body.decode()
        return _TOP.decode(body)
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (octet {error.start})") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    except msgspec.ValidationError as error:
        _well_formed(body)
        raise Unprocessable("not an envelope: the body must be a JSON object") from error
    except msgspec.DecodeError as error:
        whole = replace_lone_surrogates(body)
        if whole != body:
            return _decoded_top(whole)
        raise Malformed(f"the body is not JSON: {error}") from error


def _well_formed(body: bytes) -> None:
    """Raises Malformed if a body that is no JSON object is no JSON either."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error


def _elements(value: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _LIST.decode(value)
    except msgspec.ValidationError as error:
        raise Unprocessable("objects must be a list of STIX objects") from error
