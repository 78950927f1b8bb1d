"""The public objects with their private contributions, found by their ids alone.

- `public_objects`: one document per public object, without further indexes, each of
  which would halve the speed of writing.
- `public_ids`: the public id assigned to each of a partner's own ids; the newest
  counts.  Stored in batches, in the buckets of the id index and for the same
  reason (`feeds/blocks.py`).
- `pending_references`: one small document for each contribution that refers to objects
  which have not arrived yet, replaced or removed when its missing references change.
- `schedule`: the hours in which the sweep must examine public objects again, in one
  document for those that one transaction makes due in one hour.  It is
  never changed: the hour in the public object counts.  A sweep queries the hours since
  the last one individually, not as an open range, so its cost depends only on the
  objects that are on the schedule for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import orjson
from bson import ObjectId
from pymongo.client_session import ClientSession

from tocsin.admission.merge.statistics import HubStatistics
from tocsin.admission.model import (
    Assessment,
    AssessmentKind,
    Contribution,
    Layer,
    Tlp,
    UnchangedBelow,
)
from tocsin.server.model import (
    ArrivedIds,
    LeaderStatement,
    PendingReferences,
    PublicObject,
    TlpVersion,
    Withdrawals,
)
from tocsin.server.store.commits import Writes
from tocsin.server.store.connection import MAX_KEYS, Base, Document, chunk_keys, find_by_keys
from tocsin.server.store.feeds.blocks import group_by_bucket

_SUMMARIES_AT_ONCE = 32
"""Keys of one look-up: the embedded engine compares each document that it finds with all keys."""
Batch = tuple[str, str, int]
"""Partner, submission, and time in µs since 1970 UTC."""


def insert_public_ids(writes: Writes, batch: Batch, pairs: Mapping[str, str]) -> None:
    """See `Transaction.add_public_ids`."""
    partner, submission, at = batch
    documents: Iterator[Document] = (
        {
            "_id": ObjectId(),
            "partner": partner,
            "submission": submission,
            "at": at,
            "sources": sources,
            "publics": [pairs[source] for source in sources],
        }
        for sources in group_by_bucket(pairs)
    )
    writes.insert("public_ids", documents)


def find_public_ids(
    base: Base, session: ClientSession, partner: str, ids: Collection[str]
) -> dict[str, str]:
    """See `Transaction.find_public_ids`."""
    found = find_by_keys(
        base.public_ids,
        group_by_bucket(ids),
        lambda wanted: {"partner": partner, "sources": {"$in": wanted}},
        session,
    )
    wanted_ids = frozenset(ids)
    newest: dict[str, str] = {}
    for document in sorted(found, key=lambda document: (document["at"], document["_id"])):
        pairs = zip(document["sources"], document["publics"], strict=True)
        newest.update((source, public) for source, public in pairs if source in wanted_ids)
    return newest


_HOURS = 500
"""Hours in one `$in`."""
_IDS_IN_DOCUMENT = 500
_SWEEP = "sweep"


class DueObjects(NamedTuple):
    """A document of the schedule."""

    key: object
    """Its id: that of the public object in documents of versions before 7."""
    ids: tuple[str, ...]
    """Public objects that were due in its hour when it was written."""


class Schedule:
    """The schedule, for sweeps; `Transaction.put_public_objects` writes it."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def find_due(self, hours: Sequence[int], limit: int) -> list[DueObjects]:
        """The public objects of these hours; no more documents once they have `limit` ids."""
        found: list[DueObjects] = []
        count = 0
        for start in range(0, len(hours), _HOURS):
            wanted = {"hour": {"$in": list(hours[start : start + _HOURS])}}
            with self._base.schedule.find(wanted).limit(limit) as documents:
                for each in documents:
                    found.append(DueObjects(each["_id"], tuple(each.get("ids") or (each["_id"],))))
                    count += len(found[-1].ids)
                    if count >= limit:
                        return found
        return found

    def remove(self, swept: Iterable[DueObjects]) -> None:
        """Remove what was swept.  Until then, it is found again."""
        self._base.schedule.delete_many({"_id": {"$in": [each.key for each in swept]}})

    def swept_hour(self) -> int | None:
        """The hour up to which everything was swept; None before the first sweep."""
        document = self._base.hub_state.find_one({"_id": _SWEEP})
        return None if document is None else int(document["hour"])

    def earliest_hour(self) -> int | None:
        """The first hour in which anything is due; used once, before the first sweep."""
        first = self._base.schedule.find_one({}, {"hour": 1}, sort=[("hour", 1)])
        return None if first is None else int(first["hour"])

    def mark_swept(self, hour: int) -> None:
        """Record that everything up to this hour was swept."""
        change = {"$set": {"hour": hour}}
        self._base.hub_state.update_one({"_id": _SWEEP}, change, upsert=True)


