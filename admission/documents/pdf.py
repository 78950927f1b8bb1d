"""The text of a PDF, page by page, read by pypdf, which limits what a stream may unpack to."""

import io
import re
from collections.abc import Callable

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, PyPdfError

from tocsin.admission.documents import DocumentText, TextBudget, as_seen
from tocsin.admission.documents.broken_hashes import join_broken_hashes
from tocsin.admission.documents.broken_urls import join_broken_urls
from tocsin.admission.documents.pdf_directions import in_reading_order
from tocsin.admission.documents.pdf_layout import lay_out
from tocsin.admission.documents.pdf_notes import RaisedNotes
from tocsin.admission.documents.pdf_tables import (
    MOST_PAGES_WITH_TABLES,
    VALUE_SIGN,
    PageTables,
    read_tables,
)
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import parse_known_host
from tocsin.admission.observables.refang import refang

_LOCKED = "the PDF is encrypted: save it without a password"
_NEEDS_LIBRARY = (
    "the PDF is encrypted, though it may open without a password: save it without encryption, "
    "or install the library that reads it: pip install 'tocsin[documents]'"
)
_BROKEN = "the PDF is damaged: save or print it to a new PDF"
_NO_PAGE = (
    "no page of the PDF can be read, or they unpack to too much: print it to a new PDF, "
    "or send its indicators as text"
)
_PICTURES = (
    "the PDF has no text; its pages may be pictures: run it through text recognition (OCR) first, "
    "or send its indicators as text"
)
_MOST_PAGES = 5_000
_HYPHEN_AT_END = compile_lazily(r"[^\W_]-[ \n]")
_BEFORE_HOST = compile_lazily(r"(?<=[\w+-])\n(?=@[\w-]{1,63}(?:\.|\[\.\])\w)")
"""The end of a line in a mailbox; a word before it alone could be a host, as `jane.name`."""
_BLANKS = compile_lazily(r"([ \n]+)")
_WIDEST_BREAK = 2
"""Blanks and line breaks between the parts of a value."""
_MOST_PASSES = 3
_LONGEST_VALUE = 2_000
_HOST = compile_lazily(
    r"[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9-]{1,63}){1,10}(?![\w@])", re.IGNORECASE
)
_HOST_NAME = compile_lazily(r"[a-z0-9.-]{1,253}")
_UUID = compile_lazily(r"(?:[0-9a-f]{8}|[0-9a-f]{4})(?:-[0-9a-f]{4}){0,3}")
_REST_OF_PATH = compile_lazily(r"[\w.~%+-]{1,200}[/.?=&#][\w/?=&%#.~+-]")
_LOCAL_PART = compile_lazily(r"[a-z0-9][a-z0-9._+-]{0,63}")
_LABELS = frozenset(
    ("c2", "domain", "email", "e-mail", "from", "host", "ip", "link", "server", "site", "to", "url")
)
"""Words before a value, with a dash in place of a colon."""
_MOST_NUMBERS = 10


def read(content: bytes) -> DocumentText:
    """The text of a PDF.  Raises Malformed if it has none."""
    reader, pages = _open(content)
    budget, empty, broken, flat = TextBudget(), list[int](), list[int](), list[int]()
    waiting: PageTables | None = None
    for number, page in enumerate(pages, 1):
        notes = RaisedNotes()
        text = _text_of(page, notes)
        if text is None:
            broken.append(number)
        elif not text.strip():
            empty.append(number)
        else:
            tables = None
            if number <= MOST_PAGES_WITH_TABLES:
                tables = _read_tables(page, text, notes, waiting)
            elif VALUE_SIGN.search(text):
                flat.append(number)
            _add(budget, waiting.write() if waiting else "")
            _add(budget, "" if tables else join_broken_urls(text))
            waiting = tables
    _add(budget, waiting.write() if waiting else "")
    if not budget.pieces:
        raise Malformed(_NO_PAGE if broken else _PICTURES)
    remarks = _note_pages("without text, perhaps pictures of it", empty)
    remarks += _note_pages("that cannot be read", broken)
    remarks += _note_pages("of which tables are read as sentences", flat)
    text = _BEFORE_HOST.sub("", as_seen("".join(budget.pieces)))
    text = join_after_hyphens(join_broken_hashes(text))
    return DocumentText(text, remarks + _note_attachments(reader))


def _open(content: bytes) -> tuple[PdfReader, list[PageObject]]:
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        _decrypt(reader)
        return reader, list(_first_pages(reader))
    except DependencyError:
        raise Malformed(_NEEDS_LIBRARY) from None
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError):
        raise Malformed(_BROKEN) from None


