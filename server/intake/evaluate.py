"""A submission examined, with all that the hub knows and admission does not.

Who its partner is and whose words must not be shared, what was sent before, what nobody may
send again, and what its ids become.  This reads; whether it still holds is seen when it is settled.

What is in a submission: its objects, each as a candidate.  Knows no store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    Warninglists,
)
from tocsin.admission.policy import Policy
from tocsin.admission.stix.history_extension import claims_hub_authorship
from tocsin.admission.stix.ijson import parse_object, replace_lone_surrogates
from tocsin.admission.warninglists.index import WithExclusions
from tocsin.server.model import (
    CollectionKind,
    Exclusion,
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

_MISP = Finding(
    "validate",
    "format",
    Action.REFUSED,
    "an event of MISP, of which many objects are made: send it with tocsin push, or as STIX",
)


def split(raw: bytes) -> list[bytes]:
    """The objects of an envelope that the door has understood already."""
    try:
        envelope = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        envelope = msgspec.json.decode(replace_lone_surrogates(raw), type=dict[str, msgspec.Raw])
    return [bytes(one) for one in msgspec.json.decode(envelope["objects"], type=list[msgspec.Raw])]


def candidate_of(index: int, raw: bytes) -> Candidate:
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


def about(candidates: Sequence[Candidate]) -> dict[str, tuple[str, ...]]:
    """The sightings and opinions of a submission, by the source ids that they are about."""
    found: dict[str, tuple[str, ...]] = {}
    for candidate in candidates:
        subject = candidate.object or {}
        if candidate.is_open and subject.get("type") in ("sighting", "opinion"):
            for target in (subject.get("sighting_of_ref"), *subject.get("object_refs", ())):
                if target is not None:
                    found[target] = (*found.get(target, ()), str(candidate.source_id))
    return found


OPERATOR = Partner(slug="operator", name="")
"""Whose submissions the operator's are."""


@dataclass(frozen=True, slots=True)
class Rules:
    """By what submissions are judged."""

    policy: Policy
    lists: Warninglists
    inline: int
    """Submissions of up to so many objects are admitted while the submitter waits."""


class Examining:
    """Examines submissions as wholes."""

    def __init__(
        self, store: Store, publisher: Publisher, rules: Rules, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rules = rules
        self._clock = clock
        self._lists: tuple[tuple[Exclusion, ...], Warninglists] = ((), rules.lists)

    def batch(
        self,
        submission: Submission,
        candidates: Sequence[Candidate],
        waived: frozenset[str] = frozenset(),
        *,
        anonymous: bool = False,
    ) -> Batch:
        """The candidates examined, and what their ids become; by nobody's name if `anonymous`."""
        rules, now = self._rules, self._clock()
        revision, benign = self._known_benign()
        known = (
            self._store.accounts.find_partner(submission.partner) if submission.partner else None
        )
        partner = known or _operator(submission)
        if anonymous:
            partner = replace(partner, consent=Consent.NONE)
        submitter = self._submitter(partner, candidates)
        partner = replace(partner, consent=submitter.consent)
        defined = self._defined(partner, candidates)
        examiner = Pipeline(rules.policy, submitter, benign, waived, defined)
        hub = self._publisher.config.hub
        candidates = [
            replace(each, from_hub=claims_hub_authorship(each.object, hub)) for each in candidates
        ]
        examined = examiner.examine(candidates, now)
        authors = examiner.find_authors(candidates) | {hub}
        return Batch(
            submission=submission.id,
            partner=partner,
            candidates=tuple(examined),
            refs=self._publisher.ids.assign(examined, authors),
            authors=authors,
            received=submission.received,
            now=now,
            preconditions=Preconditions(known, revision),
            waived=waived,
            refused=frozenset(
                c.source_id for c in examined if c.source_id and c.verdict is Verdict.REFUSED
            ),
            unmarked=unmarked_definitions(candidates),
            sees=self._sees(submission.account),
            defined=frozenset(defined),
        )

    def _defined(self, partner: Partner, candidates: Sequence[Candidate]) -> dict[str, StixObject]:
        """Marking definitions that the partner sent before and that objects carry now."""
        subjects = [each.object for each in candidates if each.object is not None]
        wanted = {id_ for subject in subjects for id_ in marking_ids(subject)}
        wanted -= {str(subject.get("id")) for subject in subjects} | official_ids()
        if not wanted:
            return {}
        return self._store.read(lambda known: find_definitions(known, partner.slug, wanted))

    def _known_benign(self) -> tuple[int, Warninglists]:
        """The warning lists with the hub's own, which is joined anew when it has changed."""
        revision, own = self._store.exclusions.list_with_revision()
        before, joined = self._lists
        if own is not before:
            entries = ((each.type, each.value, each.reason) for each in own)
            joined = WithExclusions(entries, self._rules.lists)
            self._lists = (own, joined)
        return revision, joined

    def _submitter(self, partner: Partner, candidates: Sequence[Candidate]) -> Submitter:
        """The partner, with the terms of all partners to be kept out of what is shared."""
        subjects = [each.object for each in candidates if each.object is not None]
        hub = self._publisher.config.hub
        told, before = identity_ids(subjects), frozenset[str]()
        if told:
            before = self._store.read(
                lambda known: find_replaced_authors(known, partner.slug, told, hub)
            )
        terms = [term for each in self._store.accounts.list_partners() for term in each.terms]
        submitter = partner.submitter()
        terms = list(dict.fromkeys((*submitter.terms, *terms)))
        return apply_consent_labels(
            replace(submitter, terms=tuple(terms), identities=before), subjects
        )

    def _sees(self, name: str) -> Tlp:
        """The strictest level among the feeds that the account reads."""
        account = self._store.accounts.find_account(name)
        if account is None:
            return Tlp.CLEAR
        if account.operator:
            return Tlp.RED
        feeds = [c for c in self._store.feeds.collections() if c.kind is CollectionKind.FEED]
        return max((c.max_tlp for c in feeds if c.id in account.reads), default=Tlp.CLEAR)


def check(txn: Transaction, batch: Batch) -> None:
    """Raises StalePreconditions unless what a batch was examined by is as it was.

    Whoever withdraws a consent or forbids a value writes the journal's head, as who settles does:
    of two at once one tries again, and sees here what the other did.
    """
    preconditions = batch.preconditions
    partner = preconditions.partner
    known = None if partner is None else txn.accounts.find_partner(partner.slug)
    if preconditions != Preconditions(known, txn.exclusions_revision()):
        raise StalePreconditions


def _operator(submission: Submission) -> Partner:
    if submission.partner:
        raise NotFound(f"there is no partner {submission.partner}")
    return OPERATOR
