"""What the door for programs needs of the house behind it.

The store and the intake satisfy these; nothing in `taxii/` knows either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tocsin.server.auth import AccountLookup, AuthScheme
from tocsin.server.model import (
    Account,
    Collection,
    FeedHead,
    Page,
    Query,
    Record,
    Submission,
    VersionKeyword,
)
from tocsin.server.taxii.long_poll import Vigil
from tocsin.server.taxii.rate_limit import Rates

MIN_KEY_LENGTH = 16
"""Octets that a cursor key must have at least."""


CLIENT_CERTIFICATE = "tocsin.certificate"
"""Where the WSGI server puts the connection's `ClientCertificate`, if there is one."""


class ClientCertificate(NamedTuple):
    """A client's certificate, verified when the connection was made."""

    fingerprint: str
    """As in `access.fingerprint`."""
    expires: float
    """Seconds since 1970 UTC; a connection may outlive it."""


class CollectionReader(Protocol):
    """Collections and what is in them."""

    def collections(self) -> Sequence[Collection]:
        """All of them, in any order."""
        ...

    def head(self, feed: str) -> FeedHead:
        """How far the feed has come; cheap."""
        ...

    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """The entries of the feed (a collection id) that `query` asks for, in order of position.

        The version is chosen first, over each object's entries in the spec
        versions asked for; `added_after` and `position` then act on what is left
        (decision 16.20).
        """
        ...

    def knows(self, feed: str, object_id: str) -> bool:
        """Whether any version of the object is in the feed."""
        ...


class ObjectIntake(Protocol):
    """Where objects are taken in and taken out."""

    def receive(
        self, account: Account, collection: Collection, objects: list[bytes], raw: bytes
    ) -> Submission:
        """Writes the submission down, durably, and lets as much of it settle as is quick."""
        ...

    def remove(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        object_id: str,
        keywords: frozenset[VersionKeyword] | None,
        versions: frozenset[int],
        specs: frozenset[str],
    ) -> int:
        """Takes versions of an object out of a verbatim collection; how many there were.

        `keywords` None and no `versions`: all of them.  No `specs`: of every spec version
        if all are meant, else of the latest that the object has.
        """
        ...


class StatusReader(Protocol):
    """What became of submissions."""

    def find(self, id: str, *, raw: bool = False) -> Submission | None:
        """The submission of this id; with `raw=False` without its bytes."""
        ...

    def records(self, id: str) -> Sequence[Record]:
        """What became of its objects, in order of index; those not settled may be left out."""
        ...


@dataclass(frozen=True, slots=True)
class TaxiiSettings:
    """What an operator may choose about the door."""

    title: str
    cursor_key: bytes = field(repr=False)
    """Secret of the hub; the same in all its processes, or `next` breaks between them."""
    description: str = ""
    contact: str = ""
    max_content_length: int = 10 * 1024 * 1024
    """Octets of a request's body."""
    max_objects: int = 100_000
    """Of one envelope."""
    page_size: int = 100
    """Objects on a page if no `limit` is asked for."""
    page_cap: int = 1000
    """Objects on a page at most."""
    interop_filters: bool = True
    """Whether the optional match filters of the interoperability document are understood."""
    public_discovery: bool = False
    """Whether `/taxii2/` answers without a credential."""
    schemes: frozenset[AuthScheme] = frozenset({AuthScheme.BASIC, AuthScheme.BEARER})
    """How a request may prove its account."""

    def __post_init__(self) -> None:
        """Stops a start with a key that could be guessed or limits that cannot be kept."""
        if len(self.cursor_key) < MIN_KEY_LENGTH:
            raise ValueError(f"cursor_key must have at least {MIN_KEY_LENGTH} octets")
        if min(self.max_content_length, self.max_objects, self.page_size, self.page_cap) < 1:
            raise ValueError("the door's limits must be greater than zero")


@dataclass(frozen=True, slots=True)
class TaxiiServices:
    """The house, as seen from the door."""

    settings: TaxiiSettings
    feeds: CollectionReader
    people: AccountLookup
    intake: ObjectIntake
    statuses: StatusReader
    vigil: Vigil = field(default_factory=Vigil)
    """Who waits for news."""
    rates: Rates = field(default_factory=lambda: Rates(0))
    """Who asked how often."""
