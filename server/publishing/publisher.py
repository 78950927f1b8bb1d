"""One batch of examined candidates becomes public, inside one transaction.

What is settled in one transaction, and what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.admission.markings.granular import is_repeat, stricter_properties
from tocsin.admission.markings.tlp import tlp_definition
from tocsin.admission.merge.content import is_same_definition, version_gap
from tocsin.admission.merge.identity import has_contributing_properties, is_observable_type
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Contribution,
    Finding,
    Tlp,
    Verdict,
)
from tocsin.admission.stix.history_extension import author, extension_definition
from tocsin.admission.stix.references import references
from tocsin.server.model import (
    ArrivedIds,
    Partner,
    PendingReferences,
    PublicObject,
    Record,
    Review,
    RevocationReason,
)
from tocsin.server.publishing.marking_definitions import awaited, narrower, widened
from tocsin.server.publishing.pending_references import (
    MOST_AWAITED,
    complete,
    contributed,
    may_mean,
    recalled,
)
from tocsin.server.publishing.public_ids import (
    GENERATIONS,
    Mint,
    Minted,
    Placed,
    in_order,
    seen,
)
from tocsin.server.publishing.public_objects import (
    House,
    Ledger,
    contributions,
    posting,
)
from tocsin.server.publishing.verdicts import (
    ECHO,
    WITHDRAWN,
    Verdicts,
    dropped,
    note,
    outspoken,
    raised,
    staying,
)
from tocsin.server.store import Transaction


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the hub went by in examining, and may be decided otherwise before it has settled."""

    partner: Partner | None
    """As it was known; None: not at all, as the operator is."""
    unwanted: int
    """The revision of the hub's own warning list."""


class Outdated(Exception):
    """Something was decided since it was examined; nothing of it may be settled so."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A slice of one submission, examined."""

    submission: str
    partner: Partner
    """As it wants to be known in this submission."""
    candidates: tuple[Candidate, ...]
    minted: Mapping[str, Minted]
    """Of the whole submission."""
    authors: frozenset[str]
    """Identities that give way to the hub's own."""
    received: int
    now: int
    grounds: Grounds
    waived: frozenset[str] = frozenset()
    """Rules that an analyst has overruled."""
    refused: frozenset[str] = frozenset()
    """Source ids of the whole submission that were refused."""
    unmarked: frozenset[str] = frozenset()
    """Source ids of marking definitions that say no level of their own."""
    sees: Tlp = Tlp.CLEAR
    """The strictest level that the submitter may read; what is stricter is not there for it."""
    defined: frozenset[str] = frozenset()
    """Marking definitions that the partner sent before and that were at hand."""
    earlier: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By what they are about: source ids of the sightings and opinions that earlier batches of the
    submission have settled, when there was nothing yet that could hear them."""

    def said(self, candidate: Candidate, version: str) -> Contribution:
        """What the partner says with one of its objects."""
        return Contribution(
            partner=self.partner.slug,
            source_id=str(candidate.source_id),
            version=version,
            received=self.received,
            tlp=candidate.effective_tlp,
            scope=candidate.scope,
            object=candidate.object or {},
            raw=candidate.raw,
            reliability=self.partner.reliability,
            group=self.partner.group,
            may_be_named=self.partner.consent in CONSENTS_TO_NAME,
            unmarked=candidate.source_id in self.unmarked,
        )


def revoked(source: str) -> str:
    """Under this it is kept beside a partner's ids that one of them was revoked."""
    return f"revoked {source}"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch."""

    records: tuple[Record, ...]
    reviews: tuple[Review, ...]
    arrivals: ArrivedIds
    """What others may have waited for."""
    after: str = ""
    """Where the next portion begins of what is to be completed, if there is one."""
    revoked: frozenset[str] = frozenset()
    """Ids that the partner revoked: nobody need decide any more what waits under them."""


_FOR_EVER = "this id was revoked, for ever; send it under a new id"


class Publisher:
    """Publishes under the hub's identity into the feeds."""

    def __init__(self, mint: Mint, house: House) -> None:
        self.mint = mint
        self.house = house

    def furnish(self, txn: Transaction) -> None:
        """What readers need in every feed: the hub's identity, TLP definitions, its extension."""
        for feed in self.house.feeds():
            levels = [tlp_definition(tlp) for tlp in Tlp if tlp <= feed.max_tlp]
            extension = (author(), extension_definition())
            every = (self.house.identity, *levels, *extension)
            own = [posting(subject, Tlp.CLEAR) for subject in every]
            txn.publish(feed.id, own, replace=True)

    def settle(self, txn: Transaction, batch: Batch) -> Settled:
        """Everything about the batch but the submission's own state is written."""
        verdicts = Verdicts(batch.submission, batch.partner, batch.now)
        work = _Work(self.mint, Ledger(txn, self.house, batch.now), batch, verdicts)
        work.keep_authors()
        for candidate in in_order(batch.candidates):
            work.take(candidate)
        work.recall()
        txn.put_pending_references(work.waits)
        if said := work.arrived | work.taken_back:
            txn.add_public_ids(batch.partner.slug, batch.submission, said)
        arrivals = ArrivedIds(batch.partner.slug, frozenset(work.arrived), frozenset(work.opened))
        after = complete(work.ledger, arrivals)
        work.ledger.listen()
        work.ledger.write()
        records = sorted(verdicts.records, key=lambda record: record.index)
        gone = frozenset(name.removeprefix(revoked("")) for name in work.taken_back)
        return Settled(tuple(records), tuple(verdicts.reviews), arrivals, after, gone)

    def complete(self, txn: Transaction, arrivals: ArrivedIds, after: str, now: int) -> str:
        """The next portion of what waits for what has arrived; where the one after it begins."""
        ledger = Ledger(txn, self.house, now)
        after = complete(ledger, arrivals, after)
        ledger.listen()
        ledger.write()
        return after

    def give_up(self, txn: Transaction, review: Review, now: int) -> None:
        """Nobody need wait any more for what an analyst has refused."""
        if review.source_id and not txn.find_public_ids(review.partner, [review.source_id]):
            txn.add_public_ids(review.partner, review.submission, {review.source_id: ""})
            self.complete(txn, ArrivedIds(review.partner, frozenset({review.source_id})), "", now)


