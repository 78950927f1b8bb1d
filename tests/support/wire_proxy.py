"""A proxy between a driver and its database that counts, delays, fails and loses commands.

It reads MongoDB's wire protocol (OP_MSG), so a test can say what happens to which command: that
its reply is lost, that it is answered by an error, that it takes long.  So the store can be shown
the faults of a replica set without one.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import bson
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

Document = dict[str, Any]

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
_BODY = 0
_PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class Command:
    """A command that passed the proxy."""

    name: str
    target: str
    """The collection that it is about; empty if it is about none."""
    document: Document
    """Without the documents of a separate section."""

    @property
    def begins_transaction(self) -> bool:
        """True if it is the first of a transaction."""
        return self.document.get("startTransaction") is True


@dataclass(slots=True)
class Fault:
    """A fault that happens to the next commands of a name; each of them is one of `times`."""

    name: str
    target: str = ""
    """The collection; empty: any."""
    times: int = 1
    delay: float = 0.0
    """Seconds that the command waits before it reaches the database."""
    forwarded: bool = True
    """False if the database does not get the command."""
    rewrite: Callable[[Document], Document] | None = None
    """Makes the command that the database gets."""
    closes: bool = False
    """True if the connection ends in place of the reply."""
    change: Callable[[Document], Document] | None = None
    """Makes the reply out of the database's own, or of an empty one."""
    met: int = 0
    """How many commands it has met."""

    def matches(self, command: Command) -> bool:
        """True if it is due for this command."""
        return (
            self.met < self.times
            and command.name == self.name
            and self.target in ("", command.target)
        )


def error_reply(code: int, *labels: str, message: str = "made by the proxy") -> Document:
    """The document by which a database refuses a command."""
    reply: Document = {"ok": 0.0, "errmsg": message, "code": code, "codeName": f"Code{code}"}
    return reply | ({"errorLabels": list(labels)} if labels else {})


def with_write_concern_error(code: int, *labels: str) -> Callable[[Document], Document]:
    """A change of a reply: it was done, but a majority has not confirmed it."""

    def change(reply: Document) -> Document:
        error = {"code": code, "codeName": f"Code{code}", "errmsg": "made by the proxy"}
        labelled: Document = {"errorLabels": list(labels)} if labels else {}
        return reply | {"writeConcernError": error} | labelled

    return change


@dataclass(eq=False)
class WireProxy:
    """A running proxy; `uri` leads through it."""

    uri: str
    _server: tuple[str, int]
    _listener: socket.socket
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _commands: list[Command] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _open: set[socket.socket] = field(default_factory=set)
    _silent: bool = False

    @property
    def commands(self) -> Sequence[Command]:
        """The commands since `clear`, without the driver's own business of its connections."""
        with self._lock:
            return [each for each in self._commands if each.name not in _OWN_BUSINESS]

    @property
    def faults(self) -> Sequence[Fault]:
        """The faults that were added since `clear`."""
        return tuple(self._faults)

    def count(self, name: str, target: str = "") -> int:
        """How many commands of a name have passed since `clear`."""
        return sum(each.name == name and target in ("", each.target) for each in self.commands)

    def attempts(self) -> int:
        """How many transactions were begun since `clear`."""
        return sum(each.begins_transaction for each in self.commands)

    def clear(self) -> None:
        """Forget what has passed, and all faults."""
        with self._lock:
            self._commands.clear()
            self._faults.clear()

    def add(self, fault: Fault) -> Fault:
        """Let a fault meet the next commands."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def fail(
        self, name: str, code: int, *labels: str, times: int = 1, forwarded: bool = False
    ) -> Fault:
        """Answer commands by an error; with `forwarded` the database has done what they say."""
        reply = error_reply(code, *labels)
        return self.add(_undone(Fault(name, times=times, change=lambda _: reply), forwarded))

    def close(self, name: str, *, times: int = 1, forwarded: bool = True) -> Fault:
        """End the connection in place of a reply; with `forwarded` the command was done."""
        return self.add(_undone(Fault(name, times=times, closes=True), forwarded))

    def change(self, name: str, change: Callable[[Document], Document], *, times: int = 1) -> Fault:
        """Change the replies of commands."""
        return self.add(Fault(name, times=times, change=change))

    def delay(self, name: str, seconds: float, *, times: int = 1, target: str = "") -> Fault:
        """Let commands wait before they reach the database."""
        return self.add(Fault(name, target, times=times, delay=seconds))

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Answer nothing and close nothing, as a stopped process does."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    def stop(self) -> None:
        """End all connections."""
        self._silent = False
        _close(self._listener)
        with self._lock:
            for each in list(self._open):
                _close(each)

    def serve(self) -> None:
        """Accept connections until `stop`."""
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._server)
                pair = _Pair(self, client, server)
                with self._lock:
                    self._open |= {client, server}
                for pump in (pair.pump_commands, pair.pump_replies):
                    threading.Thread(target=pump, daemon=True).start()

    def note(self, command: Command) -> Fault | None:
        """Remember a command; the fault that it meets."""
        with self._lock:
            self._commands.append(command)
            fault = next((each for each in self._faults if each.matches(command)), None)
            if fault is not None:
                fault.met += 1
            return fault

    def wait_while_silent(self) -> None:
        """Return when the proxy speaks."""
        while self._silent:
            time.sleep(_PAUSE)

    def forget(self, *sockets: socket.socket) -> None:
        """Close sockets."""
        with self._lock:
            self._open -= set(sockets)
        for each in sockets:
            _close(each)


_OWN_BUSINESS = {"hello", "isMaster", "ismaster", "saslStart", "saslContinue", "endSessions"}


@dataclass(eq=False)
class _Pair:
    """One connection of a driver, with its own to the database."""

    proxy: WireProxy
    client: socket.socket
    server: socket.socket
    _due: dict[int, Fault] = field(default_factory=dict)
    """Faults of replies, by the request that they answer."""

    def pump_commands(self) -> None:
        """Pass the driver's messages on."""
        try:
            while (message := _receive(self.client)) is not None:
                self.proxy.wait_while_silent()
                self._pass(message)
        except OSError:
            pass  # one of both has closed it
        finally:
            self.proxy.forget(self.client, self.server)

    def pump_replies(self) -> None:
        """Pass the database's messages back."""
        try:
            while (message := _receive(self.server)) is not None:
                self.proxy.wait_while_silent()
                fault = self._due.pop(_HEADER.unpack_from(message)[2], None)
                if fault is not None and fault.closes:
                    return
                if fault is not None and fault.change is not None:
                    message = _replace_body(message, fault.change)
                self.client.sendall(message)
        except OSError:
            pass  # one of both has closed it
        finally:
            self.proxy.forget(self.client, self.server)

    def _pass(self, message: bytes) -> None:
        document = _read_body(message)
        fault = self.proxy.note(_command_of(document)) if document else None
        if fault is None:
            self.server.sendall(message)
            return
        time.sleep(fault.delay)
        request = _HEADER.unpack_from(message)[1]
        if fault.forwarded:
            self._due[request] = fault
            rewrite = fault.rewrite
            self.server.sendall(_replace_body(message, rewrite) if rewrite else message)
        elif fault.closes:
            self.proxy.forget(self.client, self.server)
        else:
            reply = fault.change({"ok": 1.0}) if fault.change else {"ok": 1.0}
            self.client.sendall(_message(reply, response_to=request))


