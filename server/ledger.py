"""The public objects that one transaction touches, and what becomes of them.

A public object is computed anew from all its contributions whenever one joins
or leaves.  Only where it then says something new does a version of it go into
every feed that takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Collection as Some
from dataclasses import dataclass, field, replace

import orjson

from tocsin.admission.identify import observable
from tocsin.admission.merge import digest, merged
from tocsin.admission.model import Contribution, Layer, StixObject, Tlp
from tocsin.admission.parts import copies
from tocsin.admission.timestamps import stix_time
from tocsin.server.copies import Fresh, aged, also, copy_for
from tocsin.server.facets import facets
from tocsin.server.model import Collection, Posting, Public
from tocsin.server.store import Txn
from tocsin.server.traits import traits


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
        others = tuple(c for c in contributions(before) if c.partner != new.partner)
        return self._recompute(name, (*others, new), before)

    def leave(self, name: str, partner: str) -> None:
        """The partner's contribution ends; with the last one the public object is revoked."""
        before = self.publics.get(name)
        if before is None or before.revoked:
            return
        rest = tuple(c for c in before.contributions if c.partner != partner)
        if rest:
            self._recompute(name, rest, before)
        elif before.contributions:
            layers = copies(before.contributions, merged)
            layers = [(level, {**content, "revoked": True}) for level, content in layers]
            gone = replace(before, contributions=(), revoked=True)
            self._post(gone, aged(before, layers, self.house.identity["id"], self.now))

    def write(self) -> None:
        """Public objects and feeds, in this transaction."""
        self.txn.put([self.publics[name] for name in self._changed])
        for feed in self.house.feeds():
            bodies = [
                _posting(self.publics[name], fresh)
                for name, written in self._postings.items()
                if (fresh := copy_for(written, feed.max_tlp)) and fresh.changed
            ]
            if bodies:
                self.txn.publish(feed.id, bodies, replace=True)

    def _recompute(
        self, name: str, contributed: tuple[Contribution, ...], before: Public | None
    ) -> bool:
        layers = copies(contributed, merged)
        level = layers[0][0]
        scope = next(c.scope for c in contributed if c.tlp == level)
        if before is None:
            public = Public(name, self.now, self.now, b"", level, scope, contributed)
        else:
            public = replace(before, contributions=contributed, tlp=level, scope=scope)
            if self._quiet(before, layers):
                self._keep(public)
                return False
        fresh = aged(before, layers, self._author(contributed), self.now)
        if not any(copy.changed for copy in fresh):
            self._keep(public)
            return False
        self._post(public, fresh)
        return True

    def _quiet(self, before: Public, layers: Sequence[Layer]) -> bool:
        """Whether only confidence changed, and that too soon after the last version."""
        recent = self.now - before.modified < self.house.quiet_period
        if not recent or before.id in self._postings or before.tlp != layers[0][0]:
            return False
        return _firm(layers) == _firm(copies(before.contributions, merged))

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

    def _keep(self, public: Public) -> None:
        self.publics[public.id] = public
        self._changed.add(public.id)


def contributions(public: Public | None) -> tuple[Contribution, ...]:
    """What partners said of it; nothing, of what nobody has spoken of."""
    return public.contributions if public is not None else ()


def _firm(layers: Sequence[Layer]) -> list[tuple[Tlp, bytes]]:
    """What the layers say, confidence apart."""
    apart = ("confidence", "granular_markings")
    return [(level, digest(content, apart)) for level, content in layers]


def _posting(public: Public, fresh: Fresh) -> Posting:
    kind = fresh.content["type"]
    raw = next((each.raw for each in public.contributions if each.raw), b"")
    if raw:
        return posting(orjson.loads(raw), fresh.of.level, raw)
    body = {"type": kind, "spec_version": "2.1", "id": public.id, **fresh.content}
    if not observable(kind):
        body |= {"created_by_ref": fresh.author, "created": stix_time(public.created)}
        if kind != "marking-definition":
            body["modified"] = stix_time(fresh.of.modified)
    return posting(body, fresh.of.level)


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
