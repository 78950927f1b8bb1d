"""The hub's nouns: accounts, collections and their entries, public objects, submissions.

Values only; neither HTTP nor MongoDB is known here.  Stamps are int64
microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple, Protocol

from tocsin.admission.markings.audience import EVERYBODY, Audience, audience_of
from tocsin.admission.merge.confidence import NEUTRAL
from tocsin.admission.merge.statistics import HubStatistics
from tocsin.admission.model import Assessment, Consent, Contribution, Submitter, Tlp
from tocsin.admission.timestamps import HOUR

MAX_PAGE_OCTETS = 15_000_000
"""Octets of objects on a page, unless it has only one; the rest is on the next page.  Clients
bound what they read, ours to 16 MiB."""
BODY_DAYS = 14
"""Days for which bodies of submissions are kept, unless a setting says otherwise."""
OPERATOR_SLUG = "operator"
"""The partner of what the operator's accounts contribute; their submissions name none."""


class CollectionKind(StrEnum):
    """The kinds of collection."""

    INBOX = "inbox"  # partners write, admission reads
    FEED = "feed"  # admission writes, partners read
    VERBATIM = "verbatim"  # what is posted is what is read
    AGGREGATE = "aggregate"  # shows what others hold, as one log
    SNAPSHOT = "snapshot"  # shows what another one held at a moment


@dataclass(frozen=True, slots=True)
class View:
    """The selection of entries that an aggregate or a snapshot shows; it never changes."""

    sources: tuple[str, ...]
    """Ids of feeds and verbatim collections."""
    types: frozenset[str] = frozenset()
    """STIX types; empty: all."""
    max_tlp: Tlp | None = None
    """The strictest level that is shown; None: all."""
    active: bool = False
    """Only current versions that are neither revoked nor expired."""
    at: int | None = None
    """Only entries added up to this stamp; None: all."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A TAXII collection (TAXII 2.1 section 5.2)."""

    id: str
    """UUID version 4."""
    alias: str
    kind: CollectionKind
    title: str
    description: str = ""
    max_tlp: Tlp = Tlp.AMBER
    """The strictest level that a feed takes; of no meaning for other kinds."""
    view: View | None = None
    """Set for an aggregate or a snapshot only."""
    audience: Audience = EVERYBODY
    """The partners that a feed serves; what may go to them only is in no other feed."""

    @property
    def takes_posts(self) -> bool:
        """True if objects can be added to it over TAXII."""
        return self.kind in (CollectionKind.INBOX, CollectionKind.VERBATIM)


@dataclass(frozen=True, slots=True)
class Partner:
    """An organisation that shares."""

    slug: str
    name: str
    country: str = ""
    sectors: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    consent: Consent = Consent.NONE
    max_tlp: Tlp = Tlp.AMBER
    default_tlp: Tlp = Tlp.AMBER
    reliability: int = NEUTRAL
    """Share of its reports that proved right, 0 to 100."""
    group: str = ""
    """Partners of one group, which tell each other, count as one source."""
    mask_everywhere: bool = False
    """Its terms are masked in the reports of others too, where masks can be seen."""

    def submitter(self) -> Submitter:
        """The partner as admission sees it."""
        return Submitter(
            partner=self.slug,
            names=(self.name,),
            terms=self.terms,
            consent=self.consent,
            default_tlp=min(self.default_tlp, self.max_tlp),
            max_tlp=self.max_tlp,
        )


class AgreementState(StrEnum):
    """The state of an agreement."""

    PLANNED = "planned"  # it has not begun
    IN_FORCE = "in-force"
    ENDED = "ended"  # for good


@dataclass(frozen=True, slots=True)
class Agreement:
    """The written terms under which a partner sends and receives."""

    id: str
    """UUID version 4."""
    partner: str
    """The partner's slug."""
    collections: frozenset[str]
    """Ids of the collections that it may use, as far as its accounts have the right."""
    starts: int
    """µs since 1970 UTC, as `until`."""
    until: int | None = None
    """The first microsecond at which it is not in force any more; None: open."""
    max_tlp: Tlp = Tlp.AMBER
    """The strictest level that the partner may send and receive."""
    purposes: tuple[str, ...] = ()
    """Short texts."""
    audience: Audience = EVERYBODY
    """The partners to which the partner's data may go."""
    note: str = ""
    recorded: AgreementState = AgreementState.PLANNED
    """Its state as far as the journal has it.  One that the journal has as ended stays so, even if
    the machine's clock is set back."""
    withdraws: bool = False
    """A withdrawal is due: it bounded where data may go, and has ended or changed.  Objects that
    were published under it end unless another agreement allows them."""

    def state_at(self, now: int) -> AgreementState:
        """Its state at a time, in µs."""
        if self.recorded is AgreementState.ENDED or (self.until is not None and now >= self.until):
            return AgreementState.ENDED
        return AgreementState.PLANNED if now < self.starts else AgreementState.IN_FORCE

    def was_in_force(self, at: int) -> bool:
        """True if it was in force at a time that has passed."""
        return self.starts <= at and (self.until is None or at < self.until)


