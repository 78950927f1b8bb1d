"""Agreements with partners: make, change and end them, and write down when time does it.

Access under an agreement is decided for each request, in `server/agreements.py`.  So it begins
and ends at the very microsecond, and nothing here has to happen for that.  Objects for readers
that no agreement allows any more are withdrawn here.
"""

from __future__ import annotations

import logging
import math
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.markings.audience import Audience
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import DAY, timestamp
from tocsin.server.agreements import find_raised
from tocsin.server.model import Agreement, AgreementState, PublicObject, RevocationReason
from tocsin.server.publishing.public_objects import end_contributions
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.store import Store, Transaction

log = logging.getLogger(__name__)

ENDS_SOON = 14 * DAY
"""Time before the end of an agreement from which on a notice says so; as long after it, one says
that it has ended."""
PAUSE = 5_000_000
"""µs between two looks at the agreements, unless one begins or ends earlier."""
SWEEPER = "sweep"
"""The actor in the journal where an agreement begins or ends by time."""
MOST_PURPOSES = 20
LONGEST_PURPOSE = 200
"""Characters of a purpose."""
STEP = 100
"""Public objects that one transaction computes anew at most."""
LONGEST_NOTE = 2_000
"""Characters of a note."""
_ENDED = "agreement {} has ended, for good: add another one"


@dataclass(frozen=True, slots=True)
class AgreementChange:
    """New terms of an agreement; None leaves a term as it is."""

    collections: frozenset[str] | None = None
    """Ids."""
    max_tlp: Tlp | None = None
    audience: Audience | None = None
    purposes: tuple[str, ...] | None = None
    starts: int | None = None
    until: int | None = None
    is_open: bool = False
    """True: it is without end from now on."""
    note: str | None = None

    def apply(self, agreement: Agreement) -> Agreement:
        """The agreement with these terms."""
        names = ("collections", "max_tlp", "audience", "purposes", "starts", "until", "note")
        given = {name: getattr(self, name) for name in names}
        changed = replace(agreement, **{n: v for n, v in given.items() if v is not None})
        return replace(changed, until=None) if self.is_open else changed


