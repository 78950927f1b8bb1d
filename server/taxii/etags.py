"""Entity tags: whether a reader has the answer already (RFC 9110 sections 8.8.3 and 13.1.2).

The tag of a page is made of what decides the page: the feed's head, which
changes whenever anything is added, superseded or removed, and what was asked
by whom.  So a page that nobody needs is never read.  Each coding of an answer
has a tag of its own, for a strong tag stands for octets.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, fields

import msgspec
from werkzeug.datastructures import ETags

from tocsin.server import auth
from tocsin.server.model import (
    Account,
    Collection,
    FeedHead,
    Query,
)
from tocsin.server.taxii.query import Asked

_SPELLING = 1
"""To be raised whenever a page is spelt differently for the same feed and query."""
_OCTETS = 15


@dataclass(frozen=True, slots=True)
class Sight:
    """What an account asks of an endpoint; together with a head it decides the answer."""

    account: Account
    collection: Collection
    endpoint: str
    asked: Asked

    def tag(self, key: bytes, head: FeedHead) -> str:
        """The tag of the page, in no coding.  It tells nothing without the key."""
        account, collection = self.account, self.collection
        told = (
            _SPELLING,
            (collection.id, self.endpoint, tuple(head)),
            (account.operator, auth.may_write(account, collection)),
            (self.asked.next, self.asked.ignored, _spelt(self.asked.query)),
        )
        return _text(hmac.digest(key, b"tag:" + msgspec.json.encode(told), "sha256"))


def tag_of(octets: bytes) -> str:
    """The tag of an answer that is at hand, in no coding."""
    return _text(hashlib.sha256(octets).digest())


def coded(tag: str, coding: str) -> str:
    """The tag of the same answer in a coding.

    >>> coded("abc", "gzip"), coded("abc", "")
    ('abc.gzip', 'abc')
    """
    return f"{tag}.{coding}" if coding else tag


def known(tags: ETags, tag: str, coding: str) -> str | None:
    """Which form of the answer a reader has, of those that it would be given now.

    `tags` are those of `If-None-Match`, `tag` is the answer's in no coding,
    `coding` the one that was negotiated, in which a short answer is not sent.
    """
    for form in (coded(tag, coding), tag):
        if tags.contains_weak(form):
            return form
    return None


def _spelt(query: Query) -> list[object]:
    values = (getattr(query, each.name) for each in fields(query))
    return [sorted(value) if isinstance(value, frozenset) else value for value in values]


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest[:_OCTETS]).decode()