def _decrypt(reader: PdfReader) -> None:
    """Many PDFs are encrypted only to forbid printing, and open with an empty password."""
    if not reader.is_encrypted:
        return
    try:
        opened = reader.decrypt("")
    except NotImplementedError:
        raise Malformed(_LOCKED) from None
    if not opened:
        raise Malformed(_LOCKED)


def _first_pages(reader: PdfReader) -> list[PageObject]:
    if len(reader.pages) > _MOST_PAGES:
        raise Malformed(f"the PDF has more than {_MOST_PAGES} pages: split it")
    return list(reader.pages)


def _add(budget: TextBudget, text: str) -> None:
    if text:
        budget.add(text.strip("\n") + "\n")


def _read_tables(
    page: PageObject, text: str, notes: RaisedNotes, before: PageTables | None
) -> PageTables | None:
    """The text of a page with its tables, if it may have one with values; see `read_tables`."""
    if not VALUE_SIGN.search(text):
        return None
    layout = _extract(lambda: lay_out(page))
    return (
        read_tables(in_reading_order(notes.separate(layout)), before.open_table if before else None)
        if layout
        else None
    )


def _text_of(page: PageObject, notes: RaisedNotes) -> str | None:
    """The text of a page, with its notes apart; None if it cannot be read."""
    text = _extract(lambda: page.extract_text(visitor_text=notes.visit))
    return None if text is None else in_reading_order(notes.separate(text))


def _extract(extract: Callable[[], str]) -> str | None:
    try:
        return extract()
    except MemoryError:
        raise
    except DependencyError:
        raise Malformed(_NEEDS_LIBRARY) from None
    except Exception:  # pypdf takes the shape of a page for granted
        return None


def _note_pages(what: str, numbers: list[int]) -> list[str]:
    if not numbers:
        return []
    shown = ", ".join(map(str, numbers[:_MOST_NUMBERS]))
    return [f"pages {what}: {shown}" + (", …" if numbers[_MOST_NUMBERS:] else "")]


def _note_attachments(reader: PdfReader) -> list[str]:
    try:
        count = len(list(reader.attachment_list))
    except MemoryError:
        raise
    except Exception:  # pypdf takes the shape of a file for granted
        return ["files attached to the PDF cannot be listed, and are not read"]
    return [f"files attached to the PDF are not read: {count}"] if count else []


def join_after_hyphens(text: str) -> str:
    """The text with hosts, URLs and mailboxes whole that a column broke after a hyphen.

    Browsers break there.  The rest by itself would be a host that nobody has named.

    >>> join_after_hyphens("To: anna@city- hospital.org, http://pay-\\nnow.top/x")
    'To: anna@city-hospital.org, http://pay-now.top/x'
    """
    for _ in range(_MOST_PASSES):
        joined = _join_once(text)
        if joined == text:
            break
        text = joined
    return text


def _join_once(text: str) -> str:
    """From the end to the beginning: the rest of a host shows that it is one.

    The beginning of a URL shows that its rest is one, so one is joined to another in turn.
    """
    if not _HYPHEN_AT_END.search(text):
        return text
    words = _BLANKS.split(text)  # blanks are at the odd places
    after = words[-1]
    found: list[str] = []
    for place in range(len(words) - 3, -1, -2):
        word, blanks = words[place], words[place + 1]
        if word.endswith("-") and len(blanks) <= _WIDEST_BREAK and _is_one_value(word, after):
            after = word + after
        else:
            found += after, blanks
            after = word
    found.append(after)
    return "".join(reversed(found))


def _is_one_value(word: str, after: str) -> bool:
    """True if a value goes on after a break that follows the hyphen at the end of `word`."""
    if len(word) + len(after) > _LONGEST_VALUE:
        return False
    begin, rest = refang(word[:-1]), refang(after)
    _, scheme, address = begin.partition("://")
    if scheme:
        is_path = "/" in address and _REST_OF_PATH.match(rest) is not None
        return is_path or _begins_with_host(rest)
    if "@" in rest.split("/", 1)[0]:
        return _LOCAL_PART.fullmatch(begin) is not None and begin not in _LABELS
    host = begin.rpartition("@")[2]
    host = host.lower() if after.isupper() else host  # in capitals, as a style of words has it
    is_value = "@" in begin or _is_part_of_host(host)
    return is_value and not parse_known_host(host) and _begins_with_host(rest)


def _is_part_of_host(text: str) -> bool:
    """True if a host may begin so: it is neither a label nor the beginning of a UUID."""
    is_name = _HOST_NAME.fullmatch(text) is not None and _UUID.fullmatch(text) is None
    return is_name and text not in _LABELS


def _begins_with_host(text: str) -> bool:
    found = _HOST.match(text)
    return found is not None and parse_known_host(found[0]) is not None
