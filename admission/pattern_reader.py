"""The grammar of STIX patterns (STIX 2.1 section 9): text into a tree.

A reader of our own, because the common one needs a quarter of a millisecond
for the simplest pattern and recurses once for each OR.  Here AND and OR loop;
only parentheses recurse, to a depth that is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import micros, timestamp

LONGEST = 64 * 1024
DEEPEST = 32

_TOKEN = re.compile(
    r"""(?P<space>\s+|/\*(?:[^*]|\*(?!/))*\*/|//[^\r\n]*)
      | (?P<typed>[thb]'(?:[^'\\]|\\['\\])*')
      | (?P<string>'(?:[^'\\]|\\['\\])*')
      | (?P<float>[+-]?[0-9]*\.[0-9]+)
      | (?P<integer>[+-]?[0-9]+)
      | (?P<word>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<sign>==|<>|!=|<=|>=|[=<>\[\]().,:*])""",
    re.VERBOSE | re.ASCII,
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_ORDERED = {"<", ">", "<=", ">="}
_TEXTUAL = {"LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"}
_KEYWORDS = frozenset(
    ("AND", "OR", "NOT", "FOLLOWEDBY", "LIKE", "MATCHES", "ISSUPERSET", "ISSUBSET", "EXISTS", "IN")
    + ("START", "STOP", "SECONDS", "WITHIN", "REPEATS", "TIMES", "true", "false")
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: its kind (string, integer, float, bool, t, h, b) and its value as text."""

    kind: str
    text: str

    def __str__(self) -> str:
        if self.kind == "string":
            return quoted(self.text)
        return f"{self.kind}{quoted(self.text)}" if self.kind in "thb" else self.text


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison inside brackets; EXISTS has no values, IN has several."""

    kind: str
    path: str
    operator: str
    values: tuple[Literal, ...]
    negated: bool = False

    def __str__(self) -> str:
        place = f"{self.kind}:{self.path}"
        negation = "NOT " if self.negated else ""
        if self.operator == "EXISTS":
            return f"{negation}EXISTS {place}"
        if self.operator == "IN":
            return f"{place} {negation}IN ({', '.join(map(str, self.values))})"
        return f"{place} {negation}{self.operator} {self.values[0]}"


@dataclass(frozen=True, slots=True)
class Junction:
    """Parts joined by AND, OR or FOLLOWEDBY; inside brackets or between them."""

    word: str
    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return f" {self.word} ".join(
            f"({part})" if isinstance(part, Junction) else str(part) for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """What stands in one pair of brackets."""

    test: Node

    def __str__(self) -> str:
        return f"[{self.test}]"


@dataclass(frozen=True, slots=True)
class Qualified:
    """An observation expression with a qualifier, for instance `WITHIN 300 SECONDS`."""

    part: Node
    qualifier: str

    def __str__(self) -> str:
        inner = f"({self.part})" if isinstance(self.part, Junction) else str(self.part)
        return f"{inner} {self.qualifier}"


Node = Test | Junction | Observation | Qualified


def quoted(text: str) -> str:
    r"""A STIX string literal.

    >>> quoted("it's")
    "'it\\'s'"
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def parse(pattern: str) -> Node:
    """The pattern as a tree.

    Raises Malformed, saying where, if it is not a STIX pattern, longer than
    LONGEST characters or nested deeper than DEEPEST.
    """
    if len(pattern) > LONGEST:
        raise Malformed(f"the pattern is longer than {LONGEST} characters")
    return _Reader(pattern).whole()


class _Reader:
    """Reads one pattern from left to right.  AND and OR loop; only parentheses recurse."""

    def __init__(self, pattern: str) -> None:
        self._tokens = list(_tokens(pattern))
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._chain(("FOLLOWEDBY", "OR", "AND"), self._observation)
        if self._peek()[0] != "end":
            raise self._stop("AND, OR, FOLLOWEDBY, a qualifier or the end")
        return node

    def _chain(self, words: tuple[str, ...], unit: Callable[[], Node]) -> Node:
        """Operands joined by words[0], each of them joined by the words after it."""
        if not words:
            return unit()
        parts = [self._chain(words[1:], unit)]
        while self._peek() == ("word", words[0]):
            self._at += 1
            parts.append(self._chain(words[1:], unit))
        return parts[0] if len(parts) == 1 else Junction(words[0], tuple(parts))

    def _observation(self) -> Node:
        node: Node
        if self._takes("["):
            node = Observation(self._chain(("OR", "AND"), self._comparison))
            self._want("]")
        elif self._takes("("):
            node = self._inside(("FOLLOWEDBY", "OR", "AND"), self._observation)
        else:
            raise self._stop("[ or (")
        used: set[str] = set()
        single = isinstance(node, Observation)
        while self._peek()[1] in ("WITHIN", "REPEATS", "START") and self._peek()[0] == "word":
            word = self._peek()[1]
            if word in used and single:
                raise self._stop(f"one {word} only")
            used.add(word)
            node = Qualified(node, self._qualifier())
        return node

    def _inside(self, words: tuple[str, ...], unit: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Malformed(f"the pattern is nested deeper than {DEEPEST} parentheses")
        node = self._chain(words, unit)
        self._depth -= 1
        self._want(")")
        return node

    def _qualifier(self) -> str:
        word = self._next()[1]
        if word == "START":
            start = self._instant()
            self._want("STOP")
            return f"START {start} STOP {self._instant()}"
        kind, number = self._next()
        positive = kind in ("integer", "float") and float(number) > 0
        if not positive or (word == "REPEATS" and kind != "integer"):
            raise self._stop("a positive number", back=1)
        self._want("SECONDS" if word == "WITHIN" else "TIMES")
        return f"{word} {number.lstrip('+')} {'SECONDS' if word == 'WITHIN' else 'TIMES'}"

    def _instant(self) -> Literal:
        kind, text = self._next()
        if kind != "typed" or text[0] != "t":
            raise self._stop("a timestamp such as t'2026-01-01T00:00:00Z'", back=1)
        return _literal(kind, text)

    def _comparison(self) -> Node:
        if self._takes("("):
            return self._inside(("OR", "AND"), self._comparison)
        negated = self._takes("NOT")
        if self._takes("EXISTS"):
            return Test(*self._object_path(), "EXISTS", (), negated)
        if negated:
            raise self._stop("EXISTS")
        kind, path = self._object_path()
        negated = self._takes("NOT")
        operator = {"==": "=", "<>": "!="}.get(self._peek()[1], self._peek()[1])
        self._at += 1
        if operator == "IN":
            return Test(kind, path, operator, self._set(), negated)
        value = self._literal()
        fits = operator in ("=", "!=") or (operator in _ORDERED and value.kind != "bool")
        if not fits and not (operator in _TEXTUAL and value.kind == "string"):
            raise self._stop("a comparison such as = 'text'", back=2)
        return Test(kind, path, operator, (value,), negated)

    def _set(self) -> tuple[Literal, ...]:
        self._want("(")
        chosen = [self._literal()]
        while self._takes(","):
            chosen.append(self._literal())
        self._want(")")
        return tuple(chosen)

    def _object_path(self) -> tuple[str, str]:
        kind = self._name(hyphen=True)
        self._want(":")
        path = self._step()
        while True:
            if self._takes("."):
                path += "." + self._step()
            elif self._takes("["):
                token = self._next()
                if token[0] != "integer" and token != ("sign", "*"):
                    raise self._stop("a list index or *", back=1)
                self._want("]")
                path += f"[{token[1]}]"
            else:
                return kind, path

    def _step(self) -> str:
        if self._peek()[0] == "string":
            return self._next()[1]
        return self._name(hyphen=False)

    def _name(self, *, hyphen: bool) -> str:
        kind, text = self._next()
        if kind != "word" or text in _KEYWORDS or (not hyphen and "-" in text):
            raise self._stop("a name", back=1)
        return text

    def _literal(self) -> Literal:
        kind, text = self._next()
        if kind == "word" and text in ("true", "false"):
            return Literal("bool", text)
        if kind not in ("string", "typed", "integer", "float"):
            raise self._stop("a value", back=1)
        return _literal(kind, text)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _takes(self, text: str) -> bool:
        found = self._peek() in (("sign", text), ("word", text))
        self._at += found
        return found

    def _want(self, text: str) -> None:
        if not self._takes(text):
            raise self._stop(text)

    def _stop(self, wanted: str, *, back: int = 0) -> Malformed:
        kind, text = self._tokens[max(0, self._at - back)]
        found = "the end" if kind == "end" else ascii(text[:40])
        return Malformed(f"not a STIX pattern: {wanted} expected, {found} found")


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(pattern):
        found = _TOKEN.match(pattern, at)
        if not found:
            raise Malformed(f"not a STIX pattern: cannot read on at character {at + 1}")
        at = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0]
    yield "end", ""


def _literal(kind: str, text: str) -> Literal:
    if kind in ("integer", "float"):
        return Literal(kind, text.lstrip("+"))
    bare = re.sub(r"\\(['\\])", r"\1", text[text.index("'") + 1 : -1])
    if kind == "string":
        return Literal("string", bare)
    if text[0] == "t":
        return Literal("t", timestamp(micros(bare)).rstrip("0Z").rstrip(".") + "Z")
    if text[0] == "h" and not re.fullmatch(r"(?:[0-9A-Fa-f]{2})*", bare):
        raise Malformed(f"not a hexadecimal value: {ascii(bare[:40])}")
    if text[0] == "b" and not _BASE64.fullmatch(bare):
        raise Malformed(f"not a base64 value: {ascii(bare[:40])}")
    return Literal(text[0], bare)
