"""Word documents (DOCX): their text and tables, read as a report."""

from collections.abc import Iterator

from tocsin.admission.documents import DocumentText
from tocsin.admission.documents.bounded import read_document, read_text_of
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import Candidate


def _accepts(name: str, content: bytes) -> bool:
    return content.startswith(b"PK\x03\x04") and b"word/document" in content


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    return read_text_of(read_document("docx", content, DocumentText), options)


FORMAT = Format(
    name="docx",
    description="a Word document (DOCX): text, tables, headers and notes, not its comments",
    never_shared="the words around the values, comments, pictures and the author",
    extensions=(".docx", ".docm"),
    accepts=_accepts,
    read=_read_file,
)
