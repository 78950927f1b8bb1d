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

from tocsin.admission.errors import TooManyRequests
from tocsin.server.store.connection import Base, Document, time_limit

_DAY = 86_400_000_000
_SHARE = 100
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Quota:
    """The quotas of a partner; 0: no limit."""

    objects_per_day: int = 0
    octets_kept: int = 0
    kept_days: int = 14
    """Days for which bodies of submissions are kept."""


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

        The error says when to come again.
        """
        if not (quota.objects_per_day or quota.octets_kept):
            return
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
        for extra in (spare, (0, 0)):
            added = objects + extra[0], octets + extra[1]
            refusal = self._count(partner, quota, share.day, added)
            if refusal is None:
                share.objects += added[0]
                share.octets += added[1]
                return
        seconds = (_DAY - self._clock() % _DAY) // 1_000_000 + 1
        raise TooManyRequests(f"{refusal}; come again after midnight UTC, in {seconds} s", seconds)

    def _count(self, partner: str, quota: Quota, day: int, added: tuple[int, int]) -> str | None:
        """Add objects and octets to a partner's counts; the reason if a quota is used up."""
        for _ in range(_ATTEMPTS):
            before = self._quotas.find_one({"_id": partner})
            after = _next_counts(
                before or {"_id": partner, "changes": 0}, day, quota.kept_days, added
            )
            if quota.objects_per_day and after["objects"] > quota.objects_per_day:
                return f"more than {quota.objects_per_day} objects in a day from this partner"
            if quota.octets_kept and sum(after["octets"].values()) > quota.octets_kept:
                return f"more than {quota.octets_kept} octets are kept of this partner"
            if self._replace(before, after):
                return None
        return "too many submissions of this partner at the same moment"

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
