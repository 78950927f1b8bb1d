"""`next`: where a reader stopped, as an opaque string.

The server remembers nothing.  The token holds the last position, the instant
from which the walk began, a digest of what is being walked (collection,
endpoint and filters, but not `limit`, which clients change on the way) and a
MAC over all three.  It is never trusted for rights: those are decided afresh
on every page.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import astuple, dataclass, replace

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.server.model import Query

_PLACE = struct.Struct(">qq")
_DIGEST = 16
_MAC = 16
_NONE = -(2**63)
"""Stands for a walk that began at the oldest entry."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What is being read page by page."""

    key: bytes
    collection: str
    """The collection's id, never its alias."""
    endpoint: str

    def issue(self, query: Query, position: int) -> str:
        """The token that resumes after `position`."""
        floor = _NONE if query.added_after is None else query.added_after
        told = _PLACE.pack(position, floor) + self._digest(query)
        return base64.urlsafe_b64encode(told + self._mac(told)).decode()

    def resume(self, query: Query, token: str) -> Query:
        """`query`, from where the token says.

        `added_after` may be left out or be later than when the walk began: then
        both hold.  Raises Malformed for a token that is not ours, or of another
        collection, endpoint or set of filters.
        """
        told = self._verified(token)
        position, floor = _PLACE.unpack_from(told)
        if told[_PLACE.size :] != self._digest(query):
            raise Malformed("next: belongs to another collection, endpoint or set of filters")
        if query.added_after is None:
            return replace(query, position=position, added_after=None if floor == _NONE else floor)
        if query.added_after < floor:
            raise Malformed("next: added_after is earlier than when this walk began")
        return replace(query, position=position)

    def _verified(self, token: str) -> bytes:
        try:
            octets = base64.b64decode(token.encode("ascii"), b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _foreign() from error
        if base64.urlsafe_b64encode(octets).decode() != token:
            raise _foreign()
        told, mac = octets[:-_MAC], octets[-_MAC:]
        if len(told) != _PLACE.size + _DIGEST or not hmac.compare_digest(mac, self._mac(told)):
            raise _foreign()
        return told

    def _mac(self, told: bytes) -> bytes:
        return hmac.digest(self.key, b"next:" + told, "sha256")[:_MAC]

    def _digest(self, query: Query) -> bytes:
        filters = (query.ids, query.types, query.specs, query.keywords, query.versions)
        listed = [sorted(values) for values in filters]
        told = (self.collection, self.endpoint, *listed, *map(astuple, query.filters))
        return hashlib.sha256(msgspec.json.encode(told)).digest()[:_DIGEST]


def _foreign() -> Malformed:
    return Malformed("next: not a cursor of this server; begin again without it")
