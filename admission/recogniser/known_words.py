"""Words with a capital that are not names of people: malware, actors, tools, vendors, countries."""

from __future__ import annotations

from functools import cache

from tocsin.admission.stix.mitre_attack import attack_names
from tocsin.admission.word_lists import load_words

_DETECTORS = "tocsin.admission.detectors"


def is_unknown_word(word: str) -> bool:
    """True if a word may be a name.

    >>> is_unknown_word("Jane"), is_unknown_word("Emotet's"), is_unknown_word("Malware")
    (True, False, False)
    """
    plain = plain_word(word)
    return plain not in common_words() and plain not in attack_names()


def is_known_name(name: str) -> bool:
    """True for the name of malware, an actor or a tool."""
    return plain_word(name) in attack_names()


def plain_word(word: str) -> str:
    """A word in lower case, without a genitive or signs at its end."""
    return word.lower().rstrip(".'’-").removesuffix("'s").removesuffix("’s")


@cache
def common_words() -> frozenset[str]:
    """Words that are not part of a person's name, in lower case."""
    return frozenset(
        (
            *load_words(_DETECTORS, "not_person_names"),
            *load_words(_DETECTORS, "capitalised_words"),
            *load_words(_DETECTORS, "vendors"),
        )
    )
