"""The index terms of an object, for the match filters of the TAXII interoperability document.

An *index term* is a short string that an object has or has not:
`labels=phishing`, `confidence=80`.  Each object gets its terms once, when it is
put into a feed; a filter becomes a few terms that are looked up in an index
(section 3.13.2, five groups).  Numbers and instants also have terms for the
buckets that they lie in, so a bound is a few buckets and one boundary bucket, in
which the numbers themselves are compared.

An object has at most `MAX_TERMS` terms.  A field that would not fit has a single
term instead, which says only that a search for a value of this field must look
at the object itself.

Also here: the `Visibility` of an object, by which views select: TLP level,
revoked, expiry.  Properties that cannot be read count as the least visible.

Pure; neither HTTP nor the database is known here.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tocsin.admission.errors import Malformed
from tocsin.admission.markings.tlp import TLP_1_IDS, TLP_2_IDS, marking_ids
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import find_instant, micros
from tocsin.server.model import TermFilter, Visibility


def visibility(subject: StixObject, tlp: Tlp) -> Visibility:
    """The visibility of an object of this level."""
    return Visibility(tlp, subject.get("revoked", False) is not False, _until(subject))


def _until(subject: StixObject) -> int | None:
    value = subject.get("valid_until")
    return None if value is None else find_instant(value) or 0


MAX_TERMS = 128
"""Terms of one object, not counting those that stand for fields with too many values."""
MAX_VALUE_OCTETS = 64
"""Octets of a value that stands in a term as it is; a longer one is replaced by its digest."""

WORDS = frozenset(
    (
        *("account_type", "context", "data_type", "encryption_algorithm", "identity_class"),
        *("name", "opinion", "pattern", "pattern_type", "primary_motivation", "region"),
        *("relationship_type", "resource_level", "result", "sophistication", "subject", "value"),
    )
)
"""Properties of the whole object that hold one text."""
INTEGERS = frozenset(("confidence", "dst_port", "number", "src_port"))
"""Properties of the whole object that hold one whole number."""
LISTS = frozenset(
    (
        *("aliases", "architecture_execution_envs", "capabilities", "extension_types"),
        *("implementation_languages", "indicator_types", "infrastructure_types", "labels"),
        *("malware_types", "personal_motivations", "report_types", "roles"),
        *("secondary_motivations", "sectors", "threat_actor_types", "tool_types"),
    )
)
"""Properties of the whole object that hold a list of texts."""
HASHES = frozenset(("MD5", "SHA-1", "SHA-256", "SHA-512", "SHA3-256", "SHA3-512", "SSDEEP", "TLSH"))
"""Algorithms whose values are found wherever STIX keeps hashes."""

_EACH = "*"
_PE = ("extensions", "windows-pebinary-ext")
_SERVICE = ("extensions", "windows-service-ext")
_SOCKET = ("extensions", "socket-ext")
_PATHS: dict[str, tuple[str, ...]] = {
    "address_family": (*_SOCKET, "address_family"),
    "data_type": ("values", _EACH, "data_type"),  # where STIX has it: the values of a registry key
    "external_id": ("external_references", _EACH, "external_id"),
    "integrity_level": ("extensions", "windows-process-ext", "integrity_level"),
    "pe_type": (*_PE, "pe_type"),
    "phase_name": ("kill_chain_phases", _EACH, "phase_name"),
    "service_status": (*_SERVICE, "service_status"),
    "service_type": (*_SERVICE, "service_type"),
    "socket_type": (*_SOCKET, "socket_type"),
    "source_name": ("external_references", _EACH, "source_name"),
    "start_type": (*_SERVICE, "start_type"),
}
"""Properties that hold the fields of nested structures."""
_HASHED: tuple[tuple[str, ...], ...] = (
    ("hashes",),
    ("external_references", _EACH, "hashes"),
    ("extensions", "ntfs-ext", "alternate_data_streams", _EACH, "hashes"),
    (*_PE, "file_header_hashes"),
    (*_PE, "optional_header", "hashes"),
    (*_PE, "sections", _EACH, "hashes"),
)
"""Properties that hold dictionaries of hashes."""
_CONTAINERS = (dict, list)
_LEVELS = {id: level for table in (TLP_1_IDS, TLP_2_IDS) for level, id in table.items()}


@dataclass(frozen=True, slots=True)
class BucketScale:
    """Buckets of numbers: some of the finest make one of the next size, and so on.

    A number outside counts as the first or the last; in the edge of a bound the numbers
    themselves are compared, so that does no harm.
    """

    bits: int
    """Numbers from 0 to 2 to this power."""
    finest: int
    """The finest buckets hold 2 to this power of numbers."""
    step: int = 3
    """2 to this power of buckets make one of the next size."""

    def bucket(self, number: int) -> int:
        """The finest bucket in which a number counts."""
        return min(max(number, 0), (1 << self.bits) - 1) >> self.finest

    def levels(self) -> range:
        """The sizes, finest first, by how many bits are dropped from the finest bucket."""
        return range(0, self.bits - self.finest, self.step)

    def beyond(self, edge: int, *, above: bool) -> Iterator[tuple[int, int]]:
        """(size, bucket) of the few that together hold all above, or below, the edge."""
        for level in self.levels():
            here = edge >> level
            top = level + self.step > self.levels()[-1]
            group = here >> self.step << self.step
            size = 1 << (self.bits - self.finest - level if top else self.step)
            first = 0 if top else group
            span = range(here + 1, first + size) if above else range(first, here)
            yield from ((level, bucket) for bucket in span)


_TIME = BucketScale(bits=52, finest=40)
"""From 1970 to 2112 in buckets of 13 days."""
SCALES: dict[str, BucketScale] = {
    "confidence": BucketScale(bits=7, finest=3),
    "dst_port": BucketScale(bits=16, finest=6),
    "modified": _TIME,
    "number": BucketScale(bits=32, finest=11),
    "src_port": BucketScale(bits=16, finest=6),
    "valid_from": _TIME,
    "valid_until": _TIME,
}
"""Properties that have bounds."""
BOUNDS: dict[str, tuple[str, bool]] = {
    f"{name}-{end}": (name, end == "gte")
    for name in SCALES
    for end in ("gte", "lte")
    if (name, end) not in {("valid_until", "lte"), ("valid_from", "gte")}  # the document has none
}
"""The calculation filters: the property, and whether it is bounded from below."""


@dataclass(frozen=True, slots=True)
class IndexTerms:
    """The index terms of one object."""

    terms: tuple[str, ...]
    numeric_terms: tuple[tuple[str, int], ...]
    """The terms of finest buckets, each with the number that lies in it."""


def index_terms(subject: StixObject) -> IndexTerms:
    """The terms of an object, at most `MAX_TERMS`."""
    names: list[str] = []
    left = MAX_TERMS
    numbers = dict(_numbers(subject))
    every = _by_field(subject, numbers)
    for field, own in sorted(every.items(), key=lambda item: (len(item[1]), item[0])):
        if len(own) > left:
            names.append(_unsure(field))
        else:
            names += own
            left -= len(own)
    return IndexTerms(tuple(names), tuple(_finest(numbers).items()))


def matches_filter(subject: StixObject, wanted: TermFilter) -> bool:
    """True if an object matches a filter, decided by the object itself."""
    numbers = dict(_numbers(subject))
    own = {each for values in _by_field(subject, numbers).values() for each in values}
    finest = _finest(numbers)
    if not own.union(finest).isdisjoint(wanted.terms):
        return True
    return wanted.boundary_term in finest and wanted.includes(finest[wanted.boundary_term])


def _finest(numbers: Mapping[str, int]) -> dict[str, int]:
    """The terms of finest buckets, each with the number that lies in it."""
    return {_bucket(name, 0, number): number for name, number in numbers.items()}


def _by_field(subject: StixObject, numbers: Mapping[str, int]) -> dict[str, Set[str]]:
    """All terms of an object but those of finest buckets, by their field."""
    texts: defaultdict[str, set[str]] = defaultdict(set)
    for field, value in _values(subject):
        texts[field].add(make_term(field, value))
    found: dict[str, Set[str]] = {**texts}
    for name, number in numbers.items():
        found[f"{name}~"] = _larger_buckets(name, SCALES[name].bucket(number))
    return found


def _values(subject: StixObject) -> Iterator[tuple[str, str]]:
    """(field, value as text) of everything that a filter by equality may ask for."""
    for name, value in subject.items():
        if name in WORDS and isinstance(value, str):
            yield name, value
        elif name in LISTS and isinstance(value, list):
            yield from _texts(name, value)
        elif name in INTEGERS and _whole(value):
            yield name, str(value)
    revoked = subject.get("revoked", False)
    if isinstance(revoked, bool):
        yield "revoked", _flag(revoked)
    for id in marking_ids(subject):
        if id in _LEVELS:
            yield "tlp", _LEVELS[id].label
    yield from _texts("ref", _references(subject))
    yield from _nested(subject)


def _nested(subject: StixObject) -> Iterator[tuple[str, str]]:
    for field, path in _PATHS.items():
        if path[0] in subject:
            yield from _texts(field, _at(subject, path))
    for path in _HASHED:
        if path[0] in subject:
            for table in _at(subject, path):
                for name in HASHES.intersection(table) if isinstance(table, dict) else ():
                    yield from _texts(name, (table[name],))


def _numbers(subject: StixObject) -> Iterator[tuple[str, int]]:
    """The object's values of properties that have bounds; instants in µs."""
    for name, scale in SCALES.items():
        value = subject.get(name)
        number = find_instant(value) if scale is _TIME else value  # none: within no bounds
        if isinstance(number, int) and not isinstance(number, bool):
            yield name, number


