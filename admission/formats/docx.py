"""Word documents (DOCX): their text and tables, read as a report."""

from tocsin.admission.documents.bounded import reader_of_text
from tocsin.admission.formats import Format


def _accepts(name: str, content: bytes) -> bool:
    return content.startswith(b"PK\x03\x04") and b"word/document" in content


FORMAT = Format(
    name="docx",
    description="a Word document (DOCX): text, tables, headers and notes, not its comments",
    never_shared="the words around the values, comments, hidden text, pictures and the author",
    extensions=(".docx", ".docm"),
    accepts=_accepts,
    read=reader_of_text("docx"),
)
