"""Between a parsed request and the WSGI application (PEP 3333), on the threads that work.

The application never waits for a client.  It is run as soon as a head is complete, so that it
can refuse by the head alone.  If it reads a body that has not arrived, `BodyPending` ends that
run, and it is run again, with the same environ, when the body is complete.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from itertools import chain
from typing import Any, Protocol

from tocsin.server.http.parser import NAME, Fault, Head, format_error_response
from tocsin.server.processes.nonblocking import WouldBlock

log = logging.getLogger(__name__)

Environ = dict[str, Any]
"""A WSGI environ (PEP 3333)."""
Application = Callable[[Environ, Any], Iterable[bytes]]
"""A WSGI application."""

_MAX_CACHED_NAME = 64
"""Octets of a field's name up to which its key in the environ is cached."""
_SAFE_HEADER = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Body(Protocol):
    """The body of a request, of which the rest may still arrive; see `parser.BodyReader`."""

    @property
    def complete(self) -> bool:
        """True if nothing more arrives."""
        ...

    @property
    def octets(self) -> bytes | bytearray:
        """The part that has arrived."""
        ...

    @property
    def fault(self) -> Exception | None:
        """Why it is malformed or cut off."""
        ...


class BodyPending(BaseException):
    """The application needs a body that has not arrived; no error handler must catch this."""


class _Input(io.RawIOBase):
    """`wsgi.input`: the body, once it is complete.

    Reading raises BodyPending before that; where the body is malformed or cut off, ValueError or
    OSError.
    """

    def __init__(self, body: Body) -> None:
        self._body, self._at = body, 0

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        if not self._body.complete:
            raise BodyPending
        piece = self._body.octets[self._at : self._at + len(buffer)]
        if not piece and self._body.fault is not None:
            raise self._body.fault
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


@dataclass(slots=True)
class Answer:
    """The application's response."""

    status: str = "500 Internal Server Error"
    headers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)

    @property
    def closes(self) -> bool:
        """True if the application asks to close the connection."""
        return any(n.lower() == "connection" and v.lower() == "close" for n, v in self.headers)

    def head(self, date: str, connection: str) -> bytes:
        """The status line and header fields; `connection` "" where there is nothing to say."""
        names = {name.lower() for name, _ in self.headers}
        lines = [f"HTTP/1.1 {self.status}"]
        lines += (f"{name}: {value}" for name, value in self.headers)
        if "content-length" not in names and not self.status.startswith(("1", "204", "304")):
            lines.append(f"Content-Length: {sum(map(len, self.pieces))}")
        if "date" not in names:
            lines.append(f"Date: {date}")
        if "server" not in names:
            lines.append(f"Server: {NAME}")
        if connection and "connection" not in names:
            lines.append(f"Connection: {connection}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def build_environ(
    head: Head, peer: tuple[str, int], port: int, connection: dict[str, Any]
) -> dict[str, Any]:
    """The WSGI environ without its input; `connection` has what TLS knows."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path.decode("latin-1"),
        "QUERY_STRING": head.query.decode("latin-1"),
        "REQUEST_URI": head.target.decode("latin-1"),
        "SERVER_NAME": NAME,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/1.{head.minor}",
        "SERVER_SOFTWARE": NAME,
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in head.fields.items():
        convert = _cached_environ_key if len(name) <= _MAX_CACHED_NAME else _environ_key
        environ[convert(name)] = value.decode("latin-1")
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if f"HTTP_{key}" in environ:
            environ[key] = environ.pop(f"HTTP_{key}")
    return environ | connection


def _environ_key(name: bytes) -> str:
    return f"HTTP_{name.decode('ascii').upper().replace('-', '_')}"


_cached_environ_key = lru_cache(maxsize=256)(_environ_key)


def run_application(application: Application, environ: dict[str, Any], body: Body) -> Answer | None:
    """The application's answer; None if it needs the body, which is incomplete.

    Also None on the thread of the event loop, if it would have to wait.
    """
    environ["wsgi.input"] = _Input(body)
    try:
        return _call(application, environ)
    except (BodyPending, WouldBlock) as end:
        end.__traceback__ = None  # a frame on it keeps the exception, and with it the page
        return None
    except BaseException:  # nothing may end the thread, which serves others too
        log.exception("the application failed")
        answer = _server_error()
        if environ["REQUEST_METHOD"] == "HEAD":
            answer.pieces.clear()
        return answer


def _call(application: Application, environ: dict[str, Any]) -> Answer:
    answer = Answer()

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], None]:
        answer.status, answer.headers = status, list(headers)
        return answer.pieces.append

    found = application(environ, start_response)
    try:
        answer.pieces.extend(piece for piece in found if piece)
    finally:
        close = getattr(found, "close", None)
        if close is not None:
            close()
    if environ["REQUEST_METHOD"] == "HEAD":
        answer.headers = _with_length(answer)
        answer.pieces.clear()
    texts = chain((answer.status,), chain.from_iterable(answer.headers))
    if not _SAFE_HEADER.fullmatch("".join(texts)):
        raise ValueError("the application answered with a control character in its head")
    return answer


def _with_length(answer: Answer) -> list[tuple[str, str]]:
    """The headers, with the length that the answer to GET would have."""
    if answer.pieces and all(name.lower() != "content-length" for name, _ in answer.headers):
        return [*answer.headers, ("Content-Length", str(sum(map(len, answer.pieces))))]
    return answer.headers


def _server_error() -> Answer:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    head, _, body = format_error_response(Fault("", status)).partition(b"\r\n\r\n")
    fields = (line.partition(": ") for line in head.decode("ascii").split("\r\n")[1:])
    headers = [(name, value) for name, _, value in fields]
    return Answer(f"{status.value} {status.phrase}", headers, [body])


class WorkerPool:
    """Threads that run the application.

    Waiting requests are taken in turn over `key`, the client's address: many requests of one
    client do not delay the one of another.
    """

    def __init__(self, threads: int) -> None:
        self._jobs: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"http-{n}", daemon=True)
            for n in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, key: Hashable, job: Callable[[], None]) -> None:
        """Run `job`, which raises nothing, on one of the threads."""
        with self._changed:
            self._jobs.setdefault(key, deque()).append(job)
            self._changed.notify()

    def stop(self, timeout: float) -> None:
        """End the threads after their present job; wait for all `timeout` seconds at most."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout / len(self._threads))

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job()
            del job  # it holds the request's body, which an idle thread would keep

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._jobs:
                if self._stopping:
                    return None
                self._changed.wait()
            key, waiting = self._jobs.popitem(last=False)
            job = waiting.popleft()
            if waiting:
                self._jobs[key] = waiting  # at the end: the others come first
            return job
