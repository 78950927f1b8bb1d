"""The prose in patterns that are not STIX: what their authors wrote for people.

Comments in every language; metadata of YARA; messages and metadata of Snort and
Suricata; of Sigma everything but the detection.  No language is parsed here: some text
too much does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.lazy_patterns import compile_lazily

_TOKEN = compile_lazily(r'"(?:[^"\\\n]|\\.)*"?|/\*|//[^\n]*|(?<!\S)#[^\n]*')
_FURTHER_COMMENTS = compile_lazily(
    r"\(\?\#[^)]*+|```(?:(?!```).)*+(?:```)?|`\s{0,4}comment\s{0,4}\([^`]*+"
    r"|<!--(?:(?!-->).)*+|(?<!\S)--[^\n]*+",
    re.DOTALL | re.IGNORECASE,
)
"""Comments of PCRE, of Splunk's search language, of XML and of SQL, whatever quotes are around."""
_OWN_COMMENTS = frozenset(("sigma", "snort", "suricata", "yara"))
"""Languages in which none of these is a comment."""
_NAME_BEFORE = compile_lazily(r"(?P<sign>[$#@!.]?)\b(?P<name>\w{1,40})\s{0,8}[=:]\s{0,8}\Z")
_LONGEST_NAME = 60
_SNORT_METADATA = compile_lazily(r"\bmetadata\s{0,4}:(?P<text>[^;]{1,2000})", re.IGNORECASE)
_SIGMA_KEY = compile_lazily(r"(?P<name>[a-z_]{1,40})\s*:", re.IGNORECASE)
_AUTHOR = compile_lazily(
    r"\bauthors?\b\s{0,8}[:=]?|\b(?:written|created|made|coded)\s{1,4}by\b", re.IGNORECASE
)
"""Authors of public rules name themselves: that word alone announces no person to protect."""
_ABOUT_PEOPLE = frozenset(
    (
        *("contact", "phone", "telephone", "tel", "mobile", "fax", "victim", "customer"),
        *("reporter", "reported_by", "employee", "address", "user", "account", "name"),
    )
)
"""Names of metadata that say what their value is; those of others say nothing."""


def find_prose(language: str, pattern: str) -> Iterator[str]:
    """The texts for people in a pattern, in order; `language` is its `pattern_type`."""
    if language == "sigma":
        yield from _sigma_texts(pattern)
    elif language in ("snort", "suricata"):
        yield from (found["text"] for found in _SNORT_METADATA.finditer(pattern))
    if language not in _OWN_COMMENTS:
        yield from (_without_authors(each[0]) for each in _FURTHER_COMMENTS.finditer(pattern))
    at = 0
    while found := _TOKEN.search(pattern, at):
        at = found.end()
        part = found[0]
        if part == "/*":
            end = pattern.find("*/", at)
            end = len(pattern) if end < 0 else end
            part, at = pattern[at:end], end
        elif part.startswith('"'):
            part = _metadata(language, pattern, found)
        yield _without_authors(part)


def _metadata(language: str, pattern: str, found: re.Match[str]) -> str:
    """The text of a string that is metadata or a message; empty for one that is matched."""
    before = pattern[max(0, found.start() - _LONGEST_NAME) : found.start()]
    named = _NAME_BEFORE.search(before)
    if named is None or named["sign"]:
        return ""
    name, text = named["name"].lower(), found[0].strip('"')
    if language in ("snort", "suricata"):
        return text if name == "msg" else ""
    if language != "yara":
        return ""
    return f"{name}: {text}" if name in _ABOUT_PEOPLE else text


def _sigma_texts(pattern: str) -> Iterator[str]:
    lines: list[str] = []
    in_detection = False
    for line in pattern.split("\n"):
        key = _SIGMA_KEY.match(line)
        in_detection = key["name"].lower() == "detection" if key else in_detection
        lines += [] if in_detection else [line]
    yield _without_authors("\n".join(lines))


def _without_authors(text: str) -> str:
    return _AUTHOR.sub("-", text)
