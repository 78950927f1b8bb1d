"""Look-alike domains: host names made to be mistaken for another one.

Characters that the eye confuses count as the same: `acrne`, a Cyrillic letter, `acm3`,
`a-c-m-e`, also inside a longer name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from tocsin.admission.detectors.disguises import fold_letters
from tocsin.admission.lazy_patterns import compile_lazily

_CONFUSABLE = str.maketrans("0135789!|", "olestbgll")
"""Digits and signs; `fold_letters` has the letters of other scripts."""
_CONFUSABLE_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_HOST = compile_lazily(r"(?:[\w-]{1,63}\.){1,10}[\w-]{2,63}")
_SHORTEST = 5
"""Domains with a shorter label would look like too many others."""


@lru_cache(maxsize=4096)
def skeleton(label: str) -> str:
    """A label of a host name with confusable characters unified; `i`, `l` and `1` are one.

    >>> skeleton("AcrNe-c0rp")
    'acmecorp'
    """
    return _unify(fold_letters(_decode_punycode(label.lower())).lower())


def skeletons(domains: Iterable[str]) -> frozenset[str]:
    """The skeletons to look for: of each domain the longest label but the last, if long enough."""
    names = (max(domain.split(".")[:-1], key=len) for domain in domains if "." in domain)
    return frozenset(s for s in map(skeleton, names) if len(s) >= _SHORTEST)


def holds_lookalike(value: str, protected: frozenset[str]) -> bool:
    """True if a label of a host name in the value holds one of the skeletons."""
    if not protected or (value.isascii() and not _may_hold_lookalike(value, protected)):
        return False
    labels = (label for host in _HOST.findall(value) for label in host.split("."))
    return any(any(each in skeleton(label) for each in protected) for label in labels)


def _may_hold_lookalike(value: str, protected: frozenset[str]) -> bool:
    """Check the value as a whole, which is cheap and rules out most values."""
    plain = value.lower()
    if "xn--" in plain or "!" in plain or "|" in plain:  # `_unify` takes signs for letters
        return True
    unified = _unify(plain)
    for each in protected:  # noqa: SIM110  any() takes twice the time
        if each in unified:
            return True
    return False


def _unify(plain: str) -> str:
    plain = plain.translate(_CONFUSABLE).replace("i", "l").replace("-", "").replace("_", "")
    for pair, one in _CONFUSABLE_PAIRS:
        plain = plain.replace(pair, one)
    return plain


def _decode_punycode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError):
        return label
