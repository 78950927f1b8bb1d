"""Evaluate a submission: admission's pipeline with what the hub knows and admission does not.

The partner, the terms of all partners, what was sent before, the exclusion list,
and the public ids that result.  Reads only; the transaction that settles checks
that what was read still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import msgspec

from tocsin.admission import Pipeline
from tocsin.admission.errors import NotAllowed, NotFound
from tocsin.admission.markings.audience import Audience
from tocsin.admission.markings.tlp import marking_ids, official_ids
from tocsin.admission.model import (
    Action,
    Candidate,
    Consent,
    Finding,
    StixObject,
    Submitter,
    Tlp,
    Verdict,
    Waiver,
    Warninglists,
)
from tocsin.admission.policy import Policy
from tocsin.admission.rules.anonymise_source import apply_consent_labels
from tocsin.admission.stix.ijson import replace_lone_surrogates
from tocsin.admission.warninglists.index import WithExclusions
from tocsin.server.agreements import PartnerAgreements
from tocsin.server.auth import find_sender, may_still_write
from tocsin.server.examination.ahead import ExaminationAhead
from tocsin.server.examination.examiner import (
    Examination,
    ExaminationTask,
    Examiner,
    LocalExamination,
    WorkerEnded,
    mark_claims,
    parse_candidates,
)
from tocsin.server.intake.queue import Limits
from tocsin.server.model import (
    OPERATOR_SLUG,
    Account,
    Agreement,
    Collection,
    CollectionKind,
    Partner,
    Submission,
    View,
)
from tocsin.server.publishing.batch import Batch, Preconditions, StalePreconditions
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.publishing.references import (
    find_definitions,
    find_replaced_authors,
    identity_ids,
    unmarked_definitions,
)
from tocsin.server.store import Store, Transaction
from tocsin.server.store.agreements import group_by_partner

_NO_WAIVER = Waiver()
_NO_AGREEMENT = "no agreement in force allows your partner to submit to this collection"
_ONLY_INDICATORS = Finding(
    "publish",
    "agreement",
    Action.REFUSED,
    "your agreement bounds the countries or sectors to which your data may go: then only "
    "indicators can be shared",
)
_NO_FEED = Finding(
    "publish",
    "agreement",
    Action.REFUSED,
    "no feed of this hub takes this level and serves only the countries and sectors to which your "
    "agreement lets your data go",
)


def split_envelope(raw: bytes) -> list[bytes]:
    """The objects of an envelope that was accepted before."""
    try:
        envelope = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        envelope = msgspec.json.decode(replace_lone_surrogates(raw), type=dict[str, msgspec.Raw])
    return [bytes(one) for one in msgspec.json.decode(envelope["objects"], type=list[msgspec.Raw])]


@dataclass(frozen=True, slots=True)
class Sent:
    """A submission, with what was looked up when it came in."""

    submission: Submission
    account: Account | None = None
    """The account that sent it; looked up if it is not given."""
    collections: tuple[Collection, ...] = ()
    """All collections of the hub; looked up if they are not given."""
    anonymous: bool = False
    """The partner did not agree to be named when this was sent."""


@dataclass(frozen=True, slots=True)
class PreviewTerms:
    """A person's choices for a report before it is sent."""

    sender: Account
    """The person's rights."""
    partner: str
    collection: str
    """Id of the collection to which it would go."""
    tlp: Tlp
    """The level of what states none."""
    anonymous: bool
    """The partner is not named, whatever it agreed to."""


