"""The public objects that one transaction touches, and what becomes of them.

A public object is computed anew from all its contributions whenever one joins
or leaves, a sighting or an opinion of it comes or goes, or its time has come.
Only where it then says something new does a version of it go into every feed
that takes it; what merely raises its figures waits for the quiet period.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Collection as Some
from dataclasses import dataclass, field, replace

import orjson

from tocsin.admission.markings.granular import layers_of, merge_by_tlp
from tocsin.admission.merge.assessments import parse_assessments, trim_assessments
from tocsin.admission.merge.confidence import ConfidenceSettings
from tocsin.admission.merge.content import (
    latest_by_partner,
    merge_contributions,
    object_digest,
    version_gap,
    version_order,
)
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.merge.statistics import HubStatistics, add_statistics, compute_statistics
from tocsin.admission.model import (
    Assessment,
    Contribution,
    Layer,
    StixObject,
    Tlp,
)
from tocsin.admission.timestamps import DAY, micros, stix_time
from tocsin.server.index_terms import index_terms, visibility
from tocsin.server.model import (
    Collection,
    NewEntry,
    PublicObject,
    RevocationReason,
)
from tocsin.server.publishing.attribution import Naming
from tocsin.server.publishing.tlp_versions import (
    Fresh,
    again,
    aged,
    also,
    copy_for,
)
from tocsin.server.store import Transaction

HOUR = 3_600_000_000
"""µs; what is due is kept by the hour."""
MOST_WORDS = 20
"""Of how many of a partner's ids for one thing it is remembered what they say."""
MOST_OCTETS = 2_000_000
"""Of what is remembered besides the newest, so that no document grows too large."""
_INDICATOR = "indicator--"
_BARE = ("type", "object_marking_refs")
_NAMELESS = {"name": "[removed: submitter's name]"}


@dataclass(frozen=True, slots=True)
class House:
    """Under whose name, and where to, the hub publishes."""

    identity: StixObject
    feeds: Callable[[], Sequence[Collection]]
    """Asked afresh for each transaction: an operator may add one while the hub runs."""
    well_known: frozenset[str]
    """Ids of public objects that references may keep: ATT&CK's."""
    naming: Naming
    quiet_period: int
    """µs; see Policy.quiet_period."""
    scale: ConfidenceSettings


