"""One connection to a client: its states, its deadlines, the octets it holds in memory.

Everything here runs on the event loop's thread.  A connection has a thread of the pool only while
the application works for it; heads and bodies are read, and answers written, without one.

A client that sends or reads `min_rate` octets a second or more always has `timeout` seconds left;
a slower one comes nearer to its deadline.  So where room is needed, the connection nearest to its
deadline is closed: it is the slowest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol

from tocsin.server.http import parser
from tocsin.server.http.gateway import Answer, build_environ
from tocsin.server.http.parser import BodyReader, Fault, Head
from tocsin.server.http.tls import TlsSession

log = logging.getLogger(__name__)

_HANDSHAKE_TIMEOUT = 10
"""Seconds from the connection to the end of its TLS handshake."""
_LINGER_TIMEOUT = 10
"""Seconds that the client has to close its side after its last answer."""
_LINGER_AT_STOP = 1
"""The same when the hub stops."""
_WINDOW = 64 * 1024
"""Octets that are read ahead of a request that has not asked for them."""
_PIECE = 256 * 1024
"""Octets of an answer that are given to the socket at once."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of the connections, in all and by address."""

    timeout: float = 20
    """Seconds for a head, for a body, for an answer, and between two requests."""
    min_rate: float = 16 * 1024
    """Octets that extend a deadline by one second."""
    max_body: int = 10 * 1024 * 1024
    """Octets of a body that are read."""
    per_address: int = 100
    """Connections of one address."""
    unfinished_per_address: int = 32
    """Connections of one address that are in the middle of a head or a body."""
    total: int = 2000
    """Connections of all addresses."""
    max_held: int = 128 * 1024 * 1024
    """Octets of bodies and answers in memory."""


class ConnectionState(Enum):
    """The event that a connection waits for, and how long."""

    HANDSHAKE = "the end of the TLS handshake"  # 10 s
    IDLE = "the first octet of a request"  # timeout
    HEAD = "the rest of a head"  # timeout, extended by what arrives
    BODY = "the rest of a body"  # the same
    RUNNING = "the application's answer"  # no deadline
    WRITING = "the client to read the answer"  # timeout, extended by what it reads
    DISCARDING = "the rest of a body that nobody needs"  # timeout
    LINGERING = "the client to close"  # 10 s
    CLOSED = "nothing"


UNFINISHED = frozenset((ConnectionState.HEAD, ConnectionState.BODY))


class Front(Protocol):
    """The server, as a connection uses it."""

    limits: ConnectionLimits
    port: int

    def run(
        self, key: str, job: tuple[dict[str, Any], BodyReader], done: Callable[..., None]
    ) -> None:
        """Run the application on a thread; `done` is called with its answer on the loop's."""
        ...

    def release(self, connection: Connection) -> None:
        """Forget a connection that is closed and has no request running."""
        ...

    def limit_unfinished(self, key: str) -> None:
        """Close the slowest unfinished connections of an address beyond its limit."""
        ...

    def hold(self, octets: int) -> None:
        """Count octets that a connection holds in addition, or no longer."""
        ...


