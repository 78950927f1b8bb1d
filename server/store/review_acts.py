"""The latest decisions of reviewers, and figures about them.

Of each person the last acts are kept for a time, so the collection stays small.  An act names
reviews and holds nothing of their content.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tocsin.admission.timestamps import DAY
from tocsin.server.model import ActState, DecisionKind, ReviewAct
from tocsin.server.store.connection import Base, Document, Session, time_limit
from tocsin.server.store.statistics import KEPT_DAYS

MOST_LISTED = 10
"""Acts of a person that are kept, apart from those that have not taken effect yet."""
_FORGOTTEN_DAYS = 500
"""Days before those that are kept whose figures are deleted, if they are there still."""
_STEP = math.log(1.2)
"""Spans of time are counted in steps, each a fifth longer than the one before."""
_SECOND = 1_000_000
NO_ANSWER: Document = {"reason": "", "masks": []}
"""The fields of an act whose reason and masks are deleted."""


@dataclass(frozen=True, slots=True)
class DecisionCounts:
    """Counts of a partner's reviews for a rule that were released (yes) and rejected (no)."""

    yes: int = 0
    no: int = 0


class ReviewActs:
    """Acts and figures; within a transaction they are `Transaction.review_acts`."""

    def __init__(self, base: Base, session: Session = None) -> None:
        """Read and write in `session`, if there is one."""
        self._acts, self._figures = base.review_acts, base.review_figures
        self._session = session

    def add(self, act: ReviewAct) -> None:
        """Store a new act; the oldest ones of the person are deleted.

        Those that were withdrawn lose their reasons and masks.
        """
        head = self._acts.find_one({"_id": _head(act.person)}, session=self._session)
        before = head["acts"] if head else []
        withdrawn = {"_id": {"$in": before}, "state": ActState.WITHDRAWN.value}
        self._acts.update_many(withdrawn, {"$set": NO_ANSWER}, session=self._session)
        ids = [act.id, *before]
        kept, older = ids[:MOST_LISTED], ids[MOST_LISTED:]
        if older:
            wanted = {"_id": {"$in": older}}
            found = list(self._acts.find(wanted, {"state": 1}, session=self._session))
            pending = {each["_id"] for each in found if each["state"] == ActState.PENDING}
            gone = [each["_id"] for each in found if each["_id"] not in pending]
            self._acts.delete_many({"_id": {"$in": gone}}, session=self._session)
            kept += [id for id in older if id in pending]
        self._acts.insert_one(_to_document(act), session=self._session)
        change = {"acts": kept}
        key = {"_id": _head(act.person)}
        self._acts.update_one(key, {"$set": change}, upsert=True, session=self._session)

    @time_limit()
    def find(self, id: str) -> ReviewAct | None:
        """The act, or None."""
        found = self._acts.find_one({"_id": id}, session=self._session)
        return None if found is None or "person" not in found else _from_document(found)

    @time_limit()
    def list_latest(self, person: str) -> list[ReviewAct]:
        """The last acts of a person, the latest first."""
        head = self._acts.find_one({"_id": _head(person)}, session=self._session)
        ids = head["acts"][:MOST_LISTED] if head else []
        found = {each["_id"]: each for each in self._acts.find({"_id": {"$in": ids}})}
        return [_from_document(found[id]) for id in ids if id in found]

    def list_pending(self, person: str) -> list[ReviewAct]:
        """The acts of a person that have not taken effect yet, the latest first."""
        head = self._acts.find_one({"_id": _head(person)}, session=self._session)
        found = map(self.find, head["acts"] if head else ())
        return [each for each in found if each and each.state is ActState.PENDING]

    def end(self, id: str, state: ActState, *, keep_answer: bool = False) -> None:
        """Record that a pending act has taken effect, or was withdrawn.

        Its reason and masks are deleted; with `keep_answer` only by the person's next act.
        """
        change: Document = {"state": state.value} | ({} if keep_answer else NO_ANSWER)
        key = {"_id": id, "state": ActState.PENDING.value}
        self._acts.update_one(key, {"$set": change}, session=self._session)

    def remove_person(self, person: str) -> None:
        """Delete all acts of a person; those that are pending must have been ended before."""
        head = self._acts.find_one({"_id": _head(person)}, session=self._session)
        ids = [_head(person), *(head["acts"] if head else ())]
        self._acts.delete_many({"_id": {"$in": ids}}, session=self._session)

    def forget(self, before: int) -> None:
        """Delete acts of before a time, in µs, but for pending ones.

        If it is interrupted, it can be repeated.
        """
        ended = {"state": {"$in": [ActState.DONE.value, ActState.WITHDRAWN.value]}}
        by_person = defaultdict[str, list[str]](list)
        for each in self._acts.find(ended, {"person": 1, "at": 1}, session=self._session):
            if each["at"] < before:
                by_person[each["person"]].append(each["_id"])
        for person, ids in by_person.items():
            key = {"_id": _head(person)}
            change = {"$pull": {"acts": {"$in": ids}}}
            self._acts.update_one(key, change, session=self._session)
            self._acts.delete_one({**key, "acts": []}, session=self._session)
            self._acts.delete_many({"_id": {"$in": ids}}, session=self._session)

    def forget_figures(self, today: int) -> None:
        """Delete the figures of days that were kept long enough; `today` in days since 1970."""
        first = today - KEPT_DAYS
        keys = [f"day {day}" for day in range(first - _FORGOTTEN_DAYS, first)]
        self._figures.delete_many({"_id": {"$in": keys}})

    def note_failure(self, id: str, review: str, why: str) -> None:
        """Record that an act did not take effect on one of its reviews."""
        change = {"$push": {"failed": [review, why]}}
        self._acts.update_one({"_id": id}, change, session=self._session)

    def note_answer(self, partner: str, rules: Sequence[str], *, yes: bool) -> None:
        """Count an answer to what some rules asked about a partner's object."""
        answer = "yes" if yes else "no"
        counts = {f"{answer}.{rule}": 1 for rule in rules}
        self._count(f"partner {partner}", counts)

    def note_turnaround(self, asked: int, decided: int) -> None:
        """Count the time from when a review was asked to when it was decided."""
        seconds = max(0, decided - asked) // _SECOND
        step = int(math.log1p(seconds) / _STEP)
        self._count(f"day {decided // DAY}", {f"steps.{step}": 1})

    def _count(self, id: str, counts: dict[str, int]) -> None:
        if counts:
            key, change = {"_id": id}, {"$inc": counts}
            self._figures.update_one(key, change, upsert=True, session=self._session)

    @time_limit()
    def answers(self, partner: str, rule: str) -> DecisionCounts:
        """The answers to what a rule asked about a partner's objects so far."""
        found = self._figures.find_one({"_id": f"partner {partner}"}, session=self._session) or {}
        return DecisionCounts(*(int(found.get(name, {}).get(rule, 0)) for name in ("yes", "no")))

    @time_limit()
    def median_turnaround(self, now: int, days: int) -> int | None:
        """The median time in µs from question to decision, within a tenth; None without any."""
        today = now // DAY
        keys = [f"day {day}" for day in range(today - days + 1, today + 1)]
        steps: Counter[int] = Counter()
        for each in self._figures.find({"_id": {"$in": keys}}, session=self._session):
            steps.update({int(step): count for step, count in each.get("steps", {}).items()})
        left = (steps.total() + 1) // 2
        for step in sorted(steps):
            left -= steps[step]
            if left <= 0:
                return round(math.expm1((step + 0.5) * _STEP)) * _SECOND
        return None


def forget_answers(base: Base, partner: str) -> None:
    """Delete what was counted of a partner."""
    base.review_figures.delete_one({"_id": f"partner {partner}"})


def _head(person: str) -> str:
    return f"of {person}"


def _to_document(act: ReviewAct) -> Document:
    document = asdict(act)
    document["_id"] = document.pop("id")
    document |= {"kind": act.kind.value, "state": act.state.value, "reviews": list(act.reviews)}
    for name in ("failed", "skipped"):
        document[name] = [list(pair) for pair in document[name]]
    document["masks"] = [[list(path), start, end] for path, start, end in act.masks]
    return document


def _from_document(document: Document) -> ReviewAct:
    return ReviewAct(
        id=document["_id"],
        person=document["person"],
        login=document["login"],
        kind=DecisionKind(document["kind"]),
        at=document["at"],
        due=document["due"],
        reviews=tuple(document["reviews"]),
        reason=document["reason"],
        about=document["about"],
        state=ActState(document["state"]),
        failed=tuple((id, why) for id, why in document["failed"]),
        skipped=tuple((id, why) for id, why in document["skipped"]),
        masks=tuple((tuple(path), start, end) for path, start, end in document.get("masks", ())),
    )
