"""HTTP server: one event loop for all sockets, and threads for the application.

The loop accepts, does TLS, reads heads and bodies and writes answers (`connection.py`); the
application runs on a bounded pool of threads (`gateway.py`).  So a client that is slow, or says
nothing, costs memory and a socket, within limits by address, and never a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from tocsin.server.http.connection import UNFINISHED, Connection, ConnectionLimits
from tocsin.server.http.gateway import Answer, Application, Environ, WorkerPool, run_application
from tocsin.server.http.parser import BodyReader
from tocsin.server.http.tls import TlsContextSource, TlsSession
from tocsin.server.processes.nonblocking import run_nonblocking

log = logging.getLogger(__name__)

DRAIN = 60
"""Seconds that running requests have to finish when the hub stops."""
_BACKLOG = 1024
"""Connections that wait in the kernel to be accepted."""
_ACCEPTS = 64
"""Maximum connections accepted before other work gets its turn."""
_YIELD = 0.002
"""Seconds for which a process leaves new connections to others that have fewer."""
_SWITCH = 0.001
"""Seconds after which a thread that computes lets another one run.

An answer waits so long at each of its steps while a submission is examined in its request: with the
interpreter's 5 ms it took half as long again (measured with ten connections that sent hard texts).
"""
_SWEEP = 0.1
"""Seconds between two checks of all deadlines."""
_ACCEPT_PAUSE = 0.5
"""Seconds without accepting, when the process has no file descriptor left."""
_RESERVED_FILES = 200
"""File descriptors that are left for the database and files."""
_MAX_NOT_SENT = 256 * 1024
"""Octets of an answer in the kernel that are not yet on their way."""
_MAX_TURN = 0.005
"""Seconds that one turn of the event loop may spend on answers."""
_MAX_SKIPPED = 63
"""Quick requests in a row that go straight to the pool after failed attempts."""
_REPORT_INTERVAL = 10
"""Seconds between two lines in the log about connections that were closed to make room."""


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


class AddressCounts(NamedTuple):
    """The connections of one client address."""

    connections: int = 0
    unfinished: int = 0
    """Those in the middle of a head or a body."""
    droppable: int = 0
    """Those that may be closed to make room."""


class PeerServers(Protocol):
    """The servers of other processes that listen at the same socket."""

    def note(self, key: str, counts: AddressCounts) -> None:
        """Tell them how many connections of an address this one has."""
        ...

    def count(self, key: str) -> AddressCounts:
        """The connections of an address that they have, all together."""
        ...

    count_of_others: int
    """The number of other servers."""

    def note_total(self, connections: int) -> None:
        """Tell them how many connections this one has in all."""
        ...

    def fewest(self) -> int:
        """The connections of the one that has the fewest."""
        ...


class HttpServer:
    """Serves a WSGI application on one socket; call `prepare`, `serve` and `stop`."""

    def __init__(
        self,
        address: ListenAddress,
        application: Application,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008  (frozen)
        others: PeerServers | None = None,
        is_quick: Callable[[Environ], bool] = lambda environ: False,
    ) -> None:
        """`others` share the socket and the limits of each address; None: this one is alone.

        `is_quick`: true for a request that can often be answered from memory.
        """
        self._is_quick = is_quick
        self._skipped = self._to_skip = 0
        """Quick requests sent straight to the pool since the last attempt, and how many are to be
        before the next one."""
        self._turn_began: float | None = None
        """Time of the first attempt in this turn of the event loop."""
        self.limits = replace(limits, total=min(limits.total, _available_files()))
        self.port = address.port
        """The port that was bound; see `prepare`."""
        self._address, self._application = address, application
        self._pool = WorkerPool(address.threads)
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._others = others
        self._has_yielded = False
        self._noted: dict[str, AddressCounts] = {}
        """The counts last sent to the others, by address."""
        self._by_address: dict[str, set[Connection]] = {}
        self._count = self._held = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed: Counter[str] = Counter()
        """Connections closed to make room since the last report, by reason and address."""
        self._reported = 0.0

    def prepare(self, bound: socket.socket | None = None) -> None:
        """Listen at the address, or at a socket that is bound to it.  Raises OSError."""
        self._socket = bound or bind(self._address.host, self._address.port)
        self._socket.listen(_BACKLOG)
        self.port = self._socket.getsockname()[1]

    def serve(self) -> None:
        """Serve until `stop` is called; requests in progress are answered first."""
        if self._socket is None:
            raise RuntimeError("prepare was not called")
        sys.setswitchinterval(_SWITCH)
        try:
            asyncio.run(self._serve(self._socket))
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Let `serve` end, from any thread."""
        self._stopping.set()

    async def _serve(self, listening: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        if self._others is not None:
            self._others.note_total(0)
        self._pool.start()
        self._loop.add_reader(listening, self._accept, listening)
        while not self._stopping.is_set():
            await asyncio.sleep(_SWEEP)
            self._check_deadlines()
        self._loop.remove_reader(listening)
        listening.close()
        await self._drain()
        self._pool.stop(1)

    async def _drain(self) -> None:
        """Finish the requests in progress, within `DRAIN` seconds."""
        until = time.monotonic() + DRAIN
        while time.monotonic() < until:
            for connection in self._connections():
                connection.retire()
            if not self._count:
                break
            await asyncio.sleep(_SWEEP / 2)
            self._check_deadlines()
        for connection in self._connections():
            connection.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close their sockets

    def _connections(self) -> list[Connection]:
        return [each for group in self._by_address.values() for each in group]

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        for connection in self._connections():
            connection.check_deadline(now)
        # The state of a connection changes without a call of `_note`.
        for key in {*self._by_address, *self._noted} if self._others is not None else ():
            self._note(key)
            self._trim(key)
        if self._closed and now - self._reported > _REPORT_INTERVAL:
            for reason, count in self._closed.most_common(10):
                log.warning("closed %d connections to make room: %s", count, reason)
            self._closed.clear()
            self._reported = now

    # Accepting

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS if self._others is None else 1):
            if self._yields(listening):
                return
            try:
                sock, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("cannot accept a connection: %s", error.strerror)
                self._pause_accepting(listening, _ACCEPT_PAUSE)
                return
            self._admit(sock, peer)

    def _yields(self, listening: socket.socket) -> bool:
        """Leave a connection for a moment to a process that has fewer; True if so."""
        if self._others is None:
            return False
        yields = not self._has_yielded and self._count > self._others.fewest()
        self._has_yielded = yields
        if yields:
            self._pause_accepting(listening, _YIELD)
        return yields

    def _pause_accepting(self, listening: socket.socket, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)

        def resume() -> None:
            if not self._stopping.is_set():
                loop.add_reader(listening, self._accept, listening)

        loop.call_later(seconds, resume)

    def _admit(self, sock: socket.socket, peer: tuple[Any, ...]) -> None:
        sock.setblocking(False)
        _limit_kernel_buffer(sock)
        key = _limited_address(peer[0])
        if not self._make_room(key):
            self._closed[f"all others of {peer[0]} are at work"] += 1
            sock.close()
            return
        connection = Connection(self, key, (str(peer[0]), int(peer[1])))
        if self._address.tls is not None:
            connection.use_tls(TlsSession(self._address.tls()))
        self._by_address.setdefault(key, set()).add(connection)
        self._count += 1
        self._note(key)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: connection, sock))
        self._tasks.add(task)
        task.add_done_callback(self._finish_connecting)

    def _finish_connecting(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a connection could not be served: %s", task.exception())

    def _make_room(self, key: str) -> bool:
        """Close slow connections so that one more has its place; False if all are at work."""
        own = self._by_address.get(key, set())
        elsewhere = AddressCounts() if self._others is None else self._others.count(key)
        is_full = len(own) + elsewhere.connections >= self.limits.per_address
        if (
            is_full
            and not self._drop_slowest(own, f"too many of {key}")
            and not elsewhere.droppable  # else the one that has most closes some: `_trim`
        ):
            return False
        if self._count < self.limits.total:
            return True
        largest = max(self._by_address.values(), key=len)
        return self._drop_slowest(largest, "too many in all")

    def _drop_slowest(self, among: Iterable[Connection], reason: str) -> bool:
        """Close the connection nearest to its deadline; False if all are at work."""
        candidates = [each for each in among if each.is_droppable]
        if not candidates:
            return False
        min(candidates, key=lambda each: each.deadline).drop()
        self._closed[reason] += 1
        return True

    # Called by connections; see `connection.Front`

    def run(
        self, key: str, job: tuple[dict[str, Any], BodyReader], done: Callable[..., None]
    ) -> None:
        """See `connection.Front`."""
        loop = asyncio.get_running_loop()
        answer = self._try_on_loop(*job)
        if answer is not None:
            loop.call_soon(done, answer)  # others have their turns before the next request
            return

        def work() -> None:
            answer = run_application(self._application, *job)
            with contextlib.suppress(RuntimeError):  # the loop has ended without us
                loop.call_soon_threadsafe(done, answer)

        self._pool.submit(key, work)

    def _try_on_loop(self, environ: Environ, body: BodyReader) -> Answer | None:
        """The answer to a request for which all is in memory; None if the pool is to answer it.

        Failed attempts back off exponentially: on a MongoDB each poll looks if something has
        changed, so all of them would be wasted.
        """
        if not body.complete or not self._is_quick(environ) or not self._has_time():
            return None
        if self._skipped < self._to_skip:
            self._skipped += 1
            return None
        answer = run_nonblocking(lambda: run_application(self._application, environ, body))
        self._to_skip = min(2 * self._to_skip + 1, _MAX_SKIPPED) if answer is None else 0
        self._skipped = 0
        return answer

    def _has_time(self) -> bool:
        """True while this turn of the event loop may answer further requests.

        The pool gives each address its turn, and the other connections wait meanwhile.
        """
        now = time.monotonic()
        if self._turn_began is None:
            self._turn_began = now
            asyncio.get_running_loop().call_soon(self._end_turn)
        return now - self._turn_began < _MAX_TURN

    def _end_turn(self) -> None:
        self._turn_began = None

    def release(self, connection: Connection) -> None:
        """See `connection.Front`."""
        group = self._by_address.get(connection.key, set())
        if connection in group:
            group.remove(connection)
            self._count -= 1
            if not group:
                del self._by_address[connection.key]
            self._note(connection.key)

    def limit_unfinished(self, key: str) -> None:
        """See `connection.Front`."""
        unfinished = [e for e in self._by_address.get(key, ()) if e.state in UNFINISHED]
        elsewhere = 0 if self._others is None else self._others.count(key).unfinished
        if len(unfinished) + elsewhere > self.limits.unfinished_per_address:
            self._drop_slowest(unfinished, f"too many unfinished requests of {key}")

    def _trim(self, key: str) -> None:
        """Close connections of an address that has too many, unless others have more of them.

        Others are asked only where this one has its part of a limit or more: then there are few.
        """
        if self._others is None:
            return
        own, processes = self._by_address.get(key, set()), self._others.count_of_others + 1
        if len(own) * processes >= self.limits.per_address:
            everywhere = len(own) + self._others.count(key).connections
            is_most = len(own) * processes >= everywhere
            for _ in range(everywhere - self.limits.per_address if is_most else 0):
                if not self._drop_slowest(own, f"too many of {key}"):
                    break
        noted = self._noted.get(key, AddressCounts())
        if noted.unfinished * processes >= self.limits.unfinished_per_address:
            self.limit_unfinished(key)

    def _note(self, key: str) -> None:
        """Tell the other servers how many connections of an address are here, if that changed."""
        if self._others is None:
            return
        own = self._by_address.get(key, ())
        unfinished = sum(each.state in UNFINISHED for each in own)
        counts = AddressCounts(len(own), unfinished, sum(each.is_droppable for each in own))
        if counts == self._noted.get(key, AddressCounts()):
            return
        self._others.note(key, counts)
        self._others.note_total(self._count)
        if any(counts):
            self._noted[key] = counts
        else:
            del self._noted[key]

    def hold(self, octets: int) -> None:
        """See `connection.Front`."""
        self._held += octets
        while octets > 0 and self._held > self.limits.max_held:
            by_address = Counter[str]()
            holding = [e for e in self._connections() if e.held and e.is_droppable]
            for each in holding:
                by_address[each.key] += each.held
            largest = [e for e in holding if e.key == by_address.most_common(1)[0][0]]
            if not self._drop_slowest(largest, "too many octets in memory"):
                return


def _limit_kernel_buffer(sock: socket.socket) -> None:
    """Let the kernel take no more of an answer than it can send soon, where it can do that."""
    with contextlib.suppress(AttributeError, OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MAX_NOT_SENT)


def _limited_address(host: str) -> str:
    """The part of an address that one client has for itself: of IPv6 the first 64 bits."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _available_files() -> int:
    """Connections for which there are file descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - _RESERVED_FILES, 64) if soft != resource.RLIM_INFINITY else 1 << 20


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address.  Raises OSError for the first address of the host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
