"""HTTP server: sockets, with or without TLS, on cheroot.

A connection has a thread only while octets arrive: it waits without one for its first octets,
for each step of the TLS handshake and, after an error, for its end.  So idle connections do not
keep others out.

`parser.py` reads the requests.
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
from http import HTTPStatus
from typing import Any

from cheroot.errors import FatalSSLAlert
from cheroot.makefile import MakeFile, StreamReader, StreamWriter
from cheroot.server import HTTPConnection
from cheroot.ssl import Adapter
from cheroot.wsgi import Server

from tocsin.server.auth import certificate_fingerprint
from tocsin.server.http import parser
from tocsin.server.http.tls import TlsContextSource
from tocsin.server.taxii.protocols import CLIENT_CERTIFICATE, ClientCertificate

log = logging.getLogger(__name__)

DRAIN = 60
"""Seconds that running requests have to finish when the hub stops."""
_HANDSHAKE_TIMEOUT = 10
"""Seconds from the connection to the end of its TLS handshake."""
_LINGER_TIMEOUT = 10
"""Seconds that the client has to close its side after an error."""
_PIECE, _PIECES = 64 * 1024, 16
"""Octets discarded at once, and how many times before the thread serves others."""
_IDLE_CONNECTIONS = 500
"""Maximum idle connections; further ones are closed."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Address and TLS settings of the listening socket."""

    host: str
    port: int
    """0: any free port."""
    threads: int
    """Requests served at the same time."""
    tls: TlsContextSource | None = None
    """None: plain HTTP."""


def build_server(address: ListenAddress, application: object) -> HttpServer:
    """Build a server for a WSGI application; call `prepare`, `serve` and `stop`."""
    server = HttpServer(
        (address.host, address.port),
        application,
        numthreads=address.threads,
        server_name=parser.NAME,
        request_queue_size=128,
        timeout=parser.TIMEOUT,
        shutdown_timeout=DRAIN,
    )
    server.gateway = parser.WsgiGateway
    server.ConnectionClass = _Connection
    server.keep_alive_conn_limit = _IDLE_CONNECTIONS
    server.max_request_header_size = 64 * 1024
    if address.tls is not None:
        server.ssl_adapter = _Tls(address.tls)
    return server


class HttpServer(Server):
    """Gives a connection a thread only when octets have arrived.

    `timeout` is in seconds, for a request's head, for its body, and for an idle connection.
    """

    min_rate: float = parser.MIN_RATE
    """Octets that extend a deadline by one second."""

    def process_conn(self, conn: HTTPConnection) -> None:
        """See cheroot; called for new connections and for those with octets to read."""
        if conn.last_used is not None:
            super().process_conn(conn)
        elif self.can_add_keepalive_connection:
            self.put_conn(conn)
        else:
            log.warning("too many idle connections; closed that of %s", conn.remote_addr)
            conn.close()

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log a message of cheroot's in one line."""
        if isinstance(sys.exc_info()[1], ssl.SSLError):  # a client closed without TLS's farewell
            level, traceback = logging.INFO, False
        log.log(level, "%s", ascii(msg), exc_info=traceback)


class _Connection(parser.Connection):
    """Does the TLS handshake, if any, before the first request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._handshake_deadline = time.monotonic() + _HANDSHAKE_TIMEOUT
        self._linger_deadline: float | None = None
        """Until when to wait for the client to close; None: not lingering."""

    def communicate(self) -> bool:
        """See cheroot; True keeps the connection."""
        if self._linger_deadline is not None:
            return self._discard_input(self._linger_deadline)
        return self._continue() or (self.lingering and self._begin_lingering())

    def _continue(self) -> bool:
        if not isinstance(self.socket, ssl.SSLSocket) or self.ssl_env:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        try:
            self.ssl_env = _continue_handshake(
                self.socket, self._handshake_deadline, self.server.timeout
            )
        except ssl.SSLWantReadError:
            return True  # the handshake continues when more octets arrive
        except (OSError, ValueError) as error:
            self._refuse_handshake(error)
            return False
        return True  # the request is read when it arrives

    def _refuse_handshake(self, error: Exception) -> None:
        self.lingering = True
        log.info("TLS handshake with %s failed: %s", self.remote_addr, ascii(str(error)))
        if isinstance(error, ssl.SSLError) and error.reason == "HTTP_REQUEST":
            text = "this port speaks HTTPS only; begin the URL with https"
            octets = parser.format_error_response(HTTPStatus.BAD_REQUEST, text)
            with contextlib.suppress(OSError):  # the client has gone
                socket.socket.sendall(self.socket, octets)

    def _begin_lingering(self) -> bool:
        """Close our side and let the client read the error; True while its end is awaited.

        A connection closed with unread octets is reset, and the client would lose the last
        thing sent, an alert or a 413.
        """
        self._linger_deadline = time.monotonic() + _LINGER_TIMEOUT
        self.rfile.is_over = True
        try:
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
        except OSError:  # the client has gone
            return False
        self.socket.setblocking(False)
        return self._discard_input(self._linger_deadline)

    def _discard_input(self, until: float) -> bool:
        """Discard what has arrived; True to wait for more."""
        try:
            for _ in range(_PIECES):
                if not socket.socket.recv(self.socket, _PIECE):
                    return False
        except BlockingIOError:
            pass  # nothing more for now
        except OSError:  # the client has gone
            return False
        return time.monotonic() < until


class _Tls(Adapter):
    """TLS for cheroot, without a handshake on the accepting thread."""

    def __init__(self, contexts: TlsContextSource) -> None:
        self._contexts = contexts

    def bind(self, sock: socket.socket) -> socket.socket:
        """See cheroot."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        """See cheroot; `_Connection` does the handshake."""
        try:
            wrapped = self._contexts().wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
        except OSError as error:
            raise FatalSSLAlert(*error.args) from error
        return wrapped, {}

    def get_environ(self) -> dict[str, Any]:
        """See cheroot."""
        return {}

    def makefile(
        self, sock: ssl.SSLSocket, mode: str = "r", bufsize: int = io.DEFAULT_BUFFER_SIZE
    ) -> StreamReader | StreamWriter:
        """See cheroot."""
        file: StreamReader | StreamWriter = MakeFile(sock, mode, bufsize)
        return file


def _continue_handshake(sock: ssl.SSLSocket, deadline: float, timeout: float) -> dict[str, Any]:
    """Continue the handshake; at its end, the WSGI environ entries about it.

    Raises ssl.SSLWantReadError while the client has to send more, OSError (the base of
    ssl.SSLError) if the handshake fails.
    """
    if time.monotonic() > deadline:
        raise TimeoutError("the handshake took too long")
    sock.setblocking(False)
    try:
        sock.do_handshake()
    except ssl.SSLWantWriteError:  # rare: a handshake fits the socket's buffer
        sock.settimeout(1)
        sock.do_handshake()
    sock.settimeout(timeout)
    environ: dict[str, Any] = {"wsgi.url_scheme": "https"}
    der, certificate = sock.getpeercert(binary_form=True), sock.getpeercert()
    if der and certificate:
        expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        environ[CLIENT_CERTIFICATE] = ClientCertificate(certificate_fingerprint(der), expires)
    return environ
