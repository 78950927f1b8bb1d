"""An honest poller while others are slow, silent or refused, and how many pages are served.

    python bench/floods.py [--seconds N] [--tls] [--json]

Starts the hub's HTTP server over a hub in memory, in a process of its own, with the shipped
limits and 16 threads.  Each flood comes from 127.0.0.1 and lasts N seconds; an honest poller at
127.0.0.2 opens a new connection for each request, one after the other.  HELD: a request without
an answer within 8 seconds.  Last, eight connections read a page of 700 KB as fast as they can.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.certificates import make_authority  # noqa: E402
from support.taxii_hub import GREEN, MT, TaxiiHub, basic, indicator  # noqa: E402

from tocsin.server.http.server import HttpServer, ListenAddress  # noqa: E402
from tocsin.server.http.tls import server_context  # noqa: E402

HELD_AFTER = 8.0
WHO = f"Host: hub.example\r\nAuthorization: {basic('acme', 'acme-robot-key')}\r\n"
POLL = f"GET /hub/collections/green/manifest/?limit=1 HTTP/1.1\r\n{WHO}\r\n".encode()
PAGE = f"GET /hub/collections/green/objects/?limit=7 HTTP/1.1\r\n{WHO}\r\n".encode()
LARGE_PAGE = PAGE.replace(b"limit=7 ", b"limit=50 ")
POST = "POST /hub/collections/scratch/objects/ HTTP/1.1\r\nHost: hub.example\r\n"
TYPE = f"Content-Type: {MT}\r\nContent-Length: 1000000\r\n\r\n"
STRANGERS_POST = f"{POST}{TYPE}".encode()
OWN_POST = f"{POST}Authorization: {basic('acme', 'acme-robot-key')}\r\n{TYPE}".encode()
STRANGERS_GET = b"GET /hub/ HTTP/1.1\r\nHost: hub.example\r\n\r\n"

Flood = Callable[[int], Awaitable[None]]


def serve(pipe: Any, folder: str) -> None:
    """Serve in this process; sends the port, and later answers with the process's peak memory."""
    taxii = TaxiiHub(page_cap=1000)
    taxii.feeds.add(GREEN.id, *(indicator(n) | {"name": "n" * 100_000} for n in range(1, 51)))
    context = server_context(Path(folder) / "hub.pem") if folder else None
    address = ListenAddress("127.0.0.1", 0, 16, (lambda: context) if context else None)
    server = HttpServer(address, taxii.app)
    server.prepare()
    threading.Thread(target=server.serve, daemon=True).start()
    pipe.send(server.port)
    while True:
        pipe.recv()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send((usage.ru_maxrss // 1024, usage.ru_utime + usage.ru_stime))


async def _drip(port: int, start: bytes, *, drips: bool = True) -> None:
    """Send the start of a request and then one octet a second, for ever, over and over."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start)
            ended = asyncio.ensure_future(reader.read())
            while not ended.done():
                await asyncio.sleep(1)
                if drips:
                    writer.write(b"a")
            writer.close()
        await asyncio.sleep(1)


async def _read_slowly(port: int) -> None:
    loop = asyncio.get_running_loop()
    while True:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        with suppress(OSError):
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, LARGE_PAGE)
            while await loop.sock_recv(sock, 1024):
                await asyncio.sleep(1)
        sock.close()
        await asyncio.sleep(1)


async def _send_much(port: int) -> None:
    """Post a megabyte without a credential as fast as it is taken."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(STRANGERS_POST)
            for _ in range(10):
                writer.write(b" " * 100_000)
                await writer.drain()
            writer.close()


async def _ask_much(port: int) -> None:
    """Ask without a credential as fast as it is answered."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(STRANGERS_GET)
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                await reader.readexactly(int(length))


FLOODS: dict[str, tuple[int, Flood]] = {
    "nothing": (0, _ask_much),
    "16 unfinished heads": (16, lambda port: _drip(port, b"GET /hub/ HTTP/1.1\r\nA: ")),
    "64 unfinished heads": (64, lambda port: _drip(port, b"GET /hub/ HTTP/1.1\r\nA: ")),
    "64 strangers' bodies": (64, lambda port: _drip(port, STRANGERS_POST)),
    "64 partner's bodies": (64, lambda port: _drip(port, OWN_POST)),
    "620 silent connections": (620, lambda port: _drip(port, b"", drips=False)),
    "64 slow readers": (64, _read_slowly),
    "8 strangers posting": (8, _send_much),
    "8 strangers asking": (8, _ask_much),
}


def flood(port: int, name: str) -> None:
    """Flood the hub from this process until it is ended."""
    os.nice(15)  # in the world, attackers are on machines of their own
    count, attack = FLOODS[name]

    async def run() -> None:
        await asyncio.gather(*(attack(port) for _ in range(count)))

    asyncio.run(run())


def poll(port: int, seconds: float, trusting: ssl.SSLContext | None) -> list[float]:
    """Seconds of each honest request; HELD_AFTER where there was no answer."""
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        found.append(HELD_AFTER)
        with suppress(OSError):
            plain = socket.create_connection(
                ("127.0.0.1", port), HELD_AFTER, source_address=("127.0.0.2", 0)
            )
            with _secure(plain, trusting) as sock:
                sock.sendall(POLL)
                if sock.recv(65536).startswith(b"HTTP/1.1 200"):
                    found[-1] = time.monotonic() - started
        time.sleep(0.02)
    return found


def _secure(plain: socket.socket, trusting: ssl.SSLContext | None) -> socket.socket:
    return trusting.wrap_socket(plain, server_hostname="localhost") if trusting else plain


def read_pages(port: int, seconds: float, pipe: Any, folder: str) -> None:
    """Read pages over four connections; sends how many."""
    counts = [0] * 4
    until = time.monotonic() + seconds

    def read(number: int) -> None:
        trusting = _trusting(folder)
        with _secure(socket.create_connection(("127.0.0.1", port)), trusting) as sock:
            room = memoryview(bytearray(1 << 20))
            while time.monotonic() < until:
                sock.sendall(PAGE)
                got = sock.recv_into(room)
                while b"\r\n\r\n" not in bytes(room[:got]):
                    got += sock.recv_into(room[got:])
                head, _, body = bytes(room[:got]).partition(b"\r\n\r\n")
                left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                left -= len(body)
                while left > 0:
                    left -= sock.recv_into(room)
                counts[number] += 1

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(sum(counts))


def _trusting(folder: str) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=Path(folder) / "ca.pem") if folder else None


def measure_pages(port: int, seconds: float, folder: str) -> float:
    """Pages a second."""
    ends = [multiprocessing.Pipe() for _ in range(2)]
    for _, end in ends:
        multiprocessing.Process(target=read_pages, args=(port, seconds, end, folder)).start()
    pages: int = sum(end.recv() for end, _ in ends)
    return pages / seconds


def measure(seconds: float, folder: str) -> dict[str, Any]:
    """All figures, in milliseconds, megabytes and pages a second."""
    found: dict[str, Any] = {}
    for name in FLOODS:
        own, other = multiprocessing.Pipe()
        hub = multiprocessing.Process(target=serve, args=(other, folder), daemon=True)
        hub.start()
        port = own.recv()
        attackers = multiprocessing.Process(target=flood, args=(port, name), daemon=True)
        attackers.start()
        time.sleep(1.5)
        times = poll(port, seconds, _trusting(folder))
        own.send("peak")
        peak, _ = own.recv()
        attackers.kill()
        hub.kill()
        hub.join()
        found[name] = _summary(times) | {"peak_mb": peak}
    own, other = multiprocessing.Pipe()
    hub = multiprocessing.Process(target=serve, args=(other, folder), daemon=True)
    hub.start()
    port = own.recv()
    pages = measure_pages(port, seconds, folder)
    own.send("peak")
    _, cpu = own.recv()
    hub.kill()
    found["pages"] = {"per_second": round(pages), "cpu_ms": round(1000 * cpu / pages / seconds, 2)}
    return found


def _summary(times: list[float]) -> dict[str, Any]:
    cuts = statistics.quantiles(times, n=20) if len(times) > 1 else times * 19
    return {
        "requests": len(times),
        "held": sum(t >= HELD_AFTER for t in times),
        "p50_ms": round(1000 * statistics.median(times), 1),
        "p95_ms": round(1000 * cuts[18], 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8, help="per flood")
    parser.add_argument("--tls", action="store_true", help="the poller and the pages use TLS")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.tls:
            authority = make_authority()
            Path(folder, "ca.pem").write_text(authority.certificate)
            authority.server().write_pem(Path(folder))
        found = measure(asked.seconds, folder if asked.tls else "")
    if asked.json:
        print(json.dumps(found))
        return
    for name, each in found.items():
        print(f"{name:24}", "  ".join(f"{key} {value}" for key, value in each.items()))


if __name__ == "__main__":
    main()
