"""Offer what the preview found fit to a collection, and tell what became of it.

Only what is open after the preview is sent, in its sanitised form.  What goes
out is cut into envelopes that the server takes; one that it refuses as a whole
is halved until the object that spoils it is found, so that one bad object
costs only itself.  Sending twice is safe, so a lost answer is asked for again.
"""

import json
import time
from collections import deque
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.admission.errors import (
    Malformed,
    ShareError,
    TooLarge,
    Unprocessable,
)
from tocsin.clients.check import WORDS, Line, Preview
from tocsin.clients.http import Hub, Place
from tocsin.clients.responses import Detail, StatusReport

_FRAME = len(b'{"objects":[]}')
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_HOPELESS = 20
"""So many objects refused one by one, none taken: the rest is not tried singly."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How to send."""

    wait: bool = True
    """Until each status is settled."""
    longest_wait: float = 300.0
    """Seconds, for all statuses together, once everything is sent."""
    largest: int = 1000
    """Objects an envelope."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of some objects."""

    lines: tuple[Line, ...]
    status: StatusReport | None = None
    """The TAXII status that says so; None: they were not sent."""
    error: ShareError | None = None
    """What ended the push, or the waiting."""


@dataclass(frozen=True, slots=True)
class _Item:
    """An object within an envelope."""

    line: Line
    body: bytes = field(repr=False)
    again: bool = False
    """Sent before; here only because others refer to it."""


def push(
    hub: Hub, place: Place, previews: Iterable[Preview], sending: Sending | None = None
) -> Iterator[Delivery]:
    """Send what is open in `previews` to a collection; every candidate is in one delivery.

    The first delivery holds what is not sent, with the preview's own verdicts.
    """
    sending = sending or Sending()
    lines = [line for preview in previews for line in preview.lines()]
    longest = hub.max_content_length(place)
    items, unfit = _sorted(lines, longest)
    if unfit:
        yield Delivery(tuple(unfit))
    waiting: deque[tuple[list[_Item], StatusReport]] = deque()
    for part, answer in _offered(hub, place, _envelopes(items, longest, sending.largest)):
        if isinstance(answer, StatusReport):
            waiting.append((part, answer))
            while waiting and waiting[0][1].settled:
                yield _delivery(*waiting.popleft(), waited=True)
        else:
            yield Delivery(_turned_away(part, answer), error=_ending(answer))
    deadline = time.monotonic() + sending.longest_wait
    while waiting:
        part, report = waiting.popleft()
        yield (
            _waited(hub, place, part, report, deadline)
            if sending.wait
            else (_delivery(part, report, waited=False))
        )


def _sorted(lines: Iterable[Line], longest: int) -> tuple[list[_Item], list[Line]]:
    """What goes out, marking definitions first, and what does not."""
    items: list[_Item] = []
    unfit: list[Line] = []
    for line in lines:
        if line.verdict != "ready":
            unfit.append(line)
            continue
        body = json.dumps(line.object, ensure_ascii=False, separators=(",", ":"))
        item = _Item(line, body.encode("utf-8", "backslashreplace"))
        room = longest - _FRAME - 1
        if len(item.body) <= room:
            items.append(item)
        else:
            said = f"{len(item.body)} octets, but the server takes at most {room} an object"
            unfit.append(_refused(line, said))
    items.sort(key=lambda item: not _defines(item))
    return items, unfit


def _envelopes(items: Sequence[_Item], longest: int, largest: int) -> Iterator[list[_Item]]:
    """Cut into envelopes shorter than `longest` octets, each with the definitions that it needs."""
    definitions = {str(_object(item).get("id")): item for item in items if _defines(item)}
    envelope: list[_Item] = []
    size = _FRAME
    for item in items:
        needed = _needed(item, envelope, definitions)
        more = sum(len(each.body) + 1 for each in (*needed, item))
        if envelope and (size + more >= longest or len(envelope) >= largest):
            yield envelope
            envelope, size = [], _FRAME
            needed = _needed(item, envelope, definitions)
            more = sum(len(each.body) + 1 for each in (*needed, item))
        if size + more >= longest:
            needed, more = [], len(item.body) + 1
        envelope += [*needed, item]
        size += more
    if envelope:
        yield envelope


def _needed(
    item: _Item, envelope: Sequence[_Item], definitions: Mapping[str, _Item]
) -> list[_Item]:
    """The definitions that an object refers to and that the envelope does not hold yet."""
    refs = _object(item).get("object_marking_refs")
    wanted = [definitions[ref] for ref in refs or () if ref in definitions]
    if not wanted:
        return []
    there = {each.body for each in envelope if _defines(each)}
    return [replace(each, again=True) for each in wanted if each.body not in there]