@contextmanager
def wire_proxy(uri: str) -> Iterator[WireProxy]:
    """Run a proxy before the server, or before the primary of the replica set, at `uri`."""
    with MongoClient[Document](uri) as client:
        client.admin.command("ping")
        server = client.address
    assert server is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        proxy = WireProxy(_lead_through(uri, port), server, listener)
        thread = threading.Thread(target=proxy.serve, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.stop()
            thread.join(10)


def _lead_through(uri: str, port: int) -> str:
    """The URI with the proxy's address, without what would lead around it."""
    options = dict(each.split("=", 1) for each in uri.partition("?")[2].split("&") if "=" in each)
    options.pop("replicaSet", None)
    parsed = parse_uri(uri)
    user = f"{parsed['username']}:{parsed['password']}@" if parsed["username"] else ""
    return f"mongodb://{user}127.0.0.1:{port}/?{urlencode(options | {'directConnection': 'true'})}"


def _command_of(document: Mapping[str, Any]) -> Command:
    name = next(iter(document))
    target = document[name]
    if name == "getMore":
        target = document["collection"]
    return Command(name, target if isinstance(target, str) else "", dict(document))


def _undone(fault: Fault, forwarded: bool) -> Fault:
    """The fault, of commands that were not done; a commit that failed has undone its writes."""
    if not forwarded and fault.name == "commitTransaction":
        return replace(fault, rewrite=as_abort)
    return replace(fault, forwarded=forwarded)


def as_abort(commit: Document) -> Document:
    """The command that gives up the transaction which another one would keep."""
    return {"abortTransaction": 1, **_of_transaction(commit)}


def as_commit(abort: Document) -> Document:
    """The command that keeps the transaction which another one would give up."""
    return {"commitTransaction": 1, **_of_transaction(abort)}


def _of_transaction(command: Document) -> Document:
    return {name: command[name] for name in ("lsid", "txnNumber", "autocommit", "$db")}


def _receive(connection: socket.socket) -> bytes | None:
    """The next message; None at the end of the connection."""
    head = _receive_exactly(connection, 4)
    if head is None:
        return None
    rest = _receive_exactly(connection, struct.unpack("<i", head)[0] - 4)
    return None if rest is None else head + rest


def _receive_exactly(connection: socket.socket, octets: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < octets:
        part = connection.recv(octets - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _sections(message: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, begin and end of each section of an OP_MSG; nothing for other messages."""
    if _HEADER.unpack_from(message)[3] != _OP_MSG:
        return
    at = _HEADER.size + 4
    end = len(message) - (4 if message[_HEADER.size] & 1 else 0)  # a checksum
    while at < end:
        (length,) = struct.unpack_from("<i", message, at + 1)
        yield message[at], at + 1, at + 1 + length
        at += 1 + length


def _read_body(message: bytes) -> Document:
    for kind, begin, end in _sections(message):
        if kind == _BODY:
            return dict(bson.decode(message[begin:end]))
    return {}


def _replace_body(message: bytes, change: Callable[[Document], Document]) -> bytes:
    _, request, response_to, _ = _HEADER.unpack_from(message)
    return _message(change(_read_body(message)), request=request, response_to=response_to)


def _message(body: Document, *, request: int = 0, response_to: int = 0) -> bytes:
    content = struct.pack("<iB", 0, _BODY) + bson.encode(body)
    return _HEADER.pack(_HEADER.size + len(content), request, response_to, _OP_MSG) + content


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
