"""Columns, and members of records, that say that a value is not to be shared.

It is allowed, harmless or a false positive, no longer in use, or the writer's own.  Products name
and spell such columns in many ways, so words are compared and not whole headings.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from tocsin.admission.extraction.field_names import (
    COMPROMISED_WORDS,
    normalise_heading,
    says_compromised,
    split_heading,
)
from tocsin.admission.formats.csv.cells import split_labels
from tocsin.admission.formats.csv.columns import Role, name_columns
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_words

_PACKAGE = "tocsin.admission.formats.csv"


def _load(name: str) -> frozenset[str]:
    """The words of a list, without spaces between them."""
    words = map(normalise_heading, load_words(_PACKAGE, name))
    return frozenset(each.replace(" ", "") for each in words)


_HARMLESS, _ENDED = _load("harmless_states"), _load("ended_states")
_ALLOWED = _load("allowed_states") | _HARMLESS
_SAFE = frozenset(("clean", "good", "safe"))
_MALICIOUS = _load("malicious_states")
_NEEDED_FALSE = _ALLOWED | _ENDED | {"removed", "internal", "own", "owned"} | _load("victim_flags")
_NEEDED_FALSE |= {"privateflag"}
"""Headings of columns that must not be true."""
_OF_ACTIVITY = frozenset(("active", "enabled", "aktiv", "actif", "activo", "activa", "attivo"))
_NEEDED_TRUE = _OF_ACTIVITY | {"indicator", "malicious"}
"""Headings of columns that must not be false."""
_COUNTS = frozenset(("detections", "detection", "positives", "vtdetection", "vtdetections"))
_COUNTS |= {"abuseconfidencescore", "detectionratio"}
"""Headings of the number of those who call a value malicious; it must not be 0."""
_NO_ENGINE = compile_lazily(r"0\s*[/|]\s*\d{1,3}")
"""A ratio of engines that says that none detects the value: `0/72`."""
_COUNTED = frozenset(("harmless", "benign", "legit", "legitimate", "trusted"))
_COUNTED |= _load("victim_flags") - {"victim"}
"""Headings below which a number may count who says so, or how many there are; not `is_target`."""
_TRUE = frozenset(("true", "yes", "y", "t", "on", "x", "✓", "ja", "wahr", "oui", "vrai"))
_TRUE |= {"si", "sí", "sim", "tak", "ano", "да", "evet", "是", "はい", "예"}
_FALSE = frozenset(("false", "no", "n", "f", "off", "nein", "falsch", "non", "faux", "falso"))
_ONE, _ZERO = frozenset(("1", "1.0")), frozenset(("0", "0.0"))
_OF_INDICATOR = frozenset(("ioc", "iocs", "indicator", "indicators", "observable", "observables"))
_SMALL = _OF_INDICATOR | {"is", "was", "has", "been", "marked", "as", "on", "in", "ist", "meta"}
_SMALL |= {"war", "est", "es", "era", "jest"}
"""Words beside those of a state in a heading that is true or false."""
_STATE_WORDS = _load("words_in_state_headings")
_OF_OWN = _OF_INDICATOR | {
    *("expiration", "validity", "lifecycle", "life", "cycle", "current", "final", "overall"),
    *("analyst", "soc", "the", "of", "review"),
}
"""Words beside those for a state with which it is still that of the value itself."""
_RESULTS = frozenset(("result", "outcome", "assessment", "rating", "review", "finding"))
_ACTIONS = frozenset(("action", "actions", "rule action", "policy", "mode", "access"))
_ACTIONS |= {"list", "list type", "category", "kategorie", "categorie", "categoria"}
"""Headings that are not more than that; an action for phones is not one for all."""
_SMALL_IN_TEXTS = frozenset(("confirmed", "likely", "probably", "closed", "resolved", "marked"))
_SMALL_IN_TEXTS |= {"as", "by", "soc", "analyst", "analysts", "probable", "bestatigt", "confirme"}
_MOST_NAMES = 4000
"""Headings that are remembered."""
_LONGEST_TAGS = 4000
_DIGIT = compile_lazily(r"\d")
_LONGEST_FLAG = 3
"""Characters of a number that stands for true or false."""
LONGEST_STATE = 40
"""Characters of a state, and of a heading in a message."""


class Subject(Enum):
    """The subject of the row or object whose columns are looked at."""

    INDICATOR = auto()
    CASE = auto()  # an object around records of indicators


class _Column(Enum):
    """The relation of a column's texts to the value of a row."""

    OWN = auto()  # a state of the value
    OTHER = auto()  # a state of something else, or as somebody else sees it
    ACTION = auto()  # how the value is dealt with
    TAGS = auto()
    NOTE = auto()
    NONE = auto()

    __hash__ = object.__hash__  # faster than Enum's


