"""Statistics: counts of what was submitted and published, by day.

A document has the counts of one series, of all partners or of one, in one day, so
that a chart of 90 days is one read of 90 keys.  `settle` leaves a mark and a tally in each
batch of verdicts; a step in the background adds up some marked batches and removes their
marks, in one transaction: each batch is counted once, in spite of interruptions.

Objects that an earlier version settled have no mark.  Their days are added up once, from
the submissions that are still kept.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from tocsin.admission.timestamps import DAY, HOUR
from tocsin.server.model import OPERATOR_SLUG, Record
from tocsin.server.store.connection import (
    TRANSACTION,
    Base,
    Client,
    Document,
    chunk_keys,
    time_limit,
)
from tocsin.server.store.senders import SenderNotes, SenderRecord, find_senders, forget_senders

log = logging.getLogger(__name__)

ALL = ""
"""The series of all partners together."""
LATENCIES = (
    *(100_000, 200_000, 400_000, 700_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000),
    *(10_000_000, 20_000_000, 60_000_000, 300_000_000, 1_800_000_000, HOUR, 6 * HOUR, DAY),
)
"""Upper bounds of the buckets of times from receipt to feed, in µs; one more is above all."""
COUNT_PAUSE_SECONDS = 5.0
"""Seconds between two looks for what has not been counted."""
COUNT_REST = 4
"""Counting rests for this multiple of its last step's time."""
KEPT_DAYS = 400
"""Days for which the counts of a day are kept."""
BACKFILLED_DAYS = 90
"""Days before the first step whose submissions are added up."""
_BATCHES = 200
"""Batches of verdicts in one step."""
_KEYS = 100
"""Keys of one query."""
_MOST_SUBMISSIONS = 20_000
"""Submissions of one day that are added up from before."""
_FORGOTTEN_DAYS = 500
_STATE = "statistics"
_PUBLISHED = ("admitted", "merged")
_WITHDRAWN = "withdrawn"
"""The name under which withdrawals are counted, whatever their verdict: they publish nothing."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one series in one day."""

    submissions: int = 0
    """Submissions by the time of their receipt."""
    verdicts: Mapping[str, int] = field(default_factory=dict)
    """Objects by verdict, by when it was reached.  One that is published after a review counts as
    held, and later as published.  Withdrawals are not among them, but count as `withdrawn`."""
    latencies: tuple[int, ...] = (0,) * (len(LATENCIES) + 1)
    """Published objects by the bucket of their time from receipt to feed, without reviewed ones."""
    shares: Mapping[str, int] = field(default_factory=dict)
    """Published objects by partner; only in the counts of all partners."""


def tally_fields(records: Iterable[Record], now: int) -> Document:
    """The fields of a batch of verdicts by which it is counted once."""
    return {"at": now, "tally": dict(Counter(map(_count_as, records))), "uncounted": True}


def note_decision(record: Record, now: int) -> Document:
    """The change of a batch of verdicts in which this one replaced another after a review."""
    return {
        "$set": {"uncounted": True},
        "$push": {"decided": {"verdict": _count_as(record), "at": now}},
    }


def _count_as(record: Record) -> str:
    return _WITHDRAWN if record.is_withdrawal else record.verdict