class AgreementLifecycle:
    """Makes, changes and ends agreements.  Every change is in the journal."""

    def __init__(self, store: Store, publisher: Publisher, clock: Callable[[], int]) -> None:
        """`clock` gives the time in µs since 1970 UTC."""
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._next = 0
        self._lock = threading.Lock()

    def now(self) -> int:
        """The time by which agreements begin and end, in µs since 1970 UTC."""
        return self._clock()

    def add(self, terms: Agreement, who: str) -> Agreement:
        """Add an agreement under a new id.

        Raises NotFound if there is no such partner, Malformed if the terms cannot be.
        """
        new = replace(terms, id=str(uuid.uuid4()), recorded=AgreementState.PLANNED)

        def write(txn: Transaction) -> Agreement:
            txn.accounts.require_partner(new.partner)
            added = replace(new, recorded=self._state_of(new))
            txn.agreements.add(added)
            entry = _entry(added) | _terms(added) | {"state": added.recorded.value}
            txn.add_journal_entry("agreement.add", who, entry)
            return added

        return self._commit(write)

    def change(self, id: str, change: AgreementChange, who: str) -> Agreement:
        """Change terms of an agreement, from the next request on.

        The journal says which ones, what they were, and which of them allow more than before; it
        has no entry if nothing changed.
        Raises NotFound if there is none with this id, Malformed if it has ended or if the new
        terms cannot be.
        """

        def write(txn: Transaction) -> Agreement:
            before = txn.agreements.require(id)
            if before.state_at(self._clock()) is AgreementState.ENDED:
                raise Malformed(_ENDED.format(id))
            changed = change.apply(before)
            state = self._state_of(changed)
            if changed == before:
                return before
            _record_begin(txn, before, self._clock())
            changed = replace(
                changed,
                recorded=state,
                withdraws=before.withdraws or not before.audience.is_everybody,
            )
            txn.agreements.update(changed)
            old, new = _terms(before), _terms(changed)
            entry: dict[str, object] = {name: new[name] for name in new if new[name] != old[name]}
            entry |= {"before": {name: old[name] for name in entry}}
            entry |= {"note": "changed"} if changed.note != before.note else {}
            entry |= {"raises": find_raised(before, changed), "state": changed.recorded.value}
            txn.add_journal_entry("agreement.change", who, _entry(changed) | entry)
            return changed

        return self._commit(write)

    def end(self, id: str, who: str, reason: str) -> Agreement:
        """End an agreement now, for good.

        Raises NotFound if there is none with this id, Malformed if it has ended.
        """

        def write(txn: Transaction) -> Agreement:
            before, now = txn.agreements.require(id), self._clock()
            if before.state_at(now) is AgreementState.ENDED:
                raise Malformed(_ENDED.format(id))
            _record_begin(txn, before, now)
            return end_agreement(txn, replace(before, until=now), who, reason)

        return self._commit(write)

    def work(self) -> bool:
        """Write down what began or ended by time, and withdraw what may not stay published.

        False if there was nothing to do.  Each begin and each end is written once, by whichever
        process comes first.
        """
        now = self._clock()
        with self._lock:
            if now < self._next <= now + PAUSE:  # later, if the clock was set back
                return False
        open_ = self._store.agreements.list_open()
        due = [each.id for each in open_ if each.state_at(now) is not each.recorded]
        if due:
            self._store.commit(lambda txn: self._record(txn, due, now))
            open_ = self._store.agreements.list_open()
        withdrawing = [each for each in open_ if each.withdraws]
        for agreement in withdrawing:
            self._withdraw(agreement)
        moments = {moment for each in open_ for moment in (each.starts, each.until)} - {None}
        coming = [moment for moment in moments if moment is not None and moment > now]
        with self._lock:
            self._next = min([now + PAUSE, *coming])
        return bool(due or withdrawing)

    def _record(self, txn: Transaction, ids: list[str], now: int) -> None:
        """Write what the journal does not have yet of some agreements that are open in it."""
        current = {each.id: each for each in txn.agreements.list_open()}
        for agreement in (current[id_] for id_ in ids if id_ in current):
            state = agreement.state_at(now)
            if state is agreement.recorded:
                continue
            _record_begin(txn, agreement, now)
            if state is AgreementState.ENDED:
                end_agreement(txn, agreement, SWEEPER, "its time is over")
            else:
                txn.agreements.update(replace(agreement, recorded=state))
            log.info("agreement=%s partner=%s %s", agreement.id, agreement.partner, state.value)

    def _withdraw(self, agreement: Agreement) -> None:
        """Withdraw what the partner sent for readers that no agreement in force allows.

        If it is interrupted, the next turn begins anew.
        """
        public_ids = sorted(self._store.partner_data.public_ids(agreement.partner))
        for found in self._store.commit_portions(public_ids, STEP, partial(self._end, agreement)):
            while self._store.commit(partial(self._delete_versions, publics=found)):
                pass

        def finish(txn: Transaction) -> None:
            current = txn.agreements.require(agreement.id)
            if replace(current, recorded=agreement.recorded) == agreement:
                txn.agreements.update(replace(current, withdraws=False))

        with suppress(NotFound):  # its partner was removed meanwhile
            self._store.commit(finish)

    def _end(
        self, agreement: Agreement, txn: Transaction, portion: Sequence[str]
    ) -> list[PublicObject]:
        """End contributions among these objects; the objects in whose past the partner may be."""
        slug, now = agreement.partner, self._clock()
        state = AgreementState.IN_FORCE
        allowed = [e.audience for e in txn.agreements.list_of(slug) if e.state_at(now) is state]
        work = UnitOfWork.begin(txn, self._publisher.config, now)
        work.load(portion)
        found, changed = list[PublicObject](), list[str]()
        for public in filter(None, map(work.find_public, portion)):
            audience = public.audience
            if audience.is_everybody or any(each.includes(audience) for each in allowed):
                continue
            found.append(public)
            gone = [each for each in public.contributions if each.partner == slug]
            if gone:
                why = RevocationReason.AGREEMENT_ENDED
                work.put(end_contributions(work.find(public.id), gone, work.merge, why))
                changed.append(public.id)
        work.write()
        if changed:
            entry = _entry(agreement) | {"count": len(changed), "ids": changed}
            txn.add_journal_entry("agreement.withdraw", SWEEPER, entry)
        return found

    def _delete_versions(self, txn: Transaction, publics: Sequence[PublicObject]) -> int:
        """Delete versions of objects before the last one from the feeds; how many."""
        return sum(
            txn.purge_entries(feed.id, public.id, keep_last=True)
            for feed in self._publisher.config.feeds()
            for public in publics
            if public.audience.includes(feed.audience)
        )

    def _state_of(self, new: Agreement) -> AgreementState:
        """The state of new terms; Malformed if they cannot be."""
        now = self._clock()
        _check(new, now)
        return new.state_at(now)

    def _commit(self, write: Callable[[Transaction], Agreement]) -> Agreement:
        written = self._store.commit(write)
        with self._lock:
            self._next = 0
        return written


