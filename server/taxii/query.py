"""Parsing of query strings (TAXII 2.1 section 3.4).

A malformed parameter is refused by its name.  A match field that an endpoint does not support is
ignored and reported to the reader, because ignoring it widens the answer; in DELETE, where it
would widen the deletion, it is refused.

The optional match filters are those of the TAXII 2.1 Interoperability Test Document 1.0,
section 3.13.2.  `match_filters.py` defines what each field means; here are only their limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import micros
from tocsin.server.model import Query, TermFilter, VersionKeyword
from tocsin.server.store.match_filters import FIELDS, parse_filter
from tocsin.server.taxii.page_token import parse_submission_token

MAX_FILTERS = 10
"""Maximum optional match filters in one request."""
MAX_VALUE = 4_096
"""Maximum characters of one value of theirs."""

INTEROP_PARAMETERS = {f"match[{field}]": field for field in FIELDS}
"""Their parameters, with the field of each."""


def parse_match_filters(
    given: Mapping[str, str], split: Callable[[str, str], list[str]]
) -> tuple[TermFilter, ...]:
    """The optional match filters, by name; `split` splits the values of a parameter.

    Raises Malformed, naming the parameter, unless there are too many of them.
    """
    own = sorted(name for name in given if name in INTEROP_PARAMETERS)
    if len(own) > MAX_FILTERS:
        raise Malformed(
            f"more than {MAX_FILTERS} filters of the interoperability document; use fewer"
        )
    return tuple(_match_filter(name, split(name, given[name])) for name in own)


def _match_filter(name: str, values: list[str]) -> TermFilter:
    if any(len(value) > MAX_VALUE for value in values):
        raise Malformed(f"{name}: a value is longer than {MAX_VALUE:,} characters")
    try:
        return parse_filter(INTEROP_PARAMETERS[name], values)
    except Malformed as error:
        raise Malformed(f"{name}: {error}") from error


MAX_VALUES = 500
"""Maximum values of one match field."""

ADDED_AFTER, LIMIT, NEXT = "added_after", "limit", "next"
ID, TYPE, VERSION, SPEC = "match[id]", "match[type]", "match[version]", "match[spec_version]"


class Endpoint(StrEnum):
    """The endpoints that take query parameters."""

    MANIFEST = "manifest"
    OBJECTS = "objects"
    OBJECT = "object"
    VERSIONS = "versions"
    DELETE = "delete"


_PAGED = frozenset({ADDED_AFTER, LIMIT, NEXT, SPEC})
PARAMETERS: dict[Endpoint, frozenset[str]] = {
    Endpoint.MANIFEST: _PAGED | {ID, TYPE, VERSION},
    Endpoint.OBJECTS: _PAGED | {ID, TYPE, VERSION},
    Endpoint.OBJECT: _PAGED | {VERSION},
    Endpoint.VERSIONS: _PAGED,
    Endpoint.DELETE: frozenset({VERSION, SPEC}),
}
"""The parameters of each endpoint (TAXII 2.1 sections 5.3 to 5.8)."""
INTEROP_ENDPOINTS = frozenset({Endpoint.MANIFEST, Endpoint.OBJECTS, Endpoint.OBJECT})
"""The endpoints that also take the optional match filters."""

_SINGLE = frozenset({ADDED_AFTER, LIMIT, NEXT})
_NUMBER = re.compile(r"0*([1-9][0-9]*)", re.ASCII)
_LIKE_A_FILTER = re.compile(
    r"match|[\[\]]|^(?:version|spec_version|limit|next|added_after)$", re.IGNORECASE
)
"""A parameter that selects objects, also a mistyped one."""
_NOT_IN_DELETE = f"not supported in DELETE, only {VERSION} and {SPEC} are; nothing was deleted"
_FIELD_NAME = re.compile(r"match\[[A-Za-z0-9_.-]{1,60}\]", re.ASCII)
_MAX_DIGITS = 15
_EARLIEST, _LATEST = micros("0001-01-01T00:00:00Z"), micros("9999-12-31T23:59:59.999999Z")


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """The parameters of a page request; `next` is not applied yet."""

    query: Query
    next: str | None = None
    ignored: tuple[str, ...] = ()
    """Match fields that were ignored; safe in a header."""


@dataclass(frozen=True, slots=True)
class DeleteQuery:
    """The versions of an object to delete."""

    keywords: frozenset[VersionKeyword] | None
    """None, and no `versions`: all versions."""
    versions: frozenset[int]
    specs: frozenset[str]


def parse_query(
    pairs: Iterable[tuple[str, str]],
    endpoint: Endpoint,
    page_size: int,
    page_cap: int,
    interop_filters: bool = True,
) -> ParsedQuery:
    """Parse the query string of an endpoint, given as its names and values in order.

    Raises Malformed, naming the parameter.
    """
    supported = PARAMETERS[endpoint]
    if interop_filters and endpoint in INTEROP_ENDPOINTS:
        supported |= INTEROP_PARAMETERS.keys()
    given, ignored = _split_supported(pairs, supported)
    keywords, versions = _parse_versions(given.get(VERSION))
    if endpoint is Endpoint.VERSIONS:
        keywords = frozenset({VersionKeyword.ALL})
    query = Query(
        limit=min(_parse_limit(given[LIMIT]) if LIMIT in given else page_size, page_cap),
        added_after=_parse_added_after(given[ADDED_AFTER]) if ADDED_AFTER in given else None,
        ids=_values(ID, given.get(ID)),
        types=_values(TYPE, given.get(TYPE)),
        specs=_values(SPEC, given.get(SPEC)),
        keywords=frozenset({VersionKeyword.LAST}) if keywords is None else keywords,
        versions=versions,
        filters=parse_match_filters(given, _split_values),
    )
    return ParsedQuery(query, given.get(NEXT), ignored)


def parse_submission_query(
    pairs: Iterable[tuple[str, str]], page_size: int, page_cap: int
) -> tuple[int, tuple[int, str] | None]:
    """The limit of a page of submissions, and the last one of the page before, if any.

    Raises Malformed, naming the parameter.
    """
    given, _ = _split_supported(pairs, frozenset({LIMIT, NEXT}))
    limit = min(_parse_limit(given[LIMIT]) if LIMIT in given else page_size, page_cap)
    return limit, parse_submission_token(given[NEXT]) if NEXT in given else None


def parse_delete_query(pairs: Iterable[tuple[str, str]]) -> DeleteQuery:
    """Parse the query string of a DELETE.

    Raises Malformed, naming the parameter; also for an unsupported filter, because ignoring it
    would delete more than was meant.
    """
    pairs = list(pairs)
    given, _ = _split_supported(pairs, PARAMETERS[Endpoint.DELETE])
    for name, _ in pairs:
        if name not in given and _LIKE_A_FILTER.search(name):
            raise Malformed(f"{_safe_name(name)}: {_NOT_IN_DELETE}")
    keywords, versions = _parse_versions(given.get(VERSION))
    return DeleteQuery(keywords, versions, _values(SPEC, given.get(SPEC)))


def _split_supported(
    pairs: Iterable[tuple[str, str]], supported: frozenset[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Supported parameters by name, and the match fields that are not supported."""
    seen: dict[str, str] = {}
    for name, value in pairs:
        if name in seen and (_is_match(name) or name in _SINGLE):
            advice = "give one value" if name in _SINGLE else "join the values with commas"
            raise Malformed(f"{_safe_name(name)}: given more than once; {advice}")
        seen[name] = value
    given = {name: value for name, value in seen.items() if name in supported}
    return given, tuple(_safe_name(name) for name in seen if _is_match(name) and name not in given)


