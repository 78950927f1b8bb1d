"""The cards that lead from a facet to the entries that have it, as in a library's catalogue.

A run has one card for about 32 facets, with the places of their entries, so
whoever looks for a facet reads a small document and no body.  A card counts in
places of a block, which never change: it stays true however the runs of the
block are rewritten.

On a card a facet is written after its *span*, four blocks of which it is
looked up at once.  So a question is always an equality or one list of keys on
one field, the only shape that every engine answers from an index of arrays;
and what is written at the same time lies together in that index.

Only shapes are known here, no database.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tocsin.server.model import Wanted
from tocsin.server.store.runs import BLOCK, Document, Fresh, block_of, run_id

SPAN = 4
"""Blocks in a span."""
_PER_CARD = 32
"""Facets; an engine may compare each with each key that is asked for."""


@dataclass(slots=True)
class Holders:
    """The entries of a block that have one facet."""

    places: list[int] = field(default_factory=list)
    """Within the block, from 0."""
    numbers: list[int] = field(default_factory=list)
    """Of each entry, where the facet is a bucket of numbers; else empty."""

    def add(self, place: int, number: int | None = None) -> None:
        """One more entry."""
        self.places.append(place)
        if number is not None:
            self.numbers.append(number)

    def without(self, places: Container[int]) -> Holders:
        """Those that stay when these places are cut out."""
        kept = [i for i, place in enumerate(self.places) if place not in places]
        numbers = [self.numbers[i] for i in kept] if self.numbers else []
        return Holders([self.places[i] for i in kept], numbers)


def keys(spans: Iterable[int], facets: Iterable[str]) -> list[str]:
    """How the facets are written on the cards of these spans."""
    facets = tuple(facets)
    return [_key(span, facet) for span in spans for facet in facets]


def span_of(block: int) -> int:
    """The number of the span in which a block lies."""
    return block // SPAN


def card_documents(feed: str, entries: Sequence[Fresh]) -> list[Document]:
    """The cards of the run that holds these entries."""
    held: dict[str, Holders] = {}
    for entry in entries:
        posting, place = entry.posting, (entry.position - 1) % BLOCK
        own = (f"type={posting.type}", f"level={posting.traits.tlp.word}")
        for facet in {*posting.facets, *own}:
            held.setdefault(facet, Holders()).add(place)
        for facet, number in posting.numbers:
            held.setdefault(facet, Holders()).add(place, number)
    return written(feed, entries[0].position, held)


def written(feed: str, first: int, held: Mapping[str, Holders]) -> list[Document]:
    """The cards of the run that begins at position `first`."""
    facets = sorted(held)
    parts = [facets[i : i + _PER_CARD] for i in range(0, len(facets), _PER_CARD)]
    return [
        {
            "_id": f"{run_id(feed, first)}/{number}",
            "feed": feed,
            "block": block_of(first),
            "first": first,
            **_sides(block_of(first), {facet: held[facet] for facet in part}),
        }
        for number, part in enumerate(parts)
    ]


def read(card: Document, facets: Container[str]) -> Iterator[tuple[str, Holders]]:
    """Those of the facets that are on a card."""
    begins = 0
    for key, ends in zip(card["facets"], card["ends"], strict=True):
        facet = key.partition("|")[2]
        if facet in facets:
            places = struct.unpack_from(f"<{ends - begins}H", card["places"], begins * 2)
            octets = card["numbers"].get(facet, b"")
            yield facet, Holders(list(places), list(struct.unpack(f"<{len(octets) // 8}q", octets)))
        begins = ends


def card_without(card: Document, places: Container[int]) -> Document | None:
    """The fields of a card that change when places of the block are cut out; None if none do."""
    before = dict(read(card, _Everything()))
    after = {facet: holders.without(places) for facet, holders in before.items()}
    if after == before:
        return None
    return _sides(card["block"], {facet: each for facet, each in after.items() if each.places})


def joined(cards: Iterable[Document]) -> dict[str, Holders]:
    """What is on several cards of one block, for writing fewer of them with `written`."""
    held: dict[str, Holders] = {}
    for card in sorted(cards, key=lambda card: card["first"]):
        for facet, holders in read(card, _Everything()):
            one = held.setdefault(facet, Holders())
            one.places += holders.places
            one.numbers += holders.numbers
    return held


def takes(wanted: Wanted, facet: str, holders: Holders) -> list[int]:
    """The places of the holders that a filter takes, given that it names their facet."""
    if facet != wanted.edge:
        return holders.places
    pairs = zip(holders.places, holders.numbers, strict=True)
    return [place for place, number in pairs if wanted.takes(number)]


def _sides(block: int, held: Mapping[str, Holders]) -> Document:
    places = [place for holders in held.values() for place in holders.places]
    return {
        "facets": [_key(span_of(block), facet) for facet in held],
        "ends": list(accumulate(len(holders.places) for holders in held.values())),
        "places": struct.pack(f"<{len(places)}H", *places),
        "numbers": {
            facet: struct.pack(f"<{len(holders.numbers)}q", *holders.numbers)
            for facet, holders in held.items()
            if holders.numbers
        },
    }


def _key(span: int, facet: str) -> str:
    return f"{span:x}|{facet}"


class _Everything(Container[str]):
    """Contains whatever it is asked for."""

    def __contains__(self, facet: object) -> bool:
        return True
