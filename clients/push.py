"""Submit what the preview found fit to a collection, and report the verdict on each object.

Only candidates that are open after the preview are sent, in their sanitised form, and on request
those that it holds; the hub may publish some of them without a review.  They are cut into
envelopes that the server accepts.  Objects that need others, such as relationships and reports,
come after these (`reference_order`), so that none waits.  An envelope that is refused as a whole is
halved until the faulty object is found, so that one bad object costs only itself.  Sending an
object twice is safe, so a request whose response was lost is repeated.
"""

import json
import os
import sys
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, cast

import msgspec

from tocsin.admission.errors import Malformed, ShareError, TooLarge, Unprocessable
from tocsin.admission.extraction.indicators import derive_id
from tocsin.admission.model import Action
from tocsin.clients.check import Preview, PreviewResults
from tocsin.clients.http import Collection, Hub
from tocsin.clients.reference_order import SORTED_STEPS, ReferenceOrder, Step
from tocsin.clients.responses import StatusDetail, StatusReport
from tocsin.clients.results import VERDICTS, ObjectResult, writing_results

_FRAME = len(b'{"objects":[]}')
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two requests for a status."""
_MOST_TOGETHER = 1000
"""Objects that are not sent and are reported together."""
_MOST_WAITING = 4
"""Parts in memory whose status is not settled."""
_NEW_ID = "send it under a new id"
"""The end of the hub's message about an id that was revoked."""
_SORTED_IN_MEMORY = 8_000_000
"""Octets of objects that are sorted; more are kept on disk."""
_MAX_SINGLE_REFUSALS = 20
"""After this many refused parts, and none accepted, envelopes are no longer halved; after as many
objects that alone are too long, others that are no shorter are not sent."""


@dataclass(frozen=True, slots=True)
class PushOptions:
    """Options of a push."""

    wait: bool = True
    """Wait until each status is settled."""
    timeout: float = 300.0
    """Seconds to wait for all statuses together, after everything was sent."""
    max_objects: int = 1000
    """Objects an envelope."""
    send_held: bool = False
    """Send what the preview holds too."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """The results of some objects that were handled together."""

    results: tuple[ObjectResult, ...]
    status: StatusReport | None = None
    """The status that the results come from; None: the objects were not sent."""
    error: ShareError | None = None
    """The error that ended the push, or the wait for the status."""
    is_kept: bool = False
    """True if the objects were not to be sent, because of their verdict or length."""


@dataclass(frozen=True, slots=True)
class _Item:
    """An object within an envelope."""

    result: ObjectResult
    body: bytes = field(repr=False)
    repeated: bool = False
    """True for a marking definition that was sent before and is only here to be referred to."""

    @property
    def object(self) -> Mapping[str, Any]:
        return self.result.object or {}

    @property
    def is_definition(self) -> bool:
        return self.object.get("type") == "marking-definition"


_Envelope = list[_Item]


Acknowledge = Callable[[StatusReport, Sequence[ObjectResult]], None]
"""Called with a submission's status, as the server answered the request, and what was in it."""


def push(
    hub: Hub,
    collection: Collection,
    previews: Iterable[Preview],
    options: PushOptions | None = None,
    acknowledge: Acknowledge | None = None,
) -> Iterator[PushResult]:
    """Send the open candidates of `previews`; every candidate is in one of the results.

    The first result holds the objects that are not sent, with the preview's own verdicts.
    `acknowledge` is called as soon as the server has taken some objects.
    """
    return push_results(hub, collection, PreviewResults(tuple(previews)), options, acknowledge)


