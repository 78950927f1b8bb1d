"""Withdraw, hand over or remove the data that the hub holds of one partner.

Each step is one transaction that may be repeated without harm.  A command that was
interrupted goes on when it is run again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import orjson

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.markings.granular import layers_of
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Contribution
from tocsin.admission.timestamps import stix_time, timestamp
from tocsin.server.intake.intake import Intake
from tocsin.server.lifecycle.lifecycle import Lifecycle
from tocsin.server.lifecycle.purge import is_object_id, observable_id_of
from tocsin.server.model import Agreement, AgreementState, PublicObject, Review
from tocsin.server.partners.administration import describe_account
from tocsin.server.partners.agreement_lifecycle import end_agreement
from tocsin.server.partners.people import remove_people
from tocsin.server.person import Invitation, Person
from tocsin.server.publishing.public_objects import remove_contribution
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.publishing.references import revocation_name
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.store import Store, Transaction
from tocsin.server.store.deliveries import LastPoll
from tocsin.server.store.exclusions import parse_exclusion
from tocsin.server.store.journal import JournalFilter
from tocsin.server.store.purged_content import is_mentioned
from tocsin.server.store.senders import SenderRecord

Line = dict[str, object]
"""One JSON object of an export."""

STEP = 100
"""Public objects that one transaction recomputes at most."""
_WITHDRAWN = "it was withdrawn"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The counts of what a withdrawal changed."""

    objects: int
    """Public objects to which the partner contributed."""
    revoked: int
    """Those of them that were revoked, because nobody else reported them."""
    reviews: int
    """Objects, or texts of published ones, that waited for a reviewer."""

    def __add__(self, other: Withdrawal) -> Withdrawal:
        """The sum of both."""
        return Withdrawal(
            self.objects + other.objects,
            self.revoked + other.revoked,
            self.reviews + other.reviews,
        )


