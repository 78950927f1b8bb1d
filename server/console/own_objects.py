"""Objects of a partner's submissions: those that it still reports, and those that have ended.

It says the same whatever others report of an object: a partner that withdrew its report reads that
alone, and an end that depends on others is said only to those who may read the object.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tocsin.server.model import PublicObject, Record, RevocationReason
from tocsin.server.publishing.references import revocation_name
from tocsin.server.publishing.revocations import may_return
from tocsin.server.store import Snapshot, Store

WITHDRAWN = "withdrawn"
_BY_HUB = frozenset({RevocationReason.DECIDED.value, RevocationReason.PURGED.value})
_WORDS = {
    RevocationReason.DECIDED.value: "revoked by the hub",
    RevocationReason.PURGED.value: "revoked by the hub",
    RevocationReason.EXPIRED.value: "expired",
    RevocationReason.WITHDRAWN.value: WITHDRAWN,
    RevocationReason.AGREEMENT_ENDED.value: "ended with an agreement",
}


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of the objects of some records, by the index of the record."""

    words: Mapping[int, str]
    """The end of each object in words; objects in force are left out."""
    can_withdraw: Collection[int]
    """Records whose object may be withdrawn by its partner."""


def find_own_ends(
    store: Store, partner: str, records: Sequence[Record], readable: Collection[str]
) -> Ends:
    """The ends of a partner's own published objects, as far as its people may know.

    `records`: of what was published.  `readable`: public ids that the person may read.
    """
    if not records:
        return Ends({}, ())
    known = store.read(lambda snapshot: _read(snapshot, partner, records))
    ends = {each.index: known.find_end(each, readable) for each in records}
    return Ends(
        {index: word for index, (word, _) in ends.items() if word},
        frozenset(index for index, (_, may_withdraw) in ends.items() if may_withdraw),
    )


def find_ended_ids(store: Store, partner: str, ids: Collection[str]) -> frozenset[str]:
    """The ids among these that the partner cannot use again.

    It withdrew what they named, or the hub purged it.  Which of both is not said: after the
    partner's own withdrawal that would tell if others reported the same.
    """
    names = {id: revocation_name(id) for id in ids}
    if not names:
        return frozenset()
    found = store.read(lambda snapshot: snapshot.find_public_ids(partner, names.values()))
    return frozenset(id for id, name in names.items() if name in found)


def find_ends(store: Store, records: Sequence[Record]) -> Ends:
    """The ends of objects, for the hub's own people."""
    ids = {each.public_id for each in records if each.public_id}
    found = store.read(lambda snapshot: snapshot.public_objects(ids)) if ids else {}
    words = {
        each.index: _WORDS.get(found[each.public_id].revocation_reason, "revoked")
        for each in records
        if each.public_id in found and found[each.public_id].revoked
    }
    return Ends(words, ())


@dataclass(frozen=True, slots=True)
class _Known:
    partner: str
    publics: Mapping[str, PublicObject]
    newest: Mapping[str, str]
    """Public ids by the partner's own ids, and by the names of those that it revoked."""

    def find_end(self, record: Record, readable: Collection[str]) -> tuple[str, bool]:
        """The end of an object; empty if it has none, or if that would reveal others' reports.

        With it, whether the partner may withdraw it.
        """
        newest = self.publics.get(self.newest.get(record.source_id, ""))
        # Without an id, its submitter may not read the object.
        public = self.publics.get(record.public_id) if record.public_id else newest
        if self._reports(public, record) or self._reports(newest, record):
            return "", True
        if public is None:
            return "", False
        if self._took_back(public, record):
            return WITHDRAWN, False
        if public.revocation_reason in _BY_HUB:
            return _WORDS[public.revocation_reason], False
        if public.id in readable:
            return _WORDS.get(public.revocation_reason, ""), False
        # If others report it for longer, it is in force: the page is the same in both cases.
        return "", not public.revoked or may_return(public)

    def _took_back(self, public: PublicObject, record: Record) -> bool:
        is_counted = any(each.partner == self.partner for each in public.withdrawals)
        return is_counted or revocation_name(record.source_id) in self.newest

    def _reports(self, public: PublicObject | None, record: Record) -> bool:
        every = public.contributions if public is not None else ()
        return any((c.partner, c.source_id) == (self.partner, record.source_id) for c in every)


def _read(snapshot: Snapshot, partner: str, records: Sequence[Record]) -> _Known:
    sources = {each.source_id for each in records}
    names = sources | {revocation_name(each) for each in sources}
    newest = snapshot.find_public_ids(partner, names)
    ids = {each.public_id for each in records if each.public_id} | set(newest.values())
    return _Known(partner, snapshot.public_objects(ids), newest)
