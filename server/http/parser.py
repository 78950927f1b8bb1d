"""HTTP/1.1 parser: strict, in bounded memory, with deadlines against slow senders.

cheroot is more lenient than RFC 9112 allows.  A request that two servers in a row could read
differently is refused here, so that nobody can smuggle a request inside the body of another.  A
sender below a minimum rate is disconnected.  Errors before there is a request are TAXII errors,
like all others.

`server.py` owns the sockets and decides when a connection gets a thread.
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
TIMEOUT = 20
"""Seconds for the head of a request, and as many again for its body."""
MIN_RATE = 16 * 1024
"""Octets that extend a deadline by one second."""

_CRLF = b"\r\n"
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
_SINGLE_FIELDS = frozenset((b"Authorization", b"Content-Length", b"Content-Type", b"Host"))
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_MAX_LINE = 4096
"""Maximum octets of a line between chunks."""
_MAX_TRAILERS = 64


class Connection(HTTPConnection):
    """A connection that is read with deadlines; `server` has a `timeout` and a `min_rate`."""

    lingering = False
    """True while the client may still be sending octets that will not be read."""

    def __init__(self, server: Any, sock: socket.socket, makefile: Callable[..., Any]) -> None:
        def open_file(sock: socket.socket, mode: str, size: int) -> Any:
            return (
                DeadlineReader(sock, size, server.min_rate)
                if "r" in mode
                else makefile(sock, mode, size)
            )

        super().__init__(server, sock, open_file)
        self.RequestHandlerClass = Request

    def set_deadline(self) -> None:
        """Give the head, or the body, its time from now."""
        self.rfile.deadline_socket.deadline = time.monotonic() + self.server.timeout


class DeadlineSocket(socket.SocketIO):
    """A socket that is read until a deadline, which every octet extends."""

    deadline = float("inf")

    def __init__(self, sock: socket.socket, min_rate: float) -> None:
        super().__init__(sock, "r")
        self._peer, self._min_rate = sock, min_rate

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
        self.deadline += (count or 0) / self._min_rate
        return count


class DeadlineReader(StreamReader):
    """cheroot's buffer over a `DeadlineSocket`."""

    is_over = False
    """True if the rest will not be read."""

    def __init__(self, sock: socket.socket, size: int, min_rate: float) -> None:
        self.deadline_socket = DeadlineSocket(sock, min_rate)
        super(StreamReader, self).__init__(self.deadline_socket, size)
        self.bytes_read = 0
        self._peer = sock

    def has_data(self) -> bool:
        """See cheroot; includes octets that TLS has decrypted and buffers."""
        if self.is_over:
            return False
        decrypted = isinstance(self._peer, ssl.SSLSocket) and self._peer.pending()
        return bool(decrypted or super().has_data())  # type: ignore[no-untyped-call]


class StrictHeaderReader(HeaderReader):
    """Header fields, read without ambiguity (RFC 9112 section 5)."""

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """All fields up to the empty line.  Raises ValueError."""
        found = {} if hdict is None else hdict
        while (line := rfile.readline()) != _CRLF:
            field = _FIELD.fullmatch(line)
            if field is None:
                raise ValueError("a header field is malformed, folded or cut off")
            name, value = field[1].title(), field[2]
            if b"_" in name:
                continue  # in WSGI it would collide with the name that has a hyphen
            if name in found and name in _SINGLE_FIELDS:
                raise ValueError(f"the header field {name.decode()} is given twice")
            separator = b"; " if name == b"Cookie" else b", "
            found[name] = separator.join((found[name], value)) if name in found else value
        return found


