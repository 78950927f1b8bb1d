"""The real TAXII endpoints over a small hub in memory, for the tests of the endpoints.

Its feeds page as `protocols.Feeds` specifies: dense positions, strictly increasing
stamps; versions are selected before `added_after` and `position` apply.
"""

import base64
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flask
from flask.testing import FlaskClient
from support.presence import present
from werkzeug.test import TestResponse

from tocsin.admission.errors import Unavailable
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server import auth
from tocsin.server.model import (
    OBJECTS,
    Account,
    Agreement,
    Collection,
    CollectionKind,
    Entry,
    FeedHead,
    ObjectPage,
    Page,
    Partner,
    Query,
    Receipt,
    Record,
    Representation,
    Submission,
    VersionKeyword,
)
from tocsin.server.taxii import blueprint, register
from tocsin.server.taxii.long_poll import LongPolls
from tocsin.server.taxii.protocols import TaxiiServices, TaxiiSettings
from tocsin.server.taxii.rate_limit import RateLimiter

MT = "application/taxii+json;version=2.1"
EPOCH = micros("2024-01-01T00:00:00Z")

GREEN = Collection("11111111-1111-4111-8111-111111111111", "green", CollectionKind.FEED, "Green")
SCRATCH = Collection(
    "22222222-2222-4222-8222-222222222222", "scratch", CollectionKind.VERBATIM, "Scratch"
)
INBOX = Collection("33333333-3333-4333-8333-333333333333", "inbox", CollectionKind.INBOX, "Inbox")
HIDDEN = Collection(
    "44444444-4444-4444-8444-444444444444", "hidden", CollectionKind.VERBATIM, "Hidden"
)


@dataclass
class People:
    """Accounts by the digest of their secret, which is the account's name and `-key`."""

    by_digest: dict[str, Account] = field(default_factory=dict)
    asked: int = 0

    def add(self, account: Account) -> Account:
        self.by_digest[auth.hash_secret(f"{account.name}-key")] = account
        return account

    def find_account_by_credential(self, digest: str) -> Account | None:
        self.asked += 1
        return self.by_digest.get(digest)


@dataclass
class State:
    """The state of the hub at one look."""

    feeds: "Feeds"
    collections: list[Collection]
    heads: dict[str, FeedHead] = field(default_factory=dict)

    def find_account_by_credential(self, digest: str) -> Account | None:
        return self.feeds.people.find_account_by_credential(digest)

    def find_partner(self, slug: str) -> Partner | None:
        return None

    def agreements_of(self, partner: str) -> Sequence[Agreement]:
        return [each for each in self.feeds.agreements if each.partner == partner]

    def head(self, collection: Collection) -> FeedHead:
        if collection.id not in self.heads:
            self.heads[collection.id] = self.feeds.head(collection.id)
        return self.heads[collection.id]


@dataclass
class Feeds:
    """Feeds, each a list of entries with their types."""

    known: list[Collection]
    people: "People" = field(default_factory=lambda: People())
    logs: dict[str, list[tuple[str, Entry]]] = field(default_factory=dict)
    clock: int = EPOCH
    last: dict[str, int] = field(default_factory=dict)
    stamps: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    agreements: list[Agreement] = field(default_factory=list)
    pages: int = 0
    heads: int = 0

    def look(self, name: str = "") -> State:
        return State(self, self.known)

    def objects(
        self,
        collection: Collection,
        query: Query,
        state: State,
        representation: Representation = OBJECTS,
    ) -> tuple[FeedHead | None, ObjectPage]:
        before = state.head(collection)
        if before.is_past_end(query):
            return before, ObjectPage()
        page = self.page(collection.id, query)
        after = self.head(collection.id)
        return (before if before == after else None), ObjectPage.of(page, representation)

    def head(self, feed: str) -> FeedHead:
        self.heads += 1
        return FeedHead(self.last.get(feed, 0), self.stamps[feed], self.writes[feed])

    def add(self, feed: str, *objects: dict[str, Any]) -> list[Entry]:
        return [self.put(feed, one, json.dumps(one).encode()) for one in objects]

    def put(self, feed: str, one: dict[str, Any], body: bytes) -> Entry:
        position = self.last.get(feed, 0) + 1
        self.writes[feed] += 1
        self.last[feed], self.clock = position, self.clock + 1
        self.stamps[feed] = self.clock
        version = one.get("modified") or one.get("created") or timestamp(self.clock)
        entry = Entry(position, self.clock, one["id"], version, spec_of(one), body)
        self.logs.setdefault(feed, []).append((one["type"], entry))
        return entry

    def of(self, feed: str, object_id: str) -> list[Entry]:
        return [entry for _, entry in self.logs.get(feed, []) if entry.id == object_id]

    def knows(self, feed: str, object_id: str) -> bool:
        return bool(self.of(feed, object_id))

    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        self.pages += 1
        chosen = [
            entry
            for type, entry in self.logs.get(feed, [])
            if (not query.ids or entry.id in query.ids)
            and (not query.types or type in query.types)
            and self.picked(feed, entry, query)
            and entry.position > query.position
            and (query.added_after is None or entry.stamp > query.added_after)
        ]
        return Page(tuple(chosen[: query.limit]), more=len(chosen) > query.limit)

    def picked(self, feed: str, entry: Entry, query: Query) -> bool:
        every = self.of(feed, entry.id)
        specs = query.specs or {max(e.spec for e in every)}
        same = [e for e in every if e.spec == entry.spec]
        return entry.spec in specs and chosen(entry, same, query.keywords, query.versions)


