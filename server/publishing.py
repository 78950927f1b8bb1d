"""One batch of examined candidates becomes public, inside one transaction."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from tocsin.admission.identify import observable
from tocsin.admission.markings import definition
from tocsin.admission.merge import spelt
from tocsin.admission.model import (
    Action,
    Candidate,
    Contribution,
    Finding,
    StixObject,
    Tlp,
    Verdict,
)
from tocsin.admission.parts import stricter
from tocsin.admission.references import references
from tocsin.admission.timestamps import micros
from tocsin.server.completing import MOST_AWAITED, complete, contributed, recalled
from tocsin.server.ledger import House, Ledger, contributions, posting
from tocsin.server.minting import Mint, Minted, Placed, in_order, seen
from tocsin.server.model import Arrivals, Partner, Question, Record, Review, Wait
from tocsin.server.store import Txn


@dataclass(frozen=True, slots=True)
class Batch:
    """A slice of one submission, examined."""

    submission: str
    partner: Partner
    candidates: tuple[Candidate, ...]
    minted: Mapping[str, Minted]
    """Of the whole submission."""
    authors: frozenset[str]
    """Identities that give way to the hub's own."""
    received: int
    now: int
    waived: frozenset[str] = frozenset()
    """Rules that an analyst has overruled."""
    refused: frozenset[str] = frozenset()
    """Source ids of the whole submission that were refused."""
    sees: Tlp = Tlp.CLEAR
    """The strictest level that the submitter may read; what is stricter is not there for it."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch."""

    records: tuple[Record, ...]
    reviews: tuple[Review, ...]
    arrivals: Arrivals
    """What others may have waited for."""
    after: str = ""
    """Where the next portion begins of what is to be completed, if there is one."""


class Publisher:
    """Publishes under the hub's identity into the feeds."""

    def __init__(self, mint: Mint, house: House) -> None:
        self.mint = mint
        self.house = house

    def furnish(self, txn: Txn) -> None:
        """The hub's identity and the TLP definitions in every feed that may need them."""
        for feed in self.house.feeds():
            levels = [definition(tlp) for tlp in Tlp if tlp <= feed.max_tlp]
            own = [posting(subject, Tlp.CLEAR) for subject in (self.house.identity, *levels)]
            txn.publish(feed.id, own, replace=True)

    def settle(self, txn: Txn, batch: Batch) -> Settled:
        """Everything about the batch but the submission's own state is written."""
        work = _Work(self.mint, Ledger(txn, self.house, batch.now), batch)
        for candidate in in_order(batch.candidates):
            work.take(candidate)
        txn.wait(work.waits)
        if work.arrived:
            txn.remember(batch.partner.slug, batch.submission, work.arrived)
        arrivals = Arrivals(batch.partner.slug, frozenset(work.arrived), frozenset(work.opened))
        after = complete(work.ledger, arrivals)
        work.ledger.write()
        records = sorted(work.records, key=lambda record: record.index)
        return Settled(tuple(records), tuple(work.reviews), arrivals, after)

    def complete(self, txn: Txn, arrivals: Arrivals, after: str, now: int) -> str:
        """The next portion of what waits for what has arrived; where the one after it begins."""
        ledger = Ledger(txn, self.house, now)
        after = complete(ledger, arrivals, after)
        ledger.write()
        return after

    def give_up(self, txn: Txn, review: Review, now: int) -> None:
        """Nobody need wait any more for what an analyst has refused."""
        if review.source_id and not txn.sources(review.partner, [review.source_id]):
            txn.remember(review.partner, review.submission, {review.source_id: ""})
            self.complete(txn, Arrivals(review.partner, frozenset({review.source_id})), "", now)


