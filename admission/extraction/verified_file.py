"""A file that is read again and again, and must have the same octets each time.

Every reading gives what the first one gave, or an error: so what one reading finds holds for the
next.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from hashlib import blake2b
from typing import BinaryIO

from tocsin.admission.errors import Unprocessable

_BLOCK = 262_144
_DIGEST = 16
CHANGED = "the file changed while it was read: try again"


class VerifiedFile:
    """Reads a file, which must stay open, in blocks with known digests."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read the file once."""
        self._stream = stream
        self._digests: list[bytes] = []
        self._size = self._place = 0
        self._last: tuple[int, bytes] = (-1, b"")
        """The block that was read last."""
        stream.seek(0)
        while block := stream.read(_BLOCK):
            self._digests.append(_digest(block))
            self._size += len(block)

    def seek(self, place: int) -> int:
        """Read on from an octet of the file."""
        self._place = place
        return place

    def read(self, size: int) -> bytes:
        """The next octets; fewer at the end of the file.

        Raises Unprocessable if the file has changed.
        """
        end = min(self._place + size, self._size)
        parts = []
        while self._place < end:
            number, start = divmod(self._place, _BLOCK)
            parts.append(self._read_block(number)[start : start + end - self._place])
            self._place += len(parts[-1])
        return b"".join(parts)

    def read_text(self) -> Iterator[str]:
        """Pieces of the text of a file in UTF-8, whose lines end in a line feed only."""
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        lines = io.IncrementalNewlineDecoder(decoder, translate=True)
        for number in range(len(self._digests)):
            yield lines.decode(self._read_block(number))
        yield lines.decode(b"", final=True)

    def _read_block(self, number: int) -> bytes:
        if self._last[0] != number:
            self._stream.seek(number * _BLOCK)
            block = self._stream.read(_BLOCK)
            if _digest(block) != self._digests[number]:
                raise Unprocessable(CHANGED)
            self._last = number, block
        return self._last[1]


def _digest(octets: bytes) -> bytes:
    return blake2b(octets, digest_size=_DIGEST).digest()
