"""Authentication and authorisation: the only place that decides rights.

A credential is a high-entropy secret, or a client certificate that TLS has verified; both are
stored as a SHA-256 only, so one look-up decides.  Every failure gives the same error after the
same work, whether the account is unknown, the secret wrong or the account disabled.  A collection
that an account may not see does not exist for it: the error is that of an unknown name.

The rights of an account are those of its record, within the agreements of its partner that are in
force at that moment (`Terms`).

Knows neither HTTP status codes nor the database.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection as Some
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import NamedTuple, Protocol

from tocsin.admission.errors import NotAllowed, NotAuthenticated, NotFound
from tocsin.admission.markings.audience import EVERYBODY, Audience
from tocsin.admission.model import Tlp
from tocsin.server.model import (
    Account,
    Agreement,
    AgreementState,
    Collection,
    CollectionKind,
    Marking,
    Partner,
    Submission,
)
from tocsin.server.person import Person, Role


class AccountLookup(Protocol):
    """Accounts by credential; the store implements it."""

    def find_account_by_credential(self, digest: str) -> Account | None:
        """The account of a secret (by `hash_secret`) or certificate (by its fingerprint)."""
        ...


class AccountsByName(Protocol):
    """Accounts by name."""

    def find_account(self, name: str) -> Account | None:
        """The account with this name, or None."""
        ...

    def list_accounts(self, partner: str) -> Sequence[Account]:
        """The accounts of a partner."""
        ...


class PeopleByLogin(Protocol):
    """People by login."""

    def find_by_login(self, login: str) -> Person | None:
        """The person who signs in with this mailbox, or None."""
        ...


class Senders(Protocol):
    """All who may send submissions; the store and a transaction implement it."""

    @property
    def accounts(self) -> AccountsByName:
        """The accounts."""
        ...

    @property
    def people(self) -> PeopleByLogin:
        """The people of the console."""
        ...


class AuthScheme(StrEnum):
    """The ways in which a request can authenticate."""

    BASIC = "basic"  # account and secret (RFC 7617)
    BEARER = "bearer"  # the secret, or both (RFC 6750)
    CERTIFICATE = "certificate"  # client certificate of the TLS connection


_CERTIFICATE = "x509:"
_ADVICE = {
    AuthScheme.BASIC: "send the account and its key as HTTP Basic",
    AuthScheme.BEARER: "send the key as Bearer",
    AuthScheme.CERTIFICATE: "use a registered client certificate",
}


class _Claim(NamedTuple):
    """A secret, and the account names presented with it."""

    names: tuple[str, ...]
    secret: str


def hash_secret(secret: str) -> str:
    """The stored form of a secret: its SHA-256 in hex.

    >>> hash_secret("")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def certificate_fingerprint(certificate: bytes) -> str:
    """The stored form of a client certificate (DER); never equal to that of a secret.

    >>> certificate_fingerprint(b"")[:17]
    'x509:e3b0c44298fc'
    """
    return f"{_CERTIFICATE}{hashlib.sha256(certificate).hexdigest()}"


def is_certificate_fingerprint(digest: str) -> bool:
    """True for the stored form of a certificate, False for that of a secret."""
    return digest.startswith(_CERTIFICATE)


