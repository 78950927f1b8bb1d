"""A request's body: read within bounds, and never left lying on the connection.

What is not read would be taken for the next request by a server that keeps
the connection; so whoever answers without reading it reads it away, as far as
a body may be long, and beyond that asks for the connection to be closed.
"""

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import ClientDisconnected, HTTPException

from tocsin.admission.errors import Malformed, TooLarge

_PIECE = 64 * 1024


def read(limit: int) -> bytes:
    """The body, counted while it is read.

    Raises TooLarge over `limit` octets, before reading if the length was
    announced; Malformed if it breaks off.
    """
    text = f"the body is longer than max_content_length ({limit} octets); send less at once"
    if (request.content_length or 0) > limit:
        raise TooLarge(text)
    body = bytearray()
    try:
        for piece in _pieces():
            body += piece
            if len(body) > limit:
                raise TooLarge(text)
    except (OSError, ValueError, OverflowError, ClientDisconnected) as error:
        raise Malformed("the body broke off, or its chunks are malformed") from error
    return bytes(body)


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
