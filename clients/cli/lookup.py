"""`tocsin lookup`: ask whether the hub knows a value, and what it says of it."""

from __future__ import annotations

import codecs
import csv
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from tocsin.admission.descriptions import count, describe_object, find_level
from tocsin.admission.errors import Malformed, NotAllowed
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.model import StixObject
from tocsin.admission.output_formats.entries import has_ended
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.stix.history_extension import has_history
from tocsin.clients.cli.command import FILE, with_connection_options, with_settings
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import NO_RIGHTS, Hub
from tocsin.clients.lookup import (
    Found,
    list_patterns,
    locate_by_id,
    locate_by_pattern,
    read_history,
)
from tocsin.clients.terminal import open_console, print_json, print_message, print_statement
from tocsin.clients.withdraw import resolve_name
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.settings import ClientSettings

_STATES = ("known", "ended", "revoked", "unknown", "invalid")
"""The states of a value, in the order in which they are counted; of several the first counts."""
_COLOURS = {"known": "green", "ended": "yellow", "revoked": "yellow", "unknown": "cyan"}
_INDENT = " " * 10
_MOST_LINES = 10_000
"""Values of one command."""
_LONGEST_FILE = 4_000_000
"""Octets of a file of values."""
_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_TEXT = 1_000
"""Characters of a text of a server that are shown."""
_TYPED = "reading standard input: one value a line; then press Ctrl-D"
_LEGEND = (
    "unknown: no indicator that you may read has this value alone; "
    "--thorough also looks into longer patterns; a URL is another value than its host"
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A value as the user gave it."""

    text: str
    place: str = ""
    """`iocs.txt, line 3`; empty for an argument."""


@dataclass(frozen=True, slots=True)
class _Question:
    """One value or id to be looked up."""

    line: _Line
    pattern: str = ""
    id: str = ""
    error: str = ""
    """The reason why the line is neither a value nor an id."""

    @property
    def value(self) -> str:
        """The value in its usual spelling, or the id."""
        return self.id or (describe_object({}, self.pattern)[0] if self.pattern else self.line.text)

    @property
    def type(self) -> str:
        """The type of the value, or of the object with the id."""
        return describe_object({}, self.pattern)[1] if self.pattern else self.id.partition("--")[0]


@dataclass(frozen=True, slots=True)
class _Answer:
    """All that the hub says of a value."""

    question: _Question
    found: tuple[Found, ...]
    now: int
    """µs since 1970 UTC."""

    @property
    def state(self) -> str:
        """The state of the value, one of `_STATES`."""
        if self.question.error:
            return "invalid"
        states = [self.state_of(each) for each in self.found]
        return next((each for each in _STATES if each in states), "unknown")

    def state_of(self, found: Found) -> str:
        """The state of one object."""
        if found.is_revoked:
            return "revoked"
        return "ended" if has_ended(found.subject, self.now) else "known"

    def as_json(self) -> dict[str, Any]:
        """The answer as `--json` prints it."""
        question = self.question
        return {
            "given": question.line.text,
            "value": None if question.error else question.value,
            "type": question.type or None,
            "pattern": question.pattern or None,
            "known": None if question.error else bool(self.found),
            "state": self.state,
            "objects": [_describe_found(each, self.state_of(each)) for each in self.found],
        } | ({"error": question.error} if question.error else {})


def _describe_found(found: Found, state: str) -> dict[str, Any]:
    """An object that was found, as `--json` prints it; null is what it does not say."""
    subject, history = found.subject, read_history(found.subject)
    counted = has_history(subject) and not found.is_revoked
    level = find_level(subject)
    said = {
        name: subject.get(name)
        for name in (
            *("name", "pattern", "pattern_type", "indicator_types", "labels", "confidence"),
            *("valid_from", "valid_until", "created", "modified"),
        )
    }
    return {
        **{"id": found.id, "type": subject.get("type"), "state": state},
        **said,
        "tlp": None if level == "-" else level.lower(),
        "contributors": history.contributors if counted else None,
        "sightings": history.sightings if counted else None,
        "false_positives": history.false_positives if counted else None,
        "collections": [
            {"id": each.id, "alias": each.alias or None, "title": each.title}
            for each in found.collections
        ],
    }


@click.command(
    "lookup",
    short_help="Ask whether the hub knows a value, and what it says of it.",
    epilog=format_examples(
        "tocsin lookup 'evil-portal[.]top'",
        "tocsin lookup --file iocs --json",
        "cat iocs | tocsin lookup -",
    ),
)
@click.argument("names", nargs=-1, metavar="[VALUE|ID|-]...")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Look up each line of this file; - is standard input. Repeatable.",
)
@click.option(
    "--thorough",
    is_flag=True,
    help="Read the collections as wholes, and look into longer patterns too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@with_connection_options
@with_settings
def lookup_command(
    settings: ClientSettings,
    names: tuple[str, ...],
    files: tuple[str, ...],
    thorough: bool,
    as_json: bool,
) -> int:
    """Ask whether the hub knows a value, and what it says of it.

    VALUE is a domain, address, URL, e-mail address or hash in any spelling, ID
    that of a public object, - standard input with one of them a line. It is
    looked up in the collections that your key may read, and nothing else is
    shown. A file may have empty lines, and comments that begin with #.

    An indicator is found if it has this value alone. With --thorough also if its
    pattern names other values too, or the value as an end of a connection: then
    the collections are read as wholes, which takes longer. Networks around an
    address, and the host of a URL, are other values.

    \b
    States:
      known    an indicator with this value is in force
      ended    its valid_until has passed
      revoked  it was withdrawn or revoked
      unknown  no indicator that this key may read has the value

    \b
    Exit codes:
      0  every value was found, also if it has ended or was revoked
      1  the server refused or failed, so it is not known
      2  wrong usage, for instance an argument that is not a value
      3  the hub cannot be reached, or denies access
      4  some or all values are unknown, or a line of a file is not a value

    With --json: {"values": [{"value", "known", "state", "objects", ...}, ...],
    "counts"}, in the order in which the values were given.
    """
    now = time.time_ns() // 1000
    questions = _read_questions(names, files, now)
    with open_hub(settings) as hub:
        answers = _ask(hub, questions, now, thorough=thorough)
    states = Counter(each.state for each in answers)
    counts = {state: states[state] for state in _STATES if states[state]}
    if as_json:
        print_json({"values": [each.as_json() for each in answers], "counts": counts})
    else:
        _print_answers(answers, counts)
        if counts.get("unknown") and not thorough:
            print_message(_LEGEND)
    return stdio.PARTLY if counts.keys() & {"unknown", "invalid"} else stdio.DONE


def _read_questions(names: Sequence[str], files: Sequence[str], now: int) -> list[_Question]:
    """The values and ids that the command line and the files name, each once.

    Raises WrongUsage if they name none, or too many, or if an argument is neither.
    """
    if [*names, *files].count("-") > 1:
        raise WrongUsage("- is standard input, which can be read only once")
    lines = [_Line(name) for name in names if name != "-"]
    for file in (*("-" for name in names if name == "-"), *files):
        lines += _read_lines(file)
    if len(lines) > _MOST_LINES:
        raise WrongUsage(f"more than {_MOST_LINES:,} values; look them up in several commands")
    found: dict[tuple[str, str, str], _Question] = {}
    for line in lines:
        for question in _understand(line, now):
            found.setdefault((question.pattern, question.id, question.error), question)
    if not found:
        raise WrongUsage("no value is named; give values, - or --file")
    return list(found.values())


def _read_lines(file: str) -> Iterator[_Line]:
    """The lines of a file that are not empty and no comments; `-` is standard input."""
    if file == "-":
        if sys.stdin.isatty():
            print_message(_TYPED)
        content = sys.stdin.buffer.read(_LONGEST_FILE + 1)
    else:
        try:
            with Path(file).open("rb") as stream:
                content = stream.read(_LONGEST_FILE + 1)
        except OSError as error:
            raise WrongUsage(f"{file}: {error.strerror}") from error
    name = "standard input" if file == "-" else file
    if len(content) > _LONGEST_FILE:
        raise WrongUsage(f"{name} has more than {_LONGEST_FILE:,} octets; look up a part of it")
    if b"\0" in content and not content.startswith(_BYTE_ORDER_MARKS):
        raise WrongUsage(f"{name} is not a text; give a file with one value a line")
    for number, text in enumerate(decode_text(content).splitlines(), 1):
        plain = _find_url(text) if name.lower().endswith(".csv") else text.strip()
        if plain and not plain.startswith("#"):
            yield _Line(plain, f"{name}, line {number}")


def _find_url(line: str) -> str:
    """The first URL of a line of a table, which would else go on over its comma; or the line."""
    cells = next(csv.reader([line], delimiter="," if "," in line else ";"), [])
    return next((cell.strip() for cell in cells if "://" in cell), line.strip())


def _understand(line: _Line, now: int) -> Iterator[_Question]:
    """The values of a line.  Raises WrongUsage if it is an argument and has none."""
    try:
        meant = resolve_name(line.text, now)
    except Malformed as error:
        if not line.place:
            raise WrongUsage(str(error)) from error
        yield _Question(line, error=f"{line.place}: {error}")
        return
    for each in meant:
        if each.label:
            yield _Question(line, pattern=canonical_pattern(each.label))
        else:
            yield _Question(line, id=each.id)


def _ask(hub: Hub, questions: Iterable[_Question], now: int, *, thorough: bool) -> list[_Answer]:
    """Look everything up.  Raises NotAllowed if the key may read no collection."""
    readable = [each for each in hub.list_collections() if each.can_read]
    if not readable:
        raise NotAllowed(f"this key may read no collection: {NO_RIGHTS}")
    questions = list(questions)
    ids = list(dict.fromkeys(each.id for each in questions if each.id))
    patterns = {each.pattern for each in questions if each.pattern}
    by_id = {each.id: (each,) for each in locate_by_id(hub, readable, ids)} if ids else {}
    by_pattern: dict[str, list[Found]] = {}
    if patterns:
        with stdio.passing_note("tocsin: reading the collections …" if thorough else ""):
            located = [*locate_by_pattern(hub, readable, patterns, inside=thorough)]
        for found in located:
            for pattern in list_patterns(found.subject, inside=thorough) & patterns:
                by_pattern.setdefault(pattern, []).append(found)
    return [
        _Answer(each, by_id.get(each.id) or tuple(by_pattern.get(each.pattern, ())), now)
        for each in questions
    ]


def _print_answers(answers: Sequence[_Answer], counts: Mapping[str, int]) -> None:
    """Print a block for each value, and the counts."""
    console = open_console()
    for answer in answers:
        question, state = answer.question, answer.state
        head = f"{state:9} {_shorten(question.value)}"
        head += f" ({question.type})" if question.type else ""
        _print_line(console, head, _COLOURS.get(state, "red"), len(state))
        if question.error:
            _print_line(console, f"{_INDENT}{_shorten(question.error)}")
        order = {each: n for n, each in enumerate(_STATES)}
        for found in sorted(answer.found, key=lambda each: order[answer.state_of(each)]):
            _print_line(console, f"{_INDENT}{_shorten(found.id)}", "dim")
            for line in _describe(found, answer.state_of(found)):
                _print_line(console, f"{_INDENT}{_shorten(line)}")
    words = ", ".join(f"{number} {word}" for word, number in counts.items())
    print_statement(console, f"{count(len(answers), 'value')}: {words}")


def _describe(found: Found, state: str) -> Iterator[str]:
    """The lines about an object, below its id."""
    subject, history = found.subject, read_history(found.subject)
    if pattern := subject.get("pattern"):
        yield str(pattern)
    value = describe_object(subject)[0] if pattern else ""
    name = str(subject.get("name") or "")
    texts = _list_texts(subject, "indicator_types") + _list_texts(subject, "labels")
    if said := [*([name] if name not in ("", value) else []), *texts]:
        yield ", ".join(said)
    yield ", ".join(_list_facts(subject, state))
    if has_history(subject) and state != "revoked":
        numbers = (
            count(history.contributors, "source"),
            count(history.sightings, "sighting"),
            count(history.false_positives, "false alarm"),
        )
        yield ", ".join(numbers)
    yield f"in {', '.join(each.alias or each.title or each.id for each in found.collections)}"


def _list_facts(subject: StixObject, state: str) -> Iterator[str]:
    """The level of an object, its confidence and its end."""
    level, confidence = find_level(subject), subject.get("confidence")
    yield f"TLP:{level}" if level != "-" else "no TLP"
    if confidence is not None:
        yield f"confidence {confidence}"
    until = subject.get("valid_until")
    if state == "revoked":
        yield f"revoked {_shorten_time(subject.get('modified'))}"
    elif state == "ended":
        yield f"ended {_shorten_time(until)}"
    elif subject.get("type") == "indicator":
        yield f"valid until {_shorten_time(until)}" if until else "valid without an end"


def _list_texts(subject: Mapping[str, Any], name: str) -> list[str]:
    values = subject.get(name)
    return [str(each) for each in values] if isinstance(values, list) else []


def _shorten_time(value: object) -> str:
    """A timestamp to the minute; any other text as it is."""
    text = str(value)
    is_time = text[10:11] == "T" and text.endswith("Z")
    return f"{text[:16].replace('T', ' ')} UTC" if is_time else text


def _shorten(text: str) -> str:
    """The printable beginning of a text."""
    shown = printable(text[: _MAX_TEXT + 1])
    return f"{shown[:_MAX_TEXT]}…" if len(shown) > _MAX_TEXT else shown


def _print_line(console: Console, line: str, colour: str = "", length: int | None = None) -> None:
    """Print a line; on a terminal folded to its width, and the beginning in a colour."""
    if console.is_terminal:
        line = textwrap.fill(
            line,
            width=max(console.width, 40),
            subsequent_indent=f"{_INDENT}  ",
            break_on_hyphens=False,
            drop_whitespace=True,
        )
    text = Text(line)
    if colour:
        text.stylize(colour, 0, length)
    console.print(text)
