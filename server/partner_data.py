"""What the hub holds of one partner: withdraw it, hand it over, or remove all of it.

Each step is one transaction that may be repeated without harm.  A command that was
interrupted goes on when it is run again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.markings.granular import layers_of
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Contribution
from tocsin.admission.timestamps import stix_time
from tocsin.server.intake.intake import Intake
from tocsin.server.lifecycle import Lifecycle
from tocsin.server.model import Partner, PublicObject, Review
from tocsin.server.publishing.public_objects import remove_contribution
from tocsin.server.publishing.publisher import Publisher, revocation_name
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.purge import observable_id_of
from tocsin.server.store import Store, Transaction
from tocsin.server.store.exclusions import parse_exclusion

Line = dict[str, object]
"""One JSON object of an export."""

STEP = 100
"""Public objects that one transaction recomputes."""
_OBJECT_ID = re.compile("[a-z][a-z0-9-]*--[A-Za-z0-9-]+")
_WITHDRAWN = "it was withdrawn"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal changed."""

    objects: int
    """Public objects to which the partner contributed."""
    revoked: int
    """Those of them that were revoked, because nobody else reported them."""
    reviews: int
    """Objects that waited for an analyst."""


class PartnerData:
    """Withdraws, exports and removes what a partner sent."""

    def __init__(
        self, store: Store, publisher: Publisher, intake: Intake, lifecycle: Lifecycle
    ) -> None:
        """The clock is that of `lifecycle`."""
        self._store = store
        self._publisher = publisher
        self._intake = intake
        self._lifecycle = lifecycle

    def withdraw(self, slug: str, names: Sequence[str], who: str, reason: str) -> Withdrawal:
        """Withdraw the partner's contributions to these objects, observables included.

        A name is an id of the partner's own, a public id, or a value (indicators on exactly that
        value and the observable).  Raises NotFound if there is no such partner, or if it
        contributes nothing to any of the objects; Malformed if a value is of no known kind.
        """
        self._require(slug)
        public_ids, own_ids = set[str](), set[str]()
        for name in names:
            found, own = self._resolve(slug, name)
            public_ids |= found
            own_ids |= own
        return self._withdraw(slug, sorted(public_ids), own_ids, (who, reason))

    def withdraw_all(self, slug: str, who: str, reason: str) -> Withdrawal:
        """Withdraw everything that the partner ever sent.  NotFound if there is no such partner."""
        self._require(slug)
        public_ids = sorted(self._store.partner_data.public_ids(slug))
        return self._withdraw(slug, public_ids, None, (who, reason), may_be_nothing=True)

    def remove(self, slug: str, who: str, reason: str) -> Withdrawal:
        """Remove a partner: its access, what it contributed, and what is held about it.

        What it reported with others is computed without it; the journal keeps its short name.
        Raises NotFound if there is no such partner.
        """
        self._require(slug)

        def lock_out(txn: Transaction) -> None:
            for account in txn.accounts.list_accounts(slug):
                txn.accounts.update_account(replace(account, disabled=True))
                for digest in txn.accounts.list_keys(account.name):
                    txn.accounts.revoke_key(digest)
            what = {"partner": slug, "reason": reason}
            txn.add_journal_entry("partner.remove", who, what)

        self._store.commit(lock_out)
        withdrawal = self.withdraw_all(slug, who, reason)
        self._forget_withdrawals(slug)
        self._store.partner_data.delete(slug)
        return withdrawal

    def export(self, slug: str) -> Iterator[Line]:
        """All that is held about a partner, as JSON objects; keys are not among it.

        Raises NotFound if there is no such partner.
        """
        yield {"kind": "partner", **self._store.partner_data.partner_document(slug)}
        accounts = self._store.accounts.list_accounts(slug)
        for account in accounts:
            yield {
                "kind": "account",
                "account": account.name,
                "read": sorted(account.reads),
                "write": sorted(account.writes),
                "disabled": account.disabled,
            }
        yield from self._export_submissions({account.name for account in accounts})
        yield from self._export_contributions(slug)
        for review in self._store.reviews.list_waiting(slug):
            yield _review_line(review)
        yield from self._export_journal(slug, {account.name for account in accounts})

    def _require(self, slug: str) -> Partner:
        partner = self._store.accounts.find_partner(slug)
        if partner is None:
            raise NotFound(f"there is no partner {slug!r}; `tocsin-hub partner list` shows them")
        return partner

    def _resolve(self, slug: str, name: str) -> tuple[set[str], set[str]]:
        """The public ids that a name stands for, and the partner's own id, if it is one."""
        if not _OBJECT_ID.fullmatch(name):
            about = parse_exclusion(name, "", 0)
            return {*self._lifecycle.find_published(about), observable_id_of(about)}, set()
        own = self._store.read(lambda known: known.find_public_ids(slug, [name]))
        return ({own[name]}, {name}) if own.get(name) else ({name}, {name})

    def _withdraw(
        self,
        slug: str,
        public_ids: Sequence[str],
        own_ids: set[str] | None,
        order: tuple[str, str],
        *,
        may_be_nothing: bool = False,
    ) -> Withdrawal:
        """Withdraw contributions to these objects; None for `own_ids`: under whatever id."""
        who, reason = order
        objects = revoked = 0
        for start in range(0, len(public_ids), STEP):
            portion = public_ids[start : start + STEP]

            def step(txn: Transaction, portion: Sequence[str] = portion) -> tuple[int, int]:
                changed, ended = self._remove_contributions(txn, slug, portion, own_ids)
                if changed:
                    what = {"partner": slug, "count": changed, "reason": reason}
                    txn.add_journal_entry("partner.withdraw", who, what)
                return changed, ended

            changed, ended = self._store.commit(step)
            objects, revoked = objects + changed, revoked + ended
        reviews = self._close_reviews(slug, own_ids, who)
        if not (objects or reviews or may_be_nothing):
            raise NotFound(f"partner {slug} contributes nothing to that")
        return Withdrawal(objects, revoked, reviews)

    def _remove_contributions(
        self, txn: Transaction, slug: str, portion: Sequence[str], own_ids: Collection[str] | None
    ) -> tuple[int, int]:
        work = UnitOfWork.begin(txn, self._publisher.config, self._lifecycle.now())
        work.load(portion)
        changed, ended, forbidden = 0, 0, dict[str, str]()
        for public_id in portion:
            gone = _contributions(work.find_public(public_id), slug, own_ids)
            for each in gone:
                work.put(remove_contribution(work.find(public_id), each, work.merge))
                if not is_observable_type(public_id.partition("--")[0]):
                    forbidden[revocation_name(each.source_id)] = public_id
            after = work.find_public(public_id)
            changed += bool(gone)
            ended += bool(gone) and after is not None and after.revoked
        work.write()
        if forbidden:
            txn.add_public_ids(slug, "withdrawn", forbidden)
        return changed, ended

    def _forget_withdrawals(self, slug: str) -> None:
        """Forget how often the partner took things back."""
        public_ids = sorted(self._store.partner_data.public_ids(slug))
        for start in range(0, len(public_ids), STEP):
            portion = public_ids[start : start + STEP]

            def forget(txn: Transaction, portion: Sequence[str] = portion) -> None:
                for public in txn.public_objects(portion).values():
                    others = tuple(each for each in public.withdrawals if each.partner != slug)
                    if others != public.withdrawals:
                        txn.put_public_objects([replace(public, withdrawals=others)])

            self._store.commit(forget)

    def _close_reviews(self, slug: str, own_ids: set[str] | None, who: str) -> int:
        if own_ids is None:
            waiting = self._store.reviews.list_waiting(slug)
        else:
            waiting = self._store.reviews.list_waiting_under(slug, own_ids)
        for review in waiting:
            with suppress(Conflict, NotFound):  # decided meanwhile, or its submission is gone
                self._intake.reject(review, who, _WITHDRAWN)
        return len(waiting)

    def _export_submissions(self, accounts: Collection[str]) -> Iterator[Line]:
        for id_ in self._store.partner_data.submission_ids(accounts):
            found = self._store.submissions.find(id_)
            if found is None:
                continue
            yield {
                "kind": "submission",
                "submission": id_,
                "collection": found.collection,
                "received": stix_time(found.received),
                "body": found.raw.decode(errors="replace"),
            }
            for record in self._store.submissions.records(id_):
                yield {
                    "kind": "record",
                    "submission": id_,
                    "index": record.index,
                    "verdict": record.verdict,
                    "source_id": record.source_id,
                    "public_id": record.public_id,
                    "findings": [dict(each) for each in record.findings],
                }

    def _export_contributions(self, slug: str) -> Iterator[Line]:
        public_ids = sorted(self._store.partner_data.public_ids(slug))
        for start in range(0, len(public_ids), STEP):
            portion = public_ids[start : start + STEP]
            found = self._store.read(
                lambda known, portion=portion: known.public_objects(portion)  # type: ignore[misc]
            )
            for public in found.values():
                for each in _contributions(public, slug, None):
                    yield _contribution_line(public, each)

    def _export_journal(self, slug: str, accounts: Collection[str]) -> Iterator[Line]:
        after = 0
        while entries := self._store.journal.list_entries(after):
            for entry in entries:
                if entry.actor in accounts or entry.details.get("partner") == slug:
                    yield {
                        "kind": "journal",
                        "at": stix_time(entry.at),
                        "action": entry.action,
                        "actor": entry.actor,
                        "details": dict(entry.details),
                    }
            after = entries[-1].sequence


def _contributions(
    public: PublicObject | None, slug: str, own_ids: Collection[str] | None
) -> list[Contribution]:
    """A partner's contributions to an object: under one of its own ids, if those are among it."""
    every = public.contributions if public is not None else ()
    own = [each for each in every if each.partner == slug]
    named = [each for each in own if own_ids is not None and each.source_id in own_ids]
    return named or own


def _contribution_line(public: PublicObject, each: Contribution) -> Line:
    raw = orjson.loads(each.raw) if each.raw else None
    return {
        "kind": "contribution",
        "public_id": public.id,
        "source_id": each.source_id,
        "received": stix_time(each.received),
        "versions": [{"tlp": level.label, "object": layer} for level, layer in layers_of(each)],
        "as_sent": raw,
    }


def _review_line(review: Review) -> Line:
    return {
        "kind": "review",
        "submission": review.submission,
        "source_id": review.source_id,
        "asked": stix_time(review.created),
        "rules": list(review.rules),
        "object": review.object.decode(errors="replace"),
    }
