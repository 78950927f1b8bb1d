"""The words of admission: candidates on their way through the stages.

Values only.  A stage takes a `Candidate` and returns another; nothing edits
its argument, the STIX object inside included.  Neither the network nor the
database nor the clock is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol

StixObject = dict[str, Any]
"""A STIX object as parsed JSON.  The one dictionary of the house: STIX is open-ended."""

Path = tuple[str | int, ...]
"""Where in an object something stands: ("external_references", 0, "url")."""

Layer = tuple["Tlp", StixObject]
"""What is seen of an object at a level."""


class Verdict(StrEnum):
    """Where a candidate stands.  Only OPEN candidates are looked at by a stage."""

    OPEN = "open"  # on its way through the stages
    ADMITTED = "admitted"  # published, nobody sent it before     -> TAXII success
    MERGED = "merged"  # published with what others sent       -> TAXII success
    DUPLICATE = "duplicate"  # says nothing that was not known     -> TAXII success
    HELD = "held"  # waits for an analyst                  -> TAXII pending
    REFUSED = "refused"  # not taken; the findings say why     -> TAXII failure


class Action(StrEnum):
    """What a stage did about what it saw."""

    NOTED = "noted"  # seen, nothing changed
    REPAIRED = "repaired"  # another spelling of the same meaning
    REPLACED = "replaced"  # masked in place
    STRIPPED = "stripped"  # the property was removed
    ASKED = "asked"  # removed now, an analyst may release it
    LOWERED = "lowered"  # confidence was lowered
    HELD = "held"  # the whole object waits for an analyst
    REFUSED = "refused"  # the whole object is not taken


_OPEN = Verdict.OPEN
_FOR_ANALYSTS = frozenset((Action.ASKED, Action.HELD))


class Tlp(IntEnum):
    """The Traffic Light Protocol 2.0, in order of strictness."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4

    @property
    def label(self) -> str:
        """The label in lower case: `clear`, `green`, `amber`, `amber+strict`, `red`."""
        return _LEVELS[self]

    @classmethod
    def parse(cls, word: str) -> Tlp:
        """The level that a word names; takes `white`, `TLP:GREEN`, `amber-strict`.

        Raises ValueError for any other word.
        """
        plain = word.strip().lower().removeprefix("tlp:").strip()
        plain = plain.replace("+", "_").replace("-", "_").replace(" ", "_")
        if plain == "white":
            return cls.CLEAR
        try:
            return cls[plain.upper()]
        except KeyError:
            raise ValueError(
                f"not a TLP level: {ascii(word[:40])}; use clear, green, amber, amber+strict or red"
            ) from None


class Finding(NamedTuple):
    """What a stage saw or did."""

    stage: str
    """validate, normalise, identify, sanitise, merge or publish."""
    rule: str
    """The check or rule, for instance `schema` or `personal_data`."""
    action: Action
    message: str
    """For the submitter.  Never holds what was removed."""
    path: str = ""
    """JSON path from the object's root: `external_references[0].url`; empty for the whole."""

    def as_json(self) -> dict[str, str]:
        """The finding as a JSON object, keys as in `tocsin check --json`."""
        return {
            "stage": self.stage,
            "rule": self.rule,
            "path": self.path,
            "action": self.action.value,
            "message": self.message,
        }


_LEVELS = tuple(level.name.lower().replace("_", "+") for level in Tlp)


