"""Write the files of an output format, with the serial numbers that some of them have."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, NamedTuple

from tocsin.admission.output_formats import SERIAL, OutputFile

_DIGITS = 10
_NO_SERIAL = b"0" * _DIGITS


class Rendered(NamedTuple):
    """A file as it was written to a stream."""

    digest: str
    """Over its content, with zeros in place of its serial number."""
    length: int
    serial_at: int | None
    """Position of its serial number; None if it has none."""


def render(file: OutputFile, stream: BinaryIO) -> Rendered:
    """Write a file's content, with zeros in place of its serial number."""
    digest, length, serial_at = hashlib.sha256(), 0, None
    for chunk in file.chunks:
        if chunk == SERIAL:
            chunk, serial_at = _NO_SERIAL, length
        digest.update(chunk)
        stream.write(chunk)
        length += len(chunk)
    return Rendered(digest.hexdigest(), length, serial_at)


def write_serial(stream: BinaryIO, rendered: Rendered, previous: int, now: int) -> int:
    """Write the serial number of a new file, and return it; 0 if the file has none.

    It is the time in seconds since 1970 UTC, or one more than the previous one (RFC 1982 orders
    the serial numbers of zones).  `now` is in µs.
    """
    if rendered.serial_at is None:
        return 0
    serial = max(previous + 1, now // 1_000_000)
    stream.seek(rendered.serial_at)
    stream.write(f"{serial:0{_DIGITS}d}".encode())
    return serial
