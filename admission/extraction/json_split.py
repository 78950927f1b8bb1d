"""Split JSON into the members of an object or the elements of an array, as bytes, unparsed.

The caller parses each part by itself, so one broken part can be refused and its
neighbours kept.
"""

import json
import re
from collections.abc import Iterator, Sequence

import msgspec

from tocsin.admission.lazy_patterns import compile_lazily

_SPACE = compile_lazily(r"[ \t\r\n]*")
_BETWEEN = compile_lazily(r"[ \t\r\n,:]*")
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def split_array(raw: bytes) -> list[msgspec.Raw] | None:
    """The elements of a JSON array; None if it is not one, or cannot be split."""
    try:
        return _ARRAY.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _scan(raw, b"[")
        return None if found is None else [msgspec.Raw(value) for _, value in found]


def split_object(raw: bytes) -> dict[str, msgspec.Raw] | None:
    """The members of a JSON object, the last of equal names; None as for `split_array`."""
    try:
        return _OBJECT.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _scan(raw, b"{")
        return None if found is None else {name: msgspec.Raw(value) for name, value in found}


def is_json_lines(lines: Sequence[bytes]) -> bool:
    """True if the first lines of a file, stripped, are JSON objects, even if some are broken."""
    if not lines[0].startswith(b"{") or lines[0].endswith((b"{", b"[", b",", b":")):
        return False
    return any(split_object(line) is not None for line in lines)


def _scan(raw: bytes, opening: bytes) -> list[tuple[str, bytes]] | None:
    """The parts of an array or object as (name, bytes); None if the JSON is malformed.

    Slow, and more lenient than JSON: for files in which one part holds NaN or half of a
    surrogate pair.  The parser of that part refuses it.
    """
    if not raw.lstrip().startswith(opening):
        return None
    try:
        # fails early, before the scan, if the syntax is broken; keeps no objects of a long file
        json.loads(raw, object_pairs_hook=lambda members: None)
        return list(_scan_parts(raw.decode(), opening == b"{"))
    except (ValueError, RecursionError):
        return None


def _scan_parts(text: str, named: bool) -> Iterator[tuple[str, bytes]]:
    decoder = json.JSONDecoder()
    position = _skip(_SPACE, text, 0) + 1
    position = _skip(_SPACE, text, position)
    while text[position] not in "]}":
        name = ""
        if named:
            name, position = decoder.raw_decode(text, position)
            position = _skip(_BETWEEN, text, position)
        _, end = decoder.raw_decode(text, position)
        yield name, text[position:end].encode()
        position = _skip(_BETWEEN, text, end)


def _skip(characters: re.Pattern[str], text: str, position: int) -> int:
    found = characters.match(text, position)
    return found.end() if found else position
