"""HTTP content: media types, content codings, and the request body.

Media types (TAXII 2.1 section 3.1): `Accept` is read as in RFC 7231 section 5.3.2, with lists,
quality, precedence by specificity and any spelling of parameters.

Content codings (RFC 9110 section 8.4): compression levels are low, because a page is compressed
for each request.  The same octets always give the same octets, so that strong tags hold.

The request body is read within bounds, and only by requests that may send one: the server in
front discards the body of a refused request, or closes the connection.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.request import parse_http_list

import zstandard
from flask import request
from werkzeug.datastructures import Accept
from werkzeug.exceptions import ClientDisconnected
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
"""Codings of answers, the preferred one first."""
ACCEPTED_CODING = GZIP
"""The coding of request bodies, named in the 415 for any other."""
MIN_COMPRESSED_LENGTH = 1024
"""Octets; a shorter answer is not compressed."""

_IDENTITY = "identity"
_HEADERS = 128
"""Different headers whose meaning is remembered: most clients send the same each time."""
_ALIASES = {"x-gzip": GZIP}
"""Older names (RFC 9110 section 8.4.1.3)."""
_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


@lru_cache(maxsize=_HEADERS)
def negotiate_coding(header: str | None) -> str:
    """The coding that `Accept-Encoding` selects (RFC 9110 section 12.5.3); "" for none.

    >>> negotiate_coding("gzip, deflate, zstd;q=0.5")
    'gzip'

    An absent header selects none.
    """
    if not header:
        return ""
    known = parse_accept_header(header.lower().replace("x-gzip", GZIP))
    accepted = [coding for coding in CODINGS if known.quality(coding) > 0]
    best = max(accepted, key=known.quality, default="")
    plain = Accept(entry for entry in known if entry[0] == _IDENTITY).quality(_IDENTITY)
    return best if best and known.quality(best) >= plain else ""


def compress(octets: bytes, coding: str) -> bytes:
    """Encode octets in one of `CODINGS`."""
    if coding == ZSTD:
        return zstandard.ZstdCompressor(level=_LEVEL).compress(octets)
    return gzip.compress(octets, compresslevel=_LEVEL, mtime=0)


def parse_content_encoding(header: str | None) -> str:
    """The coding of a request body; "" for none.

    Raises UnsupportedCoding if it is not accepted.
    """
    named = (header or "").strip().lower()
    coding = _ALIASES.get(named, named)
    if coding in ("", _IDENTITY):
        return ""
    if coding != GZIP:
        raise UnsupportedCoding(
            "this Content-Encoding is not accepted; send the body uncompressed or in gzip"
        )
    return coding


def decompress(pieces: Iterable[bytes], limit: int, too_large: TooLarge) -> Iterator[bytes]:
    """Decompress gzip, up to `limit` octets.

    No more than that is ever decompressed; beyond it, `too_large` is raised.  Raises Malformed
    if the pieces are not exactly one complete gzip member (RFC 1952).
    """
    gunzip, left = zlib.decompressobj(_GZIP_WINDOW), limit
    try:
        for piece in pieces:
            if gunzip.eof:
                raise _not_gzip()
            plain = gunzip.decompress(piece, left + 1)
            left -= len(plain)
            if left < 0:
                raise too_large
            yield plain
    except zlib.error as error:
        raise _not_gzip() from error
    if not gunzip.eof or gunzip.unused_data:
        raise _not_gzip()


def _not_gzip() -> Malformed:
    return Malformed("the body is not one complete gzip stream, as its Content-Encoding says")


_PIECE = 64 * 1024


def read_body(limit: int, coding: str = "") -> bytes:
    """The request body, decompressed.

    Raises TooLarge over `limit` octets, compressed or not, and before reading if Content-Length
    says so; Malformed if the body is incomplete.
    """
    too_large = TooLarge(f"the body is longer than max_content_length ({limit} octets); split it")
    if (request.content_length or 0) > limit:
        raise too_large
    pieces = _limit_pieces(limit, too_large)
    try:
        return b"".join(decompress(pieces, limit, too_large) if coding else pieces)
    except (OSError, ValueError, OverflowError, ClientDisconnected) as error:
        raise Malformed("the body is incomplete, or its chunks are malformed") from error


def _limit_pieces(limit: int, too_large: TooLarge) -> Iterator[bytes]:
    left = limit
    for piece in _pieces():
        left -= len(piece)
        if left < 0:
            raise too_large
        yield piece
    if limit - left < (request.content_length or 0):  # some servers only end the stream
        raise Malformed("the body is shorter than its Content-Length")


def _pieces() -> Iterator[bytes]:
    while piece := request.stream.read(_PIECE):
        yield piece


VERSION = "2.1"
TAXII = "application/taxii+json"
STIX = "application/stix+json"
MEDIA_TYPE = f"{TAXII};version={VERSION}"
"""The media type of every answer, errors included."""
OPENAPI = "application/openapi+json;version=3.1"
"""The media type of the OpenAPI description (draft-ietf-httpapi-rest-api-mediatypes)."""

_QUALITY = re.compile(r"[01](?:\.[0-9]{0,3})?|\.[0-9]{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Range:
    """One media range of an `Accept` header (RFC 7231 section 5.3.2)."""

    type: str
    version: str | None
    quality: float

    @property
    def specificity(self) -> int:
        """Precedence: the more specific range decides."""
        if self.type in ("*", "*/*"):
            return 0
        return 1 if self.type.endswith("/*") else 2 + (self.version is not None)

    def covers(self, type: str) -> bool:
        """True if the range includes a media type; for TAXII only with this version."""
        if self.type == type:
            return self.version is None or type != TAXII or self.version == VERSION
        return self.type in ("*", "*/*", type.partition("/")[0] + "/*")


@lru_cache(maxsize=_HEADERS)
def check_accept(header: str | None, *alternatives: str) -> None:
    """Raises NotAcceptable unless `Accept` allows an answer.

    An absent or empty header allows everything, a range without a version the latest
    (TAXII 2.1 section 1.6.8.2).  `alternatives` are further types that allow it.
    """
    if header is None or not header.strip():
        return
    ranges = [_parse_range(part) for part in parse_http_list(header)]
    for type in (TAXII, *alternatives):
        covering = [r for r in ranges if r.covers(type)]
        if covering and max(covering, key=lambda r: (r.specificity, r.quality)).quality > 0:
            return
    raise NotAcceptable(f"the only media type is {MEDIA_TYPE}; name it in Accept")


def _parse_range(text: str) -> _Range:
    type, options = parse_options_header(text)
    found = _QUALITY.fullmatch(options.get("q", "1"))
    quality = min(float(found[0]), 1.0) if found else 1.0
    return _Range(type.strip().lower(), options.get("version"), quality)


def check_content_type(header: str | None) -> None:
    """Raises UnsupportedMediaType unless Content-Type is that of a TAXII envelope in UTF-8."""
    type, options = parse_options_header(header)
    if (
        type.strip().lower() != TAXII
        or options.get("version", VERSION) != VERSION
        or options.get("charset", "utf-8").lower() not in ("utf-8", "utf8")
    ):
        raise UnsupportedMediaType(f"this Content-Type is not accepted; send {MEDIA_TYPE}")
