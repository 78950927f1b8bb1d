"""The query string, understood (TAXII 2.1 section 3.4).

What is malformed is refused, by the parameter's name.  A match field that an
endpoint does not know is left out and told to the reader, because leaving it
out widens the answer; where it would widen a deletion it is refused.

The optional match filters of the interoperability document, as they are spelt in a URL.

TAXII 2.1 Interoperability Test Document 1.0, section 3.13.2.  What each field
means is decided in `facets.py`; here only how many and what is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import micros
from tocsin.server.index_terms import FIELDS, parse_filter
from tocsin.server.model import Query, TermFilter, VersionKeyword

MAX_FILTERS = 10
"""Filters of this kind in one request."""
MAX_VALUE = 4_096
"""Characters of one value."""

NAMES = {f"match[{field}]": field for field in FIELDS}
"""The parameters."""


def understood(
    given: Mapping[str, str], listed: Callable[[str, str], list[str]]
) -> tuple[TermFilter, ...]:
    """What is asked, in order of the fields; `listed` divides a parameter's values.

    Raises Malformed, naming the parameter.
    """
    own = sorted(name for name in given if name in NAMES)
    if len(own) > MAX_FILTERS:
        raise Malformed(f"{own[MAX_FILTERS]}: more than {MAX_FILTERS} filters; ask for less")
    return tuple(_understood(name, listed(name, given[name])) for name in own)


def _understood(name: str, values: list[str]) -> TermFilter:
    if any(len(value) > MAX_VALUE for value in values):
        raise Malformed(f"{name}: a value is longer than {MAX_VALUE:,} characters")
    try:
        return parse_filter(NAMES[name], values)
    except Malformed as error:
        raise Malformed(f"{name}: {error}") from error


MAX_VALUES = 500
"""Values that one field may list."""

ADDED_AFTER, LIMIT, NEXT = "added_after", "limit", "next"
ID, TYPE, VERSION, SPEC = "match[id]", "match[type]", "match[version]", "match[spec_version]"


class Endpoint(StrEnum):
    """What is filtered."""

    MANIFEST = "manifest"
    OBJECTS = "objects"
    OBJECT = "object"
    VERSIONS = "versions"
    DELETE = "delete"


_PAGED = frozenset({ADDED_AFTER, LIMIT, NEXT, SPEC})
KNOWN: dict[Endpoint, frozenset[str]] = {
    Endpoint.MANIFEST: _PAGED | {ID, TYPE, VERSION},
    Endpoint.OBJECTS: _PAGED | {ID, TYPE, VERSION},
    Endpoint.OBJECT: _PAGED | {VERSION},
    Endpoint.VERSIONS: _PAGED,
    Endpoint.DELETE: frozenset({VERSION, SPEC}),
}
"""The parameters of each endpoint (TAXII 2.1 sections 5.3 to 5.8)."""
INTEROP = frozenset({Endpoint.MANIFEST, Endpoint.OBJECTS, Endpoint.OBJECT})
"""The endpoints that also take the filters of `interop.py`."""

_SINGLE = frozenset({ADDED_AFTER, LIMIT, NEXT})
_NUMBER = re.compile(r"0*([1-9][0-9]*)", re.ASCII)
_FIELD_NAME = re.compile(r"match\[[A-Za-z0-9_.-]{1,60}\]", re.ASCII)
_MAX_DIGITS = 15
_EARLIEST, _LATEST = micros("0001-01-01T00:00:00Z"), micros("9999-12-31T23:59:59.999999Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as asked, before `next` moved it."""

    query: Query
    next: str | None = None
    ignored: tuple[str, ...] = ()
    """Match fields that were left out; safe to show in a header."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """Which versions of an object are to be deleted."""

    keywords: frozenset[VersionKeyword] | None
    """None, and no `versions`: all."""
    versions: frozenset[int]
    specs: frozenset[str]


def asked(
    pairs: Iterable[tuple[str, str]],
    endpoint: Endpoint,
    page_size: int,
    page_cap: int,
    interop_filters: bool = True,
) -> Asked:
    """What a reader asks of an endpoint, from the query string's names and values in order.

    Raises Malformed, naming the parameter.
    """
    own = KNOWN[endpoint]
    if interop_filters and endpoint in INTEROP:
        own |= NAMES.keys()
    given, ignored = _given(pairs, own)
    keywords, versions = _versions(given.get(VERSION))
    if endpoint is Endpoint.VERSIONS:
        keywords = frozenset({VersionKeyword.ALL})
    query = Query(
        limit=min(_limit(given[LIMIT]) if LIMIT in given else page_size, page_cap),
        added_after=_added_after(given[ADDED_AFTER]) if ADDED_AFTER in given else None,
        ids=_values(ID, given.get(ID)),
        types=_values(TYPE, given.get(TYPE)),
        specs=_values(SPEC, given.get(SPEC)),
        keywords=frozenset({VersionKeyword.LAST}) if keywords is None else keywords,
        versions=versions,
        filters=understood(given, _divided),
    )
    return Asked(query, given.get(NEXT), ignored)


def doomed(pairs: Iterable[tuple[str, str]]) -> Doomed:
    """Which versions a DELETE means.

    Raises Malformed, naming the parameter; also for a filter that is not known
    here, since to ignore it would delete more than was meant.
    """
    pairs = list(pairs)
    given, _ = _given(pairs, KNOWN[Endpoint.DELETE])
    for name, _ in pairs:
        if name not in given and (_is_match(name) or name in _SINGLE):
            raise Malformed(f"{_safe(name)}: not a filter of DELETE; nothing was deleted")
    keywords, versions = _versions(given.get(VERSION))
    return Doomed(keywords, versions, _values(SPEC, given.get(SPEC)))


def _given(
    pairs: Iterable[tuple[str, str]], known: frozenset[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """An endpoint's own parameters by name, and the match fields that are not its own."""
    seen: dict[str, str] = {}
    for name, value in pairs:
        if name in seen and (_is_match(name) or name in _SINGLE):
            raise Malformed(f"{_safe(name)}: may be given only once; join values with commas")
        seen[name] = value
    own = {name: value for name, value in seen.items() if name in known}
    return own, tuple(_safe(name) for name in seen if _is_match(name) and name not in own)


