"""Authentication and authorisation: who asks, and what the account may do.

A credential is a high-entropy secret, or a client certificate that TLS has verified; both are
stored as a SHA-256 only, so one look-up decides.  Every failure gives the same error after the
same work, whether the account is unknown, the secret wrong or the account disabled.  A collection
that an account may not see does not exist for it: the error is that of an unknown name.

Rights are decided here and in `agreements.py` only: those of an account are what its record grants,
within the agreements of its partner.

Knows neither HTTP status codes nor the database.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection as Some
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple, Protocol

from tocsin.admission.errors import NotAllowed, NotAuthenticated, NotFound
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    MarkingScheme,
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
    if not collection.takes_posts:
        return False
    if account.operator and collection.kind is CollectionKind.VERBATIM:
        return True
    return collection.id in account.writes


def may_delete(account: Account, collection: Collection) -> bool:
    """True if the account may both read and write it (TAXII 2.1 section 5.7)."""
    return may_read(account, collection) and may_write(account, collection)


def sees_tlp1(account: Account, collection: Collection) -> bool:
    """True if the account is shown TLP 1.0; a verbatim collection shows what was sent."""
    return account.marking is MarkingScheme.TLP1 and collection.kind is not CollectionKind.VERBATIM


def may_read_status(account: Account, submission: Submission) -> bool:
    """True for submissions of the account's partner, and for an operator.

    Without an agreement in force where one is needed, there are none.
    """
    own = account.partner != "" and account.partner == submission.partner
    return account.operator or (own and may_list_submissions(account))


def may_list_submissions(account: Account) -> bool:
    """True unless the account needs an agreement and none is in force."""
    return account.has_agreement


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
    joined = join_rights(person.login, person.partner, accounts)
    writes = joined.writes if person.has(Role.ANALYST) else frozenset[str]()
    return replace(joined, writes=writes, disabled=person.disabled or joined.disabled)


def join_rights(name: str, partner: str, accounts: Iterable[Account]) -> Account:
    """The rights of all of these accounts of a partner together."""
    enabled = [each for each in accounts if not each.disabled]
    reads = frozenset[str]().union(*(each.reads for each in enabled))
    writes = frozenset[str]().union(*(each.writes for each in enabled))
    return Account(name, partner, reads, writes, disabled=not enabled)


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