@dataclass(slots=True)
class _Work:
    """One candidate after the other gets its verdict."""

    mint: Mint
    ledger: Ledger
    batch: Batch
    verdicts: Verdicts
    arrived: dict[str, str] = field(default_factory=dict)
    """What its ids stand for since then."""
    sources: dict[str, str] = field(default_factory=dict)
    """What the partner's source ids stood for before this batch."""
    known: dict[str, Minted] = field(default_factory=dict)
    """What ids stand for now."""
    taken_back: dict[str, str] = field(default_factory=dict)
    """What its ids stood for that it revokes, by what tells so of each (`revoked`)."""
    revoked: set[str] = field(default_factory=set)
    """Ids that the partner revoked before; they say nothing again."""
    waits: list[PendingReferences] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)
    """Public ids that may be seen more widely than before."""

    def __post_init__(self) -> None:
        batch = self.batch
        minted = batch.minted
        own = {c.source_id for c in batch.candidates if c.source_id} | batch.authors
        subjects = [layer for c in batch.candidates if c.is_open for layer in seen(c)]
        outside = {target for subject in subjects for target in references(subject)} - minted.keys()
        told = self.ledger.txn.find_public_ids(batch.partner.slug, own | set(map(revoked, own)))
        self.sources = {name: told[name] for name in own & told.keys()}
        public = {minted[name].id for name in own & minted.keys()}
        self.ledger.load(public | own | set(self.sources.values()))
        silent = {s for s in own if not self._said(self.sources.get(s, ""), s)}
        self.revoked = {source for source in silent if revoked(source) in told}
        self.known = {name: Minted("", Tlp.RED) for name in batch.refused} | dict(minted)
        self.known |= recalled(self.ledger, batch.partner.slug, batch.sees, outside)

    def keep_authors(self) -> None:
        """Who is named as author gives way to the hub from now on, also if it was published."""
        hub = self.ledger.house.identity["id"]
        for identity in self.batch.authors - {hub}:
            before = self.sources.get(identity, "")
            if said := self._said(before, identity):
                if said.may_be_named and said.received > self.batch.received:
                    continue  # it agreed to be named since the submission came
                self.ledger.unname(before, said)
            self._arrive(identity, hub)

    def take(self, candidate: Candidate) -> None:
        source = candidate.source_id or ""
        if self._takes_back(candidate):
            return
        if candidate.verdict is Verdict.DUPLICATE:
            author = source in self.batch.authors
            public = self.ledger.house.identity["id"] if author else source
            if not author:
                self._arrive(source, public)
            self.verdicts.close(candidate, Verdict.DUPLICATE, public)
        elif not candidate.is_open:
            if candidate.verdict is Verdict.REFUSED and source not in self.sources:
                self._arrive(source, "")  # nobody need wait for it
            told = candidate.with_findings(*staying(self._said(self._stands_for(source), source)))
            waits_for = awaited(candidate)[:MOST_AWAITED]
            self.verdicts.close(told, candidate.verdict, waits_for=waits_for)
        elif self._echo(candidate):
            self.verdicts.close(candidate.with_findings(ECHO), Verdict.DUPLICATE, source)
        else:
            self._place(candidate)

    def _takes_back(self, candidate: Candidate) -> bool:
        """Whether it revokes what the partner says: that needs no analyst and nothing else."""
        subject, source = candidate.object or {}, candidate.source_id or ""
        if subject.get("revoked") is not True or candidate.from_hub or self._echo(candidate):
            return False
        name = self._stands_for(source)
        if self._said(name, source) is None:
            if candidate.verdict is Verdict.DUPLICATE or not source:
                return False
            name = ""
            self.known[source] = Minted("", Tlp.RED)
        if source not in self.revoked:
            self.revoked.add(source)
            self.taken_back[revoked(source)] = name
        if not name and candidate.verdict is Verdict.REFUSED:
            return False  # but nothing comes any more of what waits under its id
        self._withdraw(replace(candidate, verdict=Verdict.OPEN, findings=()), name)
        return True

    def _echo(self, candidate: Candidate) -> bool:
        """The hub's own object coming back.  An SCO that is named by its value is none."""
        subject = candidate.object or {}
        hub = self.ledger.house.identity["id"]
        public = self.ledger.publics.get(candidate.source_id or "")
        known = public is not None and not candidate.raw and self._may_know(public)
        own = candidate.source_id == hub or known
        return own and not (
            is_observable_type(str(subject.get("type"))) and has_contributing_properties(subject)
        )

    def _place(self, candidate: Candidate) -> None:
        placed = self.mint.place(candidate, self.known)
        partner = self.batch.partner.slug
        if wide := widened(self.ledger, self.mint, partner, self.known, placed):
            self.known |= wide
            for name, minted in wide.items():
                self._arrive(name, minted.id)
            placed = self.mint.place(candidate, self.known)
        remarks = raised(candidate, placed.candidate)
        candidate = placed.candidate.with_findings(*remarks, *dropped(placed.rewriting))
        missing = placed.rewriting.missing
        if "marking" in self.batch.waived:
            missing = tuple(each for each in missing if not each.startswith("marking-definition"))
        if missing:
            self.known.pop(str(candidate.source_id), None)
            message = "waits for what it refers to: " + ", ".join(missing[:5])
            finding = Finding("publish", "references", Action.HELD, message)
            awaited = missing[:MOST_AWAITED]
            self.verdicts.close(candidate.hold(finding), Verdict.HELD, waits_for=awaited)
            return
        if candidate.from_hub:
            self._copy(replace(placed, candidate=candidate))
            return
        living = self._living(replace(placed, candidate=candidate))
        if living is None:
            message = "was published and revoked too often: an analyst must look at it"
            finding = Finding("publish", "revoked", Action.HELD, message)
            self.verdicts.close(candidate.hold(finding), Verdict.HELD)
            return
        placed = living
        parts = stricter_properties(
            ((candidate.effective_tlp, placed.rewriting.object), *placed.fuller)
        )
        self.known[str(candidate.source_id)] = Minted(placed.id, candidate.effective_tlp, parts)
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
        known: PublicObject | None = None
        for generation in range(GENERATIONS + 1):
            again = self.mint.reborn(placed, generation) if generation else placed
            self.ledger.load([again.id])
            found = self.ledger.publics.get(again.id)
            if found is None:
                break
            known = found
        if known is None or not self._may_know(known):
            message = "says that this hub made it, but here is no such object: send it as your own"
            fault = Finding("merge", "echo", Action.REFUSED, message)
            self.verdicts.close(placed.candidate.refuse(fault), Verdict.REFUSED)
            return
        self.known[str(placed.candidate.source_id)] = Minted(known.id, known.tlp)
        self._arrive(str(placed.candidate.source_id), known.id)
        self.verdicts.close(placed.candidate.with_findings(ECHO), Verdict.DUPLICATE, known.id)

    def _may_know(self, public: PublicObject) -> bool:
        """Whether the submitter may read it, or speaks of it itself."""
        return may_mean(public, self.batch.partner.slug, self.batch.sees)

    def _living(self, placed: Placed) -> Placed | None:
        """Under an id that is not revoked, unless it is this partner's own that was withdrawn.

        What has expired comes back if the new report is valid still.
        """
        own = self._stands_for(str(placed.candidate.source_id))
        valid = placed.holds(self.batch.now)
        for generation in range(1, GENERATIONS + 1):
            self.ledger.load([placed.id])
            public = self.ledger.publics.get(placed.id)
            if public is None or not public.revoked:
                return placed
            expired = public.revocation_reason == RevocationReason.EXPIRED
            if public.id == own and not (expired and valid):
                return placed
            if expired and not valid and public.tlp <= self.batch.sees:
                return placed
            placed = self.mint.reborn(placed, generation)
        return None

    def _contribute(self, placed: Placed) -> None:
        candidate, partner = placed.candidate, self.batch.partner.slug
        new, awaited = self._contribution(placed)
        public = self.ledger.publics.get(placed.id)
        mine = self.ledger.said(placed.id, partner, new.source_id)
        if self._closed(placed, new, public) or self._elsewhere(placed, new):
            return
        if mine is not None and self._decided(placed, mine, new):
            return
        others = [c for c in contributions(public) if c.partner == partner and c is not mine]
        changed = self.ledger.join(placed.id, new)
        self._arrive(new.source_id, placed.id)
        if awaited or (mine is not None and mine.unresolved_layers):
            self.waits.append(
                PendingReferences(placed.id, partner, self.batch.sees, awaited, new.source_id)
            )
        if public is None or public.tlp > new.tlp:
            self.opened.add(placed.id)
        if others and (not changed or any(is_repeat(new, each) for each in others)):
            verdict = Verdict.DUPLICATE
        else:
            verdict = self._verdict(public, changed=changed)
        if others:
            candidate = candidate.with_findings(*outspoken(new, others))
        self.verdicts.close(candidate, verdict, placed.id, kept=True)

    def _verdict(self, public: PublicObject | None, *, changed: bool) -> Verdict:
        """On what joined a public object, given what that was before."""
        if public is None or public.tlp > self.batch.sees:
            return Verdict.ADMITTED
        if any(c.partner != self.batch.partner.slug for c in public.contributions):
            return Verdict.MERGED
        return Verdict.ADMITTED if changed else Verdict.DUPLICATE

    def _closed(self, placed: Placed, new: Contribution, public: PublicObject | None) -> bool:
        """Whether what it would join is past joining."""
        candidate = placed.candidate
        if new.source_id in self.revoked:
            if public is None:
                self.known[new.source_id] = Minted("", Tlp.RED)
            self._refuse(candidate, _FOR_EVER)
            return True
        if public is not None and public.revocation_reason == RevocationReason.EXPIRED:
            remark = note("expired", "it has expired here already: send a later valid_until")
            self.verdicts.close(candidate.with_findings(remark), Verdict.DUPLICATE, placed.id)
            return True
        if public is not None and public.revoked:
            self._refuse(candidate, _FOR_EVER)
            return True
        if new.raw and any(not is_same_definition(new, c) for c in contributions(public)):
            self._refuse(candidate, "this marking definition is here with other content")
            return True
        return False

    def _elsewhere(self, placed: Placed, new: Contribution) -> bool:
        """Whether what the partner says under that id stays what and where it is."""
        before = self._stands_for(new.source_id)
        if before == placed.id:
            return False
        candidate = placed.candidate
        if not narrower(new, self._said(before, new.source_id)):
            if new.unmarked or self.ledger.moved(before, new):
                return False
            late = "a newer version of it is here already, about something else"
            candidate = candidate.with_findings(note("versions", late))
        if stays := self.ledger.publics.get(before):
            self.known[new.source_id] = Minted(before, stays.tlp)
        self.verdicts.close(candidate, Verdict.DUPLICATE, before)
        return True

    def _decided(self, placed: Placed, mine: Contribution, new: Contribution) -> bool:
        """Whether what the partner sent under the same id before decides the verdict already."""
        candidate = placed.candidate
        self._arrive(new.source_id, placed.id)
        if is_repeat(new, mine) and (not new.raw or new.tlp >= mine.tlp):
            self.ledger.confirm(placed.id, mine, new.received)
            self.verdicts.close(candidate, Verdict.DUPLICATE, placed.id)
            return True
        if not new.version or new.raw:
            return False
        later = version_gap(new, mine)
        if later > 0 or (later == 0 and self.batch.waived):
            return False  # newer, or the same again with more of it: an analyst released it
        asks = any(f.action is Action.ASKED for f in candidate.findings)
        if later < 0 or mine.received == new.received or asks:
            version = ("a newer" if later < 0 else "this") + " version of it is here already"
            candidate = candidate.with_findings(note("versions", version))
            self.verdicts.close(candidate, Verdict.DUPLICATE, placed.id)
        else:
            self._refuse(candidate, "this version is here with other content; raise `modified`")
        return True

    def _contribution(self, placed: Placed) -> tuple[Contribution, frozenset[str]]:
        candidate, sco = placed.candidate, is_observable_type(str(placed.rewriting.object["type"]))
        bare = self.batch.said(candidate, "" if sco else candidate.source_version or "")
        layers = [(bare.tlp, bare.object), *candidate.stricter_layers]
        return (bare, frozenset()) if bare.raw else contributed(bare, layers, self.known)

    def _withdraw(self, candidate: Candidate, name: str) -> None:
        source = str(candidate.source_id)
        said = self._said(name, source)
        if said is not None:
            self.ledger.leave(name, said)
            remark = note("revoked", WITHDRAWN)
            self.verdicts.close(candidate.with_findings(remark), Verdict.ADMITTED, name)
        else:
            remark = note("revoked", "nothing of yours is published under it")
            self.verdicts.close(candidate.with_findings(remark), Verdict.DUPLICATE)
            if source not in self.sources:
                self._arrive(source, "")  # nobody need wait for it

    def _said(self, name: str, source: str) -> Contribution | None:
        return self.ledger.said(name, self.batch.partner.slug, source)

    def _arrive(self, source: str, public: str) -> None:
        if source and (source in self.arrived or self.sources.get(source) != public):
            self.arrived[source] = public

    def _stands_for(self, source: str) -> str:
        """The public id that one of the partner's own has now; empty if it has none."""
        return self.arrived.get(source) or self.sources.get(source, "")

    def _refuse(self, candidate: Candidate, message: str) -> None:
        fault = Finding("merge", "versions", Action.REFUSED, message)
        self.verdicts.close(candidate.refuse(fault), Verdict.REFUSED)
