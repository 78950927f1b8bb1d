"""The filter index of a feed: which entries have an index term, and the search in it.

A batch has one document (collection `filter_index`) for about 32 terms, with the places
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
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

from tocsin.server.model import Query, TermFilter
from tocsin.server.store.connection import Base, Document
from tocsin.server.store.feeds.blocks import BLOCK_SIZE, PlacedEntry, batch_id, block_number
from tocsin.server.store.feeds.consistent_read import ConsistentReader

SPAN = 4
"""Blocks in a span."""
_TERMS_PER_DOCUMENT = 32
"""Terms in one document; an engine may compare each with every key of a query."""
ENDED = TermFilter("ended", ("ended",))
"""Matches what is left of marking definitions that have ended (`NewEntry.ends`)."""


@dataclass(slots=True)
class TermEntries:
    """The entries of a block that have one index term."""

    places: list[int] = field(default_factory=list)
    """Within the block, from 0."""
    numbers: list[int] = field(default_factory=list)
    """Number of each entry, if the term is a bucket of numbers; else empty."""

    def add(self, place: int, number: int | None = None) -> None:
        """Add an entry."""
        self.places.append(place)
        if number is not None:
            self.numbers.append(number)

    def without(self, places: Container[int]) -> TermEntries:
        """The entries that stay when these places are removed."""
        kept = [i for i, place in enumerate(self.places) if place not in places]
        numbers = [self.numbers[i] for i in kept] if self.numbers else []
        return TermEntries([self.places[i] for i in kept], numbers)


def term_keys(spans: Iterable[int], terms: Iterable[str]) -> list[str]:
    """The keys under which the terms are indexed in these spans."""
    terms = tuple(terms)
    return [_key(span, term) for span in spans for term in terms]


def span_number(block: int) -> int:
    """The number of the span in which a block lies."""
    return block // SPAN


def filter_documents(feed: str, entries: Sequence[PlacedEntry]) -> list[Document]:
    """The filter documents of the batch that holds these entries."""
    by_term: defaultdict[str, TermEntries] = defaultdict(TermEntries)
    for entry in entries:
        posting, place = entry.posting, (entry.position - 1) % BLOCK_SIZE
        own = (f"type={posting.type}", f"level={posting.visibility.tlp.label}")
        for term in {*posting.terms, *own, *(ENDED.terms if posting.ends else ())}:
            by_term[term].add(place)
        for term, number in posting.numeric_terms:
            by_term[term].add(place, number)
    return build_filter_documents(feed, entries[0].position, by_term)


def build_filter_documents(
    feed: str, first: int, by_term: Mapping[str, TermEntries]
) -> list[Document]:
    """The filter documents of the batch that begins at position `first`."""
    terms = sorted(by_term)
    parts = [terms[i : i + _TERMS_PER_DOCUMENT] for i in range(0, len(terms), _TERMS_PER_DOCUMENT)]
    return [
        {
            "_id": f"{batch_id(feed, first)}/{number}",
            "feed": feed,
            "block": block_number(first),
            "first": first,
            **_term_fields(block_number(first), {term: by_term[term] for term in part}),
        }
        for number, part in enumerate(parts)
    ]


def read_terms(document: Document, terms: Container[str]) -> Iterator[tuple[str, TermEntries]]:
    """Those of the `terms` that a filter document has, with their entries."""
    start = 0
    for key, end in zip(document["facets"], document["ends"], strict=True):
        term = key.partition("|")[2]
        if term in terms:
            places = struct.unpack_from(f"<{end - start}H", document["places"], start * 2)
            octets = document["numbers"].get(term, b"")
            yield (
                term,
                TermEntries(list(places), list(struct.unpack(f"<{len(octets) // 8}q", octets))),
            )
        start = end


def filter_document_without(document: Document, places: Container[int]) -> Document | None:
    """The fields of a filter document that change when places are removed; None if none do."""
    before = dict(read_terms(document, _AllTerms()))
    after = {term: entries.without(places) for term, entries in before.items()}
    if after == before:
        return None
    return _term_fields(
        document["block"], {term: each for term, each in after.items() if each.places}
    )


def merge_terms(documents: Iterable[Document]) -> dict[str, TermEntries]:
    """Merge the terms of several filter documents of one block, so that fewer are written."""
    by_term: defaultdict[str, TermEntries] = defaultdict(TermEntries)
    for document in sorted(documents, key=lambda document: document["first"]):
        for term, entries in read_terms(document, _AllTerms()):
            merged = by_term[term]
            merged.places += entries.places
            merged.numbers += entries.numbers
    return by_term


def matching_places(wanted: TermFilter, term: str, entries: TermEntries) -> list[int]:
    """The places of the entries that match a filter, given that the filter names their term."""
    if term != wanted.boundary_term:
        return entries.places
    pairs = zip(entries.places, entries.numbers, strict=True)
    return [place for place, number in pairs if wanted.includes(number)]


def _term_fields(block: int, by_term: Mapping[str, TermEntries]) -> Document:
    places = [place for entries in by_term.values() for place in entries.places]
    return {
        "facets": [_key(span_number(block), term) for term in by_term],
        "ends": list(accumulate(len(entries.places) for entries in by_term.values())),
        "places": struct.pack(f"<{len(places)}H", *places),
        "numbers": {
            term: struct.pack(f"<{len(entries.numbers)}q", *entries.numbers)
            for term, entries in by_term.items()
            if entries.numbers
        },
    }


def _key(span: int, term: str) -> str:
    return f"{span:x}|{term}"


class _AllTerms(Container[str]):
    """A container that contains every term."""

    def __contains__(self, term: object) -> bool:
        return True


MAX_KEYS_PER_QUERY = 128
"""Keys in one query, unless one filter alone has more values."""
_NEWEST_SPANS = 4
"""Spans that a search for what was added last begins with."""
MANY_MATCHES = 20_000
"""Entries that the filters of one group of spans may find before the next group is smaller."""


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that matches the filters."""

    first: int
    """The first position of its batch when it was written."""
    unresolved: tuple[TermFilter, ...] = ()
    """The filters that must be checked against the object itself."""