class Connection(asyncio.Protocol):
    """A client's connection, from accept to close."""

    def __init__(self, front: Front, key: str, peer: tuple[str, int]) -> None:
        """`key` is the address by which connections are limited."""
        self.key, self.peer = key, peer
        self.state = ConnectionState.IDLE
        self.deadline = time.monotonic() + front.limits.timeout
        self.held = 0
        """Octets of this connection in memory."""
        self._front, self._limits = front, front.limits
        self._transport: asyncio.Transport | None = None
        self._tls: TlsSession | None = None
        self._extra: dict[str, Any] = {}
        self._buffer = bytearray()
        self._scanned = 0
        """Octets of the buffer that are known not to end a head."""
        self._head: Head | None = None
        self._body = BodyReader(0, 0)
        self._environ: dict[str, Any] = {}
        self._answer: list[memoryview] = []
        """Pieces not yet given to the socket, the last one first."""
        self._unsent = 0
        """Octets of the answer that the socket has not taken."""
        self._is_running = self._is_blocked = self._is_paused = False
        self._closes = self._has_eof = False

    def use_tls(self, session: TlsSession) -> None:
        """Speak TLS on this connection; before it begins."""
        self._tls, self.state = session, ConnectionState.HANDSHAKE
        self.deadline = time.monotonic() + _HANDSHAKE_TIMEOUT

    @property
    def is_droppable(self) -> bool:
        """True unless the application works for it now."""
        return not self._is_running and self.state is not ConnectionState.CLOSED

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (for the type checker)
        self._transport = transport
        transport.set_write_buffer_limits(0)  # blocked means: not all octets are with the kernel
        if self.state is ConnectionState.CLOSED:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._close()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.state is ConnectionState.LINGERING:
            self._pause(True)  # until the next check: nobody waits for these octets
            return
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
        if data and self.state is not ConnectionState.CLOSED:
            self._extend_deadline(len(data))
            self._buffer += data
            self._advance()
        if self._tls is not None and self._tls.is_over and not self._has_eof:
            self._end_input()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`; True while there is something left to answer."""
        self._has_eof = True
        if (
            self.state in (ConnectionState.RUNNING, ConnectionState.BODY)
            and not self._body.complete
        ):
            self._body.fail()
        if self.state is ConnectionState.BODY:
            self._run()
        return self.state in (ConnectionState.RUNNING, ConnectionState.WRITING)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`.

        It goes on later: if the connection were closed within this call, asyncio would close it
        once more, and log that this fails.
        """
        self._is_blocked = False
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Write what is left, now that the socket has taken all octets."""
        if self._is_blocked or self._transport is None:
            return
        if self.state is ConnectionState.WRITING:
            self._write_pieces()
        elif self.state is ConnectionState.LINGERING:
            self._end_output()

    # Called by the server

    def check_deadline(self, now: float) -> None:
        """Close the connection if its time is over; called several times a second."""
        if self.state is ConnectionState.WRITING:
            self._count_sent()
        elif self.state is ConnectionState.LINGERING:
            self._pause(False)
        if self.deadline > now or self.state in (ConnectionState.RUNNING, ConnectionState.CLOSED):
            return
        if self.state in UNFINISHED:
            fault = Fault("the request took too long", HTTPStatus.REQUEST_TIMEOUT)
            self._refuse(fault)
        else:
            if self.state is ConnectionState.WRITING:
                log.info("closed the connection of %s: it reads too slowly", self.peer[0])
            self.drop()

    def drop(self) -> None:
        """Close at once, without notice."""
        if self._transport is not None:
            self._transport.abort()
        self._close()

    def retire(self) -> None:
        """Close as soon as the current request, if any, is answered and probably read."""
        self._closes = True
        if self.state is ConnectionState.LINGERING:
            if self.deadline < time.monotonic() + _LINGER_TIMEOUT - _LINGER_AT_STOP:
                self.drop()
        elif self.state not in (
            ConnectionState.RUNNING,
            ConnectionState.BODY,
            ConnectionState.WRITING,
        ):
            self.drop()

    def take_answer(self, answer: Answer | None) -> None:
        """Take the application's answer; None if it waits for the body."""
        self._is_running = False
        if self.state is ConnectionState.CLOSED:
            self._release()
        elif self.state is not ConnectionState.RUNNING:
            pass  # TLS has failed: from then on nothing is said here
        elif answer is not None:
            self._begin_answer(answer)
        elif self._body.complete:  # it has arrived in the meantime
            self._run()
        else:
            self._await_body()

    # Reading

    def _decrypt(self, tls: TlsSession, data: bytes) -> bytes:
        try:
            plain = tls.receive(data)
        except ssl.SSLError as error:
            self._fail_tls(tls, error)
            return b""
        self._send(tls.take_output())
        if self.state is ConnectionState.HANDSHAKE and tls.is_established:
            self._extra = tls.environ()
            self._become_idle()
        return plain

    def _end_input(self) -> None:
        """The client has ended its side of TLS, which is like the end of its octets."""
        if not self.eof_received() and self._transport is not None:
            self._transport.close()

    def _fail_tls(self, tls: TlsSession, error: ssl.SSLError) -> None:
        log.info("TLS with %s failed: %s", self.peer[0], ascii(str(error)))
        if error.reason == "HTTP_REQUEST":
            fault = Fault("this port speaks HTTPS only; begin the URL with https")
            self._send(parser.format_error_response(fault))
        else:
            self._send(tls.take_output())  # the alert
        self._tls = None
        self._linger()

    def _extend_deadline(self, octets: int) -> None:
        if self.state in (ConnectionState.HEAD, ConnectionState.BODY, ConnectionState.WRITING):
            full = time.monotonic() + self._limits.timeout
            self.deadline = min(self.deadline + octets / self._limits.min_rate, full)

    def _enter(self, state: ConnectionState) -> None:
        self.state = state
        self.deadline = time.monotonic() + self._limits.timeout

    def _advance(self) -> None:
        """Do what the buffer allows."""
        if self.state in (ConnectionState.IDLE, ConnectionState.HEAD):
            self._read_head()
        elif self.state in (
            ConnectionState.RUNNING,
            ConnectionState.BODY,
            ConnectionState.DISCARDING,
        ):
            self._read_body()
        self._regulate()

    def _read_head(self) -> None:
        if self._scanned < 2 and self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]  # an empty line before a request (RFC 9112 section 2.2)
            self._scanned = 0
        if not self._buffer:
            return
        try:
            end = 0 if self._buffer == b"\r" else parser.find_head(self._buffer, self._scanned)
            if not end:
                self._await_head()
                return
            head = parser.parse_head(bytes(self._buffer[:end]))
        except Fault as fault:
            self._refuse(fault)
            return
        del self._buffer[:end]
        self._begin_request(head)

    def _await_head(self) -> None:
        self._scanned = len(self._buffer)
        if self._has_eof:
            self._linger()
        elif self.state is ConnectionState.IDLE:
            self._enter(ConnectionState.HEAD)
            self._front.limit_unfinished(self.key)

    def _begin_request(self, head: Head) -> None:
        self._head, self._scanned = head, 0
        self._body = BodyReader(head.length, self._limits.max_body)
        self._body.feed(self._buffer)
        if self._has_eof and not self._body.complete:
            self._body.fail()
        self._closes = self._closes or not head.keeps_connection
        self._environ = build_environ(head, self.peer, self._front.port, self._extra)
        self._run()

    def _run(self) -> None:
        self.state, self._is_running = ConnectionState.RUNNING, True
        self._front.run(self.key, (self._environ, self._body), self.take_answer)

    def _await_body(self) -> None:
        """Read the body that the application asked for."""
        self._enter(ConnectionState.BODY)
        if self._head is not None and self._head.expects_continue and not self._body.octets:
            self._transmit(_CONTINUE)
        self._front.limit_unfinished(self.key)
        self._advance()

    def _read_body(self) -> None:
        if self._body.complete:
            return
        self._body.feed(self._buffer, keep=self.state is not ConnectionState.DISCARDING)
        if not self._body.complete:
            return
        if self.state is ConnectionState.BODY:
            self._run()
        elif self.state is ConnectionState.DISCARDING:
            if self._body.fault is not None:
                self.drop()
            else:
                self._become_idle()

    def _regulate(self) -> None:
        """Stop reading where enough octets wait, and count them."""
        if self.state is ConnectionState.CLOSED or self._transport is None:
            return
        ahead = len(self._buffer)
        if self.state is ConnectionState.RUNNING:
            ahead += len(self._body.octets)
        self._pause(
            self.state in (ConnectionState.RUNNING, ConnectionState.WRITING) and ahead >= _WINDOW
        )
        held = len(self._buffer) + len(self._body.octets) + self._unsent
        more, self.held = held - self.held, held
        self._front.hold(more)

    def _pause(self, paused: bool) -> None:
        if self._transport is None or paused is self._is_paused or self._has_eof:
            return
        self._is_paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Writing

    def _refuse(self, fault: Fault) -> None:
        """Answer an invalid request; the connection is closed afterwards."""
        log.info("invalid request from %s: %d %s", self.peer[0], fault.status, ascii(str(fault)))
        is_head = self._head is None and parser.is_head_request(self._buffer)
        octets = parser.format_error_response(fault, with_body=not is_head)
        self._begin_writing([octets], closes=True)

    def _begin_answer(self, answer: Answer) -> None:
        is_last = self._closes or answer.closes or (self._has_eof and not self._buffer)
        closes = is_last or not self._can_go_on()
        connection = "close" if closes else ""
        if not closes and self._head is not None and self._head.minor == 0:
            connection = "Keep-Alive"
        head = answer.head(parser.current_http_date(), connection)
        self._begin_writing([head, *answer.pieces], closes=closes)

    def _can_go_on(self) -> bool:
        """True if the next request can be found behind the body."""
        body = self._body
        if body.complete:
            return body.fault is None and not body.is_cut
        waits = self._head is not None and self._head.expects_continue
        return not waits and not body.is_chunked and (body.left or 0) <= _WINDOW

    def _begin_writing(self, pieces: list[bytes], *, closes: bool) -> None:
        self._closes = closes
        self._body.octets = bytearray()
        self._head, self._environ = None, {}
        self._enter(ConnectionState.WRITING)
        if len(pieces) > 1 and sum(map(len, pieces)) <= _PIECE:
            pieces = [b"".join(pieces)]
        self._answer = [memoryview(piece) for piece in reversed(pieces)]
        self._unsent = sum(map(len, pieces))
        self._write_pieces()

    def _write_pieces(self) -> None:
        """Give the socket pieces until it is full."""
        self._count_sent()
        while self._answer and not self._is_blocked and self._transport is not None:
            piece = self._answer.pop()
            if len(piece) > _PIECE:
                self._answer.append(piece[_PIECE:])
                piece = piece[:_PIECE]
            self._transmit(piece)
        self._count_sent()
        self._regulate()
        if not self._answer and not self._is_blocked and self.state is ConnectionState.WRITING:
            self._finish_answer()

    def _count_sent(self) -> None:
        """Extend the deadline by what the client's side has taken since the last call."""
        if self._transport is None:
            return
        unsent = sum(map(len, self._answer)) + self._transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._extend_deadline(self._unsent - unsent)
            self._unsent = unsent

    def _finish_answer(self) -> None:
        self._unsent = 0
        if self._closes:
            self._linger()
        elif self._body.complete:
            self._become_idle()
        else:
            self._enter(ConnectionState.DISCARDING)
            self._advance()

    def _become_idle(self) -> None:
        self._enter(ConnectionState.IDLE)
        self._body = BodyReader(0, 0)
        self._regulate()
        if self._buffer:
            self._advance()

    def _transmit(self, octets: bytes | memoryview) -> None:
        """Send, encrypted where there is TLS."""
        if self._tls is not None:
            octets = self._tls.encrypt(octets)
        self._send(octets)

    def _send(self, octets: bytes | memoryview) -> None:
        if octets and self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    # The end

    def _linger(self) -> None:
        """Close our side and let the client read its answer.

        A connection closed with unread octets is reset, and the client would lose the last
        thing sent, an alert or a 413.
        """
        if self._transport is None:
            return
        if self._tls is not None:
            self._send(self._tls.close_notify())
        self.state = ConnectionState.LINGERING
        self.deadline = time.monotonic() + _LINGER_TIMEOUT
        self._buffer.clear()
        self._answer, self._unsent = [], 0
        self._regulate()
        if self._has_eof:
            self._transport.close()
            return
        if not self._is_blocked:  # else once the socket has taken the last octets
            self._end_output()

    def _end_output(self) -> None:
        """Close the direction to the client, which may have gone.

        `write_eof` will not do: where the last octets had to wait, asyncio itself closes that
        direction once more, and logs the error of a client that has gone with its traceback.
        """
        assert self._transport is not None  # noqa: S101  (it is open)
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self.state = ConnectionState.CLOSED
        self._answer, self._buffer, self._unsent = [], bytearray(), 0
        if not self._is_running:
            self._release()

    def _release(self) -> None:
        self._body, self._environ = BodyReader(0, 0), {}
        self._front.hold(-self.held)
        self.held = 0
        self._front.release(self)
