"""The lines of a text file that is too large for memory, read from it when they are needed.

They are those of `decode_text(content).split("\\n")`, in blocks of about 64 KB that end with a
line.
"""

from __future__ import annotations

import codecs
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import BinaryIO, overload

from tocsin.admission.extraction.text_encoding import detect_encoding
from tocsin.admission.extraction.verified_file import VerifiedFile

_BLOCK = 65_536
"""Octets of a block, and of what is read at once."""
_LONGEST_LINE = 8_000_000
"""Octets; a file with a longer line is not read in blocks."""


class FileLines(Sequence[str]):
    """The lines of a file, which must stay open."""

    def __init__(self, file: VerifiedFile) -> None:
        """Use `open` instead."""
        self._file = file
        self._encoding, self._mark = "utf-8", 0
        self._starts, self._numbers = array("q"), array("q")
        """For each block its first octet, and the number of its first line."""
        self._end = self._count = 0
        self._last: tuple[int, list[str]] = (-1, [])
        """The block that was read last, and its lines."""

    @classmethod
    def open(cls, stream: BinaryIO) -> FileLines | None:
        """The lines of a file; None if it has to be decoded as a whole.

        That is the case in UTF-16, with NULs, with carriage returns that no line feed follows, or
        with a line of more than 8 MB; and an empty file has no blocks.
        """
        lines = cls(VerifiedFile(stream))
        return lines if lines._find_blocks() else None

    def __len__(self) -> int:
        """The number of lines; after the last line feed there is one, which may be empty."""
        return self._count

    def __iter__(self) -> Iterator[str]:
        """Read the file from its beginning."""
        for block in range(len(self._starts)):
            yield from self._read(block).split("\n")

    @overload
    def __getitem__(self, number: int) -> str: ...

    @overload
    def __getitem__(self, number: slice) -> list[str]: ...

    def __getitem__(self, number: int | slice) -> str | list[str]:
        """The line with a number from 0, or those of a slice."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not -self._count <= number < self._count:
            raise IndexError(number)
        number %= self._count
        block = bisect_right(self._numbers, number) - 1
        if self._last[0] != block:
            self._last = block, self._read(block).split("\n")
        return self._last[1][number - self._numbers[block]]

    def blocks(self) -> Iterator[tuple[int, str]]:
        """Pieces of the text, cut between lines, each with the number from 0 of its first line."""
        for block, first in enumerate(self._numbers):
            yield first, self._read(block)

    def _find_blocks(self) -> bool:
        """Read the whole file; False if its lines cannot be read in blocks."""
        self._file.seek(0)
        rest = self._file.read(_BLOCK)
        if detect_encoding(rest) == "utf-16":
            return False
        self._mark = len(codecs.BOM_UTF8) if rest.startswith(codecs.BOM_UTF8) else 0
        decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")()
        more = rest
        while more:
            try:
                decoder.decode(more)
            except UnicodeDecodeError:
                self._encoding = "cp1252"
                decoder = codecs.getincrementaldecoder("cp1252")("replace")
            more = self._file.read(_BLOCK)
            cut = rest.rfind(b"\n") + 1 if more else len(rest)
            if cut and not self._add_block(rest[:cut], is_last=not more):
                return False
            rest = rest[cut:] + more
            if len(rest) > _LONGEST_LINE:
                return False
        try:
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            self._encoding = "cp1252"
        if self._encoding == "cp1252":
            self._mark = 0
        return self._count > 0

    def _add_block(self, octets: bytes, *, is_last: bool) -> bool:
        if b"\0" in octets or octets.count(b"\r") != octets.count(b"\r\n"):
            return False
        self._starts.append(self._end)
        self._numbers.append(self._count)
        self._end += len(octets)
        self._count += octets.count(b"\n") + is_last
        return True

    def _read(self, block: int) -> str:
        """The text of a block, without the line feed at its end."""
        start, last = self._starts[block], len(self._starts) - 1
        end = self._end if block == last else self._starts[block + 1]
        self._file.seek(start)
        octets = self._file.read(end - start)
        octets = octets[self._mark :] if block == 0 else octets
        text = octets.decode(self._encoding, "replace").replace("\r\n", "\n")
        return text if block == last else text.removesuffix("\n")
