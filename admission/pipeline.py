"""The admission of one submission: validate → normalise → identify → sanitise.

Start at `Pipeline.examine`; `_run_stages` takes one candidate through the
stages.  Everything is an argument, the time and the warning lists included, so
the client's preview and the hub come to the same result, except for terms of
partners that are masked everywhere, which only the hub knows.

The sanitising rules run in the order of the policy; each sees the result of the
one before.  After a rule refuses a candidate no other runs.  After one holds it
the others still run: a later refusal spares the reviewer the work, and the
findings name everything that the reviewer decides about.

Knows nothing of the network, the database or what is published already.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from tocsin.admission.errors import Unavailable, Unprocessable
from tocsin.admission.markings.acs import anonymise_definition, find_errors, is_acs
from tocsin.admission.markings.containers import ContainerMarkings, find_without_level
from tocsin.admission.markings.granular import TlpSplit, split_by_tlp
from tocsin.admission.markings.tlp import TLP_2_IDS, is_tlp_definition, read_markings
from tocsin.admission.merge.identity import (
    MITRE,
    definition_key,
    digest_definition,
    identify,
    is_well_known,
)
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Finding,
    Rule,
    RuleContext,
    StixObject,
    Submitter,
    Tlp,
    Verdict,
    Waiver,
    Warninglists,
)
from tocsin.admission.normalise import MarkingContext, normalise
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.patterns.bounded_compiler import BoundedCompiler
from tocsin.admission.policy import Policy
from tocsin.admission.rules import approve_settings, build_rule, check_settings, is_waived
from tocsin.admission.rules.anonymise_source import apply_consent_labels
from tocsin.admission.stix.history_extension import AUTHOR_ID
from tocsin.admission.stix.validate import validate
from tocsin.admission.survey import IdSet, SubmissionFacts, Survey, copy_key, digest, find_copies

log = logging.getLogger(__name__)

__all__ = ["Pipeline", "examine"]

_TLP_DEFINITION_PROPERTIES = frozenset(
    (
        *("type", "spec_version", "id", "created", "modified", "created_by_ref", "name"),
        *("definition_type", "definition", "extensions"),
    )
)
_EXTRA_PROPERTIES_IGNORED = Finding(
    "validate",
    "well_known",
    Action.REPAIRED,
    "extra properties are ignored: the standard definition of this TLP level is used",
)
_UNREADABLE_CONTAINER = Finding(
    "sanitise",
    "marking",
    Action.HELD,
    "held for review: it has no TLP marking, and a report or grouping that may hold it could not be"
    " read: correct that record, or mark this object",
    "object_marking_refs",
)
_ACS_CHANGED = Finding(
    "sanitise",
    "marking",
    Action.HELD,
    "an ACS marking definition restricts readers as it was sent, but this one contains what must"
    " not be shared: remove names, personal data and its own markings",
)
_NO_CUSTODIAN = Finding(
    "sanitise",
    "marking",
    Action.HELD,
    "ACS marking: this hub has no organisation to publish it under; its operator sets"
    " acs_custodian in policy.toml",
)
_ACS_ANONYMISED = Finding(
    "sanitise",
    "marking",
    Action.REPLACED,
    "published with the identifier, dates, custodian and originator of the hub; names are left out",
    "extensions",
)
_ACS_HEAD = ("id", "created", "object_marking_refs")
_ACS_NAMED = ("type", "spec_version", "name", "extensions")
"""Properties of an ACS definition whose author is named."""
_ANY_CUSTODIAN = "USA.USG"
"""Stands for the hub's organisation while a definition is examined that waits for one."""


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    """Facts that the objects of one submission state about each other."""

    facts: SubmissionFacts
    defaults: MarkingContext
    rules: tuple[Rule, ...]
    """The sanitising rules, prepared for this submission."""
    now: int
    """µs since 1970 UTC."""
    patterns: BoundedCompiler
    """Checks the patterns in other languages than STIX."""
    named: bool
    """The submitter agreed to be named."""
    acs_custodian: str
    """The hub's own organisation in ACS; empty if it has none."""
    uncertain: Container[str] = frozenset()
    """Ids of objects that a container which cannot be read may restrict."""


