"""HTTP/1.1 parser: strict, in bounded memory, without any input or output.

A request that two servers in a row could read differently is refused here, so that nobody can
smuggle a request inside the body of another (RFC 9112 section 11.2).  Errors before there is a
request are TAXII errors, like all others.

`connection.py` feeds it the octets as they arrive.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from tocsin.server.taxii import resources
from tocsin.server.taxii.content import MEDIA_TYPE

NAME = "tocsin"
MAX_HEAD = 64 * 1024
"""Maximum octets of a request line with its header fields."""
MAX_FIELDS = 100
"""Maximum header fields."""

_END = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
_START = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]{1,32}) ([^ ]+) HTTP/([0-9])\.([0-9])")
_TARGET = re.compile(rb"/(?:[!\"$-.0->@-~][!\"$->@-~]*)?(?:\?[!\"$-~]*)?")
"""Origin form: a path that does not begin with `//`, and a query, without a fragment."""
_ABSOLUTE = re.compile(
    rb"https?://((?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(?::[0-9]*)?)([/?].*)?",
    re.IGNORECASE,
)
"""Absolute form: the authority, without a user, and what origin form would say."""
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
"""Name and value; blanks around the value are cut off afterwards, since a pattern that does it can
be made to try for minutes."""
_SINGLE_FIELDS = frozenset((b"Authorization", b"Content-Length", b"Content-Type", b"Host"))
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_SLASH = re.compile(rb"(?i)%2f")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_MAX_LINE = 4096
"""Maximum octets of a line between chunks."""
_MAX_TRAILERS = 64
_FREE_CHUNKS, _MEAN_CHUNK = 1024, 64
"""Number of chunks of any size; octets that further chunks have at least on average."""
_CUT_OFF = "the body is incomplete"
_LONG_LINE = (
    f"the request line has more than {MAX_HEAD:,} octets: ask for fewer values, in several requests"
)
_LONG_HEAD = (
    f"the request line and the header fields have more than {MAX_HEAD:,} octets together: send"
    " shorter or fewer fields"
)
_MANY_FIELDS = f"there are more than {MAX_FIELDS} header fields: send fewer"


class Fault(Exception):
    """A request that is refused before the application sees it; the text is for the client."""

    def __init__(self, text: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and header fields that say unambiguously where the body ends."""

    method: str
    target: bytes
    """In origin form, or `*`."""
    minor: int
    """1 in HTTP/1.1, 0 in HTTP/1.0."""
    fields: dict[bytes, bytes]
    """Values by name in title case; those of repeated fields are joined."""

    @property
    def path(self) -> bytes:
        """The path, decoded except for `%2F`, which is not a separator."""
        parts = _SLASH.split(self.target.partition(b"?")[0])
        return b"%2F".join(map(unquote_to_bytes, parts))

    @property
    def query(self) -> bytes:
        """The query, as it was sent."""
        return self.target.partition(b"?")[2]

    @property
    def length(self) -> int | None:
        """Octets of the body; None if it is chunked."""
        if b"Transfer-Encoding" in self.fields:
            return None
        return int(self.fields.get(b"Content-Length", b"0"))

    @property
    def keeps_connection(self) -> bool:
        """True if the client will send further requests."""
        options = {o.strip() for o in self.fields.get(b"Connection", b"").lower().split(b",")}
        return b"close" not in options and (self.minor > 0 or b"keep-alive" in options)

    @property
    def expects_continue(self) -> bool:
        """True if the client waits for 100 (Continue) before it sends the body."""
        return self.minor > 0 and self.fields.get(b"Expect", b"").lower() == b"100-continue"


def current_http_date() -> str:
    """The current time in the format of the field `Date` (RFC 9110 section 5.6.7)."""
    return _format_second(int(time.time()))


@lru_cache(maxsize=2)
def _format_second(second: int) -> str:
    return formatdate(second, usegmt=True)


