"""Web pages: the text of a saved page or report in HTML, read as a report."""

from collections.abc import Iterator

from tocsin.admission.documents import DocumentText
from tocsin.admission.documents.bounded import read_document, read_text_of
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import Candidate

_ENDINGS = (".html", ".htm", ".xhtml")
_SAMPLE = 2_048
_STARTS = ("<!doctype html", "<html")


def _accepts(name: str, content: bytes) -> bool:
    start = decode_text(content[:_SAMPLE]).lstrip("\ufeff \t\n").lower()
    if not start.startswith("<"):
        return False
    if start.startswith(("<?xml", "<!--")):
        return "<html" in start or "<!doctype html" in start
    return start.startswith(_STARTS) or name.lower().endswith(_ENDINGS)


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    return read_text_of(read_document("html", content, DocumentText), options)


FORMAT = Format(
    name="html",
    description="a web page (HTML): its text; menus, scripts and targets of links are left out",
    never_shared="the words around the values, menus, scripts, comments and the targets of links",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
)
