"""Countries by their ISO 3166-1 alpha-2 codes, as in the `country` of a STIX location.

The 249 codes of the standard are in countries.csv, with the English names and the Internet domains
that MISP's galaxy of countries has.
"""

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_MAX_SUGGESTIONS = 4
_MIN_PART = 4
"""Letters of a name that a shorter text could match by chance."""


class Country(NamedTuple):
    """One line of countries.csv."""

    alpha_2: str
    alpha_3: str
    domain: str
    """The top-level domain without its dot; empty if there is none."""
    name: str


def parse_country(text: str) -> str:
    """A country's code in capitals; empty for an empty text.

    >>> parse_country("us")
    'US'

    Raises ValueError with the code that was probably meant.
    """
    code = text.strip().upper()
    if not code or any(code == country.alpha_2 for country in _countries()):
        return code
    probable = _suggest(text)
    hint = f"; did you mean {' or '.join(probable)}?" if probable else ", for instance US"
    raise ValueError(f"{text!r} is not an ISO 3166-1 alpha-2 code; use two letters{hint}")


def _suggest(text: str) -> list[str]:
    """Countries that are written so, or whose names contain the text; none if that fits many."""
    word = " ".join(text.replace(".", "").split()).casefold()
    exact = [country for country in _countries() if word in _spellings(country)]
    near = exact or [
        country
        for country in _countries()
        if len(word) >= _MIN_PART and word in country.name.casefold()
    ]
    return [f"{c.alpha_2} ({c.name})" for c in near] if len(near) <= _MAX_SUGGESTIONS else []


def _spellings(country: Country) -> Iterator[str]:
    """Name, alpha-3 code and domain: `uk` is the domain of GB."""
    return (each.casefold() for each in country[1:] if each)


@cache
def _countries() -> tuple[Country, ...]:
    with files("tocsin.server.partners").joinpath("countries.csv").open(encoding="utf-8") as lines:
        return tuple(Country(*row) for row in csv.reader(lines))[1:]