def find_head(buffer: bytearray, start: int) -> int:
    """The octets of the head at the beginning of the buffer; 0 while it is incomplete.

    Octets before `start` were looked at before.  Raises Fault as soon as it cannot become a
    head, so that binary junk is not waited for.
    """
    end = buffer.find(_END, max(start - len(_END), 0), MAX_HEAD)
    if buffer and not _START.match(buffer):
        raise Fault("Malformed request line")
    if _BARE_LF.search(buffer, max(start - 1, 0), end if end >= 0 else MAX_HEAD):
        raise Fault("a line ends without a carriage return")
    if end >= 0:
        return end + len(_END)
    if len(buffer) >= MAX_HEAD:
        if b"\r\n" in buffer[:MAX_HEAD]:
            raise Fault(_LONG_HEAD, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        raise Fault(_LONG_LINE, HTTPStatus.REQUEST_URI_TOO_LONG)
    return 0


def parse_head(octets: bytes) -> Head:
    """The head, from its octets with the empty line.  Raises Fault."""
    first, *lines = octets[: -len(_END)].split(b"\r\n")
    method, target, minor, authority = _parse_request_line(first)
    fields = _parse_fields(lines)
    _check_framing(fields, minor)
    if not _HOST.fullmatch(fields.get(b"Host", b"" if minor == 0 else b" ")):
        raise Fault("Host is missing or malformed")
    if authority:
        fields[b"Host"] = authority  # it takes precedence (RFC 9112 section 3.2.2)
    return Head(method, target, minor, fields)


def is_head_request(octets: bytes | bytearray) -> bool:
    """True if the answer to these octets must not have a body."""
    return octets.startswith(b"HEAD ")


def _parse_request_line(line: bytes) -> tuple[str, bytes, int, bytes]:
    """Method, target in origin form, minor version, and the authority of an absolute target."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Fault("Malformed request line")
    if found[3] != b"1":
        raise Fault("only HTTP/1.1 is spoken here", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    if found[1] == b"CONNECT":
        raise Fault("this is not a proxy", HTTPStatus.METHOD_NOT_ALLOWED)
    target, authority = _split_target(found[2])
    if not _TARGET.fullmatch(target) and (found[1], target) != (b"OPTIONS", b"*"):
        raise Fault("Malformed request target")
    return found[1].decode("ascii"), target, min(int(found[4]), 1), authority


def _split_target(target: bytes) -> tuple[bytes, bytes]:
    """The target in origin form, and the authority if it was absolute, as sent to a proxy."""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target, b""
    rest = absolute[2] or b""
    return rest if rest.startswith(b"/") else b"/" + rest, absolute[1]


def _parse_fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """Header fields, read without ambiguity (RFC 9112 section 5).  Raises Fault."""
    if len(lines) > MAX_FIELDS:
        raise Fault(_MANY_FIELDS, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    found: dict[bytes, bytes] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Fault("a header field is malformed, folded or cut off")
        name, value = field[1].title(), field[2].strip(b" \t")
        if b"_" in name:
            continue  # in WSGI it would collide with the name that has a hyphen
        if name in found and name in _SINGLE_FIELDS:
            raise Fault(f"the header field {name.decode()} is given twice")
        separator = b"; " if name == b"Cookie" else b", "
        found[name] = separator.join((found[name], value)) if name in found else value
    return found


def _check_framing(fields: dict[bytes, bytes], minor: int) -> None:
    """Raises Fault if the length of the body is ambiguous (RFC 9112 section 6.3)."""
    length, coding = fields.get(b"Content-Length"), fields.get(b"Transfer-Encoding")
    if length is not None and not _LENGTH.fullmatch(length):
        raise Fault("Content-Length must be digits")
    if coding is None:
        return
    if length is not None:
        raise Fault("either Content-Length or Transfer-Encoding")
    codings = [each.strip() for each in coding.lower().split(b",")]
    if set(codings) - {b"chunked"}:
        raise Fault("Transfer-Encoding may only be chunked", HTTPStatus.NOT_IMPLEMENTED)
    if len(codings) != 1 or minor == 0:
        raise Fault("Transfer-Encoding may only be chunked, once, in HTTP/1.1")


class BodyReader:
    """Takes the octets of one body out of a connection's buffer, as they arrive.

    At the end of the body `complete` is true.  It also is if the body is malformed or cut off:
    then `fault` says so; or if it is longer than `limit`: then `is_cut`, and the rest is left.
    """

    def __init__(self, length: int | None, limit: int) -> None:
        """`length` in octets, None for chunks (RFC 9112 section 7.1)."""
        self.octets = bytearray()
        self.fault: Exception | None = None
        self.is_cut = False
        self.complete = length == 0
        self.left = length
        """Octets left of the body, or of the current chunk; None before a chunk's size."""
        self._limit = limit
        self._is_chunked = length is None
        self._chunks = self._trailers = self._taken = 0
        self._in_trailers = False

    @property
    def is_chunked(self) -> bool:
        """True if its length is not known in advance."""
        return self._is_chunked

    def feed(self, buffer: bytearray, *, keep: bool = True) -> None:
        """Take from the front of the buffer; without `keep` the octets are discarded."""
        at = 0
        while not self.complete:
            next_at = self._feed_once(buffer, at, keep)
            if next_at is None:
                break
            at = next_at
        del buffer[:at]

    def fail(self, fault: Exception | None = None) -> None:
        """End the body before its end."""
        self.fault = fault or OSError(_CUT_OFF)
        self.complete = True  # last: another thread reads the rest once this is set

    def _feed_once(self, buffer: bytearray, at: int, keep: bool) -> int | None:
        """Take one piece or one line; the place after it, None if more octets are needed."""
        if self.left:
            piece = memoryview(buffer)[at : at + self.left]
            if not piece:
                return None
            self._take(piece, keep)
            at += len(piece)
            piece.release()
            return at
        return self._read_framing(buffer, at)

    def _take(self, piece: memoryview, keep: bool) -> None:
        self._taken += len(piece)
        self.left = (self.left or 0) - len(piece)
        if keep:
            room = self._limit + 1 - len(self.octets)  # one more: the application says 413
            self.octets += piece[:room]
        if self._taken > self._limit:
            self.is_cut = True
            self.complete = True
        elif not self._is_chunked and not self.left:
            self.complete = True

    def _read_framing(self, buffer: bytearray, at: int) -> int | None:
        """Read the end of a chunk with the size of the next, or a trailer."""
        if self.left == 0:
            end = at + 2
            if len(buffer) < end:
                return None
            if buffer[at:end] != b"\r\n":
                self.fail(ValueError("a chunk is longer than it says"))
                return at
            self.left = None
            return end
        end = buffer.find(b"\n", at, at + _MAX_LINE)
        if end < 0:
            if len(buffer) - at >= _MAX_LINE:
                self.fail(ValueError("a line between chunks is too long"))
            return None
        self._read_line(bytes(buffer[at : end + 1]))
        return end + 1

    def _read_line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            self.fail(ValueError("a line between chunks is cut off"))
        elif self._in_trailers:
            self._trailers += 1
            if line == b"\r\n":
                self.complete = True
            elif self._trailers > _MAX_TRAILERS or not _FIELD.fullmatch(line[:-2]):
                self.fail(ValueError("too many trailers, or a malformed one"))
        else:
            self._begin_chunk(line[:-2])

    def _begin_chunk(self, line: bytes) -> None:
        size = _CHUNK_SIZE.fullmatch(line)
        self._chunks += 1
        if size is None:
            self.fail(ValueError("a chunk without its size"))
        elif self._chunks > _FREE_CHUNKS + self._taken // _MEAN_CHUNK:
            self.fail(ValueError("too many small chunks"))
        else:
            octets = int(size[1], 16)
            self.left, self._in_trailers = octets or None, octets == 0


def format_error_response(fault: Fault, *, with_body: bool = True) -> bytes:
    """A complete HTTP response with a TAXII error message; the connection closes after it."""
    code = fault.status
    octets = resources.encode(resources.format_error(code, str(fault)))
    head = (
        f"HTTP/1.1 {code.value} {code.phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(octets)}",
        f"Date: {current_http_date()}",
        f"Server: {NAME}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join(head).encode() + _END + (octets if with_body else b"")
