"""A submission from receipt to publication.

`receive` writes down what came before anything is judged, so that 202 can be
promised.  `admit` judges and publishes, one transaction for each batch; it is
idempotent and goes on where a crash left off.  Small submissions are admitted
inside the request, large ones by whoever leases them next.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from tocsin.admission import Examiner
from tocsin.admission.benign import WithOwn
from tocsin.admission.consent import narrowed
from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.extension import claims
from tocsin.admission.markings import marking_ids, official
from tocsin.admission.model import (
    Action,
    Candidate,
    Consent,
    Finding,
    KnownBenign,
    StixObject,
    Submitter,
    Tlp,
    Verdict,
)
from tocsin.admission.policy import Policy
from tocsin.server.batches import Batch, Settled
from tocsin.server.completing import authors, definitions, identities
from tocsin.server.deposit import deposited
from tocsin.server.findings import amended, besides, further, still_held
from tocsin.server.model import (
    Account,
    Arrivals,
    Collection,
    Kind,
    Partner,
    Record,
    Review,
    Submission,
    Unwanted,
    Version,
)
from tocsin.server.publishing import Publisher
from tocsin.server.store import Store, Txn
from tocsin.server.unwrapping import about, candidate_of, split
from tocsin.server.widening import unmarked

log = logging.getLogger(__name__)

BATCH = 500
"""Records that one transaction settles."""

LEASE = 60
"""Seconds after which another worker may take over a submission that was not finished."""

OPERATOR = Partner(slug="operator", name="")
"""Whose submissions the operator's are."""


@dataclass(frozen=True, slots=True)
class Rules:
    """By what submissions are judged."""

    policy: Policy
    lists: KnownBenign
    inline: int
    """Submissions of up to so many objects are admitted while the submitter waits."""


