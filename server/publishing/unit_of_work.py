"""The public objects that one transaction touches: read in few finds, written once.

Decisions about an object are made on values (`public_objects.py`) and put back
here.  Sightings and opinions that come or go reach the indicators that they are
about when everything else has been decided.
"""

from __future__ import annotations

from collections.abc import Collection as Some
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import takewhile

from tocsin.admission.markings.audience import Audience
from tocsin.admission.markings.granular import layer_at, layers_of
from tocsin.admission.merge.statistics import parse_assessments
from tocsin.admission.model import Assessment, Contribution, Layer, Tlp
from tocsin.server.model import (
    Collection,
    LeaderStatement,
    NewEntry,
    PendingReferences,
    PublicObject,
    RevocationReason,
)
from tocsin.server.publishing.attribution import (
    find_subject,
    may_be_statement,
    translated_properties,
    translates_version,
    with_names_of,
    with_statements,
)
from tocsin.server.publishing.public_objects import (
    INDICATOR,
    Merge,
    PublishingConfig,
    WorkingCopy,
    add_contribution,
    date_versions,
    end_contributions,
    entry_for,
    find_leading,
    recompute,
    replace_assessments,
)
from tocsin.server.publishing.versions_by_tlp import version_for
from tocsin.server.store import Publication, Transaction

_ASSESSED_BY = ("sighting--", "opinion--")


