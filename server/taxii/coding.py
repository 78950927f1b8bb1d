"""Content codings: answers made short, bodies made long again (RFC 9110 section 8.4).

Levels are low, since a page is compressed each time that it is asked for.
The same octets always become the same octets, so that a strong tag stays true.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator

import zstandard
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from tocsin.admission.errors import Malformed, TooLarge, WrongCoding

GZIP, ZSTD = "gzip", "zstd"
CODINGS = (ZSTD, GZIP)
"""Of an answer, what is chosen first among equals."""
TAKEN = GZIP
"""Of a request's body, besides none at all; told where another one was sent."""
WORTH_IT = 1024
"""Octets; a shorter answer is sent as it is."""

_IDENTITY = "identity"
_SPELLINGS = {"x-gzip": GZIP}
"""Older names that mean the same (RFC 9110 section 8.4.1.3)."""
_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def negotiated(header: str | None) -> str:
    """The coding of an answer, by `Accept-Encoding` (RFC 9110 section 12.5.3); "" for none.

    >>> negotiated("gzip, deflate, zstd;q=0.5")
    'gzip'

    Nobody who did not ask for a coding is given one.
    """
    if not header:
        return ""
    known = parse_accept_header(header.lower().replace("x-gzip", GZIP))
    wanted = [coding for coding in CODINGS if known.quality(coding) > 0]
    best = max(wanted, key=known.quality, default="")
    plain = Accept(entry for entry in known if entry[0] == _IDENTITY).quality(_IDENTITY)
    return best if best and known.quality(best) >= plain else ""


def compressed(octets: bytes, coding: str) -> bytes:
    """The octets in a coding of `CODINGS`."""
    if coding == ZSTD:
        return zstandard.ZstdCompressor(level=_LEVEL).compress(octets)
    return gzip.compress(octets, compresslevel=_LEVEL, mtime=0)


def of_body(header: str | None) -> str:
    """The coding of a request's body, "" for none.

    Raises WrongCoding if it is not one that is taken here.
    """
    named = (header or "").strip().lower()
    coding = _SPELLINGS.get(named, named)
    if coding in ("", _IDENTITY):
        return ""
    if coding != GZIP:
        raise WrongCoding("send the body as it is, or with Content-Encoding: gzip")
    return coding


def inflated(pieces: Iterable[bytes], limit: int, too_large: TooLarge) -> Iterator[bytes]:
    """What gzip made of the pieces is undone, up to `limit` octets.

    No more than that is ever decompressed, whatever the pieces would grow to;
    then `too_large` is raised.  Raises Malformed if they are not one whole
    member in gzip (RFC 1952).
    """
    undo, left = zlib.decompressobj(_GZIP_WINDOW), limit
    try:
        for piece in pieces:
            if undo.eof:
                raise _broken()
            plain = undo.decompress(piece, left + 1)
            left -= len(plain)
            if left < 0:
                raise too_large
            yield plain
    except zlib.error as error:
        raise _broken() from error
    if not undo.eof or undo.unused_data:
        raise _broken()


def _broken() -> Malformed:
    return Malformed("the body is not one whole gzip stream, as its Content-Encoding says")
