"""Audiences: the countries and sectors to which something may go."""

import pytest

from tocsin.admission.markings.audience import EVERYBODY, Audience, audience_of, parse_audience


def only(countries: str = "", sectors: str = "") -> Audience:
    """An audience of words that spaces separate; empty: all."""
    return Audience(
        frozenset(countries.split()) if countries else None,
        frozenset(sectors.split()) if sectors else None,
    )


NOBODY = Audience(frozenset())


@pytest.mark.parametrize(
    ("wide", "narrow", "included"),
    [
        (EVERYBODY, EVERYBODY, True),
        (EVERYBODY, only("DE"), True),
        (only("DE FR"), only("DE"), True),
        (only("DE FR"), only("DE FR", "energy"), True),
        (only("DE"), only("DE FR"), False),
        (only("DE"), EVERYBODY, False),
        (only("DE"), only("", "energy"), False),
        (only("DE", "energy"), only("DE"), False),
        (NOBODY, only("DE"), False),
    ],
)
def test_an_audience_includes_those_that_are_within_both_bounds(
    wide: Audience, narrow: Audience, included: bool
) -> None:
    assert wide.includes(narrow) is included


@pytest.mark.parametrize(
    ("audience", "belongs"),
    [
        (EVERYBODY, True),
        (only("DE FR"), True),
        (only("FR"), False),
        (only("", "water energy"), True),
        (only("", "water"), False),
        (only("DE", "water"), False),
    ],
)
def test_a_member_is_of_one_of_the_countries_and_of_one_of_the_sectors(
    audience: Audience, belongs: bool
) -> None:
    assert audience.has("DE", ("energy", "transport")) is belongs


def test_one_without_a_country_is_in_no_bounded_audience() -> None:
    assert not only("DE").has("", ())
    assert not NOBODY.has("", ())


def test_what_two_allow_is_what_both_have() -> None:
    assert only("DE FR").intersect(only("FR", "energy")) == only("FR", "energy")
    assert only("DE").intersect(only("FR")) == NOBODY


@pytest.mark.parametrize("audience", [EVERYBODY, NOBODY, only("DE FR"), only("DE", "energy water")])
def test_a_scope_has_the_audience_as_it_was(audience: Audience) -> None:
    part = audience.as_scope()
    assert parse_audience(part) == audience
    assert audience_of("|".join(filter(None, ("green", "marking-definition--1", part)))) == audience
