"""Find all documents of one partner, and delete them.

Partners' own ids and pending references have no index by partner alone: an export or a removal
reads them as a whole, which it may, because it runs rarely and for an operator.
"""

from __future__ import annotations

from tocsin.server.processes.shared_folder import CommitCount
from tocsin.server.store.accounts import Accounts
from tocsin.server.store.agreements import Agreements
from tocsin.server.store.configuration import increment_configuration_revision
from tocsin.server.store.connection import Base, Document
from tocsin.server.store.review_acts import forget_answers


class PartnerDocuments:
    """The documents of one partner, of all kinds but feeds and journal."""

    def __init__(self, base: Base, commits: CommitCount) -> None:
        """`base` is the hub's database; `commits` counts those of all that write to it."""
        self._base, self._commits = base, commits

    def partner_document(self, slug: str) -> Document:
        """The partner's record as it is stored; NotFound if there is none."""
        Accounts(self._base).require_partner(slug)
        found = self._base.partners.find_one({"_id": slug}) or {"_id": slug}
        return {"partner": found.pop("_id"), **found}

    def public_ids(self, slug: str) -> set[str]:
        """The public ids that the partner's own ids ever stood for."""
        found: set[str] = set()
        for each in self._base.public_ids.find({"partner": slug}, {"publics": 1}):
            found.update(each["publics"])
        return found - {""}

    def public_ids_of(self, slug: str, own_id: str) -> set[str]:
        """The public ids that one of the partner's own ids ever stood for."""
        wanted = {"partner": slug, "sources": own_id}
        found = self._base.public_ids.find(wanted, {"sources": 1, "publics": 1})
        pairs = (zip(each["sources"], each["publics"], strict=True) for each in found)
        return {public for each in pairs for own, public in each if own == own_id} - {""}

    def submission_ids(self, slug: str) -> list[str]:
        """The submissions of the partner, the oldest first."""
        wanted = {"partner": slug, "open": {"$in": [True, False]}}  # all, by the index
        found = self._base.submissions.find(wanted, {"received": 1})
        return [each["_id"] for each in sorted(found, key=lambda each: each["received"])]

    def delete(self, slug: str) -> None:
        """Delete everything but submissions that is stored about a partner, its record last.

        If it is interrupted, it can be repeated.
        """
        base = self._base
        names = [each["_id"] for each in base.accounts.find({"partner": slug}, {"_id": 1})]
        for name in ("reviews", "public_ids", "pending_references"):
            base[name].delete_many({"partner": slug})
        for name in names:
            base.keys.delete_many({"account": name})
            base.polls.delete_many({"account": name})
            base.accounts.delete_one({"_id": name})
            base.polls.delete_many({"account": name})  # written meanwhile
        increment_configuration_revision(base)
        Agreements(base).delete_of(slug)
        base.quotas.delete_one({"_id": slug})
        forget_answers(base, slug)
        Accounts(base).remove_partner(slug)
        self._commits.note()
