"""Memo for results that depend only on the lists and dictionaries of an object.

The objects of a feed differ in their ids, times and patterns; their labels, kill chain
phases, markings and references repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

import orjson

from tocsin.admission.model import StixObject

_T = TypeVar("_T")

_MAX_OCTETS = 1024
"""Maximum length of the JSON of which results are cached; longer ones seldom repeat."""
_CACHE_SIZE = 128
"""Cached results per function.  One may take 100 KiB, and each partner has its own functions; in
our data a cache of 512 has no more hits than one of 128."""


def nested_properties(subject: StixObject) -> StixObject:
    """The object's type, and those of its properties that are lists or dictionaries."""
    memoized = {"type": subject.get("type")}
    for name, value in subject.items():
        if type(value) is str:
            continue  # most are; testing this first halves the time
        if type(value) is list or type(value) is dict:
            memoized[name] = value
    return memoized


def memoize_nested(
    walk: Callable[[StixObject], Iterable[_T]],
) -> Callable[[StixObject], tuple[_T, ...]]:
    """Decorator: cache the results of `walk` for the nested properties of an object.

    `walk` must read only `nested_properties`, and callers must not change its results.
    """

    @lru_cache(maxsize=_CACHE_SIZE)
    def cached(encoded: bytes) -> tuple[_T, ...]:
        return tuple(walk(_decode_nested(encoded)))

    def memoized(subject: StixObject) -> tuple[_T, ...]:
        last, encoded = _last
        if last is not subject:
            last, encoded = _last_decoded
        if last is not subject:
            encoded = _encode_nested(subject)
        return cached(encoded) if encoded else tuple(walk(nested_properties(subject)))

    return memoized


def _encode_nested(subject: StixObject) -> bytes:
    """The nested properties as JSON; empty if that is too long or impossible."""
    global _last  # noqa: PLW0603
    try:
        encoded = orjson.dumps(nested_properties(subject))
    except (TypeError, RecursionError):  # a number beyond 64 bits, half a character
        encoded = b""
    if len(encoded) > _MAX_OCTETS:
        encoded = b""
    _last = subject, encoded
    return encoded


def _decode_nested(encoded: bytes) -> StixObject:
    """The nested properties in some JSON."""
    global _last_decoded  # noqa: PLW0603
    subject, last = _last_decoded
    if subject is None or last != encoded:
        subject = orjson.loads(encoded)
        _last_decoded = subject, encoded
    return subject


_last: tuple[StixObject | None, bytes] = (None, b"")
"""The last object and its encoding: consecutive stages examine the same unchanged object."""
_last_decoded: tuple[StixObject | None, bytes] = (None, b"")
"""The last nested properties that were decoded: where nothing is cached of an object, one function
after the other needs them, and those that a function asks in turn get them, too."""
