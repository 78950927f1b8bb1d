"""Send one request and read its response from an untrusted server.

A response has a deadline and a maximum length; it is cut off beyond these.
Redirects are reported, not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MEDIA_TYPE = "application/taxii+json;version=2.1"

_CHUNK_OCTETS = 64 * 1024
_HIDDEN = frozenset({"authorization"})
_USUAL = frozenset({"authorization", "user-agent", "accept"})


class Unreachable(Exception):
    """There was no response; the text says why, and to which request."""


class InvalidJson(Exception):
    """A body is not JSON."""


@dataclass(frozen=True, slots=True)
class Target:
    """Address of a server."""

    scheme: str
    host: str
    port: int
    timeout: float
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    max_body: int = 32 * 1024 * 1024
    """Octets that are read of a body."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request; apart from Host and the length, only the given headers are sent."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    chunked: bool = False

    def lines(self) -> list[str]:
        """The request for display, without credentials and body."""
        shown = {n: "…" if n.lower() in _HIDDEN else v for n, v in self.headers.items()}
        return self._format_lines([f"{n}: {v}" for n, v in shown.items()])

    def short_lines(self) -> list[str]:
        """The request without the headers that all requests have."""
        headers = [f"{n}: {v}" for n, v in self.headers.items() if n.lower() not in _USUAL]
        accept = self.headers.get("Accept")
        if accept != MEDIA_TYPE:
            headers.insert(0, f"Accept: {accept}" if accept else "no Accept")
        return self._format_lines(headers)

    def _format_lines(self, headers: list[str]) -> list[str]:
        lines = [f"{self.method} {self.path}", *headers]
        if self.body is not None:
            lines.append(f"({len(self.body)} octets{', in chunks' if self.chunked else ''})")
        return lines


@dataclass(frozen=True, slots=True)
class Response:
    """Response of a server."""

    request: Request
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    @property
    def is_taxii(self) -> bool:
        """True if the body is declared as TAXII 2.1."""
        return is_taxii_media_type(self.header("Content-Type"))

    @property
    def json(self) -> Any:
        """The body; InvalidJson if it is none, or more than JSON allows (NaN, a name twice)."""
        try:
            return json.loads(self.body, parse_constant=_constant, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise InvalidJson(str(error)[:200]) from error

    @property
    def resource(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one if it is none."""
        try:
            found = self.json
        except InvalidJson:
            return {}
        return found if isinstance(found, dict) else {}

    def items(self, name: str) -> list[Any]:
        """A list of the resource; empty if it is none."""
        found = self.resource.get(name)
        return found if isinstance(found, list) else []

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects or records of an envelope or manifest."""
        return [each for each in self.items("objects") if isinstance(each, dict)]

    @property
    def ids(self) -> list[str]:
        """Their ids."""
        return [str(each.get("id")) for each in self.objects]


def is_taxii_media_type(content_type: str | None) -> bool:
    """True if a Content-Type is that of TAXII 2.1.

    >>> is_taxii_media_type("application/taxii+json; version=2.1")
    True
    >>> is_taxii_media_type("application/taxii+json")
    False
    """
    type, *parameters = (content_type or "").lower().replace(" ", "").split(";")
    return type == "application/taxii+json" and (
        "version=2.1" in parameters or 'version="2.1"' in parameters
    )


def send_request(target: Target, asked: Request) -> Response:
    """Ask once, over a connection of its own.

    Raises Unreachable if nothing that is HTTP comes back in time.
    """
    line = _line(target)
    late = threading.Event()
    clock = threading.Timer(target.timeout, _cut, (line, late))
    clock.daemon = True
    try:
        clock.start()
        line.connect()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            _send(line, asked)  # an answer may come, and the line go, before all is sent
        answer = _answer(line, asked, target.max_body)
        if late.is_set():
            raise TimeoutError
        return answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        timed_out = late.is_set() or isinstance(error, TimeoutError)
        why = f"no answer within {target.timeout:g} s" if timed_out else _plain(error)
        raise Unreachable(f"{asked.method} {asked.path}: {why}") from error
    finally:
        clock.cancel()
        line.close()


def _line(target: Target) -> http.client.HTTPConnection:
    if target.tls is None:
        return http.client.HTTPConnection(target.host, target.port, timeout=target.timeout)
    return http.client.HTTPSConnection(
        target.host, target.port, timeout=target.timeout, context=target.tls
    )


def _cut(line: http.client.HTTPConnection, late: threading.Event) -> None:
    """Ends an exchange that takes too long, however steadily it drips."""
    late.set()
    sock = line.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(2)


def _send(line: http.client.HTTPConnection, asked: Request) -> None:
    line.putrequest(asked.method, asked.path, skip_accept_encoding=True)
    for name, value in asked.headers.items():
        line.putheader(name, value)
    line.putheader("Connection", "close")
    if asked.body is None:
        line.endheaders()
    elif asked.chunked:
        line.putheader("Transfer-Encoding", "chunked")
        line.endheaders()
        for piece in _pieces(asked.body):
            line.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        line.send(b"0\r\n\r\n")
    else:
        line.putheader("Content-Length", str(len(asked.body)))
        line.endheaders()
        for piece in _pieces(asked.body):
            line.send(piece)


def _pieces(body: bytes) -> Iterable[bytes]:
    return (body[at : at + _CHUNK_OCTETS] for at in range(0, len(body), _CHUNK_OCTETS))


def _answer(line: http.client.HTTPConnection, asked: Request, longest: int) -> Response:
    found = line.response_class(line.sock, method=asked.method)
    try:
        found.begin()
        body = b"" if asked.method == "HEAD" else found.read(longest)
        headers = tuple((name, _plain(value)) for name, value in found.getheaders())
        return Response(asked, found.status, headers, body)
    finally:
        found.close()


def _plain(text: object) -> str:
    """Text from the other end, fit for a terminal."""
    return re.sub(r"[^\x20-\x7e\xa1-\uffff]", "?", str(text) or type(text).__name__)


def _constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found
