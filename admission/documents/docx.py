"""The text of a DOCX: headers, body, footers and notes; a row of a table is a line.

Deleted text, comments, the targets of links and the properties of the document, which name its
author, are not read.
"""

import re
from collections.abc import Mapping

from tocsin.admission.documents import DocumentText, TextBudget
from tocsin.admission.documents.zipped_xml import Archive, ignore
from tocsin.admission.errors import Malformed

_PARTS = (
    re.compile(r"word/header\d*\.xml"),
    re.compile(r"word/document\d*\.xml"),
    re.compile(r"word/footer\d*\.xml"),
    re.compile(r"word/(?:footnotes|endnotes)\.xml"),
)
_BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-", "softHyphen": ""}
_HEADING = re.compile(r"(?:heading|berschrift|titre|titolo|t[ií]tulo)\W?([1-6])", re.IGNORECASE)
_TITLE = re.compile(r"title|titel", re.IGNORECASE)
_COMMENTS = "comments in the document are not read"
_NO_BODY = "the file has no text of a document: save it again as .docx"


class _Part:
    """Collects the text of one part."""

    def __init__(self, budget: TextBudget) -> None:
        self._budget = budget
        self._in_text = False
        self._moved = 0
        """Depth of text that was moved away and stands elsewhere."""
        self._cells = 0
        """Depth of table cells."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """See `Archive.parse`."""
        if name == "t":
            self._in_text = not self._moved
        elif name in _BREAKS:
            self._add(" " if self._cells and _BREAKS[name] == "\n" else _BREAKS[name])
        elif name == "moveFrom":
            self._moved += 1
        elif name == "tc":
            self._cells += 1
        elif name == "pStyle" and not self._cells:
            self._add(_heading(attributes.get("val", "")))

    def end(self, name: str) -> None:
        """See `Archive.parse`."""
        if name == "t":
            self._in_text = False
        elif name == "p":
            self._add(" " if self._cells else "\n")
        elif name == "tc":
            self._cells -= 1
            self._add(" | ")
        elif name == "tr":
            self._add("\n")
        elif name == "moveFrom":
            self._moved -= 1

    def text(self, data: str) -> None:
        """See `Archive.parse`."""
        if self._in_text:
            self._add(data)

    def _add(self, piece: str) -> None:
        if piece:
            self._budget.add(piece)


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
    budget = TextBudget()
    for name in names:
        part = _Part(budget)
        archive.parse(name, part.start, part.end, part.text)
        budget.add("\n")
    return DocumentText("".join(budget.pieces), _note_comments(archive))


def _note_comments(archive: Archive) -> list[str]:
    found: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "comment" and not found:
            found.append(_COMMENTS)

    archive.parse("word/comments.xml", start, ignore, ignore)
    return found