def _is_match(name: str) -> bool:
    return name.startswith("match[") and name.endswith("]")


def _safe_name(name: str) -> str:
    return name if name in _SINGLE or _FIELD_NAME.fullmatch(name) else "match[?]"


def _parse_limit(text: str) -> int:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise Malformed("limit: must be a whole number greater than zero")
    return int(found[1][:_MAX_DIGITS])


def _parse_added_after(text: str) -> int:
    try:
        # The plus sign of a UTC offset that was not percent-encoded arrives as a space.
        stamp = micros(text.replace(" ", "+"))
    except Malformed as error:
        raise Malformed(f"{ADDED_AFTER}: {error}") from error
    return min(max(stamp, _EARLIEST), _LATEST)


def _values(name: str, text: str | None) -> frozenset[str]:
    return frozenset(_split_bare_values(name, text)) if text is not None else frozenset()


def _split_bare_values(name: str, text: str) -> list[str]:
    values = _split_values(name, text)
    if any(c.isspace() for c in text):
        raise Malformed(f"{name}: must be values joined by commas, without spaces")
    return values


def _split_values(name: str, text: str) -> list[str]:
    """Split at commas; values may contain spaces."""
    values = text.split(",")
    if len(values) > MAX_VALUES:
        raise Malformed(f"{name}: more than {MAX_VALUES} values; send several requests")
    if not all(values):
        raise Malformed(f"{name}: must be values joined by commas, none of them empty")
    return values


def _parse_versions(text: str | None) -> tuple[frozenset[VersionKeyword] | None, frozenset[int]]:
    """Keywords and exact versions (µs since 1970 UTC); keywords are None without the parameter."""
    if text is None:
        return None, frozenset()
    values = _split_bare_values(VERSION, text.replace(" ", "+"))
    words = [value for value in values if value in set(VersionKeyword)]
    if len(words) > len(set(words)):
        raise Malformed(f"{VERSION}: a keyword is given twice")
    if VersionKeyword.ALL in words and len(values) > 1:
        raise Malformed(f"{VERSION}: all cannot be combined with other versions")
    instants = frozenset(_parse_instant(value) for value in values if value not in words)
    return frozenset(VersionKeyword(word) for word in words), instants


def _parse_instant(text: str) -> int:
    try:
        return micros(text)
    except Malformed as error:
        raise Malformed(f"{VERSION}: must be last, first, all or a timestamp; {error}") from error
