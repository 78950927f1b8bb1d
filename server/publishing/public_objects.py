"""Changes of a public object: by a contribution, a sighting, an end, or time.

A public object is computed anew from all its contributions at each change.  It
gets a new version only where it says something new; figures that merely rise
wait for the quiet period (docs/merging.md).

Values in, values out: neither the database nor the submission is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import orjson

from tocsin.admission.markings.acs import complete_definition, is_acs
from tocsin.admission.markings.granular import layers_of
from tocsin.admission.merge.confidence import ConfidenceSettings
from tocsin.admission.merge.content import (
    Precedence,
    date_of_last_report,
    keep_unchanged,
    latest_by_partner,
    leading_contribution,
    merge_by_tlp,
    merge_contributions,
    object_digest,
    shorten,
    stored_octets,
    version_order,
    with_valid_from,
)
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.merge.sources import early_reports
from tocsin.admission.merge.statistics import (
    ConfidenceSteps,
    HubStatistics,
    add_statistics,
    compute_statistics,
    explain_confidence,
    select_visible,
    trim_assessments,
)
from tocsin.admission.model import Assessment, Contribution, Layer, StixObject, Tlp
from tocsin.admission.timestamps import DAY, HOUR, micros, stix_time
from tocsin.server.model import Collection, NewEntry, PublicObject, RevocationReason, Withdrawals
from tocsin.server.publishing.attribution import Attribution
from tocsin.server.publishing.repeated_withdrawals import count_withdrawal
from tocsin.server.publishing.revoked_and_purged_versions import revoked_version
from tocsin.server.publishing.versions_by_tlp import (
    MILLISECOND,
    NextVersion,
    next_versions,
    renew_versions,
    replace_pending,
)
from tocsin.server.store.match_filters import index_terms, visibility

MOST_CONTRIBUTIONS = 20
"""Contributions kept per partner and public object."""
MOST_OCTETS = 2_000_000
"""Limit for contributions of one partner beyond the one that counts."""
MOST_OCTETS_OF_ALL = 8_000_000
"""Limit for the contributions of all partners to one public object.  The database takes documents
of 16 MiB; what is never shortened is one leading contribution, of at most a few MB."""
INDICATOR = "indicator--"
_BARE = ("type", "object_marking_refs")
_NAMELESS = {"name": "[removed: submitter's name]"}


@dataclass(frozen=True, slots=True)
class PublishingConfig:
    """The hub's identity and feeds, and the numbers by which it merges."""

    identity: StixObject
    feeds: Callable[[], Sequence[Collection]]
    """Read for each transaction: an operator may add one while the hub runs."""
    well_known: frozenset[str]
    """Ids of public objects that references may keep: ATT&CK's, TLP's, the extension's."""
    attribution: Attribution
    quiet_period: int
    """µs; see Policy.quiet_period."""
    scale: ConfidenceSettings
    tie_secret: bytes = field(default=b"", repr=False)
    """See Precedence.secret."""
    max_waiting_reviews: int = 0
    """Limit for each partner; 0: no limit."""

    @property
    def hub(self) -> str:
        """The id of the hub's identity."""
        return str(self.identity["id"])


@dataclass(frozen=True, slots=True)
class Merge:
    """The settings of a merge; the same throughout a transaction."""

    config: PublishingConfig
    now: int
    """µs since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """A public object within a transaction, perhaps not published yet."""

    id: str
    public: PublicObject | None = None
    pending: tuple[NextVersion, ...] = ()
    """Versions that the transaction will publish, the least strict first."""
    former: tuple[Withdrawals, ...] = ()
    """Withdrawals under the former id of the same thing, if this one is new."""

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """The partners' contributions; empty if the object is not published or revoked."""
        return self.public.contributions if self.public is not None else ()

    @property
    def level_of_news(self) -> Tlp | None:
        """The least strict level whose feeds get a new version; None if none does."""
        return next((each.of.level for each in self.pending if each.changed), None)

    @property
    def withdrawals(self) -> tuple[Withdrawals, ...]:
        """Counts of how often each partner withdrew all its reports of it."""
        return self.public.withdrawals if self.public is not None else self.former

    def contribution(self, partner: str, source_id: str) -> Contribution | None:
        """The partner's contribution under this id of its own."""
        own = (partner, source_id)
        return next((c for c in self.contributions if (c.partner, c.source_id) == own), None)


