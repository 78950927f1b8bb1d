"""Tables of MediaWiki and AsciiDoc in which each cell may stand on a line of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tocsin.admission.lazy_patterns import compile_lazily

_WIKI, _ASCIIDOC = "{|", "|==="
_ENDS = ("|}", _WIKI, _ASCIIDOC)
"""Tables in tables are not read: only so does each line belong to one."""
_NO_CELLS = ("|-", "|+")
"""Of MediaWiki: the beginning of a row, and a caption."""
_WIKI_MARKS = compile_lazily(r"^\s*[|!]|\|\||!!")
_ASCIIDOC_MARKS = compile_lazily(r"(?<!\\)\|")
_COLUMNS = compile_lazily(r"\bcols\s?=\s?[\"']?(?:(\d{1,2})\*|([^\"'\]]{1,200}))")
"""`[cols="1,2,1"]` or `[cols="3*"]` above a table of AsciiDoc."""
_MOST_CELLS = 100
"""Cells of a row."""
_LONGEST_LINE = 20_000
_MOST_HEADINGS = 40
"""Lines in which the headings are."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    line: int
    """The number of its line, from 0."""
    part: int
    """The number of the part of the line that it is, as `split_cells` gives them."""
    text: str


def opens_table(line: str) -> bool:
    """True for the first line of a table."""
    return line.lstrip().startswith((_WIKI, _ASCIIDOC))


def is_of_wiki(line: str) -> bool:
    """True if a table with that first line is one of MediaWiki."""
    return line.lstrip().startswith(_WIKI)


def split_cells(line: str, *, wiki: bool) -> list[str]:
    """The parts of a line; each after the first is a cell.

    >>> split_cells("| Al || Bob", wiki=True), split_cells("|Al |Bob", wiki=False)
    (['', ' Al ', ' Bob'], ['', 'Al ', 'Bob'])
    """
    return (_WIKI_MARKS if wiki else _ASCIIDOC_MARKS).split(line)


def is_stacked(lines: Sequence[str], first: int) -> bool:
    """True if one of the first rows of a table takes several lines."""
    return any(row[0].line < row[-1].line for row in islice(read_rows(lines, first), 2))


def read_rows(lines: Sequence[str], first: int) -> Iterator[list[Cell]]:
    """The rows of the table that the line with that number opens."""
    wiki = is_of_wiki(lines[first])
    width = _MOST_CELLS if wiki else _find_width(lines, first)
    row: list[Cell] = []
    for number in range(first + 1, len(lines)):
        line = lines[number].lstrip()[:_LONGEST_LINE]
        if line.startswith(_ENDS):
            break
        if wiki and line.startswith(_NO_CELLS):
            if row:
                yield row
            row = []
            continue
        for part, text in enumerate(split_cells(line, wiki=wiki)[1:], 1):
            row.append(Cell(number, part, text.rpartition("|")[2]))  # behind its attributes
            if len(row) == width:
                yield row
                row = []
    if row:
        yield row


def _find_width(lines: Sequence[str], first: int) -> int:
    """The number of columns of a table of AsciiDoc; 2 for labels with a value below each."""
    named = _COLUMNS.search(lines[first - 1]) if first else None
    if named is not None:
        return int(named[1] or named[2].count(",") + 1)
    headings = 0
    for line in lines[first + 1 : first + 1 + _MOST_HEADINGS]:
        cells = split_cells(line, wiki=False)[1:]
        if "@" in line:
            break
        if headings and not cells:
            return headings
        headings += len(cells)
        if len(cells) > 1:
            break
    return max(headings, 2)
