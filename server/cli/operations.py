"""What an operator does at the desk: partners, keys, collections, reviews, what is unwanted."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.model import Tlp
from tocsin.admission.policy import SLUG
from tocsin.admission.timestamps import stix_time
from tocsin.server.auth import certificate_fingerprint, is_certificate_fingerprint
from tocsin.server.bootstrap import OPERATOR, ensure_collection, issue_key
from tocsin.server.cli.view_definitions import described
from tocsin.server.http.tls import first_certificate
from tocsin.server.lifecycle import unwanted
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    Partner,
    Record,
    Review,
)
from tocsin.server.runtime import Runtime
from tocsin.server.store import Transaction

Answer = dict[str, object]


def add_partner(
    hub: Runtime, partner: Partner, reads: Iterable[str], writes: Iterable[str]
) -> Answer:
    """A partner with one account of its name and a key, which is shown this once."""
    _check_slug(partner.slug)
    if partner.group:
        _check_slug(partner.group)
    if not partner.name.strip():
        raise Malformed("--name is empty: say what the partner is called")
    may_read, may_write = _collections(hub, reads), _collections(hub, writes)

    def work(txn: Transaction) -> Answer:
        txn.accounts.add_partner(partner)
        txn.accounts.add_account(Account(partner.slug, partner.slug, may_read, may_write))
        return _with_key(txn, partner.slug)

    return {"partner": partner.slug, **hub.services.store.commit(work)}


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be another of a partner and its account; None: as it is."""

    about: Mapping[str, object] = field(default_factory=dict)
    """Fields of `Partner`, those that change."""
    reads: Iterable[str] | None = None
    writes: Iterable[str] | None = None
    disabled: bool | None = None


def change_partner(hub: Runtime, slug: str, change: Change) -> Answer:
    """A partner with some of what was said of it changed, from the next request on.

    What was published before stays as it is.
    """
    names = _aliases(hub)

    def work(txn: Transaction) -> Answer:
        partner, account = txn.accounts.find_partner(slug), txn.accounts.find_account(slug)
        if partner is None or account is None:
            raise NotFound(f"there is no partner {slug!r}; `tocsin-hub partner list` shows them")
        changed = _changed(partner, change)
        txn.accounts.update_partner(changed)
        txn.accounts.update_account(_allowed(hub, account, change))
        said = _partner(changed, txn.accounts.list_accounts(slug), names)
        fields = sorted(n for n in change.about if getattr(changed, n) != getattr(partner, n))
        what = {"partner": slug, "fields": fields, "accounts": said["accounts"]}
        _note(txn, "partner.change", what)
        return said

    return hub.services.store.commit(work)


def _changed(partner: Partner, change: Change) -> Partner:
    """Raises Malformed if it could not be called so."""
    changed = replace(partner, **change.about)  # type: ignore[arg-type]  # the command's fields
    changed = replace(changed, default_tlp=min(changed.max_tlp, Tlp.AMBER))
    if changed.group:
        _check_slug(changed.group)
    if not changed.name.strip():
        raise Malformed("--name is empty: say what the partner is called")
    return changed


def _allowed(hub: Runtime, account: Account, change: Change) -> Account:
    return replace(
        account,
        reads=account.reads if change.reads is None else _collections(hub, change.reads),
        writes=account.writes if change.writes is None else _collections(hub, change.writes),
        disabled=account.disabled if change.disabled is None else change.disabled,
    )


def new_key(hub: Runtime, account: str) -> Answer:
    """Another key of an account; those before it stay good until they are revoked."""
    _check_account(hub, account)
    return hub.services.store.commit(lambda txn: _with_key(txn, account))


def register_certificate(hub: Runtime, account: str, file: bytes) -> Answer:
    """Let a client certificate, as it stands in a file, open an account."""
    _check_account(hub, account)
    kept = certificate_fingerprint(first_certificate(file))

    def work(txn: Transaction) -> Answer:
        txn.accounts.add_key(account, kept)
        _note(txn, "key.certificate", {"account": account, "id": kept})
        return {"account": account, "id": kept}

    return hub.services.store.commit(work)


def keys(hub: Runtime, account: str) -> list[Answer]:
    """What opens an account: the SHA-256 of each key and of each certificate."""
    _check_account(hub, account)
    return [
        {
            "account": account,
            "kind": "certificate" if is_certificate_fingerprint(each) else "key",
            "id": each,
        }
        for each in hub.services.store.accounts.list_keys(account)
    ]


def revoke_key(hub: Runtime, account: str, beginning: str) -> Answer:
    """Let a key or certificate open nothing any more, from the next request on."""
    _check_account(hub, account)
    known = hub.services.store.accounts.list_keys(account)
    found = [each for each in known if each.startswith(beginning)]
    if len(found) != 1 or not beginning:
        said = "several begin so" if found else "there is none"
        raise NotFound(f"{beginning!r}: {said}; `tocsin-hub key list {account}` shows them")

    def work(txn: Transaction) -> Answer:
        txn.accounts.revoke_key(found[0])
        _note(txn, "key.revoke", {"account": account, "id": found[0]})
        return {"account": account, "revoked": found[0]}

    return hub.services.store.commit(work)


def partners(hub: Runtime) -> list[Answer]:
    """Every partner with what its accounts may do."""
    people, names = hub.services.store.accounts, _aliases(hub)
    accounts = people.list_accounts()
    return [
        _partner(partner, [each for each in accounts if each.partner == partner.slug], names)
        for partner in people.list_partners()
    ]


def add_collection(hub: Runtime, collection: Collection) -> Answer:
    """A collection; a feed takes what is published from now on."""
    _check_slug(collection.alias)
    ensure_collection(hub.services.store, collection)
    answer = _described(collection, hub.services.store.feeds.collections())

    def work(txn: Transaction) -> None:
        hub.services.publisher.furnish(txn)
        what = {name: value for name, value in answer.items() if name not in ("id", "title")}
        _note(txn, "collection.add", what)

    hub.services.store.commit(work)
    return answer