def examine(
    candidates: Iterable[Candidate],
    policy: Policy,
    submitter: Submitter,
    lists: Warninglists,
    now: int,
) -> list[Candidate]:
    """Examine one submission; see `Pipeline.examine`."""
    return Pipeline(policy, submitter, lists).examine(candidates, now)


class Pipeline:
    """The stages of admission for one submitter under one policy.

    Raises PolicyError when the policy names a rule that does not exist.
    """

    def __init__(
        self,
        policy: Policy,
        submitter: Submitter,
        lists: Warninglists,
        waiver: Waiver = Waiver(),  # noqa: B008  (a value that nothing changes)
        definitions: Mapping[str, StixObject] | None = None,
    ) -> None:
        """Prepare the rules for the submitter.

        `definitions` are marking definitions that the submitter sent earlier, by id.
        """
        self._policy = policy
        self._submitter = submitter
        self._lists = lists
        self._waived = waiver.rules
        self._definitions = definitions or {}
        self._settings = _collect_settings(policy, submitter.partner, waiver)

    def examine(self, candidates: Iterable[Candidate], now: int) -> list[Candidate]:
        """Take every candidate of one submission through the stages; OPEN ones may be published.

        The result has the same order and length.  An object sent several times is judged once.
        A fault in one candidate does not affect the others.  Raises Unavailable, about all of
        them, if this system is too busy to check a pattern.
        """
        return list(self.examine_each(candidates, now))

    def examine_each(self, candidates: Iterable[Candidate], now: int) -> Iterator[Candidate]:
        """Yield each candidate as soon as it is examined; otherwise as `examine`."""
        submission = list(candidates)
        context = self.build_context(self._find_facts(submission), now)
        return self.examine_part(submission, context)

    def examine_part(
        self, part: Sequence[Candidate], context: SubmissionContext
    ) -> Iterator[Candidate]:
        """Yield some candidates of a submission, each examined as among all of it."""
        context.patterns.expect(each.object for each in part)
        occurrences = Counter(candidate.source_id for candidate in part)
        by_content: dict[bytes, Candidate] = {}
        for sent in part:
            key = _content_key(sent) if occurrences[sent.source_id] > 1 else b""
            known = by_content.get(key)
            if known:
                judged = known.with_index(sent.index)
            else:
                judged = self._examine_one(context.facts.mark(sent), context)
            if key:
                by_content.setdefault(key, judged)
            yield judged

    def survey(self, read: Callable[[], Iterable[Candidate]]) -> SubmissionFacts:
        """The facts of a submission that is larger than memory.

        `read` reads its candidates; it is called up to five times.  Raises TooLarge if the facts
        do not fit into memory either.
        """
        survey = Survey(omits_containers=not self._definitions)
        for each in read():
            survey.add(each)
            if survey.is_incomplete:
                break
        if survey.is_incomplete:
            survey = Survey()
            for each in read():
                survey.add(each)
        relevant = [*survey.relevant, *_find_addressed(survey.relevant, read)]
        contested = survey.find_contested()
        facts = self._build_facts(relevant)
        if facts.definitions or contested:
            again = (
                each
                for each in (read() if contested else ())
                if digest(repr(copy_key(each))) in contested
            )
            mark = facts.containers.mark
            facts = self._complete(facts, map(mark, read()), map(mark, again))
        if survey.has_unreadable:
            unmarked = IdSet(find_without_level(read(), facts.definitions))
            facts = replace(facts, unmarked=unmarked)
        return facts

    def _find_facts(self, submission: Sequence[Candidate]) -> SubmissionFacts:
        """The facts of a submission in memory."""
        facts = self._build_facts(submission)
        occurrences = Counter(candidate.source_id for candidate in submission)
        repeated = len(occurrences) < len(submission)
        if facts.definitions or repeated:
            marked = [facts.containers.mark(each) for each in submission]
            copies = [each for each in marked if repeated and occurrences[each.source_id] > 1]
            facts = self._complete(facts, marked, copies)
        if any(each.salvaged is not None and not each.salvaged for each in submission):
            unmarked = frozenset(find_without_level(submission, facts.definitions))
            facts = replace(facts, unmarked=unmarked)
        return facts

    def _build_facts(self, relevant: Sequence[Candidate]) -> SubmissionFacts:
        """The facts that need no look at all objects."""
        definitions = {**self._definitions, **_find_definitions(relevant)}
        subjects = [candidate.statements for candidate in relevant]
        authors = self.find_authors(relevant)
        submitter = apply_consent_labels(self._submitter, subjects)
        sighters, open_sighters = _find_sighters(subjects, submitter)
        return SubmissionFacts(
            definitions=definitions,
            containers=ContainerMarkings.read(relevant, definitions),
            copies={},
            levels={},
            submitter=submitter,
            authors=authors,
            author_links=_find_author_links(relevant, authors),
            recipients=_find_recipients(subjects),
            sighters=sighters,
            open_sighters=open_sighters,
        )

    def _complete(
        self, facts: SubmissionFacts, marked: Iterable[Candidate], copies: Iterable[Candidate]
    ) -> SubmissionFacts:
        """The facts with the copies, and with the levels of definitions.

        `marked`: all candidates, with the markings of their containers; `copies`: those that come
        more than once.
        """
        definitions, default = facts.definitions, self._submitter.default_tlp
        found = find_copies(copies, definitions, default)
        facts = replace(facts, copies=found)
        if not definitions:
            return facts
        raised = map(facts.raise_copy, marked) if found else marked
        carried = _find_definition_levels(raised, definitions, default)
        levels = facts.containers.levels
        held = {id_: levels[id_] for id_ in definitions.keys() & levels}
        return replace(facts, levels=held | carried)

    def find_authors(self, submission: Iterable[Candidate]) -> frozenset[str]:
        """Ids of the identities that name the submitter: as creator, now or before, or by name.

        Empty if the submitter agreed to be named.
        """
        subjects = [candidate.statements for candidate in submission]
        if apply_consent_labels(self._submitter, subjects).consent in CONSENTS_TO_NAME:
            return frozenset()
        creators = {_text(subject.get("created_by_ref")) for subject in subjects}
        names = {name.casefold() for name in self._submitter.names}
        named_alike = {
            _text(subject.get("id"))
            for subject in subjects
            if subject.get("type") == "identity"
            and str(subject.get("name", "")).casefold() in names
        }
        known = creators | named_alike | self._submitter.identities
        authors = {each for each in known if each.startswith("identity--")}
        return frozenset(authors - {MITRE, AUTHOR_ID})

    def build_context(self, facts: SubmissionFacts, now: int) -> SubmissionContext:
        """Prepare the examination of a submission with these facts."""
        shared = RuleContext(
            submitter=facts.submitter,
            warninglists=self._lists,
            authors=facts.authors,
            definitions=facts.definitions,
            author_links=facts.author_links,
            recipients=facts.recipients,
            sighters=facts.sighters,
            open_sighters=facts.open_sighters,
        )
        context = SubmissionContext(
            facts=facts,
            defaults=MarkingContext(
                self._submitter.default_tlp, facts.levels, audience=self._submitter.audience
            ),
            rules=tuple(
                build_rule(name, replace(shared, settings=table))
                for name, table in self._settings.items()
            ),
            now=now,
            patterns=BoundedCompiler(self._submitter.partner),
            named=facts.submitter.consent in CONSENTS_TO_NAME,
            acs_custodian=str(self._settings.get("marking", {}).get("acs_custodian", "")),
            uncertain=frozenset() if "marking" in self._waived else facts.unmarked,
        )
        definitions = facts.definitions
        if not definitions:
            return context
        meanings = {id_: self._find_meaning(each, context) for id_, each in definitions.items()}
        return replace(context, defaults=replace(context.defaults, meanings=meanings))

    def _find_meaning(self, definition: StixObject, context: SubmissionContext) -> str:
        """The meaning of a definition after the rules, as it is known once it is published."""
        judged = self._examine_one(Candidate.from_object(0, definition), context)
        return digest_definition(judged.published or judged.object or definition)

    def _examine_one(self, candidate: Candidate, context: SubmissionContext) -> Candidate:
        """Run the stages; an internal error refuses this candidate only."""
        try:
            return self._run_stages(candidate, context)
        except Unavailable:
            raise
        except Exception:
            log.exception("candidate %d could not be judged", candidate.index)
            message = "could not be judged: an internal error, which has been logged"
            return candidate.refuse(Finding("validate", "fault", Action.REFUSED, message))

    def _run_stages(self, candidate: Candidate, context: SubmissionContext) -> Candidate:
        if candidate.verdict is Verdict.HELD:  # by its format: it may be sent on request
            judged = self._run_stages(replace(candidate, verdict=Verdict.OPEN), context)
            return judged.hold() if judged.is_open else judged
        candidate = _mark_known_duplicate(candidate, context.facts.authors)
        if not candidate.is_open:
            return candidate
        valid = validate(candidate, self._policy, context.now, context.patterns)
        if valid.is_open and len(candidate.raw) > self._policy.object_octets:
            message = f"longer than {self._policy.object_octets} octets as sent: shorten it"
            valid = valid.refuse(Finding("validate", "size", Action.REFUSED, message))
        if not valid.is_open:
            return valid
        if is_acs(candidate.object):
            return self._judge_acs_definition(candidate, context)
        judged = self._judge_by_level(valid, context)
        if candidate.source_id in context.uncertain and judged.verdict is not Verdict.REFUSED:
            original = valid.object if judged.original is None else judged.original
            judged = replace(judged.hold(_UNREADABLE_CONTAINER), original=original)
        is_definition = (judged.object or {}).get("type") == "marking-definition"
        return self._name_definition(judged) if is_definition else judged

    def _name_definition(self, judged: Candidate) -> Candidate:
        """A marking definition is known by its content after the rules, not by its sender."""
        layers = [(judged.effective_tlp, judged.object or {}), *judged.stricter_layers]
        return judged.with_key(definition_key(layers, judged.scope, self._submitter.partner))

    def _judge_by_level(self, candidate: Candidate, context: SubmissionContext) -> Candidate:
        """Judge the layer of each TLP level separately, so that none shows in another."""
        subject = candidate.object or {}
        if "granular_markings" not in subject:
            return self._judge_whole(candidate, subject, context)
        split = split_by_tlp(subject, context.facts.definitions, context.defaults.level_of(subject))
        if split.object is subject and not (split.stricter_layers or split.dangling_selectors):
            return self._judge_whole(candidate, subject, context)
        strictest = min(self._submitter.max_tlp, Tlp.AMBER_STRICT)
        accepted = [layer for layer in split.stricter_layers if layer[0] <= strictest]
        notes = _note_split(split, dropped=len(accepted) < len(split.stricter_layers))
        base = self._examine_layer(candidate.with_object(split.object, *notes), context)
        stricter = [
            (level, self._examine_layer(candidate.with_object(layer), context))
            for level, layer in accepted
        ]
        whole = _join_layers(base, stricter)
        removed = {f.path for f in candidate.findings if f.rule == "custom_properties"}
        dangling = [s for s in split.dangling_selectors if s.partition(".")[0] not in removed]
        if dangling and whole.is_open and "marking" not in self._waived:
            message = "marks a part that the object does not have: correct the selectors"
            whole = whole.hold(
                Finding("sanitise", "marking", Action.HELD, message, "granular_markings")
            )
        keep_original = whole.stricter_layers or whole.original is not None
        return replace(whole, original=subject) if keep_original else whole

    def _judge_whole(
        self, candidate: Candidate, subject: StixObject, context: SubmissionContext
    ) -> Candidate:
        """Judge an object that has one level; `subject` is the object before the stages."""
        judged = self._examine_layer(candidate, context)
        return replace(judged, original=subject) if judged.original is not None else judged

    def _examine_layer(self, candidate: Candidate, context: SubmissionContext) -> Candidate:
        candidate = normalise(candidate, context.defaults, context.facts.definitions)
        candidate = identify(candidate, self._submitter.partner)
        return sanitise(candidate, context.rules)

    def _judge_acs_definition(self, candidate: Candidate, context: SubmissionContext) -> Candidate:
        """Admit an ACS marking definition, or hold it if a rule would change what it restricts.

        The client sends it and the hub enforces it as it is; `published` is what readers get.
        """
        subject = candidate.object or {}
        markings = read_markings(subject, context.facts.definitions)
        tlp = context.defaults.level_of(subject) if markings.tlp is None else markings.tlp
        own_id = {name: subject[name] for name in _ACS_HEAD if name in subject}
        marked = {"object_marking_refs": [TLP_2_IDS[tlp]]}
        public = self._acs_content(subject, context)
        seen = subject if find_errors(subject) else public | own_id
        partner = self._submitter.partner
        keyed = replace(
            candidate,
            object=seen,
            tlp=tlp,
            scope=tlp.label,
            key=definition_key([(tlp, public)], tlp.label, partner),
        )
        judged = sanitise(keyed, context.rules)
        more = markings.other_ids or markings.unknown_ids or markings.repaired
        if judged.is_open and (judged.object != seen or more) and "marking" not in self._waived:
            judged = judged.hold(_ACS_CHANGED)
        if judged.is_open and not (context.acs_custodian or context.named):
            judged = judged.hold(_NO_CUSTODIAN)
        if judged.is_open and not context.named:
            judged = judged.with_findings(_ACS_ANONYMISED)
        original = None if judged.is_open else subject
        return replace(judged, object=subject, original=original, published=public | marked)

    def _acs_content(self, subject: StixObject, context: SubmissionContext) -> StixObject:
        """The content of an ACS definition as published; whole if the submitter may be named."""
        if not context.named:
            return anonymise_definition(subject, context.acs_custodian or _ANY_CUSTODIAN)
        return {name: subject[name] for name in _ACS_NAMED if name in subject}


