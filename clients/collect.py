"""Read a source once and submit what is new in it.

Each document is previewed as `tocsin push` does it, and submitted; what the hub has taken is
noted, and only then the source's memory moves on.  So a run that breaks off is repeated from the
document where it was, and an object that was submitted before is left out.  Where indicators are
valid for a time from when they are read, they are submitted again when half of it has passed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tocsin.admission import parse_policy
from tocsin.admission.errors import NotAllowed, ShareError, Unavailable, Unprocessable
from tocsin.admission.timestamps import stix_time
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.clients.check import Checker
from tocsin.clients.credentials import account_of
from tocsin.clients.error_pages import explain_error_page, find_format, is_empty_list, update_format
from tocsin.clients.http import Collection, Hub
from tocsin.clients.input_files import InputFile
from tocsin.clients.push import PushOptions, push_results
from tocsin.clients.responses import StatusReport
from tocsin.clients.results import ObjectResult
from tocsin.clients.source_memory import SourceMemory, digest_object
from tocsin.clients.sources import Document, Source, parse_duration_seconds
from tocsin.config.cache import load_or_build
from tocsin.config.loading import policy_text
from tocsin.config.settings import ClientSettings

_LONGEST_ERROR = 500
"""Characters of an error that are kept."""
_MOST_NOTES = 10
_LONGEST_WAIT = 20.0
"""Seconds to wait for the hub's findings at the end of a run."""
_PAUSE = 0.5
"""Seconds between two requests for a status."""
_NARROWED = ("merge", "marking")
"""Stage and rule of the hub's finding that an object has a stricter level than before."""
_FORMAT = "format"
"""Entry of the memory of a source with one document: the format that it first had."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that held or refused objects."""

    verdict: str
    """`held` or `refused`."""
    rule: str
    count: int
    message: str
    """Message about the first of these objects."""


@dataclass(frozen=True, slots=True)
class Run:
    """Outcome of one run of a source."""

    source: str
    began: float
    """Seconds since 1970 UTC."""
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    """`documents`, `objects`, `submitted`, `unchanged`, `held`, `refused`, `narrowed`,
    `unreadable`."""
    error: str = ""
    """Error that ended the run; empty: it reached the end of the source."""
    wait: float = 0.0
    """Seconds after which the other side wants to be asked again, if it said so."""
    notes: tuple[str, ...] = ()
    """Documents that could not be read, each with the reason, and warnings; the first few."""
    reasons: tuple[Reason, ...] = ()
    """Why objects were held or refused, the most frequent first; at most 10."""


def memory_path(folder: Path, source: Source) -> Path:
    """The file of a source's memory."""
    return folder / f"{source.name}.sqlite"


def run_source(source: Source, settings: ClientSettings, hub: Hub, folder: Path) -> Run:
    """Read a source once; errors of source and hub are in the result.

    `folder` has the memory of the sources.
    """
    began = time.time()
    counts: Counter[str] = Counter()
    notes: list[str] = []
    reasons = _Reasons()
    error, wait = "", 0.0
    try:
        with SourceMemory(memory_path(folder, source)) as memory:
            task = _Task(source, settings, hub, memory, counts, notes, reasons)
            task.run()
            memory.forget(int(began))
    except ShareError as failure:
        error = str(failure)[:_LONGEST_ERROR]
        wait = float(getattr(failure, "seconds", 0.0))
    took = time.time() - began
    return Run(
        source.name,
        began,
        took,
        dict(counts),
        error,
        wait,
        notes=tuple(notes[:_MOST_NOTES]),
        reasons=reasons.most_frequent(),
    )


