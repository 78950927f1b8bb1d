"""`next`: an opaque, signed token that says where the following page starts.

The server keeps no state.  A token holds the last position, the `added_after` of the first page,
a digest of the collection, one of the endpoint and the filters (but not of `limit`, which clients
change between pages), and a MAC over all of them.  It grants no rights: those are checked on
every page.
"""

import base64
import binascii
import hashlib
import hmac
import re
import struct
from dataclasses import astuple, dataclass, replace

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.server.model import Query

_POSITION = struct.Struct(">qq")
"""The last position, and `added_after` in µs since 1970 UTC."""
_DIGEST = 8
_MAC = 16
_NO_FLOOR = -(2**63)
"""Stands for no `added_after`."""


@dataclass(frozen=True, slots=True)
class PageTokens:
    """The tokens of one endpoint of one collection."""

    key: bytes
    collection: str
    """The collection's id, never its alias."""
    endpoint: str

    def issue(self, query: Query, position: int) -> str:
        """The token for the page after `position`."""
        floor = _NO_FLOOR if query.added_after is None else query.added_after
        position_and_floor = _POSITION.pack(position, floor)
        payload = position_and_floor + self._collection_digest() + self._filters_digest(query)
        return base64.urlsafe_b64encode(payload + self._mac(payload)).decode()

    def resume(self, query: Query, token: str) -> Query | None:
        """`query`, continued where the token says; None if the token is of another collection.

        `added_after` may be absent or later than that of the first page; the later one holds.
        Raises Malformed for a token that is not ours, or of another endpoint or set of filters.
        """
        payload = self._verify(token)
        position, floor = _POSITION.unpack_from(payload)
        collection, filters = payload[_POSITION.size : -_DIGEST], payload[-_DIGEST:]
        if collection != self._collection_digest():
            return None
        if filters != self._filters_digest(query):
            raise Malformed(
                "next: belongs to another endpoint or set of filters; "
                "repeat the filters of the first page"
            )
        if query.added_after is None:
            added_after = None if floor == _NO_FLOOR else floor
            return replace(query, position=position, added_after=added_after)
        if query.added_after < floor:
            raise Malformed("next: added_after is earlier than that of the first page")
        return replace(query, position=position)

    def _verify(self, token: str) -> bytes:
        """The payload of a token.  Raises Malformed if it is not ours."""
        try:
            octets = base64.b64decode(token.encode("ascii"), b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _invalid() from error
        if base64.urlsafe_b64encode(octets).decode() != token:
            raise _invalid()
        payload, mac = octets[:-_MAC], octets[-_MAC:]
        expected = _POSITION.size + 2 * _DIGEST
        if len(payload) != expected or not hmac.compare_digest(mac, self._mac(payload)):
            raise _invalid()
        return payload

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self.key, b"next:" + payload, "sha256")[:_MAC]

    def _collection_digest(self) -> bytes:
        return hashlib.sha256(self.collection.encode()).digest()[:_DIGEST]

    def _filters_digest(self, query: Query) -> bytes:
        filters = (query.ids, query.types, query.specs, query.keywords, query.versions)
        sorted_filters = [sorted(values) for values in filters]
        paged = (self.endpoint, *sorted_filters, *map(astuple, query.filters))
        return hashlib.sha256(msgspec.json.encode(paged)).digest()[:_DIGEST]


_SUBMISSION = re.compile(r"([0-9]{1,17})-([0-9a-f-]{36})", re.ASCII)


def submission_token(received: int, id: str) -> str:
    """The token of the page after a submission; it reveals only what that page showed."""
    return f"{received}-{id}"


def parse_submission_token(token: str) -> tuple[int, str]:
    """The inverse of `submission_token`.  Raises Malformed."""
    found = _SUBMISSION.fullmatch(token)
    if not found:
        raise _invalid()
    return int(found[1]), found[2]


def _invalid() -> Malformed:
    return Malformed("next: not a token of this server; start again without it")
