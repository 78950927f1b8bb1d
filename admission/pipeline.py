"""What both sides agree an indicator must be.

Pure: no network, no database, no wall clock (time is an argument).  The same
policy gives the same result in the client, where personal data never leaves
the partner's premises, and in the hub, which trusts no client.

The rules of the policy, in order, over one candidate.

Each rule sees what the rule before it left.  A rule that refuses a candidate is
the last to look at it.  One that is held goes on through the others: what no
analyst could release is refused at once, and he is told of all that he decides.
What was there before the first rule is kept beside a candidate that waits, so
that a release can start from the full text.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from tocsin.admission.errors import Unprocessable
from tocsin.admission.markings.acs import is_acs
from tocsin.admission.markings.consent import apply_consent_labels
from tocsin.admission.markings.granular import TlpSplit, split_by_tlp
from tocsin.admission.markings.tlp import is_tlp_definition, read_markings
from tocsin.admission.merge.identity import MITRE, identify, is_well_known
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
    Warninglists,
)
from tocsin.admission.normalise import DefaultTlp, normalise
from tocsin.admission.policy import Policy
from tocsin.admission.rules import (
    check,
    overruled,
    rule,
)
from tocsin.admission.stix.history_extension import AUTHOR_ID
from tocsin.admission.stix.validate import validate


def sanitise(candidate: Candidate, rules: Sequence[Rule]) -> Candidate:
    """The candidate after every rule."""
    full, refused = candidate.object, Verdict.REFUSED
    for apply in rules:
        if candidate.verdict is refused:
            break
        candidate = apply(candidate)
    asked = Action.ASKED
    waits = not candidate.is_open or any(f.action is asked for f in candidate.findings)
    return replace(candidate, original=full) if waits else candidate


_DEFINING = frozenset(
    (
        *("type", "spec_version", "id", "created", "modified", "created_by_ref", "name"),
        *("definition_type", "definition", "extensions"),
    )
)
_OVERRULED = Finding(
    "validate",
    "well_known",
    Action.REPAIRED,
    "says more than the definition of this TLP level that everyone has, which counts",
)

log = logging.getLogger(__name__)

__all__ = ["Pipeline", "examine"]


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    """What the objects of one submission say of each other."""

    definitions: Mapping[str, StixObject]
    authors: frozenset[str]
    defaults: DefaultTlp
    rules: tuple[Rule, ...]
    now: int


class Pipeline:
    """validate → normalise → identify → sanitise, for one submitter under one policy.

    Raises PolicyError when the policy names a rule that does not exist.
    """

    def __init__(
        self,
        policy: Policy,
        submitter: Submitter,
        lists: Warninglists,
        waived: frozenset[str] = frozenset(),
        definitions: Mapping[str, StixObject] | None = None,
    ) -> None:
        """`definitions` are marking definitions that the submitter sent before, by id."""
        self._policy = policy
        self._submitter = submitter
        self._lists = lists
        self._waived = waived
        self._definitions = definitions or {}
        self._settings = _settings(policy, submitter.partner, waived)

    def examine(self, candidates: Iterable[Candidate], now: int) -> list[Candidate]:
        """Every candidate of one submission with its findings; OPEN where it may go on.

        In the same order, none missing, and none spoilt by another.
        """
        together = list(candidates)
        company = self._company(together, now)
        times = Counter(candidate.source_id for candidate in together)
        once: dict[bytes, Candidate] = {}
        examined = []
        for candidate in together:
            key = _spelt(candidate) if times[candidate.source_id] > 1 else b""
            known = once.get(key)
            told = known.with_index(candidate.index) if known else None
            examined.append(told or self._alone(candidate, company))
            if key:
                once.setdefault(key, examined[-1])
        return examined

    def find_authors(self, together: Iterable[Candidate]) -> frozenset[str]:
        """The identities that say who the submitter is: as creator, now or before, or by name.

        Empty if the submitter agreed to be named.
        """
        subjects = [candidate.object for candidate in together if candidate.object is not None]
        if apply_consent_labels(self._submitter, subjects).consent in CONSENTS_TO_NAME:
            return frozenset()
        creators = {_text(subject.get("created_by_ref")) for subject in subjects}
        names = {name.casefold() for name in self._submitter.names}
        selves = {
            _text(subject.get("id"))
            for subject in subjects
            if subject.get("type") == "identity"
            and str(subject.get("name", "")).casefold() in names
        }
        known = creators | selves | self._submitter.identities
        authors = {each for each in known if each.startswith("identity--")}
        return frozenset(authors - {MITRE, AUTHOR_ID})

    def _alone(self, candidate: Candidate, company: SubmissionContext) -> Candidate:
        """The candidate examined; a fault of ours costs this one and no other."""
        try:
            return self._examined(candidate, company)
        except Exception:
            log.exception("candidate %d could not be examined", candidate.index)
            message = "could not be examined; the fault is on this side and has been logged"
            return candidate.refuse(Finding("validate", "fault", Action.REFUSED, message))

    def _examined(self, candidate: Candidate, company: SubmissionContext) -> Candidate:
        candidate = _known(candidate, company.authors)
        if not candidate.is_open:
            return candidate
        checked = validate(candidate, self._policy, company.now)
        if checked.is_open and len(candidate.raw) > self._policy.object_octets:
            message = f"its bytes are more than {self._policy.object_octets}: write it shorter"
            checked = checked.refuse(Finding("validate", "size", Action.REFUSED, message))
        if not checked.is_open:
            return checked
        if is_acs(candidate.object):
            return self._unchanged(candidate, company)
        return self._divided(checked, company)

    def _divided(self, candidate: Candidate, company: SubmissionContext) -> Candidate:
        """Each layer of the object on its own, so that none shows in another."""
        subject = candidate.object or {}
        division = split_by_tlp(subject, company.definitions, company.defaults.level_of(subject))
        if division.object is subject and not (
            division.stricter_layers or division.dangling_selectors
        ):
            judged = self._judged(candidate, company)
            return replace(judged, original=subject) if judged.original is not None else judged
        most = min(self._submitter.max_tlp, Tlp.AMBER_STRICT)
        wanted = [layer for layer in division.stricter_layers if layer[0] <= most]
        noted = _of_parts(division, len(wanted) < len(division.stricter_layers))
        base = self._judged(candidate.with_object(division.object, *noted), company)
        fuller = [
            (level, self._judged(candidate.with_object(layer), company)) for level, layer in wanted
        ]
        whole = _joined(base, fuller)
        gone = {f.path for f in candidate.findings if f.rule == "custom_properties"}
        lost = [each for each in division.dangling_selectors if each.partition(".")[0] not in gone]
        if lost and whole.is_open and "marking" not in self._waived:
            message = "marks a part that the object does not have: correct the selectors"
            finding = Finding("sanitise", "marking", Action.HELD, message, "granular_markings")
            whole = whole.hold(finding)
        asked = whole.stricter_layers or whole.original is not None
        return replace(whole, original=subject) if asked else whole

    def _judged(self, candidate: Candidate, company: SubmissionContext) -> Candidate:
        candidate = normalise(candidate, company.defaults, company.definitions)
        candidate = identify(candidate, self._submitter.partner)
        return sanitise(candidate, company.rules)

    def _unchanged(self, candidate: Candidate, company: SubmissionContext) -> Candidate:
        """A marking definition of ACS as it came: it goes on like that or not at all."""
        subject = candidate.object or {}
        marks = read_markings(subject, company.definitions)
        tlp = company.defaults.level_of(subject) if marks.tlp is None else marks.tlp
        known = replace(candidate, tlp=tlp, scope=tlp.label, key=f"acs:{subject['id']}")
        judged = sanitise(known, company.rules)
        changed = judged.object != subject or marks.other_ids or marks.unknown_ids or marks.repaired
        if judged.is_open and changed and "marking" not in self._waived:
            message = (
                "an ACS marking goes on byte for byte, but this one holds what must not be shared:"
                " leave out names, personal data and markings of its own"
            )
            judged = judged.hold(Finding("sanitise", "marking", Action.HELD, message))
        return replace(judged, object=subject, original=None if judged.is_open else subject)

    def _company(self, together: Sequence[Candidate], now: int) -> SubmissionContext:
        authors = self.find_authors(together)
        subjects = [candidate.object for candidate in together if candidate.object is not None]
        definitions = {**self._definitions, **_definitions(together)}
        shared = RuleContext(
            submitter=apply_consent_labels(self._submitter, subjects),
            now=now,
            warninglists=self._lists,
            authors=authors,
            definitions=definitions,
            author_links=_disclosing(together, authors),
        )
        rules = tuple(
            rule(name, replace(shared, settings=table)) for name, table in self._settings.items()
        )
        default = self._submitter.default_tlp
        defaults = DefaultTlp(default, _carried(together, definitions, default))
        return SubmissionContext(definitions, authors, defaults, rules, now)


def examine(
    candidates: Iterable[Candidate],
    policy: Policy,
    submitter: Submitter,
    lists: Warninglists,
    now: int,
) -> list[Candidate]:
    """What `Pipeline` says of one submission."""
    return Pipeline(policy, submitter, lists).examine(candidates, now)


def _settings(
    policy: Policy, partner: str, waived: frozenset[str]
) -> dict[str, Mapping[str, object]]:
    """What each rule that is applied goes by; a waived one takes out what needs no analyst."""
    found: dict[str, Mapping[str, object]] = {}
    for name in policy.rules:
        table = policy.settings_for(name, partner)
        check(name, table)
        found[name] = overruled(name, table) if name in waived else table
    return found


def _definitions(together: Iterable[Candidate]) -> dict[str, StixObject]:
    """The marking definitions that came along, by id."""
    found: dict[str, StixObject] = {}
    for candidate in together:
        subject = candidate.object
        if subject is not None and subject.get("type") == "marking-definition":
            found[_text(subject.get("id"))] = subject
    return found


def _carried(
    together: Iterable[Candidate], definitions: Mapping[str, StixObject], default: Tlp
) -> dict[str, Tlp]:
    """How widely each marking definition must be seen: as the widest object that carries it."""
    levels: dict[str, Tlp] = {}
    for candidate in together:
        if candidate.object is not None:
            marks = read_markings(candidate.object, definitions)
            level = (
                _whole_level(candidate.object, definitions, default) if marks.other_ids else default
            )
            for name in marks.other_ids:
                levels[name] = min(level, levels.get(name, level))
    return levels


def _whole_level(subject: StixObject, definitions: Mapping[str, StixObject], default: Tlp) -> Tlp:
    """The level of an object as a whole, whatever state it is in."""
    try:
        return split_by_tlp(subject, definitions, default).level
    except (TypeError, ValueError, KeyError, AttributeError, Unprocessable):
        return default  # it is refused when it is looked at


def _joined(base: Candidate, fuller: Sequence[tuple[Tlp, Candidate]]) -> Candidate:
    """The layers as one candidate again, which waits or is refused if one of them is."""
    if not fuller:
        return base
    layers = tuple((level, each.object) for level, each in fuller if each.object is not None)
    said = dict.fromkeys(finding for _, each in fuller for finding in each.findings)
    joined = replace(base, stricter_layers=layers).with_findings(
        *(f for f in said if f not in base.findings)
    )
    verdicts = {each.verdict for _, each in fuller}
    if Verdict.REFUSED in (base.verdict, *verdicts):
        return joined.refuse()
    if base.is_open and Verdict.HELD in verdicts:
        return joined.hold()
    waits = [each.original for _, each in fuller if each.original is not None]
    return replace(joined, original=joined.original or waits[0]) if waits else joined


def _of_parts(division: TlpSplit, dropped: bool) -> list[Finding]:  # noqa: FBT001
    """What is to be told about the markings of parts."""
    notes = []
    if division.raised:
        word = division.level.label.upper()
        notes.append(f"cannot stand without a part that is marked more strictly: TLP:{word}")
    if division.stricter_layers:
        notes.append("parts that are marked more strictly are left out where they may not be seen")
    findings = [
        Finding("normalise", "marking", Action.NOTED, note, "granular_markings") for note in notes
    ]
    if dropped:
        message = "parts that are marked too strictly for this hub are left out"
        findings.append(
            Finding("sanitise", "marking", Action.STRIPPED, message, "granular_markings")
        )
    return findings


def _disclosing(together: Iterable[Candidate], authors: frozenset[str]) -> frozenset[str]:
    """Relationships with an author at one end, and places at the other."""
    found: set[str] = set()
    for candidate in together:
        subject = candidate.object
        if subject is None or subject.get("type") != "relationship":
            continue
        ends = [str(subject.get("source_ref")), str(subject.get("target_ref"))]
        if authors.intersection(ends):
            found.add(str(subject.get("id")))
            found.update(end for end in ends if end.startswith("location--"))
    return frozenset(found)


def _spelt(candidate: Candidate) -> bytes:
    """What two copies of an object have in common; empty if it is none, or has come so far."""
    if candidate.object is None or not candidate.is_open or candidate.findings:
        return b""
    try:
        return orjson.dumps((candidate.source_version, candidate.object))
    except (TypeError, RecursionError):
        return b""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _known(candidate: Candidate, authors: frozenset[str]) -> Candidate:
    """A duplicate, if it stands for what is public already."""
    subject = candidate.object
    if subject is None or not candidate.is_open:
        return candidate
    if _text(subject.get("id")) in authors:
        rule, note = "author", "the hub's own identity stands in its place"
    elif is_tlp_definition(subject) or is_well_known(subject):
        rule, note = "well_known", "public already: references to it are kept, copies not passed on"
        if is_tlp_definition(subject) and subject.keys() - _DEFINING:
            candidate = candidate.with_findings(_OVERRULED)
    else:
        return candidate
    duplicate = replace(candidate, verdict=Verdict.DUPLICATE)
    return duplicate.with_findings(Finding("identify", rule, Action.NOTED, note))
