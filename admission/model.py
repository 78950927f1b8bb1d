"""The values of admission: candidates, findings, verdicts, contributions, assessments.

A stage takes a `Candidate` and returns another; nothing edits its argument, the
STIX object inside included.  Knows nothing of the network, the database or the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol

from tocsin.admission.timestamps import is_timestamp

StixObject = dict[str, Any]
"""A STIX object as parsed JSON.  A dictionary, because STIX is open-ended."""

Path = tuple[str | int, ...]
"""The path of a value in an object: ("external_references", 0, "url")."""

Layer = tuple["Tlp", StixObject]
"""An object as readers at a TLP level see it; granular markings make it differ by level."""


class Verdict(StrEnum):
    """The state of a candidate.  Stages look at OPEN candidates only."""

    OPEN = "open"  # still in the stages
    ADMITTED = "admitted"  # published as a new object     -> TAXII success
    MERGED = "merged"  # published with what others sent       -> TAXII success
    DUPLICATE = "duplicate"  # says nothing that was not known     -> TAXII success
    HELD = "held"  # waits for a reviewer                  -> TAXII pending
    REFUSED = "refused"  # not taken; the findings say why     -> TAXII failure


class Action(StrEnum):
    """The action that a stage took on a finding."""

    NOTED = "noted"  # seen, nothing changed
    REPAIRED = "repaired"  # another spelling of the same meaning
    REPLACED = "replaced"  # masked in place
    STRIPPED = "stripped"  # the property was removed
    ASKED = "asked"  # removed now, a reviewer may release it
    LOWERED = "lowered"  # confidence was lowered
    HELD = "held"  # the whole object waits for a reviewer
    REFUSED = "refused"  # the whole object is not taken


_OPEN = Verdict.OPEN
MAY_BE_RELEASED = "; a reviewer of the hub may release it"
"""The end of the message of a finding that asks a reviewer."""
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
        """Parse the name of a level; takes `white`, `TLP:GREEN`, `amber-strict`.

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
    """One thing that a stage saw or did."""

    stage: str
    """validate, normalise, identify, sanitise, merge or publish."""
    rule: str
    """The check or rule, for instance `schema` or `personal_data`."""
    action: Action
    message: str
    """For the submitter.  Never contains the removed text."""
    path: str = ""
    """JSON path from the object's root: `external_references[0].url`; empty for the whole."""

    def without_question(self) -> Finding:
        """The finding as it reads if no reviewer is asked."""
        if self.action is not Action.ASKED:
            return self
        message = self.message.removesuffix(MAY_BE_RELEASED)
        return self._replace(action=Action.STRIPPED, message=message)

    def as_json(self) -> dict[str, str]:
        """The finding as a JSON object, keys as in `tocsin check --json`."""
        return {
            "stage": self.stage,
            "rule": self.rule,
            "path": self.path,
            "action": self.action.value,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Waiver:
    """A reviewer's release of an object."""

    rules: frozenset[str] = frozenset()
    """The rules whose findings are released."""
    without_text: bool = False
    """The texts that they found something in are masked instead of published."""


_LEVELS = tuple(level.name.lower().replace("_", "+") for level in Tlp)


@dataclass(frozen=True)
class Candidate:
    """One STIX object of a submission on its way through admission.

    Without slots, since it is copied at each step and a dictionary is copied at once.
    """

    index: int
    """Its place in the submission or file, from 0."""
    object: StixObject | None
    """As it would be shared after the stages so far; None if it could not be parsed."""
    source_id: str | None = None
    """The submitter's id for it, as sent."""
    source_version: str | None = None
    """The submitter's `modified`, else `created`, as sent; None if that is not a timestamp.

    Nothing else checks it where STIX does not define `modified`, as for observables."""
    verdict: Verdict = Verdict.OPEN
    findings: tuple[Finding, ...] = ()
    key: str = ""
    """Equal for two reports of the same thing (merge/identity.py), the scope included.

    Computed from the object before sanitising."""
    tlp: Tlp | None = None
    """The strictest level in force; set by normalise."""
    scope: str = ""
    """The sharing scope: the TLP word, then what the other markings mean, joined by `|`."""
    original: StixObject | None = field(default=None, repr=False)
    """The object before the first rule, if a reviewer must decide about it."""
    stricter_layers: tuple[Layer, ...] = field(default=(), repr=False)
    """The object as each stricter level sees it, the strictest last; empty without such parts."""
    raw: bytes = field(default=b"", repr=False)
    """The bytes as sent, of a marking that is enforced as it was sent (ACS)."""
    published: StixObject | None = field(default=None, repr=False)
    """The content to be published, if it differs from `object`, which is what a client sends."""
    salvaged: StixObject | None = field(default=None, repr=False)
    """The references and markings of a record that could not be parsed (`salvage_object`).

    Empty if nothing of it could be read, though it may be a container."""
    excerpt: str = ""
    """The text that could not be read as an object, shortened; only its submitter sees it."""
    from_hub: bool = False
    """True if the object claims this hub as its author; set before validation strips the claim."""

    @classmethod
    def from_object(
        cls, index: int, subject: StixObject, *findings: Finding, verdict: Verdict = Verdict.OPEN
    ) -> Candidate:
        """Make the candidate for an object as it was sent.

        Fills `__dict__` at once: setting field by field takes five times as long, and files
        have thousands of objects.
        """
        name, version = subject.get("id"), subject.get("modified", subject.get("created"))
        candidate = cls.__new__(cls)
        candidate.__dict__.update(
            index=index,
            object=subject,
            source_id=name if isinstance(name, str) else None,
            source_version=version if is_timestamp(version) else None,
            verdict=verdict,
            findings=findings,
        )
        return candidate

    @property
    def statements(self) -> StixObject:
        """The object, or what could be read of it: even if it is refused, this holds for others."""
        return (self.salvaged or {}) if self.object is None else self.object

    @property
    def effective_tlp(self) -> Tlp:
        """The level that normalise set; RED before that."""
        return self.tlp if self.tlp is not None else Tlp.RED

    @property
    def is_open(self) -> bool:
        """True if the next stage must look at it."""
        return self.verdict is _OPEN

    def with_findings(self, *findings: Finding) -> Candidate:
        """A copy with more findings."""
        return self._with({"findings": self.findings + findings}) if findings else self

    def with_object(self, to: StixObject, *findings: Finding) -> Candidate:
        """A copy with another object and more findings."""
        return self._with({"object": to, "findings": self.findings + findings})

    def with_index(self, index: int) -> Candidate:
        """A copy for another position in the submission."""
        return self._with({"index": index})

    def with_key(self, key: str) -> Candidate:
        """A copy with its key."""
        return self._with({"key": key})

    def with_tlp(self, tlp: Tlp, scope: str, to: StixObject, *findings: Finding) -> Candidate:
        """A copy with its level, its sharing scope and the object with normalised markings."""
        more = {"findings": self.findings + findings}
        return self._with({"object": to, "tlp": tlp, "scope": scope, **more})

    def refuse(self, *findings: Finding) -> Candidate:
        """A refused copy; findings that asked a reviewer are dropped."""
        findings_ = tuple(f for f in self.findings + findings if f.action not in _FOR_ANALYSTS)
        return self._with({"verdict": Verdict.REFUSED, "findings": findings_})

    def without_questions(self, finding: Finding) -> Candidate:
        """A copy in which nothing that was removed waits for a reviewer; `finding` says why."""
        settled = tuple(f.without_question() for f in self.findings)
        return self._with({"findings": (*settled, finding)})

    def hold(self, *findings: Finding) -> Candidate:
        """A copy that waits for a reviewer; keeps `original`."""
        original = self.original if self.original is not None else self.object
        more = {"findings": self.findings + findings}
        return self._with({"verdict": Verdict.HELD, "original": original, **more})

    def _with(self, fields: Mapping[str, Any]) -> Candidate:
        """A copy with other fields, ten times as fast as `dataclasses.replace`."""
        copy = Candidate.__new__(Candidate)
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(fields)
        return copy


class Consent(StrEnum):
    """The readers who may learn the submitter's name (AIS consent)."""

    NONE = "none"  # nobody: the default
    USG = "usg"  # readers of the United States government
    EVERYONE = "everyone"
    EVERYONE_PROPRIETARY = "everyone-cisa-proprietary"


CONSENTS_TO_NAME = frozenset((Consent.EVERYONE, Consent.EVERYONE_PROPRIETARY))
"""Consents under which the submitter may be named."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """The partner whose objects are examined."""

    partner: str = ""
    """The partner's slug; never published."""
    names: tuple[str, ...] = ()
    """Names of the partner: `ACME Corp`."""
    terms: tuple[str, ...] = ()
    """The partner's own domains, products and networks, which must not be published."""
    consent: Consent = Consent.NONE
    default_tlp: Tlp = Tlp.AMBER
    """The level of an object without a TLP marking."""
    max_tlp: Tlp = Tlp.AMBER
    """The strictest level that the partner may send."""
    identities: frozenset[str] = frozenset()
    """Ids of identities that its earlier objects named as creator."""
    audience: str = ""
    """The part of the sharing scope of all that it sends by which that goes to some readers only
    (see `markings/audience.py`); empty: to all."""

    @property
    def names_and_slug(self) -> tuple[str, ...]:
        """The names of the partner, with its short name in the hub."""
        return (*self.names, self.partner) if self.partner else self.names


class Observable(NamedTuple):
    """One value in a pattern or an SCO."""

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
    """A warning list that contains a value."""

    list: str
    """The list's name as its publisher gives it."""
    exact: bool
    """False for a subdomain of a listed domain or an address inside a listed network."""
    excluded: bool = False
    """True for the hub's exclusion list, which no setting overrides."""
    mode: str = ""
    """The action on an exact hit unless the policy gives a gentler one; empty: the policy's."""
    included: bool = False
    """True for a value with which the listed one would be blocked: a network around it, or a URL
    that products take for its start page."""


class Warninglists(Protocol):
    """Warning lists that can be searched by value."""

    def hits(self, kind: str, value: str) -> tuple[WarninglistHit, ...]:
        """The lists that contain `value`, an observable of SCO type `kind`.

        Exact hits come first, then those that the value includes.
        """
        ...


class UnchangedBelow(NamedTuple):
    """A contribution that has changed since only in parts that readers below a level do not see."""

    level: Tlp
    version: str
    received: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """An admitted candidate as the hub keeps it with its partner; never published as such."""

    partner: str
    source_id: str
    version: str
    """The submitter's `modified`, else `created`, as sent."""
    received: int
    tlp: Tlp
    scope: str
    object: StixObject = field(repr=False)
    """Sanitised, with references rewritten to public ids."""
    stricter_layers: tuple[Layer, ...] = field(default=(), repr=False)
    """See Candidate.stricter_layers."""
    raw: bytes = field(default=b"", repr=False)
    """See Candidate.raw."""
    unresolved_layers: tuple[Layer, ...] = field(default=(), repr=False)
    """With the submitter's ids: the first layer that references what has not arrived, and those
    that are stricter."""
    reliability: int = 50
    """The partner's reliability, 0 to 100, when this was received."""
    group: str = ""
    """The partner's group; the partners of a group count as one source."""
    first_reported: int = 0
    """Time of the partner's first report, in µs; 0: the time of receipt."""
    last_reported: int = 0
    """Time of the partner's last report, in µs; 0: the time of receipt."""
    unmarked: bool = False
    """True for a marking definition that was sent without a TLP marking."""
    may_be_named: bool = False
    """True if the partner agreed to be named when this was received."""
    removed: bytes = b""
    """Digest of texts that were left out for want of room; empty: it is complete."""
    early_reports: frozenset[str] | None = None
    """Digests of the reports that it cites and cited before others reported the same; None: all."""
    sent: bytes = b""
    """See `digest_as_sent`; empty if it refers to nothing."""
    unchanged: tuple[UnchangedBelow, ...] = ()
    """The versions that are still what less strict readers know, the least strict first."""


class AssessmentKind(StrEnum):
    """The statement of an assessment about an indicator.  The values are stored."""

    SIGHTING = "seen"  # a sighting
    FALSE_POSITIVE = "false"  # a sighting with count 0, an opinion that disagrees
    OTHER = "other"  # any other opinion: takes back a false positive, leaves a sighting


@dataclass(frozen=True, slots=True)
class Assessment:
    """A partner's sighting of an indicator or opinion about it; kept privately."""

    partner: str
    source_id: str
    """The partner's own id of the sighting or opinion."""
    kind: AssessmentKind
    when: int
    """Time of the sighting or statement, in µs; never later than its receipt."""
    tlp: Tlp
    scope: str
    reliability: int = 50
    group: str = ""


@dataclass(frozen=True, slots=True)
class RuleContext:
    """The context of a rule, apart from the candidate; one per submission."""

    submitter: Submitter
    warninglists: Warninglists
    authors: frozenset[str] = frozenset()
    """Ids of the identities that the submission's objects name as their creators."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The rule's table in policy.toml."""
    definitions: Mapping[str, StixObject] = field(default_factory=dict)
    """Marking definitions by id, those sent earlier included."""
    author_links: frozenset[str] = frozenset()
    """Ids of relationships with an author at one end, and of locations at the other."""
    recipients: frozenset[str] = frozenset()
    """Ids of addresses that only received messages, and of the accounts behind them."""
    sighters: frozenset[str] = frozenset()
    """Ids of organisations that saw what a sighting reports, who must not be named."""
    open_sighters: frozenset[str] = frozenset()
    """Ids of identities in sightings that may be named: sectors, and the submitter by consent."""


def format_path(path: Path) -> str:
    """Format a path for people.

    >>> format_path(("external_references", 0, "url"))
    'external_references[0].url'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def walk_values(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value within a JSON value, itself first, each with its path."""
    yield path, value
    inner: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for step, each in inner:
        yield from walk_values(each, (*path, step))


Rule = Callable[[Candidate], Candidate]
"""A sanitising rule: returns the candidate changed, held, refused, or as it was."""
