"""Where the events of a MISP file are: alone, in a list, in the response of a search."""

from collections.abc import Container, Mapping

import msgspec

from tocsin.admission.extraction.json_split import split_array, split_object

_BARE = frozenset(("info", "Attribute", "Object", "Orgc", "threat_level_id", "EventTag"))


def split_events(raw: bytes) -> list[bytes] | None:
    """Every event of a file as bytes, without its wrapper; None if the file holds none."""
    whole = split_array(raw) if raw.startswith(b"[") else None
    if whole is not None:
        found = [unwrap(each) for each in map(bytes, whole)]
        is_list = any(each is not None for each in found)
        return [e or bytes(w) for e, w in zip(found, whole, strict=True)] if is_list else None
    parts = split_object(raw)
    if parts is not None and "response" in parts:
        inner = bytes(parts["response"]).lstrip()
        if is_attribute_search(raw):
            return [raw]
        if inner.startswith(b"["):
            return split_events(inner)
        raw, parts = inner, split_object(inner)
    one = _unwrap(raw, parts)
    return None if one is None else [one]


def unwrap(raw: bytes) -> bytes | None:
    """The event in `raw`, wrapped in `Event` or bare; None if it is not an event."""
    return _unwrap(raw, split_object(raw))


def find_wrapper(names: Container[str]) -> str | None:
    """The member that is an event, of an object with these members; empty: the object is one.

    None if neither is.
    """
    if "type" in names:
        return None
    if "Event" in names:
        return "Event"
    return "" if sum(name in names for name in _BARE) >= 2 else None


def is_attribute_search(raw: bytes) -> bool:
    """True for a restSearch response for attributes instead of events."""
    answer = split_object(bytes((split_object(raw) or {}).get("response", b"")))
    return answer is not None and "Attribute" in answer


def _unwrap(raw: bytes, parts: Mapping[str, msgspec.Raw] | None) -> bytes | None:
    wrapper = None if parts is None else find_wrapper(parts)
    if parts is None or wrapper is None:
        return None
    return bytes(parts[wrapper]) if wrapper else raw