def add_contribution(
    copy: WorkingCopy, new: Contribution, merge: Merge, news_from: Tlp = Tlp.CLEAR
) -> WorkingCopy:
    """With a contribution, in place of what the partner said before under the same id.

    Readers below `news_from` get no new version, also if one is due for another reason.
    """
    own = [c for c in copy.contributions if c.partner == new.partner]
    others = [c for c in copy.contributions if c.partner != new.partner]
    # What readers may not see makes nobody the first to report: only the leader's words are shown.
    seen = [c for c in own if c.tlp <= new.tlp]
    if seen:
        before = (each.first_reported or each.received for each in seen)
        early = early_reports(new, seen) if others else None
        new = replace(new, first_reported=min(new.received, *before), early_reports=early)
    if (mine := copy.contribution(new.partner, new.source_id)) is not None:
        new = keep_unchanged(new, mine)
    own = [c for c in own if c.source_id != new.source_id]
    every = (*others, *_limit_own([*own, new]))
    return _recompute(copy, every, merge, by_report=True, news_from=news_from)


def confirm_contribution(
    copy: WorkingCopy, mine: Contribution, new: Contribution, merge: Merge
) -> WorkingCopy:
    """The partner says the same again: an indicator was last reported on that day.

    Texts that had been left out are there again, if there is room.
    """
    public = copy.public
    if public is None:
        return copy
    again = mine
    if mine.removed and not new.removed:
        again = replace(
            mine,
            object=new.object,
            stricter_layers=new.stricter_layers,
            unresolved_layers=new.unresolved_layers,
            removed=b"",
        )
    last = date_of_last_report(new, mine)
    if last != (mine.last_reported or mine.received):
        again = replace(again, last_reported=last)
    if again is mine:
        return copy
    return _recompute(copy, tuple(again if c is mine else c for c in public.contributions), merge)


def remove_contribution(copy: WorkingCopy, gone: Contribution, merge: Merge) -> WorkingCopy:
    """Without a contribution; with the last one the object is revoked."""
    rest = tuple(c for c in copy.contributions if c is not gone)
    if copy.public is not None and all(each.partner != gone.partner for each in rest):
        counted = count_withdrawal(copy.withdrawals, gone.partner, merge.now)
        lead = "" if copy.public.lead == gone.partner else copy.public.lead
        copy = replace(copy, public=replace(copy.public, withdrawals=counted, lead=lead))
    if not rest:
        return revoke(copy, RevocationReason.WITHDRAWN, merge)
    return _recompute(copy, rest, merge)


def end_contributions(
    copy: WorkingCopy,
    gone: Sequence[Contribution],
    merge: Merge,
    why: RevocationReason = RevocationReason.WITHDRAWN,
) -> WorkingCopy:
    """Without contributions that the hub ends itself, which costs their partners nothing."""
    rest = tuple(c for c in copy.contributions if not any(c is each for each in gone))
    if not rest:
        return revoke(copy, why, merge)
    return _recompute(copy, rest, merge)


def find_leader(public: PublicObject | None, merge: Merge) -> str:
    """The partner whose contribution readers of the least strict level get; empty: none."""
    leading = find_leading(public, merge, Tlp.CLEAR)
    return "" if leading is None else leading.partner


def find_leading(public: PublicObject | None, merge: Merge, level: Tlp) -> Contribution | None:
    """The contribution that readers of a level get; None if there is none.

    That of the least strict level if they get none.
    """
    if public is None or not public.contributions:
        return None
    return leading_contribution(public.contributions, level, _precedence(public, merge))


def choose_leader(copy: WorkingCopy, partner: str, merge: Merge) -> WorkingCopy:
    """Let the contribution of a partner lead, whichever came first; empty: as they came."""
    if copy.public is None:
        return copy
    public = replace(copy.public, lead=partner)
    return _recompute(replace(copy, public=public), public.contributions, merge)


