"""The sockets: HTTP/1.1 in the clear or in TLS, by cheroot.

What cheroot leaves open is closed here.  A connection waits for its first
octets, and for each step of a TLS handshake, without holding a thread, the one
that accepts least of all; so nobody who connects and says nothing keeps others
out.  What cheroot itself refuses is told as a TAXII error.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from cheroot.errors import FatalSSLAlert
from cheroot.makefile import StreamReader, StreamWriter
from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.ssl import Adapter
from cheroot.wsgi import Gateway_10, Server

from tocsin.server.access import fingerprint
from tocsin.server.taxii import wire
from tocsin.server.taxii.media import MEDIA_TYPE
from tocsin.server.taxii.ports import CERTIFICATE, Certificate

log = logging.getLogger(__name__)

DRAIN = 60
"""Seconds that requests in hand have to finish when the hub stops."""
_SILENCE = 20
"""Seconds that a connection may be silent."""
_HANDSHAKE = 10
"""Seconds from a connection to the end of its TLS handshake."""
_FAREWELL, _PAUSE = 10.0, 1.0
"""Seconds that a connection may take to end after a refusal, and to be silent meanwhile."""
_PIECE = 64 * 1024
_IDLE_CONNECTIONS = 500
"""How many connections may wait for a request; those beyond are closed."""
_NAME = "tocsin"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen."""

    host: str
    port: int
    """0: any free one."""
    threads: int
    """How many requests are answered at the same time."""
    tls: ssl.SSLContext | None = None
    """None: in the clear."""


def listener(place: Place, application: object) -> Listener:
    """A server for a WSGI application: to `prepare`, `serve` and `stop`."""
    server = Listener(
        (place.host, place.port),
        application,
        numthreads=place.threads,
        server_name=_NAME,
        request_queue_size=128,
        timeout=_SILENCE,
        shutdown_timeout=DRAIN,
    )
    server.gateway = _Gateway
    server.ConnectionClass = _Connection
    server.keep_alive_conn_limit = _IDLE_CONNECTIONS
    server.max_request_header_size = 64 * 1024
    if place.tls is not None:
        server.ssl_adapter = _Tls(place.tls)
    return server


class Listener(Server):
    """Hands a connection to a thread only once it has something to say."""

    def process_conn(self, conn: HTTPConnection) -> None:
        """See cheroot; called for what was just accepted and for what can be read."""
        if conn.last_used is not None:
            super().process_conn(conn)
        elif self.can_add_keepalive_connection:
            self.put_conn(conn)
        else:
            log.warning("too many connections wait for a request; %s is let go", conn.remote_addr)
            conn.close()

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """See cheroot, which would write to standard error."""
        if isinstance(sys.exc_info()[1], ssl.SSLError):  # somebody left without a word
            level, traceback = logging.INFO, False
        log.log(level, "%s", msg, exc_info=traceback)