class MarkingScheme(StrEnum):
    """The TLP version in which an account is shown the markings of a feed."""

    TLP2 = "tlp2"  # as they are stored
    TLP1 = "tlp1"  # for tools that know only the ids of TLP 1.0


@dataclass(frozen=True, slots=True)
class Account:
    """One credential holder of a partner, with its rights by collection id."""

    name: str
    partner: str
    """The partner's slug; the operator's is the empty string."""
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    operator: bool = False
    """May read and write every verbatim collection and read every feed."""
    disabled: bool = False
    marking: MarkingScheme = MarkingScheme.TLP2
    has_agreement: bool = True
    """False if it needs an agreement and none is in force, so that it has no rights.  Never
    stored, like the next."""
    until: int | None = None
    """The time, in µs, at which an agreement ends that these rights come from; None: no time."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or client certificate that opens an account."""

    account: str
    id: str
    """Hex SHA-256 of the key's secret, or fingerprint of the certificate."""
    added: int
    """Time at which it was added, in µs since 1970 UTC; 0: it is not known."""
    expires: int = 0
    """End of the certificate, in µs; 0 for a key, and where it is not known."""


class VersionKeyword(StrEnum):
    """The keywords of `match[version]` (TAXII 2.1 section 3.4.1)."""

    LAST = "last"
    FIRST = "first"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TermFilter:
    """One filter by index terms (see `index_terms`)."""

    field: str
    """Its name, as in `match[field]`."""
    terms: tuple[str, ...]
    """An entry matches if it has any of these; sorted."""
    boundary_term: str = ""
    """The term of the bucket whose numbers must be compared with the bound."""
    low: int | None = None
    high: int | None = None
    recheck_term: str = ""
    """The term of the objects that must themselves be compared with the filter."""

    def includes(self, number: int) -> bool:
        """True if a number is within the bounds, which are included."""
        return (self.low is None or number >= self.low) and (
            self.high is None or number <= self.high
        )


@dataclass(frozen=True, slots=True)
class Query:
    """A reader's query: fields are joined by AND, values of one by OR; empty fields match all."""

    limit: int = 100
    position: int = 0
    """Only entries after this position (from `next`); in a view, after this stamp."""
    added_after: int | None = None
    """Only entries whose stamp is greater."""
    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    specs: frozenset[str] = frozenset()
    """spec_versions; empty: the latest that each object has here."""
    keywords: frozenset[VersionKeyword] = frozenset({VersionKeyword.LAST})
    versions: frozenset[int] = frozenset()
    """Exact versions, as instants."""
    filters: tuple[TermFilter, ...] = ()
    """Filters by index terms, in order of their fields."""

    @property
    def after(self) -> int:
        """The stamp after which entries are wanted; -1: all."""
        return -1 if self.added_after is None else self.added_after


class FeedHead(NamedTuple):
    """The end of a feed; equal heads mean that nothing of it has changed."""

    position: int = 0
    """Position of its last entry; 0 if it has none yet."""
    stamp: int = 0
    """Stamp of its last entry."""
    writes: int = 0
    """Grows whenever anything is added, superseded or removed."""
    removals: int = 0
    """Number of removals so far."""

    def is_past_end(self, query: Query) -> bool:
        """True if a query starts at or after this head, so its page is empty."""
        return query.position >= self.position or query.after >= self.stamp


