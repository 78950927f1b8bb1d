"""Reasons why a value is found only by the baseline or only by us, from its place in the file."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from measures.baseline import Baseline, Value, decode_text
from measures.fixtures import as_candidates, closing_rule, examine_batch, indicator
from tocsin.admission.extraction.prose import find_in_line
from tocsin.admission.extraction.references_and_contacts import (
    LineRole,
    classify_lines,
    find_bystanders,
    remove_read_more_links,
)
from tocsin.admission.formats.csv.columns import Columns, Role, guess_columns, parse_headings
from tocsin.admission.observables.placeholders import has_placeholder

UNEXPLAINED = "no reason found"
POST = "somebody's post, which may be in no feed"
LINK = "a link in a comment of a list: to an analysis or article"
MARKUP = (".md", ".adoc")
COMMENTS = ("#", "//", ";", "!")
ENDINGS = re.compile(r"\.(?:py|md|sh|pl|rs|so|zip|mov|cab|ps|app|one|info)$")
PACKAGES = re.compile(r"(?:com|org|net|io|android)\.[\w.-]+$")
CELLS = re.compile(r"[\s\"'<>`,;|()\[\]=]+")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where the baseline found a value: a word of a line or a cell of a row."""

    word: str
    line: str
    declared: str = ""
    """The kind that the row declares."""
    role: Role | None = None
    """The role of its column; None if unknown."""
    heading: str = ""
    aside: bool = False
    """True if its line is boilerplate: authors, references, a rule."""
    bystander: bool = False
    """True if the words around it attribute it to a person."""

    @property
    def comment(self) -> bool:
        before = self.line[: self.line.find(self.word)]
        return self.line.lstrip().startswith(COMMENTS) or re.search(r"\s#", before) is not None


Reason = tuple[str, Callable[[Value, list[Occurrence], set[Value]], bool]]


def explain_missing(
    those: set[Value], taken: set[Value], name: str, raw: bytes, baseline: Baseline
) -> Iterator[tuple[Value, str]]:
    """Give a reason for each value that the baseline counts in a file and we do not."""
    found = find_occurrences(those, name, raw, baseline) if those else {}
    for value in those:
        where = found.get(value, [])
        yield (
            value,
            next((why for why, holds in MISSING if holds(value, where, taken)), UNEXPLAINED),
        )


