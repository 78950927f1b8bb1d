"""One connection on an event loop, whose client goes away at the worst moment."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from tocsin.server.http.connection import Connection, ConnectionLimits
from tocsin.server.http.gateway import Answer
from tocsin.server.http.parser import BodyReader

LENGTH = 2_000_000


class Abandoned(socket.socket):
    """A socket whose client goes away just after it has taken the last octets."""

    def shutdown(self, how: int) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


class Front:
    """A server that answers each request with many octets."""

    limits, port = ConnectionLimits(), 80

    def run(
        self, key: str, job: tuple[dict[str, Any], BodyReader], done: Callable[..., None]
    ) -> None:
        answer = Answer("200 OK", [], [bytes(LENGTH)])
        asyncio.get_running_loop().call_soon(done, answer)

    def release(self, connection: Connection) -> None: ...

    def limit_unfinished(self, key: str) -> None: ...

    def hold(self, octets: int) -> None: ...


async def read_answer(*, ends_input: bool = False) -> tuple[int, list[str]]:
    """The octets that a client reads to the end, and the errors that the event loop reports.

    `ends_input`: the client closes its direction once it has sent its request.
    """
    loop, faults = asyncio.get_running_loop(), list[str]()
    loop.set_exception_handler(lambda _, context: faults.append(str(context)))
    ours, theirs = socket.socketpair()
    connection = Connection(Front(), "127.0.0.1", ("127.0.0.1", 9))
    kind = socket.socket if ends_input else Abandoned
    transport, _ = await loop.connect_accepted_socket(
        lambda: connection, kind(fileno=ours.detach())
    )
    theirs.setblocking(False)
    with theirs:
        await loop.sock_sendall(theirs, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        if ends_input:
            theirs.shutdown(socket.SHUT_WR)
        octets = 0
        while octets < LENGTH:
            octets += len(await loop.sock_recv(theirs, 1 << 20))
        await asyncio.sleep(0.05)
    transport.abort()
    await asyncio.sleep(0)
    return octets, faults


def test_a_client_that_goes_away_at_the_end_of_its_answer_leaves_no_error() -> None:
    octets, faults = asyncio.run(read_answer())
    assert (octets >= LENGTH, faults) == (True, [])


def test_a_client_that_has_closed_its_direction_leaves_no_error() -> None:
    octets, faults = asyncio.run(read_answer(ends_input=True))
    assert (octets >= LENGTH, faults) == (True, [])