@dataclass(slots=True)
class _Found:
    """The entries that one filter matches: position to first position of the batch."""

    sure: dict[int, int] = field(default_factory=dict)
    doubtful: dict[int, int] = field(default_factory=dict)


def all_filters(query: Query) -> tuple[TermFilter, ...]:
    """All filters of a query that the index answers, its types included."""
    if not query.types:
        return query.filters
    types = TermFilter("type", tuple(sorted(f"type={type}" for type in query.types)))
    return (*query.filters, types)


class FilterSearch:
    """The search of one feed for the filters of one query."""

    def __init__(self, base: Base, feed: str, wanted: Sequence[TermFilter]) -> None:
        """`wanted`, joined by AND, is not empty."""
        self._base, self._feed, self._filters = base, feed, wanted
        self._terms = {each.field: _looked_up_terms(each) for each in wanted}
        self._matches: Counter[str] = Counter()
        self._spans_read: Counter[str] = Counter()

    def matches(
        self, first: int, last: int, reader: ConsistentReader
    ) -> Iterator[tuple[int, Match]]:
        """The entries that match all filters from block `first` to `last`, in order of position."""
        spans = range(span_number(first), span_number(last) + 1)
        width = 1
        while spans:
            before = self._matches.total()
            matched = reader.read(self._feed, partial(self.find_in_spans, spans[:width]))
            found = sorted(matched.items(), key=lambda item: item[0])
            yield from (each for each in found if block_number(each[0]) >= first)
            few = self._matches.total() - before < MANY_MATCHES
            spans, width = (
                spans[width:],
                min(width * 2, MAX_KEYS_PER_QUERY) if few else max(width // 2, 1),
            )

    def newest_first(
        self, first: int, last: int, reader: ConsistentReader
    ) -> Iterator[tuple[int, Match]]:
        """As `matches`, in the reverse order: what was added last comes first."""
        spans = range(span_number(last), span_number(first) - 1, -1)
        width = _NEWEST_SPANS
        while spans:
            before = self._matches.total()
            matched = reader.read(self._feed, partial(self.find_in_spans, spans[:width]))
            found = sorted(matched.items(), key=lambda item: item[0], reverse=True)
            yield from (each for each in found if first <= block_number(each[0]) <= last)
            few = self._matches.total() - before < MANY_MATCHES
            spans = spans[width:]
            width = min(width * 2, MAX_KEYS_PER_QUERY) if few else max(width // 2, 1)

    def find_in_spans(self, spans: Iterable[int]) -> dict[int, Match]:
        """The entries in some spans that match all filters, by position.

        Correct only while nothing of the feed is packed (see `ConsistentReader`).
        """
        remaining, matched = list(spans), None
        for wanted in sorted(self._filters, key=self._cost):
            found = self._find(wanted, remaining)
            matched = _intersect(matched, found, wanted)
            self._spans_read[wanted.field] += len(remaining)
            self._matches[wanted.field] += len(found.sure) + len(found.doubtful)
            remaining = sorted({span_number(block_number(position)) for position in matched})
            if not remaining:
                break
        return matched or {}

    def _cost(self, wanted: TermFilter) -> tuple[float, int]:
        spans = self._spans_read[wanted.field]
        return (self._matches[wanted.field] / spans if spans else 0.0), len(wanted.terms)

    def _find(self, wanted: TermFilter, spans: Sequence[int]) -> _Found:
        terms, found = self._terms[wanted.field], _Found()
        width = max(1, MAX_KEYS_PER_QUERY // len(terms))
        for i in range(0, len(spans), width):
            query = {"feed": self._feed, "facets": {"$in": term_keys(spans[i : i + width], terms)}}
            for document in self._base.filter_index.find(query):
                before = document["block"] * BLOCK_SIZE + 1
                for term, entries in read_terms(document, terms):
                    target = found.doubtful if term == wanted.recheck_term else found.sure
                    for place in matching_places(wanted, term, entries):
                        target[before + place] = document["first"]
        return found


def _looked_up_terms(wanted: TermFilter) -> frozenset[str]:
    """The terms that are looked up for a filter."""
    return frozenset((*wanted.terms, wanted.boundary_term, wanted.recheck_term)) - {""}


def _intersect(
    matched: dict[int, Match] | None, found: _Found, wanted: TermFilter
) -> dict[int, Match]:
    """The matches of the earlier filters that this one matches too."""
    every = found.doubtful | found.sure
    if matched is None:
        matched = {position: Match(first) for position, first in every.items()}
    return {
        position: match
        if position in found.sure
        else Match(match.first, (*match.unresolved, wanted))
        for position, match in matched.items()
        if position in every
    }