@dataclass(frozen=True, slots=True)
class Entry:
    """One object version in a feed."""

    position: int
    """1, 2, 3 … within its feed; in a view its stamp."""
    stamp: int
    """date_added."""
    id: str
    version: str
    """`modified`, else `created`, as sent; else the object's first date_added."""
    spec: str
    """`2.0` or `2.1`."""
    body: bytes
    """The object's JSON; empty where only the manifest was asked for."""


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to a `Query`: entries in order of position."""

    entries: tuple[Entry, ...] = ()
    more: bool = False
    """Exact: at least one further entry matches."""


class Representation(NamedTuple):
    """Form of the entries of a page: objects, or records of a manifest."""

    name: str
    render: Callable[[Entry], bytes] | None = None
    """The JSON of an entry, which is given without its body; None: the object itself."""

    def encode(self, entry: Entry) -> bytes:
        """An entry in this representation."""
        return entry.body if self.render is None else self.render(entry)


OBJECTS = Representation("objects")


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """The answer to a `Query` as it is sent: joined octets, not each entry."""

    objects: bytes = b""
    """The JSON of the entries in their representation, joined by commas."""
    count: int = 0
    first_stamp: int = 0
    """Stamp of the first entry; 0 on an empty page, as the next two."""
    last_stamp: int = 0
    last_position: int = 0
    more: bool = False
    """See `Page`."""

    @classmethod
    def of(cls, page: Page, representation: Representation = OBJECTS) -> ObjectPage:
        """The same page, as far as it is not too long."""
        if not page.entries:
            return cls(more=page.more)
        shown = [representation.encode(entry) for entry in page.entries]
        ends = accumulate(map(len, shown))
        count = max(1, sum(end <= MAX_PAGE_OCTETS for end in ends))
        entries = page.entries[:count]
        objects = b",".join(shown[:count])
        marks = entries[0].stamp, entries[-1].stamp, entries[-1].position
        more = page.more or count < len(page.entries)
        return cls(objects, count, *marks, more=more)


class DeliveryRecorder(Protocol):
    """Remembers which account was served what."""

    def record(self, account: str, collection: Collection, query: Query, page: ObjectPage) -> None:
        """Record a page of objects, or that there was nothing new; quick, and it never fails.

        The last stamp of an empty page is that of the feed's end, if nothing was left up to there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Visibility:
    """The properties, apart from the type, by which a view selects an entry."""

    tlp: Tlp = Tlp.RED
    """The strictest level that it is marked with; RED if that is not known."""
    revoked: bool = False
    valid_until: int | None = None
    """Its `valid_until`; 0 if that cannot be read."""

    def active(self, instant: int) -> bool:
        """True if it is neither revoked nor expired at this instant."""
        return not self.revoked and (self.valid_until is None or self.valid_until > instant)


LEAST_VISIBLE = Visibility(Tlp.RED, revoked=True)
"""The visibility of an entry without a recorded one."""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object in a feed, with what decides if it is in force."""

    stamp: int
    """date_added."""
    version: str
    """See `Entry`."""
    spec: str
    body: bytes = field(repr=False)
    visibility: Visibility
    is_current: bool
    """No later version has replaced it."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One object on its way into a feed."""

    id: str
    type: str
    spec: str
    version: str
    """`modified`, else `created`; empty if the object has neither."""
    body: bytes
    digest: bytes
    """16 octets over the object's value; equal for equal objects in any JSON spelling."""
    terms: tuple[str, ...] = ()
    """Index terms, without those of its type and level."""
    numeric_terms: tuple[tuple[str, int], ...] = ()
    """Bucket terms, each with the number that lies in the bucket."""
    visibility: Visibility = Visibility()
    owner: str = ""
    """The partner that sends it to a verbatim collection; empty: the hub or its operator, who may
    add versions to every object."""
    ends: bool = False
    """It ends a marking definition, which has one version only: it takes the former's place."""


class PublishOutcome(StrEnum):
    """The outcome of publishing one entry."""

    STORED = "stored"
    KNOWN = "known"  # the same version with the same content is here already
    CONFLICT = "conflict"  # the same version is here with other content
    FOREIGN = "foreign"  # another partner was the first to send an object with this id


class TlpVersion(NamedTuple):
    """The version of a public object that feeds from some level upwards hold."""

    level: Tlp
    modified: int
    digest: bytes
    """See Public.digest."""


class Withdrawals(NamedTuple):
    """The times that a partner took back all that it reported of one thing."""

    partner: str
    times: int
    last: int
    """µs since 1970 UTC."""


class LeaderStatement(NamedTuple):
    """A published statement that only the partner may make that leads the object."""

    partner: str
    id: str
    """The public id of a translation, or of a relationship that says it is superseded."""


