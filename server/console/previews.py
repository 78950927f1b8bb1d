"""Examine drafts as their submissions would be, beside the threads that answer.

Parsers of reports run in a process with limits (`server/examination`).  One draft at a time is
examined in each process of the hub; where it takes longer, its page shows how far it has come.
Nothing of a draft reaches the log.
"""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from tocsin.admission.descriptions import CHANGING_ACTIONS, find_changes
from tocsin.admission.errors import ShareError, TooLarge, Unavailable, Unprocessable
from tocsin.admission.extraction.indicators import replace_derived_id
from tocsin.admission.formats import formats
from tocsin.admission.formats.csv import without_options
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.markings.tlp import TLP_2_IDS, read_markings
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Finding,
    StixObject,
    Tlp,
    Verdict,
)
from tocsin.admission.timestamps import DAY
from tocsin.server.console.comparison import has_own_text
from tocsin.server.console.drafts import (
    SENT,
    Draft,
    DraftFiles,
    DraftState,
    PreviewedObject,
    PreviewResult,
    Standing,
)
from tocsin.server.examination.examiner import (
    Examination,
    ExaminationTask,
    WorkerEnded,
    parse_candidates,
)
from tocsin.server.examination.reading import ReadFile, ReadTask
from tocsin.server.intake.evaluate import PreviewTerms
from tocsin.server.intake.intake import Intake
from tocsin.server.model import Account

log = logging.getLogger(__name__)

MOST_OBJECTS = 10_000
"""Objects of one preview."""
STALE_SECONDS = 240
"""Seconds without progress after which an examination has died with its process."""
_STEP = 20
"""Objects that are examined before the progress is noted."""
_MOST_WAITING = 8
"""Drafts that are examined or wait for it in one process."""
_MOST_OF_PARTNER = 4
"""Those of one partner, so that nobody else is turned away for them."""
_IDLE_SECONDS = 300.0
"""Seconds after which the process that examined is ended."""
_MOST_NOTES = 20
_CARE = {Standing.LEFT_OUT: 0, Standing.READY: 0, Standing.ASKED: 1, Standing.HELD: 2}
"""Order of outcomes by how much of an object waits for a reviewer."""
_STRICTNESS = {**_CARE, Standing.UNCONFIRMED: 3, Standing.REFUSED: 4}
"""Order of outcomes by how little of an object is shared."""
_BUSY = "the hub examines other reports: try again in a moment"
_BUSY_WITH_OWN = (
    "the hub still examines other reports of your organisation: try again when one is ready"
)
_BUSY_SECONDS = 10
_TOO_HARD = "this could not be examined within the limits: send it in parts"
_TOO_MANY = (
    f"this has more than {MOST_OBJECTS:,} objects: send it in parts, or with `tocsin push`, which"
    " sends files of any size"
)
_TOO_LONG = (
    "the objects of this take {:.1f} MB, but a submission has at most {:.0f}: send it in parts, or"
    " with `tocsin push`, which cuts it"
)
_NOTHING = "nothing to share was found in this"
_ENDED_VALUE = (
    "what your organisation shared under this id has ended, and the id cannot be used again: to"
    " share the value under a new id, tick “Share withdrawn values again, under new ids” above and"
    " choose “Examine again”"
)
_ENDED_ID = "this id was revoked and cannot be used again; send it under a new id"
_FAULT = "this could not be examined: the hub's operator finds the reason in the log"


class Examiner(Protocol):
    """Reads files and examines what is in them."""

    def read(self, task: ReadTask) -> ReadFile:
        """The objects of a file.  Raises Unavailable or WorkerEnded."""
        ...

    def begin(self, task: ExaminationTask) -> Examination:
        """Begin to examine objects."""
        ...

    def end_idle(self) -> None:
        """End processes that examine nothing now."""
        ...


FindEndedIds = Callable[[str, Collection[str]], Collection[str]]
"""See `own_objects.find_ended_ids`."""