def authenticate(
    header: str | None,
    accounts: AccountLookup,
    certificate: str = "",
    schemes: Some[AuthScheme] = frozenset(AuthScheme),
) -> Account:
    """Identify the account by the `Authorization` header, or without one by the certificate.

    `certificate` is the fingerprint of a client certificate that TLS has verified and that has
    not expired; empty without one.  A header takes precedence, even if it is wrong.

    Accepted are Basic `account:secret` and Bearer (or Token) `secret` or `account:secret`.  The
    name must be that of the secret's account or of its partner.  People paste keys whole, so
    `account:secret` is also accepted as a Basic password.

    Raises NotAuthenticated, always with the same text.
    """
    presented: list[tuple[str, tuple[str, ...]]]
    if header is None and certificate and AuthScheme.CERTIFICATE in schemes:
        presented = [(certificate, ())]
    else:
        presented = [
            (hash_secret(claim.secret), claim.names)
            for claim in _parse_header(header or "", schemes)
        ]
    # Every credential is looked up before any is compared, so that all failures cost the same.
    found = [(accounts.find_account_by_credential(d), names) for d, names in presented]
    for holder, names in found:
        if holder and not holder.disabled and all(_has_name(holder, name) for name in names):
            return holder
    advice = ", or ".join(_ADVICE[scheme] for scheme in AuthScheme if scheme in schemes)
    raise NotAuthenticated(f"no valid credential; {advice}")


@dataclass(frozen=True, slots=True)
class Terms:
    """The agreements of one partner at one moment."""

    agreements: Sequence[Agreement]
    """All of the partner's, whether in force or not."""
    now: int
    """µs since 1970 UTC."""
    required: bool = False
    """A partner without any agreement has no rights, either."""
    partner: Partner | None = None
    """The partner; None: it is of no country and no sector."""

    @property
    def is_bound(self) -> bool:
        """True if the partner has only the rights that agreements give it."""
        return self.required or bool(self.agreements)

    @property
    def in_force(self) -> list[Agreement]:
        """The agreements that are in force."""
        state = AgreementState.IN_FORCE
        return [each for each in self.agreements if each.state_at(self.now) is state]

    @property
    def until(self) -> int | None:
        """Time at which the next of those in force ends and rights must be decided again."""
        return min((each.until for each in self.in_force if each.until is not None), default=None)

    def highest_tlp(self, collection: str) -> Tlp | None:
        """The strictest level that may be sent to a collection (its id); None: nothing may."""
        if not self.is_bound:
            return Tlp.RED
        levels = [each.max_tlp for each in self.in_force if collection in each.collections]
        return max(levels, default=None)

    def narrow(self, account: Account, collections: Iterable[Collection]) -> Account:
        """The partner's account with the rights that it has now.  Operators are not bound.

        It reads only collections that an agreement names, that hold nothing above its highest
        level, and that serve the partner.  With no agreement in force it has no rights at all.
        """
        if account.operator:
            return account
        known = {each.id: each for each in collections}
        account = self._without_unserved(account, known)
        if not self.is_bound:
            return account
        if not self.in_force:
            nothing = frozenset[str]()
            return replace(account, reads=nothing, writes=nothing, has_terms=False)
        mine = (account.reads | account.writes) & known.keys()
        levels = {id_: level for id_ in mine if (level := self.highest_tlp(id_)) is not None}
        within = {id_ for id_ in levels if strictest_content(known[id_], known) <= levels[id_]}
        written = {id_ for id_ in levels if takes_posts(known[id_])}
        reads, writes = account.reads & within, account.writes & written
        return replace(account, reads=reads, writes=writes, until=self.until)

    def audience(self, collection: str, received: int) -> Audience:
        """The partners to which may go what a collection (its id) received at a time.

        Every agreement that names it must allow that, if it is in force or was at that time.
        """
        concerned = (*self.in_force, *(e for e in self.agreements if e.was_in_force(received)))
        named = (each.audience for each in concerned if collection in each.collections)
        return reduce(Audience.intersect, named, EVERYBODY)

    def _without_unserved(self, account: Account, known: Mapping[str, Collection]) -> Account:
        """The account without rights on feeds, and views of feeds, that serve other partners."""
        if all(each.audience.is_everybody for each in known.values()):
            return account
        mine = (account.reads | account.writes) & known.keys()
        others = {id_ for id_ in mine if not self._is_served(known[id_], known)}
        if not others:
            return account
        return replace(account, reads=account.reads - others, writes=account.writes - others)

    def _is_served(self, collection: Collection, known: Mapping[str, Collection]) -> bool:
        """True if the partner belongs to those whom a collection and its sources serve."""
        country, sectors = "", tuple[str, ...]()
        if self.partner is not None:
            country = self.partner.country
            sectors = tuple(each.lower() for each in self.partner.sectors)
        sources = collection.view.sources if collection.view is not None else ()
        every = (collection, *(known[each] for each in sources if each in known))
        return all(each.audience.has(country, sectors) for each in every)