def _references(subject: StixObject) -> Iterator[object]:
    """All ids that an object names in properties for references, at any depth."""
    waiting: list[Any] = [subject]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += [item for item in each if isinstance(item, _CONTAINERS)]
            continue
        for name, value in each.items():
            if name.endswith("_ref"):
                yield value
            elif name.endswith("_refs") and isinstance(value, list):
                yield from value
            if isinstance(value, _CONTAINERS):
                waiting.append(value)


def _at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """All values at a path."""
    if not path:
        yield value
    elif path[0] == _EACH:
        for each in value if isinstance(value, list) else ():
            yield from _at(each, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _texts(field: str, values: Iterable[object]) -> Iterator[tuple[str, str]]:
    return ((field, value) for value in values if isinstance(value, str))


def make_term(field: str, value: str) -> str:
    """The term of a field with this value; a long value is replaced by its digest."""
    if len(value) <= MAX_VALUE_OCTETS and value.isascii():  # most
        return f"{field}={value}"
    octets = value.encode()
    if len(octets) <= MAX_VALUE_OCTETS:
        return f"{field}={value}"
    return f"{field}#{base64.urlsafe_b64encode(hashlib.sha256(octets).digest()[:24]).decode()}"


def _bucket(name: str, level: int, number: int) -> str:
    return f"{name}~{level}:{SCALES[name].bucket(number) >> level}"


@lru_cache(maxsize=4096)  # objects of one submission share their dates
def _larger_buckets(name: str, finest: int) -> frozenset[str]:
    """The terms of the larger buckets in which a finest bucket lies."""
    return frozenset(f"{name}~{level}:{finest >> level}" for level in SCALES[name].levels()[1:])


def _unsure(field: str) -> str:
    return f"{field}?"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def parse_filter(field: str, values: Sequence[str]) -> TermFilter:
    """The filter for a match field; any of the values matches.

    Raises Malformed if the field is typed and a value is not of its type; KeyError if there
    is no such field.
    """
    if field in BOUNDS:
        return _bound(field, values)
    read, own = _READERS[field], "ref" if field == "relationships-all" else field
    names = {make_term(own, read(value)) for value in values}
    return TermFilter(field, tuple(sorted(names)), recheck_term=_unsure(own))


def _bound(field: str, values: Sequence[str]) -> TermFilter:
    """A bound; of several the widest one."""
    name, above = BOUNDS[field]
    scale = SCALES[name]
    read = _time if scale is _TIME else _integer
    bound = (min if above else max)(read(value) for value in values)
    beyond = scale.beyond(scale.bucket(bound), above=above)
    return TermFilter(
        field,
        tuple(sorted(f"{name}~{level}:{bucket}" for level, bucket in beyond)),
        boundary_term=_bucket(name, 0, bound),
        low=bound if above else None,
        high=None if above else bound,
        recheck_term=_unsure(f"{name}~"),
    )


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise Malformed("must be a whole number")
    return int(text)


def _time(text: str) -> int:
    return micros(text.replace(" ", "+"))  # a plus sign that was not encoded arrives as a blank


def _boolean(text: str) -> str:
    if text not in ("true", "false"):
        raise Malformed("must be true or false")
    return text


def _level(text: str) -> str:
    word = text.replace(" ", "+")
    words = {level.label: level.label for level in Tlp} | {"white": Tlp.CLEAR.label}
    if word not in words:
        raise Malformed("must be white, clear, green, amber, amber+strict or red")
    return words[word]


_READERS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys((*WORDS, *LISTS, *HASHES, *_PATHS, "relationships-all"), str),
    **dict.fromkeys(INTEGERS, lambda text: str(_integer(text))),
    "revoked": _boolean,
    "tlp": _level,
}
FIELDS = frozenset((*_READERS, *BOUNDS))
"""All fields of the five groups."""
