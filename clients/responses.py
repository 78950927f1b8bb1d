"""The responses of a TAXII server as values: pages of objects and statuses.

Other servers omit properties or send null instead of an empty value; both become empty values
here.  Objects stay the bytes that were received.  A page that would take much memory or that
later parsers could not read is refused before it is taken apart.  Knows no network.
"""

import codecs
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, cast

import msgspec

from tocsin.admission.model import StixObject
from tocsin.admission.timestamps import find_instant
from tocsin.clients.bounds import (
    MAX_DEPTH,
    ResponseRefused,
    ResponseTooLong,
    holds_more_objects,
    holds_more_values,
    is_too_deep,
)

FIRST_HEADER, LAST_HEADER = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"


@dataclass(frozen=True, slots=True)
class Page:
    """One response to `Get Objects` (TAXII 2.1 section 5.4)."""

    objects: tuple[bytes, ...]
    """Each object's JSON as received."""
    more: bool
    next: str
    """The page token; empty if the server gave none."""
    last: int | None
    """X-TAXII-Date-Added-Last in µs since 1970 UTC; None: absent or not a timestamp."""
    last_as_received: str
    """X-TAXII-Date-Added-Last as received; empty if absent."""
    ignored: str
    """Match fields that the server says it has ignored; empty if it names none."""
    digest: bytes = field(repr=False)
    """Over the objects; equal pages have equal digests."""


_IGNORED_HEADER = "X-Tocsin-Ignored-Filters"
_MAX_OBJECTS = 100_000
"""Objects of a page, whatever limit was asked for."""
_MAX_VALUES = 300_000
"""Values of one object; parsed they take up to fifty times as much memory as their text."""
_MAX_STATUS_VALUES = 1_500_000
"""Values of a status; one of 100,000 objects has about a million, and more with its findings."""
_MAX_NEXT = 4096
"""Characters of a page token; it must fit into a URL."""
_PIECE = 64 * 1024


class _Object(msgspec.Struct, gc=False):
    """Any JSON object."""


class _Shape(msgspec.Struct):
    objects: list[_Object] | None = None


class _Envelope(msgspec.Struct):
    objects: list[msgspec.Raw] | None = None
    more: bool | None = None
    next: str | int | None = None


_shape_decoder = msgspec.json.Decoder(_Shape)
_envelope_decoder = msgspec.json.Decoder(_Envelope)


def parse_page(body: bytes | bytearray, headers: Mapping[str, str]) -> Page:
    """Read a page from the body and headers of a response.

    Raises msgspec.DecodeError or UnicodeDecodeError if the body is not an envelope,
    ResponseRefused if it is not within bounds.
    """
    check_shape(body)
    envelope = _envelope_decoder.decode(body)
    objects = tuple(bytes(each) for each in envelope.objects or ())
    next = "" if envelope.next is None else str(envelope.next)
    if len(next) > _MAX_NEXT:
        raise _refused(f"has a `next` of more than {_MAX_NEXT} characters")
    if any(holds_more_values(each, _MAX_VALUES) for each in objects):
        raise _refused(f"has an object of more than {_MAX_VALUES} values")
    if any(map(is_too_deep, objects)):
        raise _refused(f"has an object that is nested deeper than {MAX_DEPTH} levels")
    digest = blake2b(digest_size=16)
    for each in objects:
        digest.update(b"%d:" % len(each))
        digest.update(each)
    stamps = [find_instant(headers.get(name)) for name in (FIRST_HEADER, LAST_HEADER)]
    if None not in stamps:
        stamps.sort(key=lambda stamp: stamp or 0)  # one server is known to swap them
    return Page(
        objects=objects,
        more=bool(envelope.more),
        next=next,
        last=stamps[1],
        last_as_received=headers.get(LAST_HEADER, ""),
        ignored=headers.get(_IGNORED_HEADER, ""),
        digest=digest.digest(),
    )


def decode_object(body: bytes) -> StixObject | None:
    """An object of a page; None if it has a number of more digits than Python reads (4,300)."""
    try:
        return cast(StixObject, json.loads(body))
    except ValueError:
        return None


def check_shape(body: bytes | bytearray) -> None:
    """Refuse what would take many times its length when it is taken apart, and other charsets.

    A list of numbers takes thirty times as much as its text, so each element must be an object.
    """
    if holds_more_objects(body, _MAX_OBJECTS):
        raise _refused(f"has more than {_MAX_OBJECTS} objects")
    _shape_decoder.decode(body)
    utf8 = codecs.getincrementaldecoder("utf-8")()
    for begin in range(0, len(body), _PIECE):
        utf8.decode(body[begin : begin + _PIECE])
    utf8.decode(b"", final=True)


def _refused(what: str) -> ResponseRefused:
    return ResponseRefused(
        f"a page of the server {what}; the poll stops, and what was delivered is kept. "
        "Try a smaller --limit, or tell its operator"
    )