def strictest_content(collection: Collection, known: Mapping[str, Collection]) -> Tlp:
    """The strictest level that readers can find in a collection.

    `known` are all collections, by id.  In a verbatim collection, whose objects no rule has looked
    at, everything can be that may be sent.  An inbox shows nothing.
    """
    if collection.kind is CollectionKind.INBOX:
        return Tlp.CLEAR
    if collection.kind is CollectionKind.VERBATIM:
        return Tlp.AMBER_STRICT
    if collection.view is None:
        return collection.max_tlp
    sources = [known.get(each) for each in collection.view.sources]
    level = max(Tlp.RED if each is None else strictest_content(each, known) for each in sources)
    limit = collection.view.max_tlp
    return level if limit is None else min(level, limit)


def is_outdated(account: Account, now: int) -> bool:
    """True if an agreement has ended since the account's rights were decided."""
    return account.until is not None and now >= account.until


def takes_posts(collection: Collection) -> bool:
    """True for the kinds of collections to which objects can be added over TAXII."""
    return collection.kind in (CollectionKind.INBOX, CollectionKind.VERBATIM)


def may_see(account: Account, collection: Collection) -> bool:
    """True if the account may know that the collection exists.

    Any grant makes it visible, even one without effect for its kind: an inbox in `reads` is
    listed, with `can_read` false.
    """
    return account.operator or collection.id in account.reads | account.writes


def may_read(account: Account, collection: Collection) -> bool:
    """True if the account may read its objects.  Nobody may read an inbox."""
    if collection.kind is CollectionKind.INBOX:
        return False
    return account.operator or collection.id in account.reads


def may_write(account: Account, collection: Collection) -> bool:
    """True if the account may add objects to it.

    Nobody may add to a feed, which only admission writes, or to a view of other collections.
    """
    if not takes_posts(collection):
        return False
    if account.operator and collection.kind is CollectionKind.VERBATIM:
        return True
    return collection.id in account.writes


def may_delete(account: Account, collection: Collection) -> bool:
    """True if the account may both read and write it (TAXII 2.1 section 5.7)."""
    return may_read(account, collection) and may_write(account, collection)


def sees_tlp1(account: Account, collection: Collection) -> bool:
    """True if the account is shown TLP 1.0; a verbatim collection shows what was sent."""
    return account.marking is Marking.TLP1 and collection.kind is not CollectionKind.VERBATIM


def may_read_status(account: Account, submission: Submission) -> bool:
    """True for submissions of the account's partner, and for an operator.

    Without an agreement in force where one is needed, there are none.
    """
    own = account.partner != "" and account.partner == submission.partner
    return account.operator or (own and may_list_submissions(account))


def may_list_submissions(account: Account) -> bool:
    """True unless the account needs an agreement and none is in force."""
    return account.has_terms


def may_read_contributions(account: Account) -> bool:
    """True if it may see who reported what, and who received it: for the hub's own people."""
    return account.operator


def readable_collections(account: Account, collections: Iterable[Collection]) -> list[Collection]:
    """The collections that the account may read, by ascending id."""
    return sorted((c for c in collections if may_read(account, c)), key=lambda c: c.id)


