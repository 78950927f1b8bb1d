"""Check the patterns of a submission that are in other languages than STIX.

Each is compiled in a bounded process; see `bounded_process.py`.  A pattern that
exceeds the limits is refused, and so is the rest of its language in a submission
that exceeds them again and again, or that takes too long altogether.  A verdict
depends on the submission alone: a result that is remembered from another one
counts as if it had been computed again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

import msgspec

from tocsin.admission.bounded_process import (
    BoundedTask,
    Exceeded,
    Limits,
    Outcome,
    RememberedResults,
    is_supported,
)
from tocsin.admission.patterns.grammar import LONG_PATTERN
from tocsin.admission.patterns.languages import LANGUAGES

MAX_CHARACTERS = 32_768
"""Characters of the longest pattern that is read, whatever the policy takes."""

LIMITS = Limits(seconds=2.0, memory=512_000_000, answer=10_000)
"""Limits for one pattern."""

MOST_EXCEEDED = 3
"""Patterns of one language that may exceed the limits; then the rest of the submission's are
refused unread."""

SUBMISSION_SECONDS = 10.0
"""Processor time for the patterns of one submission, without the first `FREE_SECONDS` of each."""

FREE_SECONDS = 0.05
"""Hardly any pattern in practice takes so long: a file may hold as many as it likes of these."""

_MOST_WASTED = 1.0
"""Seconds for patterns that nobody has asked for yet."""

_REMEMBERED = 4096
_AHEAD = 32
"""Patterns that are sent to a process together."""

_REASONS = {
    Exceeded.TIME: f"takes more than {LIMITS.seconds:g} s of processor time",
    Exceeded.MEMORY: f"takes more than {LIMITS.memory // 1_000_000} MB of memory",
    Exceeded.CRASH: "makes its compiler fail",
}
_REMEDY = "simplify it (fewer nested groups, alternatives and counts), or split it"
_UNREAD = "not checked, because {}: send the other patterns without these, or fewer at a time"
_SEVERAL = f"{MOST_EXCEEDED} {{}} patterns of this submission exceed the limits"
_LONG = "the patterns of this submission take too much processor time"
_UNSUPPORTED = "a pattern in this language cannot be checked on this system; the hub checks it"


class CheckedPattern(msgspec.Struct, frozen=True):
    """The result for one pattern."""

    fault: str
    """The reason why it is refused; empty if it is not."""
    warning: str = ""
    """A warning about a valid pattern; empty if there is none."""
    seconds: float = 0.0
    """Processor time."""
    exceeded: bool = False
    """True if it exceeded a limit."""


class BoundedCompiler:
    """Checks the patterns of one submission, in order.  For one thread.

    Raises Unavailable, from `check`, if the system is too busy to find out.
    """

    def __init__(self, owner: str = "") -> None:
        """`owner`: the slug of the partner, whose submissions share a process."""
        self._owner = owner
        self._ahead: dict[str, list[str]] = {}
        """The patterns that are not sent to a process yet, by language, the next one last."""
        self._exceeded: Counter[str] = Counter()
        self._spent = 0.0
        self._wasted = 0.0

    def expect(self, subjects: Iterable[Mapping[str, object] | None]) -> None:
        """Expect the patterns of these objects next; they are checked many at a time.

        Of those before, none is left.
        """
        self._ahead.clear()
        for subject in subjects if is_supported() else ():
            if subject is not None and subject.get("type") == "indicator":
                self._expect(subject.get("pattern_type"), subject.get("pattern"))
        for patterns in self._ahead.values():
            patterns.reverse()

    def check(self, language: str, pattern: str) -> CheckedPattern:
        """The result for a pattern in one of LANGUAGES."""
        if fault := _unread_fault(pattern):
            return CheckedPattern(fault)
        if not is_supported():
            return CheckedPattern("", _UNSUPPORTED)
        module = LANGUAGES[language]
        if self._exceeded[module] >= MOST_EXCEEDED:
            return CheckedPattern(_UNREAD.format(_SEVERAL.format(language)))
        if self._spent > SUBMISSION_SECONDS:
            return CheckedPattern(_UNREAD.format(_LONG))
        checked = _RESULTS.find(_key(module, pattern)) or self._compute(module, pattern)
        self._spent += _charge(checked)
        self._exceeded[module] += checked.exceeded
        return checked

    def _expect(self, language: object, pattern: object) -> None:
        if (
            isinstance(language, str)
            and language in LANGUAGES
            and isinstance(pattern, str)
            and not _unread_fault(pattern)
        ):
            self._ahead.setdefault(LANGUAGES[language], []).append(pattern)

    def _compute(self, module: str, pattern: str) -> CheckedPattern:
        """Compile a pattern, and those that come next if there is time."""
        asked = [pattern, *self._next_patterns(module, pattern)]
        outcomes = _task(module).run([_encode(text) for text in asked], self._owner)
        results = [_read_outcome(outcome) for outcome in outcomes]
        for text, result in zip(asked, results, strict=False):
            _RESULTS.keep(_key(module, text), result)
        # What follows may be refused for another reason, and then nobody asks for its result.
        self._wasted += sum(_charge(result) for result in results[1:])
        self._ahead.get(module, []).extend(reversed(asked[len(results) :]))
        return results[0]

    def _next_patterns(self, module: str, pattern: str) -> list[str]:
        ahead = self._ahead.get(module, [])
        chosen: dict[str, None] = {}
        while ahead and len(chosen) < _AHEAD and self._wasted < _MOST_WASTED:
            text = ahead.pop()
            if text != pattern and _RESULTS.find(_key(module, text)) is None:
                chosen[text] = None
        return list(chosen)


def _charge(checked: CheckedPattern) -> float:
    return max(0.0, checked.seconds - FREE_SECONDS)


def _unread_fault(pattern: str) -> str:
    """The fault for which a pattern is refused before any compiler reads it; empty if none."""
    if len(pattern) > MAX_CHARACTERS:
        return LONG_PATTERN.format(MAX_CHARACTERS)
    return "the pattern holds a NUL" if "\x00" in pattern else ""


def _encode(pattern: str) -> bytes:
    return pattern.encode("utf-8", "surrogatepass")


def _read_outcome(outcome: Outcome) -> CheckedPattern:
    if outcome.exceeded:
        fault = f"{_REASONS[outcome.exceeded]}: {_REMEDY}"
        return CheckedPattern(fault, seconds=LIMITS.seconds, exceeded=True)
    fault, warning = msgspec.json.decode(outcome.content, type=tuple[str, str])
    return CheckedPattern(fault, warning, outcome.seconds)


@cache
def _task(module: str) -> BoundedTask:
    return BoundedTask(f"tocsin.admission.patterns.languages:{module}", LIMITS)


def _key(module: str, pattern: str) -> bytes:
    return hashlib.sha256(module.encode() + b"\x00" + _encode(pattern)).digest()


_RESULTS: RememberedResults[CheckedPattern] = RememberedResults(_REMEMBERED)
