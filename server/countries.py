"""Countries by their ISO 3166-1 alpha-2 codes, as STIX has them (STIX 2.1 section 4.11).

Codes and English names come from MISP's galaxies; only their JSON is read.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

_NO_CODES = frozenset(("XK", "AN", "CS"))
"""In the galaxy but not in ISO 3166-1: one that users assigned, and two that were withdrawn."""
_MOST = 4


class _Meta(msgspec.Struct):
    alpha_2: str = msgspec.field(name="ISO")
    alpha_3: str = msgspec.field(name="ISO3")
    tld: str = ""


class _Value(msgspec.Struct):
    description: str
    meta: _Meta


class _Cluster(msgspec.Struct):
    values: list[_Value]


def country(text: str) -> str:
    """A country's code in capitals; empty if nothing is said.

    >>> country("us")
    'US'

    Raises ValueError, naming the code that seems to be meant.
    """
    code = text.strip().upper()
    if not code or code in _codes():
        return code
    meant = _meant(text)
    hint = f"; {' or '.join(meant)} seems to be meant" if meant else ", for instance US"
    raise ValueError(f"{text!r} is no ISO 3166-1 alpha-2 code: two letters{hint}")


def _meant(text: str) -> list[str]:
    """The codes with their names that somebody may mean who writes so, if they are few."""
    word = " ".join(text.replace(".", "").split()).casefold()
    exact = [each for each in _countries() if word in _words(each)]
    near = exact or [each for each in _countries() if len(word) > 3 and word in _name(each)]
    found = [f"{each.meta.alpha_2} ({each.description})" for each in near]
    return found if len(found) <= _MOST else []


def _words(each: _Value) -> tuple[str, ...]:
    """All that names a country and no other; `uk` is a domain."""
    return _name(each), each.meta.alpha_3.casefold(), each.meta.tld.lstrip(".") or _name(each)


def _name(each: _Value) -> str:
    return each.description.casefold()


@cache
def _codes() -> frozenset[str]:
    return frozenset(each.meta.alpha_2 for each in _countries())


@cache
def _countries() -> tuple[_Value, ...]:
    package = find_spec("pymispgalaxies")
    assert package is not None and package.origin is not None  # noqa: S101  (a dependency)
    file = Path(package.origin).parent / "data/misp-galaxy/clusters/country.json"
    values = msgspec.json.decode(file.read_bytes(), type=_Cluster).values
    return tuple(each for each in values if each.meta.alpha_2 not in _NO_CODES)