@dataclass(frozen=True)
class Candidate:
    """One STIX object of a submission on its way through admission.

    Without slots, since it is copied at each step and a dictionary is copied at once.
    """

    index: int
    """Its place in the submission or file, from 0."""
    object: StixObject | None
    """As it would be shared, given the stages so far; None if it could not be read at all."""
    source_id: str | None = None
    """The submitter's id for it, as sent."""
    source_version: str | None = None
    """The submitter's `modified`, else `created`, as sent."""
    verdict: Verdict = Verdict.OPEN
    findings: tuple[Finding, ...] = ()
    key: str = ""
    """What makes two submissions the same thing (identify), the scope included.

    Computed from the object as it was before sanitising."""
    tlp: Tlp | None = None
    """The strictest level in force; set by normalise."""
    scope: str = ""
    """The sharing scope: the TLP word, then the ids of other markings, joined by `|`."""
    original: StixObject | None = field(default=None, repr=False)
    """The object as it stood before the first rule asked about it or held it."""
    stricter_layers: tuple[Layer, ...] = field(default=(), repr=False)
    """The object with the parts that only stricter levels may see, the strictest level last."""
    raw: bytes = field(default=b"", repr=False)
    """Its bytes as they came, if that is how they must be passed on (ACS)."""
    from_hub: bool = False
    """Whether it says of itself that the hub made it; told before validation strips that."""

    @classmethod
    def from_object(
        cls, index: int, subject: StixObject, *findings: Finding, verdict: Verdict = Verdict.OPEN
    ) -> Candidate:
        """The candidate for an object as somebody sent it, or as a file states it.

        Filled at once; what is not named has its default.  To set field by field takes five
        times as long, and files have thousands.
        """
        name, version = subject.get("id"), subject.get("modified", subject.get("created"))
        candidate = cls.__new__(cls)
        candidate.__dict__.update(
            index=index,
            object=subject,
            source_id=name if isinstance(name, str) else None,
            source_version=version if isinstance(version, str) else None,
            verdict=verdict,
            findings=findings,
        )
        return candidate

    @property
    def effective_tlp(self) -> Tlp:
        """The level that normalise found; the strictest there is if it was never asked."""
        return self.tlp if self.tlp is not None else Tlp.RED

    @property
    def is_open(self) -> bool:
        """Whether the next stage should look at it."""
        return self.verdict is _OPEN

    def with_findings(self, *findings: Finding) -> Candidate:
        """With more findings, nothing else changed."""
        return self._with({"findings": self.findings + findings}) if findings else self

    def with_object(self, to: StixObject, *findings: Finding) -> Candidate:
        """With another object in place of the present one."""
        return self._with({"object": to, "findings": self.findings + findings})

    def with_index(self, index: int) -> Candidate:
        """The same in another place of the submission."""
        return self._with({"index": index})

    def with_key(self, key: str) -> Candidate:
        """With the key that tells what it is the same as."""
        return self._with({"key": key})

    def with_tlp(self, tlp: Tlp, scope: str, to: StixObject, *findings: Finding) -> Candidate:
        """With its level and its sharing scope, and its markings spelt as they say."""
        more = {"findings": self.findings + findings}
        return self._with({"object": to, "tlp": tlp, "scope": scope, **more})

    def refuse(self, *findings: Finding) -> Candidate:
        """Not taken, for the reasons that the findings give; so no analyst is asked any more."""
        told = tuple(f for f in self.findings + findings if f.action not in _FOR_ANALYSTS)
        return self._with({"verdict": Verdict.REFUSED, "findings": told})

    def hold(self, *findings: Finding) -> Candidate:
        """Waits for an analyst, for the reasons that the findings give."""
        original = self.original if self.original is not None else self.object
        more = {"findings": self.findings + findings}
        return self._with({"verdict": Verdict.HELD, "original": original, **more})

    def _with(self, fields: Mapping[str, Any]) -> Candidate:
        """A copy with other fields: what `dataclasses.replace` does, in a tenth of its time."""
        copy = Candidate.__new__(Candidate)
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(fields)
        return copy


class Consent(StrEnum):
    """Who may learn a submitter's name (AIS consent)."""

    NONE = "none"  # nobody: the default
    USG = "usg"  # readers of the United States government
    EVERYONE = "everyone"
    EVERYONE_PROPRIETARY = "everyone-cisa-proprietary"


CONSENTS_TO_NAME = frozenset((Consent.EVERYONE, Consent.EVERYONE_PROPRIETARY))
"""Consents under which the submitter's name may stand."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """What admission must know of the partner whose objects it examines."""

    partner: str = ""
    """The partner's slug; never published."""
    names: tuple[str, ...] = ()
    """Names under which it is known: `ACME Corp`."""
    terms: tuple[str, ...] = ()
    """Its own domains, products and networks, to be kept out of what is shared."""
    consent: Consent = Consent.NONE
    default_tlp: Tlp = Tlp.AMBER
    """In force where an object carries no TLP marking."""
    max_tlp: Tlp = Tlp.AMBER
    """The strictest level that the partner may send."""
    identities: frozenset[str] = frozenset()
    """Ids of identities that it named as its author before."""