def chosen(entry: Any, same: Any, keywords: Any, versions: Any) -> bool:
    at = sorted(same, key=lambda e: micros(e.version))
    return (
        VersionKeyword.ALL in keywords
        or (VersionKeyword.LAST in keywords and entry == at[-1])
        or (VersionKeyword.FIRST in keywords and entry == at[0])
        or micros(entry.version) in versions
    )


def spec_of(one: dict[str, Any]) -> str:
    return one.get("spec_version") or ("2.0" if "created" in one else "2.1")


@dataclass
class Intake:
    """Verbatim collections accept objects with type and id; inbox submissions stay pending."""

    feeds: Feeds
    statuses: "Statuses"
    received: list[bytes] = field(default_factory=list)
    failing: Exception | None = None

    def receive(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        objects: list[bytes],
        raw: bytes,
        collections: Sequence[Collection] = (),
    ) -> Receipt:
        if self.failing:
            raise self.failing
        self.received.append(raw)
        if collection.kind is CollectionKind.INBOX:
            records = [Record(i, "pending") for i in range(len(objects))]
        else:
            records = [self.take(collection, i, body) for i, body in enumerate(objects)]
        submission = self.statuses.add(account, collection, records)
        return Receipt(submission, self.statuses.records(submission.id))

    def take(self, collection: Collection, index: int, body: bytes) -> Record:
        one = json.loads(body)
        if not isinstance(one, dict) or not {"id", "type"} <= one.keys():
            return Record(index, "refused", findings=(finding("refused", "it has no id"),))
        for entry in self.feeds.of(collection.id, one["id"]):
            if entry.version == (one.get("modified") or one.get("created") or entry.version):
                same = json.loads(entry.body) == one
                findings = () if same else (finding("refused", "other content is here already"),)
                verdict = "duplicate" if same else "refused"
                return Record(index, verdict, entry.id, entry.version, findings=findings)
        entry = self.feeds.put(collection.id, one, body)
        return Record(index, "admitted", entry.id, entry.version, entry.id)

    def remove(
        self,
        account: Any,
        collection: Any,
        object_id: Any,
        keywords: Any,
        versions: Any,
        specs: Any,
    ) -> int:
        every = self.feeds.of(collection.id, object_id)
        if keywords is None and not versions:
            gone = [e for e in every if not specs or e.spec in specs]
        else:
            query = Query(keywords=keywords or frozenset(), versions=versions, specs=specs)
            gone = [e for e in every if self.feeds.picked(collection.id, e, query)]
        log = self.feeds.logs.get(collection.id, [])
        self.feeds.writes[collection.id] += bool(gone)
        self.feeds.logs[collection.id] = [pair for pair in log if pair[1] not in gone]
        return len(gone)


