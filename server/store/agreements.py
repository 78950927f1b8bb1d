"""Agreements with partners.

They are few, and part of the configuration that every process has in memory, so that a request
reads none of them.  Each change raises the revision of the configuration, and the one by which
submissions under evaluation notice that something else holds now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tocsin.admission.errors import NotFound
from tocsin.admission.markings.audience import parse_audience
from tocsin.admission.model import Tlp
from tocsin.server.model import Agreement, AgreementState
from tocsin.server.store.accounts import raise_partners_revision
from tocsin.server.store.configuration import increment_configuration_revision
from tocsin.server.store.connection import Base, Document, Session


class Agreements:
    """All agreements; within a transaction they are `Transaction.agreements`."""

    def __init__(self, base: Base, session: Session = None) -> None:
        """Read and write in `session`, if there is one."""
        self._agreements, self._base, self._session = base.agreements, base, session

    def add(self, new: Agreement) -> None:
        """Store a new agreement."""
        self._agreements.insert_one(_to_document(new), session=self._session)
        self._raise_revisions()

    def update(self, changed: Agreement) -> None:
        """Replace the agreement with this id; nothing happens if there is none."""
        document = _to_document(changed)
        self._agreements.replace_one({"_id": changed.id}, document, session=self._session)
        self._raise_revisions()

    def delete_of(self, partner: str) -> None:
        """Delete a partner's agreements."""
        self._agreements.delete_many({"partner": partner}, session=self._session)
        self._raise_revisions()

    def require(self, id: str) -> Agreement:
        """The agreement with this id; NotFound if there is none."""
        found = self._agreements.find_one({"_id": id}, session=self._session)
        if found is None:
            raise NotFound(f"there is no agreement {id!r}; `tocsin-hub agreement list` shows them")
        return _from_document(found)

    def list_all(self) -> list[Agreement]:
        """All agreements, by partner and begin."""
        return self._list({})

    def list_of(self, partner: str) -> list[Agreement]:
        """A partner's agreements, by begin."""
        return self._list({"partner": partner}) if partner else []

    def list_open(self) -> list[Agreement]:
        """The agreements of which something is still to be done: an end, a withdrawal."""
        return self._list({"open": True})

    def _list(self, query: Document) -> list[Agreement]:
        found = map(_from_document, self._agreements.find(query, session=self._session))
        return sorted(found, key=lambda each: (each.partner, each.starts, each.id))

    def _raise_revisions(self) -> None:
        raise_partners_revision(self._base, self._session)
        increment_configuration_revision(self._base, self._session)


def group_by_partner(agreements: Iterable[Agreement]) -> dict[str, tuple[Agreement, ...]]:
    """The agreements of each partner that has any, by its slug."""
    grouped: defaultdict[str, list[Agreement]] = defaultdict(list)
    for each in agreements:
        grouped[each.partner].append(each)
    return {slug: tuple(own) for slug, own in grouped.items()}


def _to_document(agreement: Agreement) -> Document:
    return {
        "_id": agreement.id,
        "partner": agreement.partner,
        "collections": sorted(agreement.collections),
        "starts": agreement.starts,
        "until": agreement.until,
        "max_tlp": agreement.max_tlp.label,
        "purposes": list(agreement.purposes),
        "audience": agreement.audience.as_scope(),
        "note": agreement.note,
        "recorded": agreement.recorded.value,
        "withdraws": agreement.withdraws,
        "open": agreement.withdraws or agreement.recorded is not AgreementState.ENDED,
    }


def _from_document(document: Document) -> Agreement:
    return Agreement(
        id=document["_id"],
        partner=document["partner"],
        collections=frozenset(document["collections"]),
        starts=document["starts"],
        until=document["until"],
        max_tlp=Tlp.parse(document["max_tlp"]),
        purposes=tuple(document["purposes"]),
        audience=parse_audience(document["audience"]),
        note=document["note"],
        recorded=AgreementState(document["recorded"]),
        withdraws=document["withdraws"],
    )
