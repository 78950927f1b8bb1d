"""Trial of a policy: what it would make of the latest objects, beside what the present one makes.

Nothing is changed by it.  Both policies examine the objects in processes with limits, after
admission (`niceness`).  How far it has come is in a file, because each request may be answered by
another process of the hub.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tocsin.admission.descriptions import describe_object
from tocsin.admission.errors import NotFound, ShareError, Unavailable
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.model import Candidate, Verdict
from tocsin.server.examination.examiner import ExaminationTask, WorkerEnded
from tocsin.server.examination.processes import ExaminerLimits, ExaminerProcesses
from tocsin.server.intake.evaluate import split_envelope
from tocsin.server.model import Partner
from tocsin.server.store import Store

log = logging.getLogger(__name__)

MOST_OBJECTS = 1_000
MOST_SHOWN = 100
"""Objects with a difference that are listed; all are counted."""
_SUBMISSIONS_OF_ONE = 20
"""Latest submissions of each partner that are looked through."""
_KEPT_SECONDS = 24 * 3600
_STALE_SECONDS = 180
"""Seconds without progress after which a trial has died with its process."""
_STEP = 50
_NICENESS = 10
_LOST = "the trial ended with the process that ran it: begin it again"


class Difference(msgspec.Struct, frozen=True):
    """An object of which the two policies make something else."""

    partner: str
    type: str
    value: str
    before: str
    """Verdict of the present policy."""
    after: str
    rules: list[str]
    """Rules whose findings differ."""


class Trial(msgspec.Struct, frozen=True):
    """A trial, under way or done."""

    by: str
    sha256: str
    begun: int
    """µs since 1970 UTC."""
    total: int = 0
    done: int = 0
    state: str = "running"
    """`running`, `done` or `failed`."""
    error: str = ""
    before: dict[str, int] = {}
    """Objects by verdict, under the present policy."""
    after: dict[str, int] = {}
    changed: int = 0
    differences: list[Difference] = []


@dataclass(frozen=True, slots=True)
class _Sample:
    partner: Partner
    objects: tuple[bytes, ...]


class PolicyTrials:
    """Runs trials, one at a time in each process."""

    def __init__(  # noqa: PLR0913
        self,
        store: Store,
        folder: Path,
        hub: str,
        present: str,
        lists: Path,
        clock: Callable[[], int],
    ) -> None:
        """`folder` is made when it is needed; `hub` is the id of the hub's own identity.

        `present` is the text of the policy in force, `lists` the file of loaded warning lists.
        """
        self._store, self._folder, self._hub = store, folder, hub
        self._present, self._lists, self._clock = present, lists, clock
        self._turn = threading.Lock()

    def begin(self, text: str, sha256: str, by: str) -> str:
        """Begin a trial of a policy that can be read; its id.  Raises Unavailable if one runs."""
        if not self._turn.acquire(blocking=False):
            raise Unavailable("another trial is under way: wait until it is done")
        id = secrets.token_hex(8)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._delete_old()
            trial = Trial(by, sha256, self._clock())
            self._write(id, trial)
            thread = threading.Thread(
                target=self._run, args=(id, trial, text), name="trial", daemon=True
            )
            thread.start()
        except BaseException:
            self._turn.release()
            raise
        return id

    def find(self, id: str) -> Trial:
        """A trial.  Raises NotFound if there is none."""
        path = self._path(id)
        try:
            trial = msgspec.json.decode(path.read_bytes(), type=Trial)
            age = time.time() - path.stat().st_mtime
        except (OSError, msgspec.DecodeError) as error:
            raise NotFound("there is no such trial") from error
        if trial.state == "running" and age > _STALE_SECONDS:
            return msgspec.structs.replace(trial, state="failed", error=_LOST)
        return trial

    def _run(self, id: str, trial: Trial, text: str) -> None:
        try:
            self._write(id, self._try(id, trial, text))
        except (ShareError, WorkerEnded) as error:
            self._write(id, msgspec.structs.replace(trial, state="failed", error=str(error)))
        except Exception:
            log.exception("a trial of a policy failed")
            fault = "it failed: the log of the hub has the reason"
            self._write(id, msgspec.structs.replace(trial, state="failed", error=fault))
        finally:
            self._turn.release()

    def _try(self, id: str, trial: Trial, text: str) -> Trial:
        samples = list(self._samples())
        trial = msgspec.structs.replace(trial, total=sum(len(each.objects) for each in samples))
        self._write(id, trial)
        limits = ExaminerLimits(niceness=_NICENESS)
        both = [
            ExaminerProcesses(1, policy, limits, self._lists) for policy in (self._present, text)
        ]
        before, after = Counter[str](), Counter[str]()
        found: list[Difference] = []
        done = changed = 0
        try:
            for sample in samples:
                old, new = (list(self._examine(each, sample)) for each in both)
                for one, other in zip(old, new, strict=True):
                    before[one.verdict.value] += 1
                    after[other.verdict.value] += 1
                    if _differ(one, other):
                        changed += 1
                        if len(found) < MOST_SHOWN:
                            found.append(_describe(sample.partner.slug, one, other))
                done += len(old)
                trial = msgspec.structs.replace(trial, done=done)
                self._write(id, trial)
        finally:
            for each in both:
                each.close()
        return msgspec.structs.replace(
            trial,
            state="done",
            before=dict(before),
            after=dict(after),
            changed=changed,
            differences=found,
        )

    def _samples(self) -> Iterator[_Sample]:
        """The latest submissions whose bodies are kept, the newest first, up to the limit."""
        partners = {each.slug: each for each in self._store.accounts.list_partners()}
        latest = [
            each
            for slug in partners
            for each in self._store.submissions.list_of_partner(slug, _SUBMISSIONS_OF_ONE)
        ]
        latest.sort(key=lambda each: -each.received)
        left = MOST_OBJECTS
        for each in latest:
            found = self._store.submissions.find(each.id) if left else None
            if found is None or not found.raw:
                continue
            objects = tuple(split_envelope(found.raw)[:left])
            left -= len(objects)
            yield _Sample(partners[each.partner], objects)

    def _examine(self, examiner: ExaminerProcesses, sample: _Sample) -> Iterator[Candidate]:
        exclusions = tuple((e.type, e.value, e.reason) for e in self._store.exclusions.list())
        task = ExaminationTask(
            sample.objects, sample.partner.submitter(), self._hub, self._clock(), exclusions
        )
        examination = examiner.begin(task)
        try:
            while part := examination.examine_next(_STEP):
                yield from part
        finally:
            examination.close()

    def _path(self, id: str) -> Path:
        if not (len(id) == 16 and id.isalnum()):  # noqa: PLR2004
            raise NotFound("there is no such trial")
        return self._folder / f"{id}.json"

    def _write(self, id: str, trial: Trial) -> None:
        path = self._path(id)
        partial = path.with_suffix(".new")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(msgspec.json.encode(trial))
        partial.replace(path)

    def _delete_old(self) -> None:
        for path in self._folder.iterdir():
            if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                path.unlink(missing_ok=True)


def _differ(one: Candidate, other: Candidate) -> bool:
    return one.verdict is not other.verdict or _published(one) != _published(other)


def _published(candidate: Candidate) -> object:
    """The object as it would be published, all its levels joined; None if it would not be."""
    return join_layers(candidate) if candidate.is_open else None


def _describe(partner: str, one: Candidate, other: Candidate) -> Difference:
    value, type = describe_object(one.object or other.object or {})
    rules = {
        tuple(finding.as_json().items()): finding.rule
        for each in (one, other)
        for finding in each.findings
    }
    both = [{tuple(f.as_json().items()) for f in each.findings} for each in (one, other)]
    named = sorted({rules[key] for key in both[0] ^ both[1]})
    return Difference(partner, type, value, _word(one), _word(other), named)


def _word(candidate: Candidate) -> str:
    return "ready" if candidate.is_open else candidate.verdict.value


def count_words(counts: dict[str, int]) -> Sequence[tuple[str, int]]:
    """The numbers of a trial by verdict, those that are to be published first."""
    order = (Verdict.OPEN, Verdict.HELD, Verdict.REFUSED)
    known = [(each.value, counts.get(each.value, 0)) for each in order]
    return known + [(k, n) for k, n in sorted(counts.items()) if k not in {e.value for e in order}]
