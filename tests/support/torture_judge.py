"""The record of a torture run, and the faults in it.  Pure functions, without a hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class Entry(NamedTuple):
    """One object version as the feed has it, or as a poller received it."""

    id: str
    version: str
    date_added: str = ""
    """Empty if a poller read objects, which do not have it."""
    asked: float = 0.0
    """When the poller requested the page, in seconds of the monotonic clock."""


@dataclass
class Final:
    """The final content of a feed."""

    all: list[Entry] = field(default_factory=list)
    """Every version, in order."""
    last: list[Entry] = field(default_factory=list)
    """The last version of each object, in order."""


@dataclass
class Log:
    """The entries that one poller received, in order, from its state file."""

    name: str
    feed: str
    every: bool
    """True if it requested all versions, not only the last of each object."""
    entries: list[Entry] = field(default_factory=list)
    pages: list[tuple[str, str]] = field(default_factory=list)
    """The first and the last date_added of each page with objects."""


@dataclass
class Record:
    """The complete record of one torture run."""

    feeds: dict[str, Final]
    logs: list[Log]
    stored: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """By feed: (id, version) of the acknowledged objects, including withdrawn ones."""
    wanted: dict[str, int] = field(default_factory=dict)
    """By pattern: the newest edition acknowledged by the inbox."""
    published: dict[str, int] = field(default_factory=dict)
    """By pattern: the newest edition in the feed."""
    withdrawn: dict[str, float] = field(default_factory=dict)
    """By id: when its withdrawal was acknowledged."""
    doubtful: set[str] = field(default_factory=set)
    """Ids of objects that were sent but not acknowledged: they may be stored or not."""
    unsettled: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Ids missing in a complete download, although an earlier one had them."""
    strange: list[str] = field(default_factory=list)
    """Unexpected responses."""


Faults = dict[str, list[str]]


def find_faults(record: Record) -> Faults:
    """Return every fault, by kind; all lists are empty if there is none."""
    return {
        "lost": [*_lost(record), *_lost_by_pollers(record)],
        "duplicated": list(_duplicated(record)),
        "out of order": list(_out_of_order(record)),
        "missing in a download": record.missing,
        "unsettled": record.unsettled,
        "refused": record.refused,
        "withdrawn and still there": list(_still_there(record)),
        "from nowhere": list(_from_nowhere(record)),
        "strange answers": record.strange,
    }


def _keys(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    return {(entry.id, entry.version) for entry in entries}


def _lost(record: Record) -> Iterator[str]:
    for name, stored in record.stored.items():
        sure = {(id, v) for id, v in stored if id not in record.withdrawn}
        for id, v in sorted(sure - _keys(record.feeds[name].all)):
            yield f"{name} lacks {id} {v}, which was acknowledged"
    for pattern, edition in record.wanted.items():
        if record.published.get(pattern, 0) < edition:
            yield f"edition {edition} of {pattern} was acknowledged and is not published"


def _lost_by_pollers(record: Record) -> Iterator[str]:
    for log in record.logs:
        final = record.feeds[log.feed]
        due = final.all if log.every else final.last
        for id, v in sorted(_keys(due) - _keys(log.entries)):
            doubt = ", which was never acknowledged" if id in record.doubtful else ""
            yield f"{log.name} did not receive {id} {v}{doubt}"


def _duplicated(record: Record) -> Iterator[str]:
    shown = [(name, final.all) for name, final in record.feeds.items()]
    for name, entries in [*shown, *((log.name, log.entries) for log in record.logs)]:
        seen: set[tuple[str, str]] = set()
        for entry in entries:
            if entry[:2] in seen:
                yield f"{name}: {entry.id} {entry.version} twice"
            seen.add(entry[:2])


def _out_of_order(record: Record) -> Iterator[str]:
    for name, final in record.feeds.items():
        yield from _inverted(name, [entry.date_added for entry in final.all])
        yield from _inverted(name, [entry.date_added for entry in final.last])
    for log in record.logs:
        dates_of_pages = [date for page in log.pages for date in dict.fromkeys(page)]
        yield from _inverted(f"{log.name}, pages", dates_of_pages)
        yield from _inverted(log.name, [e.date_added for e in log.entries if e.date_added])
        dates = {entry[:2]: entry.date_added for entry in record.feeds[log.feed].all}
        known = [dates[entry[:2]] for entry in log.entries if entry[:2] in dates]
        yield from _inverted(f"{log.name}, against the feed", list(dict.fromkeys(known)))


def _inverted(name: str, dates: Sequence[str]) -> Iterator[str]:
    return (f"{name}: {a}, then {b}" for a, b in pairwise(dates) if not a < b)


def _still_there(record: Record) -> Iterator[str]:
    withdrawn = {id: at for id, at in record.withdrawn.items() if id not in record.doubtful}
    for name, final in record.feeds.items():
        yield from (f"{name}: {e.id}" for e in final.all if e.id in withdrawn)
    for log in record.logs:
        for entry in log.entries:
            if entry.asked > withdrawn.get(entry.id, float("inf")):
                yield f"{log.name} received {entry.id} after it had been withdrawn"


def _from_nowhere(record: Record) -> Iterator[str]:
    for log in record.logs:
        explained = record.withdrawn.keys() | record.doubtful
        for id, v in sorted(_keys(log.entries) - _keys(record.feeds[log.feed].all)):
            if id not in explained:
                yield f"{log.name} received {id} {v}, which the feed does not have"
