"""The sockets: HTTP/1.1 in the clear or in TLS, by cheroot.

A connection has a thread only while something arrives on it: it waits for its
first octets, for each step of a TLS handshake, and after a refusal for its end,
without one.  So nobody who connects and says nothing keeps others out.

How requests are read is in `reading.py`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable
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
from tocsin.server.taxii.protocols import CLIENT_CERTIFICATE, ClientCertificate

log = logging.getLogger(__name__)

DRAIN = 60
"""Seconds that requests in hand have to finish when the hub stops."""
_HANDSHAKE = 10
"""Seconds from a connection to the end of its TLS handshake."""
_FAREWELL = 10
"""Seconds that a connection may take to end after a refusal."""
_PIECE, _PIECES = 64 * 1024, 16
"""Octets that are thrown away at once, and how many times before others have the thread."""
_IDLE_CONNECTIONS = 500
"""How many connections may wait for a request; those beyond are closed."""


TlsContextSource = Callable[[], ssl.SSLContext]
"""The TLS that a new connection is made with."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen."""

    host: str
    port: int
    """0: any free one."""
    threads: int
    """How many requests are answered at the same time."""
    tls: TlsContextSource | None = None
    """None: in the clear."""


def build_server(place: ListenAddress, application: object) -> HttpServer:
    """A server for a WSGI application: to `prepare`, `serve` and `stop`."""
    server = HttpServer(
        (place.host, place.port),
        application,
        numthreads=place.threads,
        server_name=parser.NAME,
        request_queue_size=128,
        timeout=parser.PATIENCE,
        shutdown_timeout=DRAIN,
    )
    server.gateway = parser.Gateway
    server.ConnectionClass = _Connection
    server.keep_alive_conn_limit = _IDLE_CONNECTIONS
    server.max_request_header_size = 64 * 1024
    if place.tls is not None:
        server.ssl_adapter = _Tls(place.tls)
    return server


class HttpServer(Server):
    """Hands a connection to a thread only once it has something to say.

    Its `timeout` is its patience with a head, with a body, and with silence.
    """

    pace: float = parser.PACE
    """Octets that buy another second."""

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
        """What cheroot has to say, in one line of the log."""
        if isinstance(sys.exc_info()[1], ssl.SSLError):  # somebody left without a word
            level, traceback = logging.INFO, False
        log.log(level, "%s", ascii(msg), exc_info=traceback)


class _Connection(parser.Connection):
    """Makes its TLS handshake, if there is one to be made, before its first request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._shaken_by = time.monotonic() + _HANDSHAKE
        self._gone_by: float | None = None
        """When to wait no longer for the end; None: it is not awaited."""

    def communicate(self) -> bool:
        """See cheroot; whether to keep the connection."""
        if self._gone_by is not None:
            return self._is_heard_out(self._gone_by)
        return self._goes_on() or (self.lingering and self._takes_leave())

    def _goes_on(self) -> bool:
        if not isinstance(self.socket, ssl.SSLSocket) or self.ssl_env:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        try:
            self.ssl_env = _shaken(self.socket, self._shaken_by, self.server.timeout)
        except ssl.SSLWantReadError:
            return True  # to come back with more of the handshake
        except (OSError, ValueError) as error:
            self._turn_away(error)
            return False
        return True  # to come back with a request

    def _turn_away(self, error: Exception) -> None:
        self.lingering = True
        log.info("no TLS with %s: %s", self.remote_addr, ascii(str(error)))
        if isinstance(error, ssl.SSLError) and error.reason == "HTTP_REQUEST":
            said = "this port speaks HTTPS only; begin the URL with https"
            octets = parser.refusal(HTTPStatus.BAD_REQUEST, said)
            with contextlib.suppress(OSError):  # it went away; there is nobody to be told
                socket.socket.sendall(self.socket, octets)

    def _takes_leave(self) -> bool:
        """Lets the other side read what it was told, and close; whether that is to be awaited.

        A connection that is closed with octets unread is reset, and what was sent
        last, an alert or a 413, is lost.
        """
        self._gone_by = time.monotonic() + _FAREWELL
        self.rfile.is_over = True
        try:
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
        except OSError:  # it went away
            return False
        self.socket.setblocking(False)
        return self._is_heard_out(self._gone_by)

    def _is_heard_out(self, until: float) -> bool:
        """Throws away what has arrived; whether to come back for more."""
        try:
            for _ in range(_PIECES):
                if not socket.socket.recv(self.socket, _PIECE):
                    return False
        except BlockingIOError:
            pass  # nothing more for now
        except OSError:  # it went away
            return False
        return time.monotonic() < until


class _Tls(Adapter):
    """TLS for cheroot, without its handshake on the thread that accepts."""

    def __init__(self, contexts: TlsContextSource) -> None:
        self._contexts = contexts

    def bind(self, sock: socket.socket) -> socket.socket:
        """See cheroot."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        """See cheroot; `_Connection` makes the handshake."""
        try:
            made = self._contexts().wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
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
        made: StreamReader | StreamWriter = MakeFile(sock, mode, bufsize)
        return made


def _shaken(sock: ssl.SSLSocket, until: float, patience: float) -> dict[str, Any]:
    """Goes on with the handshake; at its end, what the application may know of it.

    Raises ssl.SSLWantReadError while the other side is to say more, OSError
    (of which ssl.SSLError is one) if it fails.
    """
    if time.monotonic() > until:
        raise TimeoutError("the handshake took too long")
    sock.setblocking(False)
    try:
        sock.do_handshake()
    except ssl.SSLWantWriteError:  # rare: all that is said fits the socket's buffer
        sock.settimeout(1)
        sock.do_handshake()
    sock.settimeout(patience)
    environ: dict[str, Any] = {"wsgi.url_scheme": "https"}
    shown, told = sock.getpeercert(binary_form=True), sock.getpeercert()
    if shown and told:
        expires = ssl.cert_time_to_seconds(str(told["notAfter"]))
        environ[CLIENT_CERTIFICATE] = ClientCertificate(certificate_fingerprint(shown), expires)
    return environ
