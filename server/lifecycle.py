"""The life of public objects after publication, without anybody sending anything.

The sweep revokes what has expired, tells when age has lowered confidence, and
publishes what waited for the quiet period.  An analyst revokes, and keeps the
hub's own list of values that nobody may send again.

Each batch of a sweep is a transaction that looks for itself whether an object
is due, so that several workers may sweep at once and a crash costs nothing:
what was not done is still due.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.merge.identity import indicator_key
from tocsin.admission.model import Tlp
from tocsin.admission.observables.canonical_values import canonical_value
from tocsin.admission.observables.ioc_types import Kind, recognise
from tocsin.admission.observables.refang import refang
from tocsin.admission.patterns.grammar import quoted
from tocsin.server.model import Exclusion, RevocationReason
from tocsin.server.publishing.public_objects import HOUR, Ledger
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.store import Store, Transaction

log = logging.getLogger(__name__)

BATCH = 200
"""Public objects that one transaction of a sweep looks at."""

READ = 5_000
"""Ids of what is due that are read together; whether each is due still is looked at again."""

OVERLAP = 48
"""Hours before the last sweep that are looked at again: clocks of workers may differ."""

REST = 60_000_000
"""µs between two sweeps that find nothing."""

_SWEEPER = "sweep"
_SCOPES = 20
"""Scopes whose public ids are looked up together."""
_FIELDS: dict[Kind, tuple[str, str]] = {
    Kind.DOMAIN: ("domain-name", "value"),
    Kind.IPV4: ("ipv4-addr", "value"),
    Kind.IPV6: ("ipv6-addr", "value"),
    Kind.URL: ("url", "value"),
    Kind.EMAIL: ("email-addr", "value"),
    Kind.MD5: ("file", "hashes.'MD5'"),
    Kind.SHA1: ("file", "hashes.'SHA-1'"),
    Kind.SHA256: ("file", "hashes.'SHA-256'"),
    Kind.SHA512: ("file", "hashes.'SHA-512'"),
}


class Aftercare:
    """Looks after what is published."""

    def __init__(self, store: Store, publisher: Publisher, clock: Callable[[], int]) -> None:
        """`clock` tells the time in µs since 1970 UTC."""
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._next = 0
        self._waiting: list[str] = []
        self._lock = threading.Lock()

    def work(self) -> bool:
        """One batch of the sweep if it is time for one; False if there was nothing to do."""
        now = self._clock()
        with self._lock:
            if now < self._next:
                return False
        if self.sweep_once(now):
            return True
        with self._lock:
            self._next = now + REST
        return False

    def sweep(self) -> None:
        """Everything that is due now."""
        while self.sweep_once(self._clock()):
            pass

    def sweep_once(self, now: int) -> bool:
        """At most one batch of what is due; False if nothing is."""
        hour = now // HOUR
        dues = self._store.schedule
        swept = dues.swept_hour()
        since = dues.earliest_hour() if swept is None else swept
        first = hour if since is None else min(since, hour)
        with self._lock:
            if not self._waiting:
                self._waiting = dues.find_due(range(first - OVERLAP, hour + 1), READ)
            names, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        if names:
            self._store.commit(lambda txn: self._look(txn, names, now))
        elif swept is None or swept < hour:
            dues.mark_swept(hour)
        return bool(names)

    def revoke(self, name: str, who: str, reason: str) -> None:
        """An analyst revokes a public object; NotFound, or Malformed if there is nothing to."""

        def work(txn: Transaction) -> None:
            ledger = self._ledger(txn)
            ledger.load([name])
            public = ledger.publics.get(name)
            if public is None:
                raise NotFound(f"there is no public object {name!r}")
            if not ledger.end(name, RevocationReason.DECIDED):
                raise Malformed(f"{name} has been revoked already")
            _close(ledger)
            txn.add_journal_entry("public.revoke", who, {"public": name, "reason": reason})

        self._store.commit(work)

    def forbid(self, text: str, who: str, reason: str) -> tuple[Exclusion, int]:
        """Never again: the value is refused from now on, and what is published on it revoked.

        Answers with the value in its one spelling and how many objects were revoked.  On a value
        that is on the list already the look for published objects is repeated.
        """
        new = unwanted(text, reason, self._clock())

        def work(txn: Transaction) -> int:
            added = txn.add_exclusion(new)
            ledger = self._ledger(txn)
            revoked = sum(
                ledger.end(name, RevocationReason.DECIDED) for name in self._published(ledger, new)
            )
            _close(ledger)
            if added or revoked:
                what = {"kind": new.type, "value": new.value, "reason": reason, "revoked": revoked}
                txn.add_journal_entry("benign.add", who, what)
            return revoked

        return new, self._store.commit(work)

    def allow(self, text: str, who: str) -> Exclusion:
        """The value may be sent again; NotFound if it was not forbidden."""
        old = unwanted(text, "", 0)

        def work(txn: Transaction) -> None:
            if not txn.remove_exclusion(old.type, old.value):
                raise NotFound(f"{old.value} is not on the hub's own list")
            txn.add_journal_entry("benign.remove", who, {"kind": old.type, "value": old.value})

        self._store.commit(work)
        return old

    def _look(self, txn: Transaction, names: Sequence[str], now: int) -> None:
        ledger = Ledger(txn, self._publisher.house, now)
        ledger.load(names)
        txn.unschedule(
            n for n in names if n not in ledger.publics or not ledger.publics[n].due_hour
        )
        changed = [name for name in names if ledger.look_again(name)]
        expired = sum(ledger.publics[name].revoked for name in changed)
        _close(ledger)
        if expired:
            txn.add_journal_entry("expire", _SWEEPER, {"count": expired})
        log.info("swept due=%d published=%d expired=%d", len(names), len(changed), expired)

    def _published(self, ledger: Ledger, about: Exclusion) -> Iterable[str]:
        """Ids of public indicators on exactly that value, in every scope."""
        scopes = [tlp.label for tlp in Tlp] + sorted(ledger.txn.scopes())
        patterns = [f"[{kind}:{about.property} = {quoted(about.value)}]" for kind in _alike(about)]
        for start in range(0, len(scopes), _SCOPES):
            keys = [
                indicator_key("stix", pattern, scope)
                for scope in scopes[start : start + _SCOPES]
                for pattern in patterns
            ]
            names = [n for key in keys for n in self._publisher.mint.generations("indicator", key)]
            ledger.load(names)
            yield from (name for name in names if name in ledger.publics)

    def _ledger(self, txn: Transaction) -> Ledger:
        return Ledger(txn, self._publisher.house, self._clock())


def unwanted(text: str, reason: str, now: int) -> Exclusion:
    """A value as admission spells it.

    Raises Malformed if it is no host name, address, URL, e-mail address or hash.
    """
    plain = refang(text.strip())
    found = recognise(plain)
    if found is None:
        raise Malformed(f"{ascii(text[:80])} is no domain, IP address, URL, e-mail address or hash")
    kind, path = _FIELDS[found.kind]
    value = canonical_value(kind, path, plain) if found.kind is Kind.EMAIL else found.value
    return Exclusion(kind, path, value, reason, now)


def _alike(about: Exclusion) -> tuple[str, ...]:
    return ("artifact", "file") if about.type == "file" else (about.type,)


def _close(ledger: Ledger) -> None:
    ledger.listen()
    ledger.write()