def write_schedule(writes: Writes, hours: Mapping[str, int]) -> None:
    """See `Transaction.schedule`."""
    by_hour: defaultdict[int, list[str]] = defaultdict(list)
    for id, hour in hours.items():
        by_hour[hour].append(id)
    writes.insert(
        "schedule",
        (
            {"_id": ObjectId(), "hour": hour, "ids": ids[start : start + _IDS_IN_DOCUMENT]}
            for hour, ids in by_hour.items()
            for start in range(0, len(ids), _IDS_IN_DOCUMENT)
        ),
    )


class PublicObjects:
    """The public objects, within one transaction."""

    def __init__(self, base: Base, session: ClientSession) -> None:
        """Caches which ids were looked up."""
        self._base, self._publics, self._session = base, base.public_objects, session
        self._looked_up: dict[str, bool] = {}
        self._due: dict[str, int] = {}

    def read(self, ids: Collection[str]) -> dict[str, PublicObject]:
        """See `Transaction.public_objects`."""
        found: dict[str, PublicObject] = {}
        portions = list(chunk_keys(sorted(set(ids)), MAX_KEYS))
        for document in find_by_keys(self._publics, portions, _with_ids, self._session):
            found[document["_id"]] = public = _public_from_document(document)
            self._due[public.id] = public.due_hour
        self._looked_up.update((id, id in found) for id in ids)
        return found

    def put(self, publics: Iterable[PublicObject], writes: Writes) -> None:
        """See `Transaction.put_public_objects`."""
        latest = {public.id: public for public in publics}
        self._look_up([id for id in latest if id not in self._looked_up])
        new = {id for id in latest if not self._looked_up[id]}
        writes.insert(
            "public_objects", (_public_to_document(latest[id]) for id in latest if id in new)
        )
        for id, public in latest.items():
            if id not in new:
                writes.replace("public_objects", _public_to_document(public))
        self._looked_up.update((id, True) for id in latest)
        hours = {id: p.due_hour for id, p in latest.items() if p.due_hour != self._due.get(id, 0)}
        write_schedule(writes, {id: hour for id, hour in hours.items() if hour})
        self._due |= hours

    def _look_up(self, ids: list[str]) -> None:
        self._looked_up.update((id, False) for id in ids)
        portions, fields = list(chunk_keys(ids, MAX_KEYS)), {"_id": 1}
        for document in find_by_keys(self._publics, portions, _with_ids, self._session, fields):
            self._looked_up[document["_id"]] = True


class PublicSummary(NamedTuple):
    """Level, revocation and statistics of a public object, without its contributions."""

    id: str
    tlp: Tlp
    scope: str
    revoked: bool
    figures: HubStatistics | None


def find_summaries(base: Base, ids: Sequence[str]) -> list[PublicSummary]:
    """The summaries of public objects by their ids; unknown ids are left out."""
    fields = {"tlp": 1, "scope": 1, "revoked": 1, "figures": 1}
    return [
        PublicSummary(
            each["_id"],
            Tlp.parse(each["tlp"]),
            each["scope"],
            each["revoked"],
            _statistics_from_document(each.get("figures")),
        )
        for portion in chunk_keys(ids, _SUMMARIES_AT_ONCE)
        for each in base.public_objects.find(_with_ids(portion), fields)
    ]


def _with_ids(ids: Sequence[str]) -> Document:
    return {"_id": {"$in": ids}}


