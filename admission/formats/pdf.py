"""Reports as PDF: the text of their pages, read as a report."""

from collections.abc import Iterator

from tocsin.admission.documents import DocumentText
from tocsin.admission.documents.bounded import read_document, read_text_of
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import Candidate

_ENDINGS = (".pdf",)
_LONGEST_PRELUDE = 1_024
"""Octets before the signature that readers of PDF bear with."""


def _accepts(name: str, content: bytes) -> bool:
    if content.startswith(b"%PDF-"):
        return True
    return name.lower().endswith(_ENDINGS) and b"%PDF-" in content[:_LONGEST_PRELUDE]


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    return read_text_of(read_document("pdf", content, DocumentText), options)


FORMAT = Format(
    name="pdf",
    description="a report as PDF with text in it, not only pictures of text",
    never_shared="the words around the values, pictures and the author",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
)
