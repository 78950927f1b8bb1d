"""Receipts: the stamps that each account was served, by the hour.

A page is recorded in memory, so that it costs its request nothing, and written behind by
`flush`.  Pages of one hour are merged into ranges of stamps.  An exact range says that the account
was served every entry in it that was current then; a range of a filtered page only that some
entry in it may have been among them.

Each process that serves has a mark with the time up to which it has written everything.  A
mark that is left behind shows that a process died, and between which times deliveries may be
missing.

One small document for each account and collection says in which hour it was last polled, and up to
which stamp it was served.  Retention leaves it, so that a poller that stopped is not forgotten.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pymongo import UpdateOne

from tocsin.admission.timestamps import HOUR, timestamp
from tocsin.server.model import Collection, ObjectPage, Query, VersionKeyword, View
from tocsin.server.store.connection import Base, Document, chunk_keys

FLUSH_PAUSE_SECONDS = 2.0
"""Seconds between two writes of what was delivered; deliveries are written within five."""
_HEARTBEAT = 60_000_000
"""µs after which an idle process renews its mark."""
_DEAD = 90_000_000
"""µs after which a process whose mark was not renewed counts as dead."""
_GAP = 600_000_000
"""µs after its mark in which a process that died may have served pages."""
_MOST_RANGES = 64
"""Ranges of one kind that are kept for one account, collection and hour."""
_MOST_HOURS = 50_000
"""Accounts, collections and hours that are kept in memory while the database takes no writes."""
_READ_KEYS = 200
_LOOK_BACK = 3 * 366 * 24 * HOUR
_WHOLE = (frozenset({VersionKeyword.LAST}), frozenset({VersionKeyword.ALL}))

Range = tuple[int, int]
"""The first and the last stamp, both included."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The ranges that one account was served from one collection in one hour."""

    account: str
    collection: str
    hour: int
    """Its beginning, in µs since 1970 UTC."""
    exact: tuple[Range, ...]
    filtered: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class DeliveryGap:
    """A time in which deliveries may be missing, because a process died: µs since 1970 UTC."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LastPoll:
    """The last poll of an account for the objects of a collection."""

    hour: int = 0
    """The beginning of its hour, in µs since 1970 UTC, whether there was anything new or not."""
    stamp: int = 0
    """The last stamp that the account was ever served there, or that of the collection's end when
    nothing was left for it; 0: none."""


@dataclass(slots=True)
class _Hour:
    """The ranges of one account, collection and hour, as far as this process served them."""

    exact: list[Range] = field(default_factory=list)
    filtered: list[Range] = field(default_factory=list)
    is_written: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """The name under which they are stored: if the clock steps back into an hour that was
    written already, what is new stands beside it."""

    def add(self, new: Range, *, exact: bool) -> None:
        """Add a range.  Beyond the maximum, the earliest exact ones count as filtered."""
        self.is_written = False
        ranges = self.exact if exact else self.filtered
        merged = merge_ranges([*ranges, new])
        if exact:
            self.exact = merged[-_MOST_RANGES:]
            merged = merge_ranges([*self.filtered, *merged[:-_MOST_RANGES]])
        if len(merged) > _MOST_RANGES:  # wider than what was served, so nothing is missed
            surplus = merged[: len(merged) - _MOST_RANGES + 1]
            merged = [(surplus[0][0], surplus[-1][1]), *merged[len(surplus) :]]
        self.filtered = merged


def merge_ranges(ranges: Sequence[Range]) -> list[Range]:
    """The ranges in order, those that overlap or touch as one.

    >>> merge_ranges([(5, 9), (1, 2), (3, 4), (20, 20)])
    [(1, 9), (20, 20)]
    """
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


_Key = tuple[str, str, int]
"""Account, collection id, hour."""


class Deliveries:
    """The deliveries of all processes, and the recorder of this one.  Safe among threads."""

    def __init__(
        self,
        base: Base,
        clock: Callable[[], int],
        process: str = "",
        revision: Callable[[], int] = lambda: 0,
    ) -> None:
        """`clock` returns µs since 1970 UTC; `process` is the name of this one, if it has any.

        `revision` returns a number that is another one once an account was removed.
        """
        self._base, self._clock, self._revision = base, clock, revision
        self._process = process or uuid.uuid4().hex
        self._lock = threading.Lock()
        self._hours: dict[_Key, _Hour] = {}
        self._ends: dict[tuple[str, str], tuple[int, int]] = {}
        """Position and stamp of the last entry served, by account and collection."""
        self._polls: dict[tuple[str, str], LastPoll] = {}
        self._new_polls: dict[tuple[str, str], LastPoll] = {}
        """Those of them that are not written yet."""
        self._polls_of = 0
        """The revision at which the polls in memory were noted."""
        self._mark: int | None = None
        """Time at which the mark was last written; None while this process does not serve."""
        self._lost_since: int | None = None

    def begin(self, *, alone: bool) -> None:
        """Leave the mark of this process, which serves from now on.

        `alone`: no other process serves, so every other mark is of one that died.
        """
        if alone:
            self._base.delivery_marks.update_many({}, {"$set": {"dead": True}})
        self._write_mark(self._clock())

    def note_death(self, process: str) -> None:
        """Note that a process has ended; one that has written everything left no mark."""
        self._base.delivery_marks.update_one({"_id": process}, {"$set": {"dead": True}})

    def end(self) -> None:
        """Write everything and remove the mark: this process serves no longer."""
        self.flush()
        self._base.delivery_marks.delete_one({"_id": self._process})
        self._mark = None

    def record(self, account: str, collection: Collection, query: Query, page: ObjectPage) -> None:
        """Record a page of objects; of an empty one only its hour, and that nothing was left.

        Writes nothing yet.
        """
        place, now = (account, collection.id), self._clock()
        whole, start = _is_whole(collection.view, query), page.first_stamp
        is_served = page.count or (whole and query.after <= now)  # else it misses what comes next
        with self._lock:
            self._note_poll(place, now - now % HOUR, page.last_stamp if is_served else 0)
        if not page.count:
            return
        exact = whole or page.count == 1
        with self._lock:
            if whole:
                start = min(start, self._start(place, collection, query, start))
            self._ends[place] = page.last_position, page.last_stamp
            key = (*place, now - now % HOUR)
            if key not in self._hours and len(self._hours) >= _MOST_HOURS:
                oldest = next(iter(self._hours))
                self._lost_since = min(self._lost_since or now, oldest[2])
                del self._hours[oldest]
            self._hours.setdefault(key, _Hour()).add((start, page.last_stamp), exact=exact)

    def flush(self) -> None:
        """Write what was recorded since the last time, and then the mark.

        Records that cannot be written stay in memory; the error is raised.
        """
        now = self._clock()
        with self._lock:
            lost, new = self._lost_since, {}
            for key, hour in self._hours.items():
                if not hour.is_written:
                    new[key] = replace(hour)
            polls = dict(self._new_polls)
        if new:
            writes = [self._update(key, hour) for key, hour in new.items()]
            self._base.deliveries.bulk_write(writes, ordered=False)
        self._write_polls(polls)
        if lost is not None:
            gap = {"_id": uuid.uuid4().hex, "written": lost, "until": now, "dead": True}
            self._base.delivery_marks.insert_one(gap)
        with self._lock:
            self._lost_since = None if self._lost_since == lost else self._lost_since
            for key, written in new.items():
                kept = self._hours.get(key)
                if kept and (kept.exact, kept.filtered) == (written.exact, written.filtered):
                    kept.is_written = True
            self._forget_past_hours(now)
        if self._mark is not None and (new or now - self._mark >= _HEARTBEAT):
            self._write_mark(now)

    def of_collections(self, collections: Sequence[str], since: int) -> Iterator[Delivery]:
        """The deliveries from some collections from the month of `since` (µs) on, in any order."""
        months = list(_months(since, self._clock()))
        keys = [f"{collection}|{month}" for collection in collections for month in months]
        for first in range(0, len(keys), _READ_KEYS):
            part = keys[first : first + _READ_KEYS]
            for document in self._base.deliveries.find({"bucket": {"$in": part}}):
                yield from _deliveries_of(document)

    def of_accounts(self, pairs: Sequence[tuple[str, str]], since: int) -> Iterator[Delivery]:
        """The deliveries to accounts from collections from the month of `since` (µs) on.

        `pairs` are accounts with ids of collections.
        """
        months = list(_months(since, self._clock()))
        keys = [f"{account}|{each}|{month}" for account, each in pairs for month in months]
        for part in chunk_keys(keys, _READ_KEYS):
            for document in self._base.deliveries.find({"_id": {"$in": list(part)}}):
                yield from _deliveries_of(document)

    def last_polls(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], LastPoll]:
        """The last polls of accounts for collections (their ids), as far as there were any."""
        keys = [f"{account}|{collection}" for account, collection in pairs]
        return {
            (each["account"], each["collection"]): LastPoll(each["hour"], each["stamp"])
            for part in chunk_keys(keys, _READ_KEYS)
            for each in self._base.polls.find({"_id": {"$in": list(part)}})
        }

    def last_polls_of(self, account: str) -> dict[str, LastPoll]:
        """The last polls of an account, by the ids of collections."""
        found = self._base.polls.find({"account": account})
        return {each["collection"]: LastPoll(each["hour"], each["stamp"]) for each in found}

    def gaps(self) -> list[DeliveryGap]:
        """The times in which deliveries may be missing, in order."""
        now = self._clock()
        marks = self._base.delivery_marks.find({})
        dead = [m for m in marks if m["dead"] or now - m["written"] > _DEAD]
        gaps = (DeliveryGap(m["written"], m["until"] or m["written"] + _GAP) for m in dead)
        return sorted(gaps, key=lambda gap: gap.start)

    def forget_gaps(self, before: int) -> None:
        """Delete what processes left that died before that time (µs)."""
        self._base.delivery_marks.delete_many({"written": {"$lt": before}})

    def forget(self, collections: Sequence[str], before: int) -> None:
        """Delete the deliveries of the months before that of a time (µs).

        It looks back three years from there.
        """
        months = list(_months(before - _LOOK_BACK, before))[:-1]
        buckets = [f"{collection}|{month}" for collection in collections for month in months]
        for chunk in chunk_keys(buckets, _READ_KEYS):
            self._base.deliveries.delete_many({"bucket": {"$in": list(chunk)}})

    def _note_poll(self, place: tuple[str, str], hour: int, stamp: int) -> None:
        revision = self._revision()
        if revision != self._polls_of:  # an account may have been added under a removed one's name
            self._polls, self._polls_of = dict(self._new_polls), revision
        old = self._polls.get(place, LastPoll())
        new = LastPoll(max(old.hour, hour), max(old.stamp, stamp))
        if new != old:
            self._polls[place] = self._new_polls[place] = new

    def _start(
        self, place: tuple[str, str], collection: Collection, query: Query, first: int
    ) -> int:
        """The first stamp that a whole page covers: nothing current lies before its first entry."""
        after = query.after
        if not query.position:
            return after + 1
        if collection.view is not None:  # there, the position is the stamp
            return max(after, query.position) + 1
        position, stamp = self._ends.get(place, (0, 0))
        return max(after, stamp) + 1 if position == query.position else first

    def _update(self, key: _Key, hour: _Hour) -> UpdateOne:
        account, collection, start = key
        month = _month(start)
        served = {"exact": _as_lists(hour.exact), "filtered": _as_lists(hour.filtered)}
        place = {"account": account, "collection": collection, "bucket": f"{collection}|{month}"}
        change = {"$set": {**place, f"hours.{start // HOUR}.{hour.id}": served}}
        return UpdateOne({"_id": f"{account}|{collection}|{month}"}, change, upsert=True)

    def _write_polls(self, polls: Mapping[tuple[str, str], LastPoll]) -> None:
        if not polls:
            return
        updates = [_update_of_poll(place, poll) for place, poll in polls.items()]
        self._base.polls.bulk_write(updates, ordered=False)
        self._delete_polls_of_removed(sorted({account for account, _ in polls}))
        with self._lock:
            self._new_polls = {k: v for k, v in self._new_polls.items() if polls.get(k) != v}

    def _delete_polls_of_removed(self, accounts: Sequence[str]) -> None:
        """Delete the polls of those of these accounts that are no more.

        After they were written: so none is left, whenever between an account was removed.
        """
        for part in map(list, chunk_keys(accounts, _READ_KEYS)):
            known = {e["_id"] for e in self._base.accounts.find({"_id": {"$in": part}}, {"_id": 1})}
            if removed := [each for each in part if each not in known]:
                self._base.polls.delete_many({"account": {"$in": removed}})

    def _write_mark(self, now: int) -> None:
        mark = {"written": now, "until": 0, "dead": False}
        key = {"_id": self._process}
        self._base.delivery_marks.update_one(key, {"$set": mark}, upsert=True)
        self._mark = now

    def _forget_past_hours(self, now: int) -> None:
        past = [k for k, hour in self._hours.items() if hour.is_written and k[2] + HOUR <= now]
        for key in past:
            del self._hours[key]


def _update_of_poll(place: tuple[str, str], poll: LastPoll) -> UpdateOne:
    account, collection = place
    change = {
        "$set": {"account": account, "collection": collection},
        "$max": {"hour": poll.hour, "stamp": poll.stamp},  # of whichever process is further
    }
    return UpdateOne({"_id": f"{account}|{collection}"}, change, upsert=True)


def _is_whole(view: View | None, query: Query) -> bool:
    """True if a page has every current entry between its first and its last."""
    filters = query.ids or query.types or query.specs or query.versions or query.filters
    if filters or query.keywords not in _WHOLE:
        return False
    if view is None:
        return True
    return len(view.sources) == 1 and not (view.types or view.active or view.max_tlp is not None)


def _deliveries_of(document: Document) -> Iterator[Delivery]:
    for hour, parts in document["hours"].items():
        exact, filtered = (
            tuple(merge_ranges([(s, e) for each in parts.values() for s, e in each[kind]]))
            for kind in ("exact", "filtered")
        )
        start = int(hour) * HOUR
        yield Delivery(document["account"], document["collection"], start, exact, filtered)


def _as_lists(ranges: Sequence[Range]) -> list[list[int]]:
    return [list(each) for each in ranges]


def _month(stamp: int) -> str:
    return timestamp(stamp)[:7]


def _months(first: int, last: int) -> Iterator[str]:
    """The months from that of `first` to that of `last`, as `2026-01`."""
    year, month = map(int, _month(max(first, 0)).split("-"))
    end = tuple(map(int, _month(last).split("-")))
    while (year, month) <= end:
        yield f"{year:04}-{month:02}"
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