class Statistics:
    """The counts: filled by steps in the background, and read."""

    def __init__(self, client: Client, base: Base, clock: Callable[[], int]) -> None:
        """`clock` returns µs since 1970 UTC."""
        self._client, self._base, self._clock = client, base, clock

    def begin(self, today: int) -> None:
        """Record for a new database that no submission in it came before today."""
        change = {"$setOnInsert": {"first": today, "day": today - BACKFILLED_DAYS}}
        self._base.hub_state.update_one({"_id": _STATE}, change, upsert=True)

    def count_next(self) -> bool:
        """Count some batches, or the submissions of a former day; False if nothing was left."""
        return self._transaction(self._count_batches) or self._transaction(self._backfill)

    @time_limit()
    def days(self, series: str, days: Sequence[int]) -> list[Counts]:
        """The counts of a series in some days, given in days since 1970 UTC."""
        return self._read([_day_key(series, day) for day in days])

    @time_limit()
    def senders(self, accounts: Sequence[str]) -> dict[str, SenderRecord]:
        """Summaries of these accounts' submissions; those that never submitted are left out."""
        return find_senders(self._base, accounts, self._clock())

    def forget(self) -> None:
        """Delete what was kept long enough.

        The records of accounts stay: one that stopped must not look like one that never began.
        """
        today = self._clock() // DAY
        days = range(today - _FORGOTTEN_DAYS, today)
        accounts = [each["_id"] for each in self._base.accounts.find({}, {"_id": 1})]
        over = {"ends": {"$in": list(days)}, "account": {"$nin": accounts}}
        self._base.stats.delete_many(over)

    def forget_partner(self, slug: str) -> None:
        """Delete the series of a partner, and its share of the counts of all, which stay."""
        now = self._clock()
        first, last = now // DAY - KEPT_DAYS, now // DAY
        keys = [_day_key(slug, day) for day in range(first, last + 1)]
        accounts = [each["_id"] for each in self._base.accounts.find({"partner": slug}, {"_id": 1})]
        forget_senders(self._base, accounts)
        for chunk in chunk_keys(keys, _KEYS):
            self._base.stats.delete_many({"_id": {"$in": list(chunk)}})
        share = {"$unset": {f"shares.{slug}": ""}}
        for chunk in chunk_keys([_day_key(ALL, day) for day in range(first, last + 1)], _KEYS):
            self._base.stats.update_many({"_id": {"$in": list(chunk)}}, share)

    def _read(self, keys: Sequence[str]) -> list[Counts]:
        found = {each["_id"]: each for each in self._base.stats.find({"_id": {"$in": list(keys)}})}
        return [_counts_of(found.get(key)) for key in keys]

    def _transaction(self, work: Callable[[ClientSession], bool]) -> bool:
        with self._client.start_session() as session:
            return session.with_transaction(work, *TRANSACTION)

    def _count_batches(self, session: ClientSession) -> bool:
        fields = dict.fromkeys(("submission", "first", "at", "tally", "counted", "decided"), 1)
        marked = self._base.verdicts.find({"uncounted": True}, fields, session=session)
        batches = list(marked.limit(_BATCHES))
        if not batches:
            return False
        ids = sorted({each["submission"] for each in batches})
        wanted = {"partner": 1, "account": 1, "received": 1}
        submissions = {
            each["_id"]: each
            for chunk in chunk_keys(ids, _KEYS)
            for each in self._base.submissions.find(
                {"_id": {"$in": list(chunk)}}, wanted, session=session
            )
        }
        sums = _Sums()
        for batch in batches:
            sums.add_batch(batch, submissions.get(batch["submission"]))
        self._write(sums, session)
        sums.senders.write(self._base, session)
        change = {"$set": {"counted": True}, "$unset": {"uncounted": "", "decided": ""}}
        for part in chunk_keys([each["_id"] for each in batches], _KEYS):
            self._base.verdicts.update_many({"_id": {"$in": list(part)}}, change, session=session)
        return True

    def _backfill(self, session: ClientSession) -> bool:
        """Add up the submissions of a few former days; False if none is left."""
        today = self._clock() // DAY
        state = self._base.hub_state.find_one({"_id": _STATE}, session=session)
        first, day = (today, today) if state is None else (state["first"], state["day"])
        last = first - BACKFILLED_DAYS
        if day <= last:
            return False
        sums, found = _Sums(), 0
        while not found and day > last:
            found = self._add_day(day, sums, session)
            day -= 1
        self._write(sums, session)
        change = {"$set": {"first": first, "day": day}}
        self._base.hub_state.update_one({"_id": _STATE}, change, upsert=True, session=session)
        return True

    def _add_day(self, day: int, sums: _Sums, session: ClientSession) -> int:
        """Add up the submissions of a day that have no marked batches; how many there are."""
        fields = {"partner": 1, "received": 1, "counts": 1, "tallied": 1}
        submissions = self._base.submissions.find({"day": day}, fields, session=session)
        found = 0
        for each in submissions.limit(_MOST_SUBMISSIONS):
            if not each.get("tallied"):
                found += 1
                sums.add_earlier(each)
        if found == _MOST_SUBMISSIONS:
            log.warning("statistics: more than %d submissions on day %d", found, day)
        return found

    def _write(self, sums: _Sums, session: ClientSession) -> None:
        writes = [
            UpdateOne(
                {"_id": key}, {"$inc": dict(sums.by_key[key]), "$setOnInsert": {"ends": ends}}, True
            )
            for key, ends in sums.ends.items()
        ]
        if writes:
            self._base.stats.bulk_write(writes, ordered=False, session=session)


