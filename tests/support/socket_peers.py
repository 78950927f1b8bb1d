"""The hub's own HTTP server on a socket, and peers that send raw octets."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from support.taxii_hub import GREEN, MT, TaxiiHub, basic, indicator

from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.http.gateway import Environ
from tocsin.server.http.server import HttpServer, ListenAddress, PeerServers

LIMIT = 20_000
LOOP = "event loop"
"""The name of the thread that reads and writes all connections."""
WHO = f"Authorization: {basic('acme', 'acme-robot-key')}\r\n"
HOST = "Host: hub.example\r\n"
ROOT = f"GET /hub/ HTTP/1.1\r\n{HOST}{WHO}\r\n".encode()
POST = f"POST /hub/collections/scratch/objects/ HTTP/1.1\r\n{HOST}{WHO}Content-Type: {MT}\r\n"
STRANGER = POST.replace(WHO, "")
LONG = f"{POST}Content-Length: 9999\r\n\r\n".encode()
"""The head of a request with a long body."""
BODY = json.dumps({"objects": [indicator()]}).encode()


@dataclass
class Response:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_taxii(self) -> bool:
        """True if it is a TAXII error resource."""
        error = json.loads(self.body)
        return self.headers["content-type"] == MT and error["http_status"] == str(self.status)


class Peer:
    """A connection that sends and receives raw octets."""

    def __init__(
        self,
        port: int,
        trusting: ssl.SSLContext | None = None,
        *,
        source: str = "127.0.0.1",
        window: int = 0,
    ) -> None:
        """Connect from an address of this machine; `window` limits the octets taken unread."""
        self.socket = socket.socket()
        self.socket.settimeout(10)
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        if trusting is not None:
            self.socket = trusting.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def send(self, octets: bytes) -> Peer:
        """Send octets as long as the connection is open."""
        with suppress(OSError):  # closed by the hub: only its earlier response matters
            self.socket.sendall(octets)
        return self

    def shut_down_sending(self) -> Peer:
        """Close the sending direction."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        return self

    def receive(self) -> Response | None:
        """Read the next response; None if the connection was closed."""
        try:
            first = self.file.readline()
            if not first:
                return None
            status = int(first.split()[1])
            lines = iter(lambda: self.file.readline().strip().decode("latin-1"), "")
            headers = {n.lower(): v for n, _, v in (each.partition(": ") for each in lines)}
            return Response(status, headers, self.file.read(int(headers.get("content-length", 0))))
        except ConnectionResetError:
            return None

    def receive_all(self, pause: float = 0) -> bytes:
        """Read to the end, resting after each 64 KB."""
        pieces = []
        with suppress(ConnectionResetError):
            while piece := self.socket.recv(65536):
                pieces.append(piece)
                time.sleep(pause)
        return b"".join(pieces)

    def is_closed(self) -> bool:
        """True if the hub has closed the connection, and everything was read."""
        usual = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(usual)

    def close(self) -> None:
        """Close the connection."""
        self.file.close()
        self.socket.close()


@contextmanager
def serve_hub(
    patience: float = 20, pace: float = 16 * 1024, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve a hub in memory with the hub's own server on two threads; yield its port."""
    limits = ConnectionLimits(timeout=patience, min_rate=pace, max_body=LIMIT)
    with serve_application(build_taxii_hub().app, limits, tls) as port:
        yield port


@contextmanager
def serve_application(
    application: Any,
    limits: ConnectionLimits,
    tls: ssl.SSLContext | None = None,
    others: PeerServers | None = None,
    is_quick: Callable[[Environ], bool] = lambda environ: False,
) -> Iterator[int]:
    """Serve a WSGI application with the hub's own server on two threads; yield its port."""
    address = ListenAddress("127.0.0.1", 0, 2, (lambda: tls) if tls else None)
    server = HttpServer(address, application, limits, others, is_quick)
    server.prepare()
    thread = threading.Thread(target=server.serve, name=LOOP, daemon=True)
    thread.start()
    yield server.port
    server.stop()
    thread.join(10)
    assert not thread.is_alive()


def build_taxii_hub() -> TaxiiHub:
    taxii = TaxiiHub(max_content_length=LIMIT)
    taxii.feeds.add(GREEN.id, *(indicator(n) for n in range(1, 9)))
    return taxii


def still_answers(port: Any, trusting: ssl.SSLContext | None = None) -> bool:
    """True if every thread of the hub is free."""
    peers = [Peer(port, trusting).send(ROOT) for _ in range(2)]
    responses = [each.receive() for each in peers]
    for each in peers:
        each.close()
    return [each and each.status for each in responses] == [200, 200]


def send_slowly(slow: list[Peer]) -> list[Response | None]:
    """Send single octets on each connection until it gets a response or is closed."""
    until = time.monotonic() + 8
    responses: list[Response | None] = []
    for each in slow:
        each.socket.settimeout(0.05)
        while time.monotonic() < until:
            each.send(b"a")
            try:
                responses.append(each.receive())
                break
            except TimeoutError:
                each.file = each.socket.makefile("rb")
        each.close()
    assert len(responses) == len(slow)
    return responses


def chunk(octets: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(octets), octets)


def get(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\n{HOST}{WHO}{fields}\r\n".encode("latin-1")