def collection_of(alias: str, kind: CollectionKind, title: str) -> Collection:
    """A new collection's value, its id made."""
    return Collection(str(uuid.uuid4()), alias, kind, title or alias)


def collections(hub: Runtime) -> list[Answer]:
    """Every collection, by id."""
    known = hub.services.store.feeds.collections()
    return [_described(collection, known) for collection in known]


def reviews(hub: Runtime, partner: str | None) -> list[Answer]:
    """What waits for an analyst, the oldest first."""
    waiting = sorted(
        hub.services.store.reviews.list_waiting(partner), key=lambda review: review.created
    )
    return [_asked(review) for review in waiting]


def decide(hub: Runtime, names: Iterable[str], *, release: bool, reason: str) -> list[Answer]:
    """Release or reject what waits; each answer is the record as its submitter sees it now."""
    answers: list[Answer] = []
    for name in names:
        review = hub.services.store.reviews.find(name)
        if review is None:
            raise NotFound(f"there is no review {name!r}; `tocsin-hub review list` shows them")
        intake = hub.services.intake
        if release:
            record = intake.release(review, "operator")
        else:
            record = intake.reject(review, "operator", reason)
        answers.append(_decided(review, record))
    return answers


def revoke(hub: Runtime, names: Iterable[str], reason: str) -> list[Answer]:
    """Revoke public objects, for ever; whoever reports the same later makes new ones."""
    answers: list[Answer] = []
    for name in names:
        hub.services.lifecycle.revoke(name, OPERATOR, reason)
        answers.append({"public": name, "revoked": True})
    return answers


def forbid(hub: Runtime, texts: Sequence[str], reason: str) -> list[Answer]:
    """Put values on the hub's own list: refused from now on, and revoked where published."""
    for text in texts:
        unwanted(text, reason, 0)  # all must be understood before any is acted on
    answers: list[Answer] = []
    for text in texts:
        new, revoked = hub.services.lifecycle.forbid(text, OPERATOR, reason)
        answers.append({"kind": new.type, "value": new.value, "revoked": revoked})
    return answers


def forbidden(hub: Runtime) -> list[Answer]:
    """The hub's own list."""
    return [
        {"kind": u.type, "value": u.value, "reason": u.reason, "since": stix_time(u.since)}
        for u in hub.services.store.exclusions.list()
    ]


def allow(hub: Runtime, texts: Iterable[str]) -> list[Answer]:
    """Take values off the hub's own list; what was revoked stays revoked."""
    return [
        {"kind": old.type, "value": old.value}
        for old in (hub.services.lifecycle.allow(text, OPERATOR) for text in texts)
    ]


def _collections(hub: Runtime, names: Iterable[str]) -> frozenset[str]:
    known = {}
    for collection in hub.services.store.feeds.collections():
        known[collection.alias] = known[collection.id] = collection.id
    wanted = {name.strip() for name in names if name.strip()}
    for name in wanted - known.keys():
        raise NotFound(f"there is no collection {name!r}; `tocsin-hub collection list` shows them")
    return frozenset(known[name] for name in wanted)


def _aliases(hub: Runtime) -> dict[str, str]:
    return {each.id: each.alias for each in hub.services.store.feeds.collections()}


def _partner(partner: Partner, accounts: Iterable[Account], names: Mapping[str, str]) -> Answer:
    return {
        "partner": partner.slug,
        "name": partner.name,
        "country": partner.country,
        "sectors": list(partner.sectors),
        "max_tlp": partner.max_tlp.word,
        "consent": partner.consent.value,
        "reliability": partner.reliability,
        "group": partner.group,
        "accounts": [
            {
                "account": account.name,
                "read": sorted(names.get(each, each) for each in account.reads),
                "write": sorted(names.get(each, each) for each in account.writes),
                "disabled": account.disabled,
            }
            for account in accounts
        ],
    }


def _described(collection: Collection, known: Iterable[Collection]) -> Answer:
    answer: Answer = {
        "id": collection.id,
        "alias": collection.alias,
        "kind": collection.kind.value,
        "title": collection.title,
        "max_tlp": collection.max_tlp.word,
    }
    return answer if collection.view is None else answer | described(collection.view, known)


def _asked(review: Review) -> Answer:
    return {
        "review": review.id,
        "question": review.kind.value,
        "partner": review.partner,
        "submission": review.submission,
        "index": review.index,
        "source_id": review.source_id,
        "asked": review.created,
        "rules": list(review.rules),
        "findings": [dict(finding) for finding in review.findings],
        "waits_for": list(review.waits_for),
    }


def _decided(review: Review, record: Record) -> Answer:
    return {
        "review": review.id,
        "source_id": review.source_id,
        "verdict": record.verdict,
        "public_id": record.public_id,
        "findings": [dict(finding) for finding in record.findings],
    }


def _check_account(hub: Runtime, name: str) -> None:
    if hub.services.store.accounts.find_account(name) is None:
        raise NotFound(f"there is no account {name!r}; `tocsin-hub partner list` shows them")


def _check_slug(text: str) -> None:
    if not SLUG.fullmatch(text):
        raise Malformed(f"{text!r} must be 1 to 63 small letters, digits and hyphens")


def _with_key(txn: Transaction, account: str) -> Answer:
    answer: Answer = {"account": account, "key": issue_key(txn, account)}
    _note(txn, "key.issue", {"account": account})
    return answer


def _note(txn: Transaction, act: str, what: dict[str, object]) -> None:
    txn.add_journal_entry(act, OPERATOR, what)