def is_post(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    """True for a URL of somebody's post, which admission publishes for no partner."""
    if value[0] != "url" or "'" in value[1] or "\\" in value[1]:
        return False
    [examined] = examine_batch(as_candidates([indicator(0, f"[url:value = '{value[1]}']")]))
    return closing_rule(examined) == "anonymise_source"


def is_link_in_comment(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return value[0] == "url" and is_only_in_comments(value, where, taken)


def is_only_in_comments(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return bool(where) and all(each.comment for each in where)


def is_only_in_asides(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return bool(where) and all(each.aside or each.comment for each in where)


def is_only_about_people(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return bool(where) and all(each.bystander or each.aside or each.comment for each in where)


def is_version_number(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    numbered = rf"(?i)version\W{{0,4}}{re.escape(value[1])}"
    return value[0] == "ipv4" and bool(where) and all(re.search(numbered, p.line) for p in where)


def only_in_columns(*roles: Role) -> Callable[[Value, list[Occurrence], set[Value]], bool]:
    """Build a test that is true if the value occurs only in columns with one of these roles."""

    def holds(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
        return bool(where) and all(each.role in roles for each in where)

    return holds


def is_certificate_fingerprint(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    words = ("certificate", "thumbprint")
    contexts = [(each.heading + each.declared + each.line).lower() for each in where]
    return value[0] in ("md5", "sha1") and any(word in each for each in contexts for word in words)


def is_file_name(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return value[0] == "domain" and ENDINGS.search(value[1]) is not None


def is_package_name(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return value[0] == "domain" and PACKAGES.match(value[1]) is not None


def is_in_row_of_notes(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    """True if the row declares itself a note about the other rows, or a file name."""
    kinds = ("description", "comment", "note", "title", "reference", "source", "report", "file")
    return bool(where) and all(each.declared.lower().startswith(kinds) for each in where)


def ends_elsewhere(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    """True for a URL that we end at a punctuation or markup character, or refang inside."""
    if value[0] != "url":
        return False
    text = refang_url(value[1])
    ours = (refang_url(each) for kind, each in taken if kind == "url")
    return any(text.startswith(each) or each.startswith(text) for each in ours if len(each) > 12)


def is_markup_link(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    """True for the target of a Markdown or AsciiDoc link that has a text of its own."""
    plain = value[1].partition("[")[0].rstrip(".")
    marked = (re.search(rf"(?:\]\(){re.escape(plain)}|{re.escape(plain)}\[", p.line) for p in where)
    return value[0] == "url" and bool(where) and all(marked)


def is_with_placeholder(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    host = re.match(r"\w+://\[[a-z]+[\]/]", value[1]) is not None
    return value[0] == "url" and (host or has_placeholder(value[1]))


def refang_url(url: str) -> str:
    return re.sub(r"(?i)hxxp", "http", url).rstrip("/").replace("[.]", ".")


def is_masked(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return "***" in value[1]


def is_sink_address(value: Value, where: list[Occurrence], taken: set[Value]) -> bool:
    return value[1] in ("0.0.0.0", "127.0.0.1", "::1")  # noqa: S104 - read, not bound to


MISSING: tuple[Reason, ...] = (
    (POST, is_post),
    (LINK, is_link_in_comment),
    ("a name or address in a comment of a list, beside the value", is_only_in_comments),
    ("a link in a column of references", only_in_columns(Role.REFERENCE)),
    ("the fingerprint of a certificate, not of a file", is_certificate_fingerprint),
    ("the name of a file", is_file_name),
    ("in a row that is a note, or about a file's name", is_in_row_of_notes),
    ("in a column of notes, names or tags", only_in_columns(Role.NOTE, Role.NAME, Role.TAGS)),
    ("in a column that the headings do not call indicators", only_in_columns(Role.OTHER)),
    ("the name of an app or a process", is_package_name),
    ("the target of a Markdown or AsciiDoc link", is_markup_link),
    ("a URL that the baseline ends elsewhere", ends_elsewhere),
    ("a URL with a placeholder", is_with_placeholder),
    ("in the text's own credits, references or rules", is_only_in_asides),
    ("a person's mailbox or its domain, or a message id", is_only_about_people),
    ("the version of a program", is_version_number),
    ("an address that is masked", is_masked),
    ("the sink address of a hosts file", is_sink_address),
)


def find_occurrences(
    wanted: set[Value], name: str, raw: bytes, baseline: Baseline
) -> dict[Value, list[Occurrence]]:
    """Find the places in a file where the baseline sees each value."""
    found: dict[Value, list[Occurrence]] = defaultdict(list)
    table = name.lower().endswith((".csv", ".tsv"))
    markup = name.lower().endswith(MARKUP)
    lines = decode_text(raw).splitlines()
    kinds = classify_lines(lines, markup)
    bystanders = find_bystanders(lines, kinds)
    for place in (
        occurrences_in_table(name, decode_text(raw)) if table else occurrences_in_text(lines, kinds)
    ):
        value = baseline.classify(place.word)
        if value in wanted:
            excluded = any(
                bystanders.excludes(each, place.line) for each in find_in_line(place.word, False)
            )
            found[value].append(replace(place, bystander=excluded and not table))
    return found


def occurrences_in_text(lines: list[str], kinds: Sequence[LineRole | None]) -> Iterator[Occurrence]:
    for line, aside in zip(lines, kinds, strict=True):
        for word in line.split():
            pointed = word not in remove_read_more_links(line)
            yield Occurrence(word, line, aside=aside is not None or pointed)


def occurrences_in_table(name: str, text: str) -> Iterator[Occurrence]:
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
            yield Occurrence(cell, line, declared, role_of_column(columns, number), heading)


def role_of_column(columns: Columns, number: int) -> Role | None:
    if not columns.roles:
        return None
    return columns.roles[number] if number < len(columns.roles) else Role.OTHER


def explain_extra(
    those: set[Value], theirs: set[Value], raw: bytes, baseline: Baseline
) -> Iterator[tuple[Value, str]]:
    """Give a reason for each value that we find in a file and the baseline does not count."""
    if not those:
        return
    text = baseline.refang(decode_text(raw))
    words = set(text.split())
    parts = set(CELLS.split(text))
    for value in those:
        yield (
            value,
            explain_by_value(value, theirs, baseline)
            or explain_by_text(value[1].lower(), text, words | parts),
        )


def explain_by_value(value: Value, theirs: set[Value], baseline: Baseline) -> str:
    """Return the reason that follows from the value itself; empty if there is none."""
    kind, text = value
    if kind in ("cidr", "certificate"):
        return f"a kind that the baseline does not know: {kind}"
    if baseline.classify(text) is None:
        return "a host below a top-level domain that the baseline does not know (onion, ...)"
    if "xn--" in text:
        return "an internationalised name, which the baseline knows in ASCII only"
    if ends_elsewhere(value, [], theirs):
        return "a URL that the baseline ends elsewhere"
    return ""


def explain_by_text(value: str, text: str, parts: set[str]) -> str:
    """Return the reason that follows from the value's place in the text."""
    bare = value.partition("://")[2].rstrip("/")
    if bare and value.rstrip("/") not in text and bare in text:
        return "host/path without a scheme, which is a URL"
    if value in parts or value.rstrip("/") in text:
        return "one of several in a word or cell, or beside other characters"
    return UNEXPLAINED