def push_results(
    hub: Hub,
    collection: Collection,
    results: Iterable[ObjectResult],
    options: PushOptions | None = None,
    acknowledge: Acknowledge | None = None,
) -> Iterator[PushResult]:
    """The same for results with the verdict `ready`, whose objects are sent as they are."""
    options = options or PushOptions()
    if isinstance(results, Iterator):
        results = list(results)
    max_length = hub.max_content_length(collection)
    definitions: list[_Item] = []
    unfit: list[ObjectResult] = []
    order = ReferenceOrder()
    count = size = 0
    for each in _select_items(results, max_length, send_held=options.send_held):
        if isinstance(each, _Item):
            definitions += [each] if each.is_definition else []
            order.add(each.object)
            size += len(each.body) + 1
            count += 1
        else:
            unfit.append(each)
        if len(unfit) >= _MOST_TOGETHER:
            yield PushResult(tuple(unfit), is_kept=True)
            unfit.clear()
    if unfit:
        yield PushResult(tuple(unfit), is_kept=True)
    is_one = count <= options.max_objects and size + _FRAME < max_length

    def select(step: Step | None) -> Iterator[_Item]:
        own = results if step is None else _select_step(results, order, step)
        return _select_others(own, max_length, send_held=options.send_held)

    others = select(None) if is_one else _sort_items(order, select)
    envelopes = _cut_envelopes(definitions, others, max_length, options.max_objects)
    sent = _send_envelopes(hub, collection, envelopes)
    yield from _report_parts(hub, collection, sent, options, acknowledge)


def _report_parts(
    hub: Hub,
    collection: Collection,
    sent: Iterable[tuple[_Envelope, StatusReport | ShareError]],
    options: PushOptions,
    acknowledge: Acknowledge | None,
) -> Iterator[PushResult]:
    """The results of what was sent, as soon as they are settled; at the end, wait for the rest."""
    waiting = _WaitingParts()
    for part, response in sent:
        if isinstance(response, StatusReport):
            if acknowledge:
                acknowledge(response, [item.result for item in part if not item.repeated])
            waiting.append(part, response)
            while waiting and waiting.is_settled:
                yield _read_status(*waiting.popleft(), settled=True)
        else:
            yield PushResult(_reject_part(part, response), error=_fatal_error(response))
    deadline = time.monotonic() + options.timeout
    fetch = partial(hub.fetch_status, root=collection.root)
    while waiting:
        is_overtaking = waiting.is_overtaking
        part, report = waiting.popleft()
        if not options.wait:
            yield _read_status(part, report, settled=False)
        elif is_overtaking:
            yield _wait_for_references(fetch, part, report, deadline)
        else:
            yield _wait_for_status(fetch, part, report, deadline)


class _WaitingParts:
    """Parts that were sent, in order, while their status is not known; many are kept on disk."""

    def __init__(self) -> None:
        self._parts: deque[tuple[_Envelope, StatusReport] | tuple[int, int]] = deque()
        self._settled: deque[bool] = deque()
        self._overtaking: deque[bool] = deque()
        self._stream: BinaryIO | None = None

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def is_settled(self) -> bool:
        """True if the status of the first part is settled."""
        return self._settled[0]

    @property
    def is_overtaking(self) -> bool:
        """True if the first part was settled before one that came earlier, and waits for it.

        A hub admits small submissions at once.
        """
        return self._overtaking[0]

    def append(self, part: _Envelope, report: StatusReport) -> None:
        is_overtaking = report.settled and bool(self) and _waits_for_references(report)
        self._overtaking.append(is_overtaking)
        self._settled.append(report.settled and not is_overtaking)
        if len(self._parts) < _MOST_WAITING:
            self._parts.append((part, report))
            return
        with writing_results():
            if self._stream is None:
                self._stream = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
                weakref.finalize(self, self._stream.close)
            start = self._stream.seek(0, os.SEEK_END)
            octets = _PART_ENCODER.encode((part, report))
            self._parts.append((start, self._stream.write(octets)))

    def popleft(self) -> tuple[_Envelope, StatusReport]:
        self._settled.popleft()
        self._overtaking.popleft()
        first, second = self._parts.popleft()
        if isinstance(first, list) and isinstance(second, StatusReport):
            return first, second
        assert self._stream is not None and isinstance(first, int)  # noqa: S101  (append)
        self._stream.seek(first)
        return _PART_DECODER.decode(self._stream.read(cast(int, second)))


