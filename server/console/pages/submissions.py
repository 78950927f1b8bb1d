"""Submissions: what became of what was sent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import flask
from flask import request
from flask.typing import ResponseReturnValue

from tocsin.admission.descriptions import describe_object
from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.markings.tlp import read_markings
from tocsin.admission.model import Action, StixObject, Tlp
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.stix.object_titles import single_value
from tocsin.server import auth
from tocsin.server.console.contents import read_contents
from tocsin.server.console.forms import go, number_field, text_field
from tocsin.server.console.own_objects import Ends, find_ends, find_own_ends
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ConsoleServices
from tocsin.server.intake.evaluate import split_envelope
from tocsin.server.lifecycle.purge import is_object_id
from tocsin.server.model import Record, Submission
from tocsin.server.person import Role
from tocsin.server.publishing.verdicts import awaits_objects

_PAGE = 50
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_POSITION = re.compile(r"([0-9]{1,16})\.([0-9a-f-]{36})")
_SECOND = 1_000_000
_WORDS = {
    "admitted": ("published", "published"),
    "merged": ("merged", "merged"),
    "duplicate": ("known already", "known already"),
    "held": ("waits", "wait"),
    "refused": ("refused", "refused"),
}
"""Verdicts in the order in which they are counted, with their words for one and for many."""
_PUBLISHED = ("admitted", "merged")
_INDEX = re.compile(r"[0-9]{1,7}")
WAITING = "in progress"
_ROW_WORDS = {
    "admitted": "published",
    "merged": "published, merged with what others sent",
    "duplicate": "known already",
    "held": "waits for a reviewer",
    "refused": "refused",
}


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    views = SubmissionPages(services)
    pages.add("/submissions", views.list_all, EVERYBODY)
    pages.add("/submissions/<id>", views.show, EVERYBODY)
    pages.add("/submissions/<id>/withdraw", views.withdraw, (Role.ANALYST,), ("POST",))
    pages.add("/part/submissions/<id>", views.progress, EVERYBODY)


@dataclass(frozen=True, slots=True)
class ObjectLine:
    """One object of a submission."""

    record: Record
    value: str
    """Value or name by which people know it; empty if the text is not kept, or not theirs."""
    kind: str
    word: str
    is_readable: bool
    """The person may open the page of the public object."""
    end: str = ""
    """The end of the public object, as far as the person may know; empty if it is in force."""
    may_withdraw: bool = False
    text_waits: bool = False
    """Text that a rule masked waits for a reviewer."""
    tlp: Tlp | None = None
    """The level that the object states, if the person may know."""


@dataclass(frozen=True, slots=True)
class SubmissionPages:
    """The submissions of a partner."""

    services: ConsoleServices

    def list_all(self) -> ResponseReturnValue:
        """A partner's submissions, the newest first, by day."""
        me, store = context().who, self.services.store
        partner = me.partner or request.args.get("partner", "")[:64]
        partners = store.accounts.list_partners() if me.is_of_hub else []
        if me.is_of_hub and partner not in {each.slug for each in partners}:
            partner = ""
        may_list = auth.may_list_submissions(context().rights)
        is_shown = bool(partner) and may_list
        found, has_newer, has_older = self._find_page(partner) if is_shown else ([], False, False)
        more = f"partner={partner}&" if me.is_of_hub else ""
        names = {each.id: each.title or each.alias for each in context().collections}
        days = groupby(found, key=lambda each: _day(each.received))
        return flask.render_template(
            "submissions.html",
            days=[(day, list(group)) for day, group in days],
            names=names,
            sentence=summarise,
            may_list=may_list,
            contents=read_contents(store, found) if me.partner else {},
            partner=partner,
            partners=[("", "choose a partner"), *((each.slug, each.name) for each in partners)],
            newer=f"?{more}after={_position(found[0])}" if has_newer else "",
            older=f"?{more}before={_position(found[-1])}" if has_older else "",
        )

    def _find_page(self, partner: str) -> tuple[list[Submission], bool, bool]:
        """Some submissions, and whether there are newer and older ones."""
        submissions = self.services.store.submissions
        before, after = (
            _parse_position(request.args.get(name, "")) for name in ("before", "after")
        )
        if after is not None:
            found = submissions.list_newer_of_partner(partner, _PAGE + 1, after)
            if found:
                return found[-_PAGE:], len(found) > _PAGE, True
        found = submissions.list_of_partner(partner, _PAGE + 1, before)
        return found[:_PAGE], bool(found) and before is not None, len(found) > _PAGE

    def show(self, id: str) -> ResponseReturnValue:
        """Show the verdicts on the objects of a submission."""
        submission = self._find(id)
        number = max(1, number_field("page", 1))
        verdict = request.args.get("show", "")
        verdict = verdict if verdict in _WORDS else ""
        records = self._records(submission, number, verdict)
        total = submission.counts.get(verdict, 0) if verdict else submission.total
        more = f"show={verdict}&" if verdict else ""
        return flask.render_template(
            "submission.html",
            submission=submission,
            lines=self._describe(submission, records),
            sentence=summarise(submission),
            kinds=[(name, _WORDS[name][1]) for name in _WORDS if submission.counts.get(name)],
            verdict=verdict,
            done=request.args.get("done") == "withdrawn",
            collection=self._collection_name(submission),
            is_settled=submission.settled == submission.total,
            newer=f"?{more}page={number - 1}" if number > 1 else "",
            older=f"?{more}page={number + 1}" if total > number * _PAGE else "",
        )

    def progress(self, id: str) -> ResponseReturnValue:
        """Show the progress of a submission; the whole page again once it is settled."""
        submission = self._find(id)
        if submission.settled == submission.total:
            answer = flask.make_response("", 204)
            answer.headers["HX-Refresh"] = "true"
            return answer
        return flask.render_template(
            "submission_progress.html", submission=submission, sentence=summarise(submission)
        )

    def _find(self, id: str) -> Submission:
        submissions = self.services.store.submissions
        found = submissions.find(id, raw=False) if _ID.fullmatch(id) else None
        if found is None or not auth.may_read_status(context().rights, found):
            raise NotFound("there is no such submission")
        return found

    def _records(self, submission: Submission, page: int, verdict: str) -> Sequence[Record]:
        """The records of a page; those that have no verdict yet are left out."""
        submissions, start = self.services.store.submissions, (page - 1) * _PAGE
        if not verdict:
            return submissions.page_of_records(submission.id, start, start + _PAGE)
        found = [each for each in submissions.records(submission.id) if each.verdict == verdict]
        return found[start : start + _PAGE]

    def _describe(self, submission: Submission, records: Sequence[Record]) -> list[ObjectLine]:
        """The lines of a page, with the values of the objects as far as the person may know them.

        The partner's own people see what was sent, all others what is published.
        """
        is_own = _is_own(submission)
        subjects = self._find_subjects(submission, records) if is_own and records else {}
        published = [each.public_id for each in records if each.public_id]
        titles = self.services.object_reports.find_titles(context().rights, published)
        ends = self._find_ends(submission, records, titles)
        may_withdraw = ends.can_withdraw if context().who.has(Role.ANALYST) else ()
        lines = []
        for record in records:
            subject = subjects.get(record.index, {})
            value, kind = describe_object(subject)
            value = value or single_value(titles.get(record.public_id, ""))
            lines.append(
                ObjectLine(
                    record,
                    value,
                    kind or record.source_id.partition("--")[0],
                    _describe_verdict(record),
                    record.public_id in titles,
                    ends.words.get(record.index, ""),
                    record.index in may_withdraw,
                    _text_waits(record),
                    _read_stated_level(subject),
                )
            )
        return lines

    def _find_ends(
        self, submission: Submission, records: Sequence[Record], readable: Collection[str]
    ) -> Ends:
        published = [each for each in records if each.verdict in _PUBLISHED]
        if _is_own(submission):
            return find_own_ends(self.services.store, submission.partner, published, readable)
        return find_ends(self.services.store, published)

    def withdraw(self, id: str) -> ResponseReturnValue:
        """Withdraw the partner's report on one object; the person need not be able to read it."""
        submission = self._find(id)
        index = text_field("row", 10)
        if not _is_own(submission) or not _INDEX.fullmatch(index):
            raise NotFound("there is no such submission")
        start = int(index)
        records = self.services.store.submissions.page_of_records(id, start, start + 1)
        if not records or records[0].verdict not in _PUBLISHED:
            raise NotFound("there is no such submission")
        who, reason = context().who, text_field("reason", 1_000) or "in the console"
        with suppress(NotFound):  # it ended before: the answer tells nothing of others
            own_id = records[0].source_id
            name = own_id if is_object_id(own_id) else records[0].public_id
            self.services.partner_data.withdraw(who.partner, [name], who.login, reason)
        page = start // _PAGE + 1
        return go(f"/submissions/{id}?page={page}&done=withdrawn#row-{start + 1}")

    def _find_subjects(
        self, submission: Submission, records: Sequence[Record]
    ) -> Mapping[int, dict[str, object]]:
        """The objects as they were sent, as long as they are kept."""
        found = self.services.store.submissions.find(submission.id)
        if found is None or not found.raw:
            return {}
        objects, subjects = split_envelope(found.raw), dict[int, dict[str, object]]()
        for record in records:
            try:
                subjects[record.index] = parse_object(objects[record.index])
            except (Malformed, IndexError):
                continue
        return subjects

    def _collection_name(self, submission: Submission) -> str:
        found = (each for each in context().collections if each.id == submission.collection)
        return next((each.title or each.alias for each in found), "")


