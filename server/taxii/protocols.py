"""Interfaces and settings that the TAXII endpoints need from the rest of the hub.

The store and the intake implement the protocols; nothing in `taxii/` knows either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from tocsin.server.agreements import AgreementLookup
from tocsin.server.auth import AccountLookup, AuthScheme
from tocsin.server.model import (
    OBJECTS,
    Account,
    Collection,
    DeliveryRecorder,
    FeedHead,
    ObjectPage,
    Page,
    Query,
    Receipt,
    Record,
    Representation,
    Submission,
    VersionKeyword,
)
from tocsin.server.taxii.long_poll import LongPolls
from tocsin.server.taxii.rate_limit import RateLimiter

MIN_KEY_LENGTH = 16
"""Minimum octets of `page_token_key`."""


CLIENT_CERTIFICATE = "tocsin.certificate"
"""WSGI environ key of the connection's `ClientCertificate`; absent without one."""


class ClientCertificate(NamedTuple):
    """A client certificate that was verified in the TLS handshake."""

    fingerprint: str
    """Fingerprint, as in `auth.certificate_fingerprint`."""
    expires: float
    """Seconds since 1970 UTC; a connection may outlive it."""


class HubState(AccountLookup, AgreementLookup, Protocol):
    """The configuration at one moment, and what one collection is at."""

    def head(self, collection: Collection) -> FeedHead:
        """The head of the collection that was looked up."""
        ...


State = TypeVar("State", bound=HubState)


class CollectionReader(Protocol[State]):
    """Collections and their contents."""

    def look(self, name: str = "") -> State:
        """The configuration in force, and what the collection of this id or alias is at; cheap."""
        ...

    def objects(
        self,
        collection: Collection,
        query: Query,
        state: State,
        representation: Representation = OBJECTS,
    ) -> tuple[FeedHead | None, ObjectPage]:
        """The page that `query` selects in a representation, and the head at which it is this page.

        The head is None if the collection was written to since it was looked up.
        """
        ...

    def head(self, feed: str) -> FeedHead:
        """The latest position and stamp of a feed; cheap."""
        ...

    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """The entries of the feed (a collection id) that `query` selects, in order of position.

        The version is chosen first, over each object's entries in the requested spec
        versions; `added_after` and `position` then filter the rest (decision 16.20).
        """
        ...

    def knows(self, feed: str, object_id: str) -> bool:
        """True if any version of the object is in the feed."""
        ...


class ObjectIntake(Protocol):
    """Adding and deleting objects."""

    def receive(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        objects: list[bytes],
        raw: bytes,
        collections: Sequence[Collection] = (),
    ) -> Receipt:
        """Store the submission durably, and settle as much of it as is quick.

        `collections` are all of the hub's, so that they are not looked up again.
        """
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
        """Delete versions of an object from a verbatim collection; returns their number.

        `keywords` None and no `versions`: all versions.  No `specs`: of every spec version
        if all versions are meant, else of the latest that the object has.
        """
        ...


class StatusReader(Protocol):
    """Submissions and their records."""

    def find(self, id: str, *, raw: bool = False) -> Submission | None:
        """The submission of this id; with `raw=False` without its bytes."""
        ...

    def list_of_partner(
        self, partner: str, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[Submission]:
        """Submissions of a partner without their bytes, the newest first, at most `limit`.

        `before`: those after this one in that order, by when it was received and its id.
        """
        ...

    def records(self, id: str) -> Sequence[Record]:
        """The record of each object, by index; unsettled ones may be missing."""
        ...


class Readiness(Protocol):
    """Ability of the hub to serve at present."""

    def check_database(self) -> None:
        """Raises Unavailable, at once, if the database is known not to answer."""
        ...

    def check_room(self) -> None:
        """Raises Unavailable if there is no room for a submission."""
        ...


@dataclass(frozen=True, slots=True)
class TaxiiSettings:
    """The operator's settings for the TAXII endpoints."""

    title: str
    page_token_key: bytes = field(repr=False)
    """Secret of the hub; all its processes need the same, or `next` fails between them."""
    contact: str = ""
    max_content_length: int = 10 * 1024 * 1024
    """Octets of a request body."""
    max_objects: int = 100_000
    """Objects in one envelope."""
    page_size: int = 1_000
    """Objects per page without `limit`."""
    page_cap: int = 10_000
    """Maximum objects per page."""
    interop_filters: bool = True
    """Enables the optional match filters of the interoperability document."""
    public_discovery: bool = False
    """Serves `/taxii2/` without a credential."""
    schemes: frozenset[AuthScheme] = frozenset({AuthScheme.BASIC, AuthScheme.BEARER})
    """The enabled authentication schemes."""
    require_agreements: bool = False
    """A partner without any agreement has no rights."""

    def __post_init__(self) -> None:
        """Refuse a guessable key and limits below one."""
        if len(self.page_token_key) < MIN_KEY_LENGTH:
            raise ValueError(f"page_token_key must have at least {MIN_KEY_LENGTH} octets")
        if min(self.max_content_length, self.max_objects, self.page_size, self.page_cap) < 1:
            raise ValueError("limits must be greater than zero")


@dataclass(frozen=True, slots=True)
class TaxiiServices:
    """The hub's services, as the TAXII endpoints use them."""

    settings: TaxiiSettings
    feeds: CollectionReader[Any]
    intake: ObjectIntake
    statuses: StatusReader
    deliveries: DeliveryRecorder
    readiness: Readiness
    long_polls: LongPolls = field(default_factory=LongPolls)
    rate_limiter: RateLimiter = field(default_factory=lambda: RateLimiter(0))
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000
    """The time in µs since 1970 UTC, by which agreements begin and end."""