class Observable(NamedTuple):
    """One value that a pattern or an SCO is about."""

    kind: str
    """The SCO type: `domain-name`, `ipv4-addr`, `url`, `email-addr`, `file` …"""
    property: str
    """The property within it: `value`, `hashes.'SHA-256'`, `name`."""
    value: str
    operator: str = "="
    """The comparison: `=`, `!=`, `IN`, `LIKE`, `MATCHES`, `ISSUBSET` …; `=` for an SCO."""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class WarninglistHit:
    """A warning list's word on a value."""

    list: str
    """The list's name as its publisher gives it."""
    exact: bool
    """False: merely a subdomain of, or an address inside, what the list names."""
    excluded: bool = False
    """On the hub's own list of what nobody may send again; no setting is above that."""


class Warninglists(Protocol):
    """Warning lists, asked by value."""

    def hits(self, kind: str, value: str) -> tuple[WarninglistHit, ...]:
        """The lists that name `value`, an observable of SCO type `kind`; exact hits first."""
        ...


@dataclass(frozen=True, slots=True)
class Contribution:
    """An admitted candidate, remembered privately with its partner."""

    partner: str
    source_id: str
    version: str
    """The submitter's `modified`, else `created`, as sent."""
    received: int
    tlp: Tlp
    scope: str
    object: StixObject = field(repr=False)
    """Sanitised, references already rewritten to public ids."""
    stricter_layers: tuple[Layer, ...] = field(default=(), repr=False)
    """See Candidate.stricter_layers."""
    raw: bytes = field(default=b"", repr=False)
    """See Candidate.raw."""
    unresolved_layers: tuple[Layer, ...] = field(default=(), repr=False)
    """The layers with the submitter's own ids, while some that they refer to have not arrived."""
    reliability: int = 50
    """The partner's, from 0 to 100, as its record stood when this came."""
    group: str = ""
    """The group of partners that the partner belongs to, which count as one source."""
    first_reported: int = 0
    """When the partner first said so; 0: when it was received."""
    last_reported: int = 0
    """When the partner last said so; 0: when it was received."""
    unmarked: bool = False
    """Whether it is a marking definition that came without a level of its own."""
    may_be_named: bool = False
    """Whether the partner agreed to be named when this came."""


class AssessmentKind(StrEnum):
    """What a testimony says of an indicator."""

    SIGHTING = "seen"  # a sighting
    FALSE_POSITIVE = "false"  # a sighting with count 0, an opinion that disagrees
    OTHER = "other"  # any other opinion: takes the place of what the partner said before


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a partner's sighting or opinion says of an indicator; private like a contribution."""

    partner: str
    source_id: str
    """The partner's own id of the sighting or opinion."""
    kind: AssessmentKind
    when: int
    """When it was seen or said, in µs; never later than it was received."""
    tlp: Tlp
    scope: str
    reliability: int = 50
    group: str = ""


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a rule may look at besides the candidate; the same for a whole submission."""

    submitter: Submitter
    now: int
    """µs since 1970 UTC."""
    warninglists: Warninglists
    authors: frozenset[str] = frozenset()
    """Ids of the identities that the submission's objects name as their creators."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The rule's own table of policy.toml."""
    definitions: Mapping[str, StixObject] = field(default_factory=dict)
    """Marking definitions that the submission's objects carry, by id."""
    author_links: frozenset[str] = frozenset()
    """Ids of the objects that say something of an author: where it is, whom it belongs to."""


def format_path(path: Path) -> str:
    """A path as people write it.

    >>> shown(("external_references", 0, "url"))
    'external_references[0].url'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


Rule = Callable[[Candidate], Candidate]
"""The candidate without what the rule takes out, held, refused, or as it was."""
