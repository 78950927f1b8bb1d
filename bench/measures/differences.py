"""Why a value is found by the ruler alone, or by us alone: what its place in the file says."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from measures.court import (
    closed_by,
    indicator,
    judged,
    objects,
)
from measures.ruler import Ruler, Value, decoded
from tocsin.admission.extraction.boilerplate import (
    LineRole,
    classify_lines,
    find_bystanders,
    without_pointers,
)
from tocsin.admission.extraction.prose import find_in_line
from tocsin.admission.formats.csv.columns import (
    Columns,
    Role,
    guess_columns,
    parse_headings,
)

UNEXPLAINED = "no reason found"
POST = "somebody's post, which may be in no feed"
LINK = "a link in a comment of a list: to an analysis or article"
MARKUP = (".md", ".adoc")
COMMENTS = ("#", "//", ";", "!")
ENDINGS = re.compile(r"\.(?:py|md|sh|pl|rs|so|zip|mov|cab|ps|app|one|info)$")
PACKAGES = re.compile(r"(?:com|org|net|io|android)\.[\w.-]+$")
CELLS = re.compile(r"[\s\"'<>`,;|()\[\]=]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the ruler found a value: a word of a line or a cell of a row."""

    word: str
    line: str
    declared: str = ""
    """What the row says that it is about."""
    role: Role | None = None
    """What its column is for; None if that is not known."""
    heading: str = ""
    aside: bool = False
    """Whether its line speaks of the text: its people, what it refers to, a rule."""
    bystander: bool = False
    """Whether the words around it call it a person's."""

    @property
    def comment(self) -> bool:
        before = self.line[: self.line.find(self.word)]
        return self.line.lstrip().startswith(COMMENTS) or re.search(r"\s#", before) is not None


Reason = tuple[str, Callable[[Value, list[Place], set[Value]], bool]]


def missing(
    those: set[Value], taken: set[Value], name: str, raw: bytes, ruler: Ruler
) -> Iterator[tuple[Value, str]]:
    """A reason for each value that the ruler counts in a file and we do not."""
    found = places(those, name, raw, ruler) if those else {}
    for value in those:
        where = found.get(value, [])
        yield (
            value,
            next((why for why, holds in MISSING if holds(value, where, taken)), UNEXPLAINED),
        )


def posted(value: Value, where: list[Place], taken: set[Value]) -> bool:
    """What somebody wrote somewhere: admission lets it into no feed, whoever sends it."""
    if value[0] != "url" or "'" in value[1] or "\\" in value[1]:
        return False
    [told] = judged(objects([indicator(0, f"[url:value = '{value[1]}']")]))
    return closed_by(told) == "anonymise_source"