def remove_identity(copy: WorkingCopy, sent: Contribution, merge: Merge) -> WorkingCopy:
    """Without an identity that names its sender; its last version says nothing."""
    bare = {each: sent.object[each] for each in _BARE if each in sent.object}
    copy = add_contribution(
        copy,
        replace(sent, object=bare | _NAMELESS, stricter_layers=(), unresolved_layers=()),
        merge,
    )
    left = copy.contribution(sent.partner, sent.source_id)
    return copy if left is None else remove_contribution(copy, left, merge)


def revoke(copy: WorkingCopy, why: RevocationReason, merge: Merge) -> WorkingCopy:
    """Revoke the object finally; the same copy if there is nothing to revoke."""
    before = copy.public
    if before is None or before.revoked or not before.contributions:
        return copy
    gone = replace(
        before,
        contributions=(),
        assessments=(),
        revoked=True,
        revocation_reason=why.value,
        figures=_figures(before, merge),
        due_hour=0,
    )
    layers = _revoked_layers(before, merge)
    return _post(copy, gone, next_versions(before, layers, merge.config.hub, merge.now))


def apply_time(copy: WorkingCopy, merge: Merge) -> WorkingCopy:
    """Expired, aged, or with figures whose quiet period is over, if its hour has come."""
    before = copy.public
    if before is None or before.revoked or before.due_hour > merge.now // HOUR:
        return copy
    precedence = _precedence(before, merge)
    expires = _expiry(before, merge_contributions(before.contributions, precedence))
    if expires is not None and expires <= merge.now:
        rest = tuple(each for each in before.contributions if is_valid(each, merge.now))
        if not rest:
            return revoke(copy, RevocationReason.EXPIRED, merge)
        return _recompute(copy, rest, merge)
    return _recompute(copy, before.contributions, merge)


def is_valid(contribution: Contribution, now: int) -> bool:
    """True unless its own `valid_until` lies in an hour that is over, as the sweep counts them."""
    until = contribution.object.get("valid_until")
    return until is None or micros(until) // HOUR >= now // HOUR


def replace_assessments(
    copy: WorkingCopy, assessments: Iterable[Assessment], merge: Merge
) -> WorkingCopy:
    """With other sightings and opinions; the newest few of each partner are kept."""
    if copy.public is None:
        return copy
    before, kept = copy.public.assessments, trim_assessments(assessments)
    copy = replace(copy, public=replace(copy.public, assessments=kept))
    about = latest_by_partner(copy.contributions)[0]
    if select_visible(before, about) == select_visible(kept, about):
        return copy  # no reader may learn that something stricter came
    return _recompute(copy, copy.contributions, merge)


def recompute(copy: WorkingCopy, merge: Merge) -> WorkingCopy:
    """From the same contributions, some of which have lost a name."""
    return _recompute(copy, copy.contributions, merge)


def date_versions(copy: WorkingCopy, begin: int) -> WorkingCopy:
    """With the date of publication in the new versions: from `begin` on (µs), a ms apart."""
    public = copy.public
    if public is None:
        return copy
    versions: list[NextVersion] = []
    for each in copy.pending:
        if each.changed:
            modified = max(each.of.modified, begin)
            versions.append(replace(each, of=each.of._replace(modified=modified)))
            begin = modified + MILLISECOND
        else:
            versions.append(each)
    base, *fuller = (each.of for each in versions if each.of.level >= public.tlp)
    created = base.modified if public.created == public.modified else public.created
    dated = replace(public, created=created, modified=base.modified, tlp_versions=tuple(fuller))
    return replace(copy, public=dated, pending=tuple(versions))


def is_news(before: WorkingCopy, after: WorkingCopy) -> bool:
    """True if the change published something."""
    return after.pending is not before.pending