_PART_ENCODER = msgspec.json.Encoder()  # unlike MessagePack, it takes any number of a server
_PART_DECODER = msgspec.json.Decoder(tuple[list[_Item], StatusReport])
_ENCODER = msgspec.msgpack.Encoder()
_ITEM_DECODER = msgspec.msgpack.Decoder(_Item)


def _select_step(
    results: Iterable[ObjectResult], order: ReferenceOrder, step: Step
) -> Iterator[ObjectResult]:
    """The results whose objects, if they are sent, have their place in this step."""
    return (each for each in results if order.find_step(each.object or each.held or {}) is step)


def _sort_items(
    order: ReferenceOrder, select: Callable[[Step], Iterator[_Item]]
) -> Iterator[_Item]:
    """The objects of all steps, each that needs others after these."""
    for step in order.steps:
        if step not in SORTED_STEPS:
            yield from select(step)
            continue
        with tempfile.SpooledTemporaryFile(_SORTED_IN_MEMORY) as stream:
            found = []
            for item in select(step):
                begin = stream.tell()
                with writing_results():
                    length = stream.write(_ENCODER.encode(item))
                found.append((order.add_references(item.object), begin, length))
            places = order.sort()
            for _, begin, length in sorted(found, key=lambda each: places[each[0]]):
                stream.seek(begin)
                yield _ITEM_DECODER.decode(stream.read(length))


def _select_items(
    results: Iterable[ObjectResult],
    max_length: int,
    *,
    send_held: bool,
) -> Iterator[_Item | ObjectResult]:
    """The objects to send, and the results of those not to send."""
    room = max_length - _FRAME - 1
    for result in results:
        if result.verdict == "held" and result.held is not None:
            released = replace(result, verdict="ready", object=result.held)
            result = released if send_held else replace(result, verdict="withheld")
        if result.verdict != "ready":
            yield result
            continue
        text = json.dumps(result.object, ensure_ascii=False, separators=(",", ":"))
        item = _Item(result, text.encode("utf-8", "backslashreplace"))
        if len(item.body) <= room:
            yield item
        else:
            message = (
                f"the object has {len(item.body)} octets, but the server accepts at most {room}; "
                "shorten it or split it"
            )
            yield _refuse(result, message)


def _select_others(
    results: Iterable[ObjectResult], max_length: int, *, send_held: bool
) -> Iterator[_Item]:
    """The objects to send that are no marking definitions."""
    for each in _select_items(results, max_length, send_held=send_held):
        if isinstance(each, _Item) and not each.is_definition:
            yield each


def _cut_envelopes(
    first: Sequence[_Item], others: Iterable[_Item], max_length: int, max_objects: int
) -> Iterator[_Envelope]:
    """Envelopes shorter than `max_length` octets, each with the definitions that it refers to.

    `first` are all definitions; they are sent before the others.
    """
    definitions = {str(item.object.get("id")): item for item in first}
    envelope: _Envelope = []
    size = _FRAME
    for item in chain(first, others):
        needed = _missing_definitions(item, envelope, definitions)
        more = sum(len(each.body) + 1 for each in (*needed, item))
        if envelope and (size + more >= max_length or len(envelope) >= max_objects):
            yield envelope
            envelope, size = [], _FRAME
            needed = _missing_definitions(item, envelope, definitions)
            more = sum(len(each.body) + 1 for each in (*needed, item))
        if size + more >= max_length:
            needed, more = [], len(item.body) + 1
        envelope += [*needed, item]
        size += more
    if envelope:
        yield envelope


def _missing_definitions(
    item: _Item, envelope: Sequence[_Item], definitions: Mapping[str, _Item]
) -> list[_Item]:
    """The definitions that an object refers to and that the envelope does not hold yet."""
    refs = item.object.get("object_marking_refs")
    needed = [definitions[ref] for ref in refs or () if ref in definitions]
    if not needed:
        return []
    present = {each.body for each in envelope if each.is_definition}
    return [replace(each, repeated=True) for each in needed if each.body not in present]


