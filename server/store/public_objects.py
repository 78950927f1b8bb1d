"""The public objects with their private contributions.

One small document per public object, found by its id alone: nothing else is
asked of them, and each index more would halve the speed of writing.  When they
must be looked at again is kept beside them (`dues.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import orjson
from pymongo import ReplaceOne
from pymongo.client_session import ClientSession

from tocsin.admission.merge.statistics import HubStatistics
from tocsin.admission.model import (
    Assessment,
    AssessmentKind,
    Contribution,
    Layer,
    Tlp,
)
from tocsin.server.model import PublicObject, TlpVersion
from tocsin.server.store import schedule
from tocsin.server.store.connection import Base, chunk_keys
from tocsin.server.store.feeds.blocks import Document
from tocsin.server.store.feeds.id_index import MAX_KEYS


class PublicObjects:
    """The public objects, within one transaction."""

    def __init__(self, base: Base, session: ClientSession) -> None:
        """Remembers which ids were looked up, so as not to look twice."""
        self._base, self._publics, self._session = base, base.publics, session
        self._looked_up: dict[str, bool] = {}
        self._due: dict[str, int] = {}

    def read(self, ids: Collection[str]) -> dict[str, PublicObject]:
        """See `Transaction.public_objects`."""
        found: dict[str, PublicObject] = {}
        for portion in chunk_keys(sorted(set(ids)), MAX_KEYS):
            for document in self._publics.find({"_id": {"$in": portion}}, session=self._session):
                found[document["_id"]] = public = _public(document)
                self._due[public.id] = public.due_hour
        self._looked_up.update((id, id in found) for id in ids)
        return found

    def put(self, publics: Iterable[PublicObject]) -> None:
        """See `Transaction.put_public_objects`."""
        latest = {public.id: public for public in publics}
        self._look_up([id for id in latest if id not in self._looked_up])
        documents = {id: _document(public) for id, public in latest.items()}
        new = {id for id in documents if not self._looked_up[id]}
        fresh = [document for id, document in documents.items() if id in new]
        known = [
            ReplaceOne({"_id": id}, document)
            for id, document in documents.items()
            if self._looked_up[id]
        ]
        if fresh:
            self._publics.insert_many(fresh, session=self._session)
        if known:
            self._publics.bulk_write(known, session=self._session)
        self._looked_up.update((id, True) for id in latest)
        hours = {id: p.due_hour for id, p in latest.items() if p.due_hour != self._due.get(id, 0)}
        schedule.write_schedule(self._base, self._session, hours, new)
        self._due |= hours

    def _look_up(self, ids: list[str]) -> None:
        self._looked_up.update((id, False) for id in ids)
        for portion in chunk_keys(ids, MAX_KEYS):
            wanted = {"_id": {"$in": portion}}
            for document in self._publics.find(wanted, {"_id": 1}, session=self._session):
                self._looked_up[document["_id"]] = True


def _document(public: PublicObject) -> Document:
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
        "contributions": [_contribution_document(each) for each in public.contributions],
        "testimonies": [_testimony_document(each) for each in public.assessments],
        "figures": _figures_document(public.figures),
        "due": public.due_hour,
    }


def _contribution_document(contribution: Contribution) -> Document:
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
    }


def _testimony_document(testimony: Assessment) -> Document:
    return {
        "partner": testimony.partner,
        "source_id": testimony.source_id,
        "word": testimony.kind.value,
        "when": testimony.when,
        "tlp": testimony.tlp.label,
        "scope": testimony.scope,
        "reliability": testimony.reliability,
        "group": testimony.group,
    }


def _figures_document(figures: HubStatistics | None) -> Document | None:
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


def _public(document: Document) -> PublicObject:
    return PublicObject(
        id=document["_id"],
        created=document["created"],
        modified=document["modified"],
        digest=document["digest"],
        tlp=Tlp.parse(document["tlp"]),
        scope=document["scope"],
        revoked=document["revoked"],
        contributions=tuple(map(_contribution, document["contributions"])),
        tlp_versions=tuple(
            TlpVersion(Tlp.parse(copy["tlp"]), copy["modified"], copy["digest"])
            for copy in document.get("copies", ())
        ),
        revocation_reason=document.get("ended", ""),  # absent in older documents
        assessments=tuple(map(_testimony, document.get("testimonies", ()))),
        figures=_statistics(document.get("figures")),
        due_hour=document.get("due", 0),
    )


def _statistics(document: Document | None) -> HubStatistics | None:
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


def _contribution(document: Document) -> Contribution:
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
        **{field: document[name] for name, field in _LATER.items() if name in document},
    )


def _layer_documents(layers: Iterable[Layer]) -> list[Document]:
    return [{"tlp": level.label, "object": orjson.dumps(subject)} for level, subject in layers]


def _layers(documents: Iterable[Document]) -> tuple[Layer, ...]:
    return tuple((Tlp.parse(each["tlp"]), orjson.loads(each["object"])) for each in documents)


def _testimony(document: Document) -> Assessment:
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


_LATER = {
    "reliability": "reliability",
    "group": "group",
    "first": "first_reported",
    "last": "last_reported",
    "named": "may_be_named",
    "unmarked": "unmarked",
}
"""Names in the document, absent where an earlier build wrote it, and the fields they fill."""
