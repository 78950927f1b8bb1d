"""The life of published objects after publication: expiry, decay, revocation, exclusions.

The sweep revokes what has expired, publishes confidence that age has lowered, and
what waited for the quiet period.  An operator revokes objects and keeps the
exclusion list: values that nobody may send again.

Each batch of a sweep is a transaction that looks for itself if an object is due,
so several workers may sweep at once and a crash costs nothing: what was not done
is still due.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.merge.identity import indicator_key
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.patterns.grammar import quote_string
from tocsin.admission.timestamps import HOUR
from tocsin.server.model import OPERATOR_SLUG, Exclusion, PublicObject, ReviewKind, RevocationReason
from tocsin.server.publishing.public_ids import GENERATIONS
from tocsin.server.publishing.public_objects import (
    Merge,
    apply_time,
    choose_leader,
    find_leader,
    is_news,
    revoke,
)
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.publishing.references import revocation_name
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.store import Snapshot, Store, Transaction
from tocsin.server.store.exclusions import parse_exclusion, start_pages
from tocsin.server.store.public_objects import DueObjects

log = logging.getLogger(__name__)

BATCH = 200
"""Public objects in one transaction of a sweep at most."""

READ = 5_000
"""Ids that one read of the schedule gives; the transaction looks if each is still due."""

OVERLAP = 48
"""Hours before the last sweep that are looked at again: clocks of workers may differ."""

PAUSE = 60_000_000
"""µs between two sweeps that find nothing."""

_SWEEPER = "sweep"
_RESTORED = "restore"
"""Stands for a submission in the entry that names the id of an object that was lost."""
_REVOKED = "the hub has revoked the object"
"""The reason with which its reviews are closed."""
_SCOPES = 20
"""Scopes whose public ids are looked up together."""


_Sources = dict[str, set[str]]
"""Own ids by partner."""


def describe_end(public_id: str, level: Tlp | None, reason: str) -> dict[str, object]:
    """The details of an object's revocation or purge in the journal."""
    known = {} if level is None else {"tlp": level.label}
    return {"public": public_id, "reason": reason, **known}