def sanitise(candidate: Candidate, rules: Sequence[Rule]) -> Candidate:
    """Apply the rules in order until one refuses the candidate.

    `original` is set to the object before the first rule if a reviewer must decide.
    """
    full, refused = candidate.object, Verdict.REFUSED
    for apply in rules:
        if candidate.verdict is refused:
            break
        candidate = apply(candidate)
    waits = not candidate.is_open
    for finding in candidate.findings:  # any() takes twice the time
        waits = waits or finding.action is Action.ASKED
    return replace(candidate, original=full) if waits else candidate


def _collect_settings(
    policy: Policy, partner: str, waiver: Waiver
) -> dict[str, Mapping[str, object]]:
    """The settings of each rule, in order; a waived rule still removes what needs no reviewer."""
    settings: dict[str, Mapping[str, object]] = {}
    for name in policy.rules:
        table = policy.settings_for(name, partner)
        check_settings(name, table)
        if is_waived(name, waiver.rules):
            table = approve_settings(name, table, without_text=waiver.without_text)
        settings[name] = table
    return settings


def _find_definitions(submission: Iterable[Candidate]) -> dict[str, StixObject]:
    """The marking definitions of the submission, by id."""
    found: dict[str, StixObject] = {}
    for candidate in submission:
        subject = candidate.object
        if subject is not None and subject.get("type") == "marking-definition":
            found[_text(subject.get("id"))] = subject
    return found