def entry_for(public: PublicObject, version: NextVersion, merge: Merge) -> NewEntry:
    """A version as it goes into a feed."""
    hub = merge.config.hub
    content, kind = version.content, version.content["type"]
    is_revoked = content.get("revoked") is True
    if kind == "marking-definition":  # STIX has no `revoked` for it: it stays in active feeds
        content = {name: value for name, value in content.items() if name != "revoked"}
    if public.figures is not None and not is_revoked:
        own = replace(public.figures, confidence=content.get("confidence"))
        content = add_statistics(content, own, hub)
    body = {"type": kind, "spec_version": "2.1", "id": public.id, **content}
    if not is_observable_type(kind):
        withdrawn = version.of.level < public.tlp  # its readers may not know who is left
        author = hub if withdrawn else version.author
        body |= {"created_by_ref": author, "created": stix_time(public.created)}
        if kind != "marking-definition":
            body["modified"] = stix_time(version.of.modified)
    if is_acs(body) and not is_revoked:
        body = complete_definition(body)
    entry = new_entry(body, version.of.level)
    if not is_revoked:
        return entry
    # The index terms stay those of the whole object: who reads by a label learns of its end.
    bare = revoked_version(body)
    ends = kind == "marking-definition"
    return replace(entry, body=orjson.dumps(bare), digest=object_digest(bare), ends=ends)


def new_entry(subject: StixObject, tlp: Tlp) -> NewEntry:
    """An object as it goes into a feed.

    `tlp` is its level; that of the strictest part, where parts are marked.
    """
    found_by = index_terms(subject)
    return NewEntry(
        id=subject["id"],
        type=subject["type"],
        spec="2.1",
        version=subject.get("modified") or subject.get("created") or "",
        body=orjson.dumps(subject),
        digest=object_digest(subject),
        terms=found_by.terms,
        numeric_terms=found_by.numeric_terms,
        visibility=visibility(subject, tlp),
    )


def _recompute(
    copy: WorkingCopy,
    contributions: tuple[Contribution, ...],
    merge: Merge,
    *,
    by_report: bool = False,
    news_from: Tlp = Tlp.CLEAR,
) -> WorkingCopy:
    """From these contributions; `by_report`: one of them is new, and nothing else has changed."""
    before, now = _without_end(copy.public), merge.now
    lead = "" if before is None else before.lead
    contributions = _limit_all(contributions, Precedence(copy.id, lead, merge.config.tie_secret))
    level = min(c.tlp for c in contributions)
    scope = next(c.scope for c in contributions if c.tlp == level)
    if before is None:
        before = public = PublicObject(
            copy.id, now, now, b"", level, scope, contributions, withdrawals=copy.former
        )
    else:
        public = replace(before, contributions=contributions, tlp=level, scope=scope)
    figures = _figures(public, merge)
    layers = _layers(public, figures, merge)
    known = before if before.digest else None
    every = [*_withdrawn_layers(known, level, merge), *layers]
    versions = next_versions(known, every, _author(contributions, merge), now, news_from)
    changed = any(version.changed for version in versions)
    news = _are_news(before, figures, merge)
    waits = news and not versions[0].changed and _is_quiet(copy, before, figures, merge)
    if by_report and news and not versions[0].changed:
        waits = waits or _were_due_before(before, figures, merge)
    due = _next_hour(public, layers[0][1], figures.next_decay, merge, waits=waits)
    if waits and before.due_hour:
        due = min(due, before.due_hour)
    if not changed and (waits or not news):
        return replace(copy, public=replace(public, due_hour=due))
    if news and not waits and not versions[0].changed:  # the least strict readers learn of it too
        versions = renew_versions(versions, now)
    shown = before.figures if waits else figures
    return _post(copy, replace(public, due_hour=due, figures=shown), versions)


def _without_end(public: PublicObject | None) -> PublicObject | None:
    """An observable that was revoked and is reported again keeps its id, which is its value's."""
    if public is None or not public.revoked:
        return public
    if not public.digest:
        return None  # no feed has had it since the hub was restored
    return replace(public, revoked=False, revocation_reason="", figures=None, from_journal=False)