class Previews:
    """The examinations of drafts in this process."""

    def __init__(
        self,
        files: DraftFiles,
        intake: Intake,
        examiner: Examiner,
        find_ended_ids: FindEndedIds,
        max_octets: int,
    ) -> None:
        """`max_octets`: of the body of a submission."""
        self._find_ended_ids = find_ended_ids
        self._files, self._intake, self._examiner = files, intake, examiner
        self._max_octets = max_octets
        self._turns = _Turns()
        self._count_lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._timer: threading.Timer | None = None

    def check_room(self, partner: str) -> None:
        """Raises Unavailable if too many drafts wait, of a partner or in all."""
        with self._count_lock:
            own, all_of_them = self._waiting[partner], self._waiting.total()
        if own >= _MOST_OF_PARTNER:
            raise Unavailable(_BUSY_WITH_OWN, _BUSY_SECONDS)
        if all_of_them >= _MOST_WAITING:
            raise Unavailable(_BUSY, _BUSY_SECONDS)

    def begin(self, draft: Draft, sender: Account, *, is_verbatim: bool, wait: float) -> None:
        """Examine a draft, and return when that is done, at the latest after `wait` seconds.

        `sender`: the rights of its person.
        """
        with self._count_lock:
            self._waiting[draft.partner] += 1
        thread = threading.Thread(
            target=self._run, args=(draft, sender, is_verbatim), name="preview", daemon=True
        )
        thread.start()
        thread.join(wait)

    def _run(self, draft: Draft, sender: Account, is_verbatim: bool) -> None:
        try:
            with self._turns.take(draft.partner):
                error = self._try(draft, sender, is_verbatim)
            if error:
                self._files.change(draft, state=DraftState.FAILED, error=error)
        except (ShareError, FileNotFoundError):
            return  # it was discarded
        finally:
            with self._count_lock:
                self._waiting -= Counter([draft.partner])  # forgets a partner at 0
            self._end_later()

    def _try(self, draft: Draft, sender: Account, is_verbatim: bool) -> str:
        """Examine a draft; why that failed, or an empty text."""
        try:
            self._examine(draft, sender, is_verbatim)
        except WorkerEnded:
            return _TOO_HARD
        except (ShareError, Unavailable) as error:
            return str(error)
        except FileNotFoundError:
            raise
        except Exception as error:
            _log_fault(error)
            return _FAULT
        return ""

    def _examine(self, draft: Draft, sender: Account, is_verbatim: bool) -> None:
        tlp = Tlp.parse(draft.options.tlp)
        found = self._read(draft, tlp)
        withdrawn = 0
        if not is_verbatim:
            found, withdrawn = self._renew_or_refuse_withdrawn(draft, found)
        about = {
            "format": found.format,
            "never_shared": found.never_shared,
            "withdrawn_count": withdrawn,
        }
        if self._files.change(draft, total=len(found.candidates), **about) is None:
            return
        examined: Sequence[Candidate] = found.candidates
        is_anonymous = draft.options.anonymous
        terms = PreviewTerms(
            sender, draft.partner, draft.options.collection, tlp, draft.options.anonymous
        )
        if not is_verbatim:
            examined, is_anonymous = self._examine_all(draft, terms, found.candidates)
        standings = [
            find_standing(read, after)
            for read, after in zip(found.candidates, examined, strict=True)
        ]
        standings = _take_out(standings, draft.taken_out)
        if not is_verbatim and not {Standing.HELD, Standing.ASKED}.isdisjoint(standings):
            standings = self._try_submission(draft, terms, examined, standings)
        body = self._build_body(standings, examined, tlp, is_verbatim)
        rows = self._files.write_results(
            draft,
            (
                PreviewResult(
                    PreviewedObject(read.object, after),
                    standing,
                    is_changed(read.object, after),
                    has_own_text(after.object or {}, draft.options.labels),
                )
                for read, after, standing in zip(found.candidates, examined, standings, strict=True)
            ),
            body,
        )
        self._files.change(
            draft,
            state=DraftState.READY,
            done=len(rows),
            rows=rows,
            notes=_count_notes(examined),
            anonymous=is_anonymous,
        )

    def _read(self, draft: Draft, tlp: Tlp) -> ReadFile:
        options = draft.options
        found = self._examiner.read(
            ReadTask(
                name=name_for(draft.name, options.format),
                content=self._files.read_input(draft),
                now=draft.renewed,
                tlp=tlp,
                most=MOST_OBJECTS,
                labels=options.labels,
                valid_for=options.days * DAY,
                include_held=options.confirmed,
            )
        )
        if found.fault:
            raise Unprocessable(found.fault)
        if not found.candidates:
            raise Unprocessable(_NOTHING)
        if len(found.candidates) > MOST_OBJECTS:
            raise TooLarge(_TOO_MANY)
        return found

    def _renew_or_refuse_withdrawn(self, draft: Draft, found: ReadFile) -> tuple[ReadFile, int]:
        """The file with new ids for withdrawn values, if the person wants them, else without these.

        With it, the number of withdrawn values that can have a new id.
        """
        ids = {each.source_id for each in found.candidates if each.source_id}
        ended = self._find_ended_ids(draft.partner, ids) if ids else ()
        candidates, count = list(found.candidates), 0
        for n, candidate in enumerate(candidates):
            if candidate.source_id not in ended or not candidate.is_open:
                continue
            renewed = replace_derived_id(candidate)
            has_new_id = renewed is not candidate
            count += has_new_id
            if has_new_id and draft.options.new_ids:
                candidates[n] = renewed
            else:
                candidates[n] = _refuse_ended(candidate, _ENDED_VALUE if has_new_id else _ENDED_ID)
        return replace(found, candidates=tuple(candidates)), count

    def _examine_all(
        self, draft: Draft, terms: PreviewTerms, candidates: Sequence[Candidate]
    ) -> tuple[Sequence[Candidate], bool]:
        """Examine the candidates of a draft, and see if its partner is not named.

        Those that a person leaves out are examined with the others first: an object of a report at
        a stricter level, or of one that cannot be read, is not shared more widely without it.
        """
        task = self._intake.evaluator.plan_preview(terms, candidates)
        is_anonymous = task.submitter.consent not in CONSENTS_TO_NAME
        each = list(self._examine_each(draft, task, counts=True))
        examined = list(self._intake.evaluator.bound_preview(terms, each))
        out = frozenset(draft.taken_out)
        kept = [n for n in range(len(candidates)) if n not in out]
        if len(kept) == len(candidates) or not kept:
            return examined, is_anonymous
        task = self._intake.evaluator.plan_preview(terms, [candidates[n] for n in kept])
        alone = self._intake.evaluator.bound_preview(
            terms, list(self._examine_each(draft, task, counts=False))
        )
        for n, candidate in zip(kept, alone, strict=True):
            examined[n] = choose_stricter(candidates[n], examined[n], candidate)
        return examined, is_anonymous

    def _try_submission(
        self,
        draft: Draft,
        terms: PreviewTerms,
        examined: Sequence[Candidate],
        standings: Sequence[Standing],
    ) -> list[Standing]:
        """Examine what would be sent, alone as the hub will have it.

        An object can wait because of others that are not sent, for instance of a report that holds
        it and cannot be read.  Such a one is not sent either, or nobody would look at it.
        """
        sent = [n for n, standing in enumerate(standings) if standing in SENT]
        objects = [encode_object(object_to_send(examined[n], terms.tlp)) for n in sent]
        candidates = parse_candidates(objects)
        task = self._intake.evaluator.plan_preview(terms, candidates)
        found = list(standings)
        tried = self._intake.evaluator.bound_preview(
            terms, list(self._examine_each(draft, task, counts=False))
        )
        for n, candidate, again in zip(sent, candidates, tried, strict=True):
            alone = find_standing(candidate, again)
            if alone is Standing.REFUSED or _CARE[alone] < _CARE[found[n]]:
                found[n] = Standing.REFUSED
            elif alone in _CARE:
                found[n] = alone
        return found

    def _examine_each(
        self, draft: Draft, task: ExaminationTask, *, counts: bool
    ) -> Iterator[Candidate]:
        """Examine the candidates of a task; `counts`: note how many of them are done."""
        examination, done = self._examiner.begin(task), 0
        try:
            while done < len(task.candidates):
                part = examination.examine_next(_STEP)
                own = task.candidates[done : done + len(part)]
                if not part or [c.source_id for c in part] != [c.source_id for c in own]:
                    raise WorkerEnded("its answer is not about these objects")
                yield from part
                done += len(part)
                progress = {"done": done} if counts else {}
                if self._files.change(draft, **progress) is None:
                    raise FileNotFoundError  # discarded, or begun again
        finally:
            examination.close()

    def _build_body(
        self,
        standings: Sequence[Standing],
        examined: Sequence[Candidate],
        tlp: Tlp,
        is_verbatim: bool,
    ) -> bytes:
        sent = [
            encode_object(candidate.object if is_verbatim else object_to_send(candidate, tlp))
            for candidate, standing in zip(examined, standings, strict=True)
            if standing in SENT
        ]
        body = b'{"objects":[' + b",".join(sent) + b"]}"
        if len(body) > self._max_octets:
            raise TooLarge(_TOO_LONG.format(len(body) / 1e6, self._max_octets / 1e6))
        return body

    def _end_later(self) -> None:
        """End the process that examines when nothing has been examined for a while."""
        with self._count_lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(_IDLE_SECONDS, self._examiner.end_idle)
            self._timer.daemon = True
            self._timer.start()


