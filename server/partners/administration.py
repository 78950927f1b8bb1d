"""Administration of partners: their records, accounts and keys, each act in the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from secrets import token_urlsafe

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import DAY
from tocsin.server.auth import hash_secret, is_certificate_fingerprint
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    Credential,
    MarkingScheme,
    Partner,
)
from tocsin.server.partners.names import check_masks, check_name_and_group, check_slug
from tocsin.server.partners.people import remove_people
from tocsin.server.store import Store, Transaction

MOST_OWN_KEYS = 20
"""Keys of an account from which on people of its partner cannot issue a further one."""
_TOO_MANY_KEYS = (
    "the account {} has {} keys already: revoke those that no tool uses any more,"
    " the oldest ones first (SHA-256 {}…)"
)
EXPIRES_SOON = 30 * DAY
"""Time before the end of a client certificate, in µs, from which on its operator is warned."""


@dataclass(frozen=True, slots=True)
class PartnerChange:
    """New values for a partner and its account; None leaves a value as it is."""

    fields: Mapping[str, object] = field(default_factory=dict)
    """Fields of `Partner`."""
    reads: Iterable[str] | None = None
    """Ids or aliases of collections, like `writes`."""
    writes: Iterable[str] | None = None
    disabled: bool | None = None
    marking: MarkingScheme | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was issued; the secret is shown once and not stored."""

    account: str
    secret: str

    @property
    def credential(self) -> str:
        """Account and secret in one piece, as clients take them."""
        return f"{self.account}:{self.secret}"