def _post(copy: WorkingCopy, public: PublicObject, versions: Sequence[NextVersion]) -> WorkingCopy:
    base, *fuller = (version for version in versions if version.of.level >= public.tlp)
    stored = tuple(version.of for version in fuller)
    public = replace(public, modified=base.of.modified, digest=base.of.digest, tlp_versions=stored)
    below = [each for each in copy.pending if each.of.level < versions[0].of.level]
    pending = (*below, *(replace_pending(each, copy.pending) for each in versions))
    return replace(copy, public=public, pending=pending)


def _precedence(public: PublicObject, merge: Merge) -> Precedence:
    return Precedence(public.id, public.lead, merge.config.tie_secret)


def _layers(public: PublicObject, figures: HubStatistics, merge: Merge) -> list[Layer]:
    """The merged contributions at each level, with their confidence; `figures` are those of all."""
    precedence = _precedence(public, merge)

    def content(counted: Sequence[Contribution]) -> StixObject:
        merged = merge_contributions(counted, precedence)
        if counted is public.contributions:  # nearly always
            own = figures
        else:
            own = _figures(replace(public, contributions=tuple(counted)), merge)
        return merged if own.confidence is None else {**merged, "confidence": own.confidence}

    return merge_by_tlp(public.contributions, content, precedence)


def _revoked_layers(public: PublicObject, merge: Merge) -> list[Layer]:
    """The revoked version for readers who hold the object."""
    layers = _layers(public, _figures(public, merge), merge)
    return [(level, {**content, "revoked": True}) for level, content in layers]


def _withdrawn_layers(before: PublicObject | None, level: Tlp, merge: Merge) -> list[Layer]:
    """The revoked version for readers whom the object's stricter level now excludes."""
    if before is None or before.tlp >= level or not before.contributions:
        return []
    return [layer for layer in _revoked_layers(before, merge) if layer[0] < level]


def explain_public_confidence(public: PublicObject, merge: Merge) -> ConfidenceSteps | None:
    """The steps to the confidence of a public object; None if it is revoked or states none."""
    if not public.contributions:
        return None
    scale, precedence = merge.config.scale, _precedence(public, merge)
    return explain_confidence(
        public.contributions, public.assessments, scale, merge.now, precedence
    )


def _figures(public: PublicObject, merge: Merge) -> HubStatistics:
    scale, precedence = merge.config.scale, _precedence(public, merge)
    return compute_statistics(
        public.contributions, public.assessments, scale, merge.now, precedence
    )


def _are_news(before: PublicObject, figures: HubStatistics, merge: Merge) -> bool:
    """True if readers do not know the figures; of all but indicators they see confidence alone."""
    old = before.figures
    if old is None or not before.id.startswith(INDICATOR):
        return old is None or old.confidence != figures.confidence
    moved = (figures.last_day - old.last_day) * DAY >= merge.config.scale.refresh_interval
    return moved or replace(figures, last_day=old.last_day) != old


def _is_quiet(
    copy: WorkingCopy, before: PublicObject, figures: HubStatistics, merge: Merge
) -> bool:
    """True if it is too soon after the last version for figures that only rise.

    A version that the transaction publishes anyway shows them, unless only stricter readers get it.
    """
    recent = merge.now - before.modified < merge.config.quiet_period
    is_due = any(each.changed and each.of.level <= before.tlp for each in copy.pending)
    if not recent or is_due or before.figures is None:
        return False
    old = before.figures
    surer = (figures.confidence or 0) >= (old.confidence or 0)
    return surer and figures.false_positives <= old.false_positives


def _were_due_before(before: PublicObject, figures: HubStatistics, merge: Merge) -> bool:
    """True if figures are news without what a report adds: the sweep publishes them.

    Otherwise they would show, by their time, that something came that only stricter readers see.
    """
    return bool(before.contributions) and _figures(before, merge) == figures


def _next_hour(
    public: PublicObject, content: StixObject, falls: int | None, merge: Merge, *, waits: bool
) -> int:
    """The hour in which the sweep must look at it; 0: in none."""
    until = public.modified + merge.config.quiet_period if waits else None
    moments = [m for m in (_expiry(public, content), falls, until) if m is not None]
    return max(min(moments), merge.now) // HOUR + 1 if moments else 0


