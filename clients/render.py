"""What people see: short lines, tables and bars; what programs see: a JSON object a line.

Colours and bars only on a terminal.  Text from files and servers is shown
without control characters, which could rewrite what the terminal shows.

What each stage of admission did to an object, and what the object became.

For analysts who want to know why: `tocsin check --explain` and `--diff`.
"""

import difflib
import json
import sys
from collections import Counter
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from tocsin.admission.model import StixObject
from tocsin.clients.check import Line
from tocsin.clients.http import Place
from tocsin.clients.responses import StatusReport

_COLOURS = {
    "ready": "green",
    "admitted": "green",
    "merged": "green",
    "duplicate": "cyan",
    "held": "yellow",
    "pending": "yellow",
    "refused": "red",
    "unsent": "red",
}
_MOST_SHOWN = 100
"""Characters of what an object is about."""
_REMOVALS = ("replaced", "stripped", "asked")


def printable(text: object) -> str:
    """The text with control characters spelt out.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def json_line(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of standard output."""
    sys.stdout.write(json.dumps(value) + "\n")


def say(text: str) -> None:
    """A sentence for the user, on standard error."""
    sys.stderr.write(f"tocsin: {printable(text)}\n")


def console(*, stderr: bool = False) -> Console:
    """Standard output or error for people; plain unless it is a terminal."""
    return _Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command how it ends; rich would end it with 1."""
        raise  # it is called where the error is caught


def show_line(screen: Console, line: Line) -> None:
    """An object's verdict, and under it what was found, one finding a line."""
    head = Text()
    head.append(f"{line.verdict:9}", style=_COLOURS.get(line.verdict, ""))
    head.append(f" {printable(line.file)}#{line.index} {printable(line.source_id or '-')}")
    if line.public_id:
        head.append(f" -> {printable(line.public_id)}")
    if line.about:
        about = printable(line.about)
        head.append(f"  {about[:_MOST_SHOWN]}{'…' if about[_MOST_SHOWN:] else ''}", style="dim")
    screen.print(head)
    for finding in line.findings:
        if finding.get("rule") == "spelling":
            continue  # nothing that anybody must know; `tocsin check --explain` tells it
        where = f" at {finding['path']}" if finding.get("path") else ""
        told = f"{finding.get('action', '')}{where}: {finding.get('message', '')}"
        screen.print(Text(f"          {printable(told)} ({printable(finding.get('rule', ''))})"))


def show_counts(screen: Console, counts: Mapping[str, int]) -> None:
    """The counts on one line."""
    screen.print(Text(", ".join(f"{number} {word}" for word, number in counts.items())))


def show_removals(screen: Console, lines: Iterable[Line]) -> None:
    """What the rules would take away, by rule; for the question before a push."""
    removed = Counter(
        (finding["rule"], finding["action"])
        for line in lines
        if line.verdict == "ready"
        for finding in line.findings
        if finding["action"] in _REMOVALS
    )
    for (rule, action), times in sorted(removed.items()):
        screen.print(Text(f"  {rule}: {times} {action} before sending"))


def show_status(screen: Console, report: StatusReport) -> None:
    """A status with what it says of each object that did not simply succeed."""
    settled = "complete" if report.complete else "settled" if report.settled else "pending"
    screen.print(
        Text(
            f"{printable(report.id)}: {settled}, {report.success} succeeded, "
            f"{report.failure} failed, {report.pending} pending"
        )
    )
    for detail in report.details:
        if detail.outcome == "success" and not detail.message:
            continue
        told = [detail.message] if detail.message else []
        told += [finding.get("message", "") for finding in detail.findings if not told]
        word = detail.verdict or detail.outcome
        screen.print(Text(f"{word:9} {printable(detail.id)} {printable('; '.join(told))}"))


def show_places(screen: Console, places: Sequence[Place]) -> None:
    """The collections as a table."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("alias", "id", "read", "write", "title"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "title")
    for place in places:
        flags = ["yes" if each else "no" for each in (place.can_read, place.can_write)]
        cells = [place.alias or "-", place.id, *flags, place.title]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    screen.print(table)


def bar(what: str, *, counted: bool) -> Progress:
    """A progress bar on standard error; nothing at all unless that is a terminal.

    Standard output is left alone where it is not the same terminal: a program that
    reads it gets every line.  `counted`: the total is known.
    """
    count = MofNCompleteColumn() if counted else TextColumn("{task.completed:.0f}")
    columns = [TextColumn(what), BarColumn() if counted else SpinnerColumn(), count]
    hidden = not sys.stderr.isatty()
    return Progress(
        *columns,
        console=console(stderr=True),
        transient=True,
        disable=hidden,
        redirect_stdout=sys.stdout.isatty(),
    )


_STAGES: dict[str, str] = {
    "validate": "a STIX 2.1 object that can be taken, as it was sent",
    "normalise": "spelt as it was sent",
    "identify": "new to the hub as far as can be told here",
    "sanitise": "no rule had anything to remove or to ask",
}
"""Each stage in order, with what it says if it found nothing to say."""
_CLOSED = ("refused", "held")
_explain_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def stages(line: Line) -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """The stages that looked at the object, each with its findings, in order.

    A stage that closed the object is the last; a duplicate is seen before any other looks.
    """
    found = {name: [f for f in line.findings if f.get("stage") == name] for name in _STAGES}
    telling = [name for name in _STAGES if found[name]]
    if line.verdict == "duplicate":
        yield from ((name, found[name]) for name in telling)
        return
    for name in _STAGES:
        yield name, found[name]
        if line.verdict in _CLOSED and name == telling[-1]:
            return


def show_stages(screen: Console, line: Line) -> None:
    """Under an object's verdict, a paragraph for each stage: rule, action, place, advice."""
    for stage, found in stages(line):
        screen.print(Text(f"    {stage:10} {'' if found else _STAGES[stage]}".rstrip()))
        for each in found:
            place = f" at {each['path']}" if each.get("path") else ""
            head = f"{each.get('rule', '')}: {each.get('action', '')}{place}"
            screen.print(Text(f"      - {printable(head)}"))
            screen.print(Text(f"        {printable(each.get('message', ''))}"))


def show_difference(screen: Console, line: Line) -> None:
    """Before and after as a unified diff of the JSON; a word if nothing would be shared."""
    if line.object is None:
        screen.print(Text(f"    nothing of it is shared: {line.verdict}"))
        return
    rows = list(difflib.unified_diff(_rows(line.before), _rows(line.object), "before", "after"))
    if not rows:
        screen.print(Text("    shared as it is"))
    for row in rows:
        text = printable(row.rstrip("\n"))
        screen.print(Text(f"    {text}", style=_explain_COLOURS.get(text[:1], "")))


def _rows(subject: StixObject | None) -> list[str]:
    if subject is None:
        return []
    return json.dumps(subject, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
