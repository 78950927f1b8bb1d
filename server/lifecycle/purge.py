"""Purge: delete the content of published objects from everything that the hub keeps.

One transaction revokes the object and publishes, in each feed that had it, a last
version that says only that there was one: pollers learn of the end, and no position
or stamp changes.  It also notes what is still to be deleted: all earlier versions in
every feed, the bodies of submissions, and reviews.  Each step after that may be
repeated without harm, and a worker goes on with what a crash left.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from tocsin.admission.errors import Conflict, Malformed, NotAllowed, NotFound
from tocsin.admission.merge.content import object_digest
from tocsin.admission.merge.identity import is_observable_type, observable_id
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import stix_time
from tocsin.server.intake.evaluate import split_envelope
from tocsin.server.intake.intake import Intake
from tocsin.server.intake.queue import LEASE
from tocsin.server.lifecycle.lifecycle import Lifecycle, describe_end
from tocsin.server.model import (
    OPERATOR_SLUG,
    Collection,
    CollectionKind,
    Exclusion,
    NewEntry,
    PendingReferences,
    PublicObject,
    Purge,
    PurgeRequest,
    RevocationReason,
)
from tocsin.server.person import Role
from tocsin.server.publishing.public_objects import new_entry
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.publishing.references import revocation_name
from tocsin.server.publishing.revoked_and_purged_versions import purged_version
from tocsin.server.publishing.versions_by_tlp import MILLISECOND
from tocsin.server.store import Snapshot, Store, Transaction
from tocsin.server.store.exclusions import parse_exclusion
from tocsin.server.store.purged_content import is_mentioned

log = logging.getLogger(__name__)

PATIENCE = 60_000_000
"""µs after which a worker goes on with a purge that another process began."""
_BARE = b'{"type":"purged"}'
_OBJECT_ID = re.compile("[a-z][a-z0-9-]*--[A-Za-z0-9-]+")
_WHO = "purge"
_REASON = "its content was purged"


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """The ids of the objects that a purge deleted, and its counts."""

    ids: tuple[str, ...]
    """The public objects, and objects of verbatim collections."""
    versions: int
    """Versions removed from feeds and verbatim collections."""
    submissions: int
    """Submissions whose body was deleted or cut."""
    reviews: int
    """Reviews whose object was deleted."""
    in_progress: int
    """Submissions that a worker has in hand: purge again when they are settled."""
    also_in: tuple[str, ...] = ()
    """Other objects that name the value in a text or pattern; they were left alone."""

    @property
    def found_anything(self) -> bool:
        """True if something was purged, or a worker has a submission of it in hand."""
        return bool(
            self.ids or self.versions or self.submissions or self.reviews or self.in_progress
        )


@dataclass(frozen=True, slots=True)
class _PurgeCommand:
    """An operator's command to purge."""

    ids: tuple[str, ...]
    who: str
    reason: str
    values: tuple[str, ...] = ()
    """Texts that nothing may contain that is kept."""
    asked_by: str = ""
    """The operator who asked for it, if a second one confirms it."""
    is_left: bool = False
    """A worker deletes the content, as one that a crash left."""

    def describe(self, public_id: str, level: Tlp | None) -> dict[str, object]:
        """The details of its entry in the journal."""
        what = describe_end(public_id, level, self.reason)
        return what | ({"asked_by": self.asked_by} if self.asked_by else {})


class _CutBody(NamedTuple):
    """Outcome of a purge for one submission."""

    is_changed: bool = False
    """False if a purge of before had deleted it, or its time was over."""
    is_read: bool = False
    """True if a worker has read the body before."""


