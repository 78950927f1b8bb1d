"""Check indicator patterns in languages other than STIX: YARA, Sigma, Snort, Suricata, PCRE.

One module here is one language, and is loaded when the first pattern of that
language is seen: the libraries behind them are heavy, and most submissions
hold none.  A pattern is parsed, never run.  Any pattern must be cheap to
check: every module bounds the depth before it calls a library, and the policy
bounds the length.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from tocsin.admission.errors import Malformed

MAX_CHARACTERS = 32_768
"""Characters of the longest pattern that is read, whatever the policy takes."""

MAX_DEPTH = 60
"""Levels of brackets or indentation."""

LANGUAGES: dict[str, str] = {
    "pcre": "pcre",
    "sigma": "sigma",
    "snort": "suricata",
    "suricata": "suricata",
    "yara": "yara",
}
"""The languages of the standard's vocabulary (STIX 2.1 section 10), and their readers."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language in which indicators are written."""

    check: Callable[[str], None]
    """Raises Malformed, saying why, if a text is not in the language."""
    doubts: Callable[[str], str] = lambda text: ""
    """A warning about a valid pattern; empty if there is none."""


@lru_cache(maxsize=64)
def find_fault(name: str, pattern: str) -> str:
    """Why `pattern` is not in the language `name`; empty if it is."""
    if len(pattern) > MAX_CHARACTERS:
        return f"the pattern is longer than {MAX_CHARACTERS} characters"
    if "\x00" in pattern:
        return "the pattern holds a NUL"
    try:
        _language(name).check(pattern)
    except Malformed as error:
        return str(error)
    except RecursionError:
        return f"not {name}: nested too deeply"
    return ""


def find_warning(name: str, pattern: str) -> str:
    """A warning about a valid pattern; empty if there is none."""
    return _language(name).doubts(pattern)


def check_depth(pattern: str, opening: str, closing: str) -> None:
    """Raises Malformed if brackets are nested deeper than a library's recursion can bear."""
    depth = 0
    for sign in pattern:
        if sign in opening:
            depth += 1
            if depth > MAX_DEPTH:
                raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
        elif sign in closing:
            depth = max(0, depth - 1)


def library_error(name: str, message: str) -> Malformed:
    """The first line of a library's error message as an error for the submitter."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "no reason given")
    return Malformed(f"not {name}: {ascii(first[:160])[1:-1]}")


def _language(name: str) -> Language:
    module = importlib.import_module(f"{__name__}.{LANGUAGES[name]}")
    language: Language = module.LANGUAGE
    return language
