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
from tocsin.admission.model import Contribution, StixObject, Tlp
from tocsin.admission.timestamps import stix_time
from tocsin.server.facets import facets
from tocsin.server.model import Collection, Posting, Public
from tocsin.server.store import Txn
from tocsin.server.traits import traits

MILLISECOND = 1_000
"""`modified` has three decimals, so a later version is at least so much later."""


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
    _postings: dict[str, StixObject] = field(default_factory=dict)

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
            gone = replace(before, contributions=(), revoked=True, modified=self._later(before))
            content = {**merged(before.contributions), "revoked": True}
            self._post(gone, content, self.house.identity["id"])

    def write(self) -> None:
        """Public objects and feeds, in this transaction."""
        self.txn.put([self.publics[name] for name in self._changed])
        for feed in self.house.feeds():
            bodies = [
                posting(body, self.publics[name].tlp)
                for name, body in self._postings.items()
                if self.publics[name].tlp <= feed.max_tlp
            ]
            if bodies:
                self.txn.publish(feed.id, bodies, replace=True)

    def _recompute(
        self, name: str, contributed: tuple[Contribution, ...], before: Public | None
    ) -> bool:
        content = merged(contributed)
        author = self._author(contributed)
        value = digest({**content, "created_by_ref": author})
        level = min(c.tlp for c in contributed)
        scope = next(c.scope for c in contributed if c.tlp == level)
        if before is None:
            new = Public(name, self.now, self.now, value, level, scope, contributed)
            self._post(new, content, author)
            return True
        public = replace(before, contributions=contributed, tlp=level, scope=scope)
        if value == before.digest or self._quiet(before, content):
            self._keep(public)
            return False
        self._post(replace(public, digest=value, modified=self._later(before)), content, author)
        return True

    def _quiet(self, before: Public, content: StixObject) -> bool:
        """Whether only confidence changed, and that too soon after the last version."""
        recent = self.now - before.modified < self.house.quiet_period
        if not recent or before.id in self._postings:
            return False
        only = ("confidence",)
        return digest(content, only) == digest(merged(before.contributions), only)

    def _later(self, before: Public) -> int:
        return max(self.now, before.modified + MILLISECOND)

    def _author(self, contributed: Sequence[Contribution]) -> str:
        """The one consenting partner's identity, else the hub's; sanitising strips all others."""
        named = contributed[0].object.get("created_by_ref") if len(contributed) == 1 else None
        return str(named or self.house.identity["id"])

    def _post(self, public: Public, content: StixObject, author: str) -> None:
        kind = content["type"]
        body = {"type": kind, "spec_version": "2.1", "id": public.id, **content}
        if not observable(kind):
            body |= {"created_by_ref": author, "created": stix_time(public.created)}
            if kind != "marking-definition":
                body["modified"] = stix_time(public.modified)
        self._postings[public.id] = body
        self._keep(public)

    def _keep(self, public: Public) -> None:
        self.publics[public.id] = public
        self._changed.add(public.id)


def contributions(public: Public | None) -> tuple[Contribution, ...]:
    """What partners said of it; nothing, of what nobody has spoken of."""
    return public.contributions if public is not None else ()


def posting(subject: StixObject, tlp: Tlp) -> Posting:
    """An object of the hub's own making on its way into a feed, judged to be of this level."""
    found_by = facets(subject)
    return Posting(
        id=subject["id"],
        type=subject["type"],
        spec="2.1",
        version=subject.get("modified") or subject.get("created") or "",
        body=orjson.dumps(subject),
        digest=digest(subject),
        facets=found_by.names,
        numbers=found_by.numbers,
        traits=traits(subject, tlp),
    )
