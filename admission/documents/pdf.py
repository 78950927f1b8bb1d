"""The text of a PDF, page by page, read by pypdf, which limits what a stream may unpack to."""

import io
import re

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, PyPdfError

from tocsin.admission.documents import DocumentText, TextBudget
from tocsin.admission.errors import Malformed

_LOCKED = "the PDF is encrypted: save it without a password"
_NEEDS_LIBRARY = (
    "the PDF is encrypted, though it may open without a password: save it without encryption, "
    "or pip install 'tocsin[documents]'"
)
_BROKEN = "the PDF is damaged: save or print it to a new PDF"
_NO_PAGE = (
    "no page of the PDF can be read, or they unpack to too much: print it to a new PDF, "
    "or send its indicators as text"
)
_PICTURES = (
    "the PDF has no text, only pictures of it: run it through text recognition (OCR) first, "
    "or send its indicators as text"
)
_MOST_PAGES = 5_000
_HASH_DIGITS = (32, 40, 64, 128)
_HEX = re.compile(r"[0-9A-Fa-f]{1,127}")
_SHORTEST_PART = 16
"""Digits of the shortest beginning of a hash that is taken for one."""
_MOST_PARTS = 9
_INVISIBLE = re.compile("[\x00\u00ad\u200b]")
_MOST_NUMBERS = 10


def read(content: bytes) -> DocumentText:
    """The text of a PDF.  Raises Malformed if it has none."""
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        _decrypt(reader)
        pages = list(_first_pages(reader))
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError):
        raise Malformed(_BROKEN) from None
    budget, empty, broken = TextBudget(), [], []
    for number, page in enumerate(pages, 1):
        text = _text_of(page)
        if text is None:
            broken.append(number)
        elif not text.strip():
            empty.append(number)
        else:
            budget.add(join_broken_hashes(_INVISIBLE.sub("", text)) + "\n\n")
    if not budget.pieces:
        raise Malformed(_NO_PAGE if broken else _PICTURES)
    notes = _note_pages("without text, perhaps pictures of it", empty)
    notes += _note_pages("that cannot be read", broken)
    return DocumentText("".join(budget.pieces), notes + _note_attachments(reader))


def _decrypt(reader: PdfReader) -> None:
    """Many PDFs are encrypted only to forbid printing, and open with an empty password."""
    if not reader.is_encrypted:
        return
    try:
        opened = reader.decrypt("")
    except DependencyError:
        raise Malformed(_NEEDS_LIBRARY) from None
    except NotImplementedError:
        raise Malformed(_LOCKED) from None
    if not opened:
        raise Malformed(_LOCKED)


def _first_pages(reader: PdfReader) -> list[PageObject]:
    if len(reader.pages) > _MOST_PAGES:
        raise Malformed(f"the PDF has more than {_MOST_PAGES} pages: split it")
    return list(reader.pages)


def _text_of(page: PageObject) -> str | None:
    """The text of a page; None if it cannot be read."""
    try:
        return page.extract_text()
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
    except Exception:
        return []
    return [f"files attached to the PDF are not read: {count}"] if count else []


def join_broken_hashes(text: str) -> str:
    """The text with hashes whole that the width of a column broke.

    >>> join_broken_hashes("44d88612fea8a8f36de8\\n2e1278abb02f")
    '44d88612fea8a8f36de82e1278abb02f'
    """
    lines = text.split("\n")
    joined: list[str] = []
    number = 0
    while number < len(lines):
        parts = _count_parts(lines[number : number + _MOST_PARTS])
        joined.append(
            "".join(map(str.strip, lines[number : number + parts])) if parts > 1 else lines[number]
        )
        number += parts
    return "\n".join(joined)


def _count_parts(lines: list[str]) -> int:
    """The number of lines over which the hash that ends the first line goes on; 1 if none does."""
    words = lines[0].split()
    if not words or not _HEX.fullmatch(words[-1]) or len(words[-1]) < _SHORTEST_PART:
        return 1
    length = width = len(words[-1])
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words or not _HEX.fullmatch(words[0]) or len(words[0]) in _HASH_DIGITS:
            return 1
        if length in _HASH_DIGITS and len(words[0]) < _SHORTEST_PART:
            return 1  # a hash, and a short word that follows it
        length += len(words[0])
        if length in _HASH_DIGITS and (len(words[0]) < width or not _goes_on(lines[number:])):
            return number
        if len(words) > 1:
            return 1
    return 1


def _goes_on(lines: list[str]) -> bool:
    """True if the next line is a further part by itself."""
    words = lines[0].split() if lines else []
    return (
        len(words) == 1
        and _HEX.fullmatch(words[0]) is not None
        and (len(words[0]) >= _SHORTEST_PART and len(words[0]) not in _HASH_DIGITS)
    )