def _is_own(submission: Submission) -> bool:
    """True for a person of the partner that sent it."""
    return bool(context().who.partner) and context().who.partner == submission.partner


def _describe_verdict(record: Record) -> str:
    if awaits_objects(record):
        return "not published yet"
    if record.is_withdrawal and record.verdict == "admitted":
        return "withdrawn"
    return _ROW_WORDS.get(record.verdict, record.verdict)


def _text_waits(record: Record) -> bool:
    actions = {each.get("action") for each in record.findings}
    is_answered = any(each.get("rule") == "reviewer" for each in record.findings)
    return record.verdict in _PUBLISHED and Action.ASKED in actions and not is_answered


def _read_stated_level(subject: StixObject) -> Tlp | None:
    """The level that an object states; None if it states none that can be read."""
    try:
        return read_markings(subject, {}).tlp
    except Malformed:
        return None


def summarise(submission: Submission) -> str:
    """The sentence on what became of the objects: `7 objects: 5 published, 1 merged, 1 waits`."""
    total = submission.total
    head = f"{total:,} object{'' if total == 1 else 's'}"
    return f"{head}: {count_in_words(submission)}"


def count_in_words(submission: Submission) -> str:
    """The verdicts in numbers: `5 published, 1 waits, 2 in progress`."""
    withdrawn = submission.withdrawn
    counts = Counter(dict(submission.counts)) - Counter(admitted=withdrawn)
    found = [
        f"{counts[name]:,} {one if counts[name] == 1 else many}"
        for name, (one, many) in _WORDS.items()
        if counts[name]
    ]
    if withdrawn:
        found.append(f"{withdrawn:,} withdrawn")
    left = submission.total - submission.settled
    if left:
        found.append(f"{left:,} set aside" if submission.set_aside else f"{left:,} {WAITING}")
    return ", ".join(found) or "nothing"


def _day(received: int) -> str:
    day = datetime.fromtimestamp(received / _SECOND, UTC)
    return f"{day.day} {day:%B %Y}"


def _position(submission: Submission) -> str:
    return f"{submission.received}.{submission.id}"


def _parse_position(text: str) -> tuple[int, str] | None:
    found = _POSITION.fullmatch(text)
    return (int(found[1]), found[2]) if found else None
