"""Events of MISP as JSON: one, a list, an answer of restSearch, a file of a feed.

Attributes with `to_ids` become indicators under the attribute's own UUID, so that
whoever forwards an event sends the same indicators; what an event tells besides is not
shared: see docs/misp.md.  One attribute that cannot be read costs no other.
"""

from collections.abc import Iterator, Mapping

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.decode import decoded, encoding, refusal
from tocsin.admission.extraction.json_split import elements, members
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.misp.event import Event, Numbers
from tocsin.admission.model import Candidate

_ENDINGS = (".json", ".misp")
_BOM = b"\xef\xbb\xbf"
_BARE = frozenset(("info", "Attribute", "Object", "Orgc", "threat_level_id", "EventTag"))
_SEARCH = (
    "a search of attributes leaves out what marks their events, TLP tags for instance: "
    "search for events instead"
)


def _accepts(name: str, content: bytes) -> bool:
    raw = _utf8(content).lstrip()
    if not raw.startswith((b"{", b"[")):
        return False
    return bool(_events(raw))


def _read_file(name: str, content: bytes, reading: ReadOptions) -> Iterator[Candidate]:
    raw = _utf8(content).lstrip()
    events = _events(raw) or []
    if events == [raw] and _searched(raw):
        raise Malformed(_SEARCH)
    numbers = Numbers(reading)
    for number, each in enumerate(events, 1):
        place = f"event {number}" if len(events) > 1 else ""
        try:
            event = Event.of(each, place, numbers)
        except Malformed as error:
            yield refusal(numbers.next(), f"{place or 'the event'}: {error}")
        else:
            yield from event.candidates()


def _events(raw: bytes) -> list[bytes] | None:
    """Every event of a file as bytes, without what it is wrapped in; None if it holds none."""
    whole = elements(raw) if raw.startswith(b"[") else None
    if whole is not None:
        found = [_unwrapped(each, members(each)) for each in map(bytes, whole)]
        taken = any(each is not None for each in found)
        return [e or bytes(w) for e, w in zip(found, whole, strict=True)] if taken else None
    parts = members(raw)
    if parts is not None and "response" in parts:
        inner = bytes(parts["response"]).lstrip()
        if _searched(raw):
            return [raw]
        if inner.startswith(b"["):
            return _events(inner)
        raw, parts = inner, members(inner)
    one = _unwrapped(raw, parts)
    return None if one is None else [one]


def _unwrapped(raw: bytes, parts: Mapping[str, msgspec.Raw] | None) -> bytes | None:
    """The event in `raw`, which has these parts, wrapped in `Event` or bare; None if it is none."""
    if parts is None:
        return None
    if "Event" in parts and "type" not in parts:
        return bytes(parts["Event"])
    bare = len(_BARE & set(parts)) >= 2 and "type" not in parts
    return raw if bare else None


def _searched(raw: bytes) -> bool:
    """Whether it is the answer to a search of attributes, not of events."""
    answer = members(bytes((members(raw) or {}).get("response", b"")))
    return answer is not None and "Attribute" in answer


def _utf8(content: bytes) -> bytes:
    if encoding(content) == "utf-16":
        return decoded(content).encode("utf-8", "replace")
    return content.removeprefix(_BOM)


FORMAT = Format(
    name="misp",
    description="MISP JSON: an event, a list of events, a restSearch response, an event of a feed",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    rank=-1,
)
