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
    """A country's code in capitals, from its code or its English name; empty for an empty text.

    >>> parse_country("us"), parse_country("Portugal")
    ('US', 'PT')

    Raises ValueError with the code that was probably meant.
    """
    code = text.strip().upper()
    if not code or any(code == country.alpha_2 for country in _countries()):
        return code
    word = " ".join(text.replace(".", "").split()).casefold()
    exact = [country for country in _countries() if word in _spellings(country)]
    if len(exact) == 1:
        return exact[0].alpha_2
    probable = exact or _find_similar(word)
    names = " or ".join(f"{each.alpha_2} ({each.name})" for each in probable)
    hint = f"; did you mean {names}?" if probable else "; use a code, for instance US"
    raise ValueError(f"{text!r} is not the ISO 3166-1 code or English name of a country{hint}")


def _find_similar(word: str) -> list["Country"]:
    """Countries whose names contain a text; none if it fits many."""
    if len(word) < _MIN_PART:
        return []
    found = [country for country in _countries() if word in country.name.casefold()]
    return found if len(found) <= _MAX_SUGGESTIONS else []


def _spellings(country: Country) -> Iterator[str]:
    """Name, alpha-3 code and domain: `uk` is the domain of GB."""
    return (each.casefold() for each in country[1:] if each)


@cache
def _countries() -> tuple[Country, ...]:
    with files("tocsin.server.partners").joinpath("countries.csv").open(encoding="utf-8") as lines:
        return tuple(Country(*row) for row in csv.reader(lines))[1:]