OPERATOR = Partner(slug=OPERATOR_SLUG, name="")
"""The partner of the operator's submissions."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Policy, warning lists and limits for the evaluation of submissions."""

    policy: Policy
    lists: Warninglists
    limits: Limits = Limits()
    examiner: Examiner | None = None
    """Examines queued submissions in other processes; None: this process does."""
    require_agreements: bool = False
    """A partner without any agreement may send nothing."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A submission under evaluation."""

    sent: Sent
    candidates: Sequence[Candidate]
    """The objects as they were sent."""
    partner: Partner
    authors: frozenset[str]
    """Identities in whose place the hub's own stands."""
    defined: frozenset[str]
    """Marking definitions that the partner sent before, or reads, and that are at hand."""
    preconditions: Preconditions
    waived: frozenset[str]
    agreements: PartnerAgreements
    """The partner's, by which the candidates are judged."""
    examination: Examination
    examined: list[Candidate]
    """The candidates that have been examined so far."""

    def examine_next(self, most: int) -> bool:
        """Examine at most `most` further candidates; True if none are left.

        See `Examination.examine_next`.  Another process may answer anything: what does not belong
        to these candidates raises WorkerEnded.
        """
        if len(self.examined) < len(self.candidates):
            found = self.examination.examine_next(most)
            start = len(self.examined)
            own = self.candidates[start : start + min(most, len(found) or 1)]
            if list(map(_origin, found)) != list(map(_origin, own)):
                raise WorkerEnded("its answer is not about the objects that were sent")
            self.examined.extend(found)
        return len(self.examined) >= len(self.candidates)


def _origin(candidate: Candidate) -> tuple[object, ...]:
    """The fields of a candidate that examination does not change."""
    c = candidate
    return c.index, c.source_id, c.source_version, c.from_hub, c.raw


