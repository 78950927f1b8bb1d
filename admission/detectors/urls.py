"""URLs in a text, in every notation: escaped in JSON, defanged, of any scheme; request targets."""

from __future__ import annotations

import re
from functools import lru_cache

from tocsin.admission.lazy_patterns import compile_lazily

_URL = compile_lazily(
    r"""\b[a-z][a-z0-9+.-]{1,12}(?:|\[)(?::|\[:\]|:\])(?://|\\/\\/)[^\s<>"'`]{3,4096}""", re.I
)


@lru_cache(maxsize=4)  # several detectors ask in turn about the same text
def find_urls(text: str) -> tuple[tuple[int, str], ...]:
    """Each URL with the place where it begins."""
    if "/" not in text:  # every URL has one
        return ()
    return tuple((found.start(), found[0]) for found in _URL.finditer(text))


_TARGET = compile_lazily(r"""(?<![^\s"'])/[^\s<>"'`?]{0,2048}\?[^\s<>"'`]{3,4096}""")


@lru_cache(maxsize=4)
def find_request_targets(text: str) -> tuple[tuple[int, str], ...]:
    """Each relative URL with a query, as in a request of HTTP, with the place where it begins."""
    if "?" not in text or "/" not in text:
        return ()
    return tuple((found.start(), found[0]) for found in _TARGET.finditer(text))


def path_start(url: str) -> int:
    """The index at which path, query or fragment of a URL begin; -1 if it has none."""
    host = url.find("//") + 2
    return min((at for at in (url.find(mark, host) for mark in "/?#") if at >= 0), default=-1)
