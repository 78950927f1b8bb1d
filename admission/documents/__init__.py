"""Readers of documents that strangers made: HTML, PDF, Office files, mails, OpenIOC, Sigma.

One module here is one kind of file.  They are loaded and run only in processes with limits, which
`documents/bounded.py` starts, since a few kilobytes can unpack to gigabytes.  A module has a
function `read` from the octets of a file to one of the values below, and raises Malformed with a
sentence for the submitter.  Of the rest of `admission` its imports load hardly anything, or every
such process would.
"""

import importlib
from collections.abc import Callable

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

LONGEST_TEXT = 16_000_000
"""Characters of text that are taken from one file."""

_NOT_SEEN = "\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
_UNSEEN = compile_lazily(rf"[{_NOT_SEEN}\x00-\x08\x0e-\x1f]")
"""Soft hyphens, spaces without width, marks of direction, controls: they are no part of a value."""
_BLANK_LINES = compile_lazily(r"\n[ \t\xa0]*(?=\n[ \t\xa0]*\n)")
"""Blank lines before another one."""


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """A file that cannot be read."""

    reason: str
    """A sentence for the submitter."""


class DocumentText(msgspec.Struct, frozen=True, tag=True):
    """The text of a document, with the headings of Markdown."""

    text: str
    notes: list[str] = []
    """Sentences about parts that were not read."""


class Sheet(msgspec.Struct, frozen=True):
    """A table of a workbook."""

    name: str
    rows: list[tuple[int, list[str]]]
    """The rows that hold anything: the number, and a cell for each column that is used."""


class Workbook(msgspec.Struct, frozen=True, tag=True):
    """The tables of a workbook."""

    sheets: list[Sheet]
    notes: list[str] = []


class Mail(msgspec.Struct, frozen=True, tag=True):
    """One message."""

    senders: list[str] = []
    """Mailboxes in the fields From, Sender and Reply-To, in this order."""
    recipients: list[str] = []
    """Mailboxes of everybody who received it, or to whom it was addressed."""
    names: list[str] = []
    """Names of these people."""
    checks: str = ""
    """The receiving server's checks of the sender (RFC 8601, Authentication-Results)."""
    subject: str = ""
    text: str = ""
    """Its words; of a page in HTML without the targets of links."""
    links: list[str] = []
    """The targets of links in HTML."""
    attachments: list[str] = []
    """SHA-256 of each attached file."""
    pictures: list[str] = []
    """SHA-256 of each picture that the text shows."""
    attached: list["Mail"] = []
    """Messages that it carries as attachments."""
    reports_abuse: bool = False
    """True if a program wrote it to report abuse (X-ARF, or RFC 5965)."""


class IocItem(msgspec.Struct, frozen=True):
    """An item of OpenIOC, or a group of them."""

    operator: str = ""
    """`AND` or `OR` of a group; empty for an item."""
    members: list["IocItem"] = []
    search: str = ""
    """The term that is searched, `DnsEntryItem/Host`."""
    condition: str = ""
    content: str = ""
    negated: bool = False


class OpenIoc(msgspec.Struct, frozen=True, tag=True):
    """A file of OpenIOC 1.0 or 1.1, without its author."""

    title: str
    date: str
    """The date on which it was written, as it stands there."""
    criteria: list[IocItem]


class SigmaRule(msgspec.Struct, frozen=True):
    """One document of a Sigma file."""

    line: int
    """The line on which it begins, from 1."""
    text: str
    title: str = ""
    date: str = ""
    tags: list[str] = []
    references: list[str] = []


class SigmaFile(msgspec.Struct, frozen=True, tag=True):
    """The rules of a Sigma file."""

    rules: list[SigmaRule]


Document = DocumentText | Workbook | Mail | OpenIoc | SigmaFile


def prepare(module: str) -> Callable[[bytes], bytes]:
    """The function that reads a kind of file, for `bounded_program`.

    Its answer is a Document or a Refusal, as JSON.
    """
    read: Callable[[bytes], Document] = importlib.import_module(f"{__name__}.{module}").read

    def answer(request: bytes) -> bytes:
        try:
            return msgspec.json.encode(read(request))
        except Malformed as error:
            return msgspec.json.encode(Refusal(str(error)))
        except RecursionError:
            return msgspec.json.encode(Refusal("its parts are nested too deeply to be read"))

    return answer


def as_seen(text: str) -> str:
    """A text without characters that nobody sees; hyphens that do not break are like others.

    >>> as_seen("bad\\u2011si\\u00adte.\\u200btop")
    'bad-site.top'
    """
    return _UNSEEN.sub("", text).replace("\u2011", "-").replace("\ufffc", " ")


class TextBudget:
    """Collects pieces of text up to LONGEST_TEXT characters."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._left = LONGEST_TEXT

    def add(self, piece: str) -> None:
        """Raises Malformed if the text gets too long."""
        self._left -= len(piece)
        if self._left < 0:
            raise Malformed(
                f"it holds more than {LONGEST_TEXT // 1_000_000} million characters of text: "
                "split it, or send its indicators as CSV"
            )
        self.pieces.append(piece)

    def join(self) -> str:
        """The text without characters that nobody sees; of several blank lines, one."""
        return _BLANK_LINES.sub("", as_seen("".join(self.pieces)))
