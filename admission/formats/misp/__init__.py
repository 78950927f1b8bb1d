"""MISP events as JSON: one, a list, a restSearch response, a file of a feed.

Attributes with `to_ids` become indicators with the attribute's own UUID, so that
everybody who forwards an event sends the same indicators.  The rest of an event is not
shared: see docs/misp.md.  An unreadable attribute is refused alone.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.text_encoding import normalise_json_bytes
from tocsin.admission.extraction.verified_file import VerifiedFile
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.misp.event import CandidateCollector, Event, EventParts
from tocsin.admission.formats.misp.large import LargeMisp, find_events
from tocsin.admission.formats.misp.wrappers import is_attribute_search, split_events
from tocsin.admission.model import Candidate

_ENDINGS = (".json", ".misp")
_SEARCH = (
    "a search for attributes leaves out the TLP tags and other markings of their events: "
    "search for events instead"
)


def _accepts(name: str, content: bytes) -> bool:
    raw = normalise_json_bytes(content).lstrip()
    if not raw.startswith((b"{", b"[")):
        return False
    return bool(split_events(raw))


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    raw = normalise_json_bytes(content).lstrip()
    events = split_events(raw) or []
    if events == [raw] and is_attribute_search(raw):
        raise Malformed(_SEARCH)
    each = (partial(EventParts.split, event) for event in events)
    yield from _read_events(each, len(events), options)


def _read_large(name: str, stream: BinaryIO, options: ReadOptions) -> Iterator[Candidate] | None:
    large = find_events(VerifiedFile(stream))
    return None if large is None else _read_found(large, options)


def _read_found(large: LargeMisp, options: ReadOptions) -> Iterator[Candidate]:
    if large.is_attribute_search:
        raise Malformed(_SEARCH)
    yield from _read_events(large.events(), large.count, options)


def _read_events(
    events: Iterable[Callable[[], EventParts]], count: int, options: ReadOptions
) -> Iterator[Candidate]:
    """The candidates of all events, each of which is taken apart when it is called."""
    collector = CandidateCollector(options)
    for number, split in enumerate(events, 1):
        place = f"event {number}" if count > 1 else ""
        try:
            event = Event.read(split(), place, collector)
        except Malformed as error:
            yield refused_candidate(collector.next_index(), f"{place or 'the event'}: {error}")
        else:
            yield from event.build_candidates()


FORMAT = Format(
    name="misp",
    description="MISP JSON: an event, a list of events, a restSearch response, an event of a feed",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    read_large=_read_large,
    judges_whole=True,
    rank=-1,
)
