"""The report on one published object: what is published where, how it came about, who received it.

An account gets what it may know (`server/auth.py`): published versions of the
collections that it may read, and its own partner's contributions.  Who else reported the
object, how its confidence came about and who received it is for the hub's own people;
for all others these parts are absent, and nothing in the report depends on them.

The number of reads is bounded: one for each readable collection, and about a dozen more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tocsin.admission.errors import NotFound
from tocsin.admission.markings.revoked_definitions import is_ended_definition
from tocsin.admission.markings.tlp import strictest_tlp
from tocsin.admission.merge.statistics import ConfidenceSteps
from tocsin.admission.model import Assessment, AssessmentKind, Contribution, StixObject, Tlp
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.stix.object_titles import object_title
from tocsin.server.auth import may_read_contributions, readable_collections
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    Entry,
    ObjectVersion,
    PublicObject,
    Query,
)
from tocsin.server.publishing.public_objects import (
    Merge,
    PublishingConfig,
    explain_public_confidence,
    find_leader,
)
from tocsin.server.reports.receivers import Receiver, Receivers, VersionStamps, date_stamps
from tocsin.server.store import Store
from tocsin.server.store.match_filters import parse_filter, visibility

MOST_RELATIONS = 40
"""Relations that a report lists in each direction."""
TITLES_AT_ONCE = 30
"""Other ends of relations whose titles one read looks up."""
MOST_COUNTED = 1_000
"""Relations that are counted beyond those."""


@dataclass(frozen=True, slots=True)
class PublishedCopy:
    """An object as one collection holds it."""

    collection: Collection
    versions: tuple[ObjectVersion, ...]
    """In the order in which they were added, at least one."""

    @property
    def current(self) -> ObjectVersion:
        """The version that a poller receives."""
        return next((each for each in self.versions[::-1] if each.is_current), self.versions[-1])


@dataclass(frozen=True, slots=True)
class ReportedContribution:
    """The report of one partner on an object; private."""

    partner: str
    source_id: str
    tlp: Tlp
    received: int
    """µs since 1970 UTC."""
    confidence: int | None
    """Confidence as the partner stated it."""
    reliability: int | None
    """The partner's, by which it counts; for the hub's own people, as the next one."""
    leads: bool | None
    """True if the object says what this partner reported."""


@dataclass(frozen=True, slots=True)
class ReportedAssessment:
    """A sighting of an object or an opinion about it; private."""

    partner: str
    kind: AssessmentKind
    when: int
    tlp: Tlp


@dataclass(frozen=True, slots=True)
class Relation:
    """A reference between an object and another one."""

    outgoing: bool
    """True if it leads from the object of the report to the other one."""
    kind: str
    """The relationship's type; for a plain reference its property, as `created_by_ref`."""
    id: str
    """The other object."""
    title: str = ""
    """The other's pattern, value or name; empty if the collection does not have it."""
    is_known: bool = False
    """The collection with the fullest copy has the other object too."""


@dataclass(frozen=True, slots=True)
class Relations:
    """The relations of an object, at most `MOST_RELATIONS` in each direction."""

    listed: tuple[Relation, ...] = ()
    more_outgoing: int = 0
    """References of the object itself that are not listed."""
    more_incoming: int = 0
    """Objects that refer to it and are not listed; about, since the index counts them."""


@dataclass(frozen=True, slots=True)
class PublishedFigures:
    """The hub's figures as readers of an indicator see them."""

    contributors: int
    sightings: int
    false_positives: int


@dataclass(frozen=True, slots=True)
class PrivateReport:
    """Facts about an object that only the hub's own people may know."""

    confidence: ConfidenceSteps | None
    """Confidence as computed now; readers see a rise after the quiet period.  None if the object is
    revoked, or no report states a confidence."""
    received: tuple[Receiver, ...]
    not_received: tuple[Account, ...]
    """Accounts that may read a collection that has it, and have not received it."""
    revocation_reason: str
    """A `RevocationReason`; empty while it is in force."""
    lead: str
    """The partner that a reviewer lets lead; empty: none was chosen."""


@dataclass(frozen=True, slots=True)
class ObjectReport:
    """Facts about a published object that an account may know."""

    id: str
    type: str
    title: str
    copies: tuple[PublishedCopy, ...]
    """The strictest collection last: it has the fullest copy."""
    in_force: bool
    """Neither revoked nor expired, in the fullest copy."""
    revoked: bool
    valid_until: int | None
    """µs since 1970 UTC; 0 if it cannot be read."""
    tlp: Tlp
    confidence: int | None
    """The object as it is published."""
    figures: PublishedFigures | None
    """None for everything but indicators."""
    contributions: tuple[ReportedContribution, ...]
    """Reports of all partners for the hub's own people, else those of the account's partner."""
    assessments: tuple[ReportedAssessment, ...]
    relations: Relations
    private: PrivateReport | None = field(default=None, repr=False)
    """None unless the account may read contributions."""

    @property
    def body(self) -> StixObject:
        """The object as it is published, in the fullest copy."""
        parsed: StixObject = orjson.loads(self.copies[-1].current.body)
        return parsed


