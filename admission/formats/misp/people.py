"""Whom an event of MISP names: its organisations, its creator, victims and persons.

None of them goes out, and since comments speak of them as well, they are masked
wherever the event's texts have them.  Rules do the rest: they know no names.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tocsin.admission.formats.misp.attributes import private
from tocsin.admission.model import StixObject

MASK = "[removed: name or victim]"
_SENDERS = frozenset(("Org", "Orgc", "Organisation"))
_NAMED = _SENDERS | {"event_creator_email", "creator_email", "org", "orgc", "reporter"}
_NOBODY = frozenset(("misp",))
"""Names that say nothing of anybody: every galaxy is of an organisation called MISP."""
_NAMING = frozenset(("alias", "name", "username", "user", "portrait-name"))
_TELLING = frozenset(("person", "victim", "employee", "organization", "legal-entity"))
_NO_NAMES = frozenset(("gender", "nationality", "email-body", "email-header"))
_SIGNS = re.compile(r"\A[\W_]+|[\W_]+\Z")
_JOINS = dict.fromkeys(map(ord, "\t\n\xa0_-\u2010\u2011\u2013"), " ")
"""What words are joined with, each as a blank."""
_SHORTEST, _LONGEST, _MOST, _MOST_LETTERS = 3, 200, 300, 10_000
_SHORTEST_IN_LINK = 5
_LONGEST_TEXT = 2_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class People:
    """Whom an event names."""

    terms: re.Pattern[str] | None = None
    """What must not stand in its texts; None if it names nobody."""
    attacked: frozenset[str] = frozenset()
    """Who sent it and who was attacked, in small letters: never an indicator."""
    senders: tuple[str, ...] = ()
    """The names of those who sent it, letters and digits only."""

    silent: bool = False
    """Whether they are too many to be looked for, so that no text is shared at all."""

    def clean(self, text: object) -> str:
        """A text without those who are named in its event; empty if it is none."""
        if not isinstance(text, str) or self.silent:
            return ""
        plain = _CONTROL.sub(" ", text[: 2 * _LONGEST_TEXT]).strip()
        parts: list[str] = []
        at = 0
        for found in self.terms.finditer(plain.translate(_JOINS)) if self.terms else ():
            parts += (plain[at : found.start()], MASK)
            at = found.end()
        return "".join((*parts, plain[at:]))[:_LONGEST_TEXT]

    def in_label(self, label: str) -> bool:
        """Whether a label or URL names one of them, or whoever sent the event, in one word."""
        found = self.terms is not None and self.terms.search(label.translate(_JOINS)) is not None
        letters = "".join(filter(str.isalnum, label.lower()))
        return found or self.silent or any(each in letters for each in self.senders)


def named(body: StixObject, attributes: Iterable[tuple[str, StixObject]]) -> People:
    """Whom an event names; its attributes come with the name of the object that each is in."""
    listed = list(attributes)
    parts = (body, *(attribute for _, attribute in listed))
    senders = [each for part in parts for each in _senders(part) if each.lower() not in _NOBODY]
    victims = dict(_victims(listed))
    found = {_SIGNS.sub("", each) for each in (*senders, *victims)}
    terms = [term for term in found if _SHORTEST <= len(term) <= _LONGEST]
    attacked = [*senders, *(value for value, kind in victims.items() if kind.startswith("target"))]
    if not terms:
        return People()
    if len(terms) > _MOST or sum(map(len, terms)) > _MOST_LETTERS:
        return People(attacked=frozenset(each.lower() for each in attacked), silent=True)
    either = "|".join(map(re.escape, _however_joined(terms)))
    pattern = re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", re.IGNORECASE)
    squeezed = dict.fromkeys("".join(filter(str.isalnum, each.lower())) for each in senders)
    return People(
        pattern,
        frozenset(each.lower() for each in attacked),
        tuple(each for each in squeezed if len(each) >= _SHORTEST_IN_LINK),
    )


def _however_joined(terms: Iterable[str]) -> list[str]:
    """Names with blanks between their words and with nothing, the longest first."""
    spaced = [" ".join(term.translate(_JOINS).split()) for term in terms]
    whole = (each.replace(" ", "") for each in spaced)
    found = {*spaced, *(each for each in whole if len(each) >= _SHORTEST_IN_LINK)}
    return sorted(found, key=lambda term: (-len(term), term))


def _senders(part: object) -> Iterator[str]:
    """Organisations and creators, those of related events and of sightings included."""
    if isinstance(part, list):
        for each in part:
            yield from _senders(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name in _SENDERS and isinstance(value, dict) and isinstance(value.get("name"), str):
                yield value["name"].strip()
            elif name in _NAMED and isinstance(value, str):
                yield value.strip()
            elif isinstance(value, dict | list):
                yield from _senders(value)


def _victims(attributes: Iterable[tuple[str, StixObject]]) -> Iterator[tuple[str, str]]:
    """Their values, each with its type."""
    for owner, attribute in attributes:
        kind, value = attribute.get("type"), attribute.get("value")
        if not isinstance(kind, str) or not isinstance(value, str):
            continue
        naming = owner in _TELLING and attribute.get("object_relation") in _NAMING
        if naming or (private(kind) and kind not in _NO_NAMES):
            yield value.strip(), kind