@dataclass(slots=True)
class _Work:
    """One candidate after the other gets its verdict."""

    mint: Mint
    ledger: Ledger
    batch: Batch
    records: list[Record] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    arrived: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """What the partner's source ids stood for before this batch."""
    known: dict[str, Minted] = field(default_factory=dict)
    """What ids stand for now."""
    waits: list[Wait] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)
    """Public ids that may be seen more widely than before."""

    def __post_init__(self) -> None:
        batch = self.batch
        minted = batch.minted
        own = {c.source_id for c in batch.candidates if c.source_id}
        subjects = [layer for c in batch.candidates if c.open for layer in seen(c)]
        outside = {target for subject in subjects for target in references(subject)} - minted.keys()
        self.sources = self.ledger.txn.sources(batch.partner.slug, own)
        public = {minted[name].id for name in own & minted.keys()}
        self.ledger.load(public | own | set(self.sources.values()))
        self.known = {name: Minted("", Tlp.RED) for name in batch.refused} | dict(minted)
        self.known |= recalled(self.ledger, batch.partner.slug, batch.sees, outside)

    def take(self, candidate: Candidate) -> None:
        source = candidate.source_id or ""
        if candidate.verdict is Verdict.DUPLICATE:
            author = source in self.batch.authors
            public = self.ledger.house.identity["id"] if author else source
            self._arrive(source, public)
            self._close(candidate, Verdict.DUPLICATE, public)
        elif not candidate.open:
            if candidate.verdict is Verdict.REFUSED and source not in self.sources:
                self._arrive(source, "")  # nobody need wait for it
            self._close(candidate, candidate.verdict)
        elif self._echo(candidate):
            note = _note("echo", "the hub's own object; it corroborates nothing")
            self._close(candidate.noting(note), Verdict.DUPLICATE, source)
        else:
            self._place(candidate)

    def _echo(self, candidate: Candidate) -> bool:
        """The hub's own object coming back.  An SCO has one id everywhere, so it is none."""
        subject = candidate.object or {}
        own = candidate.source_id in self.ledger.publics and not candidate.raw
        return own and not observable(str(subject.get("type")))

    def _place(self, candidate: Candidate) -> None:
        placed = self.mint.place(candidate, self.known)
        candidate = placed.candidate.noting(*_dropped(placed))
        missing = placed.rewriting.missing
        if "marking" in self.batch.waived:
            missing = tuple(each for each in missing if not each.startswith("marking-definition"))
        if missing:
            self.known.pop(str(candidate.source_id), None)
            message = "waits for what it refers to: " + ", ".join(missing[:5])
            finding = Finding("publish", "references", Action.HELD, message)
            self._close(candidate.held(finding), Verdict.HELD, waits_for=missing)
            return
        living = self._living(replace(placed, candidate=candidate))
        if living is None:
            message = "was published and revoked too often: an analyst must look at it"
            finding = Finding("publish", "revoked", Action.HELD, message)
            self._close(candidate.held(finding), Verdict.HELD)
            return
        placed = living
        parts = stricter(((_level(candidate), placed.rewriting.object), *placed.fuller))
        self.known[str(candidate.source_id)] = Minted(placed.id, _level(candidate), parts)
        self._contribute(placed)

    def _living(self, placed: Placed) -> Placed | None:
        """Under an id that is not revoked, unless it is this partner's own that is."""
        own = self.sources.get(str(placed.candidate.source_id))
        for generation in range(1, _GENERATIONS + 1):
            self.ledger.load([placed.id])
            public = self.ledger.publics.get(placed.id)
            if public is None or not public.revoked or public.id == own:
                return placed
            placed = self.mint.reborn(placed, generation)
        return None

    def _contribute(self, placed: Placed) -> None:
        candidate, partner = placed.candidate, self.batch.partner.slug
        new, awaited = self._contribution(placed)
        public = self.ledger.publics.get(placed.id)
        before = self.sources.get(new.source_id) or None
        mine = next((c for c in contributions(public) if c.partner == partner), None)
        if new.object.get("revoked") is True:
            self._withdraw(candidate, before or placed.id)
            return
        if public is not None and public.revoked:
            self._refuse(candidate, "this id was revoked, for ever; send it under a new id")
            return
        if new.raw and any(not _same_definition(new, c) for c in contributions(public)):
            self._refuse(candidate, "this marking definition is here with other content")
            return
        if mine is not None and self._decided(placed, mine, new):
            return
        if before is not None and before != placed.id:
            self.ledger.leave(before, partner)
        changed = self.ledger.join(placed.id, new)
        self._arrive(new.source_id, placed.id)
        if awaited or (mine is not None and mine.draft):
            self.waits.append(Wait(placed.id, partner, self.batch.sees, awaited))
        if public is None or public.tlp > new.tlp:
            self.opened.add(placed.id)
        unseen = public is None or public.tlp > self.batch.sees
        alone = unseen or all(c.partner == partner for c in contributions(public))
        verdict = Verdict.ADMITTED if changed or unseen else Verdict.DUPLICATE
        self._close(candidate, verdict if alone else Verdict.MERGED, placed.id)

    def _decided(self, placed: Placed, mine: Contribution, new: Contribution) -> bool:
        """Whether what the partner sent before decides the verdict already."""
        candidate = placed.candidate
        if (
            new.fuller == mine.fuller
            and _says_no_more(new.object, mine.object)
            and (not new.raw or new.tlp >= mine.tlp)
        ):
            self._arrive(new.source_id, placed.id)
            self._close(candidate, Verdict.DUPLICATE, placed.id)
            return True
        if mine.source_id != new.source_id or not new.version or new.raw:
            return False
        later = micros(new.version) - micros(mine.version)
        if later > 0:
            return False
        if later < 0 or mine.received == new.received:
            note = _note("versions", "a newer version of it is here already")
            self._close(candidate.noting(note), Verdict.DUPLICATE, placed.id)
        else:
            self._refuse(candidate, "this version is here with other content; raise `modified`")
        return True

    def _contribution(self, placed: Placed) -> tuple[Contribution, frozenset[str]]:
        candidate = placed.candidate
        bare = Contribution(
            partner=self.batch.partner.slug,
            source_id=str(candidate.source_id),
            version=candidate.source_version or "",
            received=self.batch.received,
            tlp=_level(candidate),
            scope=candidate.scope,
            object=candidate.object or {},
            raw=candidate.raw,
        )
        layers = [(bare.tlp, bare.object), *candidate.fuller]
        return (bare, frozenset()) if bare.raw else contributed(bare, layers, self.known)

    def _withdraw(self, candidate: Candidate, name: str) -> None:
        partner = self.batch.partner.slug
        if any(c.partner == partner for c in contributions(self.ledger.publics.get(name))):
            self.ledger.leave(name, partner)
            note = _note("revoked", "your contribution is withdrawn")
            self._close(candidate.noting(note), Verdict.ADMITTED, name)
        else:
            note = _note("revoked", "nothing of yours is published under it")
            self._close(candidate.noting(note), Verdict.DUPLICATE)

    def _arrive(self, source: str, public: str) -> None:
        if source and self.sources.get(source) != public:
            self.arrived[source] = public

    def _refuse(self, candidate: Candidate, message: str) -> None:
        fault = Finding("merge", "versions", Action.REFUSED, message)
        self._close(candidate.refused(fault), Verdict.REFUSED)

    def _close(
        self,
        candidate: Candidate,
        verdict: Verdict,
        public: str = "",
        waits_for: tuple[str, ...] = (),
    ) -> None:
        record = Record(
            index=candidate.index,
            verdict=verdict.value,
            source_id=candidate.source_id or "",
            version=candidate.source_version or "",
            public_id=public,
            findings=tuple(finding.as_json() for finding in _telling(candidate.findings)),
        )
        self.records.append(record)
        wanted = Action.HELD if verdict is Verdict.HELD else Action.ASKED
        rules = tuple(sorted({f.rule for f in candidate.findings if f.action is wanted}))
        if verdict is Verdict.HELD or (rules and verdict is not Verdict.REFUSED):
            self.reviews.append(self._review(candidate, record, rules, waits_for))

    def _review(
        self,
        candidate: Candidate,
        record: Record,
        rules: tuple[str, ...],
        waits_for: tuple[str, ...],
    ) -> Review:
        held = record.verdict == Verdict.HELD
        return Review(
            id=str(uuid.uuid4()),
            question=Question.HELD if held else Question.ASKED,
            submission=self.batch.submission,
            index=record.index,
            partner=self.batch.partner.slug,
            source_id=record.source_id,
            asked=self.batch.now,
            object=candidate.raw or spelt(candidate.original or candidate.object or {}),
            rules=rules,
            findings=record.findings,
            waits_for=waits_for[:MOST_AWAITED],
        )


