"""Languages of indicator patterns other than STIX: YARA, Sigma, Snort, Suricata, PCRE.

One module here is one language.  The libraries behind them are heavy, and can be
made to compute for minutes: they are loaded and run only in processes of their
own, which `patterns/bounded_compiler.py` starts.  Modules here must not import the rest of
`admission`, or every such process would load it.  A pattern is parsed, never run.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from tocsin.admission.errors import Malformed
from tocsin.admission.quotations import remove_quotation

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


def prepare(module: str) -> Callable[[bytes], bytes]:
    """The function that checks patterns in a language, for `bounded_program`.

    Its answer is a JSON list: the fault and the warning, each empty if there is none.
    """
    language: Language = importlib.import_module(f"{__name__}.{module}").LANGUAGE

    def check(request: bytes) -> bytes:
        pattern = request.decode()
        try:
            language.check(pattern)
            return orjson.dumps(["", language.doubts(pattern)])
        except Malformed as error:
            return orjson.dumps([str(error), ""])
        except RecursionError:
            return orjson.dumps(["nested too deeply", ""])

    return check


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
    """A library's error message as an error for the submitter, without what it quotes."""
    return Malformed(f"not {name}: {ascii(remove_quotation(message)[:160])[1:-1]}")