class _Reasons:
    """Counts the rules that held or refused objects."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._messages: dict[tuple[str, str], str] = {}

    def add(self, verdict: str, result: ObjectResult) -> None:
        for finding in result.findings:
            if finding["action"] == verdict:
                key = verdict, finding["rule"]
                self._counts[key] += 1
                self._messages.setdefault(key, finding["message"][:_LONGEST_ERROR])

    def most_frequent(self) -> tuple[Reason, ...]:
        return tuple(
            Reason(*key, count, self._messages[key])
            for key, count in self._counts.most_common(_MOST_NOTES)
        )


@dataclass(slots=True)
class _Task:
    """One run while it lasts."""

    source: Source
    settings: ClientSettings
    hub: Hub
    memory: SourceMemory
    counts: Counter[str]
    notes: list[str]
    reasons: _Reasons
    usable: int = 0
    """Objects that the check did not refuse."""
    statuses: list[str] = field(default_factory=list)
    """Ids of the statuses of what was submitted."""

    def run(self) -> None:
        collection = self.hub.find_collection(self.source.to, "can_write")
        if not collection.can_write:
            raise NotAllowed(f"the key may not write to {self.source.to}")
        self._begin(collection)
        checker = self._checker()
        for document in self.source.documents(self.memory.entries()):
            self.counts["documents"] += 1
            if document.skipped:
                self._note(document, document.skipped)
                self.memory.keep(document.memory)
            elif document.is_whole:
                self._submit_whole(collection, checker, document)
            else:
                self._submit(collection, checker, document)
                self.memory.keep(document.memory)
        if not self.memory.has_submitted():  # one missing document stops no feed
            self._refuse_if_unreadable()
        self._note_narrowed(collection)

    def _begin(self, collection: Collection) -> None:
        """Forget what was submitted elsewhere or by another account."""
        account = account_of(self.settings)
        destination = f"{collection.url} ({account})" if account else collection.url
        if earlier := self.memory.begin(destination):
            self.notes.append(f"everything is submitted again: it went to {earlier} before")
        place = self.source.place()
        if place and self.memory.begin_at(place):
            self.notes.append("everything is read again: it came from another place before")

    def _refuse_if_unreadable(self) -> None:
        if 0 < self.counts["documents"] == self.counts["unreadable"]:
            raise Unprocessable(f"no document could be read; {self.notes[0]}")

    def _note_narrowed(self, collection: Collection) -> None:
        """Note which objects now reach fewer readers than before; the hub alone knows it."""
        deadline = time.monotonic() + _LONGEST_WAIT
        try:
            findings = [
                finding["message"]
                for id in self.statuses
                for detail in self._fetch_settled(id, collection, deadline).details
                for finding in detail.findings
                if (finding.get("stage"), finding.get("rule")) == _NARROWED
            ]
        except ShareError as error:  # everything is submitted, so the run has not failed
            self.notes.append(f"the hub's findings are not known: {error}"[:_LONGEST_ERROR])
            return
        if findings:
            self.counts["narrowed"] = len(findings)
            note = (
                f"{len(findings)} now at a stricter level: {findings[0]}. "
                "Give sources with the same values the same tlp"
            )
            self.notes.insert(0, note[:_LONGEST_ERROR])

    def _fetch_settled(self, id: str, collection: Collection, deadline: float) -> StatusReport:
        """The status once it is settled, or as it is at the deadline."""
        while True:
            status = self.hub.fetch_status(id, collection.root)
            if status.settled or time.monotonic() >= deadline:
                return status
            time.sleep(_PAUSE)

    def _submit_whole(self, collection: Collection, checker: Checker, document: Document) -> None:
        """Submit the only document of a source; what is kept says if it is read again."""
        name, earlier = self.source.form or document.name, self.memory.entries().get(_FORMAT, "")
        if reason := explain_error_page(name, document.content, earlier):
            self._note(document, reason)
            self._refuse_if_unreadable()
        has_submitted = self.memory.has_submitted()
        is_empty = is_empty_list(document.content)
        if not is_empty and self._submit(collection, checker, document):
            found = update_format(earlier, find_format(name, document.content))
            self.memory.keep({**document.memory, _FORMAT: found})
            return
        self._refuse_if_unreadable()
        if has_submitted:
            self.notes.append(f"{document.name}: this source gave objects before, and none now")
        else:
            self.memory.keep(document.memory)

    def _checker(self) -> Checker:
        settings = self.settings
        changes = {"default_tlp": self.source.tlp, "consent": self.source.consent}
        given = {name: value for name, value in changes.items() if value is not None}
        settings = msgspec.structs.replace(settings, **given)
        policy = parse_policy(policy_text(settings.policy), settings.policy)
        return Checker(settings, policy, load_warning_lists(keep=load_or_build))

    def _submit(self, collection: Collection, checker: Checker, document: Document) -> int:
        """Submit a document; returns the number of its objects that can be submitted or held."""
        now = time.time_ns() // 1000
        valid_for = parse_duration_seconds(self.source.valid_for) if self.source.valid_for else 0
        file = InputFile(
            document.name,
            document.content,
            self.source.form,
            labels=self.source.labels,
            valid_for=valid_for * 1_000_000,
        )
        preview = checker.preview(file, now)
        if preview.has_temporary_error:  # the document must be read again
            raise Unavailable(f"{document.name}: {preview.error}")
        if preview.error:
            self._note(document, preview.error)
            return 0
        before = self.usable
        second = now - now % 1_000_000  # the `valid_from` of an indicator without a date
        times = {stix_time(each) for each in (now, second, now + valid_for * 1_000_000)}
        since = now // 1_000_000 - valid_for // 2 if valid_for else 0
        new = self._select(preview.results(), times, since)
        options = PushOptions(wait=False, send_held=self.source.send_held)

        def acknowledge(status: StatusReport, taken: Sequence[ObjectResult]) -> None:
            self.statuses.append(status.id)
            self.memory.note_submitted(
                (
                    (str(each.object["id"]), digest_object(each.object, times))
                    for each in taken
                    if each.object
                ),
                now // 1_000_000,
            )
            self.counts["submitted"] += len(taken)

        for part in push_results(self.hub, collection, new, options, acknowledge):
            if part.error:
                raise part.error
            self._count_unsent(part.results)
        return self.usable - before

    def _count_unsent(self, results: Sequence[ObjectResult]) -> None:
        for result in results:
            verdict = "held" if result.verdict == "withheld" else result.verdict
            if verdict in ("held", "refused"):
                self.counts[verdict] += 1
                self.reasons.add(verdict, result)

    def _select(
        self, results: Iterator[ObjectResult], times: set[str], since: int
    ) -> Iterator[ObjectResult]:
        """The results that were not submitted before."""
        for result in results:
            self.counts["objects"] += 1
            self.usable += (result.object or result.held) is not None
            subject = result.object or (result.held if self.source.send_held else None)
            if subject is not None and self.memory.is_submitted(
                str(subject.get("id")), digest_object(subject, times), since
            ):
                self.counts["unchanged"] += 1
            else:
                yield result

    def _note(self, document: Document, reason: str) -> None:
        self.counts["unreadable"] += 1
        self.notes.append(f"{document.name}: {reason}"[:_LONGEST_ERROR])