def _find_definition_levels(
    submission: Iterable[Candidate], definitions: Mapping[str, StixObject], default: Tlp
) -> dict[str, Tlp]:
    """The level of each marking definition: that of the least strict object that carries it."""
    levels: dict[str, Tlp] = {}
    for candidate in submission:
        if candidate.object is not None:
            markings = read_markings(candidate.object, definitions)
            level = default
            if markings.other_ids:
                level = _object_level(candidate.object, definitions, default)
            for name in markings.other_ids:
                levels[name] = min(level, levels.get(name, level))
    return levels


def _object_level(subject: StixObject, definitions: Mapping[str, StixObject], default: Tlp) -> Tlp:
    """The level of an object that has not been validated yet."""
    try:
        return split_by_tlp(subject, definitions, default).level
    except (TypeError, ValueError, KeyError, AttributeError, Unprocessable):
        return default  # validation refuses it later


def _find_author_links(submission: Iterable[Candidate], authors: frozenset[str]) -> frozenset[str]:
    """Ids of the relationships with an author at one end, and of locations at the other."""
    found: set[str] = set()
    for candidate in submission:
        subject = candidate.statements
        if subject.get("type") != "relationship":
            continue
        ends = [str(subject.get("source_ref")), str(subject.get("target_ref"))]
        if authors.intersection(ends):
            found.add(str(subject.get("id")))
            found.update(end for end in ends if end.startswith("location--"))
    return frozenset(found)


