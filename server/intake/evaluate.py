"""Evaluate a submission: admission's pipeline with what the hub knows and admission does not.

The partner, the terms of all partners, what was sent before, the exclusion list,
and the public ids that result.  Reads only; the transaction that settles checks
that what was read still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from tocsin.admission import Pipeline
from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.markings.acs import is_acs
from tocsin.admission.markings.consent import apply_consent_labels
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
from tocsin.admission.stix.history_extension import claims_hub_authorship
from tocsin.admission.stix.ijson import parse_object, replace_lone_surrogates
from tocsin.admission.warninglists.index import WithExclusions
from tocsin.server.model import (
    Account,
    Collection,
    Partner,
    Submission,
)
from tocsin.server.publishing.marking_definitions import unmarked_definitions
from tocsin.server.publishing.pending_references import (
    find_definitions,
    find_replaced_authors,
    identity_ids,
)
from tocsin.server.publishing.publisher import (
    Batch,
    Preconditions,
    Publisher,
    StalePreconditions,
)
from tocsin.server.store import Store, Transaction

_NO_WAIVER = Waiver()
_MISP = Finding(
    "validate",
    "format",
    Action.REFUSED,
    "an event of MISP, of which many objects are made: send it with tocsin push, or as STIX",
)


def split_envelope(raw: bytes) -> list[bytes]:
    """The objects of an envelope that was accepted before."""
    try:
        envelope = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        envelope = msgspec.json.decode(replace_lone_surrogates(raw), type=dict[str, msgspec.Raw])
    return [bytes(one) for one in msgspec.json.decode(envelope["objects"], type=list[msgspec.Raw])]


def parse_candidate(index: int, raw: bytes) -> Candidate:
    """One object as a candidate; refused if it cannot be read.  ACS markings keep their bytes."""
    try:
        subject = parse_object(raw)
    except Malformed as error:
        fault = Finding("validate", "format", Action.REFUSED, str(error))
        return Candidate(index, None).refuse(fault)
    if "Event" in subject and "type" not in subject:
        return Candidate(index, None).refuse(_MISP)
    candidate = Candidate.from_object(index, subject)
    return replace(candidate, raw=raw) if is_acs(subject) else candidate


def group_assessments(candidates: Sequence[Candidate]) -> dict[str, tuple[str, ...]]:
    """The sightings and opinions of a submission, by the source ids that they are about."""
    found: dict[str, tuple[str, ...]] = {}
    for candidate in candidates:
        subject = candidate.object or {}
        if candidate.is_open and subject.get("type") in ("sighting", "opinion"):
            for target in (subject.get("sighting_of_ref"), *subject.get("object_refs", ())):
                if target is not None:
                    found[target] = (*found.get(target, ()), str(candidate.source_id))
    return found


@dataclass(frozen=True, slots=True)
class Sent:
    """A submission, with what was looked up when it came in."""

    submission: Submission
    account: Account | None = None
    """Whose it is; looked up if it is not given."""
    feeds: tuple[Collection, ...] = ()
    """The hub's feeds; looked up if they are not given."""
    anonymous: bool = False
    """The partner did not agree to be named when this was sent."""


OPERATOR = Partner(slug="operator", name="")
"""The partner of the operator's submissions."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Policy, warning lists and limit for the evaluation of submissions."""

    policy: Policy
    lists: Warninglists
    inline: int
    """Submissions of up to this many objects are evaluated before the response."""