def rights_of(person: Person, accounts: Iterable[Account]) -> Account:
    """The rights of a person: for a partner's, those of all `accounts` of the partner together.

    Only its analysts write, and nobody while all its accounts are disabled.  The hub's own people
    read what an operator's account reads.
    """
    if person.is_of_hub:
        return Account(person.login, "", operator=True, disabled=person.disabled)
    enabled = [each for each in accounts if not each.disabled]
    reads = frozenset[str]().union(*(each.reads for each in enabled))
    writes = frozenset[str]().union(*(each.writes for each in enabled))
    may_send = person.has(Role.ANALYST)
    return Account(
        person.login,
        person.partner,
        reads,
        writes if may_send else frozenset(),
        disabled=person.disabled or not enabled,
    )


def find_sender(known: Senders, name: str) -> Account | None:
    """The sender of a submission, with the rights they have now; None if there is none any more.

    The account of this name, or the person who signs in with it and shared in the console.
    """
    account = known.accounts.find_account(name)
    if account is not None:
        return account
    person = known.people.find_by_login(name)
    if person is None:
        return None
    own = () if person.is_of_hub else known.accounts.list_accounts(person.partner)
    return rights_of(person, own)


def name_in_log(known: Senders, name: str) -> str:
    """A sender's name for the log, which has ids of people and not their mailboxes."""
    if "@" not in name:  # no account's name has one
        return name.replace(" ", "-")
    person = known.people.find_by_login(name)
    return "-" if person is None else person.id


def may_still_write(sender: Account, collection: str) -> bool:
    """True if the right by which a submission was sent to a collection (its id) is still there.

    Of operators it is not asked again.
    """
    return sender.operator or collection in sender.writes


def visible_collections(account: Account, collections: Iterable[Collection]) -> list[Collection]:
    """The collections that the account may see, by ascending id (TAXII 2.1 section 3.3)."""
    return sorted((c for c in collections if may_see(account, c)), key=lambda c: c.id)


def find_collection(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """The collection of this id, else of this alias.

    Raises NotFound if there is none that the account may see.
    """
    known = visible_collections(account, collections)
    for collection in [c for c in known if c.id == name] or [c for c in known if c.alias == name]:
        return collection
    raise _not_found()


def find_readable(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """As `find_collection`; raises NotAllowed if the account may see but not read it."""
    collection = find_collection(account, collections, name)
    if not may_read(account, collection):
        raise NotAllowed("this account may not read this collection")
    return collection


def find_writable(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """As `find_collection`; raises NotAllowed if the account may see but not write to it."""
    collection = find_collection(account, collections, name)
    if not may_write(account, collection):
        raise NotAllowed("this account may not add objects to this collection")
    return collection


def find_deletable(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """As `find_collection`, for an account that may both read and write it.

    Raises NotFound if it has neither right, NotAllowed if it has one (TAXII 2.1 section 5.7).
    """
    collection = find_collection(account, collections, name)
    if may_delete(account, collection):
        return collection
    if may_read(account, collection) or may_write(account, collection):
        raise NotAllowed(
            "deleting needs both the right to read and the right to write this collection"
        )
    raise _not_found()


def _not_found() -> NotFound:
    return NotFound("no such collection, or this account may not see it")


def _has_name(account: Account, name: str) -> bool:
    return name != "" and name in (account.name, account.partner)


def _parse_header(header: str, schemes: Some[AuthScheme]) -> list[_Claim]:
    scheme, _, rest = header.strip().partition(" ")
    match scheme.lower():
        case "basic" if AuthScheme.BASIC in schemes:
            return _parse_basic(rest.strip())
        case "bearer" | "token" if AuthScheme.BEARER in schemes:
            return _parse_secret(rest.strip())
    return []


def _parse_basic(token: str) -> list[_Claim]:
    try:
        text = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError):
        return []
    name, colon, password = text.partition(":")
    if not colon:
        return []
    return [_Claim((name, *claim.names), claim.secret) for claim in _parse_secret(password)]


def _parse_secret(text: str) -> list[_Claim]:
    """Both readings of a text: all of it is the secret, or it is `account:secret`."""
    name, colon, secret = text.partition(":")
    whole = _Claim((), text)
    return [whole, _Claim((name,), secret)] if colon else [whole]