def _find_recipients(subjects: Sequence[StixObject]) -> frozenset[str]:
    """Ids of the addresses to which messages of the submission went, and of their accounts.

    Under whatever ids an address comes.  Senders are not among them, nor is an address that an
    indicator is about.
    """
    received, senders = _find_correspondents(subjects)
    if not received:
        return frozenset()
    spared = {
        observable.value.lower()
        for each in subjects
        if each.get("type") == "indicator"
        for observable in extract_observables(each)
    }
    spared |= {_address_of(each) for each in subjects if _text(each.get("id")) in senders} - {""}
    values = {_address_of(each) for each in subjects if _text(each.get("id")) in received} - {""}
    addresses = [
        each
        for each in subjects
        if _address_of(each) not in spared
        and (_text(each.get("id")) in received or _is_address(each, values))
    ]
    found = {_text(each.get("id")) for each in addresses}
    found.update(_text(each.get("belongs_to_ref")) for each in addresses)
    return frozenset(found - {""})


def _find_correspondents(subjects: Sequence[StixObject]) -> tuple[set[str], set[str]]:
    """Ids of the addresses to which messages only went, and of those that sent one."""
    messages = [each for each in subjects if each.get("type") == "email-message"]
    senders = {_text(each.get(name)) for each in messages for name in ("from_ref", "sender_ref")}
    received = {
        reference
        for each in messages
        for name in ("to_refs", "cc_refs", "bcc_refs")
        for reference in _texts_in(each.get(name))
    }
    return received - senders, senders - {""}