class Evaluator:
    """Evaluates whole submissions: the pipeline of admission, with what the hub knows."""

    def __init__(
        self, store: Store, publisher: Publisher, rules: Rules, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rules = rules
        self._clock = clock
        self._exclusions: tuple[int, Warninglists] | None = None
        """The revision of the exclusion list, and the warning lists with it, as last read."""

    def evaluate(
        self, sent: Sent, candidates: Sequence[Candidate], waiver: Waiver = _NO_WAIVER
    ) -> Batch:
        """Evaluate the candidates and assign their public ids.

        Nothing is written; `check` says within the transaction if the result still holds.
        """
        submission, rules, now = sent.submission, self._rules, self._clock()
        revision, lists = self._known_exclusions()
        partners = {each.slug: each for each in self._store.accounts.list_partners()}
        known = partners.get(submission.partner) if submission.partner else None
        partner = known or _operator(submission)
        if sent.anonymous:
            partner = replace(partner, consent=Consent.NONE)
        submitter = self._submitter(partner, partners.values(), candidates)
        partner = replace(partner, consent=submitter.consent)
        defined = self._defined(partner, candidates)
        pipeline = Pipeline(rules.policy, submitter, lists, waiver, defined)
        hub = self._publisher.config.hub
        candidates = [
            replace(each, from_hub=claims_hub_authorship(each.object, hub)) for each in candidates
        ]
        examined = pipeline.examine(candidates, now)
        authors = pipeline.find_authors(candidates) | {hub}
        account = sent.account or self._store.accounts.find_account(submission.account)
        feeds = tuple(sent.feeds or self._publisher.config.feeds())
        return Batch(
            submission=submission.id,
            partner=partner,
            candidates=tuple(examined),
            refs=self._publisher.ids.assign(examined, authors),
            authors=authors,
            received=submission.received,
            now=now,
            preconditions=Preconditions(known, revision),
            feeds=feeds,
            waived=waiver.rules,
            refused=frozenset(
                c.source_id for c in examined if c.source_id and c.verdict is Verdict.REFUSED
            ),
            unmarked=unmarked_definitions(candidates),
            sees=_strictest_readable(account, feeds),
            defined=frozenset(defined),
        )

    def check(self, txn: Transaction, batch: Batch) -> None:
        """Raises StalePreconditions unless what a batch was evaluated by is as it was.

        A change of consent or of the exclusion list writes the journal's head, as settling
        does: of two at once one tries again, and sees here what the other did.
        """
        before = batch.preconditions
        known = before.partner and txn.accounts.find_partner(before.partner.slug)
        if before != Preconditions(known, txn.exclusions_revision()):
            self._exclusions = None
            raise StalePreconditions

    def _defined(self, partner: Partner, candidates: Sequence[Candidate]) -> dict[str, StixObject]:
        """Marking definitions that the partner sent before and that objects carry now."""
        subjects = [each.object for each in candidates if each.object is not None]
        wanted = {id_ for subject in subjects for id_ in marking_ids(subject)}
        wanted -= {str(subject.get("id")) for subject in subjects} | official_ids()
        if not wanted:
            return {}
        return self._store.read(lambda known: find_definitions(known, partner.slug, wanted))

    def _known_exclusions(self) -> tuple[int, Warninglists]:
        """The exclusion list as last read: if it has changed, `check` finds out."""
        if self._exclusions is None:
            revision, excluded = self._store.exclusions.list_with_revision()
            entries = ((each.type, each.value, each.reason) for each in excluded)
            self._exclusions = revision, WithExclusions(entries, self._rules.lists)
        return self._exclusions

    def _submitter(
        self, partner: Partner, partners: Iterable[Partner], candidates: Sequence[Candidate]
    ) -> Submitter:
        """The partner, with the terms of all partners, which are masked in what it sends."""
        subjects = [each.object for each in candidates if each.object is not None]
        hub = self._publisher.config.hub
        named, before = identity_ids(subjects), frozenset[str]()
        if named:
            before = self._store.read(
                lambda known: find_replaced_authors(known, partner.slug, named, hub)
            )
        submitter = partner.submitter()
        terms = [*submitter.terms, *(term for each in partners for term in each.terms)]
        submitter = replace(submitter, terms=tuple(dict.fromkeys(terms)), identities=before)
        return apply_consent_labels(submitter, subjects)


def _strictest_readable(account: Account | None, feeds: Iterable[Collection]) -> Tlp:
    """The strictest level among the feeds that an account reads."""
    if account is None:
        return Tlp.CLEAR
    if account.operator:
        return Tlp.RED
    return max((feed.max_tlp for feed in feeds if feed.id in account.reads), default=Tlp.CLEAR)


def _operator(submission: Submission) -> Partner:
    if submission.partner:
        raise NotFound(f"there is no partner {submission.partner}")
    return OPERATOR
