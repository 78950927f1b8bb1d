"""The countries and sectors to which something may go.

A feed declares the audience that it serves; the terms of a partner name the audience to which its
data may go.  The latter is part of the sharing scope of what it sends, so that nothing of it is
merged into what others may read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_SIGN = "to:"
_ALL = "*"


@dataclass(frozen=True, slots=True)
class Audience:
    """Everybody of one of the countries who also is of one of the sectors."""

    countries: frozenset[str] | None = None
    """ISO 3166-1 alpha-2 codes; None: all.  Empty: none, as with sectors."""
    sectors: frozenset[str] | None = None
    """None: all."""

    @property
    def is_everybody(self) -> bool:
        """True without any bound."""
        return self.countries is None and self.sectors is None

    def has(self, country: str, sectors: Iterable[str]) -> bool:
        """True if an organisation of a country and some sectors belongs to it."""
        return (self.countries is None or country in self.countries) and (
            self.sectors is None or not self.sectors.isdisjoint(sectors)
        )

    def includes(self, other: Audience) -> bool:
        """True if all who belong to the other audience belong to this one."""
        return _includes(self.countries, other.countries) and _includes(self.sectors, other.sectors)

    def intersect(self, other: Audience) -> Audience:
        """The audience of all who belong to both."""
        return Audience(
            _intersect(self.countries, other.countries), _intersect(self.sectors, other.sectors)
        )

    def as_scope(self) -> str:
        """The audience as part of a sharing scope; empty for everybody.

        >>> Audience(frozenset({"DE", "FR"})).as_scope()
        'to:DE,FR:*'
        """
        if self.is_everybody:
            return ""
        parts = (self.countries, self.sectors)
        return _SIGN + ":".join(_ALL if each is None else ",".join(sorted(each)) for each in parts)


EVERYBODY = Audience()


def audience_of(scope: str) -> Audience:
    """The audience that a sharing scope allows.

    >>> audience_of("green|to:DE:energy").sectors
    frozenset({'energy'})
    """
    parts = scope.split("|")[1:] if "|" in scope else ()
    return parse_audience(next((part for part in parts if part.startswith(_SIGN)), ""))


def parse_audience(part: str) -> Audience:
    """The inverse of `Audience.as_scope`."""
    if not part:
        return EVERYBODY
    countries, sectors = map(_parse, part.removeprefix(_SIGN).split(":"))
    return Audience(countries, sectors)


def _parse(words: str) -> frozenset[str] | None:
    return None if words == _ALL else frozenset(filter(None, words.split(",")))


def _includes(wide: frozenset[str] | None, narrow: frozenset[str] | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)


def _intersect(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