_MOST_FINDINGS = 20
_GENERATIONS = 16
"""How often a public object may come back after it was revoked."""


def _same_definition(new: Contribution, old: Contribution) -> bool:
    return bool(old.raw) and orjson.loads(old.raw) == orjson.loads(new.raw)


def _level(candidate: Candidate) -> Tlp:
    """The level that normalise found; the strictest there is if it was never asked."""
    return candidate.tlp if candidate.tlp is not None else Tlp.RED


def _says_no_more(new: StixObject, old: StixObject) -> bool:
    """Whether it is the same again; the earliest `valid_from` counts, so a later one is nothing."""
    if new == old:
        return True
    if "valid_from" not in new or "valid_from" not in old:
        return False
    if micros(new["valid_from"]) < micros(old["valid_from"]):
        return False
    return {**new, "valid_from": ""} == {**old, "valid_from": ""}


def _dropped(placed: Placed) -> list[Finding]:
    """One finding for each property, however many references it lost."""
    lost = Counter(str(path[0]) for path, _ in placed.rewriting.dropped)
    return [
        Finding(
            "publish",
            "references",
            Action.STRIPPED,
            f"{count} of its references lead to what its readers cannot see",
            name,
        )
        for name, count in sorted(lost.items())[:_MOST_FINDINGS]
    ]


def _telling(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """As many as a person can read; the last ones give the reason for the verdict."""
    most = 2 * _MOST_FINDINGS
    return (
        findings
        if len(findings) <= most
        else findings[:_MOST_FINDINGS] + findings[-_MOST_FINDINGS:]
    )


def _note(rule: str, message: str) -> Finding:
    return Finding("merge", rule, Action.NOTED, message)