class _Turns:
    """One turn at a time; of the partners that wait, the one whose last turn is longest ago."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_taken = False
        self._waiting: list[tuple[str, object]] = []
        """Tickets, in the order of their arrival: the partner, and an object that differs."""
        self._last: dict[str, int] = {}
        """The number of each partner's last turn."""
        self._number = 0

    @contextmanager
    def take(self, partner: str) -> Iterator[None]:
        """Wait for a turn, which lasts as long as the block."""
        ticket = (partner, object())
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: not self._is_taken and self._next() is ticket)
            self._waiting.remove(ticket)
            self._is_taken = True
            self._number += 1
            self._last[partner] = self._number
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

    def _next(self) -> tuple[str, object]:
        return min(self._waiting, key=lambda each: self._last.get(each[0], 0))


def _refuse_ended(candidate: Candidate, message: str) -> Candidate:
    finding = Finding("publish", "versions", Action.REFUSED, message)
    return replace(candidate.with_findings(finding), verdict=Verdict.REFUSED)


def name_for(name: str, format: str) -> str:
    """A file name by which the chosen format is found; without one, the name itself."""
    endings = next((each.extensions for each in formats() if each.name == format), ())
    return f"report{endings[0]}" if endings else (name or "pasted")


def find_standing(read: Candidate, examined: Candidate) -> Standing:
    """The outcome for an object that was read, and then examined."""
    if examined.verdict is Verdict.REFUSED:
        return Standing.REFUSED
    if examined.verdict is Verdict.DUPLICATE:
        return Standing.LEFT_OUT
    if examined.verdict is Verdict.HELD:
        return Standing.UNCONFIRMED if read.verdict is Verdict.HELD else Standing.HELD
    asks = any(finding.action is Action.ASKED for finding in examined.findings)
    return Standing.ASKED if asks else Standing.READY