class _Request(HTTPRequest):
    """Refuses in the words of TAXII what is not HTTP that we understand."""

    def read_request_headers(self) -> bool:
        """See cheroot, which takes any whole number for a length, and two lengths at once."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        length = self.inheaders.get(b"Content-Length", b"0")
        if not length.isdigit() or (self.chunked_read and b"Content-Length" in self.inheaders):
            self.simple_response(400, "the length of the body cannot be told from the headers")
            return False
        return True

    def simple_response(self, status: object, msg: str = "") -> None:
        """See cheroot; the connection ends with it."""
        self.close_connection = self.conn.lingering = True
        with_body = getattr(self, "method", b"") != b"HEAD"
        with contextlib.suppress(OSError):  # it went away; there is nobody to be told
            self.conn.wfile.write(_refusal(int(str(status)[:3]), msg, with_body=with_body))


class _Connection(HTTPConnection):
    """Makes its TLS handshake, if there is one to be made, before its first request."""

    RequestHandlerClass = _Request

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._deadline = time.monotonic() + _HANDSHAKE
        self.lingering = False
        """Whether the other side may still be sending what nobody will read."""

    def close(self) -> None:
        """See cheroot."""
        if self.lingering:
            _let_read(self.socket)
        super().close()

    def communicate(self) -> bool:
        """See cheroot; whether to keep the connection."""
        if not isinstance(self.socket, ssl.SSLSocket) or self.ssl_env:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        try:
            self.ssl_env = _shaken(self.socket, self._deadline)
        except ssl.SSLWantReadError:
            return True  # to come back with more of the handshake
        except (OSError, ValueError) as error:
            self._turn_away(error)
            return False
        return True  # to come back with a request

    def _turn_away(self, error: Exception) -> None:
        self.lingering = True
        log.info("no TLS with %s: %s", self.remote_addr, error)
        if isinstance(error, ssl.SSLError) and error.reason == "HTTP_REQUEST":
            said = "this port speaks HTTPS only; begin the URL with https"
            with contextlib.suppress(OSError):  # it went away; there is nobody to be told
                socket.socket.sendall(self.socket, _refusal(HTTPStatus.BAD_REQUEST, said))


class _Reader(StreamReader):
    """Knows also of octets that TLS has unpacked and nobody has read."""

    def __init__(self, sock: ssl.SSLSocket, mode: str, bufsize: int) -> None:
        super().__init__(sock, mode, bufsize)
        self._sock = sock

    def has_data(self) -> bool:
        """See cheroot."""
        return bool(self._sock.pending() or super().has_data())  # type: ignore[no-untyped-call]


class _Tls(Adapter):
    """TLS for cheroot, without its handshake on the thread that accepts."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context

    def bind(self, sock: socket.socket) -> socket.socket:
        """See cheroot."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        """See cheroot; `_Connection` makes the handshake."""
        try:
            made = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            raise FatalSSLAlert(*error.args) from error
        return made, {}

    def get_environ(self) -> dict[str, Any]:
        """See cheroot."""
        return {}

    def makefile(
        self, sock: ssl.SSLSocket, mode: str = "r", bufsize: int = io.DEFAULT_BUFFER_SIZE
    ) -> StreamReader | StreamWriter:
        """See cheroot."""
        kind = _Reader if "r" in mode else StreamWriter
        return kind(sock, mode, bufsize)


class _Gateway(Gateway_10):
    """Closes the connection where the application says so.

    After a body that was refused unread, what is left of it would otherwise be
    read as the next request.
    """

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


def _shaken(sock: ssl.SSLSocket, deadline: float) -> dict[str, Any]:
    """Goes on with the handshake; at its end, what the application may know of it.

    Raises ssl.SSLWantReadError while the other side is to say more, OSError
    (of which ssl.SSLError is one) if it fails.
    """
    if time.monotonic() > deadline:
        raise TimeoutError("the handshake took too long")
    sock.setblocking(False)
    try:
        sock.do_handshake()
    except ssl.SSLWantWriteError:  # rare: all that is said fits the socket's buffer
        sock.settimeout(_PAUSE)
        sock.do_handshake()
    sock.settimeout(_SILENCE)
    environ: dict[str, Any] = {"wsgi.url_scheme": "https"}
    shown, told = sock.getpeercert(binary_form=True), sock.getpeercert()
    if shown and told:
        expires = ssl.cert_time_to_seconds(str(told["notAfter"]))
        environ[CERTIFICATE] = Certificate(fingerprint(shown), expires)
    return environ


def _let_read(sock: socket.socket) -> None:
    """Gives the other side a moment to read what it was told, and to close.

    A connection that is closed with octets unread is reset, and what was sent
    last, an alert or a 413, is lost.
    """
    deadline = time.monotonic() + _FAREWELL
    with contextlib.suppress(OSError):  # whatever happens now, it ends here
        socket.socket.shutdown(sock, socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(min(left, _PAUSE))
            if not socket.socket.recv(sock, _PIECE):
                return


def _refusal(code: int, description: str, *, with_body: bool = True) -> bytes:
    """A whole answer, with a TAXII error in it."""
    status = HTTPStatus(code)
    body = wire.encoded(wire.error(status, description))
    head = (
        f"HTTP/1.1 {code} {status.phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        f"Date: {formatdate(usegmt=True)}",
        f"Server: {_NAME}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + (body if with_body else b"")