@dataclass(slots=True)
class UnitOfWork:
    """Working copies by public id; a transaction that is tried again starts with a new one."""

    txn: Transaction
    merge: Merge
    feeds: Sequence[Collection]
    _copies: dict[str, WorkingCopy] = field(default_factory=dict)
    """The working copy of each id that was looked up, whether the object exists or not."""
    _new: set[str] = field(default_factory=set)
    """Ids of objects that the database does not hold."""
    _changed: dict[str, None] = field(default_factory=dict)
    """Ids of objects that differ from what the database holds."""
    _unnamed: dict[str, PublicObject] = field(default_factory=dict)
    """Objects that have lost a name since they were published, as the database holds them."""
    _reported: set[str] = field(default_factory=set)
    """Ids of objects that were reported, whether that changed anything."""
    _assessments: list[tuple[Contribution, bool]] = field(default_factory=list)
    """Sightings and opinions that came (True) or went, in order."""
    _read: dict[str, PublicObject] = field(default_factory=dict)
    """The objects as they were before the transaction."""
    _statements: dict[str, set[str]] = field(default_factory=dict)
    """Ids of statements that came or went, with what they are about; see `LeaderStatement`."""
    _answered: set[tuple[str, str, str]] = field(default_factory=set)
    """Contributions that waited for others and are gone: public id, partner and own id."""
    _publication: Publication | None = None

    @classmethod
    def begin(
        cls,
        txn: Transaction,
        config: PublishingConfig,
        now: int,
        feeds: Sequence[Collection] | None = None,
    ) -> UnitOfWork:
        """The unit of work for the feeds, which are looked up unless they are known already."""
        return cls(txn, Merge(config, now), config.feeds() if feeds is None else feeds)

    def strictest_feed(self, audience: Audience) -> Tlp:
        """The strictest level that any feed takes of what may go to an audience."""
        feeds = (each for each in self.feeds if audience.includes(each.audience))
        return max((feed.max_tlp for feed in feeds), default=Tlp.CLEAR)

    def load(self, ids: Some[str]) -> None:
        """Read the public objects with these ids that were not looked up before."""
        wanted = {id_ for id_ in ids if id_ and id_ not in self._copies}
        if not wanted:
            return
        found = self.txn.public_objects(wanted)
        named = self.merge.config.attribution.remove_names(found.values())
        current = {public.id: public for public in named}
        for id_ in wanted:
            public = current.get(id_)
            self._copies[id_] = WorkingCopy(id_, public)
            if public is None:
                self._new.add(id_)
                continue
            self._read[id_] = public
            if public is not found[id_]:
                self._unnamed[id_] = found[id_]

    def find(self, id_: str) -> WorkingCopy:
        """The object as it is now; an empty copy if it is not published or was not loaded."""
        return self._copies.get(id_) or WorkingCopy(id_)

    def find_public(self, id_: str) -> PublicObject | None:
        """The same, without what the transaction will publish of it."""
        return self.find(id_).public

    def put(self, copy: WorkingCopy) -> None:
        """Keep a copy that changed; sightings and opinions that came or went are noticed."""
        before = self.find(copy.id)
        if copy is before:
            return
        if copy.id.startswith(_ASSESSED_BY):
            gone = [each for each in before.contributions if each not in copy.contributions]
            come = [each for each in copy.contributions if each not in before.contributions]
            self._assessments += [(each, False) for each in gone] + [(each, True) for each in come]
        if may_be_statement(copy.id):
            every = (*before.contributions, *copy.contributions)
            if subjects := {find_subject(each.object) for each in every} - {""}:
                self._statements.setdefault(copy.id, set()).update(subjects)
        self._answered |= _waiting(before) - _waiting(copy)
        self._changed[copy.id] = None
        self._copies[copy.id] = copy

    def note_report(self, id_: str) -> None:
        """Note that an object was reported: if it has lost a name, its next version is due.

        A reference to it is not a reason, since what refers to it may be hidden from its readers.
        """
        self._reported.add(id_)

    def find_statements(self, public: PublicObject) -> set[str]:
        """Ids of the statements about an object, with those that the transaction adds."""
        new = {id_ for id_, subjects in self._statements.items() if public.id in subjects}
        return new | {each.id for each in public.statements}

    def write(self) -> None:
        """Write the objects that changed, and their new versions into the feeds."""
        self._apply_assessments()
        for copy in [self.find(id_) for id_ in self._unnamed.keys() & self._reported]:
            if not _is_news_to_all(copy):
                self.put(recompute(copy, self.merge))
        self._apply_statements()
        changed = self._dated([self._copies[id_] for id_ in self._changed])
        self._remember_scopes(changed)
        self._forget_pending_references()
        kept = (self._keep_names(each) for each in changed)
        self.txn.put_public_objects([each for each in kept if each is not None])
        entries = self._entries(changed)
        if self._publication is not None:
            self._publication.write({f: each for f, each in entries.items() if each}, self._new)

    def _keep_names(self, copy: WorkingCopy) -> PublicObject | None:
        """The object to keep, with names that the versions still show which all readers have.

        So they are removed with the next report.
        """
        public, named = copy.public, self._unnamed.get(copy.id)
        if public is None or named is None or public.revoked or _is_news_to_all(copy):
            return public
        bare = {(c.partner, c.source_id): c for c in self._read[copy.id].contributions}
        kept = tuple(
            with_names_of(each, named_one, bare[each.partner, each.source_id])
            if (named_one := _find_own(named, each)) is not None
            else each
            for each in public.contributions
        )
        return replace(public, contributions=kept)

    def _dated(self, changed: Sequence[WorkingCopy]) -> list[WorkingCopy]:
        """The same with the dates of their new versions, in the order of publication.

        That order tells nothing about who sent what with what: less strict objects come first,
        so that a feed's order and dates do not depend on what it does not take, and objects of
        one level are in the order of a keyed hash.
        """
        silent = [each for each in changed if each.level_of_news is None]
        visible = [each for each in changed if each.level_of_news is not None]
        visible.sort(key=self._rank)
        feeds = [feed.id for feed in self.feeds if any(_takes(feed, each) for each in visible)]
        if feeds:
            self._publication = begun = self.txn.begin_publication(feeds)
            visible = [date_versions(each, begun.window(i)) for i, each in enumerate(visible)]
        return [*silent, *visible]

    def _rank(self, copy: WorkingCopy) -> tuple[bool, int, bytes]:
        key = self.merge.config.tie_secret
        is_bounded = copy.public is not None and not copy.public.audience.is_everybody
        digest = blake2b(copy.id.encode(), key=key).digest()
        return is_bounded, int(copy.level_of_news or 0), digest

    def _apply_assessments(self) -> None:
        """Sightings and opinions reach what they are about, each indicator computed once."""
        events = [(parse_assessments(each), came) for each, came in self._assessments]
        self.load({target for targets, _ in events for target in targets})
        by_target: dict[str, dict[tuple[str, str], Assessment]] = {}
        for targets, came in events:
            for target, assessment in targets.items():
                public = self.find_public(target)
                if public is None or public.revoked:
                    continue
                known = {(t.partner, t.source_id): t for t in public.assessments}
                current = by_target.setdefault(target, known)
                current.pop((assessment.partner, assessment.source_id), None)
                if came:
                    current[assessment.partner, assessment.source_id] = assessment
        for target, current in by_target.items():
            self.put(replace_assessments(self.find(target), current.values(), self.merge))
        self._assessments.clear()

    def _apply_statements(self) -> None:
        """Objects know the statements about them; those of partners that do not lead now end."""
        while self._note_statements() or self._end_statements():
            pass

    def _note_statements(self) -> bool:
        """Write statements that came or went down with what they are about; False if none did."""
        noted, self._statements = self._statements, {}
        self.load({subject for subjects in noted.values() for subject in subjects})
        for name, subjects in noted.items():
            made = [(c.partner, find_subject(c.object)) for c in self.find(name).contributions]
            for subject in subjects:
                copy = self.find(subject)
                if copy.public is None:
                    continue
                partners = frozenset(partner for partner, about in made if about == subject)
                if public := with_statements(copy.public, name, partners):
                    self.put(replace(copy, public=public))
        return bool(noted)

    def _end_statements(self) -> bool:
        """End statements that do not hold any more; False if there are none.

        Those of partners that lead the object no more, and translations of former texts.
        """
        about = [
            public
            for id_ in self._changed
            if (public := self.find_public(id_)) is not None and public.statements
        ]
        concerned = [p for p in about if _has_levels(p) or self._changed_texts(p, Tlp.CLEAR)]
        self.load({each.id for public in concerned for each in public.statements})
        every = [
            (public.id, each, why)
            for public in about
            for each in public.statements
            if (why := self._end_of_statement(public, each)) is not None
        ]
        self.load({statement.id for _, statement, _ in every})
        for subject, (partner, id_), why in every:
            copy = self.find(id_)
            gone = [
                each
                for each in copy.contributions
                if each.partner == partner and find_subject(each.object) == subject
            ]
            if gone:
                self.put(end_contributions(copy, gone, self.merge, why))
            self._statements.setdefault(id_, set()).add(subject)
        for public in concerned:
            self._end_stricter_parts(public)
        return bool(every)

    def _end_of_statement(
        self, public: PublicObject, statement: LeaderStatement
    ) -> RevocationReason | None:
        """The reason why a statement about an object must end now; None if it need not.

        One that has expired may be sent again under its partner's id.
        """
        leading = find_leading(public, self.merge, self._level(statement.id))
        if leading is None:
            return RevocationReason.EXPIRED  # the object may live on under another id
        if leading.partner != statement.partner:
            return RevocationReason.WITHDRAWN
        made = self.find(statement.id).contributions
        outdated = not all(self._current_layers(public, each) for each in made)
        return RevocationReason.EXPIRED if outdated else None

    def _end_stricter_parts(self, public: PublicObject) -> None:
        """End the parts of translations that are of former texts which only stricter levels see.

        Readers of the other parts may not learn that those texts changed.
        """
        for statement in public.statements:
            copy = self.find(statement.id)
            for each in copy.contributions:
                current = self._current_layers(public, each)
                if 0 < len(current) < len(layers_of(each)):
                    awaited = tuple(u for u in each.unresolved_layers if u[0] <= current[-1][0])
                    left = replace(each, stricter_layers=current[1:], unresolved_layers=awaited)
                    self.put(add_contribution(copy, left, self.merge))

    def _current_layers(self, public: PublicObject, statement: Contribution) -> tuple[Layer, ...]:
        """The layers of a statement that are not of former texts, the least strict first."""
        leading = find_leading(public, self.merge, statement.tlp)
        if leading is None or self._translates(statement, public, leading):
            return layers_of(statement)
        return tuple(
            takewhile(
                lambda layer: self._changed_texts(public, statement.tlp, layer[0]).isdisjoint(
                    translated_properties(layer[1])
                ),
                layers_of(statement),
            )
        )

    def _translates(
        self, statement: Contribution, public: PublicObject, leading: Contribution
    ) -> bool:
        """True unless a statement names another version than the leading one.

        That of another id of the partner can have the same time: then a statement that came
        before it is of the former one.
        """
        before = find_leading(self._read.get(public.id), self.merge, statement.tlp)
        moved = before is not None and before.source_id != leading.source_id
        is_earlier = moved and statement.received < leading.received
        if is_earlier and leading.version and "object_modified" in statement.object:
            return False
        return translates_version(statement.object, leading.version)

    def _changed_texts(self, public: PublicObject, led: Tlp, seen: Tlp = Tlp.RED) -> frozenset[str]:
        """The properties of which who leads at `led` said something else before, as `seen` sees."""
        before = find_leading(self._read.get(public.id), self.merge, led)
        now = find_leading(public, self.merge, led)
        if before is None or now is None or before is now:
            return frozenset()
        old, new = (layer_at(layers_of(each), seen) for each in (before, now))
        return frozenset(name for name in {*old, *new} if old.get(name) != new.get(name))

    def _level(self, statement: str) -> Tlp:
        """The level of a statement, if it was loaded."""
        public = self.find_public(statement)
        return Tlp.CLEAR if public is None else public.tlp

    def _remember_scopes(self, changed: Sequence[WorkingCopy]) -> None:
        """Further markings of new indicators are kept: by them exclusions find the indicators."""
        for copy in changed:
            is_new = copy.id in self._new and copy.id.startswith(INDICATOR)
            if is_new and copy.public is not None and "|" in copy.public.scope:
                self.txn.exclusions.add_scope(copy.public.scope)

    def _forget_pending_references(self) -> None:
        """Let contributions wait for nothing any more that are gone."""
        gone = {key for key in self._answered if key not in _waiting(self.find(key[0]))}
        self.txn.put_pending_references(
            [
                PendingReferences(id_, partner, Tlp.CLEAR, frozenset(), source)
                for id_, partner, source in sorted(gone)
            ]
        )

    def _entries(self, changed: Sequence[WorkingCopy]) -> dict[str, list[NewEntry]]:
        """The new versions that each feed takes; feeds that take the same one share its entry."""
        found: dict[str, list[NewEntry]] = {feed.id: [] for feed in self.feeds}
        for copy in changed:
            if copy.public is None:
                continue
            built: dict[Tlp, NewEntry] = {}
            for feed in (each for each in self.feeds if _serves(each, copy)):
                version = version_for(copy.pending, feed.max_tlp)
                if version is not None and version.changed:
                    if version.of.level not in built:
                        built[version.of.level] = entry_for(copy.public, version, self.merge)
                    found[feed.id].append(built[version.of.level])
        return found