@dataclass(frozen=True, slots=True)
class PublicObject:
    """A public object with its private contributions: the truth about what is published."""

    id: str
    """The public id."""
    created: int
    modified: int
    """The version that the feeds hold now."""
    digest: bytes
    """Over the published value, `modified` and the hub's figures left out; tells whether a merge
    changed what partners say."""
    tlp: Tlp
    scope: str
    contributions: tuple[Contribution, ...]
    """One for each id that a partner has for it; empty once all have been revoked."""
    revoked: bool = False
    tlp_versions: tuple[TlpVersion, ...] = ()
    """Fuller copies for stricter feeds, the strictest last; `digest` is of the least strict one."""
    revocation_reason: str = ""
    """Why it was revoked, an `RevocationReason`; empty while it lives."""
    assessments: tuple[Assessment, ...] = ()
    """Sightings and opinions of it."""
    figures: HubStatistics | None = None
    """The statistics as they were last published."""
    due_hour: int = 0
    """The hour, counted from 1970, in which the sweep must look at it; 0: never."""
    lead: str = ""
    """The partner that a reviewer lets lead; empty: see `Precedence`."""
    generation: int = 0
    """Number of the newest id under which a thing was published; kept at its first id."""
    withdrawals: tuple[Withdrawals, ...] = ()
    """Counts by partner; a further id of the same thing includes those of the former ones."""
    statements: tuple[LeaderStatement, ...] = ()
    """Statements that only the leading partner may make; they end when another one leads."""
    from_journal: bool = False
    """It was revoked or purged after the backup from which the hub was restored; the lost hub's
    journal says so.  Without `digest` if it was published after the backup too."""

    @property
    def audience(self) -> Audience:
        """The partners to which it may go."""
        return audience_of(self.scope)


@dataclass(frozen=True, slots=True)
class PendingReferences:
    """A contribution that lacks some of the objects that it refers to."""

    public_id: str
    """The public object that it belongs to."""
    partner: str
    max_tlp: Tlp | None
    """The strictest level that its submitter may read; None: none."""
    targets: frozenset[str]
    """The partner's ids and public ids for which it is worth looking again; empty: none left."""
    source_id: str = ""
    """The partner's own id for it; empty: whichever of them wait."""

    @property
    def key(self) -> str:
        """The key under which the contribution waits."""
        return "|".join(filter(None, (self.public_id, self.partner, self.source_id)))


@dataclass(frozen=True, slots=True)
class ArrivedIds:
    """Ids that others may have waited for."""

    partner: str
    source_ids: frozenset[str] = frozenset()
    """Ids of the partner's that stand for something else than before, or are known not to come."""
    public_ids: frozenset[str] = frozenset()
    """Public ids, known to everybody, that may be seen more widely than before."""


class RevocationReason(StrEnum):
    """Why a public object was revoked."""

    WITHDRAWN = "withdrawn"  # no contribution was left
    EXPIRED = "expired"  # its valid_until passed, or the text that it translates has changed
    AGREEMENT_ENDED = "agreement ended"  # no agreement allows any more that its readers get it
    DECIDED = "decided"  # a reviewer revoked it, or forbade its value
    PURGED = "purged"  # an operator had its content deleted


@dataclass(frozen=True, slots=True)
class Purge:
    """A purge that has begun: what is still to be deleted.  Idempotent."""

    public_id: str
    """The id under which feeds have the object; a value, if nothing is published on it."""
    sources: frozenset[tuple[str, str]] = frozenset()
    """Partners with their own ids for it."""
    values: tuple[str, ...] = field(default=(), repr=False)
    """Texts that nothing may contain that is kept of submissions and reviews."""
    leaves_version: bool = False
    """The last version in each feed stays: it says only that the object is revoked."""
    replaced: int = 0
    """Entries of feeds that gave way to the last version when the purge began."""
    begun: int = 0
    """The latest sign of progress, in µs since 1970 UTC."""

    def unite(self, other: Purge) -> Purge:
        """One purge that deletes what either of two purges of the object deletes."""
        return replace(
            self,
            sources=self.sources | other.sources,
            values=tuple(sorted({*self.values, *other.values})),
            leaves_version=self.leaves_version or other.leaves_version,
            replaced=self.replaced + other.replaced,
            begun=max(self.begun, other.begun),
        )


@dataclass(frozen=True, slots=True)
class PurgeRequest:
    """An operator's wish to purge an object, which another operator has to confirm."""

    public_id: str
    who: str
    """The operator who asks."""
    reason: str
    asked: int
    """µs since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A value on the hub's own warning list."""

    type: str
    """The SCO type: `domain-name`, `ipv4-addr`, `url`, `email-addr`, `file` …"""
    property: str
    """The property within it: `value`, `hashes.'SHA-256'`."""
    value: str
    """The value in its one spelling."""
    reason: str
    since: int


