"""Strict JSON parsing: only input that every parser reads alike, I-JSON (RFC 7493).

Where parsers disagree, one partner's hub would publish something else than
another's client showed: the last of two equal names, a number too long for a
double, half of a surrogate pair.  All of that is refused here, and
only here, with a message that says what to change.

A refused record may still be the report that restricts its members: `salvage_object` reads
leniently what it says about others.
"""

import json
import math
import re
from functools import partial
from typing import Any, NoReturn

import orjson

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject
from tocsin.admission.quotations import is_plain_name

MAX_DEPTH = 64
"""Levels of nesting in one object, itself included."""

_HALF = "half of a surrogate pair, or U+FFFF, in a string: send whole characters"
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_ONE = 6
"""Octets of one escape of four digits."""
_BOM = b"\xef\xbb\xbf"
_LONGEST_NUMBER = 2**53 - 1
"""The integers of STIX (STIX 2.1 section 2.8) and of I-JSON (RFC 7493 section 2.2)."""


def parse_object(raw: bytes) -> StixObject:
    """Parse one JSON object.

    >>> parse_object(b'{"type": "tool"}')
    {'type': 'tool'}

    Raises Malformed if it is not an object in I-JSON, or is nested deeper than `MAX_DEPTH`.
    """
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise Malformed("not a JSON object: send one object in braces")
    return value


def check_syntax(raw: bytes) -> None:
    """Raise Malformed as `parse_object` does for broken syntax, but without keeping any object.

    A long file whose end is missing would need ten times its length otherwise.
    """
    _decode_text(_decode_utf8(raw), _CHECKER)


def parse_json(raw: bytes) -> Any:
    """Parse a JSON value of any type; otherwise as `parse_object`."""
    value = _decode_unambiguous(raw)
    return _decode_strictly(raw) if value is None else value


def _decode_unambiguous(raw: bytes) -> Any:
    """Decode the value if all parsers agree about it; None if it needs the slow parser.

    Without escapes every quote is the beginning or the end of a string, so the number of quotes
    reveals two members with the same name, of which parsers drop one.
    """
    if b"\\" in raw or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if 2 * _strings(value) == raw.count(b'"') else None


def _strings(value: Any) -> int:
    """Number of strings in a value, member names included; -1 if a number needs a closer look."""
    count = 0
    rest = [value]
    while rest:
        each = rest.pop()
        kind = type(each)
        if kind is str:
            count += 1
        elif kind is dict:
            count += len(each)
            rest.extend(each.values())
        elif kind is list:
            rest.extend(each)
        elif kind is float or (kind is int and not 0 < abs(each) <= _LONGEST_NUMBER):
            return -1
    return count


def _decode_strictly(raw: bytes) -> Any:
    text = _decode_utf8(raw)
    value = _decode_text(text, _DECODER)
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _measure(value)
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _decode_text(text: str, decoder: json.JSONDecoder) -> Any:
    try:
        return decoder.decode(text)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if "\n" in text else ""  # else it may be one of many
        fault = error.msg.lower().removesuffix(" at")  # "unterminated string starting at"
        raise Malformed(f"not JSON: {fault} at {line}column {error.colno}") from error


def salvage_object(raw: bytes) -> StixObject | None:
    """The legible references and markings of a record that `parse_object` refuses.

    Type, id, labels, references and markings, of equal names all values.  Empty if nothing can be
    read, though it may be a container; None if it cannot be one.

    >>> salvage_object(b'{"type": "report", "type": "grouping", "n": 1e999, "object_refs": "x"}')
    {'type': ['report', 'grouping'], 'object_refs': 'x'}
    """
    text = raw.decode("utf-8", "replace").lstrip("\ufeff")
    try:
        value = _LENIENT_DECODER.decode(text)
    except (ValueError, RecursionError):
        may_hold = "\\u" in text or _MAY_HOLD.search(text) is not None
        return {} if may_hold else None
    if isinstance(value, list):
        found: StixObject = {"objects": value}
    elif isinstance(value, dict):
        found = _keep_relations(value)
    else:
        return None
    return {} if _is_too_deep(found) else found


def _keep_relations(record: StixObject) -> StixObject:
    return {
        name: value
        for name, value in record.items()
        if name in _ABOUT_OTHERS or _MAY_HOLD.search(name)
    }


def replace_lone_surrogates(raw: bytes) -> bytes:
    """Replace each half of a surrogate pair by U+FFFF, which `parse_object` refuses too.

    Some parsers fail at it, so that one such object would lose the whole page.
    """
    return _ESCAPE.sub(_replace_lone_surrogate, raw)


def _replace_lone_surrogate(found: re.Match[bytes]) -> bytes:
    half = len(found[0]) == _ONE  # a pair is longer, another escape is shorter
    return b"\\uffff" if half else found[0]


def _decode_utf8(raw: bytes) -> str:
    if raw.startswith(_BOM):
        raise Malformed("begins with a byte order mark: save the file as UTF-8 without BOM")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8 at byte {error.start}: encode JSON as UTF-8") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            which = f"the name {ascii(name)}" if is_plain_name(name) else "a name"
            raise Malformed(f"{which} occurs twice in one object: keep one")
        seen.add(name)
    raise AssertionError("unequal lengths without an equal name")


def _no_constant(word: str) -> NoReturn:
    raise Malformed(f"{word} is not a JSON number: leave the property out")


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed("a number is too large for a double: send it as a string")
    return value


def _integer(digits: str) -> int:
    if len(digits) <= 17 and -_LONGEST_NUMBER <= int(digits) <= _LONGEST_NUMBER:
        return int(digits)
    raise Malformed("an integer is beyond 2^53 - 1: send it as a string")


_strict_decoder = partial(
    json.JSONDecoder, parse_constant=_no_constant, parse_float=_number, parse_int=_integer
)
_DECODER = _strict_decoder(object_pairs_hook=_members)


def _check_members(pairs: list[tuple[str, Any]]) -> None:
    """Raise Malformed if a name occurs twice."""
    _members(pairs)


_CHECKER = _strict_decoder(object_pairs_hook=_check_members)
_ABOUT_OTHERS = frozenset(("type", "id", "labels", "granular_markings", "objects"))
_MAY_HOLD = compile_lazily("ref|objects", re.IGNORECASE)
"""Names of references, in any spelling."""


def _all_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object; of several with one name a list of all values."""
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in found.items()}


_LENIENT_DECODER = json.JSONDecoder(
    object_pairs_hook=_all_members,
    parse_constant=lambda _: None,
    parse_float=lambda _: None,
    parse_int=lambda _: None,
    strict=False,
)


def _measure(value: Any) -> None:
    if _is_too_deep(value):
        raise _too_deep()


def _is_too_deep(value: Any) -> bool:
    """True if it has more levels than an object may; some decoders take thousands."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            each
            for container in level
            for each in (container.values() if isinstance(container, dict) else container)
            if isinstance(each, dict | list)
        ]
        if not level:
            return False
    return True


def _check_surrogates(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed(_HALF) from None
    if "\uffff" in text:
        raise Malformed(_HALF)


def _too_deep() -> Malformed:
    return Malformed(f"nested deeper than {MAX_DEPTH} levels: flatten the object")