class ObjectReports:
    """Makes the reports on published objects."""

    def __init__(
        self,
        store: Store,
        config: PublishingConfig,
        receivers: Receivers,
        clock: Callable[[], int],
    ) -> None:
        """`config` has the numbers by which contributions were merged; `clock` gives µs."""
        self._store, self._config, self._receivers = store, config, receivers
        self._clock = clock

    def report(self, account: Account, object_id: str) -> ObjectReport:
        """The report on the object with this public id.

        Raises NotFound if no collection that the account may read has it: then the account
        does not learn if there is one.
        """
        collections = readable_collections(account, self._store.feeds.look().collections)
        copies = self._find_copies(collections, object_id)
        if not copies:
            raise NotFound(f"there is no object {object_id!r}")
        current = copies[-1].current
        body: StixObject = orjson.loads(current.body)
        # By the text that this account reads: the public object may have ended at a stricter level.
        has_ended = is_ended_definition(body)
        public = self._store.read(lambda known: known.public_objects([object_id])).get(object_id)
        is_private = may_read_contributions(account)
        now = self._clock()
        return ObjectReport(
            id=object_id,
            type=str(body.get("type", "")),
            title=object_title(body),
            copies=copies,
            in_force=current.visibility.active(now) and not has_ended,
            revoked=current.visibility.revoked or has_ended,
            valid_until=current.visibility.valid_until,
            tlp=current.visibility.tlp,
            confidence=_whole(body.get("confidence")),
            figures=_published_figures(body),
            contributions=self._contributions(account, public),
            assessments=_assessments(account, public),
            relations=self._relations(copies[-1], body),
            private=self._private(collections, public, copies) if is_private else None,
        )

    def _find_copies(
        self, collections: Sequence[Collection], object_id: str
    ) -> tuple[PublishedCopy, ...]:
        """The copies in readable collections, the fullest last; in views only those without it."""
        feeds = {each.id: each for each in collections if each.view is None}
        found = self._store.feeds.find_object(feeds, object_id)
        copies = [PublishedCopy(feeds[id], tuple(every)) for id, every in found.items() if every]
        for collection in collections:
            if collection.view is not None and not copies:
                copies += self._find_in_view(collection, object_id)
        return tuple(sorted(copies, key=_fullness))

    def _find_in_view(self, collection: Collection, object_id: str) -> Iterator[PublishedCopy]:
        """The copy that a view shows of an object whose own feed the account may not read."""
        query = Query(limit=1, ids=frozenset({object_id}))
        entries = self._store.feeds.page(collection.id, query).entries
        if entries:
            yield PublishedCopy(collection, tuple(map(_version_in_view, entries)))

    def _contributions(
        self, account: Account, public: PublicObject | None
    ) -> tuple[ReportedContribution, ...]:
        if public is None:
            return ()
        leader = ""
        every = public.contributions
        if may_read_contributions(account):
            leader = find_leader(public, self._merge())
        else:
            every = tuple(c for c in every if account.partner and c.partner == account.partner)
        return tuple(
            _reported(each, leads=each.partner == leader if leader else None)
            for each in sorted(every, key=lambda each: (each.received, each.partner))
        )

    def _private(
        self,
        collections: Sequence[Collection],
        public: PublicObject | None,
        copies: Sequence[PublishedCopy],
    ) -> PrivateReport:
        object_id = orjson.loads(copies[-1].current.body)["id"]
        stamps = {copy.collection.id: _stamps_of(copy) for copy in copies}
        accounts = self._store.accounts.list_accounts()
        received = tuple(self._receivers.find(object_id, stamps, accounts))
        held = frozenset(
            c.id for c in collections if stamps.keys() & {c.id, *(c.view.sources if c.view else ())}
        )
        got = {each.account for each in received}
        missing = [a for a in accounts if not a.disabled and a.name not in got]
        steps = explain_public_confidence(public, self._merge()) if public is not None else None
        return PrivateReport(
            confidence=steps,
            received=received,
            not_received=tuple(a for a in missing if a.reads & held),
            revocation_reason=public.revocation_reason if public is not None else "",
            lead=public.lead if public is not None else "",
        )

    def _relations(self, copy: PublishedCopy, body: StixObject) -> Relations:
        """The relations in the collection that has the fullest copy."""
        out = list(_references(body))
        outgoing, into = out[:MOST_RELATIONS], list[Relation]()
        more_incoming = 0
        feed = copy.collection
        if feed.view is None:
            query = Query(
                limit=MOST_RELATIONS,
                filters=(parse_filter("relationships-all", [str(body["id"])]),),
            )
            page = self._store.feeds.newest(feed.id, query)
            into = [each for entry in page.entries for each in _incoming(entry, str(body["id"]))]
            if page.more:
                counted = self._store.feeds.count_matches(feed.id, query, MOST_COUNTED)
                more_incoming = max(counted - len(page.entries), 1)
            titles = self._find_titles(feed, {each.id for each in (*outgoing, *into)})
            outgoing = [_with_title(each, titles) for each in outgoing]
            into = [_with_title(each, titles) for each in into]
        return Relations((*outgoing, *into), max(0, len(out) - len(outgoing)), more_incoming)

    def find_titles(self, account: Account, ids: Iterable[str]) -> dict[str, str]:
        """The titles of those of these public ids that the account may read."""
        left, titles = set(ids), dict[str, str]()
        for each in readable_collections(account, self._store.feeds.look().collections):
            if left and each.kind is CollectionKind.FEED:
                titles |= self._find_titles(each, left)
                left -= titles.keys()
        return titles

    def _find_titles(self, feed: Collection, ids: Iterable[str]) -> dict[str, str]:
        titles: dict[str, str] = {}
        every = sorted(ids)
        for start in range(0, len(every), TITLES_AT_ONCE):
            wanted = frozenset(every[start : start + TITLES_AT_ONCE])
            page = self._store.feeds.page(feed.id, Query(limit=2 * len(wanted), ids=wanted))
            titles |= {each.id: object_title(orjson.loads(each.body)) for each in page.entries}
        return titles

    def _merge(self) -> Merge:
        return Merge(self._config, self._clock())


