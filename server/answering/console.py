"""The console in a process of its own, so that no page of it takes time from pollers.

The processes that answer requests hand those for the console over a socket of this machine, as
messages of MessagePack: the WSGI environ's strings and the body to the console; status, headers
and body back.  The console may ask for the body by answering nil, so that it can refuse by the
head alone.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import msgspec

from tocsin.server.http.gateway import Application, run_application

log = logging.getLogger(__name__)

_SOCKET = "console"
"""The name of the socket in the folder that the hub's processes share."""
_BACKLOG = 64
_LOOK_SECONDS = 0.5
"""Seconds after which the thread that accepts looks if it has to stop."""
_ANSWER_SECONDS = 120
"""Seconds after which a page is given up."""


class _Answer(msgspec.Struct, array_like=True):
    status: str
    headers: list[tuple[str, str]]
    body: bytes


_decode_request = msgspec.msgpack.Decoder(tuple[dict[str, str], bytes | None]).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer | None).decode
_encode = msgspec.msgpack.Encoder().encode


def console_socket() -> socket.socket:
    """A socket for the console, which its process can inherit before it has a path."""
    return socket.socket(socket.AF_UNIX)


def bind_console(unbound: socket.socket, folder: Path) -> str:
    """Let the console be reached in a folder that is its owner's; the path.  Raises OSError."""
    path = str(folder / _SOCKET)
    unbound.bind(path)
    unbound.listen(_BACKLOG)
    return path


class RemoteConsole:
    """A WSGI application that lets the console's process answer."""

    def __init__(self, path: str) -> None:
        """`path` is that of the console's socket."""
        self._path = path
        self._idle = queue.SimpleQueue[Connection]()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer; 503 while the console's process is being replaced."""
        head = {name: value for name, value in environ.items() if isinstance(value, str)}
        try:
            answer = self._ask(head, None)
            if answer is None:
                answer = self._ask(head, environ["wsgi.input"].read())
        except (OSError, EOFError, ValueError) as error:
            log.warning("the console did not answer: %s", type(error).__name__)
            answer = None
        if answer is None:
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "2")]
            answer = _Answer("503 Service Unavailable", headers, _UNAVAILABLE)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _ask(self, head: dict[str, str], body: bytes | None) -> _Answer | None:
        """The console's answer; None if it needs the body.  Raises OSError or EOFError."""
        connection = self._send(_encode((head, body)))
        try:
            if not connection.poll(_ANSWER_SECONDS):
                raise TimeoutError
            answer: _Answer | None = _decode_answer(connection.recv_bytes())
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)
        return answer

    def _send(self, message: bytes) -> Connection:
        """Send a request over an idle connection, or else a new one."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                break
            try:
                connection.send_bytes(message)
            except OSError:  # it was of a process that has ended
                connection.close()
            else:
                return connection
        connection = Client(self._path, "AF_UNIX")
        connection.send_bytes(message)
        return connection


_UNAVAILABLE = b"The console cannot be reached. Try again in a moment.\n"


@dataclass(slots=True)
class _Body:
    """See `gateway.Body`: there from the start, or not at all."""

    octets: bytes
    complete: bool
    fault: Exception | None = None


class ConsoleServer:
    """Answers what `RemoteConsole` hands over, with a thread for each connection."""

    def __init__(self, bound: socket.socket, application: Application) -> None:
        self._socket, self._application = bound, application
        self._stopping = threading.Event()
        self._accepting = threading.Thread(target=self._accept, name="console", daemon=True)
        self._busy = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        """Accept connections, on a thread of its own."""
        self._accepting.start()

    def stop(self, seconds: float) -> None:
        """Accept no more connections; wait until what was begun is answered."""
        self._stopping.set()
        with suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(_LOOK_SECONDS)
            knock.connect(self._socket.getsockname())  # so that the thread looks now
        self._accepting.join(seconds)
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0, seconds)

    def _accept(self) -> None:
        self._socket.settimeout(_LOOK_SECONDS)
        while not self._stopping.is_set():
            try:
                self._accept_one()
            except TimeoutError:
                continue
            except (OSError, RuntimeError) as error:  # no descriptor or no thread left, for now
                log.warning("the console cannot take a request: %s", error)
                self._stopping.wait(_LOOK_SECONDS)

    def _accept_one(self) -> None:
        accepted, _ = self._socket.accept()
        with accepted:
            accepted.setblocking(True)
            connection = Connection(os.dup(accepted.fileno()))
        try:
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except RuntimeError:
            connection.close()
            raise

    def _serve(self, connection: Connection) -> None:
        with suppress(OSError, EOFError), connection:
            while True:
                request = connection.recv_bytes()
                self._count(1)
                try:
                    connection.send_bytes(self._answer(request))
                finally:
                    self._count(-1)

    def _answer(self, request: bytes) -> bytes:
        head, body = _decode_request(request)
        environ: dict[str, Any] = head | _SAME_FOR_ALL
        given = _Body(body or b"", complete=body is not None or not _has_body(head))
        answer = run_application(self._application, environ, given)
        if answer is None:
            return _encode(None)
        return _encode(_Answer(answer.status, answer.headers, b"".join(answer.pieces)))

    def _count(self, change: int) -> None:
        with self._changed:
            self._busy += change
            self._changed.notify_all()


_SAME_FOR_ALL = {
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


def _has_body(head: dict[str, str]) -> bool:
    return head.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in head
