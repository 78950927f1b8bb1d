"""Check regular expressions in the Perl dialect (PCRE) without running them.

Python's own dialect lacks possessive groups by number, recursion, verbs,
`\\Q…\\E` and named classes, so compiling would refuse valid expressions.  Only
errors in every dialect are refused: unbalanced brackets, a class or an escape
that does not end, a quantifier with nothing to repeat, a range that runs
backwards.  One pass from left to right.
"""

import re

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.patterns.languages import MAX_DEPTH, Language

_COUNT = compile_lazily(r"\{(?:(\d{1,9})(?:(,)(\d{0,9}))?|,(\d{1,9}))\}", re.ASCII)
_DELIMITED = compile_lazily(r"([/#~!@%])(.+)\1[imsxADSUXJugn]*", re.DOTALL)
_NAMED_CLASS = compile_lazily(r"\[[:.=]\^?\w{0,20}[:.=]\]", re.ASCII)
_EXTENDED = compile_lazily(r"\(\?[a-wyzA-Z]{0,8}x")
_OPENING = compile_lazily(
    r"\((?:\?(?:[:|>=!]|<[=!]|[P']?<?\w{1,64}[>']|[a-zA-Z^-]{0,16}:?)?)?", re.ASCII
)
_LARGEST = 65_535
_ENDLESS = frozenset("*+")


class _Scanner:
    """One pass over an expression."""

    def __init__(self, text: str, extended: bool) -> None:
        self._text = text
        self._extended = extended
        self._at = 0
        self._open: list[
            bool
        ] = []  # for each open group: True if it has an unbounded repetition inside
        self._after = False  # True if a quantifier may follow
        self._closed = False  # True if a group with an unbounded repetition was just closed
        self.explosive = False

    def run(self) -> None:
        """Raises Malformed where the expression is wrong."""
        while self._at < len(self._text):
            sign = self._text[self._at]
            step = _STEPS.get(sign)
            if step is None:
                self._atom(1)
            else:
                step(self)
        if self._open:
            raise Malformed("not a regular expression: a parenthesis is not closed")

    def _atom(self, length: int) -> None:
        self._at += length
        self._after, self._closed = True, False

    def escape(self) -> None:
        """Skip a backslash and the character or the quoted text after it."""
        if self._at + 1 >= len(self._text):
            raise Malformed("not a regular expression: ends with a backslash")
        if self._text[self._at + 1] == "Q":
            end = self._text.find("\\E", self._at + 2)
            self._at = len(self._text) if end < 0 else end + 2
            self._after, self._closed = True, False
            return
        self._atom(2)

    def character_class(self) -> None:
        """Skip a character class, from `[` to its `]`."""
        text, at = self._text, self._at + 1
        at += text.startswith("^", at)
        at += text.startswith("]", at)
        while at < len(text) and text[at] != "]":
            if text[at] == "\\":
                at += 2
            elif named := _NAMED_CLASS.match(text, at):
                at = named.end()
            else:
                at += _range(text, at)
        if at >= len(text):
            raise Malformed("not a regular expression: a class is not closed")
        self._atom(at + 1 - self._at)

    def opening(self) -> None:
        """Open a group, or skip a comment."""
        if self._text.startswith("(?#", self._at):
            end = self._text.find(")", self._at)
            if end < 0:
                raise Malformed("not a regular expression: a comment is not closed")
            self._at = end + 1
            return
        if self._text.startswith("(*", self._at):  # a verb such as (*UTF8)
            self._at += 2
        else:
            found = _OPENING.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1
        self._open.append(False)
        if len(self._open) > MAX_DEPTH:
            raise Malformed(f"not a regular expression: deeper than {MAX_DEPTH} levels")
        self._after = False

    def closing(self) -> None:
        """Close a group."""
        if not self._open:
            raise Malformed("not a regular expression: a closing parenthesis has no opening one")
        self._closed = self._open.pop()
        self._at += 1
        self._after = True
        if self._closed and self._open:
            self._open[-1] = True

    def comment(self) -> None:
        """Skip a `#`, in extended mode with the rest of its line."""
        if not self._extended:
            return self._atom(1)
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1
        return None

    def alternative(self) -> None:
        """Start the next alternative after `|`."""
        self._at += 1
        self._after = False

    def quantifier(self) -> None:
        """Check `*`, `+`, `?` or a count."""
        sign = self._text[self._at]
        found = _COUNT.match(self._text, self._at) if sign == "{" else None
        if sign == "{" and not found:
            return self._atom(1)  # a brace without a count is a literal
        if not self._after:
            raise Malformed("not a regular expression: a quantifier has nothing to repeat")
        if found:
            _check_count(found)
        endless = sign in _ENDLESS or bool(found and found[2] and not found[3])
        self._at = found.end() if found else self._at + 1
        if endless:
            self.explosive |= self._closed
            if self._open:
                self._open[-1] = True
        self._at += self._text[self._at : self._at + 1] in ("?", "+") and self._at < len(self._text)
        self._after = False
        return None


def _range(text: str, at: int) -> int:
    """The length of the next member of a class: one character or a range."""
    if text[at + 1 : at + 2] != "-" or text[at + 2 : at + 3] in ("", "]", "\\", "["):
        return 1
    if text[at] > text[at + 2]:
        raise Malformed("not a regular expression: a range runs backwards")
    return 3


def _check_count(found: re.Match[str]) -> None:
    least, most = int(found[1] or 0), int(found[3] or found[4] or found[1] or 0)
    if least > _LARGEST or most > _LARGEST or (found[3] and most < least):
        raise Malformed("not a regular expression: a count runs backwards or is too large")


_STEPS = {
    "\\": _Scanner.escape,
    "[": _Scanner.character_class,
    "(": _Scanner.opening,
    ")": _Scanner.closing,
    "|": _Scanner.alternative,
    "#": _Scanner.comment,
    "*": _Scanner.quantifier,
    "+": _Scanner.quantifier,
    "?": _Scanner.quantifier,
    "{": _Scanner.quantifier,
}


def check(pattern: str) -> None:
    """Raises Malformed if the pattern is wrong in every dialect."""
    _scan(pattern)


def doubts(pattern: str) -> str:
    """A warning about an expression that may take exponential time; empty if there is none."""
    if _scan(pattern).explosive:
        return "an endless repetition within another: it may take a matcher exponential time"
    return ""


def _scan(pattern: str) -> _Scanner:
    if not pattern.strip():
        raise Malformed("not a regular expression: it is empty")
    delimited = _DELIMITED.fullmatch(pattern)
    text = delimited[2] if delimited else pattern
    flags = pattern[delimited.end(2) + 1 :] if delimited else ""
    scanner = _Scanner(text, "x" in flags or _EXTENDED.search(text) is not None)
    scanner.run()
    return scanner


LANGUAGE = Language(check, doubts)
