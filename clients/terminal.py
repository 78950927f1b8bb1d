"""Terminal output: lines, tables and progress bars for people, JSON lines for programs.

Colours and bars appear only on a terminal.  Text from files and servers is printed on one line,
without control characters and marks of direction, which could rewrite what the terminal shows.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from tocsin.admission.descriptions import count, describe_object
from tocsin.admission.model import StixObject
from tocsin.clients.results import ObjectResult
from tocsin.config.command_line import escape_unprintable, print_on_stderr, printable, wrap_words

if TYPE_CHECKING:  # a check loads no HTTP client
    from tocsin.clients.http import Collection
    from tocsin.clients.responses import StatusDetail, StatusReport

_VERDICT_COLOURS = {
    "ready": "green",
    "withdrawn": "green",
    "absent": "cyan",
    "admitted": "green",
    "merged": "green",
    "duplicate": "cyan",
    "held": "yellow",
    "withheld": "yellow",
    "pending": "yellow",
    "refused": "red",
    "unsent": "red",
}
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_INDENT = " " * 10
_MAX_LABEL = 100
"""Characters of an object's label that are shown."""
_MAX_PADDED = 60
"""Characters to which the cells of a column are filled up where a row is one line."""
_MAX_TEXT = 1000
"""Characters of any other text of a server that are shown."""
_DEFAULT_WIDTH = 80
_NARROWEST_COLUMN = 20
"""Characters to which a column of text is made narrower before lines get too long."""
_WIDEST = 1_000_000
_FINAL_VERDICTS = ("refused", "held")
"""After these no further stage looks at an object."""
_EXPLAINED_VERDICTS = ("ready", "withdrawn", "absent")
"""These say of a withdrawal all that its findings say."""
_STAGES: dict[str, str] = {
    "validate": "a valid STIX 2.1 object, accepted as it was sent",
    "normalise": "already in its canonical spelling",
    "identify": "new, as far as can be known without the hub",
    "sanitise": "no rule had anything to remove or to ask",
}
"""Each stage in order, with its text if it has no finding."""


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of standard output."""
    sys.stdout.write(json.dumps(value).replace("\x7f", "\\u007f") + "\n")


def print_message(text: str) -> None:
    """Print a sentence for the user on standard error."""
    print_on_stderr(f"tocsin: {text}")


class _TerminalWriter(io.BufferedIOBase):
    """Writes JSON and text to a terminal, with control characters as JSON escapes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, octets: Any) -> int:
        """Write whole characters."""
        text = bytes(octets).decode("utf-8", "backslashreplace")
        self._stream.write(escape_unprintable(text, _escape).encode())
        return len(octets)

    def flush(self) -> None:
        """See io."""
        self._stream.flush()


def _escape(c: str) -> str:
    return c if c in "\n\t" else json.dumps(c)[1:-1].replace("\x7f", "\\u007f")


def open_stdout() -> BinaryIO:
    """Standard output for what a server sent: as it is, but harmless on a terminal."""
    stream = sys.stdout.buffer
    return cast(BinaryIO, _TerminalWriter(stream)) if sys.stdout.isatty() else stream


def open_console(*, stderr: bool = False) -> Console:
    """Standard output or error for people; plain text unless it is a terminal."""
    console = _Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=True)
    if console.width < 1:  # COLUMNS=0, at which rich prints nothing
        console.width = _DEFAULT_WIDTH
    return console


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave the exit code to the command; rich would end it with 1."""
        raise  # called from within an except clause


def print_table(console: Console, table: Table) -> None:
    """Print a table that fits a terminal; elsewhere each row is one line.

    Only columns that may wrap are made narrower.  Where that is not enough, lines are longer than
    the terminal, which wraps them: rich would cut cells, or leave out whole columns.
    """
    if not console.is_terminal:
        for line in _format_lines(table):
            console.print(Text(line))
        return
    foldable = [column for column in table.columns if not column.no_wrap]
    for column in foldable:
        column.max_width = max(_NARROWEST_COLUMN, column.min_width or 0)
    narrowest = _measure(console, table)
    for column in foldable:
        column.max_width = None
    if narrowest > console.width:
        table.width = narrowest
    console.print(table)


def _format_lines(table: Table) -> Iterator[str]:
    """The rows with columns of equal width, as far as no cell is very long."""
    columns = [[str(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    widths = [min(max(map(len, cells)), _MAX_PADDED) for cells in columns]
    for row in zip(*columns, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _measure(console: Console, table: Table) -> int:
    """The width of a table in which no line is longer than it must be."""
    return Measurement.get(console, console.options.update(width=_WIDEST), table).maximum


def print_result(console: Console, result: ObjectResult) -> None:
    """Print an object's verdict, and below it one finding a line."""
    if console.is_terminal:
        _print_result_on_terminal(console, result)
    else:
        write_result(console.file, result)


