"""Reports as PDF: the text of their pages, read as a report."""

from tocsin.admission.documents.bounded import reader_of_text
from tocsin.admission.formats import Format

_ENDINGS = (".pdf",)
_LONGEST_PRELUDE = 1_024
"""Octets before the signature that readers of PDF bear with."""


def _accepts(name: str, content: bytes) -> bool:
    if content.startswith(b"%PDF-"):
        return True
    return name.lower().endswith(_ENDINGS) and b"%PDF-" in content[:_LONGEST_PRELUDE]


FORMAT = Format(
    name="pdf",
    description="a report as PDF with text in it, not only pictures of text",
    never_shared="the words around the values, pictures and the author",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=reader_of_text("pdf"),
)
