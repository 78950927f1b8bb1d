"""MISP events as JSON: one, a list, a restSearch response, a file of a feed.

Attributes with `to_ids` become indicators with the attribute's own UUID, so that
everybody who forwards an event sends the same indicators.  The rest of an event is not
shared: see docs/misp.md.  An unreadable attribute is refused alone.
"""

from collections.abc import Iterator, Mapping

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.json_split import split_array, split_object
from tocsin.admission.extraction.text_encoding import normalise_json_bytes
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.misp.event import CandidateCollector, Event
from tocsin.admission.model import Candidate

_ENDINGS = (".json", ".misp")
_BARE = frozenset(("info", "Attribute", "Object", "Orgc", "threat_level_id", "EventTag"))
_SEARCH = (
    "a search for attributes leaves out the TLP tags and other markings of their events: "
    "search for events instead"
)


def _accepts(name: str, content: bytes) -> bool:
    raw = normalise_json_bytes(content).lstrip()
    if not raw.startswith((b"{", b"[")):
        return False
    return bool(_split_events(raw))


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    raw = normalise_json_bytes(content).lstrip()
    events = _split_events(raw) or []
    if events == [raw] and _is_attribute_search(raw):
        raise Malformed(_SEARCH)
    collector = CandidateCollector(options)
    for number, each in enumerate(events, 1):
        place = f"event {number}" if len(events) > 1 else ""
        try:
            event = Event.parse(each, place, collector)
        except Malformed as error:
            yield refused_candidate(collector.next_index(), f"{place or 'the event'}: {error}")
        else:
            yield from event.build_candidates()


def _split_events(raw: bytes) -> list[bytes] | None:
    """Every event of a file as bytes, without its wrapper; None if the file holds none."""
    whole = split_array(raw) if raw.startswith(b"[") else None
    if whole is not None:
        found = [_unwrap(each, split_object(each)) for each in map(bytes, whole)]
        is_list = any(each is not None for each in found)
        return [e or bytes(w) for e, w in zip(found, whole, strict=True)] if is_list else None
    parts = split_object(raw)
    if parts is not None and "response" in parts:
        inner = bytes(parts["response"]).lstrip()
        if _is_attribute_search(raw):
            return [raw]
        if inner.startswith(b"["):
            return _split_events(inner)
        raw, parts = inner, split_object(inner)
    one = _unwrap(raw, parts)
    return None if one is None else [one]


def _unwrap(raw: bytes, parts: Mapping[str, msgspec.Raw] | None) -> bytes | None:
    """The event in `raw`, wrapped in `Event` or bare; None if it is not an event."""
    if parts is None:
        return None
    if "Event" in parts and "type" not in parts:
        return bytes(parts["Event"])
    bare = len(_BARE & set(parts)) >= 2 and "type" not in parts
    return raw if bare else None


def _is_attribute_search(raw: bytes) -> bool:
    """True for a restSearch response for attributes instead of events."""
    answer = split_object(bytes((split_object(raw) or {}).get("response", b"")))
    return answer is not None and "Attribute" in answer


FORMAT = Format(
    name="misp",
    description="MISP JSON: an event, a list of events, a restSearch response, an event of a feed",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    rank=-1,
)
