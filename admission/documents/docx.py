"""The text of a DOCX: headers, body, footers and notes; a row of a table is a line.

Deleted and hidden text, comments, the targets of links and the properties of the document, which
name its author, are not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.admission.documents import DocumentText, TextBudget
from tocsin.admission.documents.zipped_xml import Archive, ignore
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

_PARTS = (
    compile_lazily(r"word/header\d*\.xml"),
    compile_lazily(r"word/document\d*\.xml"),
    compile_lazily(r"word/footer\d*\.xml"),
    compile_lazily(r"word/(?:footnotes|endnotes)\.xml"),
)
_BREAKS = {
    "br": "\n",
    "cr": "\n",
    "tab": "\t",
    "ptab": "\t",
    "noBreakHyphen": "-",
    "softHyphen": "",
}
_HEADING = compile_lazily(r"(?:heading|berschrift|titre|titolo|t[ií]tulo)\W?([1-6])", re.IGNORECASE)
_TITLE = compile_lazily(r"title|titel", re.IGNORECASE)
_PARTS_OF_TEXT = frozenset(("p", "r", "tbl", "tc", "tr", "txbxContent"))
_NESTED = ("moveFrom", "pPr", "pPrChange", "rPrChange")
"""Elements around text that stands elsewhere, and around properties that are not of a run now."""
_PROPERTIES = frozenset(("pStyle", "rStyle", "vanish", "vertAlign"))
_MOST_BASES = 12
"""Styles on which one is based, the one on the other; Word makes no more."""
_OFF = ("0", "false", "off")
_END_IN_CELL = "\x1f"
"""In the place of the end of a line in a cell, until its row ends; no text in XML has it."""
_HIDDEN = "hidden text in the document is not read"
_COMMENTS = "comments in the document are not read"
_NO_BODY = "the file has no text of a document: save it again as .docx"


class _Part:
    """Collects the text of one part."""

    def __init__(self, budget: TextBudget, hidden_styles: frozenset[str]) -> None:
        self.hides = False
        """True if some of its text is hidden."""
        self._budget = budget
        self._hidden_styles = hidden_styles
        self._in_text = False
        self._depths = dict.fromkeys(_NESTED, 0)
        self._rows: list[_Row] = []
        """The rows that are open, one for each table in a table."""
        self._paragraphs: list[bool] = []
        """The paragraphs that are open, for text boxes are in others: true if its style hides."""
        self._runs: list[bool] = []
        """The runs that are open: true for one that is hidden."""
        self._is_raised = self._was_raised = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """See `Archive.parse`."""
        if name == "t":
            self._begin_text()
        elif name in _BREAKS:
            self._add(self._end_of_line() if _BREAKS[name] == "\n" else _BREAKS[name])
        elif name in _NESTED:
            self._depths[name] += 1
        elif name in _PARTS_OF_TEXT:
            self._open(name)
        elif name in _PROPERTIES:
            self._read_property(name, attributes.get("val", ""))

    def _open(self, name: str) -> None:
        if name == "p":
            self._paragraphs.append(False)
        elif name == "r":
            self._runs.append(any(self._paragraphs[-1:]))
            self._is_raised = False
        elif name == "tr":
            self._rows.append(_Row(len(self._budget.pieces)))
        elif name == "tc" and self._rows:
            self._rows[-1].cells += 1
        elif name == "txbxContent":
            self._add(self._end_of_line())
        elif name == "tbl" and self._rows:
            self._add("\n")

    def _read_property(self, name: str, value: str) -> None:
        """Read a property; that of the mark at the end of a paragraph is not one of a run."""
        if self._depths["pPrChange"] or self._depths["rPrChange"]:
            return
        if name != "pStyle":
            if self._runs and not self._depths["pPr"]:
                self._read_property_of_run(name, value)
            return
        if self._paragraphs:
            self._paragraphs[-1] = value in self._hidden_styles
        if not self._rows:
            self._add(_heading(value))

    def _read_property_of_run(self, name: str, value: str) -> None:
        if name == "vertAlign":
            self._is_raised = value == "superscript"
        elif name == "vanish":
            self._runs[-1] = value not in _OFF
        elif value in self._hidden_styles:
            self._runs[-1] = True

    def _begin_text(self) -> None:
        is_hidden = any(self._runs)
        self.hides = self.hides or is_hidden
        self._in_text = not (self._depths["moveFrom"] or is_hidden)
        if self._is_raised and not self._was_raised:
            self._add(" ")  # the number of a note is no part of the value before it
        self._was_raised = self._is_raised

    def end(self, name: str) -> None:
        """See `Archive.parse`."""
        if name == "t":
            self._in_text = False
        elif name == "p":
            del self._paragraphs[-1:]
            self._add(self._end_of_line())
        elif name == "r":
            del self._runs[-1:]
        elif name == "tc":
            self._add(" | ")
        elif name == "tr" and self._rows:
            self._rows.pop().join_paragraphs(self._budget.pieces)
            self._add("\n")
        elif name in _NESTED:
            self._depths[name] -= 1

    def text(self, data: str) -> None:
        """See `Archive.parse`."""
        if self._in_text:
            self._add(data)

    def _end_of_line(self) -> str:
        return _END_IN_CELL if self._rows else "\n"

    def _add(self, piece: str) -> None:
        if piece:
            self._budget.add(piece)


@dataclass(slots=True)
class _Row:
    """A row of a table."""

    first: int
    """The number of pieces before it."""
    cells: int = 0

    def join_paragraphs(self, pieces: list[str]) -> None:
        """Put all lines of the row into one; a cell alone is a frame around a text."""
        between = "\n" if self.cells == 1 else " "
        pieces[self.first :] = [
            between if each == _END_IN_CELL else each for each in pieces[self.first :]
        ]


def _heading(style: str) -> str:
    found = _HEADING.search(style)
    if found:
        return "#" * int(found[1]) + " "
    return "# " if _TITLE.fullmatch(style) else ""


def read(content: bytes) -> DocumentText:
    """The text of a DOCX.  Raises Malformed."""
    archive = Archive(content)
    names = [name for form in _PARTS for name in sorted(filter(form.fullmatch, archive.names))]
    if not any("document" in name for name in names):
        raise Malformed(_NO_BODY)
    budget, hidden_styles, hides = TextBudget(), _find_hidden_styles(archive), False
    for name in names:
        part = _Part(budget, hidden_styles)
        archive.parse(name, part.start, part.end, part.text)
        budget.add("\n")
        hides = hides or part.hides
    return DocumentText(budget.join(), [_HIDDEN] * hides + _note_comments(archive))


def _find_hidden_styles(archive: Archive) -> frozenset[str]:
    """The styles that hide text, and those that are based on them."""
    hides: dict[str, bool] = {}
    based_on: dict[str, str] = {}
    style = ""

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal style
        value = attributes.get("val", "")
        if name == "style":
            style = attributes.get("styleId", "")
        elif name == "basedOn":
            based_on[style] = value
        elif name == "vanish" and style:
            hides[style] = value not in _OFF

    archive.parse("word/styles.xml", start, ignore, ignore)
    return frozenset(each for each in hides | based_on if _is_hidden(each, hides, based_on))


def _is_hidden(style: str, hides: Mapping[str, bool], based_on: Mapping[str, str]) -> bool:
    """True if a style, or else the nearest of those on which it is based, hides text."""
    for _ in range(_MOST_BASES):
        if style in hides:
            return hides[style]
        style = based_on.get(style, "")
    return False


def _note_comments(archive: Archive) -> list[str]:
    found: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "comment" and not found:
            found.append(_COMMENTS)

    archive.parse("word/comments.xml", start, ignore, ignore)
    return found