class Purger:
    """Deletes the content of objects, on an operator's command."""

    def __init__(
        self, store: Store, publisher: Publisher, intake: Intake, lifecycle: Lifecycle
    ) -> None:
        """The clock is that of `lifecycle`."""
        self._store = store
        self._publisher = publisher
        self._intake = intake
        self._lifecycle = lifecycle

    def check(self, name: str) -> None:
        """Raises what `purge` or `purge_value` would raise for a name; changes nothing."""
        if not is_object_id(name):
            parse_exclusion(name, "", 0)
            return
        if self._publisher.is_own(name):
            raise Malformed(f"{name} is the hub's own object, which every feed needs")
        if not self._is_known(name, self._logs()) and not self._store.purges.find_sources([name]):
            raise NotFound(f"there is no object {name!r} in any feed or collection")

    def find_targets(self, name: str) -> list[str]:
        """The ids of all objects whose content a purge of this id or value deletes.

        Raises Malformed if the value is of no known kind.
        """
        is_id = is_object_id(name)
        ids = [name] if is_id else self._find_ids(parse_exclusion(name, "", 0))
        return self._store.read(lambda known: [*_find_translations(known, ids), *ids])

    def purge(self, public_id: str, who: str, reason: str) -> PurgeReport:
        """Purge one object, named by its public id, or its id in a verbatim collection.

        Raises NotFound if there is none with this id, and never was, Malformed if it is one that
        the hub publishes in its own name.
        """
        self.check(public_id)
        begun = self._begin(_PurgeCommand((public_id,), who, reason))
        return _total(self._finish(purge) for purge in begun)

    def begin(self, public_id: str, who: str, reason: str) -> None:
        """Revoke an object for good; a worker deletes its content within seconds.

        Raises what `purge` raises.
        """
        self.check(public_id)
        self._begin(_PurgeCommand((public_id,), who, reason, is_left=True))

    def request(self, public_id: str, who: str, reason: str) -> None:
        """Ask for a purge that another operator has to confirm.  Raises what `purge` raises."""
        self.check(public_id)

        def ask(txn: Transaction) -> None:
            txn.purges.put_request(PurgeRequest(public_id, who, reason, txn.now))
            what = {"public": public_id, "reason": reason}
            txn.add_journal_entry("object.purge_request", who, what)

        self._store.commit(ask)

    def confirm(self, public_id: str, who: str) -> None:
        """Begin the purge that another operator has asked for, as `begin` does.

        Raises NotFound if nobody asks for it any more, NotAllowed if it was the same operator,
        Conflict if the one who asked is none any more.
        """
        request = self._store.purges.find_request(public_id)
        if request is None:
            raise NotFound(f"nobody asks to purge {public_id!r}")
        if request.who == who:
            raise NotAllowed("a second operator has to confirm this purge")
        asker = self._store.people.find_by_login(request.who)
        if asker is None or asker.disabled or not asker.has(Role.OPERATOR):
            raise Conflict("the person who asked for this is not an operator any more: decline it")
        command = _PurgeCommand(
            (public_id,), who, request.reason, asked_by=request.who, is_left=True
        )
        self._begin(command)

    def decline(self, public_id: str, who: str) -> None:
        """Drop a request.  Raises NotFound if there is none."""

        def drop(txn: Transaction) -> None:
            request = txn.purges.find_request(public_id)
            if request is None:
                raise NotFound(f"nobody asks to purge {public_id!r}")
            txn.purges.remove_request(public_id)
            what = {"public": public_id, "asked_by": request.who}
            txn.add_journal_entry("object.purge_decline", who, what)

        self._store.commit(drop)

    def purge_value(self, text: str, who: str, reason: str) -> PurgeReport:
        """Purge the indicators on exactly this value, in every scope, and its observable.

        Submissions and reviews that name the value lose it too, even if nothing was published.
        Raises Malformed if the value is of no known kind.
        """
        about = parse_exclusion(text, reason, 0)
        begun = self._begin(
            _PurgeCommand(tuple(self._find_ids(about)), who, reason, (about.value,))
        )
        report = _total(self._finish(purge) for purge in begun)
        return replace(report, also_in=tuple(self._store.purges.find_mentions((about.value,))))

    def work(self) -> bool:
        """Go on with the purges that a crash left; False if none could be finished."""
        now, finished = self._lifecycle.now(), False
        for purge in self._store.purges.unfinished():
            if purge.begun > now - PATIENCE or not self._store.purges.claim(purge, now):
                continue
            try:
                self._finish(replace(purge, begun=now))
                finished = True
            except Exception as error:  # the others go on
                if self._store.availability.is_outage(error):
                    raise
                log.exception("cannot finish the purge id=%s; it is retried", purge.public_id)
        return finished

    def _begin(self, command: _PurgeCommand) -> list[Purge]:
        """Revoke what is to be purged, and note what is still to be deleted."""
        ids = command.ids
        own = frozenset(self._store.purges.find_sources(ids))
        collections = self._logs()
        begun = self._lifecycle.now() - (PATIENCE if command.is_left else 0)

        def begin(txn: Transaction) -> list[Purge]:
            _fulfil_request(txn, command)
            every = (*_find_translations(txn, ids), *ids)
            levels = {each.id: each.tlp for each in txn.public_objects(every).values()}
            found = [_begin(txn, self._publisher, collections, id_) for id_ in every]
            purges = [
                replace(purge, sources=purge.sources | own, values=command.values, begun=begun)
                for purge in found
                if purge is not None
            ]
            if command.values and not purges:
                purges = [Purge(ids[-1], own, command.values, begun=begun)]
            for purge in purges:
                _forbid_sources(txn, purge)
                what = command.describe(purge.public_id, levels.get(purge.public_id))
                txn.add_journal_entry("object.purge", command.who, what)
            return [txn.purges.put(purge) for purge in purges]

        return self._store.commit(begin)

    def _find_ids(self, about: Exclusion) -> list[str]:
        """The ids of the indicators on exactly a value, in every scope, and of its observable."""
        return [*self._lifecycle.find_published(about), observable_id_of(about)]

    def _logs(self) -> list[Collection]:
        """The collections with entries of their own."""
        return [each for each in self._store.feeds.collections() if each.view is None]

    def _is_known(self, public_id: str, collections: Sequence[Collection]) -> bool:
        if self._store.read(lambda known: known.public_objects([public_id])):
            return True
        return any(self._store.feeds.knows(each.id, public_id) for each in collections)

    def _finish(self, purge: Purge) -> PurgeReport:
        """Delete what a purge has still to delete, in steps of one transaction each."""
        beat = _Heartbeat(self._store, purge, self._lifecycle.now)
        every = self._store.feeds.collections()
        versions = purge.replaced + sum(self._cut(each, purge, beat) for each in every)
        cut = [self._cut_body(each, purge, beat) for each in self._find_submissions(purge, beat)]
        reviews = 0
        for review_id in self._store.purges.find_reviews(purge):
            reviews += self._close_review(review_id, purge)
            beat()
        self._store.commit(lambda txn: txn.purges.end(purge))
        log.info("purged id=%s versions=%d", purge.public_id, versions)
        ids = (purge.public_id,) if versions or purge.leaves_version else ()
        changed, in_progress = (
            sum(each.is_changed for each in cut),
            sum(each.is_read for each in cut),
        )
        return PurgeReport(ids, versions, changed, reviews, in_progress)

    def _find_submissions(self, purge: Purge, beat: Callable[[], None]) -> list[str]:
        """The submissions in which a purged object, or one of the values, was sent."""
        found = self._store.purges.find_submissions(purge, beat)
        for submission, partner, body in self._store.purges.undecided_bodies():
            beat()
            if body and _cut_out(body, partner, purge)[1]:
                found.add(submission)
        return sorted(found)

    def _cut(self, collection: Collection, purge: Purge, beat: Callable[[], None]) -> int:
        """Remove an object's versions from a collection, a few batches at a time."""
        if collection.view is not None:
            return 0  # it shows what its sources hold
        keep_last = purge.leaves_version and collection.kind is CollectionKind.FEED
        total, removed = 0, -1
        while removed:
            removed = self._store.commit(
                lambda txn: txn.purge_entries(collection.id, purge.public_id, keep_last=keep_last)
            )
            total += removed
            beat()
        return total

    def _cut_body(self, submission_id: str, purge: Purge, beat: Callable[[], None]) -> _CutBody:
        """Delete a submission's body, or cut the object out if others are still to be settled."""

        def cut(txn: Transaction) -> _CutBody:
            submission = txn.submissions.find(submission_id)
            if submission is None:
                return _CutBody()
            body, count = b"", 0
            if submission.settled < submission.total and submission.raw:
                sender = submission.partner or OPERATOR_SLUG
                body, count = _cut_out(submission.raw, sender, purge)
            keep = submission.settled < submission.total and not count
            left = None if keep else body
            is_named = txn.purges.redact_submission(submission_id, left, purge.values)
            is_read = count > 0 and txn.submissions.is_leased(submission_id, LEASE)
            return _CutBody(is_named or bool(submission.raw and not keep), is_read)

        beat()
        return self._store.commit(cut)

    def _close_review(self, review_id: str, purge: Purge) -> bool:
        """Close a review and delete its object; False if it was deleted before."""
        review = self._store.reviews.find(review_id)
        if review is not None and review.state == "waiting":
            with suppress(Conflict, NotFound):  # decided meanwhile, or its submission is gone
                self._intake.reviewer.reject(review, _WHO, _REASON)

        def delete(txn: Transaction) -> None:
            txn.reviews.purge(review_id, purge.values)
            txn.purges.delete_withdrawn_reasons(review_id)

        self._store.commit(delete)
        return review is not None and bool(review.object)


