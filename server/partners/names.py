"""The names of partners, and the names that are masked for them: their form and length."""

from __future__ import annotations

from tocsin.admission.errors import Malformed
from tocsin.admission.policy import SLUG
from tocsin.server.model import Partner

_LONGEST_NAME = 200
"""Characters of a name or term of a partner."""
_USUAL_LENGTH = 3
"""Characters below which a term is found in many texts."""


def check_slug(text: str) -> None:
    """Raise Malformed if a short name or alias is not of the right form."""
    if not SLUG.fullmatch(text):
        raise Malformed(f"{text!r} must be 1 to 63 lower-case letters, digits or hyphens")


def check_name_and_group(partner: Partner) -> None:
    """Raise Malformed if the name is empty or has hidden characters, or the group is malformed."""
    if partner.group:
        check_slug(partner.group)
    if not partner.name.strip():
        raise Malformed("the name is empty: give the partner's name")
    if not partner.name.isprintable():
        raise Malformed("the name has hidden characters: write it without")


def check_masks(partner: Partner) -> None:
    """Raise Malformed if the name or a term is too long, or has nothing that could be masked."""
    for each in (partner.name, *partner.terms):
        if len(each) > _LONGEST_NAME:
            raise Malformed(f"{each[:40]!r}… is longer than {_LONGEST_NAME} characters: shorten it")
        if not any(map(str.isalnum, each)):
            raise Malformed(f"{each!r} has no letter or digit: give a name or term with some")


def find_short_terms(partner: Partner) -> list[str]:
    """The names and terms that are so short that they mask parts of many texts."""
    return [each for each in (partner.name, *partner.terms) if len(each.strip()) < _USUAL_LENGTH]
