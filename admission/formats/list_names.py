"""Names of lists and files that say what the values in them are: allowed, or indicators."""

from pathlib import PurePath

from tocsin.admission.extraction.field_names import (
    INFECTED_WORDS,
    names_people,
    names_recipients,
    names_victims,
    split_heading,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation, load_words

_PACKAGE = "tocsin.admission.formats"
_ALLOW_WORDS = frozenset(load_words(_PACKAGE, "allow_words"))
_ALLOW_FILE_WORDS = frozenset(("benign", "warninglist", "harmless"))
_WEAK_FILE_WORDS = frozenset(("white", "good", "false", "fp", "fps", "bypass", "ausnahme"))
_WEAK_FILE_WORDS |= {"ausnahmen", "freigaben", "excepciones"}
"""Words that say so unless the name speaks of indicators: `whitesnake-iocs`."""
_FALSE_POSITIVES = compile_lazily(r"(?i)false[\W_]*positive")
_ALLOW_STEMS = compile_lazily(load_alternation(_PACKAGE, "allow_stems"))
"""Words that allow, whatever their ending."""
_INDICATOR_WORDS = frozenset(("ioc", "iocs", "indicator", "indicators", "c2", "c2s", "cnc"))
_INDICATOR_WORDS |= {"blocklist", "blacklist", "denylist", "ipblocklist"}
"""Words in the names of lists and files of indicators.  A list called `malware` may be one of
infected machines, or of what a sample contacted."""
_WORD = compile_lazily(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_VICTIM_OR_OWN_WORDS = INFECTED_WORDS | {
    *("own", "our", "internal", "asset", "assets", "inventory", "device", "devices"),
    *("endpoint", "endpoints", "workstation", "workstations", "zombies", "impacted"),
}
"""Words in the names of lists with machines of the writer or of victims."""
_MAY_NAME_SOME = frozenset(("sensor", "sensors", "label", "labels", "tags"))
"""Words of a member with such machines; a file of this name may be a sensor's report."""
_LISTS = frozenset(("list", "lists", "items", "data", "known", "all", "ip", "ips", "addresses"))
_OF_ALLOWED = (
    "the name of the file is that of a list of allowed values: rename it if they are an attacker's"
)
_OF_VICTIMS_OR_OWN = (
    "the name of the file is that of a list of victims, people or machines of yours: rename it if "
    "the values are an attacker's"
)
_SHORTEST = 5
"""Characters of the name of a file with these; a heading of recipients may be `to`, or `a`."""
_LONGEST_PHRASE = 3
"""Words of a phrase in the name of a file."""
_LONGEST = 1000
"""Characters of a name that are read."""


def split_name(name: str) -> frozenset[str]:
    """The words of a name in snake, kebab or camel case, in lower case.

    In a name with those around it, `data.blocklist`, every word counts.
    """
    return frozenset(word.lower() for word in _WORD.findall(name[:_LONGEST]))


def names_allowed(name: str) -> bool:
    """True if the name of a list says that what it holds is allowed or protected."""
    return _allows(split_name(name), _ALLOW_WORDS)


def names_victims_or_own(name: str) -> bool:
    """True for a list of victims, people or own machines, and of pairs that describe a case."""
    if names_victims(name) or names_recipients(name) or names_people(name):
        return True
    words = frozenset(split_heading(name).split())
    own = words & (_VICTIM_OR_OWN_WORDS | _MAY_NAME_SOME)
    return bool(own) and words <= own | _LISTS


def names_allowed_file(name: str) -> bool:
    """True if the name of a file says so.

    >>> names_allowed_file("allowlist.txt"), names_allowed_file("IOC_false_positives.csv")
    (True, True)
    >>> names_allowed_file("whitesnake-iocs.csv"), names_allowed_file("trustwave.txt")
    (False, False)
    """
    stem = PurePath(name).stem[:_LONGEST]
    words = split_name(stem)
    if _allows(words, _ALLOW_FILE_WORDS) or _FALSE_POSITIVES.search(stem):
        return True
    return bool(words & _WEAK_FILE_WORDS) and not names_indicators(stem)


def explain_refused_file(name: str) -> str:
    """Why a list or table in a file of this name is refused; empty if it is not.

    >>> bool(explain_refused_file("2026-11 infected_hosts.csv"))
    True
    >>> explain_refused_file("victims-iocs.csv")
    ''
    """
    if names_allowed_file(name):
        return _OF_ALLOWED
    stem = PurePath(name).stem[:_LONGEST]
    words = [each for each in split_heading(stem).split() if not each.isdigit()]
    if names_indicators(stem) or not _MAY_NAME_SOME.isdisjoint(words):
        return ""
    phrases = (
        " ".join(words[start : start + length])
        for start in range(len(words))
        for length in range(1, _LONGEST_PHRASE + 1)
    )
    whole = " ".join(words)
    is_whole = len(whole) >= _SHORTEST and names_victims_or_own(whole)
    return _OF_VICTIMS_OR_OWN if is_whole or any(map(names_victims, phrases)) else ""


def names_indicators(name: str) -> bool:
    """True if the name of a list says that it holds indicators."""
    return not _INDICATOR_WORDS.isdisjoint(split_name(name))


def names_indicator_file(name: str) -> bool:
    """True if the name of a file says so."""
    return names_indicators(PurePath(name).stem)


def _allows(words: frozenset[str], allow: frozenset[str]) -> bool:
    return bool(words & allow) or any(map(_ALLOW_STEMS.match, words))