@dataclass(frozen=True, slots=True)
class StatusDetail:
    """A status's entry for one object (TAXII 2.1 section 4.3.1)."""

    outcome: str
    """success, failure or pending."""
    id: str
    version: str
    message: str
    index: int | None
    """The object's place in the envelope; only Tocsin's hub gives it."""
    verdict: str
    public_id: str
    findings: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A status resource (TAXII 2.1 section 4.3)."""

    id: str
    complete: bool
    settled: bool
    """True if nothing more happens by itself: complete, or all pending objects wait for people."""
    success: int
    failure: int
    pending: int
    details: tuple[StatusDetail, ...]
    resource: Mapping[str, Any] = field(repr=False)
    """The status resource as received."""

    def common_outcome(self) -> str:
        """The outcome that all objects have; empty if they differ or nothing was counted."""
        counts = {"success": self.success, "failure": self.failure, "pending": self.pending}
        outcomes = [outcome for outcome, count in counts.items() if count]
        return outcomes[0] if len(outcomes) == 1 else ""


def decode_status(body: bytes | bytearray) -> StatusReport:
    """Read a status from the body of a response.

    Raises msgspec.DecodeError or TypeError if it is not one, ResponseTooLong if it would take
    too much memory.
    """
    if holds_more_values(body, _MAX_STATUS_VALUES):
        raise ResponseTooLong(
            f"a status of the server has more than {_MAX_STATUS_VALUES:,} values; "
            "send fewer objects in an envelope, or tell its operator"
        )
    return parse_status(msgspec.json.decode(body, type=dict[str, Any]))


def parse_status(resource: Mapping[str, Any]) -> StatusReport:
    """Read a status resource.

    Raises TypeError if it is not one.
    """
    if not isinstance(resource.get("id"), str) or not isinstance(resource.get("status"), str):
        raise TypeError("not a TAXII status")
    complete = resource["status"] == "complete"
    findings = tuple(
        {str(key): str(value) for key, value in finding.items()}
        for finding in _objects(resource.get("x_tocsin_findings"))
    )
    return StatusReport(
        id=resource["id"],
        complete=complete,
        settled=complete or resource.get("x_tocsin_settled") is True,
        success=read_count(resource, "success_count"),
        failure=read_count(resource, "failure_count"),
        pending=read_count(resource, "pending_count"),
        details=tuple(
            _parse_detail(outcome, each, findings)
            for outcome, name in (
                ("success", "successes"),
                ("failure", "failures"),
                ("pending", "pendings"),
            )
            for each in _objects(resource.get(name))
        ),
        resource=resource,
    )


@dataclass(frozen=True, slots=True)
class ListedSubmission:
    """An entry of a hub's list of submissions; an extension of Tocsin's hub."""

    id: str
    """The id of its status."""
    complete: bool
    received: str
    """An RFC 3339 timestamp."""
    collection: str
    """The alias of the collection, else its id."""
    account: str
    total: int
    counts: Mapping[str, int]
    """Objects by verdict."""
    root: str
    """The URL of the API root."""


def parse_submissions(
    resource: Mapping[str, Any], root: str
) -> tuple[tuple[ListedSubmission, ...], str]:
    """The submissions of a page, and the token of the next one; empty on the last."""
    found = tuple(
        ListedSubmission(
            id=_text(each, "id"),
            complete=each.get("status") == "complete",
            received=_text(each, "request_timestamp"),
            collection=_text(each, "collection_alias") or _text(each, "collection_id"),
            account=_text(each, "account"),
            total=read_count(each, "total_count"),
            counts=_counts(each.get("counts")),
            root=root,
        )
        for each in _objects(resource.get("submissions"))
    )
    return found, _text(resource, "next") if resource.get("more") is True else ""


def _counts(value: object) -> dict[str, int]:
    table = value if isinstance(value, dict) else {}
    return {str(word): read_count(table, word) for word in table}


def _parse_detail(
    outcome: str, entry: Mapping[str, Any], findings: Sequence[Mapping[str, str]]
) -> StatusDetail:
    index, chosen = entry.get("x_tocsin_index"), entry.get("x_tocsin_finding_indexes")
    return StatusDetail(
        outcome=outcome,
        id=_text(entry, "id"),
        version=_text(entry, "version"),
        message=_text(entry, "message"),
        index=index if isinstance(index, int) and not isinstance(index, bool) else None,
        verdict=_text(entry, "x_tocsin_verdict"),
        public_id=_text(entry, "x_tocsin_public_id"),
        findings=tuple(
            findings[each]
            for each in (chosen if isinstance(chosen, list) else ())
            if isinstance(each, int) and 0 <= each < len(findings)
        ),
    )


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    return value if isinstance(value, str) else ""


def read_count(table: Mapping[str, Any], name: str) -> int:
    """A number above 0 of a resource; 0 if it has none."""
    value = table.get(name)
    return value if isinstance(value, int) and value > 0 else 0
