"""`/export/`: the files of a collection, one URL each.

Each request checks, in this order: credential, collection, right, format, query, file.  A
collection that an account may not see has the answer of one that does not exist.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Protocol, cast
from urllib.parse import quote

import flask
from flask import request

from tocsin.admission.errors import Malformed, NotFound, Unavailable
from tocsin.admission.output_formats import TEXT, OutputFormat, output_formats
from tocsin.server import auth
from tocsin.server.export.fair_queue import PREPARING
from tocsin.server.export.files import ExportedFile, FeedFiles, FileRequest
from tocsin.server.model import Account, Collection, DeliveryRecorder, FeedHead, ObjectPage, Query

ROOT = "/export/"
"""Prefix of all paths."""

_LEAST_CONFIDENCE = "minimum_confidence"
_NOT_MODIFIED = 304
_HTML = "text/html; charset=utf-8"
_ATTEMPTS = 3


class ExportRequest(Protocol):
    """Context of the present request once it is authenticated."""

    @property
    def account(self) -> Account:
        """The account that asks."""
        ...

    @property
    def collections(self) -> Sequence[Collection]:
        """All collections."""
        ...

    def head(self, collection: Collection) -> FeedHead:
        """The head of the collection in the request's path."""
        ...

    def note(self, collection: Collection) -> None:
        """Note the collection for the log."""
        ...

    def recheck(self, collection: Collection) -> None:
        """Decide anew if the reader may read the collection; raises as at the beginning.

        To be called when the content is there, since a large file takes long to make: so nothing
        that was published after the right had ended is in the answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class ExportServices:
    """The hub's services, as the exports use them."""

    authenticate: Callable[[], ExportRequest]
    """Identifies the account and counts the request, as for TAXII; raises what that raises."""
    files: FeedFiles
    deliveries: DeliveryRecorder


def blueprint(services: ExportServices) -> flask.Blueprint:
    """The routes of the files."""
    endpoints = ExportEndpoints(services)
    routes = flask.Blueprint("export", __name__)
    format = f"{ROOT}<name>/<format>"
    for rule, view in (
        (ROOT, endpoints.collections),
        (f"{ROOT}<name>", endpoints.collection),
        (f"{ROOT}<name>/", endpoints.collection),
        (format, endpoints.format),
        (f"{format}/", endpoints.format),
        (f"{format}/<file>", endpoints.file),
    ):
        routes.add_url_rule(rule, view.__name__, view, methods=["GET"], strict_slashes=True)
    return routes


@dataclass(frozen=True, slots=True)
class ExportEndpoints:
    """The endpoints, one method each."""

    services: ExportServices

    def collections(self) -> flask.Response:
        """The names of the collections that the account may read, one a line."""
        context = self.services.authenticate()
        _parse_query()
        readable = auth.readable_collections(context.account, context.collections)
        return _answer_list(f"{each.alias or each.id}/" for each in readable)

    def collection(self, name: str) -> flask.Response:
        """The names of the formats, one a line."""
        context = self.services.authenticate()
        context.note(auth.find_readable(context.account, context.collections, name))
        _parse_query()
        return _answer_list(output_formats())

    def format(self, name: str, format: str) -> flask.Response:
        """The file of a format that has only one, else the names of its files, one a line."""
        context, wanted = self._parse(name, format, "")
        names = self.services.files.names(wanted)
        context.recheck(wanted.collection)
        if wanted.format.has_one_file:
            return self._answer(context, wanted._replace(name=names[0]))
        return _answer_list(names)

    def file(self, name: str, format: str, file: str) -> flask.Response:
        """One file of a format."""
        return self._answer(*self._parse(name, format, file))

    def _parse(self, name: str, format: str, file: str) -> tuple[ExportRequest, FileRequest]:
        context = self.services.authenticate()
        collection = auth.find_readable(context.account, context.collections, name)
        context.note(collection)
        known = _find_format(format)
        head = context.head(collection)
        who = context.account.partner or context.account.name
        return context, FileRequest(collection, head, known, file, _parse_query(), who)

    def _answer(self, context: ExportRequest, wanted: FileRequest) -> flask.Response:
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # it was replaced before it was opened
                return self._answer_now(context, wanted)
        raise Unavailable(PREPARING)

    def _answer_now(self, context: ExportRequest, wanted: FileRequest) -> flask.Response:
        found = self.services.files.find(wanted)
        context.recheck(wanted.collection)
        if request.if_none_match.contains_weak(found.tag):
            answer, page = flask.Response(status=_NOT_MODIFIED), ObjectPage()
        else:
            answer, page = _content(found), _page_of(found)
        if request.method == "GET":
            self._record(context.account.name, wanted, page)
        answer.set_etag(found.tag)
        return answer

    def _record(self, account: str, wanted: FileRequest, page: ObjectPage) -> None:
        """Remember that the account was served what is in the file, or may be in it."""
        is_whole = not (wanted.format.is_indicators_only or wanted.least_confidence)
        types = frozenset() if is_whole else frozenset({"indicator"})
        self.services.deliveries.record(account, wanted.collection, Query(types=types), page)


def _page_of(found: ExportedFile) -> ObjectPage:
    """Everything up to the end of the feed when the file was made."""
    return ObjectPage(
        count=found.position,
        first_stamp=1,
        last_stamp=found.stamp,
        last_position=found.position,
    )


def _answer_list(names: Iterable[str]) -> flask.Response:
    """Names, one a line; for a browser, which asks for HTML first, as links."""
    kinds = request.accept_mimetypes
    is_page = kinds["text/html"] > kinds["text/plain"]
    content = _format_links(names) if is_page else "".join(f"{each}\n" for each in names)
    answer = flask.Response(content, content_type=_HTML if is_page else TEXT)
    answer.headers["Vary"] = "Accept"
    return answer


def _format_links(names: Iterable[str]) -> str:
    """A page of links to what is below the present path, with the query that was given."""
    here = request.path.rstrip("/")
    query = f"?{request.query_string.decode('ascii', 'replace')}" if request.query_string else ""
    items = "".join(
        f'<li><a href="{escape(f"{here}/{quote(each)}{query}")}">{escape(each)}</a></li>\n'
        for each in names
    )
    head = f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(here)}</title>\n'
    return f"{head}<h1>{escape(here)}</h1>\n<ul>\n{items}</ul>\n</html>\n"


def _content(found: ExportedFile) -> flask.Response:
    octets = found.read()
    if not isinstance(octets, mmap.mmap):
        return flask.Response(octets, content_type=found.content_type)
    pieces = cast(Iterable[bytes], [memoryview(octets)])  # our server sends it from the disk
    return flask.Response(pieces, content_type=found.content_type, direct_passthrough=True)


def _find_format(name: str) -> OutputFormat:
    found = output_formats().get(name)
    if found is None:
        raise NotFound(f"there is no such format; there are {', '.join(output_formats())}")
    return found


def _parse_query() -> int:
    """The minimum confidence; 0: all."""
    unknown = request.args.keys() - {_LEAST_CONFIDENCE}
    given = request.args.getlist(_LEAST_CONFIDENCE)
    if unknown or len(given) > 1:
        raise Malformed(f"the only query parameter is {_LEAST_CONFIDENCE}, once")
    text = given[0] if given else "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= 100):
        raise Malformed(f"{_LEAST_CONFIDENCE} must be a whole number from 0 to 100")
    return int(text)