@dataclass(frozen=True, slots=True)
class Partners:
    """Administration of the partners of one hub."""

    store: Store

    def add(self, partner: Partner, change: PartnerChange, actor: str) -> NewKey:
        """Add a partner with one account of its name, which has the rights of `change`.

        Raises Malformed, NotFound for an unknown collection, Conflict if the name is taken.
        """
        check_slug(partner.slug)
        check_name_and_group(partner)
        check_masks(partner)
        reads = self.find_readable_ids(change.reads or ())
        writes = self.find_writable_ids(change.writes or ())
        marking = change.marking or MarkingScheme.TLP2
        account = Account(partner.slug, partner.slug, reads, writes, marking=marking)
        names = self.aliases()

        def work(txn: Transaction) -> NewKey:
            txn.accounts.add_partner(partner)
            txn.accounts.add_account(account)
            remove_people(txn, partner.slug, actor)  # left by a former partner of this short name
            may = {"read": sorted(names[id] for id in reads)}
            may |= {"write": sorted(names[id] for id in writes)}
            txn.add_journal_entry("partner.add", actor, {"partner": partner.slug, **may})
            return _add_key(txn, partner.slug, actor)

        return self.store.commit(work)

    def change(self, slug: str, change: PartnerChange, actor: str) -> Partner:
        """Change a partner and its account, from the next request on.

        Objects published before stay as they are.  The journal has an entry if something changed.
        """
        aliases = self.aliases()

        def work(txn: Transaction) -> Partner:
            partner, account = txn.accounts.require_partner(slug), txn.accounts.find_account(slug)
            if account is None:
                raise NotFound(f"partner {slug} has no account of its name")
            changed = replace(partner, **change.fields)  # type: ignore[arg-type]
            changed = replace(changed, default_tlp=min(changed.max_tlp, Tlp.AMBER))
            check_name_and_group(changed)
            if change.fields.keys() & {"name", "terms"}:  # old ones must not stop a --disable
                check_masks(changed)
            changed_account = self._change_account(account, change)
            if (changed, changed_account) == (partner, account):
                return partner
            txn.accounts.update_partner(changed)
            txn.accounts.update_account(changed_account)
            accounts = [describe_account(a, aliases) for a in txn.accounts.list_accounts(slug)]
            names = sorted(n for n in change.fields if getattr(changed, n) != getattr(partner, n))
            entry = {"partner": slug, "fields": names, "accounts": accounts}
            txn.add_journal_entry("partner.change", actor, entry)
            return changed

        return self.store.commit(work)

    def issue_key(self, account: str, actor: str) -> NewKey:
        """Add a key to an account; its other keys stay valid until they are revoked."""
        self.require_account(account)
        return self.store.commit(lambda txn: _add_key(txn, account, actor))

    def issue_own_key(self, account: str, actor: str) -> NewKey:
        """Add a key to an account for a person of its partner.

        Raises Conflict if the account has MOST_OWN_KEYS already; certificates do not count.
        """
        self.require_account(account)

        def work(txn: Transaction) -> NewKey:
            every = txn.accounts.list_credentials(account)
            keys = [each for each in every if not is_certificate_fingerprint(each.id)]
            if len(keys) >= MOST_OWN_KEYS:
                raise Conflict(_TOO_MANY_KEYS.format(account, len(keys), keys[0].id[:16]))
            return _add_key(txn, account, actor)

        return self.store.commit(work)

    def revoke_key(self, account: str, prefix: str, actor: str) -> str:
        """Revoke the key or certificate whose SHA-256 begins with `prefix`; the whole SHA-256.

        Raises NotFound if there is none, or more than one.
        """
        self.require_account(account)
        hint = f"`tocsin-hub key list {account}` shows the ids"
        unknown = f"{account} has no key or certificate {prefix!r}"
        digest = find_by_prefix(prefix, self.store.accounts.list_keys(account), unknown, hint)

        def work(txn: Transaction) -> str:
            txn.accounts.revoke_key(digest)
            txn.add_journal_entry("key.revoke", actor, {"account": account, "id": digest})
            return digest

        return self.store.commit(work)

    def list_expiring(self, now: int) -> list[tuple[str, Credential]]:
        """The certificates that have expired or do so soon, each with its partner's slug.

        Those of disabled accounts are left out.  `now` is in µs since 1970 UTC.
        """
        accounts = self.store.accounts
        slugs = {each.name: each.partner for each in accounts.list_accounts() if not each.disabled}
        found = accounts.list_expiring(now + EXPIRES_SOON)
        return [(slugs[each.account], each) for each in found if each.account in slugs]

    def require_account(self, name: str) -> Account:
        """The account of this name.  Raises NotFound if there is none."""
        found = self.store.accounts.find_account(name)
        if found is None:
            raise NotFound(
                f"there is no account {name!r}: `tocsin-hub partner list` shows those of partners, "
                "the hub's own is `operator`"
            )
        return found

    def aliases(self) -> dict[str, str]:
        """The alias of each collection by its id; the id itself where there is none."""
        return {each.id: each.alias or each.id for each in self.store.feeds.collections()}

    def find_collection_ids(self, names: Iterable[str]) -> frozenset[str]:
        """The ids of collections that are named by id or alias.  Raises NotFound."""
        return frozenset(each.id for each in self._find_collections(names))

    def find_readable_ids(self, names: Iterable[str]) -> frozenset[str]:
        """As `find_collection_ids`; raises Malformed for an inbox, which nobody can read."""
        found = self._find_collections(names)
        for each in found:
            if each.kind is CollectionKind.INBOX:
                raise Malformed(
                    f"nobody can read {each.alias or each.id}: it is an inbox; grant reading of "
                    "the feeds in which its objects are published"
                )
        return frozenset(each.id for each in found)

    def find_writable_ids(self, names: Iterable[str]) -> frozenset[str]:
        """As `find_collection_ids`; raises Malformed for a collection that takes no objects."""
        found = self._find_collections(names)
        for each in found:
            if not each.takes_posts:
                raise Malformed(
                    f"nobody can write to {each.alias or each.id}: its kind is {each.kind.value}, "
                    "but only an inbox or a verbatim collection takes objects"
                )
        return frozenset(each.id for each in found)

    def _find_collections(self, names: Iterable[str]) -> list[Collection]:
        known = {}
        for collection in self.store.feeds.collections():
            known[collection.alias] = known[collection.id] = collection
        names = {name.strip() for name in names if name.strip()}
        for name in sorted(names - known.keys()):
            raise NotFound(
                f"there is no collection {name!r}; `tocsin-hub collection list` shows the "
                "collections"
            )
        return [known[name] for name in sorted(names)]

    def _change_account(self, account: Account, change: PartnerChange) -> Account:
        reads, writes = change.reads, change.writes
        return replace(
            account,
            reads=account.reads if reads is None else self.find_readable_ids(reads),
            writes=account.writes if writes is None else self.find_writable_ids(writes),
            disabled=account.disabled if change.disabled is None else change.disabled,
            marking=change.marking or account.marking,
        )


def find_by_prefix(prefix: str, ids: Iterable[str], unknown: str, hint: str) -> str:
    """The id that begins with `prefix`.

    Raises NotFound if there is none (`unknown` says so) or more than one; `hint` says where the
    ids are shown.
    """
    found = [each for each in ids if prefix and each.startswith(prefix)]
    if not found:
        raise NotFound(f"{unknown}; {hint}")
    if len(found) > 1:
        raise NotFound(f"the prefix {prefix!r} is ambiguous: it matches {len(found)}; {hint}")
    return found[0]


def describe_account(account: Account, aliases: Mapping[str, str]) -> dict[str, object]:
    """The rights of an account, with the names of collections, as JSON values."""
    return {
        "account": account.name,
        "read": sorted(aliases.get(id, id) for id in account.reads),
        "write": sorted(aliases.get(id, id) for id in account.writes),
        "disabled": account.disabled,
        "marking": account.marking.value,
    }


def issue_key(txn: Transaction, account: str) -> str:
    """Issue a new key (256 bits) for an account; only its SHA-256 is stored."""
    secret = token_urlsafe(32)
    txn.accounts.add_key(account, hash_secret(secret), txn.now)
    return secret


def _add_key(txn: Transaction, account: str, actor: str) -> NewKey:
    key = NewKey(account, issue_key(txn, account))
    txn.add_journal_entry("key.issue", actor, {"account": account})
    return key
