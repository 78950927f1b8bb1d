"""Bounds on the response of a server that may be hostile: octets, seconds, the head, nesting.

A connection counts what it reads from its socket and keeps one deadline for a request and its
whole response, because the timeouts of urllib3 begin again with each octet that arrives.  SOCKS
proxies have connections of their own: only the bounds on the body hold there.  The body is
decompressed in small pieces, so that a short response cannot become a long one unseen.  A coding
that was not asked for is refused.  Knows nothing of TAXII.
"""

from __future__ import annotations

import io
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from itertools import islice
from socket import socket
from typing import Any, cast

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from tocsin.admission.errors import Unavailable
from tocsin.clients.public_addresses import NotPublic, find_public_addresses

ACCEPTED_CODING = "gzip"
"""The only content coding that is asked for."""
MAX_DEPTH = 100
"""Levels of nesting in JSON; Python's own parsers end at about a thousand."""
_MAX_HEAD = 64 * 1024
"""Octets before the body: status line, headers, interim responses."""
_MAX_ERROR_LENGTH = 1024 * 1024
"""Maximum length of the body of an error response, in octets; only its title and description are
read."""
_MAX_MEMBERS = 1000
"""Members of one gzip body (RFC 1952 section 2.2)."""
_PIECE = 64 * 1024

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(_STRING + rb"|[\[{]|[\]}]", re.DOTALL)
_QUOTE = ord('"')
_STRING_OR_VALUE = re.compile(_STRING + rb"|[,\[{]", re.DOTALL)


class ResponseRefused(Unavailable):
    """The client aborted the response, or refused to follow the server to another address."""


class ResponseTooLong(ResponseRefused):
    """The response is longer than the client reads."""


@dataclass(frozen=True, slots=True)
class ResponseBounds:
    """Bounds on each response of one kind."""

    max_length: int
    """Octets of the body after decompression."""
    seconds: float
    """Seconds to send the request and read its whole response, each time that it is sent."""
    advice: str = ""
    """Follows the message of ResponseTooLong; empty or beginning with `; `."""
    public_only: bool = False
    """Connect to public addresses only; a proxy, which connects itself, must enforce this."""

    def length_for(self, status: int) -> int:
        """The longest body of a response with this status, in octets."""
        if 200 <= status < 300:
            return self.max_length
        return min(self.max_length, _MAX_ERROR_LENGTH)

    def too_long(self, host: str, length: int) -> ResponseTooLong:
        """The error for a response with a body of more than `length` octets."""
        return ResponseTooLong(
            f"the response of {host} is longer than {length} octets{self.advice}"
        )

    def too_slow(self, host: str) -> ResponseRefused:
        """The error for a response that is not complete in time."""
        return ResponseRefused(
            f"{host} did not complete its response within {self.seconds:g} s; "
            "try again later, or raise response_timeout in client.toml if the line is slow"
        )


def bound_connections(manager: PoolManager, bounds: ResponseBounds) -> None:
    """Let every connection that `manager` opens keep to `bounds`."""
    classes = {"http": _Pool, "https": _SecurePool}
    manager.pool_classes_by_scheme = {
        scheme: cast(Any, partial(pool, bounds=bounds)) for scheme, pool in classes.items()
    }


