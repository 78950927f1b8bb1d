"""The order in which submissions are admitted.

A submission that is small and cheap is admitted inside its request, others wait
in a queue.  Partners take turns; of one partner, small submissions go before
large ones, and a turn of a large one is one batch.  A submission that may depend on
another one of the same partner waits for it: each one in a verbatim collection,
and elsewhere one with an id of an earlier one, whether it creates, changes or
revokes the object.  Pure: the store is not known here.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from tocsin.admission.patterns.languages import LANGUAGES
from tocsin.server.model import OpenSubmission, Quota

SMALL_BEFORE_LARGE = 3
"""Small submissions of a partner that are admitted before its large one gets a turn."""

QUICK_TURN = 0.25
"""Seconds of a turn that counts as one."""

MOST_BEGUN = 4
"""Large submissions that one process admits at the same time: they are held in memory."""

INLINE_BURST = 5.0
"""Seconds of processor time that a partner may use at once inside its requests."""
INLINE_SHARE = 0.8
"""Seconds of processor time that it gets back in each second."""
HARD_OCTETS = 32_768
"""A submission of more octets may take a noticeable time."""
MOST_HARD = 2
"""Such submissions of one partner that are admitted inside requests at the same time."""

SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds after which a submission that failed is tried again; each pause doubles the last."""

LEASE = 90
"""Seconds after which another worker may take over a submission that was not finished: longer
than a commit may take (`COMMIT_SECONDS`), so that no two work on one because of it."""
REMOTE_LEASE = 110
"""Seconds of a lease where other processes examine: longer than one may take to start and answer
(`ExaminerLimits`)."""

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
    quota: Quota = Quota()
    """The quotas of each partner."""


class _Head(msgspec.Struct):
    id: Any = None
    created_by_ref: Any = None
    pattern_type: Any = None


_HEAD = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class QueuedContents:
    """Facts about the objects of a submission that the queue relies on."""

    digests: frozenset[bytes]
    """Digests of the ids of its objects."""
    authors: frozenset[bytes]
    """Digests of the ids that its objects name as their creators."""
    has_foreign_patterns: bool
    """True if a pattern is in another language than STIX: a compiler must read it."""

    @classmethod
    def read(cls, objects: Iterable[bytes]) -> QueuedContents:
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

    def share_ids(self, other: OpenSubmission) -> bool:
        """True if the other submission may have one of the ids: then it comes first."""
        known = other.digests
        if known is None:
            return True
        parts = (known[i : i + _DIGEST] for i in range(0, len(known), _DIGEST))
        return any(part in self.digests for part in parts)


def _digest(id_: str) -> bytes:
    octets = id_.lower().encode("utf-8", "surrogatepass")
    return blake2b(octets, digest_size=_DIGEST).digest()


class InlineBudget:
    """The processor time that partners may use inside their requests.  Safe for threads.

    A partner that has used it up waits in the queue, where partners take turns and other processes
    examine, so that hard submissions do not delay the answers to others.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}
        """By partner: the seconds left, and when that was."""
        self._hard: Counter[str] = Counter()
        """By partner: hard submissions that are being admitted."""

    @contextmanager
    def enter(self, sender: str, octets: int) -> Iterator[bool]:
        """Admit a submission of this size inside its request, if True is given.

        Everything that happens within is charged to the sender.
        """
        is_hard = octets > HARD_OCTETS
        with self._lock:
            busy = is_hard and self._hard[sender] >= MOST_HARD
            may_enter = self._find_left(sender) > 0 and not busy
            self._hard[sender] += is_hard and may_enter
        began = time.thread_time()
        try:
            yield may_enter
        finally:
            spent = time.thread_time() - began
            with self._lock:
                self._left[sender] = self._find_left(sender) - spent, self._clock()
                self._hard[sender] -= is_hard and may_enter

    def _find_left(self, sender: str) -> float:
        left, at = self._left.get(sender, (INLINE_BURST, 0.0))
        return min(INLINE_BURST, left + (self._clock() - at) * INLINE_SHARE)


class Pauses:
    """Submissions that failed, and when they may be tried again.  For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._pauses: dict[str, tuple[float, float]] = {}
        """By id: the end of the pause, and its length in seconds."""

    def __contains__(self, id_: object) -> bool:
        return id_ in self._pauses

    def lengthen(self, id_: str) -> float:
        """Begin a pause, twice as long as the one before; its length in seconds."""
        _, last = self._pauses.get(id_, (0.0, 0.0))
        length = min(2 * last, LONGEST_PAUSE) or SHORTEST_PAUSE
        self._pauses[id_] = self._clock() + length, length
        return length

    def forget(self, id_: str) -> None:
        """Note that a submission did not fail this time."""
        self._pauses.pop(id_, None)

    def resting(self) -> set[str]:
        """The ids of those that may not be tried yet; pauses of long ago are forgotten."""
        now = self._clock()
        self._pauses = {
            id_: (end, length)
            for id_, (end, length) in self._pauses.items()
            if now < end + 2 * LONGEST_PAUSE
        }
        return {id_ for id_, (end, _) in self._pauses.items() if now < end}


class FairOrder:
    """The turns that partners had in this process.  For one thread."""

    def __init__(self) -> None:
        self._now = 0
        """The beginning of the latest turn, in quick turns."""
        self._last: dict[str, int] = {}
        """The end of the last turn of each partner; a hard one is as long as many quick ones."""
        self._passed: defaultdict[str, int] = defaultdict(int)
        """Small submissions of a partner that went before its large one."""

    def choose(
        self,
        waiting: Sequence[OpenSubmission],
        begun: Collection[str] = (),
        resting: Collection[str] = (),
    ) -> list[OpenSubmission]:
        """The next submission of each partner that can be admitted now, in order of turns.

        `waiting` are all that are not settled, the oldest first; `begun` are the ids of the large
        ones that this process is admitting; those in `resting` are left out.
        """
        unsettled = {each.id for each in waiting}
        full = len(begun) >= MOST_BEGUN
        small: dict[str, OpenSubmission] = {}
        large: dict[str, OpenSubmission] = {}
        for each in waiting:
            if each.id in resting:
                continue
            if each.id in begun:
                large[each.sender] = each
            elif each.is_free and unsettled.isdisjoint(each.after):
                if not each.is_large:
                    small.setdefault(each.sender, each)
                elif not full:
                    large.setdefault(each.sender, each)
        waits = small | large
        self._last = {s: end for s, end in self._last.items() if end > self._now or s in waits}
        chosen = [
            self._choose_size(small.get(sender), large.get(sender)) for sender in small | large
        ]
        return sorted(chosen, key=lambda each: (self._last.get(each.sender, 0), each.received))

    def take(self, chosen: OpenSubmission, *, has_large: bool, seconds: float = 0.0) -> None:
        """Note that a submission had a turn of `seconds`.

        `has_large`: its partner's large one waits.
        """
        self._now = max(self._now + 1, self._last.get(chosen.sender, 0))
        self._last[chosen.sender] = self._now + int(seconds / QUICK_TURN)
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