def _fulfil_request(txn: Transaction, command: _PurgeCommand) -> None:
    """Drop the requests for what is purged; Conflict if there must be one and is none."""
    asked = {txn.purges.find_request(id_) for id_ in command.ids} - {None}
    if command.asked_by and not asked:
        raise Conflict(f"the request to purge {command.ids[0]} was decided by somebody else")
    for each in asked:
        if each is not None:
            txn.purges.remove_request(each.public_id)


def _total(reports: Iterable[PurgeReport]) -> PurgeReport:
    every = list(reports)
    return PurgeReport(
        ids=tuple(id_ for each in every for id_ in each.ids),
        versions=sum(each.versions for each in every),
        submissions=sum(each.submissions for each in every),
        reviews=sum(each.reviews for each in every),
        in_progress=max((each.in_progress for each in every), default=0),
    )


def _find_translations(known: Snapshot, ids: Sequence[str]) -> list[str]:
    """Ids of the translations of objects: they have the text that is to be deleted."""
    publics = known.public_objects(ids).values()
    stated = (each.id for public in publics for each in public.statements)
    return [id_ for id_ in stated if id_.startswith("language-content--")]


def _begin(
    txn: Transaction, publisher: Publisher, collections: Sequence[Collection], public_id: str
) -> Purge | None:
    """Revoke an object for good and publish its last version; None if it is nowhere."""
    public = txn.public_objects([public_id]).get(public_id)
    holding = [each for each in collections if txn.holds(each.id, public_id)]
    if public is None:
        return Purge(public_id) if holding else None
    own = frozenset((each.partner, each.source_id) for each in public.contributions)
    replaced = 0
    if public.revocation_reason != RevocationReason.PURGED:
        gone, entries = _purged(public, publisher.config.hub, txn.now)
        txn.put_public_objects([gone])
        txn.put_pending_references(
            [
                PendingReferences(public_id, each.partner, each.tlp, frozenset(), each.source_id)
                for each in public.contributions
                if each.unresolved_layers
            ]
        )
        feeds = [each for each in holding if each.kind is CollectionKind.FEED]
        if feeds:
            last = {each.id: [entries(each.max_tlp)] for each in feeds}
            txn.begin_publication(dict.fromkeys(last, 1)).write(last)
            replaced = sum(entry.ends for [entry] in last.values())
    return Purge(public_id, own, leaves_version=True, replaced=replaced)