@dataclass(slots=True)
class _Sums:
    """Counts that are to be added to documents."""

    by_key: dict[str, Counter[str]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    """The day on which each document may be deleted."""
    senders: SenderNotes = field(default_factory=SenderNotes)

    def add_batch(self, batch: Document, submission: Document | None) -> None:
        """Add a batch of verdicts; of a deleted submission only the verdicts, for all.

        A batch of an earlier version has no tally: `add_earlier` adds its verdicts, and only what
        was decided since is added here.
        """
        partner = "" if submission is None else _slug(submission)
        if "tally" in batch and not batch.get("counted"):
            self._add_verdicts(batch["tally"], batch["at"], partner)
            published = sum(batch["tally"].get(name, 0) for name in _PUBLISHED)
            if submission is not None and published:
                took = batch["at"] - submission["received"]
                bucket = bisect_left(LATENCIES, took)
                self._add({f"latency.{bucket}": published}, batch["at"], partner)
            if submission is not None:
                self.senders.add(batch, submission)
            if submission is not None and batch["first"] == 0:
                self._add({"submissions": 1}, submission["received"], partner)
        for each in batch.get("decided", ()):
            self._add_verdicts({each["verdict"]: 1}, each["at"], partner)

    def add_earlier(self, submission: Document) -> None:
        """Add a submission that has no marked batches, as of when it was received."""
        partner, at = _slug(submission), submission["received"]
        self._add_verdicts(submission["counts"], at, partner)
        self._add({"submissions": 1}, at, partner)

    def _add_verdicts(self, verdicts: Mapping[str, int], at: int, partner: str) -> None:
        self._add({f"verdicts.{name}": count for name, count in verdicts.items()}, at, partner)
        published = sum(verdicts.get(name, 0) for name in _PUBLISHED)
        if partner and published:
            self._sum(ALL, at)[f"shares.{partner}"] += published

    def _add(self, counts: Mapping[str, int], at: int, partner: str) -> None:
        for series in {ALL, partner}:
            self._sum(series, at).update(counts)

    def _sum(self, series: str, at: int) -> Counter[str]:
        """The counts of a series in the day of this time, in µs since 1970 UTC."""
        day = at // DAY
        key = _day_key(series, day)
        self.ends[key] = day + KEPT_DAYS
        return self.by_key.setdefault(key, Counter())


def _slug(submission: Document) -> str:
    return submission["partner"] or OPERATOR_SLUG


def _day_key(series: str, day: int) -> str:
    return f"{series}|day|{day}"


def _counts_of(document: Document | None) -> Counts:
    if document is None:
        return Counts()
    latency = document.get("latency", {})
    return Counts(
        submissions=document.get("submissions", 0),
        verdicts=document.get("verdicts", {}),
        latencies=tuple(latency.get(str(i), 0) for i in range(len(LATENCIES) + 1)),
        shares=document.get("shares", {}),
    )
