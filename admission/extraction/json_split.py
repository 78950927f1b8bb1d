"""JSON taken apart without being read: the members of an object, the elements of a list, as bytes.

So that whoever reads the parts can refuse one and keep its neighbours.
"""

import json
import re
from collections.abc import Iterator

import msgspec

_SPACE = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n,:]*")
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def elements(raw: bytes) -> list[msgspec.Raw] | None:
    """The elements of a JSON list; None if it is none, or cannot be taken apart."""
    try:
        return _ELEMENTS.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _scanned(raw, b"[")
        return None if found is None else [msgspec.Raw(value) for _, value in found]


def members(raw: bytes) -> dict[str, msgspec.Raw] | None:
    """The members of a JSON object, the last of equal names; None as for `elements`."""
    try:
        return _MEMBERS.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _scanned(raw, b"{")
        return None if found is None else {name: msgspec.Raw(value) for name, value in found}


def _scanned(raw: bytes, opening: bytes) -> list[tuple[str, bytes]] | None:
    """The parts of an array or object as bytes, names first; None if they cannot be told apart.

    Slow, and more lenient than JSON: for files in which one part holds NaN or half of a
    surrogate pair.  Whoever reads the parts refuses that one.
    """
    if not raw.lstrip().startswith(opening):
        return None
    try:
        json.loads(raw)  # so that what is broken is not scanned for every part
        return list(_parts_of(raw.decode(), opening == b"{"))
    except (ValueError, RecursionError):
        return None


def _parts_of(text: str, named: bool) -> Iterator[tuple[str, bytes]]:
    decoder = json.JSONDecoder()
    position = _after(_SPACE, text, 0) + 1
    position = _after(_SPACE, text, position)
    while text[position] not in "]}":
        name = ""
        if named:
            name, position = decoder.raw_decode(text, position)
            position = _after(_BETWEEN, text, position)
        _, end = decoder.raw_decode(text, position)
        yield name, text[position:end].encode()
        position = _after(_BETWEEN, text, end)


def _after(signs: re.Pattern[str], text: str, position: int) -> int:
    found = signs.match(text, position)
    return found.end() if found else position