@dataclass(slots=True)
class _Names:
    """The ids and values that an operator names to withdraw."""

    public_ids: set[str] = field(default_factory=set)
    own_ids: set[str] = field(default_factory=set)
    """The partner's own ids."""
    whole: set[str] = field(default_factory=set)
    """Those of `public_ids` that are named by themselves or by a value, not by an own id."""
    values: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _WithdrawalCommand:
    """An operator's command to withdraw."""

    slug: str
    who: str
    reason: str
    own_ids: frozenset[str] | None = None
    """Contributions under these ids, if there are any, and no others; None: under any id."""
    whole: frozenset[str] = frozenset()
    """Public ids of objects that lose the partner's contributions under any id."""


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
        self._store.accounts.require_partner(slug)
        names_of = _Names()
        for name in names:
            self._resolve(slug, name, names_of)
        own_ids, whole = frozenset(names_of.own_ids), frozenset(names_of.whole)
        command = _WithdrawalCommand(slug, who, reason, own_ids, whole)
        found, sources = self._withdraw(command, sorted(names_of.public_ids))
        waiting = self._store.reviews.list_waiting_under(slug, sources | names_of.own_ids)
        if names_of.values:
            every = self._store.reviews.list_waiting(slug)
            waiting += [each for each in every if is_mentioned(each.object, names_of.values)]
        found += Withdrawal(0, 0, self._close_reviews(waiting, who))
        if not (found.objects or found.reviews):
            raise NotFound(f"partner {slug} contributes nothing to that")
        return found

    def withdraw_all(self, slug: str, who: str, reason: str) -> Withdrawal:
        """Withdraw everything that the partner ever sent.  NotFound if there is no such partner."""
        self._store.accounts.require_partner(slug)
        # First the reviews: what was released before is among the contributions.
        reviews = self._close_reviews(self._store.reviews.list_waiting(slug), who)
        public_ids = sorted(self._store.partner_data.public_ids(slug))
        found, _ = self._withdraw(_WithdrawalCommand(slug, who, reason), public_ids)
        left = self._close_reviews(self._store.reviews.list_waiting(slug), who)
        return found + Withdrawal(0, 0, reviews + left)

    def remove(self, slug: str, who: str, reason: str) -> Withdrawal:
        """Remove a partner: its access, what it contributed, and what is held about it.

        Objects that others reported too are computed without it; the journal keeps its short name.
        Raises NotFound if there is no such partner.
        """
        self._store.accounts.require_partner(slug)

        def lock_out(txn: Transaction) -> None:
            for account in txn.accounts.list_accounts(slug):
                txn.accounts.update_account(replace(account, disabled=True))
                for digest in txn.accounts.list_keys(account.name):
                    txn.accounts.revoke_key(digest)
            remove_people(txn, slug, who)
            now = self._lifecycle.now()
            for agreement in txn.agreements.list_of(slug):
                if agreement.recorded is not AgreementState.ENDED:
                    until = now if agreement.until is None else min(now, agreement.until)
                    end_agreement(txn, replace(agreement, until=until), who, reason)
            _end_requests(txn, slug, who)
            what = {"partner": slug, "reason": reason}
            txn.add_journal_entry("partner.remove", who, what)

        self._store.commit(lock_out)
        withdrawal = self.withdraw_all(slug, who, reason)
        while self._forget_withdrawals(slug):
            withdrawal += self.withdraw_all(slug, who, reason)
        for id_ in self._store.partner_data.submission_ids(slug):
            self._store.commit(lambda txn, id_=id_: txn.submissions.delete(id_))  # type: ignore[misc]
        self._store.statistics.forget_partner(slug)
        self._store.commit(lambda txn: remove_people(txn, slug, who))  # invited meanwhile
        self._store.partner_data.delete(slug)
        return withdrawal

    def export(self, slug: str) -> Iterator[Line]:
        """All that is held about a partner, as JSON objects; keys and passwords are not among it.

        Raises NotFound if there is no such partner.
        """
        yield {"kind": "partner", **self._store.partner_data.partner_document(slug)}
        accounts = self._store.accounts.list_accounts(slug)
        for account in accounts:
            yield {"kind": "account", **describe_account(account, {})}
        yield from self._export_activity([account.name for account in accounts])
        people = self._store.people.list_people(slug)
        for person in people:
            yield _person_line(person, self._last_sign_in(person))
        for each in self._store.people.list_invitations():
            if each.partner == slug:
                yield _invitation_line(each)
        yield from map(_agreement_line, self._store.agreements.list_of(slug))
        yield from self._export_submissions(slug)
        yield from self._export_contributions(slug)
        for review in self._store.reviews.list_all(slug):
            yield _review_line(review)
        since = {account.name: 0 for account in accounts}
        since |= {person.login: person.created for person in people}
        yield from self._export_journal(slug, since)

    def _resolve(self, slug: str, name: str, found: _Names) -> None:
        """Add what a name stands for: an id of the partner's own, a public id, or a value."""
        if not is_object_id(name):
            about = parse_exclusion(name, "", 0)
            published = {*self._lifecycle.find_published(about), observable_id_of(about)}
            found.public_ids |= published
            found.whole |= published
            found.values.append(about.value)
            return
        own = self._store.read(lambda known: known.find_public_ids(slug, [name]))
        public_id = own.get(name) or name
        found.public_ids |= {public_id} | self._find_former(slug, name)
        found.own_ids.add(name)
        if public_id == name:
            found.whole.add(name)

    def _find_former(self, slug: str, own_id: str) -> set[str]:
        """Other public objects to which the partner contributes under one of its own ids.

        A marking definition without a level is published at each level of what carries it.
        """
        every = self._store.partner_data.public_ids_of(slug, own_id)
        publics = self._store.read(lambda known: known.public_objects(every)).values()
        mine = (slug, own_id)
        return {
            public.id
            for public in publics
            if any((each.partner, each.source_id) == mine for each in public.contributions)
        }

    def _withdraw(
        self, command: _WithdrawalCommand, public_ids: Sequence[str]
    ) -> tuple[Withdrawal, set[str]]:
        """Withdraw contributions to these objects; the partner's own ids of them as well."""
        found, sources = Withdrawal(0, 0, 0), set[str]()
        remove = partial(self._remove_contributions, command)
        for changed, own in self._store.commit_portions(public_ids, STEP, remove):
            found, sources = found + changed, sources | own
        return found, sources

    def _remove_contributions(
        self, command: _WithdrawalCommand, txn: Transaction, portion: Sequence[str]
    ) -> tuple[Withdrawal, set[str]]:
        """One portion of `_withdraw`, and its entry in the journal."""
        work = UnitOfWork.begin(txn, self._publisher.config, self._lifecycle.now())
        work.load(portion)
        changed, ended, forbidden, sources = list[str](), 0, dict[str, str](), set[str]()
        for public_id in portion:
            own_ids = None if public_id in command.whole else command.own_ids
            gone = _contributions(work.find_public(public_id), command.slug, own_ids)
            for each in gone:
                work.put(remove_contribution(work.find(public_id), each, work.merge))
                sources.add(each.source_id)
                if not is_observable_type(public_id.partition("--")[0]):
                    forbidden[revocation_name(each.source_id)] = public_id
            after = work.find_public(public_id)
            changed += [public_id] if gone else []
            ended += bool(gone) and after is not None and after.revoked
        work.write()
        if forbidden:
            txn.add_public_ids(command.slug, "withdrawn", forbidden)
        if changed:
            what: dict[str, object] = {"partner": command.slug, "count": len(changed)}
            what |= {"ids": changed, "reason": command.reason}
            txn.add_journal_entry("partner.withdraw", command.who, what)
        return Withdrawal(len(changed), ended, 0), sources

    def _forget_withdrawals(self, slug: str) -> bool:
        """Forget how often the partner took things back; True if it contributes to any still."""
        public_ids = sorted(self._store.partner_data.public_ids(slug))

        def forget(txn: Transaction, portion: Sequence[str]) -> bool:
            publics = txn.public_objects(portion).values()
            for public in publics:
                others = tuple(each for each in public.withdrawals if each.partner != slug)
                if others != public.withdrawals:
                    txn.put_public_objects([replace(public, withdrawals=others)])
            return any(_contributions(public, slug, None) for public in publics)

        return any(list(self._store.commit_portions(public_ids, STEP, forget)))

    def _close_reviews(self, waiting: Iterable[Review], who: str) -> int:
        """Reject reviews; how many."""
        closed = {review.id: review for review in waiting}
        for review in closed.values():
            with suppress(Conflict, NotFound):  # decided meanwhile, or its submission is gone
                self._intake.reviewer.reject(review, who, _WITHDRAWN)
        return len(closed)

    def _export_submissions(self, slug: str) -> Iterator[Line]:
        for id_ in self._store.partner_data.submission_ids(slug):
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

    def _export_activity(self, accounts: Sequence[str]) -> Iterator[Line]:
        """When the accounts last polled, and submitted."""
        for account in accounts:
            polls = self._store.deliveries.last_polls_of(account)
            yield from (_last_poll_line(account, *each) for each in sorted(polls.items()))
        for account, record in self._store.statistics.senders(accounts).items():
            yield _sender_line(account, record)

    def _last_sign_in(self, person: Person) -> int | None:
        """The time, in µs, of a person's last sign-in that the journal still has."""
        wanted = JournalFilter(since=person.created, action="sign_in", actor=person.login)
        return next((each.at for each in self._store.journal.search(wanted)), None)

    def _export_journal(self, slug: str, since: Mapping[str, int]) -> Iterator[Line]:
        """The entries about a partner, and those of its accounts and people, or about them.

        `since`: the time, in µs, from which a name is the partner's.  Before, the mailbox may have
        been that of a person of the hub or of another partner.  The same holds for its short name
        until it was added.
        """
        journal = self._store.journal
        additions = journal.search(JournalFilter(action="partner.add", about=slug))
        added = (each.sequence for each in additions if each.details.get("partner") == slug)
        for entry in journal.entries(next(added, 1) - 1):
            about = entry.details.get("partner")
            names = entry.actor, str(entry.details.get("login", ""))
            is_own = any(name in since and entry.at >= since[name] for name in names)
            if about == slug or (about is None and is_own):
                yield {
                    "kind": "journal",
                    "at": stix_time(entry.at),
                    "action": entry.action,
                    "actor": entry.actor,
                    "details": dict(entry.details),
                }