def _fullness(copy: PublishedCopy) -> tuple[bool, Tlp, str]:
    feed = copy.collection
    return feed.kind is CollectionKind.FEED, feed.max_tlp, feed.id


def _version_in_view(entry: Entry) -> ObjectVersion:
    subject = orjson.loads(entry.body)
    seen = visibility(subject, strictest_tlp(subject))
    return ObjectVersion(entry.stamp, entry.version, entry.spec, entry.body, seen, is_current=True)


def _stamps_of(copy: PublishedCopy) -> list[VersionStamps]:
    return date_stamps([(each.stamp, each.spec, each.version) for each in copy.versions])


def _reported(each: Contribution, *, leads: bool | None) -> ReportedContribution:
    return ReportedContribution(
        partner=each.partner,
        source_id=each.source_id,
        tlp=each.tlp,
        received=each.received,
        confidence=_whole(each.object.get("confidence")),
        reliability=None if leads is None else each.reliability,
        leads=leads,
    )


def _assessments(account: Account, public: PublicObject | None) -> tuple[ReportedAssessment, ...]:
    every: Sequence[Assessment] = public.assessments if public is not None else ()
    if not may_read_contributions(account):
        every = [each for each in every if account.partner and each.partner == account.partner]
    return tuple(
        ReportedAssessment(each.partner, each.kind, each.when, each.tlp)
        for each in sorted(every, key=lambda each: (each.when, each.partner))
    )


def _published_figures(body: StixObject) -> PublishedFigures | None:
    history = body.get("extensions", {}).get(EXTENSION_ID) if body["type"] == "indicator" else None
    if not isinstance(history, dict):
        return None
    return PublishedFigures(
        contributors=history.get("contributors", 0),
        sightings=history.get("sightings", 0),
        false_positives=history.get("false_positives", 0),
    )


def _references(body: StixObject) -> Iterator[Relation]:
    """The references that an object has itself, at any depth."""
    if body["type"] == "relationship":
        kind = str(body.get("relationship_type", "relationship"))
        yield Relation(False, kind, str(body.get("source_ref", "")))
        yield Relation(True, kind, str(body.get("target_ref", "")))
    waiting: list[Any] = [body]
    while waiting:
        each = waiting.pop()
        for name, value in each.items() if isinstance(each, dict) else ():
            if name in ("source_ref", "target_ref") and each is body:
                continue
            yield from _named_references(name, value)
            waiting += [value] if isinstance(value, dict) else []
            waiting += value if isinstance(value, list) else []


def _named_references(name: str, value: object) -> Iterator[Relation]:
    if name == "object_marking_refs":
        return
    if name.endswith("_ref") and isinstance(value, str):
        yield Relation(True, name, value)
    elif name.endswith("_refs") and isinstance(value, list):
        yield from (Relation(True, name, each) for each in value if isinstance(each, str))


def _incoming(entry: Entry, object_id: str) -> Iterator[Relation]:
    """The relation that an object which refers to `object_id` makes."""
    subject = orjson.loads(entry.body)
    if subject.get("type") == "relationship":
        kind = str(subject.get("relationship_type", "relationship"))
        if subject.get("source_ref") == object_id:
            yield Relation(True, kind, str(subject.get("target_ref", "")))
        if subject.get("target_ref") == object_id:
            yield Relation(False, kind, str(subject.get("source_ref", "")))
        return
    names = {each.kind for each in _references(subject) if each.id == object_id}
    yield from (Relation(False, name, entry.id) for name in sorted(names))


def _with_title(relation: Relation, titles: Mapping[str, str]) -> Relation:
    is_known = relation.id in titles
    return replace(relation, title=titles.get(relation.id, ""), is_known=is_known)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
