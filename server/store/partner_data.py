"""Find all documents of one partner, and delete them.

Partners' own ids and pending references have no index by partner alone: an export or a removal
reads them as a whole, which it may, because it runs rarely and for an operator.
"""

from __future__ import annotations

from collections.abc import Collection

from tocsin.admission.errors import NotFound
from tocsin.server.store.accounts import Accounts
from tocsin.server.store.connection import Base, Document, chunk_keys

_MAX_KEYS = 100


class PartnerDocuments:
    """The documents of one partner, of all kinds but feeds and journal."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def partner_document(self, slug: str) -> Document:
        """The partner's record as it is stored; NotFound if there is none."""
        found = self._base.partners.find_one({"_id": slug})
        if found is None:
            raise NotFound(f"there is no partner {slug!r}; `tocsin-hub partner list` shows them")
        return {"partner": found.pop("_id"), **found}

    def public_ids(self, slug: str) -> set[str]:
        """The public ids that the partner's own ids ever stood for."""
        found: set[str] = set()
        for each in self._base.sources.find({"partner": slug}, {"publics": 1}):
            found.update(each["publics"])
        return found - {""}

    def submission_ids(self, accounts: Collection[str]) -> list[str]:
        """The submissions of some accounts, the oldest first."""
        wanted = {"account": {"$in": sorted(accounts)}}
        found = self._base.submissions.find(wanted, {"received": 1})
        return [each["_id"] for each in sorted(found, key=lambda each: each["received"])]

    def delete(self, slug: str) -> None:
        """Delete everything that is stored about a partner, its record last.

        If it is interrupted, it can be repeated.
        """
        base = self._base
        names = [each["_id"] for each in base.accounts.find({"partner": slug}, {"_id": 1})]
        for submission in self.submission_ids(names):
            pieces = base.submissions.find_one({"_id": submission}, {"pieces": 1})
            keys = [f"{submission}/{i}" for i in range(pieces["pieces"] if pieces else 0)]
            for chunk in chunk_keys(keys, _MAX_KEYS):
                base.raws.delete_many({"_id": {"$in": list(chunk)}})
            base.verdicts.delete_many({"submission": submission})
            base.submissions.delete_one({"_id": submission})
        for name in ("reviews", "sources", "waits"):
            base[name].delete_many({"partner": slug})
        for name in names:
            base.keys.delete_many({"account": name})
            base.accounts.delete_one({"_id": name})
        base.quotas.delete_one({"_id": slug})
        Accounts(base).remove_partner(slug)
