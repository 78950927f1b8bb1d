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

from tocsin.admission.confidence import DAY, Scale
from tocsin.admission.identify import observable
from tocsin.admission.merge import (
    Figures,
    digest,
    figures,
    kept,
    merged,
    newer,
    testimonies_of,
    told,
)
from tocsin.admission.model import Contribution, StixObject, Testimony, Tlp
from tocsin.admission.parts import copies
from tocsin.admission.timestamps import micros, stix_time
from tocsin.server.copies import Fresh, again, aged, also, copy_for
from tocsin.server.facets import facets
from tocsin.server.model import Collection, End, Posting, Public
from tocsin.server.store import Txn
from tocsin.server.traits import traits

HOUR = 3_600_000_000
"""µs; what is due is kept by the hour."""
_INDICATOR = "indicator--"


@dataclass(frozen=True, slots=True)
class House:
    """Under whose name, and where to, the hub publishes."""

    identity: StixObject
    feeds: Callable[[], Sequence[Collection]]
    """Asked afresh for each transaction: an operator may add one while the hub runs."""
    well_known: frozenset[str]
    """Ids of public objects that references may keep: ATT&CK's."""
    quiet_period: int
    """µs; see Policy.quiet_period."""
    scale: Scale


@dataclass(slots=True)
class Ledger:
    """The state of one run of one transaction; a retry starts with a new one."""

    txn: Txn
    house: House
    now: int
    publics: dict[str, Public] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _changed: set[str] = field(default_factory=set)
    _postings: dict[str, list[Fresh]] = field(default_factory=dict)
    _said: list[tuple[Contribution, bool]] = field(default_factory=list)
    """Sightings and opinions that came (True) or went, in order."""

    def load(self, names: Some[str]) -> None:
        """Read the public objects with these ids, where there are any."""
        new = set(names) - self._asked
        if new:
            self._asked |= new
            self.publics |= self.txn.publics(new)

    def join(self, name: str, new: Contribution) -> bool:
        """The partner's contribution, in place of its former one.

        Answers whether the public object says something that it did not say before.
        """
        before = self.publics.get(name)
        mine = [c for c in contributions(before) if c.partner == new.partner]
        others = [c for c in contributions(before) if c.partner != new.partner]
        self._said += [(each, False) for each in mine] + [(new, True)]
        new = replace(new, first=min([each.first or each.received for each in mine] or [0]))
        return self._recompute(name, (*others, new), before)

    def confirm(self, name: str, mine: Contribution, received: int) -> None:
        """The partner says the same again: remembered by the day, of what shows the day."""
        before = self.publics.get(name)
        if before is None or received // DAY <= (mine.last or mine.received) // DAY:
            return
        if mine.object["type"] == "indicator":
            again = replace(mine, last=received)
            rest = (again if c is mine else c for c in before.contributions)
            self._recompute(name, tuple(rest), before)

    def leave(self, name: str, partner: str) -> None:
        """The partner's contribution ends; with the last one the public object is revoked."""
        before = self.publics.get(name)
        if before is None or before.revoked:
            return
        rest = tuple(c for c in before.contributions if c.partner != partner)
        if rest:
            self._said += [(c, False) for c in before.contributions if c.partner == partner]
            self._recompute(name, rest, before)
        elif before.contributions:
            self.end(name, End.WITHDRAWN)

    def moved(self, name: str, new: Contribution) -> bool:
        """What the partner said under this id before, of another thing, ends.

        False, and nothing ends, if that is newer.  What it says of that thing under another id
        of its own stays.
        """
        own = (new.partner, new.source_id)
        there = contributions(self.publics.get(name))
        said = next((c for c in there if (c.partner, c.source_id) == own), None)
        if said is not None and newer(new, said) < 0:
            return False
        if said is not None:
            self.leave(name, new.partner)
        return True

    def end(self, name: str, why: End) -> bool:
        """Revoke a public object, for ever; False if there is nothing to revoke."""
        before = self.publics.get(name)
        if before is None or before.revoked or not before.contributions:
            return False
        self._said += [(each, False) for each in before.contributions]
        heard = before.testimonies
        layers = copies(before.contributions, lambda spoken: self._content(spoken, heard))
        revoked = [(level, {**content, "revoked": True}) for level, content in layers]
        gone = replace(
            before,
            contributions=(),
            testimonies=(),
            revoked=True,
            ended=why.value,
            figures=self._figures(before),
            due=0,
        )
        self._post(gone, aged(before, revoked, self.house.identity["id"], self.now))
        return True

    def look_again(self, name: str) -> bool:
        """What time has made of a public object; whether that is published."""
        before = self.publics.get(name)
        if before is None or before.revoked or before.due > self.now // HOUR:
            return False
        expires = _expiry(before, merged(before.contributions))
        if expires is not None and expires <= self.now:
            return self.end(name, End.EXPIRED)
        return self._recompute(name, before.contributions, before)

    def hear(self, name: str, partner: str) -> None:
        """The partner's sighting or opinion published under `name` reaches what it is about."""
        own = [c for c in contributions(self.publics.get(name)) if c.partner == partner]
        self._said += [(each, True) for each in own]

    def listen(self) -> None:
        """What sightings and opinions said in this transaction reaches what they are about."""
        said = [(testimonies_of(each), came) for each, came in self._said]
        self.load({target for targets, _ in said for target in targets})
        heard: dict[str, dict[tuple[str, str], Testimony]] = {}
        for targets, came in said:
            for target, testimony in targets.items():
                before = self.publics.get(target)
                if before is None or before.revoked:
                    continue
                own = {(t.partner, t.source_id): t for t in before.testimonies}
                voices = heard.setdefault(target, own)
                voices.pop((testimony.partner, testimony.source_id), None)
                if came:
                    voices[testimony.partner, testimony.source_id] = testimony
        for target, voices in heard.items():
            before = replace(self.publics[target], testimonies=kept(voices.values()))
            self._recompute(target, before.contributions, before)
        self._said.clear()

    def write(self) -> None:
        """Public objects and feeds, in this transaction."""
        self.txn.put([self.publics[name] for name in self._changed])
        for feed in self.house.feeds():
            bodies = [
                self._posting(self.publics[name], fresh)
                for name, written in self._postings.items()
                if (fresh := copy_for(written, feed.max_tlp)) and fresh.changed
            ]
            if bodies:
                self.txn.publish(feed.id, bodies, replace=True)

    def _recompute(
        self, name: str, contributed: tuple[Contribution, ...], before: Public | None
    ) -> bool:
        heard = before.testimonies if before else ()
        layers = copies(contributed, lambda spoken: self._content(spoken, heard))
        level = layers[0][0]
        scope = next(c.scope for c in contributed if c.tlp == level)
        if before is None:
            before = Public(name, self.now, self.now, b"", level, scope, contributed)
            if "|" in scope and name.startswith(_INDICATOR):
                self.txn.know_scope(scope)
        public = replace(before, contributions=contributed, tlp=level, scope=scope)
        said = self._figures(public)
        known = before if before.digest else None
        fresh = aged(known, layers, self._author(contributed), self.now)
        changed = any(copy.changed for copy in fresh)
        news = self._news(before, said)
        waits = news and not fresh[0].changed and self._quiet(before, said)
        public = replace(public, due=self._due(public, layers[0][1], said, waits=waits))
        if not changed and (waits or not news):
            self._keep(public)
            return False
        if news and not waits and not fresh[0].changed:  # readers of the least strict copy too
            fresh = again(fresh, self.now)
        self._post(replace(public, figures=before.figures if waits else said), fresh)
        return True

    def _content(self, spoken: Sequence[Contribution], heard: Sequence[Testimony]) -> StixObject:
        """What contributions say at one level, with the confidence that they make."""
        content = merged(spoken)
        sure = figures(spoken, heard, self.house.scale, self.now).confidence
        return content if sure is None else {**content, "confidence": sure}

    def _figures(self, public: Public) -> Figures:
        return figures(public.contributions, public.testimonies, self.house.scale, self.now)

    def _news(self, before: Public, said: Figures) -> bool:
        """Whether readers do not know the figures; of other things than indicators few show."""
        old = before.figures
        if old is None or not before.id.startswith(_INDICATOR):
            return old is None or old.confidence != said.confidence
        moved = (said.last - old.last) * DAY >= self.house.scale.refresh
        return moved or replace(said, last=old.last) != old

    def _quiet(self, before: Public, said: Figures) -> bool:
        """Whether it is too soon after the last version for figures that only rise."""
        recent = self.now - before.modified < self.house.quiet_period
        if not recent or before.id in self._postings or before.figures is None:
            return False
        old = before.figures
        surer = (said.confidence or 0) >= (old.confidence or 0)
        return surer and said.false_positives <= old.false_positives

    def _due(self, public: Public, content: StixObject, said: Figures, *, waits: bool) -> int:
        """The hour in which it must be looked at again; 0: in none."""
        until = public.modified + self.house.quiet_period if waits else None
        moments = [m for m in (_expiry(public, content), said.falls, until) if m is not None]
        return max(min(moments), self.now) // HOUR + 1 if moments else 0

    def _author(self, contributed: Sequence[Contribution]) -> str:
        """The one consenting partner's identity, else the hub's; sanitising strips all others."""
        named = contributed[0].object.get("created_by_ref") if len(contributed) == 1 else None
        return str(named or self.house.identity["id"])

    def _post(self, public: Public, fresh: list[Fresh]) -> None:
        base, *fuller = fresh
        stored = tuple(copy.of for copy in fuller)
        self._keep(replace(public, modified=base.of.modified, digest=base.of.digest, copies=stored))
        waiting = self._postings.get(public.id, [])
        self._postings[public.id] = [also(copy, waiting) for copy in fresh]

    def _posting(self, public: Public, fresh: Fresh) -> Posting:
        raw = next((each.raw for each in public.contributions if each.raw), b"")
        if raw:
            return posting(orjson.loads(raw), fresh.of.level, raw)
        content, kind = fresh.content, fresh.content["type"]
        if public.figures is not None:
            own = replace(public.figures, confidence=content.get("confidence"))
            content = told(content, own, self.house.identity["id"])
        body = {"type": kind, "spec_version": "2.1", "id": public.id, **content}
        if not observable(kind):
            body |= {"created_by_ref": fresh.author, "created": stix_time(public.created)}
            if kind != "marking-definition":
                body["modified"] = stix_time(fresh.of.modified)
        return posting(body, fresh.of.level)

    def _keep(self, public: Public) -> None:
        self.publics[public.id] = public
        self._changed.add(public.id)


def contributions(public: Public | None) -> tuple[Contribution, ...]:
    """What partners said of it; nothing, of what nobody has spoken of."""
    return public.contributions if public is not None else ()


def _expiry(public: Public, content: StixObject) -> int | None:
    """When it must be revoked; None if never, or if it had expired before it was published."""
    until = content.get("valid_until")
    at = None if until is None else micros(until)
    return at if at is not None and at > public.created else None


def posting(subject: StixObject, tlp: Tlp, raw: bytes = b"") -> Posting:
    """An object on its way into a feed, judged to be of this level: as somebody's bytes, if given.

    A copy with parts that only stricter levels may see is of the level that they need.
    """
    found_by = facets(subject)
    return Posting(
        id=subject["id"],
        type=subject["type"],
        spec="2.1",
        version=subject.get("modified") or subject.get("created") or "",
        body=raw or orjson.dumps(subject),
        digest=digest(subject),
        facets=found_by.names,
        numbers=found_by.numbers,
        traits=traits(subject, tlp),
    )