def _offered(
    hub: Hub, place: Place, envelopes: Iterable[list[_Item]]
) -> Iterator[tuple[list[_Item], StatusReport | ShareError]]:
    """Every part of every envelope with the server's answer.

    After an answer that ends the push, what is left comes with that answer, unsent.
    """
    ended: ShareError | None = None
    taken = refused = 0
    for envelope in envelopes:
        waiting = [envelope]
        while waiting:
            part = waiting.pop()
            if ended:
                yield part, ended
                continue
            try:
                report = hub.post(place, _body(part))
            except ShareError as error:
                ended = _ending(error)
                if not ended and len(part) > 1 and (taken or refused < _HOPELESS):
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
                refused += 1
                yield part, error
            else:
                taken += 1
                yield part, report


def _ending(error: ShareError) -> ShareError | None:
    """The error, if it concerns more than the envelope that it answered."""
    return None if isinstance(error, TooLarge | Unprocessable | Malformed) else error


def _turned_away(part: Iterable[_Item], error: ShareError) -> tuple[Line, ...]:
    unsent = _ending(error) is not None
    return tuple(
        replace(item.line, verdict="unsent") if unsent else _refused(item.line, str(error))
        for item in part
        if not item.again
    )


def _waited(
    hub: Hub, place: Place, part: Sequence[_Item], report: StatusReport, deadline: float
) -> Delivery:
    """Ask for the status, with growing pauses, until it is settled or time is up."""
    pause = _FIRST_PAUSE
    while not report.settled and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 1.6, _LONGEST_PAUSE)
        try:
            report = hub.status(report.id, place.root)
        except ShareError as error:
            return replace(_delivery(part, report, waited=False), error=error)
    return _delivery(part, report, waited=report.settled)


def _delivery(part: Sequence[_Item], report: StatusReport, *, waited: bool) -> Delivery:
    by_index = {each.index: each for each in report.details if each.index is not None}
    by_id: dict[str, list[Detail]] = {}
    for each in report.details:
        if each.index is None:
            by_id.setdefault(each.id, []).append(each)
    lines = []
    for index, item in enumerate(part):
        detail = by_index.get(index) or _named(item, by_id)
        if not item.again:
            lines.append(_told(item.line, detail, report, waited=waited))
    return Delivery(tuple(lines), status=report)


def _named(item: _Item, by_id: Mapping[str, list[Detail]]) -> Detail | None:
    """The detail of an object where the server gives no index: by id and version, else by id."""
    sent = _object(item)
    details = by_id.get(str(sent.get("id")), [])
    version = sent.get("modified") or sent.get("created")
    place = next((n for n, each in enumerate(details) if each.version == version), 0)
    return details.pop(place) if details else None


def _told(line: Line, detail: Detail | None, report: StatusReport, *, waited: bool) -> Line:
    """The line with what the server says; a server that gives no details speaks for all."""
    outcome = detail.outcome if detail else report.outcome_of_all() or "pending"
    verdict = detail.verdict if detail and detail.verdict in WORDS else ""
    if not verdict:
        pending = "held" if waited and detail else "pending"
        verdict = {"success": "admitted", "failure": "refused"}.get(outcome, pending)
    told = list(detail.findings) if detail else []
    if detail and detail.message and not told and outcome != "success":
        told = [_finding(verdict, detail.message)]
    return replace(
        line,
        verdict=verdict,
        findings=line.findings + tuple(each for each in told if each not in line.findings),
        public_id=detail.public_id if detail else "",
    )


def _refused(line: Line, message: str) -> Line:
    findings = (*line.findings, _finding("refused", message))
    return replace(line, verdict="refused", findings=findings, object=None)


def _finding(verdict: str, message: str) -> dict[str, str]:
    """A finding in the words of a server that has none of its own."""
    action = verdict if verdict in ("refused", "held") else "noted"
    return {"stage": "publish", "rule": "server", "path": "", "action": action, "message": message}


def _body(part: Iterable[_Item]) -> bytes:
    return b'{"objects":[' + b",".join(item.body for item in part) + b"]}"


def _object(item: _Item) -> Mapping[str, Any]:
    return item.line.object or {}


def _defines(item: _Item) -> bool:
    return _object(item).get("type") == "marking-definition"