_WEAK = frozenset(("legit", "legitimate", "trusted"))
"""Words that, as tags, may speak of a service that is abused."""
_WORDS: Mapping[Subject, Mapping[_Column, frozenset[str]]] = {
    Subject.INDICATOR: {
        _Column.TAGS: _HARMLESS - _WEAK,
        _Column.OWN: _ALLOWED | _ENDED | _SAFE,
        _Column.ACTION: _ALLOWED,
    },
    Subject.CASE: {
        _Column.TAGS: _HARMLESS - _WEAK,
        _Column.OWN: _ALLOWED | _ENDED,
        _Column.ACTION: _ALLOWED,
    },
}
"""The states that count, where they are not _HARMLESS."""
_BESIDE_MALICIOUS = frozenset((_Column.OWN, _Column.TAGS, _Column.NOTE))
"""Columns that count though another one says that the value is malicious."""

_OF_CATEGORIES = frozenset((_Column.OWN, _Column.OTHER, _Column.ACTION, _Column.TAGS))
"""Columns that, as those of types do, may say that a site was hacked."""


def names_indicator(heading: str) -> bool:
    """True if a heading says that the rows are indicators."""
    return not _OF_INDICATOR.isdisjoint(split_heading(heading).split())


def names_state(heading: str) -> bool:
    """True if a column may say that a value is not to be shared."""
    plain = _name_flag(heading)
    if any(plain in each for each in (_NEEDED_FALSE, _NEEDED_TRUE, _COUNTS, COMPROMISED_WORDS)):
        return True
    return _find_column(heading) is not _Column.NONE


def find_refusing_state(
    named: Iterable[tuple[str, str]], subject: Subject = Subject.INDICATOR
) -> str:
    """Why a value is not shared, by what stands beside it; empty if it may be.

    `named`: headings, or names of members, each with its text.
    """
    each_tag = ((name, each) for name, text in named for each in _split_tags(name, text))
    short = [(name, text) for name, text in each_tag if text and _may_be_state(text)]
    judged = [_judge(name, text.strip().lower(), subject) for name, text in short]
    is_malicious = any(each.is_malicious for each in judged)
    for (name, text), each in zip(short, judged, strict=True):
        if each.refuses or (each.refuses_alone and not is_malicious):
            named_text = ascii(text.strip().lower())[1:-1]
            return f"not an indicator, since its {ascii(name[:LONGEST_STATE])} is {named_text}"
    return ""


def find_doubtful_state(named: Iterable[tuple[str, str]]) -> str:
    """Why a value is held: a flag, category, type or all tags beside it say that it was hacked.

    Empty if they are not, or if another column says that the value is malicious.
    """
    filled = [(name, text.strip()) for name, text in named if text.strip()]
    found = next((each for each in filled if _is_compromised(*each)), None)
    if found is None:
        return ""
    if any(_judge(name, text.lower(), Subject.INDICATOR).is_malicious for name, text in filled):
        return ""
    name, text = (ascii(each[:LONGEST_STATE]) for each in found)
    return f"its {name} is {text}: share it if it serves an attacker, and is not a victim's"


@lru_cache(maxsize=4096)  # columns repeat a few texts
def _is_compromised(name: str, text: str) -> bool:
    if _name_flag(name) in COMPROMISED_WORDS:
        return text.lower() in _TRUE | _ONE
    if _find_column(name) not in _OF_CATEGORIES and name_columns([name]).roles[0] is not Role.TYPE:
        return False
    return all(map(says_compromised, filter(str.strip, _split_tags(name, text))))


