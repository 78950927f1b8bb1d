"""Random STIX patterns as syntax trees, their text in many forms, and observations to match.

A tree has the meaning; `Writer.write` chooses the text.  A value has several
spellings with the same meaning.
"""

import random
import uuid
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tocsin.admission.model import StixObject
from tocsin.admission.observables.hashes import hash_name
from tocsin.admission.observables.values import canonical_value


@dataclass(frozen=True)
class Field:
    """A property that patterns compare and observations have."""

    kind: str
    paths: tuple[str, ...]
    spellings: tuple[tuple[str, ...], ...]
    """The literals that stand for each value."""
    operators: tuple[str, ...] = ("=", "!=", "IN")


TEXT = ("=", "!=", "IN", "LIKE", "MATCHES", "<", ">=")
NUMBER = ("=", "!=", "IN", "<", "<=", ">", ">=")
ADDRESS = ("=", "!=", "IN", "ISSUBSET")
A, B = "a" * 64, "B" * 64
FIELDS = (
    Field("file", ("name", "'name'"), (("'a'",), ("'A'",), ("'ab.exe'",), ("'a%'",)), TEXT),
    Field("file", ("size",), (("1", "+1", "1.0", "1.00"), ("2",), ("0", "-0", ".0")), NUMBER),
    Field("file", ("x_flag",), (("true",), ("false",)), ("=", "!=")),
    Field("file", ("x_list[*]",), (("1", "+1.0"), ("2",), ("3",)), NUMBER),
    Field("file", ("x_list[0]", "x_list[+0]"), (("1",), ("2",)), NUMBER),
    Field(
        "file",
        ("hashes.'SHA-256'", "hashes.SHA256", "hashes.'sha-256'"),
        ((f"'{A}'", f"'{A.upper()}'"), (f"'{B}'", f"'{B.lower()}'")),
    ),
    Field(
        "domain-name",
        ("value",),
        (("'evil.example'", "'EVIL.example'", "'evil.example.'"), ("'bad.example'",)),
    ),
    Field(
        "ipv4-addr",
        ("value",),
        (("'198.51.100.7'", "'198.51.100.7/32'"), ("'198.51.100.0/24'", "'198.51.100.9/24'")),
        ADDRESS,
    ),
    Field("mutex", ("name",), (("'m'",), ("'M'",)), TEXT),
    Field(
        "windows-registry-key",
        ("key",),
        (("'HKLM\\\\a'", "'HKEY_LOCAL_MACHINE\\\\A'"), ("'HKEY_USERS\\\\b'", "'hku\\\\b'")),
    ),
    Field(
        "x-event",
        ("at",),
        (
            ("t'2026-01-01T00:00:00Z'", "t'2026-01-01T00:00:00.000Z'"),
            ("t'2026-01-02T00:00:00.5Z'", "t'2026-01-02T00:00:00.50Z'"),
        ),
        NUMBER,
    ),
    Field("artifact", ("payload_bin",), (("h'FFD8'", "h'ffd8'", "b'/9g='"), ("h'00'", "b'AA=='"))),
)


@dataclass(frozen=True)
class Comparison:
    """A comparison expression: the field, the operator and the numbers of the values."""

    field: int
    operator: str
    chosen: tuple[int, ...]
    negated: bool = False


@dataclass(frozen=True)
class Combination:
    """Comparisons or observations joined by AND, OR or FOLLOWEDBY."""

    word: str
    parts: tuple["Tree", ...]


@dataclass(frozen=True)
class ObservationExpression:
    """An observation expression: comparisons in square brackets."""

    inside: "Tree"


@dataclass(frozen=True)
class Qualified:
    """An observation expression with a qualifier."""

    part: "Tree"
    qualifier: str


Tree = Comparison | Combination | ObservationExpression | Qualified
QUALIFIERS = (
    "WITHIN 5 SECONDS",
    "WITHIN 90000.5 SECONDS",
    "REPEATS 1 TIMES",
    "REPEATS 2 TIMES",
    "START t'2026-01-01T00:00:00Z' STOP t'2026-01-01T00:00:30Z'",
)


