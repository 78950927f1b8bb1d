"""STIX 2.0 and 2.1 as JSON: bundle, TAXII envelope, array, single object, or one per line.

Objects are passed on as they were sent, except that the observables inside an
observed-data of STIX 2.0 become objects of their own.  Each object is parsed by itself,
so that one which breaks I-JSON is refused and its neighbours are not.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.json_split import is_json_lines, split_array, split_object
from tocsin.admission.extraction.text_encoding import detect_encoding, normalise_json_bytes
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import Action, Candidate, Finding
from tocsin.admission.stix.ijson import check_syntax, parse_object, salvage_object
from tocsin.admission.stix.upgrade import split_observed_data

_ENDINGS = (".json", ".stix", ".stix2", ".jsonl", ".ndjson")
_SAMPLE = 65_536
_FIRST_LINES = 20
_ID = re.compile(rb'"id"\s{0,20}:\s{0,20}"[a-z0-9][a-z0-9-]{0,250}--')
_BUNDLE = re.compile(rb'"type"\s{0,20}:\s{0,20}"bundle"')
_SEARCHED = 64
"""Octets by which a long value is found: a search for all of it costs as much as parsing it."""
_ENVELOPE = frozenset(("objects", "more", "next"))
_MISP = (b'"Event"', b'"Attribute"')


def _accepts(name: str, content: bytes) -> bool:
    raw = normalise_json_bytes(content).lstrip()
    if not raw.startswith((b"{", b"[")):
        return False
    sample = raw[:_SAMPLE]
    parts = split_object(raw)
    if parts is not None:
        return is_container(parts) or _is_object(parts)
    if raw.startswith(b"[") and split_array(raw) is not None:
        return _ID.search(sample) is not None and not any(word in sample for word in _MISP)
    first = split_object(raw.partition(b"\n")[0])
    if first is not None:
        return is_container(first) or _is_object(first)
    if _ID.search(sample) or _BUNDLE.search(sample):
        return True
    return name.lower().endswith(_ENDINGS)  # broken: `read` reports the place


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    raw = normalise_json_bytes(content)
    marked = detect_encoding(content) != "utf-8"
    return _parse_parts(_split_file(raw), marked)


def _parse_parts(parts: Iterable[tuple[str, bytes]], marked: bool) -> Iterator[Candidate]:
    index = 0
    for place, raw in parts:
        found = parse_place(place, raw, index, marked=marked and index == 0)
        yield from found
        index += len(found)


def parse_place(place: str, raw: bytes, index: int, *, marked: bool = False) -> list[Candidate]:
    """The candidates of one object; the first has this index.

    `place` is its place in the file: `object 3`.  `marked`: a byte order mark is before it.
    """
    try:
        found = [
            Candidate.from_object(index + n, each)
            for n, each in enumerate(split_observed_data(parse_object(raw)))
        ]
    except Malformed as error:
        refused = refused_candidate(index, f"{place}: {error}")
        found = [replace(refused, salvaged=salvage_object(raw))]
    if len(found) > 1:
        found = [found[0].with_findings(_SPLIT_OBSERVED_DATA), *found[1:]]
    if marked:
        found = [found[0].with_findings(_BYTE_ORDER_MARK), *found[1:]]
    return found


_SPLIT_OBSERVED_DATA = Finding(
    "validate",
    "observed",
    Action.REPAIRED,
    "the observables inside it (STIX 2.0) became objects of their own",
    "objects",
)
_BYTE_ORDER_MARK = Finding(
    "validate",
    "format",
    Action.REPAIRED,
    "the file begins with a byte order mark, which JSON forbids: save it as plain UTF-8",
)


def _split_file(raw: bytes) -> Iterable[tuple[str, bytes]]:
    """The file's objects as bytes, each with its place: `object 3`, `line 7`."""
    start = raw.lstrip()[:1]
    whole = split_array(raw) if start == b"[" else _split_container(raw)
    if whole is not None:
        return ((f"object {n}", bytes(part)) for n, part in enumerate(whole, 1))
    lines = [(n, line) for n, line in enumerate(raw.split(b"\n"), 1) if line.strip()]
    if len(lines) > 1 and is_json_lines([line.strip() for _, line in lines[:_FIRST_LINES]]):
        return [part for n, line in lines for part in split_json_line(n, line)]
    check_syntax(raw)  # raises with the place of the error
    parse_object(raw)
    raise Malformed("not STIX: send a bundle, a list of objects or one object per line")


def split_json_line(number: int, line: bytes) -> list[tuple[str, bytes]]:
    """The objects of a line, each with its place in the file."""
    place = f"line {number}"
    items = _split_container(line)
    return [(place, line)] if items is None else [(place, bytes(part)) for part in items]


def _split_container(raw: bytes) -> list[msgspec.Raw] | None:
    parts = split_object(raw)
    if parts is None:
        return None
    if not is_container(parts):
        return [msgspec.Raw(raw)]
    items = bytes(parts.get("objects", b"[]"))
    parse_object(_replace_with_null(raw, items))  # checks the members around the objects
    return split_array(items)


def _replace_with_null(raw: bytes, items: bytes) -> bytes:
    """The JSON object with null in place of the value `items`."""
    start = raw.find(items[:_SEARCHED])
    if not raw.startswith(items, start):
        return raw.replace(items, b"null", 1)
    return raw[:start] + b"null" + raw[start + len(items) :]


def is_container(parts: dict[str, msgspec.Raw], array: bytes = b"[") -> bool:
    """True for a bundle of STIX 2.0 or 2.1, and for a TAXII envelope.

    `array`: how the value of `objects` begins.
    """
    if "objects" in parts and not bytes(memoryview(parts["objects"])[:4]).startswith(array):
        return False
    if bytes(parts.get("type", b"")) == b'"bundle"':
        return True
    return "objects" in parts and set(parts) <= _ENVELOPE


def _is_object(parts: dict[str, msgspec.Raw]) -> bool:
    return "type" in parts and _ID.match(b'"id":' + bytes(parts.get("id", b""))) is not None


FORMAT = Format(
    name="stix",
    description="STIX 2.0 or 2.1 as JSON: a bundle, a TAXII envelope, a list, or one object a line",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
)
