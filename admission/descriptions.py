"""Texts that describe objects to people: name, level, what was changed in them, how many they are.

The clients show it before a push, the console before a person submits and to reviewers.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings.tlp import read_markings
from tocsin.admission.model import StixObject

_NAMING_PROPERTIES = ("pattern", "value", "name", "key", "path")
"""Properties by which a person recognises an object; the first that exists is shown."""
_COMPARISON = compile_lazily(r"\[([a-z0-9-]+):([\w.'-]+) = '((?:[^'\\]|\\.)*)'\]")
"""A pattern that compares one property with one value."""
_HASH = compile_lazily(r"hashes\.'?([\w-]+)'?")
_STEP = compile_lazily(r"([^.\[\]]+)|\[(\d+)\]")
"""One step of the path of a finding."""
CHANGING_ACTIONS = ("replaced", "stripped", "asked", "lowered")
REMOVED = "(removed)"
"""Stands for a value that is left out."""
_WORD = compile_lazily(r"\s*(?:\[removed: [^\]\n]{1,60}\]|\S)+|\s+")
"""A word with the spaces before it; a mark of what was removed is one word."""
_MAX_NAME = 60
"""Characters of a text that stands for its object."""
_MAX_WORDS = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is not shared as it was read."""

    path: str
    before: str
    after: str
    rules: tuple[str, ...]
    """Those that changed it, in their order."""


class Passage(NamedTuple):
    """A part of two texts that are compared: the same in both, or with a difference."""

    before: str
    after: str

    @property
    def is_equal(self) -> bool:
        """True if both texts have it."""
        return self.before == self.after


def count(value: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> count(1, "key"), count(2_000, "key"), count(2, "person", "people")
    ('1 key', '2,000 keys', '2 people')
    """
    return f"{value:,} {one if value == 1 else many or f'{one}s'}"


def format_duration(seconds: int) -> str:
    """A time to wait, for people, rounded up.

    >>> format_duration(90), format_duration(38_982), format_duration(800_000)
    ('90 s', '10 h 50 min', '10 days')
    """
    if seconds < 120:
        return f"{seconds} s"
    hours, minutes = divmod(-(-seconds // 60), 60)
    if hours >= 48:
        return f"{-(-hours // 24)} days"
    return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes))


def find_label(subject: StixObject) -> str:
    """The property by which a person recognises an object; empty if it has none."""
    values = (subject.get(name) for name in _NAMING_PROPERTIES)
    return next((value for value in values if isinstance(value, str) and value), "")


def describe_object(subject: StixObject, label: str = "") -> tuple[str, str]:
    """The value or name by which people know an object, and its type or that of the value.

    >>> describe_object({}, "[domain-name:value = 'evil.top']")
    ('evil.top', 'domain-name')
    """
    label = label or find_label(subject)
    found = _COMPARISON.fullmatch(label)
    if not found:
        kind = str(subject.get("type", ""))
        language = str(subject.get("pattern_type", "stix"))
        texts = (subject.get("content"), subject.get("relationship_type"))
        text = next((each for each in texts if isinstance(each, str) and each), "")
        short = text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"
        return label or short, kind if language == "stix" else f"{language} rule"
    kind, path, value = found.groups()
    digest = _HASH.fullmatch(path)
    return re.sub(r"\\(.)", r"\1", value), digest[1] if digest else kind


def find_level(subject: StixObject) -> str:
    """The strictest TLP level of an object, in capitals; `-` if it states none."""
    level = read_markings(subject, {}).tlp
    return "-" if level is None else level.label.upper()


def find_changes(
    before: StixObject, after: StixObject, findings: Iterable[Mapping[str, str]]
) -> Iterator[Change]:
    """The values that rules changed or removed.  `findings` are as in `Finding.as_json`."""
    rules: dict[str, dict[str, None]] = {}  # by path, each once
    for finding in findings:
        path = finding.get("path", "")
        if path and finding.get("action") in CHANGING_ACTIONS:
            rules.setdefault(path, {})[finding.get("rule", "")] = None
    for path, of_path in rules.items():
        old, new = _value_at(before, path), _value_at(after, path)
        if old is not None and old != new:
            text = REMOVED if new is None else _format_value(new)
            yield Change(path, _format_value(old), text, tuple(of_path))


def _value_at(subject: Any, path: str) -> Any:
    for name, number in _STEP.findall(path):
        if number and isinstance(subject, list) and int(number) < len(subject):
            subject = subject[int(number)]
        elif name and isinstance(subject, dict):
            subject = subject.get(name)
        else:
            return None
    return subject


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def compare_texts(before: str, after: str, most_words: int = _MAX_WORDS) -> Iterator[Passage]:
    """The common and the differing passages of two texts, in order; long texts differ as wholes."""
    first, second = _split_words(before, most_words), _split_words(after, most_words)
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    for kind, begin, end, begin_new, end_new in matcher.get_opcodes():
        old, new = "".join(first[begin:end]), "".join(second[begin_new:end_new])
        if kind == "replace" and (gap := _leading_spaces(old)) and gap == _leading_spaces(new):
            yield Passage(gap, gap)
            old, new = old[len(gap) :], new[len(gap) :]
        yield Passage(old, new)


def _leading_spaces(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _split_words(text: str, most: int) -> Sequence[str]:
    """The words, each with the spaces before it; a very long text as one."""
    words = _WORD.findall(text)
    return words if len(words) <= most else [text]
