"""The text of a web page: what a reader sees, without menus, scripts and targets of links.

The parser of the standard library keeps no tree, so depth costs nothing.
"""

import codecs
import re
from html.parser import HTMLParser

from tocsin.admission.documents import DocumentText, TextBudget
from tocsin.admission.extraction.text_encoding import decode_text, detect_encoding
from tocsin.admission.lazy_patterns import compile_lazily

_LEFT_OUT = frozenset(("nav", "template", "svg", "noscript", "object", "iframe", "del"))
"""Elements of which nothing is read; one that never ends is read."""
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div"),
        *("dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr"),
        *("html", "li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody"),
        *("tfoot", "thead", "title", "tr", "ul"),
    )
)
_BEFORE = {
    **dict.fromkeys(_BLOCKS, "\n"),
    "br": "\n",
    "sup": " ",  # the number of a note is no part of the value before it
    **{f"h{level}": f"\n{'#' * level} " for level in range(1, 7)},
}
"""Text for the beginnings of elements."""
_AFTER = _BLOCKS | {f"h{level}" for level in range(1, 7)}
"""Elements after which a line begins."""
_CELLS = frozenset(("td", "th"))
_ENDS_OF_ROWS = frozenset(("tr", "table"))
_ENDS_OF_CELLS = _CELLS | _ENDS_OF_ROWS
_LISTS = frozenset(("ol", "ul"))
_FEWEST_CELLS = 3
"""Cells of a row of data; one with fewer may lay out a page, whose lines stay lines."""
_LONGEST_ROW = 4_000
_DEFINITIONS = {"dl": "", "dt": ": ", "dd": ", "}
_LONGEST_JOINED = 1_000
_LABEL = r"[^:|\n]{1,40}: "
_PARTS_OF_PAGE = compile_lazily(rf"\n#{{1,6}} |\n{_LABEL}[^|\n]{{1,400}}\n{{1,9}}{_LABEL}")
"""A heading, or two lines with labels below each other: cells with these lay out a page."""
_ITEM = compile_lazily(r"\s*(?:[^:\n]{0,200}@[^:\n]{0,300}|\S{1,300})?\s*")
"""A line of a list in a cell: one with a mailbox and no label, or one word."""
_DISPLAY = compile_lazily(r"(?<![\w-])display\s{0,9}:\s{0,9}(\w+)")
_HIDDEN = "hidden text in the page is not read"
_SPACE = compile_lazily(r"[ \t\r\n\f]+")
_CHARSET = re.compile(rb"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{2,40})", re.IGNORECASE)
_ENCODINGS = compile_lazily(
    r"(?:utf-?8|iso-?8859|windows-?\d|cp\d|koi8|gb|big5|euc|shift|sjis|ascii)"
)
"""Names of encodings that a page may declare."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.budget = TextBudget()
        self.hides = False
        """True if some of the text is hidden."""
        self._left_out: list[tuple[str, int]] = []
        """Elements that are open, each with the number of pieces before it."""
        self._preformatted = 0
        self._cell = -1
        """The number of pieces before the cell that is open; negative without one."""
        self._cells: list[int] = []
        """The numbers of pieces before each cell of the row that is open."""
        self._item = -1
        """The number of pieces before the item of a list that is open; negative without one."""
        self._before_definition = ""
        """The signs before the next definition in a list of them, after its term or another one."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See html.parser."""
        self._end_before(tag)
        if tag in _LEFT_OUT or self._is_hidden(tag, attrs):
            self._left_out.append((tag, len(self.budget.pieces)))
        elif tag in _CELLS:
            self.budget.add(" | ")
            self._cell = len(self.budget.pieces)
            self._cells.append(self._cell)
        elif tag == "li":
            self._end_item()
            self.budget.add("\n")
            self._item = len(self.budget.pieces)
        elif tag == "dd" and self._before_definition:
            self._join_definition()
        elif tag in _BEFORE:
            self.budget.add(_BEFORE[tag])
        if tag in _DEFINITIONS:
            self._before_definition = _DEFINITIONS[tag]
        self._preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        """See html.parser."""
        self._end_before(tag)
        if tag == "dl":
            self._before_definition = ""
        if self._is_left_out(tag):
            self._drop_since(tag)
        elif tag in _AFTER:
            self.budget.add("\n")
        self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def _end_before(self, tag: str) -> None:
        """End the cell, row or item that ends where an element begins or ends."""
        if tag in _LISTS:
            self._end_item()
        if tag in _ENDS_OF_CELLS and self._cell >= 0:
            self._end_cell()
        if tag in _ENDS_OF_ROWS:
            self._end_row()

    def _end_item(self) -> None:
        """Put an item of one word below the item before it: a blank line would end the list."""
        if self._item >= 0:
            text = self._text_since(self._item, _LONGEST_JOINED).strip()
            if text and _ITEM.fullmatch(text):
                self.budget.pieces[self._item :] = [text]
        self._item = -1

    def _end_cell(self) -> None:
        """Put the lines of a cell with a short list into one: all of them are of its column."""
        text = self._text_since(self._cell, _LONGEST_JOINED)
        lines = text.strip().split("\n")
        if text and (len(lines) == 1 or all(map(_ITEM.fullmatch, lines))):
            self.budget.pieces[self._cell :] = [" ".join(lines)]
        self._cell = -1

    def _end_row(self) -> None:
        """Put all lines of a row into one, unless some have a heading or labels of their own."""
        if len(self._cells) >= _FEWEST_CELLS:
            text = self._text_since(self._cells[0], _LONGEST_ROW)
            if "\n" in text and not _PARTS_OF_PAGE.search(text):
                self.budget.pieces[self._cells[0] :] = [text.replace("\n", " ")]
        self._cells.clear()

    def _text_since(self, place: int, most: int) -> str:
        """The text after that many pieces; empty if it has more than `most` characters."""
        text = "".join(self.budget.pieces[place:])
        return text if len(text) <= most else ""

    def _join_definition(self) -> None:
        """Put a definition on the line of its term: `To: jane@example.com`."""
        pieces = self.budget.pieces
        while pieces and pieces[-1].isspace():
            pieces.pop()
        labelled = pieces and pieces[-1].rstrip().endswith((":", "\uff1a"))
        self.budget.add(" " if labelled else self._before_definition)

    def _is_hidden(self, tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        """True for a word processor's hidden text, and for what is in it."""
        if tag != "span":
            return False
        return self._is_left_out(tag) or any(
            name == "style" and _DISPLAY.findall((value or "").lower())[-1:] == ["none"]
            for name, value in attrs
        )

    def _is_left_out(self, tag: str) -> bool:
        """True if one of the elements that are open last has this tag, and is not read."""
        return any(tag == each for each, _ in self._left_out[-5:])

    def _drop_since(self, tag: str) -> None:
        while self._left_out:
            open_tag, pieces = self._left_out.pop()
            if open_tag == tag:
                self.hides = self.hides or (
                    tag == "span" and any(map(str.strip, self.budget.pieces[pieces:]))
                )
                del self.budget.pieces[pieces:]
                return

    def handle_data(self, data: str) -> None:
        """See html.parser."""
        if self.cdata_elem is None:  # a script or a style sheet
            self.budget.add(data if self._preformatted else _SPACE.sub(" ", data))


def read(content: bytes) -> DocumentText:
    """The text of a page.  Raises Malformed."""
    reader = _read_page(decode(content))
    return DocumentText(reader.budget.join(), [_HIDDEN] * reader.hides)


def text_of(page: str) -> str:
    """The text that a reader of a page in HTML sees.  Raises Malformed if it is too long."""
    return _read_page(page).budget.join()


def _read_page(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader


def decode(content: bytes) -> str:
    """The characters of a page, in the encoding of its byte order mark, else the declared one."""
    declared = _CHARSET.search(content[:4096])
    if declared and detect_encoding(content) == "utf-8":
        name = declared[1].decode("ascii").lower()
        try:
            if _ENCODINGS.match(name) and codecs.lookup(name):
                return content.decode(name, "replace").replace("\0", "")
        except LookupError:
            pass
    return decode_text(content)
