"""YARA rules: each rule of a file becomes an indicator, with what it needs of the others.

A rule is cut out as it was written.  It takes along the imports of the file that it uses, the
rules that its condition names, and all global rules, so that it means the same alone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tocsin.admission.extraction.dates import parse_date
from tocsin.admission.extraction.external_ids import find_external_ids
from tocsin.admission.extraction.indicators import IndicatorDetails, refused_candidate
from tocsin.admission.extraction.rule_indicators import Rule, RuleBuilder
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.patterns.bounded_compiler import MAX_CHARACTERS

_ENDINGS = (".yar", ".yara", ".rule")
_TEXT_ENDINGS = (".txt", ".text", ".md", ".adoc", ".asciidoc", ".csv", ".html", ".rules", ".json")
_TOKEN = compile_lazily(
    r"(?P<skipped>//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*+\"?)"
    r"|(?P<regex>(?:(?<=[=(,])|\bmatches)\s*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*+\]|[^/\\\n])++/)"
    r"|(?P<hex>=\s*\{[^{}\"]*\})"
    r"|(?P<import>\b(?:import|include)\s+\"(?:\\.|[^\"\\\n]){0,200}\")"
    r"|(?P<rule>\b(?:(?:private|global)\s+){0,2}rule\s+(?P<name>[A-Za-z_]\w{0,127})\b)"
    r"|(?P<open>\{)|(?P<close>\})",
    re.DOTALL,
)
"""Pieces that may hide a bracket, and words that divide a file into parts."""
_BEGINS = compile_lazily(
    r"(?:\s|//[^\n]*\n|/\*.*?\*/)*+(?:import\s+\"|include\s+\"|(?:private\s+|global\s+){0,2}rule\s+\w)",
    re.DOTALL,
)
_META = compile_lazily(
    r"(?<![$\w])([A-Za-z_]\w{0,60})\s{0,9}=\s{0,9}\"((?:\\.|[^\"\\\n]){1,2000})\""
)
_WORD = compile_lazily(r"[A-Za-z_]\w*")
_LINK = compile_lazily(r"https?://[^\s@\"]{4,1000}")
_MODULE = compile_lazily(r"\"(\w{1,40})\"")
_INCLUDE = "a rule file that includes others: put their rules into this one"
_LONG = "together with the rules that it needs it is too long: send fewer rules at a time"
_LONGEST_FILE = 100_000_000
"""Characters of all the indicators of one file."""
_SAMPLE = 65_536


@dataclass(frozen=True, slots=True)
class _Piece:
    """One rule as it stands in its file."""

    name: str
    text: str
    line: int
    head: str

    @property
    def is_global(self) -> bool:
        return "global" in self.head.split()

    @property
    def is_private(self) -> bool:
        return "private" in self.head.split()

    @property
    def meta(self) -> list[tuple[str, str]]:
        """The meta values of the rule, by name in lower case."""
        return [(name.lower(), value) for name, value in _META.findall(self.text)]

    @property
    def levels(self) -> list[Tlp]:
        """Every TLP level that it states.  Raises ValueError for one that is none."""
        return [Tlp.parse(value) for name, value in self.meta if name == "tlp"]


def _accepts(name: str, content: bytes) -> bool:
    lower = name.lower()
    if lower.endswith(_TEXT_ENDINGS):
        return False
    text = decode_text(content[:_SAMPLE])
    if lower.endswith(_ENDINGS):
        return any(token["rule"] for token in _TOKEN.finditer(text))
    return _BEGINS.match(text.lstrip("\ufeff")) is not None and "condition" in text


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    text = decode_text(content)
    imports, pieces, cut = _split(text)
    level, notes = find_strictest_tlp(enumerate(text.split("\n"), 1))
    rules = RuleBuilder(options, level, notes)
    if any(each.startswith("include") for each in imports):
        yield refused_candidate(rules.builder.next_index(), _INCLUDE)
    file = _File(imports, pieces)
    shared = [piece for piece in pieces if not piece.is_private]
    for piece in shared:
        try:
            needed = file.find_needed(piece)
            details = _parse_meta(piece, needed, rules)
        except ValueError as error:
            message = f"line {piece.line}: {error}"
            yield refused_candidate(rules.builder.next_index(), message)
            continue
        yield rules.build(Rule(piece.name, file.join(needed), piece.line), "yara", details)
    if cut:
        message = f"line {cut}: a rule that does not end: close its last bracket"
        yield refused_candidate(rules.builder.next_index(), message)
    elif not shared:
        yield refused_candidate(rules.builder.next_index(), "no rule that is not private is in it")


def _split(text: str) -> tuple[list[str], list[_Piece], int]:
    """The imports of a file, its rules, and the line of a rule that does not end, else 0."""
    imports: list[str] = []
    pieces: list[_Piece] = []
    begun: re.Match[str] | None = None
    depth, line, counted = 0, 1, 0
    for token in _TOKEN.finditer(text):
        if token["rule"] and begun is None:
            begun = token
            line += text.count("\n", counted, token.start())
            counted = token.start()
        elif token["import"] and begun is None:
            imports.append(token["import"])
        elif token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth <= 0 and begun is not None:
                whole = text[begun.start() : token.end()]
                pieces.append(_Piece(begun["name"], whole, line, begun["rule"]))
                begun, depth = None, 0
    return imports, pieces, line if begun is not None else 0


class _File:
    """The rules of a file, and what each needs of the others."""

    def __init__(self, imports: Sequence[str], pieces: Sequence[_Piece]) -> None:
        self._imports = [each for each in imports if each.startswith("import")]
        self._places = {piece.name: place for place, piece in enumerate(pieces)}
        self._pieces = pieces
        self._globals = [piece for piece in pieces if piece.is_global]
        self._left = _LONGEST_FILE

    def find_needed(self, piece: _Piece) -> list[_Piece]:
        """The rule and those that it cannot do without, in the order of the file.

        Raises ValueError if they are too long together.
        """
        needed = {each.name: each for each in (*self._globals, piece)}
        waiting = list(needed.values())
        length = sum(len(each.text) for each in waiting)
        while waiting and length <= MAX_CHARACTERS:
            for word in dict.fromkeys(_WORD.findall(waiting.pop().text.rpartition("condition")[2])):
                if word in self._places and word not in needed:
                    needed[word] = self._pieces[self._places[word]]
                    waiting.append(needed[word])
                    length += len(needed[word].text)
        self._left -= length
        if length > MAX_CHARACTERS or self._left < 0:
            raise ValueError(_LONG)
        return sorted(needed.values(), key=lambda each: self._places[each.name])

    def join(self, needed: Sequence[_Piece]) -> str:
        """These rules, below the imports that they use."""
        text = "\n\n".join(each.text for each in needed)
        return "\n".join([*(each for each in self._imports if _is_used(each, text)), text])


def _is_used(line: str, text: str) -> bool:
    module = _MODULE.search(line)
    return module is not None and f"{module[1]}." in text


def _parse_meta(piece: _Piece, needed: Iterable[_Piece], rules: RuleBuilder) -> IndicatorDetails:
    """The details that a rule's `meta` gives, with the strictest TLP level of those it needs.

    Raises ValueError for a TLP level that is none.
    """
    meta = dict(piece.meta)
    levels = [level for each in needed for level in each.levels]
    link = _LINK.match(meta.get("reference", ""))
    ids = find_external_ids(value for _, value in piece.meta)
    in_catalogue = link is not None and bool(find_external_ids((link[0],)))
    return IndicatorDetails(
        tlp=max([*levels, *([] if rules.level is None else [rules.level])], default=None),
        first_seen=parse_date(meta.get("date", ""), rules.options.now),
        name=piece.name,
        description=meta.get("description", "")[:2000],
        references=(link[0],) if link and not in_catalogue else (),
        external_ids=ids,
    )


FORMAT = Format(
    name="yara",
    description="YARA rules: each rule as an indicator",
    extensions=_ENDINGS[:2],
    accepts=_accepts,
    read=_read_file,
)
