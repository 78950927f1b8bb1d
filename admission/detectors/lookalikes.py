"""Host names that are made to look like another.

What an eye takes for the same letter counts as the same: `acrne`, one with a Cyrillic
letter, `acm3`, `a-c-m-e`, and all of them inside a longer name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_SAME = str.maketrans(
    "0135789!|"  # digits and signs
    "\u0456\u0458\u0430\u0435\u043e\u0440\u0441"  # Cyrillic
    "\u0443\u0445\u0455\u0501\u04bb\u04cf\u051b\u051d"
    "\u0131\u03f3\u0261\u03b1\u03bf"  # dotless i, script g, Greek
    "\u03c1\u03bd\u03b9\u03ba\u03c4\u03c5",
    "olestbgllljaeopcyxsdhlqwljgaopvlktu",
)
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_HOST = re.compile(r"(?:[\w-]{1,63}\.){1,10}[\w-]{2,63}")
_FEWEST = 5


@lru_cache(maxsize=4096)
def skeleton(label: str) -> str:
    """A label as an eye sees it; `i`, `l` and `1` are one letter.

    >>> skeleton("AcrNe-c0rp")
    'acmecorp'
    """
    plain = _unicode(label.lower())
    plain = unicodedata.normalize("NFKD", plain)
    return _folded("".join(c for c in plain if not unicodedata.combining(c)))


def skeletons(domains: Iterable[str]) -> frozenset[str]:
    """What to look for: of each domain the longest label but the last, if it is long enough."""
    names = (max(domain.split(".")[:-1], key=len) for domain in domains if "." in domain)
    return frozenset(s for s in map(skeleton, names) if len(s) >= _FEWEST)


def lookalike(value: str, wanted: frozenset[str]) -> bool:
    """Whether a label of a host in the value looks like one wanted, or holds it."""
    if not wanted or (value.isascii() and _nowhere(value, wanted)):
        return False
    hosts = (label for host in _HOST.findall(value) for label in host.split("."))
    return any(any(each in skeleton(label) for each in wanted) for label in hosts)


def _nowhere(value: str, wanted: frozenset[str]) -> bool:
    """Whether the value as a whole holds nothing that looks like it: most do not."""
    plain = value.lower()
    if "xn--" in plain or "!" in plain or "|" in plain:  # letters to `_folded`, ends of a label
        return False
    whole = _folded(plain)
    for each in wanted:  # noqa: SIM110  half the time of any()
        if each in whole:
            return False
    return True


def _folded(plain: str) -> str:
    plain = plain.translate(_SAME).replace("i", "l").replace("-", "").replace("_", "")
    for pair, one in _PAIRS:
        plain = plain.replace(pair, one)
    return plain


def _unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError):
        return label