def end_agreement(txn: Transaction, agreement: Agreement, who: str, reason: str) -> Agreement:
    """Write the end of an agreement, at its `until`, into the database and the journal."""
    is_bounded = not agreement.audience.is_everybody
    ended = replace(
        agreement, recorded=AgreementState.ENDED, withdraws=agreement.withdraws or is_bounded
    )
    txn.agreements.update(ended)
    entry = _entry(ended) | {"until": _time(ended.until), "reason": reason}
    txn.add_journal_entry("agreement.end", who, entry)
    return ended


def _record_begin(txn: Transaction, agreement: Agreement, now: int) -> None:
    """Write the begin into the journal, if it has come and is not there."""
    if agreement.recorded is AgreementState.PLANNED and agreement.starts <= now:
        begin = {"from": timestamp(agreement.starts)}
        txn.add_journal_entry("agreement.begin", SWEEPER, _entry(agreement) | begin)


def find_current(agreements: Iterable[Agreement], now: int) -> Agreement | None:
    """The agreement that says until when a partner has rights; None if it has no agreement.

    Of those in force the one that ends last, else the next to begin, else the last that ended.
    """
    ranks = {AgreementState.IN_FORCE: 2, AgreementState.PLANNED: 1, AgreementState.ENDED: 0}

    def order(agreement: Agreement) -> tuple[int, float]:
        state = agreement.state_at(now)
        end = math.inf if agreement.until is None else agreement.until
        return ranks[state], -agreement.starts if state is AgreementState.PLANNED else end

    return max(agreements, key=order, default=None)


def _check(new: Agreement, now: int) -> None:
    if not new.collections:
        raise Malformed("an agreement names at least one collection")
    if new.until is not None and new.until <= max(new.starts, now):
        raise Malformed(
            "an agreement ends after it begins, and in the future; `agreement end` ends one now"
        )
    if (
        len(new.purposes) > MOST_PURPOSES
        or max(map(len, new.purposes), default=0) > LONGEST_PURPOSE
    ):
        raise Malformed(
            f"an agreement has at most {MOST_PURPOSES} purposes of {LONGEST_PURPOSE} characters"
        )
    if len(new.note) > LONGEST_NOTE:
        raise Malformed(f"a note has at most {LONGEST_NOTE} characters")


def _entry(agreement: Agreement) -> dict[str, object]:
    return {"agreement": agreement.id, "partner": agreement.partner}


def _terms(agreement: Agreement) -> dict[str, object]:
    """The terms for the journal, without the note: the journal forgets nothing."""
    return {
        "collections": sorted(agreement.collections),
        "max_tlp": agreement.max_tlp.label,
        "countries": _words(agreement.audience.countries),
        "sectors": _words(agreement.audience.sectors),
        "purposes": list(agreement.purposes),
        "from": timestamp(agreement.starts),
        "until": _time(agreement.until),
    }


def _words(names: frozenset[str] | None) -> list[str]:
    """Countries or sectors for the journal; empty: all."""
    return sorted(names or ())


def _time(moment: int | None) -> str:
    """A time for the journal; empty: none."""
    return "" if moment is None else timestamp(moment)
