"""A page of a feed for one reader: whether it is needed, whether it may be waited for.

The feed's head is looked at first.  A reader that has the page already is told
so before anything else is read, and one that prefers to wait is answered when
the feed has something to tell.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import flask
from flask import request

from tocsin.admission.errors import Unavailable
from tocsin.server.model import (
    Collection,
    FeedHead,
    Page,
    Query,
)
from tocsin.server.taxii import (
    content,
    etags,
    long_poll,
    resources,
)
from tocsin.server.taxii.content import MEDIA_TYPE
from tocsin.server.taxii.page_token import Walk
from tocsin.server.taxii.protocols import TaxiiServices
from tocsin.server.taxii.query import Asked, Endpoint
from tocsin.server.taxii.request_context import visit

IGNORED = "X-Tocsin-Ignored-Filters"
"""Tells which match fields were left out, so that the answer is wider than asked."""
APPLIED = "Preference-Applied"

_MAX_IGNORED = 20
_NOT_MODIFIED = 304

_SPELLINGS: dict[Endpoint, Callable[[Page, str | None], bytes]] = {
    Endpoint.MANIFEST: resources.manifest,
    Endpoint.OBJECTS: resources.objects,
    Endpoint.OBJECT: resources.objects,
    Endpoint.VERSIONS: resources.versions,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read for one request."""

    hub: TaxiiServices
    feed: Collection
    asked: Asked
    endpoint: Endpoint
    recheck: Callable[[], object]
    """Raises unless the reader may still read; asked after a wait."""

    def answer(self) -> flask.Response:
        """The page, now or when there is news; 304 if the reader has it."""
        seconds = long_poll.asked(request.headers.getlist("Prefer"))
        query = self._query()
        head, answer = self._now(query)
        if seconds and not _is_news(answer):
            deadline = time.monotonic() + seconds
            with self.hub.vigil.place(visit().guest.name) as granted:
                while granted and not _is_news(answer) and self._moved(head, deadline):
                    self.recheck()
                    head, answer = self._now(query)
            seconds = seconds if granted else 0
        if seconds:
            answer.headers[APPLIED] = f"wait={seconds}"
        return answer

    def _moved(self, head: FeedHead, deadline: float) -> bool:
        return self.hub.vigil.moved(self.feed.id, head, deadline, self.hub.feeds.head)

    def _walk(self) -> Walk:
        return Walk(self.hub.settings.cursor_key, self.feed.id, self.endpoint)

    def _query(self) -> Query:
        query, token = self.asked.query, self.asked.next
        return query if token is None else self._walk().resume(query, token)

    def _now(self, query: Query) -> tuple[FeedHead, flask.Response]:
        """The feed's head, and the answer that holds there."""
        head = self.hub.feeds.head(self.feed.id)
        sight = etags.Sight(visit().guest, self.feed, self.endpoint, self.asked)
        tag = sight.tag(self.hub.settings.cursor_key, head)
        wanted = content.negotiated(request.headers.get("Accept-Encoding"))
        form = etags.known(request.if_none_match, tag, wanted)
        if form is not None:
            visit().objects = 0
            answer = flask.Response(status=_NOT_MODIFIED)
            answer.set_etag(form)
        elif head.is_past_end(query):
            answer = self._told(query, Page())
            answer.set_etag(tag)
        else:
            answer = self._told(query, self._page(query))
            if self.hub.feeds.head(self.feed.id) == head:  # else the page may be a later one
                answer.set_etag(tag)
        return head, answer

    def _page(self, query: Query) -> Page:
        bodies = self.endpoint in (Endpoint.OBJECTS, Endpoint.OBJECT)
        page = self.hub.feeds.page(self.feed.id, query, bodies=bodies)
        if page.more and not page.entries:  # `next` would have nowhere to begin
            raise Unavailable("the collection changed while it was read; ask again")
        return page

    def _told(self, query: Query, page: Page) -> flask.Response:
        visit().objects = len(page.entries)
        next = self._walk().issue(query, page.entries[-1].position) if page.more else None
        octets = _SPELLINGS[self.endpoint](page, next)
        answer = flask.Response(octets, content_type=MEDIA_TYPE)
        since = query.added_after if self.asked.next is None else None
        answer.headers.update(resources.date_added(page, since))
        if self.asked.ignored:
            answer.headers[IGNORED] = ", ".join(self.asked.ignored[:_MAX_IGNORED])
        return answer


def _is_news(answer: flask.Response) -> bool:
    """Whether there is something to tell: objects, or a change to what the reader has."""
    if answer.status_code == _NOT_MODIFIED:
        return False
    return bool(visit().objects) or bool(request.if_none_match)