def _expiry(public: PublicObject, content: StixObject) -> int | None:
    """Time at which to revoke it; None if never, or if it had expired before it was received.

    `created` is a stamp of the hub, so it may lie in the future while the clock was set back.
    """
    until = content.get("valid_until")
    at = None if until is None else micros(until)
    own = [each for each in public.contributions if each.tlp == public.tlp]  # all readers see them
    came = min([public.created, *(each.first_reported or each.received for each in own)])
    return at if at is not None and at > came else None


def _author(contributions: Sequence[Contribution], merge: Merge) -> str:
    """The one consenting partner's identity, else the hub's; sanitising strips all others."""
    alone = len({each.partner for each in contributions}) == 1
    named = latest_by_partner(contributions)[0].object.get("created_by_ref") if alone else None
    return str(named or merge.config.hub)


def _limit_own(own: Sequence[Contribution]) -> list[Contribution]:
    """Keep of one partner the contribution that counts, and the next few.

    The earliest `valid_from` of all of them is kept.
    """
    if len(own) == 1:
        return list(own)
    best = sorted(own, key=_own_order, reverse=True)
    limited, octets = best[:1], 0
    for each in best[1:MOST_CONTRIBUTIONS]:
        octets += sum(
            len(orjson.dumps(layer)) for _, layer in (*layers_of(each), *each.unresolved_layers)
        )
        if octets > MOST_OCTETS:
            break
        limited.append(each)
    since = [str(each.object["valid_from"]) for each in best if "valid_from" in each.object]
    if since and len(limited) < len(best):
        limited[-1] = with_valid_from(limited[-1], min(since, key=micros))
    return limited


def _limit_all(
    contributions: tuple[Contribution, ...], precedence: Precedence
) -> tuple[Contribution, ...]:
    """The contributions as far as one document holds them; each partner keeps at least one.

    That which leads at the least strict level is never shortened, those which lead at stricter ones
    last.  Of the others texts are left out, the weakest first: further ids of a partner, then
    stricter levels, then less reliable partners.  If that is not enough, further ids of the
    partners that do not lead are forgotten.
    """
    excess = sum(map(stored_octets, contributions)) - MOST_OCTETS_OF_ALL
    if excess <= 0 or len(contributions) < 2:
        return contributions
    levels = sorted({each.tlp for each in contributions})
    leader, *more = (leading_contribution(contributions, each, precedence) for each in levels)
    leaders = {(each.partner, each.source_id) for each in (leader, *more)}
    leading_partners = {partner for partner, _ in leaders}
    heads = {each.partner: each for each in sorted(contributions, key=_own_order)}
    kept = {(each.partner, each.source_id): each for each in contributions}
    order = [(each.partner, each.source_id) for each in precedence.from_weakest(contributions)]
    is_head = {(each.partner, each.source_id) for each in heads.values()}
    order.sort(key=lambda id_: (id_ in leaders, id_ in is_head, -kept[id_].tlp))
    for id_ in order:
        if excess > 0 and id_ != (leader.partner, leader.source_id):
            short = shorten(kept[id_])
            excess -= stored_octets(kept[id_]) - stored_octets(short)
            kept[id_] = short
    for id_ in order:
        if excess > 0 and id_ not in is_head and id_[0] not in leading_partners:
            head = heads[id_[0]]
            gone, stays = kept.pop(id_), (head.partner, head.source_id)
            kept[stays] = _with_reports_of(kept[stays], gone)
            excess -= stored_octets(gone)
    return tuple(kept.values())


def _own_order(contribution: Contribution) -> tuple[int, int, str]:
    """Sort key for the contributions of one partner: the one that counts is the last."""
    return (-contribution.tlp, *version_order(contribution))


def _with_reports_of(head: Contribution, gone: Contribution) -> Contribution:
    """The contribution with the times at which its partner reported under another id.

    Readers of the contribution who may not see the other one are shown nothing of it.
    """
    if gone.tlp > head.tlp:
        return head
    return replace(
        head,
        first_reported=min(each.first_reported or each.received for each in (head, gone)),
        last_reported=max(each.last_reported or each.received for each in (head, gone)),
    )