def referring(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return value[0] == "url" and commented(value, where, taken)


def commented(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return bool(where) and all(each.comment for each in where)


def apart(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return bool(where) and all(each.aside or each.comment for each in where)


def personal(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return bool(where) and all(each.bystander or each.aside or each.comment for each in where)


def versioned(value: Value, where: list[Place], taken: set[Value]) -> bool:
    said = rf"(?i)version\W{{0,4}}{re.escape(value[1])}"
    return value[0] == "ipv4" and bool(where) and all(re.search(said, p.line) for p in where)


def elsewhere(*roles: Role) -> Callable[[Value, list[Place], set[Value]], bool]:
    """Whether it stands only in columns with one of these roles."""

    def holds(value: Value, where: list[Place], taken: set[Value]) -> bool:
        return bool(where) and all(each.role in roles for each in where)

    return holds


def certified(value: Value, where: list[Place], taken: set[Value]) -> bool:
    words = ("certificate", "thumbprint")
    said = [(each.heading + each.declared + each.line).lower() for each in where]
    return value[0] in ("md5", "sha1") and any(word in each for each in said for word in words)


def filed(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return value[0] == "domain" and ENDINGS.search(value[1]) is not None


def packaged(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return value[0] == "domain" and PACKAGES.match(value[1]) is not None


def other_kind(value: Value, where: list[Place], taken: set[Value]) -> bool:
    """A row that says it is a text about the others, or a file's name."""
    kinds = ("description", "comment", "note", "title", "reference", "source", "report", "file")
    return bool(where) and all(each.declared.lower().startswith(kinds) for each in where)


def ended(value: Value, where: list[Place], taken: set[Value]) -> bool:
    """A URL that we end before a mark of punctuation or markup, or whose inside we refang too."""
    if value[0] != "url":
        return False
    text = undone(value[1])
    ours = (undone(each) for kind, each in taken if kind == "url")
    return any(text.startswith(each) or each.startswith(text) for each in ours if len(each) > 12)


def linked(value: Value, where: list[Place], taken: set[Value]) -> bool:
    """Markdown's or AsciiDoc's target of words of their own."""
    plain = value[1].partition("[")[0].rstrip(".")
    marked = (re.search(rf"(?:\]\(){re.escape(plain)}|{re.escape(plain)}\[", p.line) for p in where)
    return value[0] == "url" and bool(where) and all(marked)


def placeholder(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return value[0] == "url" and re.match(r"\w+://\[[a-z]+[\]/]", value[1]) is not None


def undone(url: str) -> str:
    return re.sub(r"(?i)hxxp", "http", url).rstrip("/").replace("[.]", ".")


def masked(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return "***" in value[1]


def sink(value: Value, where: list[Place], taken: set[Value]) -> bool:
    return value[1] in ("0.0.0.0", "127.0.0.1", "::1")  # noqa: S104 - read, not bound to


MISSING: tuple[Reason, ...] = (
    (POST, posted),
    (LINK, referring),
    ("a name or address in a comment of a list, beside the value", commented),
    ("a link in a column of references", elsewhere(Role.REFERENCE)),
    ("the fingerprint of a certificate, not of a file", certified),
    ("the name of a file", filed),
    ("in a row that is a note, or about a file's name", other_kind),
    ("in a column of notes, names or tags", elsewhere(Role.NOTE, Role.NAME, Role.TAGS)),
    ("in a column that the headings do not call indicators", elsewhere(Role.OTHER)),
    ("the name of an app or a process", packaged),
    ("a link on words of Markdown or AsciiDoc, for readers", linked),
    ("a URL that the ruler ends elsewhere", ended),
    ("a URL with a placeholder for its host", placeholder),
    ("in what a text says of itself: a reference, its people, a rule", apart),
    ("a person's mailbox, what is at its domain, the number of a message", personal),
    ("the version of a program", versioned),
    ("an address that is masked", masked),
    ("the address to which a hosts file leads", sink),
)


def places(wanted: set[Value], name: str, raw: bytes, ruler: Ruler) -> dict[Value, list[Place]]:
    """Where in a file the ruler sees values."""
    found: dict[Value, list[Place]] = defaultdict(list)
    table = name.lower().endswith((".csv", ".tsv"))
    markup = name.lower().endswith(MARKUP)
    lines = decoded(raw).splitlines()
    kinds = classify_lines(lines, markup)
    bystanders = find_bystanders(lines, kinds)
    for place in in_table(name, decoded(raw)) if table else in_text(lines, kinds):
        told = ruler.classify(place.word)
        if told in wanted:
            whose = any(
                bystanders.excludes(each, place.line) for each in find_in_line(place.word, False)
            )
            found[told].append(replace(place, bystander=whose and not table))
    return found


def in_text(lines: list[str], kinds: list[LineRole | None]) -> Iterator[Place]:
    for line, aside in zip(lines, kinds, strict=True):
        for word in line.split():
            pointed = word not in without_pointers(line)
            yield Place(word, line, aside=aside is not None or pointed)


def in_table(name: str, text: str) -> Iterator[Place]:
    plain = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    separator = "\t" if name.lower().endswith(".tsv") else ","
    rows = list(csv.reader(io.StringIO(plain), delimiter=separator))
    top = next((each for each in islice(rows, 50) if any(each) and parse_headings(each)), [])
    columns = (parse_headings(top) if top else None) or guess_columns(
        [each for each in rows[:200] if any(each)]
    )
    for row in rows:
        line = ",".join(row)
        kinds = columns.with_role(Role.TYPE)
        declared = row[kinds[0]] if kinds and kinds[0] < len(row) else ""
        for number, cell in enumerate(row):
            heading = top[number] if number < len(top) else ""
            yield Place(cell, line, declared, role(columns, number), heading)


def role(columns: Columns, number: int) -> Role | None:
    if not columns.roles:
        return None
    return columns.roles[number] if number < len(columns.roles) else Role.OTHER


def besides(
    those: set[Value], theirs: set[Value], name: str, raw: bytes, ruler: Ruler
) -> Iterator[tuple[Value, str]]:
    """A reason for each value that we take from a file and the ruler does not count in it."""
    if not those:
        return
    text = ruler.refanged(decoded(raw))
    words = set(text.split())
    parts = set(CELLS.split(text))
    for value in those:
        yield value, alone(value, theirs, ruler) or inside(value[1].lower(), text, words | parts)


def alone(value: Value, theirs: set[Value], ruler: Ruler) -> str:
    """What the value itself tells."""
    kind, text = value
    if kind in ("cidr", "certificate"):
        return f"a kind that the ruler does not know: {kind}"
    if ruler.classify(text) is None:
        return "a host below a top-level domain that the ruler does not know (onion, ...)"
    if "xn--" in text:
        return "an internationalised name, which the ruler knows in ASCII only"
    if ended(value, [], theirs):
        return "a URL that the ruler ends elsewhere"
    return ""


def inside(value: str, text: str, parts: set[str]) -> str:
    """How the value stands in the text."""
    bare = value.partition("://")[2].rstrip("/")
    if bare and value.rstrip("/") not in text and bare in text:
        return "host/path without a scheme, which is a URL"
    if value in parts or value.rstrip("/") in text:
        return "one of several in a word or cell, or beside other characters"
    return UNEXPLAINED
