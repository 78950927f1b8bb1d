"""The targets of links and forms in a page."""

import re
from html.parser import HTMLParser

from tocsin.admission.lazy_patterns import compile_lazily

_ATTRIBUTES = {"a": "href", "area": "href", "form": "action", "button": "formaction"}
_REFRESH = compile_lazily(r"\burl\s{0,9}=\s{0,9}['\"]?(\S{4,2000})", re.IGNORECASE)
_MOST = 10_000
_LONGEST = 4_096


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See html.parser."""
        values = {name: value or "" for name, value in attrs}
        link = values.get(_ATTRIBUTES.get(tag, ""), "").strip()
        if tag == "meta" and (found := _REFRESH.search(values.get("content", ""))):
            link = found[1].strip("'\"")
        if link and len(link) <= _LONGEST and len(self.links) < _MOST:
            self.links.append(link)


def find_links(page: str) -> list[str]:
    """The targets of links and forms, each once, in the order of the page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return list(dict.fromkeys(reader.links))
