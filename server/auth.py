"""Who is asking, and what may they do: the only place that decides rights.

A credential is a high-entropy secret, or a certificate that TLS has verified;
either is known here by its SHA-256 alone, so one look-up decides.  Whoever
fails is told the same, after the same work, whether the account is unknown,
the secret wrong or the account disabled.  What an account may not see does not
exist for it: the refusal is that of an unknown name, word for word.

Neither HTTP's status codes nor the database are known here.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection as Some
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol

from tocsin.admission.errors import NotAllowed, NotAuthenticated, NotFound
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    Submission,
)


class AccountLookup(Protocol):
    """Who holds which credential."""

    def account_of(self, digest: str) -> Account | None:
        """The account whose secret has this digest, or whose certificate this fingerprint."""
        ...


class AuthScheme(StrEnum):
    """How a request may prove its account."""

    BASIC = "basic"  # account and secret (RFC 7617)
    BEARER = "bearer"  # the secret, or both (RFC 6750)
    CERTIFICATE = "certificate"  # of the connection, by TLS


_CERTIFICATE = "x509:"
_WAYS = {
    AuthScheme.BASIC: "send the account and its key as HTTP Basic",
    AuthScheme.BEARER: "send the key as Bearer",
    AuthScheme.CERTIFICATE: "show a certificate that is registered here",
}


class _Claim(NamedTuple):
    """A secret, and the names under which it was presented."""

    names: tuple[str, ...]
    secret: str


def hash_secret(secret: str) -> str:
    """What is kept of a secret: its SHA-256 in hex.

    >>> hash_secret("")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def certificate_fingerprint(certificate: bytes) -> str:
    """What is kept of a client's certificate (DER); never the digest of a secret.

    >>> certificate_fingerprint(b"")[:17]
    'x509:e3b0c44298fc'
    """
    return f"{_CERTIFICATE}{hashlib.sha256(certificate).hexdigest()}"


def is_certificate_fingerprint(kept: str) -> bool:
    """Whether what is kept is a certificate's, not a secret's."""
    return kept.startswith(_CERTIFICATE)


def authenticate(
    header: str | None,
    people: AccountLookup,
    certificate: str = "",
    schemes: Some[AuthScheme] = frozenset(AuthScheme),
) -> Account:
    """The account that an `Authorization` header proves, or else the connection's certificate.

    `certificate` is the fingerprint of one that TLS has verified and that is
    valid now.  A header that is there decides, whatever the certificate.

    Taken are Basic `account:secret` and Bearer (or Token) `secret` or
    `account:secret`.  The account named must be the secret's, by its own name
    or by its partner's.  As people paste keys whole, `account:secret` is taken
    for a Basic password too.

    Raises NotAuthenticated, always with the same text.
    """
    shown: list[tuple[str, tuple[str, ...]]]
    if header is None and certificate and AuthScheme.CERTIFICATE in schemes:
        shown = [(certificate, ())]
    else:
        shown = [
            (hash_secret(claim.secret), claim.names) for claim in _claims(header or "", schemes)
        ]
    holders = [(people.account_of(kept), names) for kept, names in shown]
    for holder, names in holders:
        if holder and not holder.disabled and all(_is_named(holder, name) for name in names):
            return holder
    ways = ", or ".join(_WAYS[scheme] for scheme in AuthScheme if scheme in schemes)
    raise NotAuthenticated(f"no valid credential; {ways}")


def may_see(account: Account, collection: Collection) -> bool:
    """Whether the account may know that the collection exists.

    Any grant shows it, even one that its kind makes void: an inbox in `reads`
    is listed, with `can_read` false.
    """
    return account.operator or collection.id in account.reads | account.writes


def may_read(account: Account, collection: Collection) -> bool:
    """Whether the account may read its objects.  Nobody reads an inbox."""
    if collection.kind is CollectionKind.INBOX:
        return False
    return account.operator or collection.id in account.reads


def may_write(account: Account, collection: Collection) -> bool:
    """Whether the account may post to it.

    Nobody posts to a feed, which admission writes, or to what only shows other collections.
    """
    if collection.kind not in (CollectionKind.INBOX, CollectionKind.VERBATIM):
        return False
    if account.operator and collection.kind is CollectionKind.VERBATIM:
        return True
    return collection.id in account.writes


def may_delete(account: Account, collection: Collection) -> bool:
    """Whether the account may delete from it: who reads and writes (TAXII 2.1 section 5.7)."""
    return may_read(account, collection) and may_write(account, collection)


def may_read_status(account: Account, submission: Submission) -> bool:
    """Whether the account may learn what became of a submission: its partner's, or any."""
    return account.operator or (account.partner != "" and account.partner == submission.partner)


def visible_collections(account: Account, collections: Iterable[Collection]) -> list[Collection]:
    """Those that the account may know of, by ascending id (TAXII 2.1 section 3.3)."""
    return sorted((c for c in collections if may_see(account, c)), key=lambda c: c.id)


def find_collection(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """The collection of this id, else of this alias.

    Raises NotFound if there is none, or none that the account may know of.
    """
    known = visible_collections(account, collections)
    for collection in [c for c in known if c.id == name] or [c for c in known if c.alias == name]:
        return collection
    raise _unknown()


def find_readable(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """As `find`; raises NotAllowed if the account may see but not read it."""
    collection = find_collection(account, collections, name)
    if not may_read(account, collection):
        raise NotAllowed("this account may not read this collection")
    return collection


def find_writable(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """As `find`; raises NotAllowed if the account may see but not write to it."""
    collection = find_collection(account, collections, name)
    if not may_write(account, collection):
        raise NotAllowed("this account may not add objects to this collection")
    return collection


def find_deletable(account: Account, collections: Iterable[Collection], name: str) -> Collection:
    """As `find`; for the account must both read and write it.

    With neither right the collection does not exist, with one of them deleting
    is refused (TAXII 2.1 section 5.7).
    """
    collection = find_collection(account, collections, name)
    if may_delete(account, collection):
        return collection
    if may_read(account, collection) or may_write(account, collection):
        raise NotAllowed("deleting takes both the right to read and the right to write here")
    raise _unknown()


def _unknown() -> NotFound:
    return NotFound("there is no such collection, or this account may not know of it")


def _is_named(account: Account, name: str) -> bool:
    return name != "" and name in (account.name, account.partner)


def _claims(header: str, schemes: Some[AuthScheme]) -> list[_Claim]:
    scheme, _, rest = header.strip().partition(" ")
    match scheme.lower():
        case "basic" if AuthScheme.BASIC in schemes:
            return _basic(rest.strip())
        case "bearer" | "token" if AuthScheme.BEARER in schemes:
            return _readings(rest.strip())
    return []


def _basic(token: str) -> list[_Claim]:
    try:
        text = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError):
        return []
    name, colon, password = text.partition(":")
    if not colon:
        return []
    return [_Claim((name, *claim.names), claim.secret) for claim in _readings(password)]


def _readings(text: str) -> list[_Claim]:
    """What was meant: all of it the secret, or `account:secret`."""
    name, colon, secret = text.partition(":")
    whole = _Claim((), text)
    return [whole, _Claim((name,), secret)] if colon else [whole]