def _address_of(subject: StixObject) -> str:
    return _text(subject.get("value")).strip().lower()


def _is_address(subject: StixObject, values: Container[str]) -> bool:
    """True for an e-mail address with one of the values."""
    return subject.get("type") == "email-addr" and _address_of(subject) in values


def _find_addressed(
    relevant: Sequence[Candidate], read: Callable[[], Iterable[Candidate]]
) -> list[Candidate]:
    """The candidates of a submission that tell which addresses only received its messages.

    Those with the addresses to which messages went, under any id, and indicators that match one
    of these.
    """
    subjects = [each.statements for each in relevant if each.object is not None]
    received, _ = _find_correspondents(subjects)
    if not received:
        return []
    found = [each for each in read() if _text(each.statements.get("id")) in received]
    values = {_address_of(each.statements) for each in found} - {""}
    further = [
        each
        for each in read()
        if _is_address(subject := each.statements, values)
        or subject.get("type") == "indicator"
        and any(one.value.lower() in values for one in extract_observables(subject))
    ]
    return [*(each for each in found if not _is_address(each.statements, values)), *further]


def _find_sighters(
    subjects: Sequence[StixObject], submitter: Submitter
) -> tuple[frozenset[str], frozenset[str]]:
    """Ids of the identities that sightings of the submission name: those to hide, those to show."""
    named = {
        reference
        for each in subjects
        if each.get("type") == "sighting"
        for reference in _texts_in(each.get("where_sighted_refs"))
        if reference.startswith("identity--")
    }
    if not named:
        return frozenset(), frozenset()
    own = submitter.names if submitter.consent in CONSENTS_TO_NAME else ()
    names = {name.casefold() for name in own}
    shown = {
        _text(each.get("id"))
        for each in subjects
        if each.get("type") == "identity"
        and (each.get("identity_class") == "class" or _text(each.get("name")).casefold() in names)
    }
    shown |= submitter.identities if own else frozenset()
    return frozenset(named - shown), frozenset(named & shown)