def _is_match(name: str) -> bool:
    return name.startswith("match[") and name.endswith("]")


def _safe(name: str) -> str:
    return name if name in _SINGLE or _FIELD_NAME.fullmatch(name) else "match[?]"


def _limit(text: str) -> int:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise Malformed("limit: must be a whole number greater than zero")
    return int(found[1][:_MAX_DIGITS])


def _added_after(text: str) -> int:
    try:
        # An offset's plus sign that was not percent-encoded arrives as a blank.
        stamp = micros(text.replace(" ", "+"))
    except Malformed as error:
        raise Malformed(f"{ADDED_AFTER}: {error}") from error
    return min(max(stamp, _EARLIEST), _LATEST)


def _values(name: str, text: str | None) -> frozenset[str]:
    return frozenset(_listed(name, text)) if text is not None else frozenset()


def _listed(name: str, text: str) -> list[str]:
    values = _divided(name, text)
    if any(c.isspace() for c in text):
        raise Malformed(f"{name}: must be values joined by commas, without blanks")
    return values


def _divided(name: str, text: str) -> list[str]:
    """The values of a field, which may hold blanks."""
    values = text.split(",")
    if len(values) > MAX_VALUES:
        raise Malformed(f"{name}: more than {MAX_VALUES} values; ask in several requests")
    if not all(values):
        raise Malformed(f"{name}: must be values joined by commas, none of them empty")
    return values


def _versions(text: str | None) -> tuple[frozenset[VersionKeyword] | None, frozenset[int]]:
    """Keywords and exact instants; no keywords at all (None) if nothing was asked."""
    if text is None:
        return None, frozenset()
    values = _listed(VERSION, text.replace(" ", "+"))
    words = [value for value in values if value in set(VersionKeyword)]
    if len(words) > len(set(words)):
        raise Malformed(f"{VERSION}: names a keyword twice")
    if VersionKeyword.ALL in words and len(values) > 1:
        raise Malformed(f"{VERSION}: all stands alone")
    instants = frozenset(_instant(value) for value in values if value not in words)
    return frozenset(VersionKeyword(word) for word in words), instants


def _instant(text: str) -> int:
    try:
        return micros(text)
    except Malformed as error:
        raise Malformed(f"{VERSION}: last, first, all or a timestamp; {error}") from error