def _takes(feed: Collection, copy: WorkingCopy) -> bool:
    """True if news of the object goes into the feed."""
    return (copy.level_of_news or 0) <= feed.max_tlp and _serves(feed, copy)


def _serves(feed: Collection, copy: WorkingCopy) -> bool:
    """True if the object may go to all whom the feed serves."""
    return copy.public is None or copy.public.audience.includes(feed.audience)


def _is_news_to_all(copy: WorkingCopy) -> bool:
    """True if the transaction publishes a new version for all readers of the object."""
    if copy.public is None:
        return bool(copy.pending)
    return any(each.changed and each.of.level <= copy.public.tlp for each in copy.pending)


def _find_own(public: PublicObject, each: Contribution) -> Contribution | None:
    """The contribution of the same partner under the same id."""
    own = (each.partner, each.source_id)
    return next((c for c in public.contributions if (c.partner, c.source_id) == own), None)


def _has_levels(public: PublicObject) -> bool:
    """True if its readers get the contributions of different partners at different levels."""
    return len({each.tlp for each in public.contributions}) > 1


def _waiting(copy: WorkingCopy) -> set[tuple[str, str, str]]:
    """The contributions to an object that wait for others: public id, partner and own id."""
    return {(copy.id, c.partner, c.source_id) for c in copy.contributions if c.unresolved_layers}