@st.composite
def any_comparison(draw: st.DrawFn) -> Comparison:
    """A comparison of any field with any operator that it has."""
    number = draw(st.integers(0, len(FIELDS) - 1))
    field = FIELDS[number]
    operator = draw(st.sampled_from(field.operators))
    most = 3 if operator == "IN" else 1
    those = st.integers(0, len(field.spellings) - 1)
    if operator == "ISSUBSET":
        those = st.just(1)
    chosen = draw(st.lists(those, min_size=1, max_size=most))
    return Comparison(number, operator, tuple(chosen), draw(st.booleans()))


def combinations(words: tuple[str, ...], parts: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.builds(Combination, st.sampled_from(words), several)


comparisons = st.recursive(
    any_comparison(), lambda inner: combinations(("AND", "OR"), inner), max_leaves=5
)
observation_expressions = st.builds(ObservationExpression, comparisons)
patterns = st.recursive(
    observation_expressions,
    lambda inner: st.one_of(
        combinations(("AND", "OR", "FOLLOWEDBY"), inner),
        st.builds(Qualified, inner, st.sampled_from(QUALIFIERS)),
    ),
    max_leaves=4,
)


class Writer:
    """Writes trees as text.  A loose writer varies words and order, but not the meaning."""

    def __init__(self, seed: int, *, loose: bool, alternative: str = "") -> None:
        """`alternative` is a comparison that nothing matches, ORed into every observation."""
        self._alternative = f" OR {alternative}" if alternative else ""
        self._random = random.Random(seed)
        self._loose = loose
        self._spellings = [[self._random.choice(each) for each in f.spellings] for f in FIELDS]
        self._paths = [self._random.choice(field.paths) for field in FIELDS]

    def write(self, tree: Tree) -> str:
        """Write the tree as a pattern."""
        if isinstance(tree, Comparison):
            return self._write_comparison(tree)
        if isinstance(tree, ObservationExpression):
            return self._write_observation(tree)
        if isinstance(tree, Qualified):
            repeated = " REPEATS +1 TIMES" if self._maybe() else ""
            return f"({self.write(tree.part)}) {tree.qualifier}{repeated}"
        if self._maybe() and tree.word != "FOLLOWEDBY":
            tree = distribute_and(tree)
        parts = [f"({self.write(part)})" for part in tree.parts]
        if self._loose and tree.word != "FOLLOWEDBY":
            self._random.shuffle(parts)
        if self._maybe() and tree.word == "OR":
            parts.append(parts[0])
        return f"{self._space()}{tree.word} ".join(parts)

    def literal_of(self, field: int, value: int) -> str:
        """The literal that this writer uses for a value, always the same one."""
        return self._spellings[field][value]

    def path(self, field: int) -> str:
        """The path that this writer uses for a field, always the same one."""
        return self._paths[field]

    def _write_observation(self, tree: ObservationExpression) -> str:
        inside = tree.inside
        if self._maybe() and isinstance(inside, Combination) and inside.word == "OR":
            return (
                "("
                + " OR ".join(
                    self._write_observation(ObservationExpression(part)) for part in inside.parts
                )
                + ")"
            )
        text = f"[{self._space()}({self.write(inside)}){self._alternative}{self._space()}]"
        return f"({text})" if self._maybe() else text

    def _write_comparison(self, test: Comparison) -> str:
        path = f"{FIELDS[test.field].kind}:{self._path(test.field)}"
        literals = [self._literal(test.field, each) for each in test.chosen]
        if test.operator == "IN":
            return self._write_in(path, literals, test.negated)
        operator, negated = test.operator, test.negated
        if self._maybe() and operator in ("=", "!="):
            operator, negated = ("!=" if operator == "=" else "="), not negated
        if self._maybe():
            operator = {"=": "==", "!=": "<>"}.get(operator, operator)
        text = f"{path} {self._space()}{'NOT ' if negated else ''}{operator} {literals[0]}"
        return f"({text})" if self._maybe() else text

    def _write_in(self, path: str, literals: list[str], negated: bool) -> str:
        if self._maybe() and not negated:
            return "(" + " OR ".join(f"{path} = {each}" for each in literals) + ")"
        if self._maybe() and negated and "[*]" not in path:
            return "(" + " AND ".join(f"{path} != {each}" for each in literals) + ")"
        return f"{path} {'NOT ' if negated else ''}IN ({', '.join(literals)})"

    def _literal(self, field: int, value: int) -> str:
        if self._loose:
            return self._random.choice(FIELDS[field].spellings[value])
        return self.literal_of(field, value)

    def _path(self, field: int) -> str:
        return self._random.choice(FIELDS[field].paths) if self._loose else self.path(field)

    def _space(self) -> str:
        return self._random.choice(("", " ", "\t", "/* why */", "\u2003")) + " " * self._loose

    def _maybe(self) -> bool:
        return self._loose and self._random.random() < 0.4


def distribute_and(tree: Combination) -> Combination:
    """Rewrite `a AND (b OR c)` as `a AND b OR a AND c`."""
    for at, part in enumerate(tree.parts):
        if tree.word == "AND" and isinstance(part, Combination) and part.word == "OR":
            rest = (*tree.parts[:at], *tree.parts[at + 1 :])
            return Combination(
                "OR", tuple(Combination("AND", (*rest, each)) for each in part.parts)
            )
    return tree


Observed = tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
observations = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.lists(
            st.tuples(st.integers(0, len(FIELDS) - 1), st.integers(0, 2)), min_size=1, max_size=5
        ).map(tuple),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
"""Each observation: its second, and its fields with the number of their value."""


def bundle(observed: Observed, writer: Writer, *, normal: bool) -> StixObject:
    """Observed data as input of a matcher; values as the writer spells them, or in normal form."""
    objects: list[StixObject] = []
    for second, pairs in observed:
        scos: dict[str, StixObject] = {}
        for field, value in pairs:
            kind, value = FIELDS[field].kind, value % len(FIELDS[field].spellings)
            sco = scos.setdefault(kind, {"type": kind, "id": f"{kind}--{uuid.uuid4()}"})
            _put_value(
                sco,
                writer.path(field),
                _observed_value(field, writer.literal_of(field, value)),
                normal,
            )
        seen_at = f"2026-01-01T00:00:{second % 60:02}Z"
        objects += [
            {
                "type": "observed-data",
                "id": f"observed-data--{uuid.uuid4()}",
                "first_observed": seen_at,
                "last_observed": seen_at,
                "number_observed": 1 + second % 2,
                "object_refs": [sco["id"] for sco in scos.values()],
            },
            *scos.values(),
        ]
    return {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects}


def _observed_value(field: int, literal: str) -> object:
    """Return the observed value that a literal stands for."""
    if FIELDS[field].paths[0] == "payload_bin":
        return {"f": "/9g=", "F": "/9g=", "/": "/9g="}.get(literal[2], "AA==")
    if literal in ("true", "false"):
        return literal == "true"
    if literal[0] in "t'":
        return literal[literal.index("'") + 1 : -1].replace("\\\\", "\\")
    return float(literal) if "." in literal else int(literal)


def _put_value(sco: StixObject, path: str, value: object, normal: bool) -> None:
    steps = path.replace("'", "").split(".")
    if "[" in path:
        sco.setdefault("x_list", []).append(value)
    elif steps[0] == "hashes":
        name = hash_name(steps[1]) if normal else steps[1]
        sco["hashes"] = {name: str(value).lower() if normal else value}
    else:
        sco[steps[0]] = _normal_form(str(sco["type"]), steps[0], value) if normal else value


def _normal_form(kind: str, name: str, value: object) -> object:
    """Return the canonical value: hosts and addresses in one form, registry keys in lower case."""
    if not isinstance(value, str):
        return value
    canonical = canonical_value(kind, name, value)
    if kind == "windows-registry-key":
        hive, slash, rest = canonical.partition("\\")
        return hive + slash + rest.lower()
    return canonical


def change_meaning(tree: Tree, change: random.Random) -> Tree:
    """Change the tree once, so that it no longer matches the same observations."""
    if isinstance(tree, Comparison):
        others = [n for n in range(len(FIELDS[tree.field].spellings)) if n not in tree.chosen]
        return replace(tree, chosen=(others[0],)) if others else replace(tree, operator="!=")
    if isinstance(tree, ObservationExpression):
        return ObservationExpression(change_meaning(tree.inside, change))
    if isinstance(tree, Qualified):
        return change_meaning(tree.part, change) if change.random() < 0.5 else tree.part
    if tree.word == "FOLLOWEDBY" and change.random() < 0.5:
        return Combination(tree.word, tuple(reversed(tree.parts)))
    at = change.randrange(len(tree.parts))
    parts = list(tree.parts)
    parts[at] = change_meaning(parts[at], change)
    return Combination(tree.word, tuple(parts))