def _public_to_document(public: PublicObject) -> Document:
    return {
        "_id": public.id,
        "created": public.created,
        "modified": public.modified,
        "digest": public.digest,
        "tlp": public.tlp.label,
        "scope": public.scope,
        "revoked": public.revoked,
        "copies": [
            {"tlp": level.label, "modified": modified, "digest": digest}
            for level, modified, digest in public.tlp_versions
        ],
        "ended": public.revocation_reason,
        "contributions": [_contribution_to_document(each) for each in public.contributions],
        "testimonies": [_assessment_to_document(each) for each in public.assessments],
        "figures": _statistics_to_document(public.figures),
        "due": public.due_hour,
        "lead": public.lead,
        "generation": public.generation,
        "withdrawals": [each._asdict() for each in public.withdrawals],
        "statements": [each._asdict() for each in public.statements],
        **({"from_journal": True} if public.from_journal else {}),
    }


def _contribution_to_document(contribution: Contribution) -> Document:
    return {
        "partner": contribution.partner,
        "source_id": contribution.source_id,
        "version": contribution.version,
        "received": contribution.received,
        "tlp": contribution.tlp.label,
        "scope": contribution.scope,
        "object": orjson.dumps(contribution.object),
        "raw": contribution.raw,
        "fuller": _layer_documents(contribution.stricter_layers),
        "draft": _layer_documents(contribution.unresolved_layers),
        "reliability": contribution.reliability,
        "group": contribution.group,
        "first": contribution.first_reported,
        "last": contribution.last_reported,
        "named": contribution.may_be_named,
        "unmarked": contribution.unmarked,
        "removed": contribution.removed,
        **({"sent": contribution.sent} if contribution.sent else {}),
        **_early_reports(contribution),
        **_unchanged_versions(contribution),
    }


def _early_reports(contribution: Contribution) -> Document:
    early = contribution.early_reports
    return {} if early is None else {"early": sorted(early)}


def _unchanged_versions(contribution: Contribution) -> Document:
    every = [
        {"below": each.level.label, "version": each.version, "received": each.received}
        for each in contribution.unchanged
    ]
    return {"unchanged": every} if every else {}


def _assessment_to_document(assessment: Assessment) -> Document:
    return {
        "partner": assessment.partner,
        "source_id": assessment.source_id,
        "word": assessment.kind.value,
        "when": assessment.when,
        "tlp": assessment.tlp.label,
        "scope": assessment.scope,
        "reliability": assessment.reliability,
        "group": assessment.group,
    }


def _statistics_to_document(figures: HubStatistics | None) -> Document | None:
    if figures is None:
        return None
    return {
        "contributors": figures.contributors,
        "first": figures.first_day,
        "last": figures.last_day,
        "sightings": figures.sightings,
        "false_positives": figures.false_positives,
        "confidence": figures.confidence,
    }


def _public_from_document(document: Document) -> PublicObject:
    return PublicObject(
        id=document["_id"],
        created=document["created"],
        modified=document["modified"],
        digest=document["digest"],
        tlp=Tlp.parse(document["tlp"]),
        scope=document["scope"],
        revoked=document["revoked"],
        contributions=tuple(map(_contribution_from_document, document["contributions"])),
        tlp_versions=tuple(
            TlpVersion(Tlp.parse(copy["tlp"]), copy["modified"], copy["digest"])
            for copy in document.get("copies", ())
        ),
        revocation_reason=document.get("ended", ""),  # absent in older documents
        assessments=tuple(map(_assessment_from_document, document.get("testimonies", ()))),
        figures=_statistics_from_document(document.get("figures")),
        due_hour=document.get("due", 0),
        lead=document.get("lead", ""),
        generation=document.get("generation", 0),
        withdrawals=tuple(Withdrawals(**each) for each in document.get("withdrawals", ())),
        statements=tuple(LeaderStatement(**each) for each in document.get("statements", ())),
        from_journal=document.get("from_journal", False),
    )


def _statistics_from_document(document: Document | None) -> HubStatistics | None:
    if not document:
        return None
    return HubStatistics(
        contributors=document["contributors"],
        first_day=document["first"],
        last_day=document["last"],
        sightings=document["sightings"],
        false_positives=document["false_positives"],
        confidence=document["confidence"],
    )


