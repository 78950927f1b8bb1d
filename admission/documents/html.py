"""The text of a web page: what a reader sees, without menus, scripts and targets of links.

The parser of the standard library keeps no tree, so depth costs nothing.
"""

import codecs
import re
from html.parser import HTMLParser

from tocsin.admission.documents import DocumentText, TextBudget
from tocsin.admission.extraction.text_encoding import decode_text, detect_encoding

_LEFT_OUT = frozenset(("nav", "template", "svg", "noscript", "object", "iframe"))
"""Elements of which nothing is read; one that never ends is read."""
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div"),
        *("dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr"),
        *("html", "li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody"),
        *("tfoot", "thead", "title", "tr", "ul"),
    )
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_CELLS = frozenset(("td", "th"))
_ENDS_OF_CELLS = _CELLS | {"tr", "table"}
_DEFINITIONS = {"dl": "", "dt": ": ", "dd": ", "}
_LONGEST_JOINED = 1_000
_ITEM = re.compile(r"\s*(?:[^:\n]{0,200}@[^:\n]{0,300}|\S{1,300})?\s*")
"""A line of a list in a cell: one with a mailbox and no label, or one word."""
_SPACE = re.compile(r"[ \t\r\n\f]+")
_CHARSET = re.compile(rb"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{2,40})", re.IGNORECASE)
_ENCODINGS = re.compile(r"(?:utf-?8|iso-?8859|windows-?\d|cp\d|koi8|gb|big5|euc|shift|sjis|ascii)")
"""Names of encodings that a page may declare."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.budget = TextBudget()
        self._left_out: list[tuple[str, int]] = []
        """Elements that are open, each with the number of pieces before it."""
        self._preformatted = 0
        self._cell = -1
        """The number of pieces before the cell that is open; negative without one."""
        self._before_definition = ""
        """The signs before the next definition in a list of them, after its term or another one."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See html.parser."""
        if tag in _ENDS_OF_CELLS:
            self._end_cell()
        if tag in _LEFT_OUT:
            self._left_out.append((tag, len(self.budget.pieces)))
        elif tag in _HEADINGS:
            self.budget.add(f"\n{_HEADINGS[tag]} ")
        elif tag in _CELLS:
            self.budget.add(" | ")
            self._cell = len(self.budget.pieces)
        elif tag == "dd" and self._before_definition:
            self._join_definition()
        elif tag == "br" or tag in _BLOCKS:
            self.budget.add("\n")
        if tag in _DEFINITIONS:
            self._before_definition = _DEFINITIONS[tag]
        self._preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        """See html.parser."""
        if tag in _ENDS_OF_CELLS:
            self._end_cell()
        if tag == "dl":
            self._before_definition = ""
        if tag in _LEFT_OUT and tag in (each for each, _ in self._left_out[-5:]):
            self._drop_since(tag)
        elif tag in _BLOCKS or tag in _HEADINGS:
            self.budget.add("\n")
        self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def _end_cell(self) -> None:
        """Put the lines of a cell with a short list into one: all of them are of its column."""
        if self._cell >= 0:
            text = "".join(self.budget.pieces[self._cell :])
            lines = text.split("\n") if len(text) <= _LONGEST_JOINED else []
            if lines and all(map(_ITEM.fullmatch, lines)):
                self.budget.pieces[self._cell :] = [" ".join(lines)]
        self._cell = -1

    def _join_definition(self) -> None:
        """Put a definition on the line of its term: `To: jane@example.com`."""
        pieces = self.budget.pieces
        while pieces and pieces[-1].isspace():
            pieces.pop()
        labelled = pieces and pieces[-1].rstrip().endswith((":", "\uff1a"))
        self.budget.add(" " if labelled else self._before_definition)

    def _drop_since(self, tag: str) -> None:
        while self._left_out:
            open_tag, pieces = self._left_out.pop()
            if open_tag == tag:
                del self.budget.pieces[pieces:]
                return

    def handle_data(self, data: str) -> None:
        """See html.parser."""
        if self.cdata_elem is None:  # a script or a style sheet
            self.budget.add(data if self._preformatted else _SPACE.sub(" ", data))


def read(content: bytes) -> DocumentText:
    """The text of a page.  Raises Malformed."""
    return DocumentText(text_of(decode(content)))


def text_of(page: str) -> str:
    """The text that a reader of a page in HTML sees.  Raises Malformed if it is too long."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return "".join(reader.budget.pieces)


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
