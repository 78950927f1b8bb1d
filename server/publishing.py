"""One batch of examined candidates becomes public, inside one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.admission.extension import author, extension_definition
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
from tocsin.admission.references import references
from tocsin.admission.timestamps import micros
from tocsin.server.findings import dropped, note, telling
from tocsin.server.ledger import House, Ledger, contributions, posting
from tocsin.server.minting import GENERATIONS, Mint, Minted, Placed
from tocsin.server.model import End, Partner, Public, Question, Record, Review
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
    sees: Tlp = Tlp.CLEAR
    """The strictest level that the submitter may read; what is stricter is not there for it."""
    earlier: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By what they are about: source ids of the sightings and opinions that earlier batches of the
    submission have settled, when there was nothing yet that could hear them."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch."""

    records: tuple[Record, ...]
    reviews: tuple[Review, ...]
    arrived: Mapping[str, str]
    """Source ids that have a public one which they did not have before."""


class Publisher:
    """Publishes under the hub's identity into the feeds."""

    def __init__(self, mint: Mint, house: House) -> None:
        self.mint = mint
        self.house = house

    def furnish(self, txn: Txn) -> None:
        """What readers need in every feed: the hub's identity, TLP definitions, its extension."""
        for feed in self.house.feeds():
            levels = [definition(tlp) for tlp in Tlp if tlp <= feed.max_tlp]
            extension = (author(), extension_definition())
            every = (self.house.identity, *levels, *extension)
            own = [posting(subject, Tlp.CLEAR) for subject in every]
            txn.publish(feed.id, own, replace=True)

    def settle(self, txn: Txn, batch: Batch) -> Settled:
        """Everything about the batch but the submission's own state is written."""
        work = _Work(self.mint, Ledger(txn, self.house, batch.now), batch)
        for candidate in batch.candidates:
            work.take(candidate)
        work.recall()
        work.ledger.listen()
        work.ledger.write()
        if work.arrived:
            txn.remember(batch.partner.slug, batch.submission, work.arrived)
        return Settled(tuple(work.records), tuple(work.reviews), work.arrived)


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

    def __post_init__(self) -> None:
        minted = self.batch.minted
        subjects = [c.object for c in self.batch.candidates if c.open and c.object is not None]
        own = {c.source_id for c in self.batch.candidates if c.source_id}
        outside = {target for subject in subjects for target in references(subject)} - minted.keys()
        self.sources = self.ledger.txn.sources(self.batch.partner.slug, own | outside)
        public = {minted[name].id for name in own & minted.keys()}
        self.ledger.load(public | own | outside | set(self.sources.values()))
        self.known = dict(minted)
        for target in outside:
            self._recall(target)

    def _recall(self, target: str) -> None:
        """What an id from outside the submission stands for, if anything."""
        name = self.sources.get(target, target)
        public = self.ledger.publics.get(name)
        partner = self.batch.partner.slug
        if public is not None and (
            public.tlp <= self.batch.sees or any(c.partner == partner for c in public.contributions)
        ):
            self.known[target] = Minted(public.id, public.tlp)
        elif target in self.ledger.house.well_known or self.sources.get(target) == target:
            self.known[target] = Minted(target, Tlp.CLEAR)  # public already, under its own id

    def take(self, candidate: Candidate) -> None:
        source = candidate.source_id or ""
        if candidate.verdict is Verdict.DUPLICATE:
            author = source in self.batch.authors
            public = self.ledger.house.identity["id"] if author else source
            self._arrive(source, public)
            self._close(candidate, Verdict.DUPLICATE, public)
        elif not candidate.open:
            self._close(candidate, candidate.verdict)
        elif self._echo(candidate):
            self._close(candidate.noting(_ECHO), Verdict.DUPLICATE, source)
        else:
            self._place(candidate)

    def _echo(self, candidate: Candidate) -> bool:
        """The hub's own object coming back.  An SCO has one id everywhere, so it is none."""
        subject = candidate.object or {}
        hub = self.ledger.house.identity["id"]
        own = candidate.source_id == hub or candidate.source_id in self.ledger.publics
        return own and not observable(str(subject.get("type")))

    def _place(self, candidate: Candidate) -> None:
        placed = self.mint.place(candidate, self.known)
        candidate = placed.candidate.noting(*dropped(placed.rewriting))
        missing = placed.rewriting.missing
        if "marking" in self.batch.waived:
            missing = tuple(each for each in missing if not each.startswith("marking-definition"))
        if missing:
            self.known.pop(str(candidate.source_id), None)
            message = "waits for what it refers to: " + ", ".join(missing[:5])
            finding = Finding("publish", "references", Action.HELD, message)
            self._close(candidate.held(finding), Verdict.HELD, waits_for=missing)
            return
        if candidate.echo:
            self._copy(replace(placed, candidate=candidate))
            return
        living = self._living(replace(placed, candidate=candidate))
        if living is None:
            message = "was published and revoked too often: an analyst must look at it"
            finding = Finding("publish", "revoked", Action.HELD, message)
            self._close(candidate.held(finding), Verdict.HELD)
            return
        placed = living
        self.known[str(candidate.source_id)] = Minted(placed.id, _level(candidate))
        self._contribute(placed)

    def recall(self) -> None:
        """What earlier batches said of indicators that came only now is heard."""
        names = [
            self.batch.minted[said].id
            for candidate in self.batch.candidates
            for said in self.batch.earlier.get(str(candidate.source_id), ())
            if said in self.batch.minted
        ]
        self.ledger.load(names)
        for name in names:
            self.ledger.hear(name, self.batch.partner.slug)

    def _copy(self, placed: Placed) -> None:
        """What says that the hub made it, under an id that the hub does not know."""
        known: Public | None = None
        for generation in range(GENERATIONS + 1):
            again = self.mint.reborn(placed, generation) if generation else placed
            self.ledger.load([again.id])
            found = self.ledger.publics.get(again.id)
            if found is None:
                break
            known = found
        partner = self.batch.partner.slug
        if known is None or (
            known.tlp > self.batch.sees and all(c.partner != partner for c in contributions(known))
        ):
            message = "says that this hub made it, but here is no such object: send it as your own"
            fault = Finding("merge", "echo", Action.REFUSED, message)
            self._close(placed.candidate.refused(fault), Verdict.REFUSED)
            return
        self.known[str(placed.candidate.source_id)] = Minted(known.id, known.tlp)
        self._arrive(str(placed.candidate.source_id), known.id)
        self._close(placed.candidate.noting(_ECHO), Verdict.DUPLICATE, known.id)

    def _living(self, placed: Placed) -> Placed | None:
        """Under an id that is not revoked, unless it is this partner's own that was withdrawn.

        What has expired comes back if the new report is valid still.
        """
        own = self.sources.get(str(placed.candidate.source_id))
        valid = self._valid(placed)
        for generation in range(1, GENERATIONS + 1):
            self.ledger.load([placed.id])
            public = self.ledger.publics.get(placed.id)
            if public is None or not public.revoked:
                return placed
            expired = public.ended == End.EXPIRED
            if public.id == own and not (expired and valid):
                return placed
            if expired and not valid and public.tlp <= self.batch.sees:
                return placed
            placed = self.mint.reborn(placed, generation)
        return None

    def _contribute(self, placed: Placed) -> None:
        candidate, partner = placed.candidate, self.batch.partner.slug
        new = self._contribution(placed)
        public = self.ledger.publics.get(placed.id)
        before = self.sources.get(new.source_id)
        mine = next((c for c in contributions(public) if c.partner == partner), None)
        if new.object.get("revoked") is True:
            self._withdraw(candidate, before or placed.id)
            return
        if public is not None and public.ended == End.EXPIRED:
            remark = note(
                "expired", "it has expired here already; send it with a later valid_until"
            )
            self._close(candidate.noting(remark), Verdict.DUPLICATE, placed.id)
            return
        if public is not None and public.revoked:
            self._refuse(candidate, "this id was revoked, for ever; send it under a new id")
            return
        if mine is not None and self._decided(placed, mine, new):
            return
        if before is not None and before != placed.id:
            self.ledger.leave(before, partner)
        changed = self.ledger.join(placed.id, new)
        self._arrive(new.source_id, placed.id)
        unseen = public is None or public.tlp > self.batch.sees
        alone = unseen or all(c.partner == partner for c in contributions(public))
        verdict = Verdict.ADMITTED if changed or unseen else Verdict.DUPLICATE
        self._close(candidate, verdict if alone else Verdict.MERGED, placed.id)

    def _decided(self, placed: Placed, mine: Contribution, new: Contribution) -> bool:
        """Whether what the partner sent before decides the verdict already."""
        candidate = placed.candidate
        if _says_no_more(new.object, mine.object):
            self.ledger.confirm(placed.id, mine, new.received)
            self._arrive(new.source_id, placed.id)
            self._close(candidate, Verdict.DUPLICATE, placed.id)
            return True
        if mine.source_id != new.source_id or not new.version:
            return False
        later = micros(new.version) - micros(mine.version)
        if later > 0 or (later == 0 and self.batch.waived):
            return False  # newer, or the same again with more of it: an analyst released it
        asks = any(f.action is Action.ASKED for f in candidate.findings)
        if later < 0 or mine.received == new.received or asks:
            version = "a newer version" if later < 0 else "this version"
            remark = note("versions", f"{version} of it is here already")
            self._close(candidate.noting(remark), Verdict.DUPLICATE, placed.id)
        else:
            self._refuse(candidate, "this version is here with other content; raise `modified`")
        return True

    def _contribution(self, placed: Placed) -> Contribution:
        candidate = placed.candidate
        body = placed.rewriting.object
        return Contribution(
            partner=self.batch.partner.slug,
            source_id=str(candidate.source_id),
            version=candidate.source_version or "",
            received=self.batch.received,
            tlp=_level(candidate),
            scope=candidate.scope,
            object={name: value for name, value in body.items() if name not in _OF_THE_SOURCE},
            reliability=self.batch.partner.reliability,
            group=self.batch.partner.group,
        )

    def _valid(self, placed: Placed) -> bool:
        """Whether its own word is that it holds now."""
        until = placed.rewriting.object.get("valid_until")
        return until is None or micros(until) > self.batch.now

    def _withdraw(self, candidate: Candidate, name: str) -> None:
        partner = self.batch.partner.slug
        if any(c.partner == partner for c in contributions(self.ledger.publics.get(name))):
            self.ledger.leave(name, partner)
            remark = note("revoked", "your contribution is withdrawn")
            self._close(candidate.noting(remark), Verdict.ADMITTED, name)
        else:
            remark = note("revoked", "nothing of yours is published under it")
            self._close(candidate.noting(remark), Verdict.DUPLICATE)

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
            findings=tuple(finding.as_json() for finding in telling(candidate.findings)),
        )
        self.records.append(record)
        wanted = Action.HELD if verdict is Verdict.HELD else Action.ASKED
        rules = tuple(sorted({f.rule for f in candidate.findings if f.action is wanted}))
        settled = verdict in (Verdict.REFUSED, Verdict.DUPLICATE)  # asked the first time, if ever
        if verdict is Verdict.HELD or (rules and not settled):
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
            object=spelt(candidate.original or candidate.object or {}),
            rules=rules,
            findings=record.findings,
            waits_for=waits_for[:_MOST_AWAITED],
        )


_MOST_AWAITED = 1_000
_OF_THE_SOURCE = ("id", "created", "modified")


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


_ECHO = Finding("merge", "echo", Action.NOTED, "the hub's own object; it corroborates nothing")