def _may_be_state(text: str) -> bool:
    """True for a short text; a longer one with a digit is an id or date, or a sentence."""
    if len(text) <= _LONGEST_FLAG or _NO_ENGINE.fullmatch(text.strip()):
        return True
    return len(text) <= LONGEST_STATE and not _DIGIT.search(text)


class _Judgement(NamedTuple):
    is_malicious: bool
    refuses: bool
    refuses_alone: bool
    """True if the value is refused unless another column says that it is malicious."""


@lru_cache(maxsize=4096)  # columns repeat a few texts
def _judge(name: str, text: str, subject: Subject) -> _Judgement:
    """The meaning of one text, in lower case, in a column."""
    column = _find_column(name)
    refuses = _is_refusing_state(column, text, subject)
    is_certain = column in _BESIDE_MALICIOUS
    return _Judgement(
        column in (_Column.OWN, _Column.OTHER) and _join_words(text) in _MALICIOUS,
        _is_refusing_flag(name, text, subject) or (refuses and is_certain),
        refuses and not is_certain,
    )


def _is_refusing_flag(name: str, text: str, subject: Subject) -> bool:
    plain = _name_flag(name)
    if subject is Subject.CASE and text in _ONE | _ZERO:
        return False  # it may count records
    if plain in _OF_ACTIVITY and _join_words(text) in _ENDED:
        return True
    if plain in _COUNTS:
        return text in _ZERO or _NO_ENGINE.fullmatch(text) is not None
    if plain in _NEEDED_TRUE:
        return text in _FALSE or text in _ZERO
    return plain in _NEEDED_FALSE and _is_true(name, text)


def _is_true(name: str, text: str) -> bool:
    plain = split_heading(name).replace(" ", "")
    return text in _TRUE or (text in _ONE and plain not in _COUNTED)


def _is_refusing_state(column: _Column, text: str, subject: Subject) -> bool:
    if column is _Column.NONE:
        return False
    states = _WORDS[subject].get(column, _HARMLESS)
    if column is _Column.TAGS:
        text = text.rpartition(":")[2]  # `status:false-positive`
    return _is_state(text, states)


def _is_state(text: str, states: frozenset[str]) -> bool:
    """True if a text is one of the states, or consists of several: `inactive (expired)`."""
    joined = _join_words(text)
    if joined in states:
        return True
    words = _split_words(text)
    return bool(words) and all(word in states for word in words)


def _split_tags(name: str, text: str) -> Sequence[str]:
    """The tags in a column of some; otherwise the whole text."""
    if _find_column(name) is not _Column.TAGS:
        return (text,)
    return split_labels(text[:_LONGEST_TAGS])


@lru_cache(maxsize=_MOST_NAMES)
def _name_flag(heading: str) -> str:
    """The words of a heading without small ones, and without spaces; `indicator` of `is_ioc`."""
    words = split_heading(heading).split()
    plain = "".join(word for word in words if word not in _SMALL)
    return plain or ("" if _OF_INDICATOR.isdisjoint(words) else "indicator")


@lru_cache(maxsize=_MOST_NAMES)
def _find_column(heading: str) -> _Column:
    plain = split_heading(heading)
    words = frozenset(plain.split())
    if plain in _ACTIONS:
        return _Column.ACTION
    if words & _STATE_WORDS:
        return _Column.OWN if words <= _STATE_WORDS | _OF_OWN else _Column.OTHER
    if words & _RESULTS:
        return _Column.OTHER
    role = name_columns([heading]).roles[0]
    return _OF_ROLES.get(role, _Column.NONE)


_OF_ROLES: Mapping[Role, _Column] = {
    Role.TAGS: _Column.TAGS,
    Role.CLASSIFICATION: _Column.OWN,
    Role.NOTE: _Column.NOTE,
}


@lru_cache(maxsize=256)  # the rows of a table repeat a few states
def _split_words(text: str) -> tuple[str, ...]:
    return tuple(word for word in split_heading(text).split() if word not in _SMALL_IN_TEXTS)


def _join_words(text: str) -> str:
    return "".join(_split_words(text))
