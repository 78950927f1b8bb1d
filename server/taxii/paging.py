"""One page of a feed for one reader: the 304 shortcut, long polling, and the page itself.

The feed's head is read first.  A reader that has the page already gets a 304 before anything
else is read; a reader that prefers to wait is answered when the feed changes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import flask
from flask import request

from tocsin.admission.errors import Unavailable
from tocsin.admission.timestamps import timestamp
from tocsin.server import auth
from tocsin.server.agreements import is_outdated
from tocsin.server.model import (
    OBJECTS,
    Collection,
    FeedHead,
    ObjectPage,
    Page,
    Query,
    Representation,
)
from tocsin.server.processes.nonblocking import check_may_block
from tocsin.server.taxii import content, etags, long_poll, resources, tlp1
from tocsin.server.taxii.content import MEDIA_TYPE
from tocsin.server.taxii.page_token import PageTokens
from tocsin.server.taxii.protocols import TaxiiServices
from tocsin.server.taxii.query import Endpoint, ParsedQuery
from tocsin.server.taxii.request_context import request_context

IGNORED_FILTERS = "X-Tocsin-Ignored-Filters"
"""Names the match fields that were ignored, so the answer is wider than requested."""
IGNORED_NEXT = "X-Tocsin-Ignored-Next"
"""Says that `next` was ignored, so the answer begins at `added_after`."""
PREFERENCE_APPLIED = "Preference-Applied"

_MAX_IGNORED = 20
_MAX_OCTETS_ON_LOOP, _MAX_CHANGED_ON_LOOP = 1 << 20, 1 << 17
"""Octets of a page that may be answered on the event loop's thread, as they are, and compressed or
with other markings: about 1 ms of work."""
_NOT_MODIFIED = 304
_REPRESENTATIONS = {
    Endpoint.OBJECTS: OBJECTS,
    Endpoint.OBJECT: OBJECTS,
    Endpoint.MANIFEST: resources.MANIFEST,
}
"""The representation of the entries that an endpoint shows; the versions of an object have none."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page."""

    services: TaxiiServices
    feed: Collection
    parsed: ParsedQuery
    endpoint: Endpoint
    recheck: Callable[[], object]
    """Raises unless the reader may still read; called after each wait."""

    def answer(self) -> flask.Response:
        """The page, now or when there is news; 304 if the reader has it.

        A `next` of another collection of this hub is ignored: some pollers keep it from one
        collection to the next, and read 400 as the end of everything.
        """
        query = self._resumed_query()
        if query is not None:
            return self._answer(query)
        first = replace(self, parsed=replace(self.parsed, next=None))
        answer = first._answer(first.parsed.query)
        answer.headers[IGNORED_NEXT] = "of another collection"
        return answer

    def _answer(self, query: Query) -> flask.Response:
        seconds = long_poll.parse_prefer_wait(request.headers.getlist("Prefer"))
        head, answer = self._answer_now(query)
        if seconds and not _has_news(answer):
            deadline = time.monotonic() + seconds
            with self.services.long_polls.slot(request_context().authenticated.name) as granted:
                while granted and not _has_news(answer) and self._wait(head, deadline):
                    self.recheck()
                    head, answer = self._answer_now(query)
            self._check_rights()
            seconds = seconds if granted else 0
        if seconds:
            answer.headers[PREFERENCE_APPLIED] = f"wait={seconds}"
        return answer

    def _wait(self, head: FeedHead, deadline: float) -> bool:
        """Wait for a change, or for the end of the reader's rights; False at the deadline."""
        polls, read = self.services.long_polls, self.services.feeds.head
        end = time.monotonic() + self._seconds_of_rights()
        changed = polls.wait_for_change(self.feed.id, head, min(deadline, end), read)
        return changed or end <= time.monotonic() < deadline

    def _seconds_of_rights(self) -> float:
        """Seconds until the reader's rights must be decided again."""
        until = request_context().authenticated.until
        return math.inf if until is None else (until - self.services.clock()) / 1_000_000

    def _check_rights(self) -> None:
        """Decide anew if the reader may read, if an agreement has ended meanwhile."""
        if is_outdated(request_context().authenticated, self.services.clock()):
            self.recheck()

    def _page_tokens(self) -> PageTokens:
        return PageTokens(self.services.settings.page_token_key, self.feed.id, self.endpoint)

    def _resumed_query(self) -> Query | None:
        query, token = self.parsed.query, self.parsed.next
        return query if token is None else self._page_tokens().resume(query, token)

    def _answer_now(self, query: Query) -> tuple[FeedHead, flask.Response]:
        """The feed's head, and the answer at that head."""
        state = request_context().hub
        head = state.head(self.feed)
        tag = self._tag(head)
        coding = content.negotiate_coding(request.headers.get("Accept-Encoding"))
        known_tag = etags.match_etag(request.if_none_match, tag, coding)
        if known_tag is not None:
            request_context().objects = 0
            answer = flask.Response(status=_NOT_MODIFIED)
            answer.set_etag(known_tag)
            self._record(query, ObjectPage(), head if head.is_past_end(query) else None)
        elif representation := _REPRESENTATIONS.get(self.endpoint):
            at, page = self.services.feeds.objects(self.feed, query, state, representation)
            self._check_rights()  # so that nothing published after the end is served
            self._check(page.count, more=page.more)
            is_changed = bool(coding) or self._shows_tlp1()
            if len(page.objects) > (_MAX_CHANGED_ON_LOOP if is_changed else _MAX_OCTETS_ON_LOOP):
                check_may_block()
            answer = self._answer_page(query, page, representation)
            self._record(query, page, at)
            if at is not None:
                answer.set_etag(tag if at == head else self._tag(at))
        else:
            entries = Page()
            if not head.is_past_end(query):
                entries = self.services.feeds.page(self.feed.id, query, bodies=False)
            self._check_rights()
            self._check(len(entries.entries), more=entries.more)
            answer = self._answer_versions(query, entries)
            if head.is_past_end(query) or self.services.feeds.head(self.feed.id) == head:
                answer.set_etag(tag)  # else the page may be a later one
        return head, answer

    def _tag(self, head: FeedHead) -> str:
        reader = request_context().authenticated
        key = etags.PageKey(reader, self.feed, self.endpoint, self.parsed)
        return key.tag(self.services.settings.page_token_key, head)

    def _shows_tlp1(self) -> bool:
        return auth.sees_tlp1(request_context().authenticated, self.feed)

    def _check(self, count: int, *, more: bool) -> None:
        if more and not count:  # `next` would have no position
            raise Unavailable("the collection changed while it was read; send the request again")

    def _record(self, query: Query, page: ObjectPage, at: FeedHead | None) -> None:
        """Remember that the account was served the page, if it is one of objects.

        `at`: the collection's head at which it is this page; None: not known.
        """
        if not page.count and at is not None and self.feed.view is None:  # nothing is left
            page = replace(page, last_stamp=at.stamp)
        if request.method == "GET" and _REPRESENTATIONS.get(self.endpoint) is OBJECTS:
            account = request_context().authenticated.name
            self.services.deliveries.record(account, self.feed, query, page)

    def _answer_page(
        self, query: Query, page: ObjectPage, representation: Representation
    ) -> flask.Response:
        token = self._page_tokens().issue(query, page.last_position) if page.more else None
        format_page = (
            resources.format_envelope if representation is OBJECTS else resources.format_manifest
        )
        octets = format_page(page, token)
        if self._shows_tlp1():
            octets = tlp1.show_page(octets)
        stamps = (page.first_stamp, page.last_stamp) if page.count else None
        request_context().is_complete = not page.more
        return self._format(query, octets, page.count, stamps)

    def _answer_versions(self, query: Query, page: Page) -> flask.Response:
        entries = page.entries
        token = self._page_tokens().issue(query, entries[-1].position) if page.more else None
        octets = resources.format_versions(page, token)
        if self._shows_tlp1():
            octets = tlp1.show_versions(octets, *query.ids)
        stamps = (entries[0].stamp, entries[-1].stamp) if entries else None
        request_context().is_complete = not page.more
        return self._format(query, octets, len(entries), stamps)

    def _format(
        self, query: Query, octets: bytes, count: int, stamps: tuple[int, int] | None
    ) -> flask.Response:
        request_context().objects = count
        answer = flask.Response(octets, content_type=MEDIA_TYPE)
        added_after = query.added_after if self.parsed.next is None else None
        answer.headers.update(_date_added_headers(stamps, added_after))
        if self.parsed.ignored:
            answer.headers[IGNORED_FILTERS] = ", ".join(self.parsed.ignored[:_MAX_IGNORED])
        return answer


def _date_added_headers(stamps: tuple[int, int] | None, added_after: int | None) -> dict[str, str]:
    """The headers with the first and last date_added of a page (TAXII 2.1 section 3.2).

    On an empty page (`stamps` None) both repeat `added_after`, so that a poller that keeps the
    last one stays where it was; without it they are omitted.
    """
    if stamps is None:
        if added_after is None:
            return {}
        stamps = added_after, added_after
    return {
        "X-TAXII-Date-Added-First": timestamp(stamps[0]),
        "X-TAXII-Date-Added-Last": timestamp(stamps[1]),
    }


def _has_news(answer: flask.Response) -> bool:
    """True if the answer has objects, or differs from what the reader has."""
    if answer.status_code == _NOT_MODIFIED:
        return False
    return bool(request_context().objects) or bool(request.if_none_match)
