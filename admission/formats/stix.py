"""STIX 2.0 and 2.1 as JSON: bundle, TAXII envelope, array, single object, or one per line.

The objects come out as they were sent, but for the observables inside an
observed-data of STIX 2.0, which come out beside it.  Each is read on its own, so that an
object that breaks I-JSON is refused and its neighbours are not.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.decode import decoded, encoding, refusal
from tocsin.admission.extraction.json_split import elements, members
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import Action, Candidate, Finding
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.stix.upgrade import split_observed_data

_ENDINGS = (".json", ".stix", ".stix2", ".jsonl", ".ndjson")
_SAMPLE = 65_536
_FIRST_LINES = 20
_ID = re.compile(rb'"id"\s{0,20}:\s{0,20}"[a-z0-9][a-z0-9-]{0,250}--')
_BUNDLE = re.compile(rb'"type"\s{0,20}:\s{0,20}"bundle"')
_TELLING = 64
"""Octets by which a long value is found; to look for all of it would take as long as to read it."""
_ENVELOPE = frozenset(("objects", "more", "next"))
_MISP = (b'"Event"', b'"Attribute"')


def _accepts(name: str, content: bytes) -> bool:
    raw = _utf8(content).lstrip()
    if not raw.startswith((b"{", b"[")):
        return False
    sample = raw[:_SAMPLE]
    parts = members(raw)
    if parts is not None:
        return _is_container(parts) or _is_object(parts)
    if raw.startswith(b"[") and elements(raw) is not None:
        return _ID.search(sample) is not None and not any(word in sample for word in _MISP)
    first = members(raw.partition(b"\n")[0])
    if first is not None:
        return _is_container(first) or _is_object(first)
    if _ID.search(sample) or _BUNDLE.search(sample):
        return True
    return name.lower().endswith(_ENDINGS)  # broken: the reader says where


def _read_file(name: str, content: bytes, reading: ReadOptions) -> Iterator[Candidate]:
    raw = _utf8(content)
    marked = encoding(content) != "utf-8"
    return _read(_parts(raw), marked)


def _read(parts: Iterable[tuple[str, bytes]], marked: bool) -> Iterator[Candidate]:
    index = 0
    for place, raw in parts:
        try:
            found = [
                Candidate.from_object(index + n, each)
                for n, each in enumerate(split_observed_data(parse_object(raw)))
            ]
        except Malformed as error:
            found = [refusal(index, f"{place}: {error}")]
        if len(found) > 1:
            found = [found[0].with_findings(_PARTED), *found[1:]]
        if marked and index == 0:
            found = [found[0].with_findings(_MARK), *found[1:]]
        yield from found
        index += len(found)


_PARTED = Finding(
    "validate",
    "observed",
    Action.REPAIRED,
    "the observables inside it, as STIX 2.0 has them, have become objects of their own",
    "objects",
)
_MARK = Finding(
    "validate",
    "format",
    Action.REPAIRED,
    "the file begins with a byte order mark, which JSON must not: save it as plain UTF-8",
)


def _parts(raw: bytes) -> Iterable[tuple[str, bytes]]:
    """The file's objects as bytes, each with the words that tell where it stands."""
    start = raw.lstrip()[:1]
    whole = elements(raw) if start == b"[" else _contained(raw)
    if whole is not None:
        return ((f"object {n}", bytes(part)) for n, part in enumerate(whole, 1))
    lines = [(n, line) for n, line in enumerate(raw.split(b"\n"), 1) if line.strip()]
    if len(lines) > 1 and _object_a_line([line.strip() for _, line in lines[:_FIRST_LINES]]):
        return [part for n, line in lines for part in _on_line(n, line)]
    parse_object(raw)  # says what is wrong, and where
    raise Malformed("not STIX: send a bundle, a list of objects or one object per line")


def _object_a_line(lines: Sequence[bytes]) -> bool:
    """Whether the file is JSON lines, even if the first ones are broken."""
    if not lines[0].startswith(b"{") or lines[0].endswith((b"{", b"[", b",", b":")):
        return False
    return any(members(line) is not None for line in lines)


def _on_line(number: int, line: bytes) -> list[tuple[str, bytes]]:
    place = f"line {number}"
    held = _contained(line)
    return [(place, line)] if held is None else [(place, bytes(part)) for part in held]


def _contained(raw: bytes) -> list[msgspec.Raw] | None:
    parts = members(raw)
    if parts is None:
        return None
    if not _is_container(parts):
        return [msgspec.Raw(raw)]
    held = bytes(parts.get("objects", b"[]"))
    parse_object(_without(raw, held))  # what stands around the objects
    return elements(held)


def _without(raw: bytes, held: bytes) -> bytes:
    """An object with null in place of a value; nearly always that begins where it seems to."""
    start = raw.find(held[:_TELLING])
    if not raw.startswith(held, start):
        return raw.replace(held, b"null", 1)
    return raw[:start] + b"null" + raw[start + len(held) :]


def _is_container(parts: dict[str, msgspec.Raw]) -> bool:
    """Whether it is a bundle, of STIX 2.0 and 2.1, or an envelope of TAXII."""
    if "objects" in parts and bytes(memoryview(parts["objects"])[:1]) != b"[":
        return False
    if bytes(parts.get("type", b"")) == b'"bundle"':
        return True
    return "objects" in parts and set(parts) <= _ENVELOPE


def _is_object(parts: dict[str, msgspec.Raw]) -> bool:
    return "type" in parts and _ID.match(b'"id":' + bytes(parts.get("id", b""))) is not None


def _utf8(content: bytes) -> bytes:
    if encoding(content) == "utf-16":
        return decoded(content).encode("utf-8", "replace")
    return content.removeprefix(codecs.BOM_UTF8)


FORMAT = Format(
    name="stix",
    description="STIX 2.0 or 2.1 as JSON: a bundle, a TAXII envelope, a list, or one object a line",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
)