@dataclass(frozen=True, slots=True)
class _Known:
    """Facts about partners that evaluation relies on; `Evaluator.check` notices their changes."""

    preconditions: Preconditions
    partners: Mapping[str, Partner]
    agreements: Mapping[str, Sequence[Agreement]]
    """Agreements by partner."""
    exclusions: tuple[tuple[str, str, str], ...]
    """Type, value and reason."""
    lists: Warninglists
    """The warning lists, with the exclusion list."""


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The examination of a submission before its turn."""

    submission: str
    task: ExaminationTask
    examination: ExaminationAhead


class Evaluator:
    """Evaluates whole submissions: the pipeline of admission, with what the hub knows."""

    def __init__(
        self, store: Store, publisher: Publisher, rules: Rules, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rules = rules
        self._clock = clock
        self._last_known: _Known | None = None
        self._ahead: _Ahead | None = None
        self._may_send: tuple[int, set[tuple[str, str]]] = (-1, set())
        """The partners' revision; the accounts that may send then, each with a collection."""

    def evaluate(
        self, sent: Sent, candidates: Sequence[Candidate], waiver: Waiver = _NO_WAIVER
    ) -> Batch:
        """Evaluate the candidates in this process and assign their public ids.

        Nothing is written; `check` says within the transaction if the result still holds.
        """
        evaluation = self.begin(sent, candidates, waiver)
        evaluation.examine_next(len(candidates))
        return self.finish(evaluation)

    def begin(
        self,
        sent: Sent,
        candidates: Sequence[Candidate],
        waiver: Waiver = _NO_WAIVER,
        objects: Sequence[bytes] = (),
    ) -> Evaluation:
        """Begin to evaluate the candidates.

        With `objects`, the candidates as they were sent, they are examined by the examiner of
        `Rules`, if there is one; or were, if `look_ahead` began this and it still holds.
        """
        submission, now = sent.submission, self._clock()
        known = self._find_known(submission.partner)
        partner, submitter, defined = self._find_sender(sent, candidates, known)
        pipeline = Pipeline(self._rules.policy, submitter, known.lists, waiver, defined)
        hub = self._publisher.config.hub
        candidates = mark_claims(candidates, hub)
        examination: Examination
        if self._rules.examiner is not None and objects:
            task = ExaminationTask(tuple(objects), submitter, hub, now, known.exclusions, defined)
            examination = self._take_ahead(submission.id, task) or self._rules.examiner.begin(task)
        else:
            examination = LocalExamination(pipeline.examine_each(candidates, now))
        return Evaluation(
            sent=sent,
            candidates=candidates,
            partner=partner,
            authors=pipeline.find_authors(candidates) | {hub},
            defined=frozenset(defined),
            preconditions=known.preconditions,
            waived=waiver.rules,
            agreements=self._agreements(submission, known),
            examination=examination,
            examined=[],
        )

    def plan_preview(self, terms: PreviewTerms, candidates: Sequence[Candidate]) -> ExaminationTask:
        """The task of examining candidates as if their partner had sent them now.

        It says nothing of others: their terms are left out, even those that are masked
        everywhere, and of what is published only the marking definitions that the sender reads
        are looked at.  Raises NotFound without the partner.
        """
        own = self._store.accounts.require_partner(terms.partner)
        if terms.anonymous:
            own = replace(own, consent=Consent.NONE)
        agreed = self._agreed_for(terms)
        level = agreed.highest_tlp(terms.collection)
        if level is None:
            raise NotAllowed(_NO_AGREEMENT)
        max_tlp = min(own.max_tlp, level)
        own = replace(own, max_tlp=max_tlp, default_tlp=min(terms.tlp, max_tlp))
        submitter = self._submitter(own, (), candidates)
        audience = agreed.audience(terms.collection, self._clock())
        wanted = _undefined_markings(candidates)
        collections = self._store.feeds.collections()
        sees = _strictest_readable(terms.sender, agreed, audience, collections)
        exclusions = tuple(
            (each.type, each.value, each.reason)
            for each in self._store.exclusions.list_with_revision()[1]
        )
        return ExaminationTask(
            objects=(),
            submitter=replace(submitter, audience=audience.as_scope()),
            hub=self._publisher.config.hub,
            now=self._clock(),
            exclusions=exclusions,
            definitions=self._defined(own, wanted, sees),
            candidates=tuple(candidates),
        )

    def bound_preview(
        self, terms: PreviewTerms, examined: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """The examined candidates of a preview, as far as agreements let them be published."""
        audience = self._agreed_for(terms).audience(terms.collection, self._clock())
        if audience.is_everybody:
            return examined
        served = [e for e in self._publisher.config.feeds() if audience.includes(e.audience)]
        return [_refuse_unbounded(each, served) for each in examined]

    def _agreed_for(self, terms: PreviewTerms) -> PartnerAgreements:
        own = self._store.agreements.list_of(terms.partner)
        return self._agreements_of(terms.partner, own)

    def look_ahead(self, submission: Submission) -> None:
        """Begin to examine a submission before its turn, instead of any other; see `begin`.

        Needs an examiner in `Rules`.
        """
        assert self._rules.examiner is not None  # noqa: S101  (said above)
        self.drop_ahead()
        objects = tuple(split_envelope(submission.raw))
        now, known = self._clock(), self._find_known(submission.partner)
        sent, candidates = Sent(submission), parse_candidates(objects)
        _, submitter, defined = self._find_sender(sent, candidates, known)
        hub = self._publisher.config.hub
        task = ExaminationTask(objects, submitter, hub, now, known.exclusions, defined)
        examination = ExaminationAhead(self._rules.examiner.begin(task), objects)
        self._ahead = _Ahead(submission.id, task, examination)

    def drop_ahead(self) -> None:
        """Give up what `look_ahead` began, if it was not taken."""
        if self._ahead is not None:
            self._ahead.examination.close()
            self._ahead = None

    def _take_ahead(self, submission: str, task: ExaminationTask) -> Examination | None:
        """The examination that `look_ahead` began; None if the submission's task has changed."""
        ahead = self._ahead
        if ahead is None or ahead.submission != submission:
            return None
        if replace(task, now=ahead.task.now) != ahead.task:
            self.drop_ahead()
            return None
        self._ahead = None
        return ahead.examination

    def finish(self, evaluation: Evaluation) -> Batch:
        """Assign public ids, once all candidates are examined."""
        sent, authors = evaluation.sent, evaluation.authors
        feeds = self._feeds(sent)
        audience = evaluation.agreements.audience(
            sent.submission.collection, sent.submission.received
        )
        examined = evaluation.examined
        if not audience.is_everybody:
            served = [each for each in feeds if audience.includes(each.audience)]
            examined = [_refuse_unbounded(each, served) for each in examined]
        return Batch(
            submission=sent.submission.id,
            partner=evaluation.partner,
            account=sent.submission.account,
            collection=sent.submission.collection,
            candidates=tuple(examined),
            refs=self._publisher.ids.assign(examined, authors),
            authors=authors,
            received=sent.submission.received,
            now=self._clock(),
            preconditions=evaluation.preconditions,
            feeds=feeds,
            waived=evaluation.waived,
            refused=frozenset(
                c.source_id for c in examined if c.source_id and c.verdict is Verdict.REFUSED
            ),
            unmarked=unmarked_definitions(evaluation.candidates),
            sees=self._strictest_readable(sent, evaluation.agreements),
            audience=audience,
            defined=evaluation.defined,
        )

    def check(self, txn: Transaction, batch: Batch) -> None:
        """Raises StalePreconditions unless what a batch was evaluated by is as it was.

        A change of a partner or of the exclusion list writes the journal's head, as settling
        does: of two at once one tries again, and sees here what the other did.
        """
        if batch.preconditions != Preconditions(*txn.find_revisions()):
            self._last_known = None
            raise StalePreconditions

    def check_sender(self, txn: Transaction, batch: Batch) -> None:
        """Raises StalePreconditions if the sender may not send any more, once `check` passed.

        An account that may is not read again: each change of it raises the partners' revision.
        """
        sender = batch.account, batch.collection
        revision, may_send = self._may_send
        if revision != batch.preconditions.partners:
            revision, may_send = batch.preconditions.partners, set()
        if sender in may_send:
            return
        account = txn.accounts.find_account(batch.account)
        found = account or find_sender(txn, batch.account)
        if found is None or found.disabled or not may_still_write(found, batch.collection):
            raise StalePreconditions
        if account is not None:  # the rights of people have no revision
            may_send.add(sender)
        self._may_send = revision, may_send

    def _find_sender(
        self, sent: Sent, candidates: Sequence[Candidate], known: _Known
    ) -> tuple[Partner, Submitter, dict[str, StixObject]]:
        """The partner within its agreements, what rules know of it, and definitions at hand."""
        submission = sent.submission
        own = known.partners.get(submission.partner) if submission.partner else None
        partner = own or _operator(submission)
        if sent.anonymous or submission.anonymous:
            partner = replace(partner, consent=Consent.NONE)
        agreements = self._agreements(submission, known)
        level = agreements.highest_tlp(submission.collection)
        if level is not None:
            partner = replace(partner, max_tlp=min(partner.max_tlp, level))
        submitter = self._submitter(partner, known.partners.values(), candidates)
        audience = agreements.audience(submission.collection, submission.received)
        submitter = replace(submitter, audience=audience.as_scope())
        partner = replace(partner, consent=submitter.consent)
        wanted = _undefined_markings(candidates)
        sees = self._strictest_readable(sent, agreements) if wanted else None
        return partner, submitter, self._defined(partner, wanted, sees)

    def _feeds(self, sent: Sent) -> tuple[Collection, ...]:
        return tuple(each for each in self._collections(sent) if each.kind is CollectionKind.FEED)

    def _collections(self, sent: Sent) -> Sequence[Collection]:
        return sent.collections or self._store.feeds.collections()

    def _strictest_readable(self, sent: Sent, agreements: PartnerAgreements) -> Tlp | None:
        """See the function of this name."""
        account = sent.account or find_sender(self._store, sent.submission.account)
        if account is None:
            return None
        audience = agreements.audience(sent.submission.collection, sent.submission.received)
        return _strictest_readable(account, agreements, audience, self._collections(sent))

    def may_send(self, submission: Submission) -> bool:
        """True if agreements allow the partner to send to the submission's collection now.

        A "no" is never from memory: an agreement may have been added since.
        """
        for known in (self._last_known, None):
            self._last_known = known
            agreements = self._agreements(submission, self._find_known(submission.partner))
            if agreements.highest_tlp(submission.collection) is not None:
                return True
        return False

    def read_agreements(self, txn: Transaction, submission: Submission) -> PartnerAgreements:
        """The agreements of a submission's partner as they are in a transaction."""
        return self._agreements_of(submission.partner, txn.agreements.list_of(submission.partner))

    def _agreements(self, submission: Submission, known: _Known) -> PartnerAgreements:
        own = known.agreements.get(submission.partner, ())
        return self._agreements_of(submission.partner, own, known.partners.get(submission.partner))

    def _agreements_of(
        self, slug: str, agreements: Sequence[Agreement], partner: Partner | None = None
    ) -> PartnerAgreements:
        """The agreements of a partner now; the operator, the empty string, needs none."""
        required = self._rules.require_agreements and slug != ""
        return PartnerAgreements(agreements, self._clock(), required, partner)

    def _defined(
        self, partner: Partner, wanted: Set[str], sees: Tlp | None
    ) -> dict[str, StixObject]:
        """The marking definitions that are at hand; see `find_definitions`."""
        if not wanted:
            return {}
        return self._store.read(lambda known: find_definitions(known, partner.slug, wanted, sees))

    def _find_known(self, partner: str) -> _Known:
        """The facts that were read last; read again if the partner is newer."""
        known = self._last_known
        if known is None or (partner and partner not in known.partners):
            revision = self._store.accounts.partners_revision()
            partners = {each.slug: each for each in self._store.accounts.list_partners()}
            exclusions_revision, excluded = self._store.exclusions.list_with_revision()
            exclusions = tuple((each.type, each.value, each.reason) for each in excluded)
            self._last_known = known = _Known(
                Preconditions(revision, exclusions_revision),
                partners,
                group_by_partner(self._store.agreements.list_all()),
                exclusions,
                WithExclusions(exclusions, self._rules.lists),
            )
        return known

    def _submitter(
        self, partner: Partner, partners: Iterable[Partner], candidates: Sequence[Candidate]
    ) -> Submitter:
        """The partner, with its terms and those of partners that are masked everywhere.

        The terms of others are not looked for: whatever became of them could be seen, and a
        post of many names would show which of them belong to members.
        """
        subjects = [each.object for each in candidates if each.object is not None]
        hub = self._publisher.config.hub
        named, before = identity_ids(subjects), frozenset[str]()
        if named:
            before = self._store.read(
                lambda known: find_replaced_authors(known, partner.slug, named, hub)
            )
        submitter = partner.submitter()
        others = (each for each in partners if each.mask_everywhere)
        terms = [*submitter.terms, *(term for each in others for term in each.terms)]
        submitter = replace(submitter, terms=tuple(dict.fromkeys(terms)), identities=before)
        return apply_consent_labels(submitter, subjects)


def _refuse_unbounded(candidate: Candidate, feeds: Sequence[Collection]) -> Candidate:
    """Refuse what cannot be kept from those to whom it may not go, or that no feed would take.

    An observable has the same id wherever it comes from, and other objects refer to each other:
    of those, more could be seen elsewhere than that somebody took one back.
    """
    subject = candidate.object or {}
    if candidate.verdict is Verdict.REFUSED or subject.get("revoked") is True:
        return candidate
    if subject.get("type") != "indicator":
        return candidate.refuse(_ONLY_INDICATORS)
    if not any(candidate.effective_tlp <= each.max_tlp for each in feeds):
        return candidate.refuse(_NO_FEED)
    return candidate


def _strictest_readable(
    account: Account,
    agreements: PartnerAgreements,
    audience: Audience,
    collections: Sequence[Collection],
) -> Tlp | None:
    """The strictest level that a sender reads among the feeds to which its submission may go.

    None if it reads none of them.  One that an aggregate shows whole is read, too.
    """
    if account.operator:
        return Tlp.RED
    reads = agreements.narrow(account, collections).reads
    feeds = [each for each in collections if each.kind is CollectionKind.FEED]
    views = [each.view for each in collections if each.view is not None and each.id in reads]
    return max(
        (
            feed.max_tlp
            for feed in feeds
            if audience.includes(feed.audience)
            and (feed.id in reads or any(_shows_whole(view, feed) for view in views))
        ),
        default=None,
    )


def _shows_whole(view: View, feed: Collection) -> bool:
    """True if readers of a view read all that a feed has, ends included."""
    is_part = bool(view.types) or view.active or view.at is not None
    is_up_to_all = view.max_tlp is None or view.max_tlp >= feed.max_tlp
    return feed.id in view.sources and is_up_to_all and not is_part


def _undefined_markings(candidates: Sequence[Candidate]) -> Set[str]:
    """Markings that objects carry and whose definitions do not come with them."""
    subjects = [each.object for each in candidates if each.object is not None]
    wanted = {id_ for subject in subjects for id_ in marking_ids(subject)}
    return wanted - {str(subject.get("id")) for subject in subjects} - official_ids()


def _operator(submission: Submission) -> Partner:
    if submission.partner:
        raise NotFound(f"there is no partner {submission.partner}")
    return OPERATOR
