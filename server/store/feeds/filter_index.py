"""The filter index of a feed: which entries have an index term, and the search in it.

A batch has one document (collection `cards`) for about 32 terms, with the places
of their entries, so a search reads small documents and no body.  Places count
within a block and never change: a document stays true however the batches of its
block are rewritten.

A term is written after its *span*, the four blocks that are looked up at once.
So a query is always an equality or one list of keys on one field, the only shape
that every engine answers from an index of arrays; and what is written at the same
time lies together in that index.

Spans are searched in growing groups: a rare term of a large feed is found in a
few queries, and a common one costs no more than its first span.  Of several
filters the one that matched the fewest entries so far goes first, and the others
are looked up only in the spans that it left.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import (
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

from tocsin.server.model import Query, TermFilter
from tocsin.server.store.connection import Base, Document
from tocsin.server.store.feeds.blocks import (
    BLOCK_SIZE,
    PlacedEntry,
    batch_id,
    block_number,
)
from tocsin.server.store.feeds.consistent_read import ConsistentReader

SPAN = 4
"""Blocks in a span."""
_PER_CARD = 32
"""Facets; an engine may compare each with each key that is asked for."""


@dataclass(slots=True)
class TermEntries:
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

    def without(self, places: Container[int]) -> TermEntries:
        """The entries that stay when these places are cut out."""
        kept = [i for i, place in enumerate(self.places) if place not in places]
        numbers = [self.numbers[i] for i in kept] if self.numbers else []
        return TermEntries([self.places[i] for i in kept], numbers)


def term_keys(spans: Iterable[int], facets: Iterable[str]) -> list[str]:
    """The keys under which the terms are indexed in these spans."""
    facets = tuple(facets)
    return [_key(span, facet) for span in spans for facet in facets]


def span_number(block: int) -> int:
    """The number of the span in which a block lies."""
    return block // SPAN


def filter_documents(feed: str, entries: Sequence[PlacedEntry]) -> list[Document]:
    """The cards of the run that holds these entries."""
    held: dict[str, TermEntries] = {}
    for entry in entries:
        posting, place = entry.posting, (entry.position - 1) % BLOCK_SIZE
        own = (f"type={posting.type}", f"level={posting.visibility.tlp.label}")
        for facet in {*posting.terms, *own}:
            held.setdefault(facet, TermEntries()).add(place)
        for facet, number in posting.numeric_terms:
            held.setdefault(facet, TermEntries()).add(place, number)
    return build_filter_documents(feed, entries[0].position, held)


def build_filter_documents(
    feed: str, first: int, held: Mapping[str, TermEntries]
) -> list[Document]:
    """The cards of the run that begins at position `first`."""
    facets = sorted(held)
    parts = [facets[i : i + _PER_CARD] for i in range(0, len(facets), _PER_CARD)]
    return [
        {
            "_id": f"{batch_id(feed, first)}/{number}",
            "feed": feed,
            "block": block_number(first),
            "first": first,
            **_sides(block_number(first), {facet: held[facet] for facet in part}),
        }
        for number, part in enumerate(parts)
    ]


def read_terms(card: Document, facets: Container[str]) -> Iterator[tuple[str, TermEntries]]:
    """The terms among `facets` that a document has, with their entries."""
    begins = 0
    for key, ends in zip(card["facets"], card["ends"], strict=True):
        facet = key.partition("|")[2]
        if facet in facets:
            places = struct.unpack_from(f"<{ends - begins}H", card["places"], begins * 2)
            octets = card["numbers"].get(facet, b"")
            yield (
                facet,
                TermEntries(list(places), list(struct.unpack(f"<{len(octets) // 8}q", octets))),
            )
        begins = ends


def filter_document_without(card: Document, places: Container[int]) -> Document | None:
    """The fields of a card that change when places of the block are cut out; None if none do."""
    before = dict(read_terms(card, _Everything()))
    after = {facet: holders.without(places) for facet, holders in before.items()}
    if after == before:
        return None
    return _sides(card["block"], {facet: each for facet, each in after.items() if each.places})


def merge_terms(cards: Iterable[Document]) -> dict[str, TermEntries]:
    """The terms of several documents of one block, for writing fewer of them."""
    held: dict[str, TermEntries] = {}
    for card in sorted(cards, key=lambda card: card["first"]):
        for facet, holders in read_terms(card, _Everything()):
            one = held.setdefault(facet, TermEntries())
            one.places += holders.places
            one.numbers += holders.numbers
    return held


def matching_places(wanted: TermFilter, facet: str, holders: TermEntries) -> list[int]:
    """The places of the holders that a filter takes, given that it names their facet."""
    if facet != wanted.boundary_term:
        return holders.places
    pairs = zip(holders.places, holders.numbers, strict=True)
    return [place for place, number in pairs if wanted.includes(number)]


def _sides(block: int, held: Mapping[str, TermEntries]) -> Document:
    places = [place for holders in held.values() for place in holders.places]
    return {
        "facets": [_key(span_number(block), facet) for facet in held],
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


MAX_KEYS_PER_QUERY = 128
"""Keys in one question, if the values of one filter are not more already."""
MANY_MATCHES = 20_000
"""Entries that the filters of one group of spans may find before the next group is smaller."""


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that the filters ask for."""

    first: int
    """Where its run began when it was written."""
    unresolved: tuple[TermFilter, ...] = ()
    """The filters that only the object itself can answer."""


