"""How requests are read: HTTP/1.1 to the letter, in bounded memory, at no slow sender's mercy.

cheroot reads more kindly than RFC 9112 allows.  What two servers in a row could
read differently is refused here, so that nobody hides a request in another
one's body.  Whatever arrives slower than a trickle is too slow.  What is refused
before there is a request is told as a TAXII error, like everything else.

Who listens, and when a connection has a thread, is in `listening.py`.
"""

from __future__ import annotations

import io
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from cheroot.makefile import StreamReader
from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest
from cheroot.wsgi import Gateway_10

from tocsin.server.taxii import resources
from tocsin.server.taxii.content import MEDIA_TYPE

log = logging.getLogger(__name__)

NAME = "tocsin"
PATIENCE = 20
"""Seconds for the head of a request, and as many again for its body."""
PACE = 16 * 1024
"""Octets that buy another second."""

_CRLF = b"\r\n"
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
_ONCE = frozenset((b"Authorization", b"Content-Length", b"Content-Type", b"Host"))
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LINE = 4096
"""Octets of a line between chunks."""
_MAX_TRAILERS = 64


class Connection(HTTPConnection):
    """A connection that is read against the clock; `server` has a `timeout` and a `pace`."""

    lingering = False
    """Whether the other side may still be sending what nobody will read."""

    def __init__(self, server: Any, sock: socket.socket, makefile: Callable[..., Any]) -> None:
        def opened(sock: socket.socket, mode: str, size: int) -> Any:
            return Reader(sock, size, server.pace) if "r" in mode else makefile(sock, mode, size)

        super().__init__(server, sock, opened)
        self.RequestHandlerClass = Request

    def hurry(self) -> None:
        """Starts the clock."""
        self.rfile.paced.deadline = time.monotonic() + self.server.timeout


class Paced(socket.SocketIO):
    """A socket that is read until a deadline, which moves with what arrives."""

    deadline = float("inf")

    def __init__(self, sock: socket.socket, pace: float) -> None:
        super().__init__(sock, "r")
        self._peer, self._pace = sock, pace

    def readinto(self, buffer: Any) -> int | None:
        """See `io.RawIOBase`.  Raises TimeoutError after the deadline."""
        usual, left = self._peer.gettimeout(), self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._peer.settimeout(left if usual is None else min(left, usual))
        try:
            count = super().readinto(buffer)
        finally:
            self._peer.settimeout(usual)
        self.deadline += (count or 0) / self._pace
        return count


class Reader(StreamReader):
    """cheroot's buffer over a paced socket."""

    is_over = False
    """Whether nobody will read what is left."""

    def __init__(self, sock: socket.socket, size: int, pace: float) -> None:
        self.paced = Paced(sock, pace)
        super(StreamReader, self).__init__(self.paced, size)
        self.bytes_read = 0
        self._peer = sock

    def has_data(self) -> bool:
        """See cheroot; knows also of octets that TLS has unpacked and nobody has read."""
        if self.is_over:
            return False
        unpacked = isinstance(self._peer, ssl.SSLSocket) and self._peer.pending()
        return bool(unpacked or super().has_data())  # type: ignore[no-untyped-call]


class Fields(HeaderReader):
    """Header fields, none of which has two readings (RFC 9112 section 5)."""

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """All of them up to the empty line.  Raises ValueError."""
        found = {} if hdict is None else hdict
        while (line := rfile.readline()) != _CRLF:
            field = _FIELD.fullmatch(line)
            if field is None:
                raise ValueError("a header field is malformed, folded or cut off")
            name, value = field[1].title(), field[2]
            if b"_" in name:
                continue  # in WSGI it would pass for the one with a hyphen
            if name in found and name in _ONCE:
                raise ValueError(f"the header field {name.decode()} is given twice")
            joint = b"; " if name == b"Cookie" else b", "
            found[name] = joint.join((found[name], value)) if name in found else value
        return found


