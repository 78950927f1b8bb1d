"""The last and first version of each object, and which versions a query selects.  Pure.

The version is selected among all entries of an object in a feed, before any other
filter applies: otherwise an old version that arrives late would be served as the
last one to a reader who requests recent additions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tocsin.admission.timestamps import micros
from tocsin.server.model import LEAST_VISIBLE, Entry, Query, VersionKeyword, Visibility


@dataclass(frozen=True, slots=True)
class IndexedEntry:
    """One entry of a feed, without its body."""

    id: str
    type: str
    spec: str
    version: str
    digest: bytes
    own: bool
    """The object has neither `modified` nor `created`: its version is its first date_added."""
    position: int
    stamp: int
    first: int
    """The first position of its batch."""
    visibility: Visibility = LEAST_VISIBLE
    owner: str = ""
    """The partner that was the first to send the object; empty: the hub or its operator."""

    @property
    def index(self) -> int:
        """Its place within its batch, from 0."""
        return self.position - self.first

    @property
    def instant(self) -> int:
        """Its version as an instant; spellings of one instant are one version."""
        return micros(self.version)


@dataclass(frozen=True, slots=True)
class StatusBits:
    """Status bits of a batch's entries, by index."""

    old: frozenset[int] = frozenset()
    """A later version of the same object and spec_version is in the feed."""
    later: frozenset[int] = frozenset()
    """An earlier version of the same object and spec_version is in the feed."""
    shadowed: frozenset[int] = frozenset()
    """The same object is in the feed in a newer spec_version."""


def status_positions(entries: Sequence[IndexedEntry]) -> dict[str, set[int]]:
    """The positions that carry each status bit, given all entries of one object."""
    newest = max((_spec_order(entry.spec) for entry in entries), default=(0, ""))
    bits: dict[str, set[int]] = {"old": set(), "later": set(), "shadowed": set()}
    by_spec = sorted(entries, key=lambda entry: _spec_order(entry.spec))
    for rank, group in groupby(by_spec, key=lambda entry: _spec_order(entry.spec)):
        in_order = sorted(group, key=lambda entry: (entry.instant, entry.position))
        positions = [entry.position for entry in in_order]
        bits["old"].update(positions[:-1])
        bits["later"].update(positions[1:])
        if rank != newest:
            bits["shadowed"].update(positions)
    return bits


class VersionFilter:
    """The part of a query that looks at one entry at a time."""

    def __init__(self, query: Query) -> None:
        """Read the query once for a whole page."""
        keywords = query.keywords
        if not keywords and not query.versions:
            keywords = frozenset({VersionKeyword.LAST})
        self._types, self._specs, self._versions = query.types, query.specs, query.versions
        self._all = VersionKeyword.ALL in keywords
        self._last = VersionKeyword.LAST in keywords
        self._first = VersionKeyword.FIRST in keywords
        self.plain = (
            self._last and len(keywords) == 1 and not (query.types or query.specs or query.versions)
        )
        """True if only last versions are selected: status bits alone decide that."""

    def includes(self, entry: IndexedEntry, bits: StatusBits) -> bool:
        """True if the query selects the entry."""
        return self._includes(entry.index, bits, _type_spec_version(entry))

    def includes_single(self, entry: Entry) -> bool:
        """True if the query selects the only entry of an object; its type is not looked at."""
        of_spec = not self._specs or entry.spec in self._specs
        return of_spec and self._includes_version(0, StatusBits(), entry.version)

    def select(self, entries: Iterable[IndexedEntry]) -> list[IndexedEntry]:
        """Select from all entries of some objects, in order of position."""
        chosen: list[IndexedEntry] = []
        for group in group_by_object(entries).values():
            bits = StatusBits(
                **{bit: frozenset(found) for bit, found in status_positions(group).items()}
            )
            chosen += (p for p in group if self._includes(p.position, bits, _type_spec_version(p)))
        return sorted(chosen, key=lambda entry: entry.position)

    def indexes(self, columns: BatchColumns, bits: StatusBits, start: int) -> Iterator[int]:
        """The indexes, from `start` on, of the selected entries of a batch."""
        within = columns.indexes(start)
        if self.plain:
            skipped = columns.gone | bits.old | bits.shadowed
            yield from (i for i in within if i not in skipped)
            return
        for i in within:
            type_spec_version = (columns.types[i], columns.specs[i], columns.versions[i])
            if i not in columns.gone and self._includes(i, bits, type_spec_version):
                yield i

    def _includes(
        self, index: int, bits: StatusBits, type_spec_version: tuple[str, str, str]
    ) -> bool:
        type, spec, version = type_spec_version
        if self._types and type not in self._types:
            return False
        if spec not in self._specs if self._specs else index in bits.shadowed:
            return False
        return self._includes_version(index, bits, version)

    def _includes_version(self, index: int, bits: StatusBits, version: str) -> bool:
        return (
            self._all
            or (self._last and index not in bits.old)
            or (self._first and index not in bits.later)
            or (bool(self._versions) and micros(version) in self._versions)
        )


@dataclass(frozen=True, slots=True)
class BatchColumns:
    """The columns of a batch that `VersionFilter` reads: one item per entry."""

    n: int
    types: Sequence[str]
    specs: Sequence[str]
    versions: Sequence[str]
    gone: frozenset[int]
    matched: Sequence[int] | None = None
    """The indexes, in order, of the entries that the filters match; None: all."""

    def indexes(self, start: int) -> Iterable[int]:
        """The indexes to be looked at, from `start` on."""
        if self.matched is None:
            return range(start, self.n)
        return (i for i in self.matched if i >= start)


def keep_newest(entries: Sequence[Entry], query: Query) -> tuple[Entry, ...]:
    """Drop entries of the page that a later entry of the same object superseded meanwhile."""
    if query.versions or query.keywords - {VersionKeyword.LAST}:
        return tuple(entries)
    latest = {(e.id, e.spec if query.specs else ""): e.position for e in entries}
    kept = frozenset(latest.values())
    return tuple(entry for entry in entries if entry.position in kept)


def group_by_object(entries: Iterable[IndexedEntry]) -> dict[str, list[IndexedEntry]]:
    """The entries of each object, by its id."""
    found: dict[str, list[IndexedEntry]] = {}
    for entry in entries:
        found.setdefault(entry.id, []).append(entry)
    return found


def _type_spec_version(entry: IndexedEntry) -> tuple[str, str, str]:
    return entry.type, entry.spec, entry.version


def _spec_order(spec: str) -> tuple[int, str]:
    """Spec_versions in order: 2.0 before 2.1, 2.9 before 2.10."""
    return len(spec), spec
