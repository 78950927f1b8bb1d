"""The documentation, in the console itself."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import flask
from flask.typing import ResponseReturnValue
from markdown_it import MarkdownIt
from markupsafe import Markup

from tocsin.admission.errors import NotFound
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.services import ROOT, ConsoleServices

_PAGES = (
    ("first-hour", "Your first hour"),
    ("console", "The console"),
    ("how-it-works", "How it works"),
    ("privacy", "What is removed from your reports, and why"),
    ("retention", "What the hub keeps, and for how long"),
    ("connect", "Connect a tool: Tocsin's own client"),
    ("connect/index", "Connect a tool: products"),
    ("connect/platforms", "MISP, OpenCTI and other platforms"),
    ("connect/siems", "SIEMs"),
    ("connect/scripts", "Scripts"),
    ("export", "Files for firewalls and sensors"),
    ("formats", "Formats that the hub reads"),
    ("collect", "Collect from other sources"),
    ("merging", "Merging and confidence"),
    ("validation", "Validation"),
    ("patterns", "Patterns"),
    ("misp", "MISP"),
    ("protocol", "Protocol"),
    ("operate", "Operate a hub"),
    ("operate/database", "Operate: the database, embedded or MongoDB"),
    ("operate/network", "Operate: TLS and client certificates"),
    ("operate/partners", "Operate: partners, keys, collections"),
    ("operate/agreements", "Operate: agreements"),
    ("operate/reviews", "Operate: people and reviews"),
    ("operate/publication", "Operate: after publication"),
    ("operate/watching", "Operate: watching the hub"),
    ("operate/backup", "Operate: backup and restore"),
    ("operate/load", "Operate: many submissions and many pollers"),
    ("settings", "Settings"),
    ("threat-model", "Threat model"),
)
"""Pages and their titles, in the order of the list."""
_TYPES = {"png": "image/png", "svg": "image/svg+xml"}
_PICTURE = re.compile(r"(?:[a-z0-9-]+/)?[a-z0-9-]+\.[a-z]{3}")
_LINK = re.compile(r'href="(?!https?:|#|mailto:)([^"#]+)(#[^"]*)?"')
_SNIPPET = re.compile(r'^--8<-- "([a-z]+/[a-z]+\.toml)"$', re.MULTILINE)
"""A line in place of which a page of the site has a file, named from the folder above."""
_IMAGE = re.compile(r'src="(?!https?:)([^"]+)"')
_EMPTY_HEAD = re.compile(r"<thead>\s*<tr>\s*(?:<th></th>\s*)+</tr>\s*</thead>\s*")


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    manual = Manual(_folder())
    pages.add("/help", manual.contents, EVERYBODY)
    pages.add("/help/images/<path:name>", manual.image, EVERYBODY)
    pages.add("/help/<path:name>", manual.show, EVERYBODY)


@dataclass(frozen=True, slots=True)
class Manual:
    """The pages of the documentation."""

    folder: Path

    def contents(self) -> ResponseReturnValue:
        """The list of pages."""
        found = [(name, title) for name, title in _PAGES if self._file(name).is_file()]
        return flask.render_template("manual.html", pages=found)

    def show(self, name: str) -> ResponseReturnValue:
        """One page."""
        titles = dict(_PAGES)
        if name not in titles or not self._file(name).is_file():
            raise NotFound("there is no such page")
        return flask.render_template(
            "manual_page.html", page_title=titles[name], text=_render(self._file(name), name)
        )

    def image(self, name: str) -> ResponseReturnValue:
        """A picture of a page."""
        kind = _TYPES.get(name.rpartition(".")[2])
        file = self.folder.joinpath("images", *name.split("/"))
        if kind is None or not _PICTURE.fullmatch(name) or not file.is_file():
            raise NotFound("there is no such page")
        return flask.Response(file.read_bytes(), content_type=kind)

    def _file(self, name: str) -> Path:
        return self.folder.joinpath(*f"{name}.md".split("/"))


def _folder() -> Path:
    """The documents: beside the packages, in a checkout and in an installation."""
    return Path(__file__).parents[3] / "docs"


@cache
def _render(file: Path, name: str) -> Markup:
    """HTML of a page that ships with the program; its links lead to the other pages."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    source = _SNIPPET.sub(
        lambda found: (_folder().parent / found[1]).read_text("utf-8"), file.read_text("utf-8")
    )
    text = parser.render(source)
    base = name.rpartition("/")[0]
    known = {page for page, _ in _PAGES}

    def link(found: re.Match[str]) -> str:
        target = _resolve(base, found[1]).removesuffix(".md")
        anchor = found[2] or ""
        if target in known:
            return f'href="{ROOT}/help/{target}{anchor}"'
        return f'href="{ROOT}/help"'

    text = _LINK.sub(link, text)
    text = _IMAGE.sub(_picture, text)
    text = re.sub(r"<(h[1-4])>(.*?)</\1>", _with_anchor, text)
    # The content security policy bars styles in a page, and a row of headings may be empty.
    text = text.replace(' style="text-align:right"', ' class="number"')
    text = _EMPTY_HEAD.sub("", text)
    text = text.replace("<table>", '<div class="wide"><table>')
    return Markup(text.replace("</table>", "</table></div>"))  # noqa: S704 (our own documents)


def _picture(found: re.Match[str]) -> str:
    return f'src="{ROOT}/help/images/{found[1].rpartition("images/")[2]}"'


def _with_anchor(found: re.Match[str]) -> str:
    """A heading with the anchor that it has on GitHub and on the site."""
    words = html.unescape(re.sub(r"<[^>]+>", "", found[2])).lower()
    anchor = re.sub(r"[^\w -]", "", words).replace(" ", "-")
    return f'<{found[1]} id="{anchor}">{found[2]}</{found[1]}>'


def _resolve(base: str, target: str) -> str:
    parts = base.split("/") if base else []
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