def choose_stricter(read: Candidate, among_all: Candidate, alone: Candidate) -> Candidate:
    """The result for an object without those that are left out, unless more could read it then."""
    before, after = (find_standing(read, each) for each in (among_all, alone))
    if before is Standing.LEFT_OUT:  # the same as one that is left out
        return alone
    levels = [each.tlp for each in (among_all, alone)]
    is_wider = None not in levels and levels[1] < levels[0]  # type: ignore[operator]
    return among_all if is_wider or _STRICTNESS[after] < _STRICTNESS[before] else alone


def _take_out(standings: Sequence[Standing], taken_out: Collection[int]) -> list[Standing]:
    """The standings with what a person leaves out.  Refused objects stay so."""
    return [
        Standing.TAKEN_OUT if n in taken_out and each is not Standing.REFUSED else each
        for n, each in enumerate(standings)
    ]


def object_to_send(candidate: Candidate, tlp: Tlp) -> StixObject:
    """The object that a submission has.

    Masked already, so that the hub keeps no text without need; as it was read only where a
    reviewer must decide about the text.  That one states its level, since it may have none.
    """
    original = candidate.original
    asks = any(finding.action is Action.ASKED for finding in candidate.findings)
    if original is None or not (asks or candidate.verdict is Verdict.HELD):
        return join_layers(candidate) or {}
    if read_markings(original, {}).tlp is not None:
        return original
    level = TLP_2_IDS[candidate.tlp if candidate.tlp is not None else tlp]
    present = original.get("object_marking_refs")
    refs = present if isinstance(present, list) else []
    return {**original, "object_marking_refs": [*refs, level]}


def is_changed(before: StixObject | None, candidate: Candidate) -> bool:
    """True if a value is not shared as it was read."""
    findings = [f.as_json() for f in candidate.findings if f.action.value in CHANGING_ACTIONS]
    if before is None or candidate.object is None or not findings:
        return False
    return next(find_changes(before, candidate.object, findings), None) is not None


def encode_object(subject: StixObject | None) -> bytes:
    """The JSON of an object; lone halves of a character as escapes."""
    text = json.dumps(subject, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _count_notes(examined: Sequence[Candidate]) -> tuple[tuple[str, int], ...]:
    """The commonest notes on objects that can be shared, with their number."""
    notes = Counter(
        without_options(note)
        for each in examined
        for note in {f.message for f in each.findings if f.action is Action.NOTED}
        if each.verdict is not Verdict.REFUSED
    )
    return tuple(notes.most_common(_MOST_NOTES))


def _log_fault(error: Exception) -> None:
    """Log where a fault was, without its message, which may have words of the draft."""
    places = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-5:]]
    log.error("a draft could not be examined: %s at %s", type(error).__name__, ", ".join(places))
