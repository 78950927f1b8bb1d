"""Media types: what may be asked for, what may be sent (TAXII 2.1 section 3.1).

`Accept` is read as RFC 7231 section 5.3.2 has it, with lists, quality, order
of specificity and any spelling of parameters.

Content codings: answers made short, bodies made long again (RFC 9110 section 8.4).

Levels are low, since a page is compressed each time that it is asked for.
The same octets always become the same octets, so that a strong tag stays true.

A request's body: read within bounds, and never left lying on the connection.

What is not read would be taken for the next request by a server that keeps
the connection; so whoever answers without reading it reads it away, as far as
a body may be long, and beyond that asks for the connection to be closed.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.request import parse_http_list

import zstandard
from flask import request
from werkzeug.datastructures import Accept
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.http import parse_accept_header, parse_options_header

from tocsin.admission.errors import (
    Malformed,
    NotAcceptable,
    TooLarge,
    UnsupportedCoding,
    UnsupportedMediaType,
)

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
        raise UnsupportedCoding("send the body as it is, or with Content-Encoding: gzip")
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


VERSION = "2.1"
TAXII = "application/taxii+json"
STIX = "application/stix+json"
MEDIA_TYPE = f"{TAXII};version={VERSION}"
"""The media type of every answer, errors included."""
OPENAPI = "application/openapi+json;version=3.1"
"""The media type of the description (draft-ietf-httpapi-rest-api-mediatypes)."""

_QUALITY = re.compile(r"[01](?:\.[0-9]{0,3})?|\.[0-9]{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Range:
    """One media range of an `Accept` header (RFC 7231 section 5.3.2)."""

    type: str
    version: str | None
    quality: float

    @property
    def specificity(self) -> int:
        """How closely it names what it means."""
        if self.type in ("*", "*/*"):
            return 0
        return 1 if self.type.endswith("/*") else 2 + (self.version is not None)

    def covers(self, type: str) -> bool:
        """Whether the range includes a type; of TAXII only this version."""
        if self.type == type:
            return self.version is None or type != TAXII or self.version == VERSION
        return self.type in ("*", "*/*", type.partition("/")[0] + "/*")


def accept(header: str | None, *also: str) -> None:
    """Raises NotAcceptable unless `Accept` allows an answer.

    An absent or empty header allows everything, a range without a version the
    latest (TAXII 2.1 section 1.6.8.2).  Types in `also` count as ours.
    """
    if header is None or not header.strip():
        return
    ranges = [_range(part) for part in parse_http_list(header)]
    for type in (TAXII, *also):
        covering = [r for r in ranges if r.covers(type)]
        if covering and max(covering, key=lambda r: (r.specificity, r.quality)).quality > 0:
            return
    raise NotAcceptable(f"answers are given as {MEDIA_TYPE} only; ask for it in Accept")


def _range(text: str) -> _Range:
    type, options = parse_options_header(text)
    found = _QUALITY.fullmatch(options.get("q", "1"))
    quality = min(float(found[0]), 1.0) if found else 1.0
    return _Range(type.strip().lower(), options.get("version"), quality)


def content_type(header: str | None) -> None:
    """Raises WrongMediaType unless a body is declared to be a TAXII envelope in UTF-8."""
    type, options = parse_options_header(header)
    if (
        type.strip().lower() != TAXII
        or options.get("version", VERSION) != VERSION
        or options.get("charset", "utf-8").lower() not in ("utf-8", "utf8")
    ):
        raise UnsupportedMediaType(f"send an envelope as Content-Type: {MEDIA_TYPE}")
