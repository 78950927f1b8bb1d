"""A request's body: read within bounds, and never left lying on the connection.

What is not read would be taken for the next request by a server that keeps
the connection; so whoever answers without reading it reads it away, as far as
a body may be long, and beyond that asks for the connection to be closed.
"""

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import ClientDisconnected, HTTPException

from tocsin.admission.errors import Malformed, TooLarge
from tocsin.server.taxii.coding import inflated

_PIECE = 64 * 1024


def read(limit: int, coding: str = "") -> bytes:
    """The body, counted while it is read and, if it is in gzip, while it grows.

    Raises TooLarge over `limit` octets, before reading if the length was
    announced; Malformed if it breaks off.
    """
    too_large = TooLarge(
        f"the body is longer than max_content_length ({limit} octets); send less at once"
    )
    if (request.content_length or 0) > limit:
        raise too_large
    pieces = _counted(limit, too_large)
    try:
        return b"".join(inflated(pieces, limit, too_large) if coding else pieces)
    except (OSError, ValueError, OverflowError, ClientDisconnected) as error:
        raise Malformed("the body broke off, or its chunks are malformed") from error


def _counted(limit: int, too_large: TooLarge) -> Iterator[bytes]:
    left = limit
    for piece in _pieces():
        left -= len(piece)
        if left < 0:
            raise too_large
        yield piece
    if limit - left < (request.content_length or 0):  # some servers only let the body end
        raise Malformed("the body is shorter than its Content-Length")


def cleared(limit: int) -> bool:
    """Whether nothing of the body is left, after reading away up to `limit` octets of it."""
    if (request.content_length or 0) > limit:
        return False
    left = limit
    try:
        for piece in _pieces():
            left -= len(piece)
            if left < 0:
                return False
    except (OSError, ValueError, OverflowError, HTTPException):
        return False  # nobody is there to be answered, or no end can be found
    return True


def _pieces() -> Iterator[bytes]:
    while piece := request.stream.read(_PIECE):
        yield piece