class _BoundedConnection(HTTPConnection):
    """A connection with one deadline for each request and its response."""

    def __init__(self, *args: Any, bounds: ResponseBounds, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bounds = bounds
        self.deadline = time.monotonic() + bounds.seconds
        self.response_class = cast(Any, partial(_BoundedResponse, connection=self))

    def _new_conn(self) -> socket:
        """See urllib3; the address that was checked is the one that is connected to."""
        if not self.bounds.public_only or self.proxy is not None:
            return super()._new_conn()
        host = self._dns_host
        failure: HTTPError = NewConnectionError(self, "no address")
        try:
            addresses = find_public_addresses(host, self.port)
        except NotPublic as error:
            raise ResponseRefused(str(error)) from error
        except OSError as error:  # without a second look-up, which could have another answer
            raise NewConnectionError(self, f"the name cannot be found: {error}") from error
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
            finally:
                self._dns_host = host
        raise failure

    def connect(self) -> None:
        """See urllib3; a proxy's response is read meanwhile."""
        self.deadline = time.monotonic() + self.bounds.seconds
        super().connect()

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """See urllib3; the time of a request begins here."""
        self.deadline = time.monotonic() + self.bounds.seconds
        super().putrequest(*args, **kwargs)

    def send(self, data: Any) -> None:
        """See http.client."""
        if time.monotonic() > self.deadline:
            raise self.bounds.too_slow(self.host)
        super().send(data)


class _SecureConnection(_BoundedConnection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _BoundedResponse(HTTPResponse):
    """A response whose octets are counted as they arrive."""

    def __init__(self, sock: socket, *args: Any, connection: _BoundedConnection, **kw: Any) -> None:
        super().__init__(sock, *args, **kw)
        self._connection = connection
        raw = self.fp.detach()
        self._octets = _BoundedOctets(raw, sock, connection)
        self.fp = io.BufferedReader(self._octets)

    def begin(self) -> None:
        """See http.client."""
        super().begin()
        length = self._connection.bounds.length_for(self.status)
        self._octets.allow(2 * length + _MAX_HEAD)  # framing of chunks included


class _BoundedOctets(io.RawIOBase):
    """Raw stream of a socket that enforces the deadline and a maximum number of octets."""

    def __init__(self, raw: io.RawIOBase, sock: socket, connection: _BoundedConnection) -> None:
        self._raw = raw
        self._sock = sock
        self._bounds, self._host = connection.bounds, connection.host
        self._deadline = connection.deadline
        self._left = self._limit = _MAX_HEAD

    def allow(self, octets: int) -> None:
        """Set the number of octets that may still be read."""
        self._left = self._limit = octets

    def readable(self) -> bool:
        """See io."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See io; raises ResponseRefused."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise self._bounds.too_slow(self._host)
        idle = self._sock.gettimeout()
        self._sock.settimeout(seconds if idle is None else min(idle, seconds))
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            if time.monotonic() >= self._deadline:
                raise self._bounds.too_slow(self._host) from None
            raise
        finally:
            self._sock.settimeout(idle)
        self._left -= count or 0
        if self._left < 0:
            raise self._bounds.too_long(self._host, self._limit)
        return count

    def close(self) -> None:
        """See io."""
        self._raw.close()
        super().close()


def read_body(pieces: Iterable[bytes], coding: str, max_length: int) -> bytearray | None:
    """The body that arrives in `pieces`, decoded; None if it is longer than `max_length` octets.

    Raises ResponseRefused if it is not in the content coding that `coding` names.
    """
    body = bytearray()
    for piece in _decode(pieces, coding.strip().lower()):
        body += piece
        if len(body) > max_length:
            return None
    return body


def _decode(pieces: Iterable[bytes], coding: str) -> Iterable[bytes]:
    if coding in ("", "identity"):
        return pieces
    if coding in (ACCEPTED_CODING, f"x-{ACCEPTED_CODING}"):
        return _gunzip(pieces)
    raise ResponseRefused(
        f"the response has the content coding {ascii(coding[:40])}, "
        f"but the client asked for {ACCEPTED_CODING}; tell the operator of the server"
    )


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a gzip body, in pieces of bounded length.

    An empty body passes: servers set the header on errors without a body too.
    """
    members, member = 1, zlib.decompressobj(zlib.MAX_WBITS | 16)
    is_empty = True
    try:
        for piece in pieces:
            rest, is_empty = piece, False
            while rest:
                if member.eof:
                    members, member = members + 1, zlib.decompressobj(zlib.MAX_WBITS | 16)
                yield from _inflate(member, rest)
                rest = member.unused_data
                if members > _MAX_MEMBERS:
                    raise zlib.error("too many members")
        if not member.eof and not is_empty:
            raise zlib.error("the end is missing")
    except zlib.error as error:
        raise ResponseRefused(
            f"a response is declared as gzip but cannot be decompressed ({error}); try again later"
        ) from error


def _inflate(member: Any, octets: bytes) -> Iterator[bytes]:
    while True:
        piece = member.decompress(octets, _PIECE)
        yield piece
        octets = member.unconsumed_tail
        if not octets and len(piece) < _PIECE:
            return


def is_too_deep(document: bytes | bytearray) -> bool:
    """True if JSON is nested too deeply.  Counting brackets nearly always suffices."""
    if document.count(b"{") + document.count(b"[") <= MAX_DEPTH:
        return False
    return any(depth > MAX_DEPTH for depth in _opened_depths(document))


def holds_more_objects(envelope: bytes | bytearray, count: int) -> bool:
    """True if an envelope has more than `count` objects or lists at the third level; up to twice as
    many pass if both kinds occur."""
    if envelope.count(b"{") <= count and envelope.count(b"[") <= count:
        return False
    for depth in _opened_depths(envelope):
        count -= depth == 3
        if count < 0:
            return True
    return False


def holds_more_values(document: bytes | bytearray, count: int) -> bool:
    """True if JSON has more than `count` commas, objects and lists outside of strings."""
    if len(document) <= count or sum(map(document.count, (b",", b"{", b"["))) <= count:
        return False
    tokens = _STRING_OR_VALUE.finditer(document)
    values = (token for token in tokens if document[token.start()] != _QUOTE)
    return next(islice(values, count, None), None) is not None


def _opened_depths(document: bytes | bytearray) -> Iterator[int]:
    """The depth of each object and list, in order; the outermost has 1."""
    depth = 0
    for token in _TOKEN.finditer(document):
        kind = document[token.start()]
        if kind in b"[{":
            depth += 1
            yield depth
        elif kind in b"]}":
            depth -= 1
