"""Times at which accounts submit: the latest runs of each, and its refusals of the last day.

An operator wants to know that a collector still submits.  The hub sees its submissions only, so
it keeps when they came.  The step that fills the statistics notes them, in its
transaction; nothing is done while a submission is received or published.  An account has one
document of bounded size, for as long as there is the account, so that looking at all accounts is
one read of their keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pymongo import ReplaceOne
from pymongo.client_session import ClientSession

from tocsin.admission.timestamps import DAY, HOUR
from tocsin.server.store.connection import Base, Document, Session, chunk_keys

RUN_GAP = HOUR // 12
"""µs between two submissions up to which both belong to one run."""
KEPT_RUNS = 50
"""Latest runs of an account that are kept."""
KEPT_DAYS = 90
"""Days after the last submission for which those of a person are kept; an account keeps them."""
_KEYS = 100
_HOURS = 24

Run = tuple[int, int]
"""Times of receipt of the first and the last submission of a run, in µs since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class SenderRecord:
    """Summary of one account's submissions."""

    runs: tuple[Run, ...]
    """Its latest runs, the oldest first."""
    objects: int
    """Objects that got a verdict in this hour and the 23 before."""
    refused: int
    """Those of them that were refused."""


def find_senders(base: Base, accounts: Sequence[str], now: int) -> dict[str, SenderRecord]:
    """The records of those of these accounts that have submitted something, by account."""
    found = _find(base, None, accounts)
    return {name: _record_from_document(each, now // HOUR) for name, each in found.items()}


def forget_senders(base: Base, accounts: Sequence[str], session: Session = None) -> None:
    """Delete the records of these accounts."""
    for keys in chunk_keys(list(map(_key, accounts)), _KEYS):
        base.stats.delete_many({"_id": {"$in": list(keys)}}, session=session)


@dataclass(slots=True)
class SenderNotes:
    """Additions of one step to the records of accounts."""

    received: dict[str, list[int]] = field(default_factory=dict)
    """By account, when its submissions came, in µs since 1970 UTC."""
    hours: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    """By account and hour: objects that got a verdict, and those that were refused."""

    def add(self, batch: Document, submission: Document) -> None:
        """Add a batch of verdicts that was not counted before."""
        account = submission["account"]
        came, hours = self.received.setdefault(account, []), self.hours.setdefault(account, {})
        if batch["first"] == 0:
            came.append(submission["received"])
        counts = hours.setdefault(batch["at"] // HOUR, [0, 0])
        counts[0] += sum(batch["tally"].values())
        counts[1] += batch["tally"].get("refused", 0)

    def write(self, base: Base, session: ClientSession) -> None:
        """Add everything; a bounded document for each account is read and replaced."""
        found = _find(base, session, sorted(self.hours))
        changed = [self._next(name, found.get(name, {})) for name in sorted(self.hours)]
        if changed:
            writes = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in changed]
            base.stats.bulk_write(writes, ordered=False, session=session)

    def _next(self, account: str, before: Document) -> Document:
        hours = {int(hour): list(counts) for hour, counts in before.get("hours", {}).items()}
        for hour, counts in self.hours[account].items():
            old = hours.get(hour, [0, 0])
            hours[hour] = [old[0] + counts[0], old[1] + counts[1]]
        latest = max(hours)
        runs = _join_runs([*map(tuple, before.get("runs", ())), *self._runs(account)])
        return {
            "_id": _key(account),
            "account": account,
            "runs": [list(each) for each in runs[-KEPT_RUNS:]],
            "hours": {str(h): counts for h, counts in hours.items() if h > latest - _HOURS},
            "ends": latest * HOUR // DAY + KEPT_DAYS,
        }

    def _runs(self, account: str) -> list[Run]:
        return [(moment, moment) for moment in self.received[account]]


def _join_runs(runs: Iterable[Run]) -> list[Run]:
    """The runs in order, those that are close together as one."""
    joined: list[Run] = []
    for first, last in sorted(runs):
        if joined and first - joined[-1][1] <= RUN_GAP:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _find(base: Base, session: Session, accounts: Sequence[str]) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for keys in chunk_keys(list(map(_key, accounts)), _KEYS):
        every = base.stats.find({"_id": {"$in": list(keys)}}, session=session)
        found |= {each["account"]: each for each in every}
    return found


def _key(account: str) -> str:
    return f"sender|{account}"


def _record_from_document(document: Document, hour: int) -> SenderRecord:
    recent = [c for h, c in document["hours"].items() if hour - _HOURS < int(h)]
    objects, refused = sum(each[0] for each in recent), sum(each[1] for each in recent)
    return SenderRecord(tuple((a, b) for a, b in document["runs"]), objects, refused)