def write_result(stream: IO[str], result: ObjectResult) -> None:
    """As `print_result` does where there are no colours; a fifth of the time."""
    head = f"{result.verdict:9} {printable(result.file)}#{result.index}"
    head += f" {printable(result.source_id or '-')}"
    if result.public_id:
        head += f" -> {_shorten(result.public_id)}"
    if result.label:
        head += f"  {_shorten(result.label, _MAX_LABEL)}"
    stream.write(f"{head}\n")
    for line in _format_findings(result):
        stream.write(f"{line}\n")


def _print_result_on_terminal(console: Console, result: ObjectResult) -> None:
    ids = [f"{printable(result.file)}#{result.index} {printable(result.source_id or '')}".rstrip()]
    ids += [f"-> {_shorten(result.public_id)}"] if result.public_id else []
    _print_head(console, result, ids)
    _print_findings(console, result)


def _print_head(console: Console, result: ObjectResult, ids: Sequence[str]) -> None:
    """Print the verdict on an object with its value, and below it lines about its ids."""
    head = _color_verdict(result.verdict)
    subject = result.object or result.held or {}
    head.append(f" {name_object(subject, result.label) or printable(result.source_id or '-')}")
    console.print(head)
    for line in ids:
        console.print(Text(f"{_INDENT}{line}", style="dim"))


def name_object(subject: StixObject, label: str = "") -> str:
    """The value of an object with its type, for a line on a terminal; empty if it has none."""
    value, kind = describe_object(subject, label)
    name = _shorten(value, _MAX_LABEL)
    return f"{name} ({printable(kind)})" if name and kind else name


def print_withdrawal(console: Console, result: ObjectResult) -> None:
    """Print what becomes of an object that is withdrawn, by its value and id."""
    if console.is_terminal:
        ids = [printable(result.source_id or "-")] if result.label else []
        _print_head(console, replace(result, object=None), ids)
    else:
        label = f"  {_shorten(result.label, _MAX_LABEL)}" if result.label else ""
        console.print(Text(f"{result.verdict:9} {printable(result.source_id or '-')}{label}"))
    if result.verdict not in _EXPLAINED_VERDICTS:
        _print_findings(console, result)


def print_statement(console: Console, text: str) -> None:
    """Print a sentence, in lines of whole words on a terminal."""
    shown = printable(text)
    console.print(Text(wrap_words(shown, console.width, "  ") if console.is_terminal else shown))


def _color_verdict(verdict: str) -> Text:
    return Text(f"{verdict:9}", style=_VERDICT_COLOURS.get(verdict, ""))


def _print_findings(console: Console, result: ObjectResult) -> None:
    for line in _format_findings(result):
        if console.is_terminal:
            line = wrap_words(line, console.width, f"{_INDENT}  ")
        console.print(Text(line))


def _format_findings(result: ObjectResult) -> Iterator[str]:
    for finding in result.findings:
        if finding.get("rule") == "spelling":
            continue  # of no interest here; `tocsin check --explain` shows it
        place = f" at {finding['path']}" if finding.get("path") else ""
        text = f"{finding.get('action', '')}{place}: {finding.get('message', '')}"
        yield f"{_INDENT}{_shorten(text)} ({_shorten(finding.get('rule', ''))})"


def _shorten(text: str, length: int = _MAX_TEXT) -> str:
    """The printable beginning of a text."""
    shown = printable(text[: length + 1])
    return f"{shown[:length]}…" if len(shown) > length else shown


def print_counts(console: Console, counts: Mapping[str, int]) -> None:
    """Print the counts on one line."""
    words = {"failed_files": count(counts.get("failed_files", 0), "failed file")}
    parts = (words.get(word, f"{number} {word}") for word, number in counts.items())
    console.print(Text(", ".join(parts)))


