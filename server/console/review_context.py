"""The facts that review pages show beside an item: values of decisions, marking definitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.admission.markings.tlp import marking_ids, official_ids
from tocsin.admission.model import Action, StixObject
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.stix.object_titles import object_title
from tocsin.server.model import Review, ReviewAct
from tocsin.server.publishing.references import find_definitions
from tocsin.server.store import Snapshot, Store

_MOST_MARKINGS = 10
_MARKINGS = "object_marking_refs"


@dataclass(frozen=True, slots=True)
class QuestionedMarking:
    """A marking about which a review asks."""

    id: str
    is_known: bool
    """The partner sent its definition."""
    texts: Sequence[tuple[str, str]] = ()
    """Label and text of what the definition says."""


def name_acts(store: Store, acts: Sequence[ReviewAct]) -> dict[str, str]:
    """The values of the items that acts on one item are about, by the id of the item."""
    return name_reviews(store, {act.reviews[0] for act in acts if len(act.reviews) == 1})


def name_reviews(store: Store, ids: Iterable[str]) -> dict[str, str]:
    """The values of items, by the id of the item.

    Values that are neither kept nor published are left out: an act keeps nothing of the content.
    """
    ids = list(ids)
    named = {id: each.title for id, each in store.reviews.list_titles(ids).items()}
    gone = store.reviews.find_all([id for id in ids if id not in named])

    def find(known: Snapshot) -> dict[str, str]:
        return {each.id: _published_title(known, each) for each in gone}

    return named | store.read(find) if gone else named


def _published_title(known: Snapshot, review: Review) -> str:
    """The value of what is published of a review's object; empty if nothing is."""
    publics = known.public_objects(
        set(known.find_public_ids(review.partner, [review.source_id]).values())
    )
    own = review.partner, review.source_id
    for public in publics.values():
        for each in public.contributions:
            if (each.partner, each.source_id) == own:
                return object_title(each.object)
    return ""


def find_markings(store: Store, review: Review) -> list[QuestionedMarking]:
    """The markings about which a review asks; none if it asks about something else."""
    held = (f for f in review.findings if f.get("action") == Action.HELD)
    if not any(f.get("path", "") == _MARKINGS for f in held):
        return []
    subject = parse_object(review.object)
    ids = [id for id in marking_ids(subject) if id not in official_ids()][:_MOST_MARKINGS]
    known = store.read(lambda known: find_definitions(known, review.partner, ids))
    for each in store.reviews.list_waiting_under(review.partner, set(ids) - set(known)):
        known[each.source_id] = parse_object(each.object)
    return [QuestionedMarking(id, id in known, tuple(_describe(known.get(id, {})))) for id in ids]


def _describe(definition: StixObject) -> list[tuple[str, str]]:
    content = definition.get("definition")
    statement = content.get("statement") if isinstance(content, Mapping) else None
    found = (("Name", definition.get("name")), ("Statement", statement))
    return [(label, text) for label, text in found if isinstance(text, str) and text]