@dataclass(slots=True)
class _Found:
    """The entries that one filter matches, by position."""

    sure: dict[int, int] = field(default_factory=dict)
    doubtful: dict[int, int] = field(default_factory=dict)


def all_filters(query: Query) -> tuple[TermFilter, ...]:
    """All that a query asks by facets, its types among it."""
    if not query.types:
        return query.filters
    types = TermFilter("type", tuple(sorted(f"type={type}" for type in query.types)))
    return (*query.filters, types)


class FilterSearch:
    """The filters of one query on their way through one feed."""

    def __init__(self, base: Base, feed: str, wanted: Sequence[TermFilter]) -> None:
        """`wanted`, joined by AND, is not empty."""
        self._base, self._feed, self._wanted = base, feed, wanted
        self._names = {each.field: _named(each) for each in wanted}
        self._left: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    def matches(
        self, first: int, last: int, steady: ConsistentReader
    ) -> Iterator[tuple[int, Match]]:
        """The positions, in order, of what all filters take from block `first` to `last`."""
        spans = range(span_number(first), span_number(last) + 1)
        width = 1
        while spans:
            before = self._left.total()
            picked = steady.read(self._feed, partial(self.find_in_spans, spans[:width]))
            found = sorted(picked.items(), key=lambda item: item[0])
            yield from (each for each in found if block_number(each[0]) >= first)
            few = self._left.total() - before < MANY_MATCHES
            spans, width = (
                spans[width:],
                min(width * 2, MAX_KEYS_PER_QUERY) if few else max(width // 2, 1),
            )

    def find_in_spans(self, spans: Iterable[int]) -> dict[int, Match]:
        """The entries in some spans that all filters take, by position.

        True only while nothing of the feed is packed (steady.py).
        """
        left, picked = list(spans), None
        for wanted in sorted(self._wanted, key=self._cost):
            found = self._found(wanted, left)
            picked = _both(picked, found, wanted)
            self._asked[wanted.field] += len(left)
            self._left[wanted.field] += len(found.sure) + len(found.doubtful)
            left = sorted({span_number(block_number(position)) for position in picked})
            if not left:
                break
        return picked or {}

    def _cost(self, wanted: TermFilter) -> tuple[float, int]:
        asked = self._asked[wanted.field]
        return (self._left[wanted.field] / asked if asked else 0.0), len(wanted.terms)

    def _found(self, wanted: TermFilter, spans: Sequence[int]) -> _Found:
        names, found = self._names[wanted.field], _Found()
        width = max(1, MAX_KEYS_PER_QUERY // len(names))
        for i in range(0, len(spans), width):
            asked = {"feed": self._feed, "facets": {"$in": term_keys(spans[i : i + width], names)}}
            for card in self._base.cards.find(asked):
                before = card["block"] * BLOCK_SIZE + 1
                for facet, holders in read_terms(card, names):
                    into = found.doubtful if facet == wanted.recheck_term else found.sure
                    for place in matching_places(wanted, facet, holders):
                        into[before + place] = card["first"]
        return found


def _named(wanted: TermFilter) -> frozenset[str]:
    """The facets that are looked up for a filter."""
    return frozenset((*wanted.terms, wanted.boundary_term, wanted.recheck_term)) - {""}


def _both(picked: dict[int, Match] | None, found: _Found, wanted: TermFilter) -> dict[int, Match]:
    """The matches of the filters before that this one matches too."""
    every = found.doubtful | found.sure
    if picked is None:
        picked = {position: Match(first) for position, first in every.items()}
    return {
        position: pick if position in found.sure else Match(pick.first, (*pick.unresolved, wanted))
        for position, pick in picked.items()
        if position in every
    }