class _LengthLimit:
    """The lengths of envelopes that a server answers with 413, though it names a greater limit.

    The limit was lowered meanwhile, or a proxy on the way has one of its own.  The last answers
    count: what is as long as something that was taken since is not too long.
    """

    def __init__(self) -> None:
        self._shortest = self._shortest_single = self._cut_from = sys.maxsize
        self._taken = self._singles = 0
        self._error = TooLarge()
        self._may_try = True

    def begin_envelope(self) -> None:
        """From here on, cut what was too long before, and try one object again.

        Not earlier: if a server calls one object too long whose envelope is not, the others beside
        it show that.
        """
        self._cut_from, self._taken, self._may_try = self._shortest, 0, True

    def note_taken(self, length: int) -> None:
        """An envelope was accepted."""
        self._taken = max(self._taken, length)
        if length >= self._shortest:
            self._shortest = sys.maxsize
        if length >= self._shortest_single:
            self._shortest_single, self._singles = sys.maxsize, 0

    def note_refused(self, count: int, length: int, error: TooLarge) -> None:
        """An envelope of `count` objects was too long."""
        self._error = error
        if length > self._taken:
            self._shortest = min(self._shortest, length)
        if count == 1:
            self._shortest_single = min(self._shortest_single, length)
            self._singles += 1

    def foresee(self, count: int, length: int) -> TooLarge | None:
        """The answer to an envelope of `count` objects; None if it must be sent to know it."""
        is_known = self._singles >= _MAX_SINGLE_REFUSALS and length >= self._shortest_single
        if count > 1:
            return self._error if is_known or length >= self._cut_from else None
        if not is_known or self._may_try:
            self._may_try = self._may_try and not is_known
            return None
        return TooLarge(f"not sent, since others of its length or less were refused: {self._error}")


def _send_envelopes(
    hub: Hub, collection: Collection, envelopes: Iterable[_Envelope]
) -> Iterator[tuple[_Envelope, StatusReport | ShareError]]:
    """Each part of each envelope with the server's response.

    After a fatal error the remaining parts come with that error, unsent.
    """
    limit = _LengthLimit()
    accepted = refused = 0
    for envelope in envelopes:
        limit.begin_envelope()
        parts = [envelope]
        while parts:
            part = parts.pop()
            response = _post_part(hub, collection, part, limit)
            if isinstance(response, StatusReport):
                accepted += 1
            elif fatal := _fatal_error(response):
                yield from ((each, fatal) for each in chain([part], reversed(parts), envelopes))
                return
            elif len(part) > 1 and (
                isinstance(response, TooLarge) or accepted or refused < _MAX_SINGLE_REFUSALS
            ):
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            else:
                refused += 1
            yield part, response


def _post_part(
    hub: Hub, collection: Collection, part: _Envelope, limit: _LengthLimit
) -> StatusReport | ShareError:
    """The server's response to a part, or the one that it would certainly give."""
    body = _encode_envelope(part)
    if foreseen := limit.foresee(len(part), len(body)):
        return foreseen
    try:
        report = hub.post_envelope(collection, body)
    except TooLarge as error:
        limit.note_refused(len(part), len(body), error)
        return error
    except ShareError as error:
        return error
    limit.note_taken(len(body))
    return report


def _fatal_error(error: ShareError) -> ShareError | None:
    """The error, if it concerns more than the envelope that it is the response to."""
    return None if isinstance(error, TooLarge | Unprocessable | Malformed) else error


def _reject_part(part: Iterable[_Item], error: ShareError) -> tuple[ObjectResult, ...]:
    unsent = _fatal_error(error) is not None
    return tuple(
        replace(item.result, verdict="unsent") if unsent else _refuse(item.result, str(error))
        for item in part
        if not item.repeated
    )


_Fetch = Callable[[str], StatusReport]
"""Requests the status with an id."""


def _wait_for_status(
    fetch: _Fetch, part: _Envelope, report: StatusReport, deadline: float
) -> PushResult:
    """Request the status, with growing pauses, until it is settled or the deadline is over.

    `deadline` in seconds of `time.monotonic`.
    """
    pause = _FIRST_PAUSE
    while not report.settled and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 1.6, _LONGEST_PAUSE)
        try:
            report = fetch(report.id)
        except ShareError as error:
            return replace(_read_status(part, report, settled=False), error=error)
    return _read_status(part, report, settled=report.settled)


