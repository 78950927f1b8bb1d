"""Web pages: the text of a saved page or report in HTML, read as a report."""

from tocsin.admission.documents.bounded import reader_of_text
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.formats import Format

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


FORMAT = Format(
    name="html",
    description="a web page (HTML): its text; menus, scripts and targets of links are left out",
    never_shared="the words around the values, menus, scripts, comments and the targets of links",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=reader_of_text("html"),
)
