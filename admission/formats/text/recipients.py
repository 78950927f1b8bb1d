"""Recipients and victims in a text: in tables of many kinds, and in JSON events."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from tocsin.admission.extraction.field_names import (
    holds_people,
    is_machine,
    is_user,
    names_senders,
    names_victims,
    says_victim,
)
from tocsin.admission.extraction.places import Places
from tocsin.admission.extraction.prose import find_in_line
from tocsin.admission.formats.text.stacked_tables import (
    is_of_wiki,
    is_stacked,
    opens_table,
    read_rows,
    split_cells,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import IocType, RecognisedIoc
from tocsin.admission.observables.refang import refang

_BLANKS = "  "
"""In place of a delimiter: columns are aligned by two or more blanks."""
_BLANK = " "
"""In place of a delimiter, where a mailbox fills its column: one blank parts the columns."""
_RUNS = {_BLANKS: compile_lazily(r"\s{2,}"), _BLANK: compile_lazily(r"\s+")}
_NOT_IN_HEADINGS = compile_lazily(r"[:={}\"]")
_OF_TABLES = ("|", "\u2502", "\u2503", "\u2551", "\t")
"""Delimiters that are in no sentence: those of Markdown, of drawn boxes, and tabs."""
_DELIMITERS = (*_OF_TABLES, ";", ",", _BLANKS)
_WIKI_HEADINGS = "!!"
_WIKI_CELLS = "||"
"""Delimiters of the headings and of the cells in MediaWiki."""
_LATEX = "&"
_END_OF_ROW = "\\\\"
"""Of LaTeX; without it, `&` is in a sentence."""
_COMMANDS = compile_lazily(r"\\{1,2}(?:[a-z]{1,30}\*?)?|[{}]", re.IGNORECASE)
_LATEX_RULERS = compile_lazily(
    r"\s*(?:\\(?!end\b)[a-z]{2,30}(?:\{[^{}]{0,40}\}|[\[(][^\[\]()]{0,40}[\])]){0,3}\s*)+",
    re.IGNORECASE,
)
"""`\\hline`, `\\midrule`, `\\cline{1-2}`, and other commands without text."""
_CELLS_OF_LINE = 65_536
"""Numbers for the cells of a line, two for each."""
_LONGEST_HEADINGS = 400
_LONGEST_HEADING = 40
_MOST_BETWEEN = 4
"""Lines between the headings and the first row: blank ones, or a ruler."""
_LONGEST_ROW = 4_000
_WITH_RULERS = (*_OF_TABLES, _WIKI_CELLS, _LATEX)
"""Delimiters of tables that may have lines without cells between rows."""
_IN_SENTENCES = (";", ",")
"""Delimiters that are also in sentences."""
_ENDS_AT_BLANK = (*_IN_SENTENCES, _BLANKS, _BLANK)
"""Delimiters of tables that end at a blank line."""
_JSON_TOKEN = compile_lazily(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?|[\[\]{},]')
_NAMES_OF_PAIRS = frozenset(("name", "key"))
_EXFILTRATION = compile_lazily(r"exfil", re.IGNORECASE)
_JSON_MEMBER = compile_lazily(r'"\s*:')
_JSON_BEGINS = compile_lazily(r'"\s*+:|[\[{]\s*+(?:"[^"]*+"\s*+)?$')
"""The name of a member, or an object or array that ends its line, perhaps with a string."""
_DEEPEST = 100
_RELATED = "related."
"""The beginning of the names of fields that list everybody whom an event names."""
_QUOTE = '\\"'
_ESCAPED_QUOTE = compile_lazily(r'\\+"')
_UNESCAPED = {each: compile_lazily(rf"(?<!\\){re.escape(each)}") for each in ("|", _LATEX)}
"""Delimiters that a cell in Markdown or LaTeX may hold after a backslash."""


class _Owner(Enum):
    """The owner of a mailbox in JSON."""

    PERSON = auto()  # a recipient or a user
    RELATED = auto()  # a user whom the event names, perhaps as its sender
    SENDER = auto()
    LOOT = auto()  # of a stealer: its operator


@dataclass(frozen=True, slots=True)
class _Table:
    first: int
    end: int
    """The number of its first line and of the one after its last, from 0."""
    delimiter: str
    delimiters: int
    """How many of them the headings have."""
    recipients: frozenset[int]
    """The numbers of the cells with recipients."""
    victims: frozenset[int]
    """The numbers of the cells with machines of victims."""


class Recipients:
    """The recipients and victims in the tables and the JSON of a text."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._tables = list[_Table]()
        self._cells = array("Q")
        """The private cells of stacked tables, as `_key_of_cell` gives them, in their order."""
        self._in_json = {owner: Places() for owner in _Owner}
        end, json = 0, _JsonReader()
        for number, line in enumerate(lines):
            if number >= end and opens_table(line) and is_stacked(lines, number):
                end = self._read_stacked(lines, number)
            if number >= end and (table := _find_table(lines, number, line)) is not None:
                self._tables.append(table)
                end = table.end
            for mailbox, owner in json.find_mailboxes(line):
                self._in_json[owner].find_or_add(mailbox, 0)

    def _read_stacked(self, lines: Sequence[str], first: int) -> int:
        """Take the private cells of a table, and give the number of the line after its last."""
        wiki, end, table = is_of_wiki(lines[first]), first + 1, None
        for row in read_rows(lines, first):
            cells = [cell.text for cell in row]
            end = row[-1].line + 1
            if table is None:
                table = _read_headings(cells)
            shifted = bool(table.recipients) and len(cells) != table.delimiters
            for number, (label, cell) in enumerate(pairwise(("", *cells))):
                in_column = _is_private(number, cell, table, shifted=shifted)
                if in_column or _is_after_label(label, cell):
                    self._cells.append(_key_of_cell(row[number].line, row[number].part, wiki))
        return end

    def __contains__(self, value: RecognisedIoc) -> bool:
        """True if a value is the mailbox of a recipient in JSON."""
        if value.kind is not IocType.EMAIL:
            return False
        related = self._is_of(value, _Owner.RELATED) and not self._is_of(value, _Owner.SENDER)
        return related or self._is_of(value, _Owner.PERSON)

    def names_attacker(self, value: RecognisedIoc) -> bool:
        """True if JSON says that a mailbox receives loot, or sends; nearer words do not count.

        All users of an event are in `related.user`, senders too.
        """
        if value.kind is not IocType.EMAIL:
            return False
        sends = self._is_of(value, _Owner.RELATED) and self._is_of(value, _Owner.SENDER)
        return sends or self._is_of(value, _Owner.LOOT)

    def _is_of(self, value: RecognisedIoc, owner: _Owner) -> bool:
        return value.value in self._in_json[owner]

    def remove_cells(self, number: int, line: str) -> str:
        """The line with that number without cells that hold a recipient's mailbox or a victim."""
        place = bisect_right(self._tables, number, key=lambda table: table.first) - 1
        if place >= 0 and number < self._tables[place].end:
            return _remove_from_row(line, self._tables[place])
        if self._cells and (cells := self._cells_in(number)):
            parts = split_cells(line.lstrip(), wiki=cells[0] % 2 == 1)
            private = {cell % _CELLS_OF_LINE // 2 for cell in cells}
            return "|".join("" if n in private else part for n, part in enumerate(parts))
        if _is_latex(line):
            return _remove_from_latex(line)
        delimiter = next((each for each in _OF_TABLES if each in line), "")
        return _remove_after_labels(line, delimiter) if delimiter else line

    def _cells_in(self, number: int) -> Sequence[int]:
        """The private cells of the stacked table in the line with that number."""
        start = bisect_left(self._cells, number * _CELLS_OF_LINE)
        return self._cells[start : bisect_left(self._cells, (number + 1) * _CELLS_OF_LINE, start)]


def _key_of_cell(line: int, part: int, wiki: bool) -> int:
    """A number that stands for a cell, in little memory."""
    return line * _CELLS_OF_LINE + part * 2 + wiki


def unescape_quotes(line: str) -> str:
    """A line without the backslashes before the quotes of JSON that is in a string of JSON."""
    return _ESCAPED_QUOTE.sub('"', line) if _QUOTE in line else line


def begins_table(lines: Sequence[str], number: int) -> bool:
    """True if headings above recipients are among the lines from that number on."""
    rows = range(number, min(len(lines), number + _MOST_BETWEEN))
    return any(
        (opens_table(lines[each]) and is_stacked(lines, each))
        or _find_table(lines, each, lines[each]) is not None
        for each in rows
    )


def _find_table(lines: Sequence[str], number: int, line: str) -> _Table | None:
    """The table below a line, if that holds headings and the first row a mailbox or a victim."""
    if len(line) > _LONGEST_HEADINGS or "@" in line or _JSON_MEMBER.search(line):
        return None
    delimiter = _find_delimiter(lines, number)
    if not delimiter:
        return None
    is_wiki = delimiter == _WIKI_CELLS
    cells = _split(line, _WIKI_HEADINGS if is_wiki else delimiter)
    cells = list(map(_strip_commands, cells)) if delimiter == _LATEX else cells
    if any(len(cell) > _LONGEST_HEADING for cell in cells):
        return None
    may_hold = delimiter in _WITH_RULERS and "." not in line  # a quick test of many rows
    victims = _find_victims(cells) if may_hold else frozenset[int]()
    row = _find_first_row(lines, number, delimiter, any_value=bool(victims))
    recipients = frozenset(n for n, cell in enumerate(cells) if row and holds_people(cell))
    if row is None or not recipients | victims or _holds_value(line):
        return None
    end = _find_end(lines, row, delimiter)
    return _Table(row, end, delimiter, len(cells) - 1, recipients, victims)


def _read_headings(cells: Sequence[str]) -> _Table:
    """The columns of recipients and victims below headings; none if they are no headings."""
    are_headings = not any(map(_has_mailbox, cells))
    recipients = frozenset(n for n, cell in enumerate(cells) if are_headings and _is_label(cell))
    victims = _find_victims(cells) if are_headings else frozenset[int]()
    return _Table(0, 0, "|", len(cells), recipients, victims)


def _find_victims(cells: Sequence[str]) -> frozenset[int]:
    """The numbers of the headings of victims, if there is another heading."""
    filled = sum(map(bool, map(str.strip, cells)))
    beside_users = any(map(is_user, cells))
    return frozenset(
        n
        for n, cell in enumerate(cells)
        if filled > 1 and (_is_of_victims(cell) or (beside_users and is_machine(cell)))
    )


def _is_of_victims(label: str) -> bool:
    short = len(label) <= _LONGEST_HEADING and "." not in label
    return short and not label.isspace() and names_victims(label)


def _holds_value(line: str) -> bool:
    """True for a label and its value, `| Received by | mx.lab.org |`, which are no headings."""
    return "." in line and next(find_in_line(line, False), None) is not None


def _find_delimiter(lines: Sequence[str], number: int) -> str:
    """The delimiter of headings; empty if the line cannot hold any."""
    line = lines[number]
    if _WIKI_HEADINGS in line and line.lstrip().startswith("!"):
        return _WIKI_CELLS
    if _is_latex(line):
        return _LATEX
    found = next((each for each in _DELIMITERS if each in line.strip()), "")
    if found not in ("", _BLANKS):
        return found
    if _NOT_IN_HEADINGS.search(line):
        return ""
    below = "" if found else "".join(lines[number + 1 : number + 2])
    return _BLANK if below.count("@") > 1 and _are_headings(line.split()) else found


def _is_latex(line: str) -> bool:
    """True for a row of a table in LaTeX: `From & To \\\\`."""
    return _LATEX in line and _END_OF_ROW in line


def _strip_commands(cell: str) -> str:
    """The text of a cell in LaTeX: of `\\textbf{To} \\\\ \\hline`, `To`."""
    return _COMMANDS.sub(" ", cell)


def _are_headings(words: Sequence[str]) -> bool:
    """True if words are headings rather than a sentence, and one is of senders."""
    return not any(word[0].islower() for word in words) and any(map(names_senders, words))


def _split(line: str, delimiter: str) -> list[str]:
    if delimiter == "|":
        line = line.replace("||", "|") if line.startswith("||") else line  # Jira
    if delimiter in _UNESCAPED:
        return _UNESCAPED[delimiter].split(line)
    run = _RUNS.get(delimiter)
    return line.split(delimiter) if run is None else run.split(line.strip())


def _find_first_row(
    lines: Sequence[str], number: int, delimiter: str, *, any_value: bool
) -> int | None:
    """The first row with a mailbox, or with `any_value`."""
    in_sentences = delimiter in _IN_SENTENCES
    end = number + (2 if in_sentences else _MOST_BETWEEN + 2)
    for row in range(number + 1, min(len(lines), end)):
        if any_value and delimiter in lines[row] and not _is_ruler(lines[row]):
            return row
        if _has_mailbox(lines[row][:_LONGEST_ROW]):
            if delimiter == _BLANKS:
                return row if len(_split(lines[row], delimiter)) > 1 else None
            if delimiter == _BLANK:
                return row if lines[row].count("@") > 1 else None
            same = in_sentences and lines[row].count(delimiter) == lines[number].count(delimiter)
            return row if same or (delimiter in lines[row] and not in_sentences) else None
    return None


def _find_end(lines: Sequence[str], row: int, delimiter: str) -> int:
    for number in range(row, len(lines)):
        blank = not lines[number].strip()
        lacks = delimiter not in lines[number] and delimiter not in _RUNS
        lacks = lacks and not (delimiter in _WITH_RULERS and _is_ruler(lines[number]))
        if (delimiter in _ENDS_AT_BLANK) if blank else lacks:
            return number
    return len(lines)


def _remove_from_row(line: str, table: _Table) -> str:
    cells = _split(line, table.delimiter)
    if table.delimiter in _OF_TABLES and _ends_with_victim(cells):
        return _remove_after_labels(line, table.delimiter)
    shifted = len(cells) - 1 != table.delimiters
    if table.delimiter in _RUNS:  # a cell that fills its column runs into the next one
        shifted = shifted or any(cell.count("@") > 1 for cell in cells)
    kept = (
        "" if _is_private(n, cell, table, shifted=shifted) else cell for n, cell in enumerate(cells)
    )
    return table.delimiter.join(kept)


def _remove_from_latex(line: str) -> str:
    """Rows without the cells of recipients; the first may hold the headings of the others."""
    rows = line.split(_END_OF_ROW)
    headings = _split(rows[0], _LATEX)
    named = frozenset(n for n, cell in enumerate(headings) if _is_label(_strip_commands(cell)))
    if _has_mailbox(rows[0]) or not named:
        return _END_OF_ROW.join(_remove_after_labels(row, _LATEX) for row in rows)
    table = _Table(0, 0, _LATEX, len(headings) - 1, named, frozenset())
    return _END_OF_ROW.join(_remove_from_row(row, table) for row in rows)


def _is_private(number: int, cell: str, table: _Table, *, shifted: bool) -> bool:
    if number in table.victims and _is_plain(cell):
        return True
    return (shifted or number in table.recipients) and _has_mailbox(cell)


def _remove_after_labels(line: str, delimiter: str) -> str:
    """`| To | jane@example.com |` without the mailbox."""
    labels = line.split(delimiter)
    if _ends_with_victim(labels):
        return delimiter.join("" if "." in cell and _is_plain(cell) else cell for cell in labels)
    kept = [labels[0]]
    for label, cell in pairwise(labels):
        label = _strip_commands(label) if delimiter == _LATEX else label
        kept.append("" if _is_after_label(label, cell) else cell)
    return delimiter.join(kept)


def _ends_with_victim(cells: Sequence[str]) -> bool:
    """True if the last cell of a row says that its value is a victim's."""
    filled = [cell for cell in cells if cell and not cell.isspace()]
    return len(filled) > 1 and len(filled[-1]) <= _LONGEST_HEADING and says_victim(filled[-1])


def _is_after_label(label: str, cell: str) -> bool:
    """True if the label before a cell says that it holds a recipient's mailbox or a victim."""
    if _has_mailbox(cell) and _is_label(label):
        return True
    return "." in cell and _is_of_victims(label) and _is_plain(cell)


def _is_plain(cell: str) -> bool:
    """True if a cell is not defanged."""
    return refang(cell) == cell


def _is_ruler(line: str) -> bool:
    """True for a line of signs or commands only, between the rows of a table."""
    return not any(map(str.isalnum, line)) or (
        "\\" in line and _LATEX_RULERS.fullmatch(line) is not None
    )


def _is_label(cell: str) -> bool:
    return 1 < len(cell.strip()) <= _LONGEST_HEADING and holds_people(cell)


def _has_mailbox(cell: str) -> bool:
    return "@" in cell or "@" in refang(cell)


class _JsonReader:
    """Follows JSON through the lines of a text, whether it is all of the text or a part of it."""

    def __init__(self) -> None:
        self._open = list[_Owner | None]()
        """For each array and object that is open, the owner of the member to which it belongs."""
        self._member: _Owner | None = None
        """After the name of a member, the owner of mailboxes in it."""
        self._key = self._pair = ""
        """The name of the last member, and the name in `{"Name": "To", "Value": …}`."""
        self._string = ""
        """The last string; the name of a member if the next line begins with a colon."""
        self._awaits = False
        """True if the value of a member is on the next line."""
        self._related = _DEEPEST
        """The depth of the object `related`."""
        self._loot = _DEEPEST
        """The depth of the part of a stealer's configuration that says where its loot goes."""

    def find_mailboxes(self, line: str) -> Iterator[tuple[str, _Owner]]:
        """The mailboxes in the next line, with their owners where these are known."""
        if not (self._open or self._awaits) and _JSON_BEGINS.search(line) is None:
            return
        if self._string and line.lstrip().startswith(":"):
            self._begin_member(self._string)
        yield from self._read_tokens(line)
        self._awaits = line.rstrip().endswith(":")

    def _read_tokens(self, line: str) -> Iterator[tuple[str, _Owner]]:
        for token in _JSON_TOKEN.finditer(line):
            self._string = token[1] or ""
            if token[2]:
                self._begin_member(token[1])
            elif token[1] is None:
                self._follow(token[0])
            elif self._key in _NAMES_OF_PAIRS:
                self._pair = token[1]
            elif _has_mailbox(token[1]):
                yield from self._find_in_string(unescape_quotes(token[1]))

    def _find_in_string(self, text: str) -> Iterator[tuple[str, _Owner]]:
        owner = self._owner()
        if owner is None:
            yield from _JsonReader().find_mailboxes(text)
            return
        found = find_in_line(text, False)
        yield from ((each.value, owner) for each in found if each.kind is IocType.EMAIL)

    def _owner(self) -> _Owner | None:
        """The owner of mailboxes at this place."""
        return self._member or next(iter(self._open[-1:]), None)

    def _in_loot(self) -> bool:
        return len(self._open) > self._loot

    def _begin_member(self, name: str) -> None:
        self._key = name.lower()
        named = self._pair if self._key == "value" else name
        inside = len(self._open) > self._related
        related = inside or self._key.startswith(_RELATED)
        if self._in_loot():
            self._member = _Owner.LOOT
        elif names_senders(named):
            self._member = _Owner.SENDER
        elif holds_people(self._key.removeprefix(_RELATED) if related else named):
            self._member = _Owner.RELATED if related else _Owner.PERSON
        else:
            self._member = None
        if not inside:
            self._related = len(self._open) if self._key == "related" else _DEEPEST
        if self._loot == _DEEPEST and _EXFILTRATION.match(name):
            self._loot = len(self._open)

    def _follow(self, mark: str) -> None:
        if mark in "[{":
            self._open.append(self._owner())
            del self._open[:-_DEEPEST]
        elif mark in "]}":
            del self._open[-1:]
            self._loot = self._loot if self._in_loot() else _DEEPEST
        if mark in "{}":
            self._pair = ""
        self._member = None
        self._key = ""