def _contribution_from_document(document: Document) -> Contribution:
    return Contribution(
        partner=document["partner"],
        source_id=document["source_id"],
        version=document["version"],
        received=document["received"],
        tlp=Tlp.parse(document["tlp"]),
        scope=document["scope"],
        object=orjson.loads(document["object"]),
        raw=document.get("raw", b""),
        stricter_layers=_layers(document.get("fuller", ())),
        unresolved_layers=_layers(document.get("draft", ())),
        early_reports=frozenset(document["early"]) if "early" in document else None,
        unchanged=tuple(
            UnchangedBelow(Tlp.parse(each["below"]), each["version"], each["received"])
            for each in document.get("unchanged", ())
        ),
        **{field: document[name] for name, field in _OPTIONAL_FIELDS.items() if name in document},
    )


def _layer_documents(layers: Iterable[Layer]) -> list[Document]:
    return [{"tlp": level.label, "object": orjson.dumps(subject)} for level, subject in layers]


def _layers(documents: Iterable[Document]) -> tuple[Layer, ...]:
    return tuple((Tlp.parse(each["tlp"]), orjson.loads(each["object"])) for each in documents)


def _assessment_from_document(document: Document) -> Assessment:
    return Assessment(
        partner=document["partner"],
        source_id=document["source_id"],
        kind=AssessmentKind(document["word"]),
        when=document["when"],
        tlp=Tlp.parse(document["tlp"]),
        scope=document["scope"],
        reliability=document["reliability"],
        group=document["group"],
    )


_OPTIONAL_FIELDS = {
    "reliability": "reliability",
    "group": "group",
    "first": "first_reported",
    "last": "last_reported",
    "named": "may_be_named",
    "unmarked": "unmarked",
    "removed": "removed",
    "sent": "sent",
}
"""Document fields that older documents lack, and the corresponding dataclass fields."""


def put_pending_references(
    base: Base, session: ClientSession, references: Sequence[PendingReferences]
) -> None:
    """See `Transaction.put_pending_references`."""
    for each in references:
        key = {"_id": each.key}
        if each.targets:
            base.pending_references.replace_one(
                key, key | _waiting_to_document(each), upsert=True, session=session
            )
        else:
            base.pending_references.delete_one(key, session=session)


def find_pending_references(
    base: Base, session: ClientSession, arrivals: ArrivedIds, after: str, most: int
) -> list[PendingReferences]:
    """See `Transaction.find_pending_references`.

    Only keys are read of all that waits, since each may wait for many ids.
    """
    portions = list(chunk_keys(sorted(arrivals.source_ids | arrivals.public_ids), MAX_KEYS))
    waiting = find_by_keys(base.pending_references, portions, _with_targets, session, {"_id": 1})
    left = {document["_id"] for document in waiting if document["_id"] > after}
    found: list[PendingReferences] = []
    for names in chunk_keys(sorted(left), MAX_KEYS):
        every = base.pending_references.find({"_id": {"$in": names}}, session=session)
        found += [
            _waiting_from_document(each)
            for each in sorted(every, key=itemgetter("_id"))
            if concerns(arrivals, each["partner"], each["targets"])
        ]
        if len(found) >= most:
            break
    return found[:most]


def _with_targets(targets: Sequence[str]) -> Document:
    return {"targets": {"$in": targets}}


def concerns(arrivals: ArrivedIds, partner: str, targets: Collection[str]) -> bool:
    """True if something has arrived that a partner's object waits for."""
    known = arrivals.public_ids
    if partner == arrivals.partner:
        known = known | arrivals.source_ids
    return not known.isdisjoint(targets)


def _waiting_to_document(each: PendingReferences) -> Document:
    return {
        "public": each.public_id,
        "partner": each.partner,
        "source": each.source_id,
        "sees": None if each.max_tlp is None else each.max_tlp.label,
        "targets": sorted(each.targets),
    }


def _waiting_from_document(document: Document) -> PendingReferences:
    return PendingReferences(
        public_id=document["public"],
        partner=document["partner"],
        max_tlp=None if document["sees"] is None else Tlp.parse(document["sees"]),
        targets=frozenset(document["targets"]),
        source_id=document.get("source", ""),  # missing in older documents
    )