@dataclass
class Statuses:
    """Submissions with their records."""

    kept: dict[str, tuple[Submission, Sequence[Record]]] = field(default_factory=dict)

    def add(self, account: Account, collection: Collection, records: list[Record]) -> Submission:
        settled = [record.verdict for record in records if record.verdict != "pending"]
        submission = Submission(
            str(uuid.uuid4()),
            account.name,
            account.partner,
            collection.id,
            EPOCH,
            len(records),
            settled=len(settled),
            counts=Counter(settled),
        )
        self.kept[submission.id] = (submission, records)
        return submission

    def find(self, id: str, *, raw: bool = True) -> Submission | None:
        return self.kept[id][0] if id in self.kept else None

    def list_of_partner(
        self, partner: str, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[Submission]:
        found = [each for each, _ in self.kept.values() if each.partner == partner]
        found.sort(key=lambda each: (each.received, each.id), reverse=True)
        return [each for each in found if not before or (each.received, each.id) < before][:limit]

    def records(self, id: str) -> Sequence[Record]:
        return self.kept[id][1]


def finding(action: str, message: str) -> dict[str, str]:
    return {"stage": "validate", "rule": "r", "path": "", "action": action, "message": message}


class NoDeliveries:
    def record(self, *page: object) -> None:
        """Forget it."""


class Readiness:
    """A hub that can do everything, until a test says otherwise."""

    database = room = True

    def check_database(self) -> None:
        if not self.database:
            raise Unavailable("the database is away")

    def check_room(self) -> None:
        if not self.room:
            raise Unavailable("there is no room", 30)


def is_connection_error(error: Exception) -> bool:
    return isinstance(error, ConnectionError)


class TaxiiHub:
    """The TAXII endpoints over a hub in memory, and a client for its accounts.

    `acme` reads green, reads and writes scratch, writes the inbox; `blind` has no rights.
    """

    def __init__(
        self,
        quota: int = 0,
        long_polls: LongPolls | None = None,
        feeds: Feeds | None = None,
        **settings: Any,
    ) -> None:
        self.feeds = feeds or Feeds([HIDDEN, SCRATCH, GREEN, INBOX])
        self.people = self.feeds.people
        self.statuses = Statuses()
        self.intake = Intake(self.feeds, self.statuses)
        self.settings = TaxiiSettings(
            "Tocsin", **{"page_token_key": b"k" * 32, "contact": "ops@hub.example"} | settings
        )
        self.acme = self.account("acme-robot", "acme", {GREEN, SCRATCH}, {INBOX, SCRATCH})
        self.blind = self.account("blind", "blindfold", set(), set())
        self.operator = self.people.add(Account("operator", "", operator=True))
        self.long_polls = long_polls or LongPolls()
        limits = (self.long_polls, RateLimiter(quota))
        self.readiness = Readiness()
        services = self.feeds, self.intake, self.statuses, NoDeliveries(), self.readiness
        hub = TaxiiServices(self.settings, *services, *limits)
        self.app = flask.Flask("hub")
        self.app.register_blueprint(blueprint(hub))
        register(self.app, hub, other_paths=("/console/",), is_outage=is_connection_error)
        self.client: FlaskClient = self.app.test_client()

    def account(self, name: str, partner: str, reads: set[Any], writes: set[Any]) -> Account:
        may_read, may_write = (frozenset(c.id for c in those) for those in (reads, writes))
        return self.people.add(Account(name, partner, may_read, may_write))

    def ask(
        self, path: str, *, method: str = "GET", by: str | None = "acme-robot", **more: Any
    ) -> Any:
        headers = {"Accept": MT} | more.pop("headers", {})
        if by:
            headers = {"Authorization": basic(by, f"{by}-key")} | headers
        headers = {name: value for name, value in headers.items() if value is not None}
        return self.client.open(path, method=method, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        """GET below the collections: `green/objects/?limit=1`."""
        return self.ask(f"/hub/collections/{path}", **more)

    def post(self, name: str, body: bytes | dict[str, Any], **more: Any) -> Any:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": MT} | more.pop("headers", {})
        path = f"/hub/collections/{name}/objects/"
        return self.ask(path, method="POST", data=octets, headers=headers, **more)


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def indicator(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Build an indicator whose id ends in its number."""
    subject = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2020-01-01T00:00:00.000Z",
        "modified": "2020-01-01T00:00:00.000Z",
        "pattern": f"[domain-name:value = 'bad{number}.example']",
        "pattern_type": "stix",
        "valid_from": "2020-01-01T00:00:00Z",
    }
    return subject | changes


def address(number: int = 1) -> dict[str, Any]:
    """Build an SCO, which has no created and no modified."""
    return {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": f"ipv4-addr--00000000-0000-4000-8000-{number:012d}",
        "value": f"198.51.100.{number}",
    }


def objects(taxii: TaxiiHub, query: str = "") -> Any:
    """The response to a request for the objects of the collection `green`."""
    return taxii.get(f"green/objects/{query}")


def ids(response: TestResponse) -> list[int]:
    """Return the numbers of the objects on a page."""
    return [int(one["id"][-12:]) for one in present(response.json).get("objects", [])]


def stamp(position: int) -> str:
    """Return the date_added of an entry of `filled_hub`, by its position in green."""
    return timestamp(EPOCH + position)


def filled_hub() -> TaxiiHub:
    """Fill green with seven indicators, two more versions of 1 (the older one last) and an SCO."""
    taxii = TaxiiHub()
    taxii.feeds.add(GREEN.id, *(indicator(n) for n in range(1, 8)))
    taxii.feeds.add(GREEN.id, indicator(1, modified="2022-01-01T00:00:00Z"))
    taxii.feeds.add(GREEN.id, indicator(1, modified="2021-01-01T00:00:00.000Z"), address(9))
    return taxii