class ReviewKind(StrEnum):
    """Why something waits for a reviewer."""

    HELD = "held"  # nothing was published
    REDACTED = "asked"  # a shortened copy was published; the full text waits


class DecisionKind(StrEnum):
    """Kinds of a reviewer's decision."""

    KEEP_MASKED = "keep_masked"  # published without the texts in question
    RELEASE = "release"  # published as it was sent
    EDIT = "edit"  # published with words masked that the reviewer chose
    REJECT = "reject"  # refused; what is published of it stays


Span = tuple[tuple[str | int, ...], int, int]
"""A part of a text in an object: the path of the text, and where the part begins and ends."""


@dataclass(frozen=True, slots=True)
class PendingDecision:
    """A decision on a review that has been written down, and takes effect later."""

    act: str
    """Id of the `ReviewAct`."""
    by: str
    """Login of the person."""
    kind: DecisionKind
    at: int
    """µs since 1970 UTC."""
    due: int
    """Time at which it takes effect; until then it can be withdrawn."""
    rules: tuple[str, ...] = ()
    """The rules that asked when it was decided."""
    masks: tuple[Span, ...] = ()
    """Spans to mask in an edit."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A person has opened a review; others leave it alone until then."""

    person: str
    """Id."""
    login: str
    until: int
    """µs since 1970 UTC."""

    def holds(self, now: int) -> bool:
        """True until it ends; False too if a clock made it that was ahead and is set back."""
        return now < self.until <= now + HOUR


@dataclass(frozen=True, slots=True)
class Review:
    """One question for a reviewer."""

    id: str
    kind: ReviewKind
    submission: str
    index: int
    """The record's index in its submission."""
    partner: str
    source_id: str
    created: int
    object: bytes = field(repr=False)
    """The object before the rules named in `rules` touched it, as JSON."""
    rules: tuple[str, ...] = ()
    """The rules that ask; a release admits the object with these waived."""
    findings: tuple[Mapping[str, str], ...] = ()
    state: str = "waiting"  # or released, or rejected
    waits_for: tuple[str, ...] = ()
    """Source ids that the object refers to and that have not arrived yet."""
    anonymous: bool = False  # the submitter did not consent to be named
    tlp: str = ""
    """Label of its level; empty if it has none that is known."""
    revision: int = field(default=0, compare=False)
    """Grows with each change, apart from claims."""
    decision: PendingDecision | None = None
    """It waits to take effect, or took effect."""
    claim: Claim | None = field(default=None, compare=False)
    returned: str = ""
    """Why the last decision did not take effect."""
    decided_by: str = ""
    """The person who decided it in the end; empty while it waits, and for older ones."""
    decided_at: int = 0
    version: str = field(default="", compare=False)
    """The submitter's version of the object; empty if it has none."""
    digest: bytes = field(default=b"", compare=False)
    """Equal for what is sent again unchanged (`EarlierReviews.question`).

    Empty for older ones, and once a decision does not hold for what is sent again.
    """

    @property
    def is_open(self) -> bool:
        """True if it waits and nobody has decided it yet."""
        return self.state == "waiting" and self.decision is None


@dataclass(frozen=True, slots=True)
class ReviewOutcome:
    """The outcome of a review, for what is sent again unchanged."""

    kind: ReviewKind
    submission: str
    source_id: str
    version: str
    state: str
    """See `Review.state`."""
    rules: frozenset[str] = frozenset()
    decided_at: int = 0
    """µs since 1970 UTC; 0 while it waits."""
    published: int = 0
    """The time of receipt of the contribution that a release published, in µs; 0: none."""
    digest: bytes = b""
    """Empty if a decision does not hold for what is sent again."""


class ActState(StrEnum):
    """State of a reviewer's act."""

    PENDING = "pending"  # can be withdrawn until it is due
    DONE = "done"  # has taken effect, apart from `failed`
    WITHDRAWN = "withdrawn"  # before it took effect on any review