def _end_requests(txn: Transaction, slug: str, who: str) -> None:
    """Decline what waits for a second operator and is about a partner that is removed."""
    for each in txn.admin_requests.list():
        if each.partner == slug:
            txn.admin_requests.remove(each.id)
            details = {"request": each.id, "text": each.journal_text}
            txn.add_journal_entry("request.decline", who, details)


def _contributions(
    public: PublicObject | None, slug: str, own_ids: Collection[str] | None
) -> list[Contribution]:
    """A partner's contributions to an object: under one of its own ids, if those are among it."""
    every = public.contributions if public is not None else ()
    own = [each for each in every if each.partner == slug]
    named = [each for each in own if own_ids is not None and each.source_id in own_ids]
    return named or own


def _last_poll_line(account: str, collection: str, poll: LastPoll) -> Line:
    return {
        "kind": "last_poll",
        "account": account,
        "collection": collection,
        "hour": stix_time(poll.hour),
        "served_up_to": timestamp(poll.stamp) if poll.stamp else None,
    }


def _sender_line(account: str, record: SenderRecord) -> Line:
    return {
        "kind": "sender",
        "account": account,
        "runs": [{"first": stix_time(a), "last": stix_time(b)} for a, b in record.runs],
        "objects_in_24_hours": record.objects,
        "refused_in_24_hours": record.refused,
    }


def _person_line(person: Person, signed_in: int | None) -> Line:
    return {
        "kind": "person",
        "mailbox": person.login,
        "name": person.name,
        "roles": sorted(person.roles),
        "disabled": person.disabled,
        "added": stix_time(person.created),
        "last_sign_in": None if signed_in is None else stix_time(signed_in),
        "passkeys": [each.name for each in person.passkeys],
        "has_app": bool(person.totp),
    }


def _invitation_line(invitation: Invitation) -> Line:
    return {
        "kind": "invitation",
        "mailbox": invitation.login,
        "name": invitation.name,
        "roles": sorted(invitation.roles),
        "until": stix_time(invitation.until),
    }


def _agreement_line(agreement: Agreement) -> Line:
    return {
        "kind": "agreement",
        "agreement": agreement.id,
        "collections": sorted(agreement.collections),
        "max_tlp": agreement.max_tlp.label,
        "countries": sorted(agreement.audience.countries or ()),
        "sectors": sorted(agreement.audience.sectors or ()),
        "purposes": list(agreement.purposes),
        "from": timestamp(agreement.starts),
        "until": None if agreement.until is None else timestamp(agreement.until),
        "note": agreement.note,
        "state": agreement.recorded.value,
    }


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
        "state": review.state,
        "submission": review.submission,
        "source_id": review.source_id,
        "asked": stix_time(review.created),
        "rules": list(review.rules),
        "findings": [dict(each) for each in review.findings],
        "object": review.object.decode(errors="replace"),
    }