def print_status(
    console: Console, report: StatusReport, labels: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Print a status, and a line for each object that did not succeed or has a message.

    On a terminal, an object is named by its value if its label is among `labels`, by id.
    """
    state = "complete" if report.complete else "settled" if report.settled else "pending"
    counts = f"{report.success} succeeded, {report.failure} failed, {report.pending} pending"
    print_statement(console, f"{_shorten(report.id)}: {state}, {counts}")
    for detail in report.details:
        if detail.outcome == "success" and not detail.message:
            continue
        texts = [detail.message] if detail.message else []
        texts += [finding.get("message", "") for finding in detail.findings if not texts]
        message = _shorten("; ".join(texts))
        word = _shorten(detail.verdict or detail.outcome)
        if console.is_terminal:
            print_detail(console, detail, labels.get(detail.id, ""), message)
        else:
            console.print(Text(f"{word:9} {_shorten(detail.id)} {message}"))


def print_detail(console: Console, detail: StatusDetail, label: str, message: str) -> None:
    """Print what became of an object on a terminal: its value, below it its ids and a message."""
    head = _color_verdict(_shorten(detail.verdict or detail.outcome))
    name = name_object({}, label)
    head.append(f" {name or _shorten(detail.id)}")
    console.print(head)
    lines = [_shorten(detail.id)] if name else []
    lines += [f"-> {_shorten(detail.public_id)}"] if detail.public_id else []
    for line in lines:
        console.print(Text(f"{_INDENT}{line}", style="dim"))
    if message:
        text = f"{_INDENT}{printable(message)}"
        console.print(Text(wrap_words(text, console.width, f"{_INDENT}  ")))


def print_collections(console: Console, collections: Sequence[Collection]) -> None:
    """Print the collections as a table."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("alias", "id", "read", "write", "title"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "title")
    for each in collections:
        rights = ["yes" if right else "no" for right in (each.can_read, each.can_write)]
        cells = [each.alias or "-", each.id, *rights, each.title]
        table.add_row(*(Text(_shorten(cell)) for cell in cells))
    print_table(console, table)


def progress_bar(
    label: str, *, known_total: bool, hidden: bool = False, prints: bool = True
) -> Progress:
    """A progress bar on standard error; nothing if that is not a terminal, or if `hidden`.

    Standard output is redirected only if it is a terminal too: a program that reads it gets
    every line unchanged.  Where results are printed meanwhile (`prints`) into a pipe, there is no
    bar: the pipe's reader (`| cat`) may write them into the same line of the terminal.
    """
    hidden = hidden or not sys.stderr.isatty()
    hidden = hidden or (prints and stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode))
    count = MofNCompleteColumn() if known_total else TextColumn("{task.completed:.0f}")
    columns = [TextColumn(label), BarColumn() if known_total else SpinnerColumn(), count]
    return Progress(
        *columns,
        console=open_console(stderr=True),
        transient=True,
        disable=hidden,
        redirect_stdout=sys.stdout.isatty(),
    )


def choose_console(progress: Progress) -> Console:
    """The console for what is printed on standard output while a progress bar is shown.

    On the terminal that has the bar, that is the bar's own: it draws the bar below each line.
    """
    shown = not progress.disable and sys.stdout.isatty()
    is_same = shown and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return progress.console if is_same else open_console()


def print_stages(console: Console, result: ObjectResult) -> None:
    """Print each stage's findings: rule, action, place and advice; for `check --explain`."""
    for stage, findings in _list_stages(result):
        console.print(Text(f"    {stage:10} {'' if findings else _STAGES[stage]}".rstrip()))
        for finding in findings:
            place = f" at {finding['path']}" if finding.get("path") else ""
            head = f"{finding.get('rule', '')}: {finding.get('action', '')}{place}"
            console.print(Text(f"      - {printable(head)}"))
            message = f"        {printable(finding.get('message', ''))}"
            wrapped = wrap_words(message, console.width, " " * 8)
            console.print(Text(wrapped if console.is_terminal else message))


def _list_stages(result: ObjectResult) -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """The stages that looked at the object, each with its findings, in order.

    The stage that held or refused the object is the last.  A duplicate is found before the
    stages run, so only stages with findings are listed.
    """
    found = {name: [f for f in result.findings if f.get("stage") == name] for name in _STAGES}
    with_findings = [name for name in _STAGES if found[name]]
    if result.verdict == "duplicate":
        yield from ((name, found[name]) for name in with_findings)
        return
    for name in _STAGES:
        yield name, found[name]
        if result.verdict in _FINAL_VERDICTS and name in with_findings[-1:]:
            return


def print_difference(console: Console, result: ObjectResult) -> None:
    """Print before and after as a unified diff of the JSON; for `check --diff`."""
    if result.object is None:
        console.print(Text(f"    not shared: {result.verdict}"))
        return
    before, after = _json_rows(result.before), _json_rows(result.object)
    rows = list(difflib.unified_diff(before, after, "before", "after"))
    if not rows:
        console.print(Text("    shared unchanged"))
    for row in rows:
        text = printable(row.rstrip("\n"))
        console.print(Text(f"    {text}", style=_DIFF_COLOURS.get(text[:1], "")))


def _json_rows(subject: StixObject | None) -> list[str]:
    if subject is None:
        return []
    return json.dumps(subject, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
