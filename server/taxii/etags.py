"""Entity tags, which spare a reader an answer that it already has (RFC 9110 section 8.8.3, 13.1.2).

The tag of a page is computed from what determines the page: the feed's head, which changes
whenever anything is added, superseded or removed, the query, and the account.  So an unchanged
page is never read.  Each content coding has a tag of its own, because a strong tag stands for
octets.
"""

import base64
import hashlib
from dataclasses import dataclass, fields

import msgspec
from werkzeug.datastructures import ETags

from tocsin.server import auth
from tocsin.server.model import Account, Collection, FeedHead, Query
from tocsin.server.taxii.query import ParsedQuery

_FORMAT = 1
"""Increased with every change by which the same feed and query give a page of other octets."""
_OCTETS = 15
_KEY_OCTETS = hashlib.blake2b.MAX_KEY_SIZE


@dataclass(frozen=True, slots=True)
class PageKey:
    """The facts that determine a page, together with the feed's head."""

    account: Account
    collection: Collection
    endpoint: str
    query: ParsedQuery

    def tag(self, key: bytes, head: FeedHead) -> str:
        """The tag of the uncoded page.  It reveals nothing without the key."""
        account, collection = self.account, self.collection
        determinants = (
            _FORMAT,
            (collection.id, self.endpoint, tuple(head)),
            (account.operator, auth.may_write(account, collection), account.marking),
            (self.query.next, self.query.ignored, _field_values(self.query.query)),
        )
        octets = msgspec.json.encode(determinants)
        return _encode(hashlib.blake2b(octets, key=key[:_KEY_OCTETS], person=b"tag").digest())


def hash_body(octets: bytes) -> str:
    """The tag of an uncoded answer, from its octets."""
    return _encode(hashlib.sha256(octets).digest())


def etag_in_coding(tag: str, coding: str) -> str:
    """The tag of the same answer in a content coding.

    >>> etag_in_coding("abc", "gzip"), etag_in_coding("abc", "")
    ('abc.gzip', 'abc')
    """
    return f"{tag}.{coding}" if coding else tag


def match_etag(tags: ETags, tag: str, coding: str) -> str | None:
    """The tag under which the reader has the answer already; None if it does not.

    `tags` are those of `If-None-Match`, `tag` is that of the uncoded answer and `coding` the
    negotiated one, in which short answers are not sent.
    """
    for form in (etag_in_coding(tag, coding), tag):
        if tags.contains_weak(form):
            return form
    return None


def _field_values(query: Query) -> list[object]:
    values = (getattr(query, each.name) for each in fields(query))
    return [sorted(value) if isinstance(value, frozenset) else value for value in values]


def _encode(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest[:_OCTETS]).decode()