class Intake:
    """Takes submissions in; the only way into a collection."""

    def __init__(
        self, store: Store, publisher: Publisher, rules: Rules, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rules = rules
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._lists: tuple[tuple[Unwanted, ...], KnownBenign] = ((), rules.lists)
        self.waiting = threading.Event()
        """Set when a submission has come that is too large to be admitted at once."""

    def receive(
        self, account: Account, collection: Collection, objects: list[bytes], raw: bytes
    ) -> Submission:
        """Durable when this returns; settled too if it is small.

        `objects` are the envelope's, as bytes; `raw` is the whole body.
        """
        submission = Submission(
            id=str(uuid.uuid4()),
            account=account.name,
            partner=account.partner,
            collection=collection.id,
            received=self._clock(),
            total=len(objects),
            raw=raw,
        )
        inline = submission.total <= self._rules.inline
        owner = self._owner if inline else None
        self._store.submissions.receive(submission, owner=owner, seconds=LEASE)
        if not inline:
            self.waiting.set()
            return replace(submission, raw=b"")
        self.admit(submission)
        return self._found(submission.id)

    def work(self) -> bool:
        """Admit one submission that waits; False if none does."""
        submission = self._store.submissions.lease(self._owner, LEASE)
        if submission is None:
            return False
        self.admit(submission)
        return True

    def admit(self, submission: Submission) -> None:
        """Settle every record that is not settled yet."""
        started = time.monotonic()
        try:
            self._settle_all(submission)
        except Conflict:  # the lease ran out, however short the time: clocks may step
            log.warning("somebody else goes on with submission=%s", submission.id)
            return
        self._store.submissions.release(submission.id, self._owner)
        log.info(
            "admitted submission=%s account=%s records=%d ms=%d policy=%s",
            submission.id,
            submission.account,
            submission.total,
            (time.monotonic() - started) * 1000,
            self._rules.policy.sha256[:12],
        )

    def _settle_all(self, submission: Submission) -> None:
        collection = self._collection(submission.collection)
        objects = split(submission.raw)
        if collection.kind is Kind.VERBATIM:
            self._deposit(submission, collection, objects)
        else:
            self._examine(submission, objects)

    def remove(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        object_id: str,
        keywords: frozenset[Version] | None,
        versions: frozenset[int],
        specs: frozenset[str],
    ) -> int:
        """Takes versions of an object out of a verbatim collection; how many (TAXII 2.1 §5.7)."""

        def work(txn: Txn) -> int:
            count = txn.remove(
                collection.id, object_id, keywords=keywords, versions=versions, specs=specs
            )
            if count:
                txn.note("delete", account.name, {"collection": collection.id, "count": count})
            return count

        return self._store.commit(work)

    def release(self, review: Review, who: str) -> Record:
        """Admit what waits, the rules that asked waived, as the partner's contribution."""
        settled = self._decide(review, who, frozenset(review.rules))
        self._readmit(settled)
        return settled.records[0]

    def reject(self, review: Review, who: str, reason: str) -> Record:
        """What was held is refused; what was asked about stays as it was published."""

        def work(txn: Txn) -> Record:
            txn.decide(review.id, "rejected")
            txn.note("review.reject", who, {"review": review.id})
            record = self._record(review)
            if record.verdict != Verdict.HELD:
                return record
            fault = Finding("review", "analyst", Action.REFUSED, reason or "an analyst refused it")
            findings = (*record.findings, fault.as_json())
            record = replace(record, verdict=Verdict.REFUSED.value, findings=findings)
            txn.amend(review.submission, record)
            self._publisher.give_up(txn, review, self._clock())
            return record

        record = self._store.commit(work)
        self._readmit(Settled((), (), Arrivals(review.partner, frozenset({review.source_id}))))
        return record

    def _decide(self, review: Review, who: str, waived: frozenset[str]) -> Settled:
        """Admit what waits with some rules waived; what others ask about is asked then."""
        submission = self._found(review.submission)
        partner = self._partner(submission)
        if review.anonymous:
            partner = replace(partner, consent=Consent.NONE)
        candidates = [candidate_of(review.index, review.object)]
        batch = self._batch(submission, partner, candidates, waived)

        def work(txn: Txn) -> Settled:
            settled = self._publisher.settle(txn, batch)
            record = settled.records[0]
            left = [besides(each, waived) for each in settled.reviews]
            if record.verdict == Verdict.HELD:  # nothing was decided: something else holds it still
                again = further(review, left[0])
                if again != review:
                    txn.ask_further(again)
                    before = self._record(review)
                    if before.verdict == Verdict.HELD:
                        txn.amend(review.submission, still_held(before, record))
                return settled
            txn.decide(review.id, "released")
            txn.ask(left)
            txn.note("review.released", who, {"review": review.id, "verdict": record.verdict})
            txn.amend(review.submission, amended(self._record(review), record))
            return settled

        return self._store.commit(work)

    def _examine(self, submission: Submission, objects: Sequence[bytes]) -> None:
        partner = self._partner(submission)
        candidates = [candidate_of(index, raw) for index, raw in enumerate(objects)]
        whole = self._batch(submission, partner, candidates, frozenset())
        if len(candidates) > BATCH:
            whole = replace(whole, earlier=about(whole.candidates))
        for part in _slices(whole.candidates, submission.settled):
            settled = self._settle(submission, replace(whole, candidates=part, now=self._clock()))
            self._store.submissions.renew(submission.id, self._owner, LEASE)
            self._readmit(settled)

    def _batch(
        self,
        submission: Submission,
        partner: Partner,
        candidates: Sequence[Candidate],
        waived: frozenset[str],
    ) -> Batch:
        """The whole submission examined, and what its ids become."""
        rules, now = self._rules, self._clock()
        submitter = self._submitter(partner, candidates)
        partner = replace(partner, consent=submitter.consent)
        defined = self._defined(partner, candidates)
        examiner = Examiner(rules.policy, submitter, self._known_benign(), waived, defined)
        hub = self._publisher.house.identity["id"]
        candidates = [replace(each, echo=claims(each.object, hub)) for each in candidates]
        examined = examiner.examine(candidates, now)
        authors = examiner.authors(candidates) | {hub}
        return Batch(
            submission=submission.id,
            partner=partner,
            candidates=tuple(examined),
            minted=self._publisher.mint.minted(examined, authors),
            authors=authors,
            received=submission.received,
            now=now,
            waived=waived,
            refused=frozenset(
                c.source_id for c in examined if c.source_id and c.verdict is Verdict.REFUSED
            ),
            unmarked=unmarked(candidates),
            sees=self._sees(submission.account),
        )

    def _defined(self, partner: Partner, candidates: Sequence[Candidate]) -> dict[str, StixObject]:
        """Marking definitions that the partner sent before and that objects carry now."""
        subjects = [each.object for each in candidates if each.object is not None]
        wanted = {id_ for subject in subjects for id_ in marking_ids(subject)}
        wanted -= {str(subject.get("id")) for subject in subjects} | official()
        if not wanted:
            return {}
        return self._store.commit(lambda txn: definitions(txn, partner.slug, wanted))

    def _settle(self, submission: Submission, batch: Batch) -> Settled:
        def work(txn: Txn) -> Settled:
            settled = self._publisher.settle(txn, batch)
            txn.ask(settled.reviews)
            txn.settle(submission.id, settled.records)
            counts = dict(Counter(each.verdict for each in settled.records))
            txn.note("admit", submission.account, {"submission": submission.id, **counts})
            return settled

        return self._store.commit(work)

    def _deposit(
        self, submission: Submission, collection: Collection, objects: Sequence[bytes]
    ) -> None:
        for part in _slices(tuple(enumerate(objects)), submission.settled):

            def work(txn: Txn, part: Sequence[tuple[int, bytes]] = part) -> None:
                records = deposited(txn, collection, part)
                txn.settle(submission.id, records)
                counts = dict(Counter(each.verdict for each in records))
                txn.note("deposit", submission.account, {"submission": submission.id, **counts})

            self._store.commit(work)
            self._store.submissions.renew(submission.id, self._owner, LEASE)

    def _readmit(self, settled: Settled) -> None:
        """What waited for what has now arrived is completed, or admitted at last.

        Each that is admitted may be what others wait for.
        """
        unread = [settled]
        while unread:
            settled = unread.pop()
            self._complete(settled)
            for review in self._withdrawn(settled):
                with suppress(NotFound, Conflict):  # not kept any more, or decided meanwhile
                    self.reject(review, "intake", "was revoked while it waited")
            for review in self._store.reviews.waiting_for(settled.arrivals):
                if review.rules in (("references",), ("marking",)):
                    with suppress(NotFound, Conflict):
                        unread.append(self._decide(review, "intake", frozenset()))

    def _withdrawn(self, settled: Settled) -> Sequence[Review]:
        """What waits for an analyst though its partner has revoked it."""
        if not settled.revoked:
            return ()
        return self._store.reviews.waiting_under(settled.arrivals.partner, settled.revoked)

    def _complete(self, settled: Settled) -> None:
        after = settled.after
        while after:

            def work(txn: Txn, after: str = after) -> str:
                return self._publisher.complete(txn, settled.arrivals, after, self._clock())

            after = self._store.commit(work)

    def _known_benign(self) -> KnownBenign:
        """The warning lists with the hub's own, which is joined anew when it has changed."""
        own = self._store.unwanted.all()
        if own is not self._lists[0]:
            entries = ((each.kind, each.value, each.reason) for each in own)
            self._lists = (own, WithOwn(entries, self._rules.lists))
        return self._lists[1]

    def _submitter(self, partner: Partner, candidates: Sequence[Candidate]) -> Submitter:
        """The partner, with the terms of all partners to be kept out of what is shared."""
        subjects = [each.object for each in candidates if each.object is not None]
        hub = self._publisher.house.identity["id"]
        told, before = identities(subjects), frozenset[str]()
        if told:
            before = self._store.commit(lambda txn: authors(txn, partner.slug, told, hub))
        terms = [term for each in self._store.people.partners() for term in each.terms]
        submitter = partner.submitter()
        terms = list(dict.fromkeys((*submitter.terms, *terms)))
        return narrowed(replace(submitter, terms=tuple(terms), identities=before), subjects)

    def _sees(self, name: str) -> Tlp:
        """The strictest level among the feeds that the account reads."""
        account = self._store.people.account(name)
        if account is None:
            return Tlp.CLEAR
        if account.operator:
            return Tlp.RED
        feeds = [c for c in self._store.feeds.collections() if c.kind is Kind.FEED]
        return max((c.max_tlp for c in feeds if c.id in account.reads), default=Tlp.CLEAR)

    def _record(self, review: Review) -> Record:
        for record in self._store.submissions.records(review.submission):
            if record.index == review.index:
                return record
        raise NotFound(f"the submission of review {review.id} is not kept any more")

    def _found(self, name: str) -> Submission:
        found = self._store.submissions.find(name, raw=False)
        if found is None:
            raise NotFound(f"there is no submission {name}")
        return found

    def _collection(self, name: str) -> Collection:
        for collection in self._store.feeds.collections():
            if collection.id == name:
                return collection
        raise NotFound(f"there is no collection {name}")

    def _partner(self, submission: Submission) -> Partner:
        if not submission.partner:
            return OPERATOR
        partner = self._store.people.partner(submission.partner)
        if partner is None:
            raise NotFound(f"there is no partner {submission.partner}")
        return partner


def _slices(items: tuple, start: int) -> Iterator[tuple]:  # type: ignore[type-arg]
    for first in range(start, len(items), BATCH):
        yield items[first : first + BATCH]
