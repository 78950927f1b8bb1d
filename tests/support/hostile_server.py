"""Servers that write whatever octets a test wants, on a real socket, for as long as it wants."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from support.taxii_servers import MEDIA_TYPE, usual_resources

Octets = Callable[[str, bytes], Iterable[bytes] | None]
"""From the first line of a request, and all of it, to what is written; None: the usual answer."""

HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {MEDIA_TYPE}\r\nConnection: close\r\n".encode()
_USUAL = usual_resources()


@contextmanager
def serve_octets(answer: Octets, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve discovery and collections by default; yields the discovery URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                arguments = (connection, answer, tls)
                threading.Thread(target=_answer, args=arguments, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/taxii2/"
    finally:
        stopped.set()
        thread.join()
        listener.close()


def _answer(connection: socket.socket, answer: Octets, tls: ssl.SSLContext | None) -> None:
    connection.settimeout(30)
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        stack.enter_context(connection)
        if tls:
            connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(65_536)
            if not received:
                return
            request += received
        line = request.partition(b"\r\n")[0].decode("latin-1")
        for piece in answer(line, request) or _usual(line):
            connection.sendall(piece)


def _usual(line: str) -> list[bytes]:
    resource = _USUAL.get(line.split()[1].partition("?")[0], {"title": "Not here"})
    return [whole(json.dumps(resource).encode())]


def whole(body: bytes, *headers: str) -> bytes:
    """An answer of status 200 with its length."""
    lines = "".join(f"{each}\r\n" for each in (*headers, f"Content-Length: {len(body)}"))
    return HEAD + lines.encode() + b"\r\n" + body


def drip(octets: bytes, pause: float = 0.05) -> Iterator[bytes]:
    """One octet after the other, and the last one again and again for a minute."""
    for number in range(int(60 / pause)):
        yield octets[min(number, len(octets) - 1) :][:1]
        time.sleep(pause)


def drip_body() -> Iterator[bytes]:
    """An answer whose body arrives octet by octet."""
    yield HEAD + b"Content-Length: 9999\r\n\r\n"
    yield from drip(b"{")


def drip_chunks() -> Iterator[bytes]:
    """An answer of chunks of one octet."""
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for _ in range(1000):
        yield b"1\r\n \r\n"
        time.sleep(0.05)


def at_objects(answer: Callable[[], Iterable[bytes]]) -> Octets:
    """Answer requests for objects so, everything else as usual."""
    return lambda line, _: answer() if "/objects/" in line else None


def at_status(body: bytes) -> Octets:
    """Answer requests for a status so, everything else as usual."""
    return lambda line, _: [whole(body)] if "/status/" in line else None


def bomb(octets: int) -> bytes:
    """An envelope with one string of so many octets, compressed.

    A piece is compressed once, from a reset state, and repeated.
    """
    packer, piece = zlib.compressobj(wbits=-15), b"a" * 1_000_000
    whole, rest = divmod(octets, len(piece))
    begin, end = b'{"objects":[{"id":"', piece[:rest] + b'"}]}'
    parts = [packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH) for text in (begin, piece)]
    last = packer.compress(end) + packer.flush()
    checksum = zlib.crc32(begin)
    for _ in range(whole):
        checksum = zlib.crc32(piece, checksum)
    checksum = zlib.crc32(end, checksum)
    size = (len(begin) + octets + len(end) - rest) % 2**32
    head = b"\x1f\x8b\x08" + bytes(7)
    return b"".join((head, parts[0], parts[1] * whole, last, struct.pack("<LL", checksum, size)))


def many_objects(octets: int) -> bytes:
    """An envelope of about so many octets that holds as many objects as it can."""
    return b'{"objects":[' + b",".join([b"{}"] * (octets // 3)) + b"]}"


_COMMAND = """
import re, sys
from pathlib import Path
from tocsin.clients.cli.main import main
code = main(sys.argv[1:])
peak = re.search("VmHWM:[^0-9]+([0-9]+) kB", Path("/proc/self/status").read_text())
print(code, int(peak[1]) / 1024, file=sys.stderr)
"""
"""Linux only: getrusage would count what the parent had before it started this program."""


def measure_memory(
    answer: Octets, words: Iterable[str] = ("poll", "feed", "--format", "csv")
) -> tuple[int, float]:
    """The exit code of a command, by default a poll, and the most memory that it took, in MiB."""
    with serve_octets(answer) as url:
        command = [sys.executable, "-c", _COMMAND, *words, "--url", url]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    code, peak = ran.stderr.splitlines()[-1].split()
    return int(code), float(peak)