def _texts_in(value: object) -> Iterator[str]:
    return (
        (each for each in value if isinstance(each, str)) if isinstance(value, list) else iter(())
    )


def _content_key(candidate: Candidate) -> bytes:
    """Equal for copies of an unjudged object; empty if it cannot be compared."""
    if candidate.object is None or not candidate.is_open or candidate.findings:
        return b""
    try:
        return orjson.dumps((candidate.source_version, candidate.object))
    except (TypeError, RecursionError):
        return b""


def _mark_known_duplicate(candidate: Candidate, authors: frozenset[str]) -> Candidate:
    """Close a candidate as DUPLICATE if every hub has the object, or replaces it by its own."""
    subject = candidate.object
    if subject is None or not candidate.is_open:
        return candidate
    if _text(subject.get("id")) in authors:
        rule, note = "author", "replaced by the hub's own identity: the submitter is not named"
    elif is_tlp_definition(subject) or is_well_known(subject):
        rule, note = "well_known", "already public: references to it are kept, the copy is dropped"
        if is_tlp_definition(subject) and subject.keys() - _TLP_DEFINITION_PROPERTIES:
            candidate = candidate.with_findings(_EXTRA_PROPERTIES_IGNORED)
    else:
        return candidate
    duplicate = replace(candidate, verdict=Verdict.DUPLICATE)
    return duplicate.with_findings(Finding("identify", rule, Action.NOTED, note))


def _join_layers(base: Candidate, stricter: Sequence[tuple[Tlp, Candidate]]) -> Candidate:
    """The layers as one candidate, which is held or refused if one of them is."""
    if not stricter:
        return base
    layers = tuple((level, each.object) for level, each in stricter if each.object is not None)
    findings = dict.fromkeys(finding for _, each in stricter for finding in each.findings)
    joined = replace(base, stricter_layers=layers).with_findings(
        *(finding for finding in findings if finding not in base.findings)
    )
    verdicts = {each.verdict for _, each in stricter}
    if Verdict.REFUSED in (base.verdict, *verdicts):
        return joined.refuse()
    if base.is_open and Verdict.HELD in verdicts:
        return joined.hold()
    originals = [each.original for _, each in stricter if each.original is not None]
    return replace(joined, original=joined.original or originals[0]) if originals else joined


def _note_split(split: TlpSplit, *, dropped: bool) -> list[Finding]:
    """Findings about the granular markings; `dropped`: this hub does not take the strictest."""
    notes = []
    if split.raised:
        label = split.level.label.upper()
        notes.append(f"raised to TLP:{label} because a part that it needs is marked TLP:{label}")
    if split.stricter_layers:
        notes.append("parts marked more strictly are left out for readers who may not see them")
    path = "granular_markings"
    findings = [Finding("normalise", "marking", Action.NOTED, note, path) for note in notes]
    if dropped:
        message = "parts marked more strictly than this hub accepts are removed"
        findings.append(Finding("sanitise", "marking", Action.STRIPPED, message, path))
    return findings


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
