"""Which entries of an object a view holds, given all that its sources have of it.

Every choice looks only at entries added before the one in question, or takes
entries away, so nothing comes to stand where a reader has passed already; only
the removal of an entry from a source can bring back another that it hid.
Pure; no database is known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tocsin.server.model import View
from tocsin.server.store.versions import Choice, Marks, Place, by_object, marked

Found = tuple[str, Place]
"""An entry of a source, with the source's id."""


def chosen(found: Mapping[int, Found], view: View, choice: Choice, instant: int) -> list[int]:
    """The stamps of the entries that the view holds and the choice takes, in order.

    `found` has all entries of some objects in the view's sources, up to its end, by
    their stamps; `instant` tells what has expired.
    """
    places = (_by_stamp(found[stamp][1]) for stamp in sorted(found))
    sources = {stamp: source for stamp, (source, _) in found.items()}
    stamps: list[int] = []
    for entries in by_object(places).values():
        admitted = [place for place in entries if _admitted(place, view)]
        held, marks = _held(_distinct(admitted, sources), view, instant)
        stamps += [place.stamp for place in held if choice.takes(place, marks)]
    return sorted(stamps)


def _held(held: Sequence[Place], view: View, instant: int) -> tuple[Sequence[Place], Marks]:
    """What a view holds of one object, and which of its entries are superseded in it."""
    marks = Marks(**{mark: frozenset(found) for mark, found in marked(held).items()})
    if not view.active:
        return held, marks
    past = marks.old | marks.shadowed
    current = [p for p in held if p.stamp not in past and p.traits.active(instant)]
    return current, Marks()


def _admitted(place: Place, view: View) -> bool:
    """Whether an entry alone is one that the view shows."""
    of_type = not view.types or place.type in view.types
    return of_type and (view.max_tlp is None or place.traits.tlp <= view.max_tlp)


def _distinct(entries: Sequence[Place], sources: Mapping[int, str]) -> Sequence[Place]:
    """The entries, in order of stamp, without those that say again what another source said.

    Of one version the first stands, whatever the others say.  Where an object has no
    versions of its own, it says the same until its content changes.
    """
    if len(entries) < 2:
        return entries
    kept: list[Place] = []
    versions: set[tuple[str, int]] = set()
    latest: dict[str, Place] = {}
    for place in entries:
        version = (place.spec, place.instant)
        if place.own:
            again = _repeats(place, latest.get(place.spec), sources)
        else:
            again = version in versions
        if not again:
            kept.append(place)
            versions.add(version)
            if place.own:
                latest[place.spec] = place
    return kept


def _repeats(place: Place, latest: Place | None, sources: Mapping[int, str]) -> bool:
    """Whether the content is what another source said last."""
    if latest is None or latest.digest != place.digest:
        return False
    return sources[latest.stamp] != sources[place.stamp]


def _by_stamp(place: Place) -> Place:
    """The entry as part of a view, where its stamp is its position and its index."""
    return replace(place, position=place.stamp, first=0)
