"""Find persons and postal addresses in a text with the model, in a bounded process.

The results of passages are remembered, because descriptions repeat.  A passage that cannot be
read within the limits has no result.  No network is used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from tocsin.admission.bounded_process import BoundedTask, Limits, RememberedResults, is_supported
from tocsin.admission.detectors.spans import Span
from tocsin.admission.errors import Unavailable
from tocsin.admission.recogniser.passages import find_passages
from tocsin.admission.recogniser.program import DISTRIBUTION
from tocsin.admission.recogniser.spans import Reading, find_spans

log = logging.getLogger(__name__)

LIMITS = Limits(seconds=5.0, memory=1_500_000_000, answer=1_000_000)
"""Limits for one passage; measured: 0.05 s, 230 MB of address space of which 85 MB are used."""
_REMEMBERED = 8192
_NEEDED = ("numpy", "onnxruntime", DISTRIBUTION)

ReadPassage = Callable[[str, str], Sequence[Span]]
"""The spans in a passage; the second argument is the partner that is served."""


@cache
def is_installed() -> bool:
    """True if the extra is installed, on a system that can limit processes."""
    return is_supported() and all(importlib.util.find_spec(name) for name in _NEEDED)


def check_installation() -> None:
    """Read a passage.  Raises Unavailable if the libraries or the weights cannot be used."""
    [outcome] = _task().run([b"Jane Doe of Springfield"])
    if outcome.exceeded:
        raise Unavailable(f"the recogniser exceeds its limits: {outcome.exceeded}")


def read_passage(passage: str, owner: str) -> Sequence[Span]:
    """The persons and postal addresses in a passage.

    Raises Unavailable if the system is too busy, or if the libraries cannot be loaded.
    """
    key = hashlib.sha256(passage.encode("utf-8", "replace")).digest()
    found = _RESULTS.find(key)
    if found is None:
        found = _compute(passage, owner)
        _RESULTS.keep(key, found)
    return found


def find_recognised(text: str) -> list[Span]:
    """The persons and postal addresses in a text."""
    return [
        Span(start + span.start, start + span.end, span.what)
        for start, passage in find_passages(text)
        for span in read_passage(passage, "")
    ]


def _compute(passage: str, owner: str) -> tuple[Span, ...]:
    [outcome] = _task().run([passage.encode("utf-8", "replace")], owner)
    if outcome.exceeded:
        log.warning("the recogniser could not read a passage: %s", outcome.exceeded)
        return ()
    readings = msgspec.json.decode(outcome.content, type=list[Reading])
    return tuple(find_spans(passage, readings))


@cache
def _task() -> BoundedTask:
    return BoundedTask("tocsin.admission.recogniser.program", LIMITS)


_RESULTS: RememberedResults[tuple[Span, ...]] = RememberedResults(_REMEMBERED)