@dataclass(slots=True)
class Ledger:
    """The state of one run of one transaction; a retry starts with a new one."""

    txn: Transaction
    house: House
    now: int
    publics: dict[str, PublicObject] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _changed: set[str] = field(default_factory=set)
    _renamed: set[str] = field(default_factory=set)
    """What lost the name of somebody whose consent has ended."""
    _postings: dict[str, list[Fresh]] = field(default_factory=dict)
    _said: list[tuple[Contribution, bool]] = field(default_factory=list)
    """Sightings and opinions that came (True) or went, in order."""

    def load(self, names: Some[str]) -> None:
        """Read the public objects with these ids, where there are any."""
        new = set(names) - self._asked
        if new:
            self._asked |= new
            found = self.txn.public_objects(new)
            self.publics |= found
            told = {each.id: each for each in self.house.naming.settled(found.values())}
            self._renamed |= {name for name in told if told[name] is not found[name]}
            self.publics |= told

    def join(self, name: str, new: Contribution) -> bool:
        """What the partner says under one of its ids, in place of what it said under that before.

        Answers whether the public object says something that it did not say before.
        """
        before = self.publics.get(name)
        own = [c for c in contributions(before) if c.partner == new.partner]
        others = [c for c in contributions(before) if c.partner != new.partner]
        self._said += [(c, False) for c in own if c.source_id == new.source_id] + [(new, True)]
        new = replace(
            new, first_reported=min([each.first_reported or each.received for each in own] or [0])
        )
        own = [c for c in own if c.source_id != new.source_id]
        return self._recompute(name, (*others, *_remembered([*own, new])), before)

    def confirm(self, name: str, mine: Contribution, received: int) -> None:
        """The partner says the same again: remembered by the day, of what shows the day."""
        before = self.publics.get(name)
        if before is None or received // DAY <= (mine.last_reported or mine.received) // DAY:
            return
        if mine.object["type"] == "indicator":
            again = replace(mine, last_reported=received)
            rest = (again if c is mine else c for c in before.contributions)
            self._recompute(name, tuple(rest), before)

    def leave(self, name: str, gone: Contribution) -> None:
        """A contribution ends; with the last one the public object is revoked.

        What the partner says under other ids of its own stays.
        """
        before = self.publics[name]
        rest = tuple(c for c in before.contributions if c is not gone)
        if rest:
            self._said += [(gone, False)]
            self._recompute(name, rest, before)
        else:
            self.end(name, RevocationReason.WITHDRAWN)

    def unname(self, name: str, said: Contribution) -> None:
        """An identity turns out to be who sent it: it goes, and its last version says no more."""
        bare = {each: said.object[each] for each in _BARE if each in said.object}
        self.join(
            name, replace(said, object=bare | _NAMELESS, stricter_layers=(), unresolved_layers=())
        )
        if left := self.said(name, said.partner, said.source_id):
            self.leave(name, left)

    def moved(self, name: str, new: Contribution) -> bool:
        """What the partner said under this id before, of another thing, ends.

        False, and nothing ends, if that is newer.
        """
        said = self.said(name, new.partner, new.source_id)
        if said is not None and version_gap(new, said) < 0:
            return False
        if said is not None:
            self.leave(name, said)
        return True

    def said(self, name: str, partner: str, source_id: str) -> Contribution | None:
        """What the partner says under this id of its own, if that is published under `name`."""
        there = contributions(self.publics.get(name))
        own = (partner, source_id)
        return next((c for c in there if (c.partner, c.source_id) == own), None)

    def end(self, name: str, why: RevocationReason) -> bool:
        """Revoke a public object, for ever; False if there is nothing to revoke."""
        before = self.publics.get(name)
        if before is None or before.revoked or not before.contributions:
            return False
        self._said += [(each, False) for each in before.contributions]
        revoked = self._revoked(before)
        gone = replace(
            before,
            contributions=(),
            assessments=(),
            revoked=True,
            revocation_reason=why.value,
            figures=self._figures(before),
            due_hour=0,
        )
        self._post(gone, aged(before, revoked, self.house.identity["id"], self.now))
        return True

    def look_again(self, name: str) -> bool:
        """What time has made of a public object; whether that is published."""
        before = self.publics.get(name)
        if before is None or before.revoked or before.due_hour > self.now // HOUR:
            return False
        expires = _expiry(before, merge_contributions(before.contributions))
        if expires is not None and expires <= self.now:
            return self.end(name, RevocationReason.EXPIRED)
        return self._recompute(name, before.contributions, before)

    def hear(self, name: str, partner: str) -> None:
        """The partner's sighting or opinion published under `name` reaches what it is about."""
        own = [c for c in contributions(self.publics.get(name)) if c.partner == partner]
        self._said += [(each, True) for each in own]

    def listen(self) -> None:
        """What sightings and opinions said in this transaction reaches what they are about."""
        said = [(parse_assessments(each), came) for each, came in self._said]
        self.load({target for targets, _ in said for target in targets})
        heard: dict[str, dict[tuple[str, str], Assessment]] = {}
        for targets, came in said:
            for target, testimony in targets.items():
                before = self.publics.get(target)
                if before is None or before.revoked:
                    continue
                own = {(t.partner, t.source_id): t for t in before.assessments}
                voices = heard.setdefault(target, own)
                voices.pop((testimony.partner, testimony.source_id), None)
                if came:
                    voices[testimony.partner, testimony.source_id] = testimony
        for target, voices in heard.items():
            before = replace(self.publics[target], assessments=trim_assessments(voices.values()))
            self._recompute(target, before.contributions, before)
        self._said.clear()

    def write(self) -> None:
        """Public objects and feeds, in this transaction."""
        for name in self._renamed - self._postings.keys():
            self._recompute(name, self.publics[name].contributions, self.publics[name])
        self.txn.put_public_objects([self.publics[name] for name in self._changed])
        for feed in self.house.feeds():
            bodies = [
                self._posting(self.publics[name], fresh)
                for name, written in self._postings.items()
                if (fresh := copy_for(written, feed.max_tlp)) and fresh.changed
            ]
            if bodies:
                self.txn.publish(feed.id, bodies, replace=True)

    def _recompute(
        self, name: str, contributed: tuple[Contribution, ...], before: PublicObject | None
    ) -> bool:
        heard = before.assessments if before else ()
        layers = self._layers(contributed, heard)
        level = layers[0][0]
        scope = next(c.scope for c in contributed if c.tlp == level)
        if before is None:
            before = PublicObject(name, self.now, self.now, b"", level, scope, contributed)
            if "|" in scope and name.startswith(_INDICATOR):
                self.txn.add_scope(scope)
        public = replace(before, contributions=contributed, tlp=level, scope=scope)
        said = self._figures(public)
        known = before if before.digest else None
        taken = self._taken_back(known, level)
        fresh = aged(known, [*taken, *layers], self._author(contributed), self.now)
        changed = any(copy.changed for copy in fresh)
        news = self._news(before, said)
        waits = news and not fresh[0].changed and self._quiet(before, said)
        public = replace(public, due_hour=self._due(public, layers[0][1], said, waits=waits))
        if not changed and (waits or not news):
            self._keep(public)
            return False
        if news and not waits and not fresh[0].changed:  # readers of the least strict copy too
            fresh = again(fresh, self.now)
        self._post(replace(public, figures=before.figures if waits else said), fresh)
        return True

    def _layers(
        self, contributed: Sequence[Contribution], heard: Sequence[Assessment]
    ) -> list[Layer]:
        return merge_by_tlp(contributed, lambda spoken: self._content(spoken, heard))

    def _revoked(self, public: PublicObject) -> list[Layer]:
        """What its readers hold of it, revoked."""
        layers = self._layers(public.contributions, public.assessments)
        return [(level, {**content, "revoked": True}) for level, content in layers]

    def _taken_back(self, before: PublicObject | None, level: Tlp) -> list[Layer]:
        """What readers hold who may not see it any more, because its level is stricter now."""
        if before is None or before.tlp >= level or any(c.raw for c in before.contributions):
            return []
        return [layer for layer in self._revoked(before) if layer[0] < level]

    def _content(self, spoken: Sequence[Contribution], heard: Sequence[Assessment]) -> StixObject:
        """What contributions say at one level, with the confidence that they make."""
        content = merge_contributions(spoken)
        sure = compute_statistics(spoken, heard, self.house.scale, self.now).confidence
        return content if sure is None else {**content, "confidence": sure}

    def _figures(self, public: PublicObject) -> HubStatistics:
        return compute_statistics(
            public.contributions, public.assessments, self.house.scale, self.now
        )

    def _news(self, before: PublicObject, said: HubStatistics) -> bool:
        """Whether readers do not know the figures; of other things than indicators few show."""
        old = before.figures
        if old is None or not before.id.startswith(_INDICATOR):
            return old is None or old.confidence != said.confidence
        moved = (said.last_day - old.last_day) * DAY >= self.house.scale.refresh_interval
        return moved or replace(said, last_day=old.last_day) != old

    def _quiet(self, before: PublicObject, said: HubStatistics) -> bool:
        """Whether it is too soon after the last version for figures that only rise."""
        recent = self.now - before.modified < self.house.quiet_period
        if not recent or before.id in self._postings or before.figures is None:
            return False
        old = before.figures
        surer = (said.confidence or 0) >= (old.confidence or 0)
        return surer and said.false_positives <= old.false_positives

    def _due(
        self, public: PublicObject, content: StixObject, said: HubStatistics, *, waits: bool
    ) -> int:
        """The hour in which it must be looked at again; 0: in none."""
        until = public.modified + self.house.quiet_period if waits else None
        moments = [m for m in (_expiry(public, content), said.next_decay, until) if m is not None]
        return max(min(moments), self.now) // HOUR + 1 if moments else 0

    def _author(self, contributed: Sequence[Contribution]) -> str:
        """The one consenting partner's identity, else the hub's; sanitising strips all others."""
        alone = len({each.partner for each in contributed}) == 1
        named = latest_by_partner(contributed)[0].object.get("created_by_ref") if alone else None
        return str(named or self.house.identity["id"])

    def _post(self, public: PublicObject, fresh: list[Fresh]) -> None:
        base, *fuller = (copy for copy in fresh if copy.of.level >= public.tlp)
        stored = tuple(copy.of for copy in fuller)
        self._keep(
            replace(public, modified=base.of.modified, digest=base.of.digest, tlp_versions=stored)
        )
        waiting = self._postings.get(public.id, [])
        below = [copy for copy in waiting if copy.of.level < fresh[0].of.level]
        self._postings[public.id] = [*below, *(also(copy, waiting) for copy in fresh)]

    def _posting(self, public: PublicObject, fresh: Fresh) -> NewEntry:
        raw = next((each.raw for each in public.contributions if each.raw), b"")
        if raw:
            return posting(orjson.loads(raw), fresh.of.level, raw)
        content, kind = fresh.content, fresh.content["type"]
        if public.figures is not None:
            own = replace(public.figures, confidence=content.get("confidence"))
            content = add_statistics(content, own, self.house.identity["id"])
        body = {"type": kind, "spec_version": "2.1", "id": public.id, **content}
        if not is_observable_type(kind):
            taken = fresh.of.level < public.tlp  # its readers may not know who is left
            author = self.house.identity["id"] if taken else fresh.author
            body |= {"created_by_ref": author, "created": stix_time(public.created)}
            if kind != "marking-definition":
                body["modified"] = stix_time(fresh.of.modified)
        return posting(body, fresh.of.level)

    def _keep(self, public: PublicObject) -> None:
        self.publics[public.id] = public
        self._changed.add(public.id)


