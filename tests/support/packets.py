"""Captured traffic for sensors: Ethernet frames in a pcap file, without any library."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from pathlib import Path

CLIENT, RESOLVER = "10.0.0.5", "10.0.0.1"
_UDP, _TCP = 17, 6
_SYN, _ACK, _PSH = 2, 16, 8


def write_pcap(path: Path, frames: Sequence[bytes]) -> None:
    """Write frames, one a millisecond."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for n, frame in enumerate(frames):
        length = len(frame)
        parts.append(struct.pack("<IIII", 1_700_000_000, n * 1000, length, length) + frame)
    path.write_bytes(b"".join(parts))


def dns_query(name: str) -> bytes:
    """A query for the address of a name."""
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + b"\0\x01\0\x01"
    head = struct.pack("!HHHH", 40000, 53, 8 + len(query), 0)
    return _frame(CLIENT, RESOLVER, _UDP, head + query)


def connection(server: str, request: bytes, port: int = 80) -> list[bytes]:
    """A TCP connection in which the client sends a request and gets an empty answer."""
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    sent, received = 1 + len(request), 1 + len(answer)
    client = (CLIENT, server, 40001, port)
    back = (server, CLIENT, port, 40001)
    return [
        _segment(client, 0, 0, _SYN),
        _segment(back, 0, 1, _SYN | _ACK),
        _segment(client, 1, 1, _ACK),
        _segment(client, 1, 1, _ACK | _PSH, request),
        _segment(back, 1, sent, _ACK | _PSH, answer),
        _segment(client, sent, received, _ACK),
    ]


def http_request(host: str, target: str) -> bytes:
    """The octets of a GET."""
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: x\r\n\r\n".encode()


def _segment(
    ends: tuple[str, str, int, int], number: int, expected: int, flags: int, data: bytes = b""
) -> bytes:
    source, target, source_port, target_port = ends
    base = 1000
    numbers = (base + number, base + expected if flags & _ACK else 0)
    head = struct.pack("!HHIIBBHHH", source_port, target_port, *numbers, 5 << 4, flags, 8192, 0, 0)
    checksum = _checksum(
        _addresses(source, target) + struct.pack("!BBH", 0, _TCP, 20 + len(data)) + head + data
    )
    return _frame(source, target, _TCP, head[:16] + struct.pack("!H", checksum) + head[18:] + data)


def _frame(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    head += _addresses(source, target)
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + head + payload


def _addresses(source: str, target: str) -> bytes:
    return ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed


def _checksum(octets: bytes) -> int:
    """The checksum of the Internet (RFC 1071)."""
    total: int = sum(
        struct.unpack(f"!{(len(octets) + 1) // 2}H", octets + b"\0" * (len(octets) % 2))
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