@dataclass(frozen=True, slots=True)
class ReviewAct:
    """A decision of one person on one review, or the same on several."""

    id: str
    person: str
    """Id."""
    login: str
    kind: DecisionKind
    at: int
    due: int
    reviews: tuple[str, ...]
    """Ids."""
    reason: str = ""
    """Reason of a rejection; the submitter reads it."""
    about: Mapping[str, str] = field(default_factory=dict)
    """Type, level, partner and rule of a single review; nothing of its content."""
    state: ActState = ActState.PENDING
    failed: tuple[tuple[str, str], ...] = ()
    """Reviews on which it did not take effect, each with the reason."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Reviews that were chosen and left out, each with the reason."""
    masks: tuple[Span, ...] = ()
    """Spans to mask in an edit; kept as long as the reason: until it takes effect, or after the
    person withdrew it until their next act, or until the object is purged."""


REVOCATION = "revoked"
"""The rule of the finding on an object that revokes what its partner sent."""


@dataclass(frozen=True, slots=True)
class Record:
    """The outcome of one object of a submission, as its submitter may see it."""

    index: int
    verdict: str
    """A `Verdict`, or `pending` while it has not been looked at."""
    source_id: str = ""
    version: str = ""
    public_id: str = ""
    findings: tuple[Mapping[str, str], ...] = ()

    @property
    def is_withdrawal(self) -> bool:
        """True if the object was a withdrawal, which publishes nothing."""
        return any(each.get("rule") == REVOCATION for each in self.findings)


@dataclass(frozen=True, slots=True)
class Submission:
    """One POST: who sent what, when, and how far its admission has come."""

    id: str
    """UUID version 4, the TAXII status id."""
    account: str
    partner: str
    collection: str
    """Collection id."""
    received: int
    total: int
    raw: bytes = field(default=b"", repr=False)
    """The body as received; immutable."""
    settled: int = 0
    """Number of records that have a verdict: those of objects that others reference first."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Settled records by verdict."""
    withdrawn: int = 0
    """The admitted ones of them that withdrew something; not counted by earlier versions."""
    is_large: bool = False
    """True if it is admitted a batch at a time, so that others get their turns."""
    lane: str = ""
    """Submissions of a partner in one lane can depend on each other: the id of a verbatim
    collection; empty for all inboxes together."""
    after: tuple[str, ...] = ()
    """Submissions of the same partner that must be settled first."""
    set_aside: int = 0
    """Time at which it was set aside, in µs, because its worker ended three times; 0: it is not."""
    anonymous: bool = False
    """Its sender wanted the partner not to be named, whatever it agreed to."""

    @property
    def complete(self) -> bool:
        """True if nothing about it will change: all settled, none held."""
        return self.settled == self.total and not self.counts.get("held", 0)


@dataclass(frozen=True, slots=True)
class Quota:
    """The quotas of a partner; 0: no limit."""

    objects_per_day: int = 0
    """Objects that it may submit in a day (UTC)."""
    octets_kept: int = 0
    """Octets of its submissions that are kept at the same time."""
    kept_days: int = BODY_DAYS
    """Days for which bodies of submissions are kept."""


@dataclass(frozen=True, slots=True)
class OpenSubmission:
    """A submission that has records without a verdict, as the queue sees it."""

    id: str
    account: str
    partner: str
    received: int
    is_large: bool
    lane: str
    after: tuple[str, ...]
    attempts: int
    """Attempts that began and brought no progress, the current one included."""
    lease: int
    """Time of the end of its lease, in µs; 0: it is free."""
    is_free: bool
    """True if no lease is running."""
    is_queued: bool
    """False for one that the request itself settles."""
    digests: bytes | None = None
    """See `queue.digest_ids`; None if they were not asked for, or are not known."""

    @property
    def sender(self) -> str:
        """The partner; for an operator's submission, the account."""
        return self.partner or f"account {self.account}"


class Receipt(NamedTuple):
    """A submission that was received, and its records as far as they are settled."""

    submission: Submission
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class OutboxTask:
    """Durable follow-up: re-evaluate objects that waited for ids that have now arrived.

    Idempotent.
    """

    id: str
    arrived: ArrivedIds
    resume_after: str = ""
    """Key after which the next batch of waiting contributions begins; empty: at the start."""
    revoked_ids: frozenset[str] = frozenset()
    """Ids that the partner revoked: reviews that wait under them are closed."""
    due: int = 0
    """The earliest time for it, in µs since 1970 UTC."""
    is_act: bool = False
    """It carries out the `ReviewAct` with the same id, and nothing else."""
    is_of_authors: bool = False
    """It ends the identities of the ids, which name their partner, and nothing else."""
    group: str = ""
    """Tasks with the same group are done together, in one order; empty: alone."""