def _purged(
    public: PublicObject, hub: str, now: int
) -> tuple[PublicObject, Callable[[Tlp], NewEntry]]:
    """The object without content, and its last version for a feed of some level."""
    held = (public.modified, *(each.modified for each in public.tlp_versions))
    modified = max(now, *(each + MILLISECOND for each in held))
    kind = public.id.partition("--")[0]
    is_definition = kind == "marking-definition"
    subject: StixObject = {"type": kind, "spec_version": "2.1", "id": public.id}
    if not is_observable_type(kind):
        subject |= {"created_by_ref": hub, "created": stix_time(public.created)}
        subject["modified"] = stix_time(modified)

    def entry(level: Tlp) -> NewEntry:
        # A wider feed has versions from before the object became stricter: its readers must not
        # learn the level that it has now.
        at = min(public.tlp, level)
        return replace(new_entry(purged_version(subject, at, hub), at), ends=is_definition)

    gone = replace(
        public,
        modified=modified,
        digest=object_digest(subject),
        contributions=(),
        assessments=(),
        tlp_versions=(),
        revoked=True,
        revocation_reason=RevocationReason.PURGED.value,
        figures=None,
        lead="",
        due_hour=0,
    )
    return gone, entry


def _forbid_sources(txn: Transaction, purge: Purge) -> None:
    """Refuse later versions under the ids that the partners had for it; nothing waits for it."""
    by_partner: dict[str, dict[str, str]] = {}
    for partner, source in purge.sources:
        if source and not source.startswith(revocation_name("")):
            by_partner.setdefault(partner, {})[revocation_name(source)] = purge.public_id
    for partner, pairs in by_partner.items():
        known = txn.find_public_ids(partner, list(pairs))
        if new := {name: public for name, public in pairs.items() if name not in known}:
            txn.add_public_ids(partner, _WHO, new)


def is_object_id(name: str) -> bool:
    """True if a name is an id, of whatever type, and not a value."""
    return _OBJECT_ID.fullmatch(name) is not None


def observable_id_of(about: Exclusion) -> str:
    """The id of the observable that has only this value."""
    name, _, algorithm = about.property.partition(".")
    value = {algorithm.strip("'"): about.value} if algorithm else about.value
    return observable_id({"type": about.type, name: value})


def _cut_out(raw: bytes, partner: str, purge: Purge) -> tuple[bytes, int]:
    """The envelope of a partner without what is purged, and from how many places it is gone.

    A bare object stands there, which admission refuses.
    """
    own = {source for sender, source in purge.sources if sender == partner}
    objects = split_envelope(raw)
    left = [_BARE if _is_purged(each, own, purge) else each for each in objects]
    count = sum(each is _BARE for each in left)
    return b'{"objects":[' + b",".join(left) + b"]}", count


def _is_purged(raw: bytes, own: set[str], purge: Purge) -> bool:
    try:
        subject = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        subject = None
    source = subject.get("id") if isinstance(subject, dict) else None
    return source in own or source == purge.public_id or is_mentioned(raw, purge.values)


class _Heartbeat:
    """Shows other workers, now and then, that a purge goes on."""

    def __init__(self, store: Store, purge: Purge, clock: Callable[[], int]) -> None:
        self._store, self._purge, self._clock = store, purge, clock
        self._latest = purge.begun

    def __call__(self) -> None:
        now = self._clock()
        if now - self._latest >= PATIENCE // 4:
            self._store.purges.renew(self._purge, now)
            self._latest = now
