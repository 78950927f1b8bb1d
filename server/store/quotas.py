"""The quotas of partners: objects submitted in a day, octets kept.

A partner has one document with the objects of today and the octets of each of the
last days; the octets that are kept are the sum of the days for which bodies of
submissions are kept at most.  A process takes a share of a quota in advance, so
that most submissions cost no command.  A process that ends loses what is left of
its share: at most a hundredth of the quota.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from tocsin.admission.descriptions import count, format_duration
from tocsin.admission.errors import TooLarge, TooManyRequests
from tocsin.server.model import Quota
from tocsin.server.store.connection import Base, Document, time_limit

_DAY = 86_400_000_000
_SECOND = 1_000_000
_SHARE = 100
_ATTEMPTS = 20


@dataclass(slots=True)
class _Share:
    day: int
    objects: int
    octets: int


class Quotas:
    """Counts what partners submit, over all processes.  Safe for threads."""

    def __init__(self, base: Base, clock: Callable[[], int]) -> None:
        """`clock` returns µs since 1970 UTC."""
        self._quotas, self._clock = base.quotas, clock
        self._shares: dict[str, _Share] = {}
        self._lock = threading.Lock()

    @time_limit()
    def take(self, partner: str, quota: Quota, objects: int, octets: int) -> None:
        """Count a submission.  Raises TooManyRequests, and counts nothing, if a quota is used up.

        The error says when there will be room for it.  Raises TooLarge if there never will.
        """
        if not (quota.objects_per_day or quota.octets_kept):
            return
        _check_size(quota, objects, octets)
        now = self._clock()
        day = now // _DAY
        with self._lock:
            share = self._shares.get(partner)
            if share is None or share.day != day:
                share = self._shares[partner] = _Share(day, 0, 0)
            more_objects, more_octets = objects - share.objects, octets - share.octets
            if more_objects > 0 or more_octets > 0:
                self._extend(partner, quota, share, max(0, more_objects), max(0, more_octets))
            share.objects -= objects
            share.octets -= octets

    def _extend(self, partner: str, quota: Quota, share: _Share, objects: int, octets: int) -> None:
        """Enlarge a share by what is needed, and by a hundredth of the quota if that is left."""
        spare = quota.objects_per_day // _SHARE, quota.octets_kept // _SHARE
        added = objects + spare[0], octets + spare[1]
        if self._count(partner, quota, share, added) is not None:
            added = objects, octets
            refusal = self._count(partner, quota, share, added)
            if refusal is not None:
                raise refusal
        share.objects += added[0]
        share.octets += added[1]

    def _count(
        self, partner: str, quota: Quota, share: _Share, added: tuple[int, int]
    ) -> TooManyRequests | None:
        """Add objects and octets to a partner's counts; the refusal if a quota is used up."""
        for _ in range(_ATTEMPTS):
            before = self._quotas.find_one({"_id": partner})
            first = {"_id": partner, "changes": 0}
            after = _next_counts(before or first, share.day, quota.kept_days, added)
            refusal = _refusal(quota, after, self._clock(), share.octets)
            if refusal is not None:
                return refusal
            if self._replace(before, after):
                return None
        return TooManyRequests(
            "too many submissions of this partner at the same moment; retry in 1 s", 1
        )

    def _replace(self, before: Document | None, after: Document) -> bool:
        """Store the counts; False if another process was faster."""
        if before is None:
            try:
                self._quotas.insert_one(after)
            except DuplicateKeyError:
                return False
            return True
        key = {"_id": before["_id"], "changes": before["changes"]}
        return self._quotas.replace_one(key, after).matched_count > 0


def _check_size(quota: Quota, objects: int, octets: int) -> None:
    """Raises TooLarge if a submission alone exceeds a quota."""
    for size, limit, unit in (
        (objects, quota.objects_per_day, "objects a day"),
        (octets, quota.octets_kept, "octets that are kept"),
    ):
        if limit and size > limit:
            raise TooLarge(
                f"{size} are more than the quota of {limit} {unit} of this partner: "
                "send it in smaller parts"
            )


def _refusal(quota: Quota, counts: Document, now: int, spare: int) -> TooManyRequests | None:
    """The refusal of counts that exceed a quota, with the time until there is room.

    `spare` octets were taken in advance and are lost at midnight.
    """
    if quota.objects_per_day and counts["objects"] > quota.objects_per_day:
        seconds = _seconds_until(now // _DAY + 1, now)
        return TooManyRequests(
            f"more than {count(quota.objects_per_day, 'object')} in a day from this partner; "
            f"retry in {format_duration(seconds)}, after midnight UTC",
            seconds,
        )
    kept: dict[str, int] = counts["octets"]
    surplus = sum(kept.values()) - quota.octets_kept
    if not quota.octets_kept or surplus <= 0:
        return None
    surplus += spare
    for day in sorted(map(int, kept)):  # the oldest bodies are deleted first
        surplus -= kept[str(day)]
        seconds = _seconds_until(day + quota.kept_days, now)
        if surplus <= 0:
            break
    return TooManyRequests(
        f"more than {quota.octets_kept} octets are kept of this partner, each for "
        f"{count(quota.kept_days, 'day')}; retry in {format_duration(seconds)}, "
        "when enough of them are deleted",
        seconds,
    )


def _seconds_until(day: int, now: int) -> int:
    return max(0, day * _DAY - now) // _SECOND + 1


def _next_counts(document: Document, day: int, kept: int, added: tuple[int, int]) -> Document:
    octets: dict[str, int] = {
        each: count
        for each, count in document.get("octets", {}).items()
        if day - kept < int(each) <= day
    }
    octets[str(day)] = octets.get(str(day), 0) + added[1]
    objects = document.get("objects", 0) if document.get("day") == day else 0
    return {
        "_id": document["_id"],
        "changes": document["changes"] + 1,
        "day": day,
        "objects": objects + added[0],
        "octets": octets,
    }