def _wait_for_references(
    fetch: _Fetch, part: _Envelope, report: StatusReport, deadline: float
) -> PushResult:
    """The same for a part that waits for others, which are settled by now.

    The hub looks at it again soon afterwards; the status is requested once at least.
    """
    end = min(deadline, time.monotonic() + _LONGEST_PAUSE)
    pause = _FIRST_PAUSE
    while True:
        try:
            report = fetch(report.id)
        except ShareError as error:
            return replace(_read_status(part, report, settled=False), error=error)
        left = end - time.monotonic()
        if not _waits_for_references(report) or left <= 0:
            return _read_status(part, report, settled=report.settled)
        time.sleep(min(pause, left))
        pause *= 1.6


def _waits_for_references(report: StatusReport) -> bool:
    """True if a hub holds an object only until those that it refers to have come."""
    return any(
        finding.get("rule") == "references" and finding.get("action") == Action.HELD
        for detail in report.details
        if detail.outcome == "pending"
        for finding in detail.findings
    )


def _read_status(part: _Envelope, report: StatusReport, *, settled: bool) -> PushResult:
    """The results of a part's objects; `settled`: the server will not change them by itself."""
    by_index = {each.index: each for each in report.details if each.index is not None}
    by_id: dict[str, list[StatusDetail]] = {}
    for each in report.details:
        if each.index is None:
            by_id.setdefault(each.id, []).append(each)
    results = []
    for index, item in enumerate(part):
        detail = by_index.get(index) or _take_detail(item, by_id)
        if not item.repeated:
            results.append(_add_detail(item.result, detail, report, settled=settled))
    return PushResult(tuple(results), status=report)


def _take_detail(item: _Item, by_id: Mapping[str, list[StatusDetail]]) -> StatusDetail | None:
    """The detail of an object if the server gives no index: by id and version, else by id."""
    details = by_id.get(str(item.object.get("id")), [])
    version = item.object.get("modified") or item.object.get("created")
    position = next((n for n, each in enumerate(details) if each.version == version), 0)
    return details.pop(position) if details else None


def _add_detail(
    result: ObjectResult, detail: StatusDetail | None, report: StatusReport, *, settled: bool
) -> ObjectResult:
    """The result with the server's verdict; without a detail, the status's common outcome."""
    outcome = detail.outcome if detail else report.common_outcome() or "pending"
    verdict = detail.verdict if detail and detail.verdict in VERDICTS else ""
    if not verdict:
        pending = "held" if settled and detail else "pending"
        verdict = {"success": "admitted", "failure": "refused"}.get(outcome, pending)
    findings = list(detail.findings) if detail else []
    if detail and detail.message and not findings and outcome != "success":
        findings = [_server_finding(verdict, detail.message)]
    if result.source_id == derive_id(result.label):
        findings = [_name_option(finding) for finding in findings]
    return replace(
        result,
        verdict=verdict,
        findings=result.findings + tuple(each for each in findings if each not in result.findings),
        public_id=detail.public_id if detail else "",
    )


def _name_option(finding: Mapping[str, str]) -> Mapping[str, str]:
    """The finding about a value from a text or table, with the option that it asks for."""
    message = finding.get("message", "")
    named = f"{message} (tocsin push --new-ids)" if message.endswith(_NEW_ID) else message
    return {**finding, "message": named}


def _refuse(result: ObjectResult, message: str) -> ObjectResult:
    findings = (*result.findings, _server_finding("refused", message))
    return replace(result, verdict="refused", findings=findings, object=None)


def _server_finding(verdict: str, message: str) -> dict[str, str]:
    """A finding for the message of a server that gives no findings."""
    action = verdict if verdict in ("refused", "held") else "noted"
    return {"stage": "publish", "rule": "server", "path": "", "action": action, "message": message}


def _encode_envelope(part: Iterable[_Item]) -> bytes:
    return b'{"objects":[' + b",".join(item.body for item in part) + b"]}"