def contributions(public: PublicObject | None) -> tuple[Contribution, ...]:
    """What partners said of it; nothing, of what nobody has spoken of."""
    return public.contributions if public is not None else ()


def _remembered(own: Sequence[Contribution]) -> list[Contribution]:
    """What is kept of a partner's words on one thing: what counts, and the next few.

    Since when it has held is kept of all of them.
    """
    if len(own) == 1:
        return list(own)
    best = sorted(own, key=lambda each: (-each.tlp, *version_order(each)), reverse=True)
    words, octets = best[:1], 0
    for each in best[1:MOST_WORDS]:
        octets += sum(
            len(orjson.dumps(said)) for _, said in (*layers_of(each), *each.unresolved_layers)
        )
        if octets > MOST_OCTETS:
            break
        words.append(each)
    since = [str(each.object["valid_from"]) for each in best if "valid_from" in each.object]
    if since and len(words) < len(best):
        words[-1] = _held_since(words[-1], min(since, key=micros))
    return words


def _held_since(word: Contribution, moment: str) -> Contribution:
    def since(layers: Sequence[Layer]) -> tuple[Layer, ...]:
        return tuple((level, {**said, "valid_from": moment}) for level, said in layers)

    ((_, subject),) = since([(word.tlp, word.object)])
    return replace(
        word,
        object=subject,
        stricter_layers=since(word.stricter_layers),
        unresolved_layers=since(word.unresolved_layers),
    )


def _expiry(public: PublicObject, content: StixObject) -> int | None:
    """When it must be revoked; None if never, or if it had expired before it was published."""
    until = content.get("valid_until")
    at = None if until is None else micros(until)
    return at if at is not None and at > public.created else None


def posting(subject: StixObject, tlp: Tlp, raw: bytes = b"") -> NewEntry:
    """An object on its way into a feed, judged to be of this level: as somebody's bytes, if given.

    A copy with parts that only stricter levels may see is of the level that they need.
    """
    found_by = index_terms(subject)
    return NewEntry(
        id=subject["id"],
        type=subject["type"],
        spec="2.1",
        version=subject.get("modified") or subject.get("created") or "",
        body=raw or orjson.dumps(subject),
        digest=object_digest(subject),
        terms=found_by.terms,
        numeric_terms=found_by.numeric_terms,
        visibility=visibility(subject, tlp),
    )
