"""Memo for results that depend only on the lists and dictionaries of an object.

The objects of a feed differ in their ids, times and patterns; in labels, kill chain
phases, markings and references they repeat each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

import orjson

from tocsin.admission.model import StixObject

_T = TypeVar("_T")

_LONGEST = 1024
"""Octets of JSON up to which an answer is remembered; longer ones seldom come again."""
_MOST = 128
"""Answers that are remembered of each walk.  One may take 100 KiB, and each partner has walks of
its own; in our data 512 of them would be asked in vain no less often than 128."""


def nested_properties(subject: StixObject) -> StixObject:
    """The object's type, and those of its properties that are lists or dictionaries."""
    found = {"type": subject.get("type")}
    for name, value in subject.items():
        if type(value) is str:
            continue  # most are; to ask this first halves the time
        if type(value) is list or type(value) is dict:
            found[name] = value
    return found


def memoize_nested(
    walk: Callable[[StixObject], Iterable[_T]],
) -> Callable[[StixObject], tuple[_T, ...]]:
    """Decorator: remember what `walk` finds in the nested properties of an object.

    `walk` must read nothing but `nested_properties`, and no caller may change its results.
    """

    @lru_cache(maxsize=_MOST)
    def known(spelt: bytes) -> tuple[_T, ...]:
        return tuple(walk(orjson.loads(spelt)))

    def found(subject: StixObject) -> tuple[_T, ...]:
        last, spelt = _last
        if last is not subject:
            spelt = _spelt(subject)
        return known(spelt) if spelt else tuple(walk(nested_properties(subject)))

    return found


def _spelt(subject: StixObject) -> bytes:
    """The nested properties as JSON; empty if that is too long or impossible."""
    global _last  # noqa: PLW0603
    try:
        spelt = orjson.dumps(nested_properties(subject))
    except (TypeError, RecursionError):  # a number beyond 64 bits, half a character
        spelt = b""
    if len(spelt) > _LONGEST:
        spelt = b""
    _last = subject, spelt
    return spelt


_last: tuple[StixObject | None, bytes] = (None, b"")
"""The last object and what it says: stage after stage asks for the same, and none changes it."""
