"""Names in a MISP event that must not be shared: organisations, creator, victims, persons.

Comments mention them as well, so they are masked in all texts of the event.  The
sanitising rules find other personal data, but do not know these names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tocsin.admission.formats.misp.attribute_types import is_private_type
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject

MASK = "[removed: name or victim]"
_SENDERS = frozenset(("Org", "Orgc", "Organisation"))
_NAMED = _SENDERS | {"event_creator_email", "creator_email", "org", "orgc", "reporter"}
_NOBODY = frozenset(("misp",))
"""Names that identify nobody: every galaxy belongs to an organisation called MISP."""
_NAME_RELATIONS = frozenset(("alias", "name", "username", "user", "portrait-name"))
_PERSON_OBJECTS = frozenset(("person", "victim", "employee", "organization", "legal-entity"))
_NO_NAMES = frozenset(("gender", "nationality", "email-body", "email-header"))
_PUNCTUATION = compile_lazily(r"\A[\W_]+|[\W_]+\Z")
_JOINS = dict.fromkeys(map(ord, "\t\n\xa0_-\u2010\u2011\u2013"), " ")
"""Characters between the words of a name, replaced by a space."""
_SHORTEST, _LONGEST, _MOST, _MOST_LETTERS = 3, 200, 300, 10_000
_SHORTEST_IN_LINK = 5
LONGEST_TEXT = 2_000
"""Characters of a text that are shared."""
_CONTROL = compile_lazily(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PrivateNames:
    """The names of an event that must not be shared."""

    terms: re.Pattern[str] | None = None
    """Matches the names in texts; None if the event has no names."""
    attacked: frozenset[str] = frozenset()
    """Senders and victims in lower case: never an indicator."""
    senders: tuple[str, ...] = ()
    """The names of the senders, letters and digits only, in lower case."""

    too_many: bool = False
    """True if they are too many to search for; then no text is shared at all."""

    def mask(self, text: object) -> str:
        """The text with the names masked; empty if it is not text."""
        if not isinstance(text, str) or self.too_many:
            return ""
        plain = _CONTROL.sub(" ", text[: 2 * LONGEST_TEXT]).strip()
        parts: list[str] = []
        at = 0
        for found in self.terms.finditer(plain.translate(_JOINS)) if self.terms else ():
            parts += (plain[at : found.start()], MASK)
            at = found.end()
        return "".join((*parts, plain[at:]))[:LONGEST_TEXT]

    def occur_in(self, label: str) -> bool:
        """True if a label or URL holds one of the names, or a sender's name in one word."""
        found = self.terms is not None and self.terms.search(label.translate(_JOINS)) is not None
        letters = "".join(filter(str.isalnum, label.lower()))
        return found or self.too_many or any(each in letters for each in self.senders)


def find_private_names(
    body: StixObject, attributes: Iterable[tuple[str, StixObject]]
) -> PrivateNames:
    """The names in an event, and in its proposals.

    `attributes` are pairs (name of its object, attribute), which are read once.
    """
    senders = dict.fromkeys(_find_senders(body))
    victims: dict[str, str] = {}
    proposed = dict(_find_proposed_victims(body))
    for owner, attribute in attributes:
        senders.update(dict.fromkeys(_find_senders(attribute)))
        victims.update(_find_victims(owner, attribute))
        proposed.update(_find_proposed_victims(attribute))
    return _combine([each for each in senders if each.lower() not in _NOBODY], victims | proposed)


def _combine(senders: Sequence[str], victims: Mapping[str, str]) -> PrivateNames:
    """`victims`: the names of victims, each with the type of its attribute."""
    found = {_PUNCTUATION.sub("", each) for each in (*senders, *victims)}
    terms = [term for term in found if _SHORTEST <= len(term) <= _LONGEST]
    attacked = [*senders, *(value for value, kind in victims.items() if kind.startswith("target"))]
    if not terms:
        return PrivateNames()
    if len(terms) > _MOST or sum(map(len, terms)) > _MOST_LETTERS:
        return PrivateNames(attacked=frozenset(each.lower() for each in attacked), too_many=True)
    either = "|".join(map(re.escape, _spelling_variants(terms)))
    pattern = re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", re.IGNORECASE)
    squeezed = dict.fromkeys("".join(filter(str.isalnum, each.lower())) for each in senders)
    return PrivateNames(
        pattern,
        frozenset(each.lower() for each in attacked),
        tuple(each for each in squeezed if len(each) >= _SHORTEST_IN_LINK),
    )


def _spelling_variants(terms: Iterable[str]) -> list[str]:
    """The names with spaces between their words and without, the longest first."""
    spaced = [" ".join(term.translate(_JOINS).split()) for term in terms]
    whole = (each.replace(" ", "") for each in spaced)
    found = {*spaced, *(each for each in whole if len(each) >= _SHORTEST_IN_LINK)}
    return sorted(found, key=lambda term: (-len(term), term))


def _find_senders(part: object) -> Iterator[str]:
    """Organisations and creators, including those of related events and sightings."""
    if isinstance(part, list):
        for each in part:
            yield from _find_senders(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name in _SENDERS and isinstance(value, dict) and isinstance(value.get("name"), str):
                yield value["name"].strip()
            elif name in _NAMED and isinstance(value, str):
                yield value.strip()
            elif isinstance(value, dict | list):
                yield from _find_senders(value)


def _find_victims(owner: str, attribute: StixObject) -> Iterator[tuple[str, str]]:
    """The value of an attribute on people and victims, with its type."""
    kind, value = attribute.get("type"), attribute.get("value")
    if not isinstance(kind, str) or not isinstance(value, str):
        return
    naming = owner in _PERSON_OBJECTS and attribute.get("object_relation") in _NAME_RELATIONS
    if naming or (is_private_type(kind) and kind not in _NO_NAMES):
        yield value.strip(), kind


def _find_proposed_victims(part: StixObject) -> Iterator[tuple[str, str]]:
    """The values on people and victims in proposed changes, with their types."""
    proposals = part.get("ShadowAttribute")
    for each in proposals if isinstance(proposals, list) else ():
        if isinstance(each, dict):
            yield from _find_victims("", each)
