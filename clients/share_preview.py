"""The tables that `tocsin push` shows before it asks: what is shared, changed, kept back and why.

They fit 80 columns, and colours appear only on a terminal.  Long lists are cut after some rows,
with a line that says how many more there are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tocsin.admission.descriptions import (
    CHANGING_ACTIONS,
    REMOVED,
    Change,
    compare_texts,
    count,
    describe_object,
    find_changes,
    find_level,
)
from tocsin.clients.results import ObjectResult
from tocsin.config.command_line import printable

_NOTED_ACTIONS = ("noted", *CHANGING_ACTIONS)
_TLP_COLOURS = {"CLEAR": "", "GREEN": "green", "AMBER": "yellow", "AMBER+STRICT": "yellow"}
MAX_ROWS = 15
"""Rows of a section that are shown at first."""
_MAX_ALL = 10_000
"""Rows of a section that are shown if all are asked for; a person reads no more."""
_MAX_CELL = 300
"""Characters of a cell before it is folded."""
_MAX_NAME = 60
"""Characters of a text that stands for its object, or is named beside others."""
_MAX_FILES = 3
"""Files that a note names."""
_CONTEXT = 30
"""Characters shown on each side of a change in a long text."""
_WIDTH = 80


def print_share_preview(
    console: Console, results: Iterable[ObjectResult], most: int | None = MAX_ROWS
) -> None:
    """Print what would be shared, in sections; of each section `most` rows, or all.

    Even of all, no more than 10,000 rows of a section are printed.
    """
    width = min(console.width, 100) if console.is_terminal else _WIDTH
    found = _Summary(_MAX_ALL if most is None else most)
    for result in results:
        found.add(result)
    view = _View(console, max(width, 40), found)
    view.print_objects()
    view.print_changes()
    view.print_notes()
    view.print_reasons("held", "Held for a reviewer of the hub to look at", "yellow")
    view.print_reasons("refused", "Refused, never sent", "red")
    view.print_reasons("duplicate", "Not sent, it is known already", "cyan")


@dataclass(slots=True)
class _Summary:
    """The rows that are printed, and the number of all."""

    most: int
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[ObjectResult]] = field(default_factory=dict)
    """The first results of each verdict."""
    changed: dict[Change, tuple[str, int]] = field(default_factory=dict)
    """Each change with the first value, and the number of objects, that it concerns."""
    notes: dict[str, Counter[str]] = field(default_factory=dict)
    """Each note with the number of its objects in each file."""
    files: set[str] = field(default_factory=set)
    more_changes: int = 0
    """Changes beyond those that are kept."""
    more_notes: int = 0
    """Notes beyond those that are kept."""

    def add(self, result: ObjectResult) -> None:
        """Take the next result."""
        self.counts[result.verdict] += 1
        kept = self.first.setdefault(result.verdict, [])
        if len(kept) < self.most:
            kept.append(result)
        self.files.add(result.file)
        for note in dict.fromkeys(list_notes(result)):
            if note in self.notes or len(self.notes) < _MAX_ALL:
                self.notes.setdefault(note, Counter())[result.file] += 1
            else:
                self.more_notes += 1
        for change in changes(result) if result.verdict == "ready" else ():
            self._add_change(change, result)

    def _add_change(self, change: Change, result: ObjectResult) -> None:
        if change in self.changed:
            value, count = self.changed[change]
            self.changed[change] = value, count + 1
        elif len(self.changed) < _MAX_ALL:
            value, kind = describe_object(result.object or {}, result.label)
            self.changed[change] = value or kind, 1
        else:
            self.more_changes += 1


@dataclass(frozen=True, slots=True)
class _View:
    console: Console
    width: int
    found: _Summary

    def print_objects(self) -> None:
        """A row for each object: its value, type, level, and the properties that changed."""
        count = self.found.counts["ready"]
        if not count:
            return
        table = self._begin(f"Would be shared ({count})", "green")
        is_changed = bool(self.found.changed)
        headings = (("value", 5), ("type", 2), ("TLP", 1), ("changed", 2))
        for heading, ratio in headings if is_changed else headings[:-1]:
            table.add_column(heading, ratio=ratio, overflow="fold", min_width=6)
        for result in self.found.first["ready"]:
            value, kind = describe_object(result.object or {}, result.label)
            level = find_level(result.object or {})
            changed = dict.fromkeys(re.split(r"[.\[]", c.path)[0] for c in changes(result))
            style = _TLP_COLOURS.get(level, "")
            names = [_cell(", ".join(changed))] if is_changed else []
            table.add_row(_cell(value), _cell(kind), Text(level, style=style), *names)
        self._end(table, count)

    def print_changes(self) -> None:
        """Before and after, side by side, of every value that is not shared as it was read."""
        rows = self.found.changed
        if not rows:
            return
        count = len(rows) + self.found.more_changes
        table = self._begin(f"Changed before it is sent ({count})", "yellow")
        for heading, ratio in (("what", 3), ("before", 4), ("after", 4)):
            table.add_column(heading, ratio=ratio, overflow="fold")
        for change, (value, objects) in islice(rows.items(), self.found.most):
            before, after = _mark_difference(change.before, change.after)
            of = _cut(value, _MAX_NAME) if objects == 1 else f"{objects} objects"
            rules = ", ".join(change.rules)
            table.add_row(_cell(f"{change.path} of {of} ({rules})"), before, after)
        self._end(table, count)

    def print_notes(self) -> None:
        """Print each note about the files once, with the number of its objects."""
        notes = self.found.notes
        if not notes:
            return
        total = len(notes) + self.found.more_notes
        table = self._begin(f"Notes ({total})", "cyan")
        table.add_column("note", ratio=5, overflow="fold")
        table.add_column("objects", justify="right")
        for note, counts in islice(notes.items(), self.found.most):
            place = f"{_name_files([*counts])}: " if len(self.found.files) > 1 else ""
            table.add_row(_cell(place + note), Text(str(counts.total())))
        self._end(table, total)

    def print_reasons(self, verdict: str, title: str, colour: str) -> None:
        """Each object with the reason why it is not shared."""
        count = self.found.counts[verdict]
        if not count:
            return
        table = self._begin(f"{title} ({count})", colour)
        for heading, ratio in (("value", 3), ("type", 2), ("why", 6)):
            table.add_column(heading, ratio=ratio, overflow="fold")
        for result in self.found.first[verdict]:
            value, kind = describe_object(result.held or {}, result.label or result.source_id or "")
            table.add_row(_cell(value or "-"), _cell(kind or "-"), _cell(find_reason(result)))
        self._end(table, count)

    def _begin(self, title: str, colour: str) -> Table:
        self.console.print(Text(title, style=f"bold {colour}"))
        return Table(box=None, pad_edge=False, expand=True, width=self.width, header_style="dim")

    def _end(self, table: Table, count: int) -> None:
        self.console.print(table)
        if count > self.found.most:
            self.console.print(Text(f"and {count - self.found.most} more", style="dim"))
        self.console.print()


def _name_files(files: Sequence[str]) -> str:
    """The first files of a note, and the number of the others."""
    more = len(files) - _MAX_FILES
    named = [_cut(each, _MAX_NAME) for each in files[:_MAX_FILES]]
    return ", ".join(named) + (f" and {count(more, 'other')}" if more > 0 else "")


def find_reason(result: ObjectResult) -> str:
    """The messages of the findings that decided the verdict."""
    deciding = [each for each in result.findings if each.get("action") == result.verdict]
    chosen = deciding or list(result.findings[-1:])
    return "; ".join(dict.fromkeys(_format_finding(each) for each in chosen))


def _format_finding(finding: Mapping[str, str]) -> str:
    path, message = finding.get("path", ""), finding.get("message", "")
    return f"{path}: {message}" if path else message


def changes(result: ObjectResult) -> list[Change]:
    """The values that a rule changed or removed, from `before` to `object`."""
    if result.before is None or result.object is None:
        return []
    return list(find_changes(result.before, result.object, result.findings))


def list_notes(result: ObjectResult) -> list[str]:
    """The messages of findings that neither decide the verdict nor appear among the changes."""
    shown = {change.path for change in changes(result)}
    return [
        each.get("message", "")
        for each in result.findings
        if each.get("action") in _NOTED_ACTIONS and each.get("path", "") not in shown
    ]


def _mark_difference(before: str, after: str) -> tuple[Text, Text]:
    """Both texts with what differs in colour; what long ones have in common is left out."""
    if after == REMOVED:
        return Text(_cut(before), style="red"), Text(after, style="dim")
    old, new = Text(), Text()
    for passage in compare_texts(before, after):
        gone, come = passage
        if passage.is_equal:
            gone = come = _abridge(gone)
        old.append(_cut(gone), style="" if passage.is_equal else "red")
        new.append(_cut(come), style="" if passage.is_equal else "green")
    return old, new


def _abridge(text: str) -> str:
    """A text that both sides have in common, without its middle if it is long."""
    if len(text) <= 3 * _CONTEXT:
        return text
    return f"{text[:_CONTEXT]} … {text[-_CONTEXT:]}"


def _cell(text: str) -> Text:
    return Text(_cut(text))


def _cut(text: str, most: int = _MAX_CELL) -> str:
    shown = printable(text[: most + 1].replace("\n", " ").replace("\t", " "))
    return shown if len(shown) <= most else f"{shown[:most]}…"


def is_cut(results: Iterable[ObjectResult], most: int = MAX_ROWS) -> bool:
    """True if `print_share_preview` does not show all with `most` rows a section."""
    counts: Counter[str] = Counter()
    notes: set[str] = set()
    for result in results:
        notes.update(list_notes(result))
        counts[result.verdict] += 1
        if result.verdict == "ready":
            counts["changed"] += len(changes(result))
        if len(notes) > most or max(counts.values()) > most:
            return True
    return False
