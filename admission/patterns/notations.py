r"""Read a pattern as the text that it matches, past the notations of its language.

Octets of YARA (`{ 41 63 ?? 65 }`) and of Snort and Suricata (`|41 63|`) become characters, without
the zeros between those of UTF-16.  Of regular expressions and LIKE, wildcards, digits and classes
of separators become `*`, escapes and pairs of cases (`[Aa]`) the character that they stand for.

A reading serves only to find given names and networks: it says less than the pattern.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject
from tocsin.admission.observables.values import extract_observables

_OCTETS = compile_lazily(
    r"\{(?P<yara>(?:[\s\dA-Fa-f?~()|\[\]-]|/\*[^{]{0,200}?\*/|//[^\n{]{0,200}\n){5,}+)\}"
    r"|\|(?P<snort>[\s\dA-Fa-f]{2,}+)\|"
)
"""All octets of a string; five characters or more in braces, since `{4}` is a count.

Comments are without `{`: otherwise each of many could be read as the beginning of all others.
"""
_NOT_READ = compile_lazily(
    r"/\*.{0,200}?\*/|//[^\n]{0,200}\n|\([^()|]{0,200}(?P<others>\|[^()]{0,200})\)|[\s~]", re.DOTALL
)
"""Comments, blanks, and all but the first of several alternatives."""
_OCTET = compile_lazily(r"\[[^\[\]]{0,40}\]|[\dA-Fa-f?]{2}")
"""One octet or nibble that may be any, or a jump over several: `6d`, `6?`, `[2-4]`."""
_ANY = "*"
_COUNT = r"(?:[*+?]{1,2}|\{\d{0,4}(?:,\d{0,4})?\}\??)"
_EXPRESSION = compile_lazily(
    rf"""\\{{1,4}}(?:x\{{?(?:00)?|u00)(?P<code>[2-7][\dA-Fa-f])\}}?
      | (?P<any>(?:\\{{1,4}}[sSdDWbBtrnvfh]{_COUNT}? | \.{_COUNT}
        | \((?:\?:)?(?:[\s_.|-]|\\{{1,4}}[sWtrn_.-]){{1,20}}\){_COUNT}? | \s{{2,}}+)+)
      | \[(?P<class>(?:[^\[\]\\]|\\{{1,4}}+[^\\]){{1,40}})\]{_COUNT}?
      | (?P<group>\((?:\?(?:[:=!>]|<[=!]|P?<\w{{1,40}}>|[a-zA-Z-]{{1,10}}[:)]))?|\){_COUNT}?)
      | \\{{1,4}}(?P<sign>[^\w\s])""",
    re.VERBOSE | re.DOTALL,
)
"""A part of a regular expression that is written otherwise than the text that it matches."""
_WILDCARDS = str.maketrans("%_", _ANY * 2)
_SEPARATING = compile_lazily(r"[\s_.*]|\A[\^-]|-\Z|\\[sSdDW]|0-9")
"""A class with separators or digits."""
_LONGEST_PAIR = 7
"""Characters of a class that stands for one character, also with backslashes: `[Aa]`, `[\\.]`."""


def read_pattern(subject: StixObject) -> tuple[str, ...]:
    """The texts that an indicator's pattern matches: of a STIX pattern, by LIKE and MATCHES."""
    pattern = subject.get("pattern") if subject.get("type") == "indicator" else None
    if not isinstance(pattern, str):
        return ()
    if subject.get("pattern_type", "stix") != "stix":
        return (_read_rule(pattern),)
    if "LIKE" not in pattern and "MATCHES" not in pattern:
        return ()
    compared = [o for o in extract_observables(subject) if o.operator in ("LIKE", "MATCHES")]
    return tuple(
        o.value.translate(_WILDCARDS) if o.operator == "LIKE" else _read_expression(o.value) + _ANY
        for o in compared
    )


def rule_texts(pattern: str) -> tuple[str, ...]:
    """A rule as it is written, and with text in the place of its octets if it has some."""
    read = read_octets(pattern)
    return (pattern,) if read == pattern else (pattern, read)


def read_octets(pattern: str) -> str:
    """A rule of YARA, Snort or Suricata with text in the place of its octets.

    >>> read_octets('content:"Acme|20 42|ank";'), read_octets("{ 41 00 63 00 ?? [2] ( 6d | 4d ) }")
    ('content:"Acme Bank";', ' Ac**m ')
    """
    return _OCTETS.sub(lambda found: _decode_octets(found["yara"], found["snort"]), pattern)


@lru_cache(maxsize=16)
def _read_rule(pattern: str) -> str:
    return _read_expression(read_octets(pattern))


def _decode_octets(yara: str | None, snort: str | None) -> str:
    if yara is None:
        return "".join(map(_decode_octet, _OCTET.findall(_NOT_READ.sub("", snort or ""))))
    plain = _NOT_READ.sub(_keep_first_alternative, yara)
    return f" {''.join(map(_decode_octet, _OCTET.findall(plain)))} "


def _keep_first_alternative(found: re.Match[str]) -> str:
    if found["others"] is None:
        return ""
    return found[0][1 : found.start("others") - found.start()].strip()


def _decode_octet(octet: str) -> str:
    if "?" in octet or octet[0] == "[":
        return _ANY
    character = chr(int(octet, 16))
    if character == "\0":
        return ""
    return character if character.isascii() and character.isprintable() else _ANY


def _read_expression(text: str) -> str:
    return _EXPRESSION.sub(_read_part, text)


def _read_part(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "code":
            return chr(int(found["code"], 16))
        case "any":
            return _ANY
        case "class":
            return _read_class(found)
        case "sign":
            return found["sign"]
    return ""


def _read_class(found: re.Match[str]) -> str:
    """The character that a class stands for, `*` for separators and digits, else the class."""
    characters = found["class"].replace("\\", "") if len(found["class"]) <= _LONGEST_PAIR else ""
    if len(set(characters.lower())) == 1:
        return characters[0]
    return _ANY if _SEPARATING.search(found["class"]) else found[0]