class Request(HTTPRequest):
    """A request whose head says unambiguously where its body ends."""

    header_reader = StrictHeaderReader()

    def parse_request(self) -> None:
        """Read the head, before the deadline."""
        self.conn.set_deadline()
        super().parse_request()

    def read_request_line(self) -> bool:
        """See cheroot; True if the request line is valid."""
        try:
            return bool(super().read_request_line())  # type: ignore[no-untyped-call]
        except ValueError:  # from urllib, about brackets in a host
            self.simple_response("400 Bad Request", "Malformed Request-URI")
            return False

    def read_request_headers(self) -> bool:
        """See cheroot; True if the header fields are valid."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        fault = _framing_fault(self.inheaders, self.request_protocol)
        if fault:
            self.simple_response("400 Bad Request", fault)
        return not fault

    def simple_response(self, status: str, msg: str = "") -> None:
        """Answer an invalid request; the connection is closed afterwards."""
        code = HTTPStatus(int(str(status)[:3]))
        if code is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:  # cheroot's status for a long head
            code = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        log.info("invalid request from %s: %d %s", self.conn.remote_addr, code, ascii(msg))
        self.close_connection = self.conn.lingering = True
        with_body = getattr(self, "method", b"") != b"HEAD"
        try:
            self.conn.wfile.write(format_error_response(code, msg, with_body=with_body))
        except OSError as error:
            log.debug("the client has gone: %s", error)


class WsgiGateway(Gateway_10):
    """Passes a request to the application.

    Closes the connection if the application says so: after a body that was refused unread, the
    rest of it would otherwise be read as the next request.
    """

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        """The WSGI environ (PEP 3333); a chunked body is read as it arrives."""
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        self.req.conn.set_deadline()
        if self.req.chunked_read:
            environ["wsgi.input"] = ChunkedBody(self.req.conn.rfile)
        return environ

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: object = None,
    ) -> object:
        """The WSGI start_response (PEP 3333)."""
        if ("Connection", "close") in headers:
            self.req.close_connection = self.req.conn.lingering = True
        return super().start_response(status, headers, exc_info)


class ChunkedBody(io.RawIOBase):
    """A chunked body (RFC 9112 section 7.1), buffered no further than it is read.

    Reading raises ValueError for malformed chunks and OSError for an incomplete body, and so
    does every later read.
    """

    def __init__(self, rfile: Any) -> None:
        self._rfile = rfile
        self._left: int | None = None
        """Octets left of the current chunk; None before the first and after the last."""
        self._done = self._broken = False

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        if self._broken:
            raise ValueError("the chunks were malformed")
        self._broken = True
        count = self._read_piece(memoryview(buffer))
        self._broken = False
        return count

    def _read_piece(self, buffer: memoryview) -> int:
        if not self._left and not self._done:
            self._next_chunk()
        size = min(len(buffer), self._left or 0)
        octets = self._rfile.read1(size) if size else b""
        if size and not octets:
            raise OSError("the body is incomplete")
        buffer[: len(octets)] = octets
        self._left = (self._left or 0) - len(octets)
        return len(octets)

    def _next_chunk(self) -> None:
        """Go to the next chunk, or past the end of the body."""
        if self._left == 0 and self._read_line() != _CRLF:
            raise ValueError("a chunk is longer than it says")
        size = _CHUNK_SIZE.fullmatch(self._read_line())
        if size is None:
            raise ValueError("a chunk without its size")
        self._left = int(size[1], 16)
        if not self._left:
            self._done = True
            self._skip_trailers()

    def _skip_trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            if self._read_line() == _CRLF:
                return
        raise ValueError("too many trailers")

    def _read_line(self) -> bytes:
        line: bytes = self._rfile.readline(_MAX_LINE)
        if not line.endswith(_CRLF):
            raise ValueError("a line between chunks is too long or cut off")
        return line


def _framing_fault(fields: dict[bytes, bytes], protocol: bytes) -> str:
    """Why the length of the body is ambiguous (RFC 9112 section 6.3); empty if it is not."""
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


def format_error_response(code: HTTPStatus, description: str, *, with_body: bool = True) -> bytes:
    """A complete HTTP response with a TAXII error message."""
    octets = resources.encode(resources.format_error(code, description))
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