class Request(HTTPRequest):
    """A request whose head leaves no doubt where its body ends."""

    header_reader = Fields()

    def parse_request(self) -> None:
        """Reads the head, against the clock."""
        self.conn.hurry()
        super().parse_request()

    def read_request_line(self) -> bool:
        """Whether it is one."""
        try:
            return bool(super().read_request_line())  # type: ignore[no-untyped-call]
        except ValueError:  # urllib's, about brackets in what would be a host
            self.simple_response("400 Bad Request", "Malformed Request-URI")
            return False

    def read_request_headers(self) -> bool:
        """Whether they can be gone by."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        fault = _framing(self.inheaders, self.request_protocol)
        if fault:
            self.simple_response("400 Bad Request", fault)
        return not fault

    def simple_response(self, status: str, msg: str = "") -> None:
        """An answer to what is no request; afterwards the connection is closed."""
        code = HTTPStatus(int(str(status)[:3]))
        if code is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:  # cheroot's word for a long head
            code = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        log.info("no request from %s: %d %s", self.conn.remote_addr, code, ascii(msg))
        self.close_connection = self.conn.lingering = True
        with_body = getattr(self, "method", b"") != b"HEAD"
        try:
            self.conn.wfile.write(refusal(code, msg, with_body=with_body))
        except OSError as error:
            log.debug("nobody is there to be told: %s", error)


class Gateway(Gateway_10):
    """Hands a request to the application.

    Closes the connection where the application says so: after a body that was
    refused unread, what is left of it would otherwise be read as the next
    request.
    """

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        """WSGI's environ (PEP 3333), with a body that comes piece by piece."""
        told: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        self.req.conn.hurry()
        if self.req.chunked_read:
            told["wsgi.input"] = Chunks(self.req.conn.rfile)
        return told

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: object = None,
    ) -> object:
        """WSGI's start_response (PEP 3333)."""
        if ("Connection", "close") in headers:
            self.req.close_connection = self.req.conn.lingering = True
        return super().start_response(status, headers, exc_info)


class Chunks(io.RawIOBase):
    """A body in chunks (RFC 9112 section 7.1), of which no more is held than is asked for.

    Reading raises ValueError where the chunks are malformed and OSError where they
    break off, and again whenever it is tried afterwards.
    """

    def __init__(self, rfile: Any) -> None:
        self._rfile = rfile
        self._left: int | None = None
        """Of the chunk in hand; None before the first and after the last."""
        self._done = self._broken = False

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        if self._broken:
            raise ValueError("the chunks were malformed before")
        self._broken = True
        count = self._piece(memoryview(buffer))
        self._broken = False
        return count

    def _piece(self, buffer: memoryview) -> int:
        if not self._left and not self._done:
            self._next()
        size = min(len(buffer), self._left or 0)
        octets = self._rfile.read1(size) if size else b""
        if size and not octets:
            raise OSError("the body broke off")
        buffer[: len(octets)] = octets
        self._left = (self._left or 0) - len(octets)
        return len(octets)

    def _next(self) -> None:
        """To the next chunk, or past the end of the body."""
        if self._left == 0 and self._line() != _CRLF:
            raise ValueError("a chunk is longer than it says")
        size = _CHUNK.fullmatch(self._line())
        if size is None:
            raise ValueError("a chunk without its size")
        self._left = int(size[1], 16)
        if not self._left:
            self._done = True
            self._past_trailers()

    def _past_trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            if self._line() == _CRLF:
                return
        raise ValueError("too many trailers")

    def _line(self) -> bytes:
        line: bytes = self._rfile.readline(_LINE)
        if not line.endswith(_CRLF):
            raise ValueError("a line between chunks is too long or cut off")
        return line


def _framing(fields: dict[bytes, bytes], protocol: bytes) -> str:
    """What makes it doubtful where the body ends (RFC 9112 section 6.3); empty: nothing."""
    length, coding = fields.get(b"Content-Length"), fields.get(b"Transfer-Encoding")
    if length is not None and not _LENGTH.fullmatch(length):
        return "Content-Length must be digits"
    if coding is None:
        return ""
    if length is not None:
        return "either Content-Length or Transfer-Encoding"
    if coding.lower() != b"chunked" or protocol != b"HTTP/1.1":
        return "Transfer-Encoding may only be chunked, once, in HTTP/1.1"
    return ""


def refusal(code: HTTPStatus, why: str, *, with_body: bool = True) -> bytes:
    """A whole answer, with a TAXII error in it."""
    octets = resources.encode(resources.format_error(code, why))
    head = (
        f"HTTP/1.1 {code.value} {code.phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(octets)}",
        f"Date: {formatdate(usegmt=True)}",
        f"Server: {NAME}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join(head).encode() + 2 * _CRLF + (octets if with_body else b"")
