"""The order in which submissions are admitted.

A submission that is small and cheap is admitted inside its request, others wait
in a queue.  Partners take turns; of one partner, small submissions go before
large ones, and a turn of a large one is one batch.  What may depend on another
submission of the same partner waits for it: everything in a verbatim collection,
and elsewhere what has an id of an earlier one, whether it creates, changes or
revokes the object.  Pure: the store is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import msgspec

from tocsin.admission.patterns.languages import LANGUAGES
from tocsin.server.model import OpenSubmission, Submission

SMALL_BEFORE_LARGE = 3
"""Small submissions of a partner that are admitted before its large one gets a turn."""

MOST_BEGUN = 4
"""Large submissions that one process admits at the same time: they are held in memory."""

_DIGEST = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of what one submission and one partner may ask for.  0: no limit."""

    inline_objects: int = 200
    """Submissions of up to this many objects are small."""
    inline_octets: int = 262_144
    """Submissions of up to this many octets are small."""
    queued: int = 0
    """Submissions of a partner that may wait."""
    objects_per_day: int = 0
    """Objects that a partner may submit in a day (UTC)."""
    octets_kept: int = 0
    """Octets of a partner's submissions that are kept at the same time."""
    kept_days: int = 14
    """Days for which bodies of submissions are kept."""


class _Head(msgspec.Struct):
    id: Any = None
    created_by_ref: Any = None
    pattern_type: Any = None


_HEAD = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Contents:
    """What the queue must know of the objects of a submission."""

    digests: frozenset[bytes]
    """Digests of the ids of its objects."""
    authors: frozenset[bytes]
    """Digests of the ids that its objects name as their creators."""
    has_foreign_patterns: bool
    """True if a pattern is in another language than STIX: a compiler must read it."""

    @classmethod
    def read(cls, objects: Iterable[bytes]) -> Contents:
        """Read the objects; those that are not JSON objects have no effect and are left out."""
        ids: set[bytes] = set()
        authors: set[bytes] = set()
        foreign = False
        for raw in objects:
            try:
                head = _HEAD.decode(raw)
            except (msgspec.DecodeError, RecursionError):
                continue
            if isinstance(head.id, str):
                ids.add(_digest(head.id))
            if isinstance(head.created_by_ref, str):
                authors.add(_digest(head.created_by_ref))
            foreign |= isinstance(head.pattern_type, str) and head.pattern_type in LANGUAGES
        return cls(frozenset(ids), frozenset(authors), foreign)

    def digest_ids(self) -> bytes:
        """The digests of the ids that later submissions must wait for if they have them too.

        The creators are among them: an identity that comes later must not be taken for that of
        somebody else.  Two ids may have one digest; then a submission waits without need.
        """
        return b"".join(sorted(self.digests | self.authors))


def _digest(id_: str) -> bytes:
    octets = id_.lower().encode("utf-8", "surrogatepass")
    return blake2b(octets, digest_size=_DIGEST).digest()


def place(
    submission: Submission, contents: Contents, limits: Limits, waiting: Sequence[OpenSubmission]
) -> tuple[Submission, bool]:
    """A submission with its place in the queue; True if its request may admit it at once.

    `waiting` are the submissions of the same partner that are not settled, with digests.
    """
    is_large = (
        submission.total > limits.inline_objects or len(submission.raw) > limits.inline_octets
    )
    same = [each for each in waiting if each.lane == submission.lane]
    if submission.lane:
        before = [each for each in same if each.is_queued or each.is_free]
    else:
        before = [each for each in same if _shares_ids(each, contents.digests)]
    inline = not (is_large or contents.has_foreign_patterns or before)
    if is_large or (submission.lane and not inline):
        before = same
    implied = {id_ for each in before for id_ in each.after}
    after = tuple(each.id for each in before if each.id not in implied)
    return replace(submission, is_large=is_large, after=after), inline


def _shares_ids(other: OpenSubmission, digests: frozenset[bytes]) -> bool:
    known = other.digests
    if known is None:
        return True
    return any(known[i : i + _DIGEST] in digests for i in range(0, len(known), _DIGEST))


class Turns:
    """The turns that partners had in this process.  For one thread."""

    def __init__(self) -> None:
        self._turns = 0
        self._last: dict[str, int] = {}
        """The number of the last turn of each partner."""
        self._passed: defaultdict[str, int] = defaultdict(int)
        """Small submissions of a partner that went before its large one."""

    def choose(
        self, waiting: Sequence[OpenSubmission], begun: Collection[str] = ()
    ) -> list[OpenSubmission]:
        """The next submission of each partner that can be admitted now, in order of turns.

        `waiting` are all that are not settled, the oldest first; `begun` are the ids of the large
        ones that this process is admitting.
        """
        unsettled = {each.id for each in waiting}
        full = len(begun) >= MOST_BEGUN
        small: dict[str, OpenSubmission] = {}
        large: dict[str, OpenSubmission] = {}
        for each in waiting:
            if each.id in begun:
                large[each.sender] = each
            elif each.is_free and unsettled.isdisjoint(each.after):
                if not each.is_large:
                    small.setdefault(each.sender, each)
                elif not full:
                    large.setdefault(each.sender, each)
        self._last = {sender: n for sender, n in self._last.items() if sender in small | large}
        chosen = [
            self._choose_size(small.get(sender), large.get(sender)) for sender in small | large
        ]
        return sorted(chosen, key=lambda each: (self._last.get(each.sender, 0), each.received))

    def take(self, chosen: OpenSubmission, *, has_large: bool) -> None:
        """Note that a submission gets a turn; `has_large`: its partner's large one waits."""
        self._turns += 1
        self._last[chosen.sender] = self._turns
        if chosen.is_large or not has_large:
            self._passed.pop(chosen.sender, None)
        else:
            self._passed[chosen.sender] += 1

    def _choose_size(
        self, small: OpenSubmission | None, large: OpenSubmission | None
    ) -> OpenSubmission:
        if small is None or (large and self._passed[large.sender] >= SMALL_BEFORE_LARGE):
            assert large is not None  # noqa: S101  (one of them is there)
            return large
        return small