class Lifecycle:
    """Expiry, ageing, revocation and exclusion of what is published."""

    def __init__(self, store: Store, publisher: Publisher, clock: Callable[[], int]) -> None:
        """`clock` gives the time in µs since 1970 UTC."""
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._next = 0
        self._waiting: list[DueObjects] = []
        self._lock = threading.Lock()

    def now(self) -> int:
        """The time of the sweep's clock, in µs since 1970 UTC."""
        return self._clock()

    def work(self) -> bool:
        """One batch of the sweep if it is time for one; False if there was nothing to do."""
        now = self._clock()
        with self._lock:
            if now < self._next <= now + PAUSE:  # later, if the clock was set back
                return False
        if self.sweep_once(now):
            return True
        with self._lock:
            self._next = now + PAUSE
        return False

    def sweep_once(self, now: int) -> bool:
        """At most one batch of what is due; False if nothing is."""
        hour = now // HOUR
        schedule = self._store.schedule
        swept = schedule.swept_hour()
        since = schedule.earliest_hour() if swept is None else swept
        first = hour if since is None else min(since, hour)
        with self._lock:
            if not self._waiting:
                self._waiting = schedule.find_due(range(first - OVERLAP, hour + 1), READ)
            due = _take_batch(self._waiting)
        if due:
            names = list(dict.fromkeys(id for each in due for id in each.ids))
            for _ in self._store.commit_portions(names, BATCH, partial(self._sweep, now)):
                pass
            schedule.remove(due)
        elif swept is None or not hour <= swept <= hour + 1:  # later, if the clock was set back
            schedule.mark_swept(hour)
        return bool(due)

    def revoke(self, public_id: str, who: str, reason: str) -> None:
        """Revoke a public object; it stays revoked.  Questions about its texts are closed.

        Raises NotFound if there is none with this id, Malformed if it is revoked already.
        """

        def revoke_one(txn: Transaction) -> None:
            work = self._begin(txn, self._clock())
            work.load([public_id])
            copy = work.find(public_id)
            if copy.public is None:
                raise NotFound(f"there is no public object {public_id!r}")
            sources = _find_sources(work, [public_id])
            if not _revoke(work, public_id):
                raise Malformed(f"{public_id} has been revoked already")
            work.write()
            what = describe_end(public_id, copy.public.tlp, reason)
            txn.add_journal_entry("object.revoke", who, what)
            self._close_reviews(txn, sources, who)

        self._store.commit(revoke_one)

    def revoke_value(self, text: str, who: str, reason: str) -> list[str]:
        """Revoke the public indicators on exactly this value, in every scope; their ids.

        Raises NotFound if none is published, Malformed if the value is of no known kind.
        """
        about = parse_exclusion(text, reason, 0)

        def revoke_all(txn: Transaction) -> list[str]:
            work = self._begin(txn, self._clock())
            published = list(self._published(txn, about))
            work.load(published)
            sources = _find_sources(work, published)
            revoked = [public_id for public_id in published if _revoke(work, public_id)]
            if not revoked:
                raise NotFound(f"no indicator in force is published on {about.value}")
            work.write()
            for public_id in revoked:
                public = work.find_public(public_id)
                what = describe_end(public_id, public.tlp if public else None, reason)
                txn.add_journal_entry("object.revoke", who, what)
            self._close_reviews(txn, sources, who)
            return revoked

        return self._store.commit(revoke_all)

    def note_lost_end(
        self, public_id: str, who: str, reason: str, level: Tlp | None = None
    ) -> bool:
        """Note that an object was revoked or purged on the hub whose backup this one is.

        From its end on, reports of it wait for a reviewer unless the partner's id is known to have
        ended.  An object that was published after the backup is unknown here: it is entered as
        revoked, at `level` if the journal has it, so that its id is not used again.  False then.
        """

        def note(txn: Transaction) -> bool:
            if known := txn.public_objects([public_id]).get(public_id):
                txn.put_public_objects([replace(known, from_journal=True)])
                return True
            tlp = Tlp.RED if level is None else level  # if it is not known, nobody may learn of it
            lost = PublicObject(
                *(public_id, txn.now, txn.now, b"", tlp, "", ()),
                revoked=True,
                revocation_reason=RevocationReason.DECIDED.value,
                from_journal=True,
            )
            txn.put_public_objects([lost])
            # The operator cannot use the id either; and a backup reads what such an entry names.
            txn.add_public_ids(OPERATOR_SLUG, _RESTORED, {revocation_name(public_id): public_id})
            txn.add_journal_entry("object.revoke", who, describe_end(public_id, level, reason))
            return False

        return self._store.commit(note)

    def _close_reviews(self, txn: Transaction, sources: _Sources, who: str) -> None:
        """Close the questions about texts of revoked objects: no answer could take effect.

        A version that is held goes on waiting: released, it would be published as a new object.
        """
        for partner, ids in sources.items():
            waiting = txn.reviews.list_waiting_under(partner, ids)
            for review in (each for each in waiting if each.kind is ReviewKind.REDACTED):
                txn.reviews.decide(review.id, "rejected", who)
                what = {"review": review.id, "submission": review.submission, "partner": partner}
                txn.add_journal_entry("review.reject", who, what | {"reason": _REVOKED})

    def lead(self, public_id: str, partner: str, who: str) -> None:
        """Let a partner's contribution lead an object; empty: the one that leads by itself.

        Raises NotFound if no object in force has this id, Malformed if the partner contributes
        nothing to it.
        """

        def choose(txn: Transaction) -> None:
            work = self._begin(txn, self._clock())
            work.load([public_id])
            copy = work.find(public_id)
            if not copy.contributions:
                raise NotFound(f"no public object {public_id!r} is in force")
            if partner and all(each.partner != partner for each in copy.contributions):
                raise Malformed(f"{partner} does not contribute to {public_id}")
            work.put(choose_leader(copy, partner, work.merge))
            work.write()
            txn.add_journal_entry("object.lead", who, {"public": public_id, "partner": partner})

        self._store.commit(choose)

    def find_published(self, about: Exclusion) -> list[str]:
        """Ids of the public indicators on exactly that value, in every scope, revoked or not."""

        def find(known: Snapshot) -> list[str]:
            return list(dict.fromkeys(self._published(known, about, every=True)))

        return self._store.read(find)

    def find_same(
        self, subject: StixObject, partner: str, source_id: str
    ) -> list[tuple[PublicObject, str]]:
        """Objects in force about the same as an object of a partner's, the least strict first.

        Each with the partner that leads it.  For an indicator, those on the same pattern at every
        level; for all others, what is published under the partner's id.
        """

        def find(known: Snapshot) -> list[PublicObject]:
            own = set(known.find_public_ids(partner, [source_id]).values()) if source_id else set()
            ids, keys = self._publisher.ids, list[str]()
            if subject.get("type") == "indicator":
                kind, pattern = (str(subject.get(each, "")) for each in ("pattern_type", "pattern"))
                keys = [indicator_key(kind, pattern, level.label) for level in Tlp]
            own |= {name for key in keys for name in ids.first_ids("indicator", key)}
            return list(known.public_objects(own - {""}).values())

        merge = Merge(self._publisher.config, self._clock())
        found = [each for each in self._store.read(find) if each.contributions]
        found.sort(key=lambda each: (each.tlp, each.id))
        return [(each, find_leader(each, merge)) for each in found if not each.revoked]

    def exclude(self, text: str, who: str, reason: str) -> tuple[Exclusion, int]:
        """Refuse a value from now on, and revoke what is published on it or its start page.

        Answers with the value in its one spelling and how many objects were revoked.  For a
        value that is on the list already, published objects are looked for once more.
        """
        new = parse_exclusion(text, reason, self._clock())

        def add(txn: Transaction) -> int:
            added = txn.exclusions.add(new)
            work = self._begin(txn, self._clock())
            refused = [new, *start_pages(new)]
            published = [public_id for each in refused for public_id in self._published(txn, each)]
            work.load(published)
            sources = _find_sources(work, published)
            revoked = sum(_revoke(work, public_id) for public_id in published)
            work.write()
            if added or revoked:
                what = {"kind": new.type, "value": new.value, "reason": reason, "revoked": revoked}
                txn.add_journal_entry("exclusion.add", who, what)
            self._close_reviews(txn, sources, who)
            return revoked

        return new, self._store.commit(add)

    def readmit(self, texts: Iterable[str], who: str) -> list[Exclusion]:
        """Take values off the exclusion list.

        Raises Malformed or NotFound, and removes none, if one of them is not there.
        """
        every = {(old.type, old.value): old for old in (parse_exclusion(t, "", 0) for t in texts)}

        def remove(txn: Transaction) -> None:
            for kind, value in every:
                if not txn.exclusions.remove(kind, value):
                    raise NotFound(f"{value} is not on the exclusion list")
                txn.add_journal_entry("exclusion.remove", who, {"kind": kind, "value": value})

        self._store.commit(remove)
        return list(every.values())

    def _sweep(self, now: int, txn: Transaction, ids: Sequence[str]) -> None:
        work = self._begin(txn, now)
        work.load(ids)
        changed: list[str] = []
        for public_id in ids:
            before = work.find(public_id)
            after = apply_time(before, work.merge)
            work.put(after)
            if is_news(before, after):
                changed.append(public_id)
        swept = [work.find_public(public_id) for public_id in changed]
        expired = sum(public is not None and public.revoked for public in swept)
        work.write()
        publics = (work.find_public(public_id) for public_id in ids)
        txn.schedule({each.id: each.due_hour for each in publics if each and _is_due(each, now)})
        if expired:
            txn.add_journal_entry("expire", _SWEEPER, {"count": expired})
        log.info("swept due=%d published=%d expired=%d", len(ids), len(changed), expired)

    def _published(
        self, known: Snapshot, about: Exclusion, *, every: bool = False
    ) -> Iterable[str]:
        """Ids of public indicators on exactly that value, in every scope."""
        scopes = [tlp.label for tlp in Tlp] + sorted(known.exclusions.scopes())
        kinds = ("artifact", "file") if about.type == "file" else (about.type,)
        patterns = [f"[{kind}:{about.property} = {quote_string(about.value)}]" for kind in kinds]
        for start in range(0, len(scopes), _SCOPES):
            keys = [
                indicator_key("stix", pattern, scope)
                for scope in scopes[start : start + _SCOPES]
                for pattern in patterns
            ]
            yield from self._published_under(known, keys, every=every)

    def _published_under(
        self, known: Snapshot, keys: Sequence[str], *, every: bool
    ) -> Iterable[str]:
        """Ids of the public indicators with these keys.

        Of older ones, which are revoked, a few, unless `every` one is wanted.
        """
        ids, wanted = self._publisher.ids, list[str]()
        first_ids = {key: ids.first_ids("indicator", key) for key in keys}
        found = known.public_objects({name for names in first_ids.values() for name in names})
        for key, names in first_ids.items():
            newest = found[names[0]].generation if names[0] in found else 0
            wanted += names
            numbers = range(GENERATIONS + 1 if every else max(newest, GENERATIONS + 1), newest + 1)
            wanted += [ids.generation_id("indicator", key, number) for number in numbers]
        found |= known.public_objects(set(wanted) - found.keys())
        return [public_id for public_id in wanted if public_id in found]

    def _begin(self, txn: Transaction, now: int) -> UnitOfWork:
        return UnitOfWork.begin(txn, self._publisher.config, now)


def _take_batch(waiting: list[DueObjects]) -> list[DueObjects]:
    """Take documents off the list that have BATCH ids together, or all that are left."""
    taken: list[DueObjects] = []
    while waiting and sum(len(each.ids) for each in taken) < BATCH:
        taken.append(waiting.pop(0))
    return taken


def _is_due(public: PublicObject, now: int) -> bool:
    return 0 < public.due_hour <= now // HOUR


def _find_sources(work: UnitOfWork, public_ids: Iterable[str]) -> _Sources:
    """The own ids under which each partner contributes to some objects."""
    sources: _Sources = {}
    for contribution in (c for id_ in public_ids for c in work.find(id_).contributions):
        sources.setdefault(contribution.partner, set()).add(contribution.source_id)
    return sources


def _revoke(work: UnitOfWork, public_id: str) -> bool:
    """Revoke an object by decision; False if there is nothing to revoke."""
    before = work.find(public_id)
    after = revoke(before, RevocationReason.DECIDED, work.merge)
    work.put(after)
    return after is not before
