"""The output of a poll without a mirror: the file or stream that objects are written to.

JSON lines and bundles keep each object's JSON as received.  CSV has a row for each object, and the
plain list the values of indicators that are valid when they are read.  With a state, lines are
appended, so that one file collects many polls.  Otherwise, and always for a bundle, which is one
document, a new file replaces the old one once it is complete: a firewall that reads it never finds
half a list.

The formats themselves are those of `admission/output_formats`; see `mirror` for files that are the
current state of a feed.
"""

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from tocsin.admission.output_formats.csv import CSV_HEADER, format_csv_row
from tocsin.admission.output_formats.entries import has_ended, parse_object
from tocsin.admission.output_formats.jsonl import format_json_line
from tocsin.admission.output_formats.listed_values import listed_values
from tocsin.clients.files import (
    Replacement,
    UnusableFile,
    WrongPath,
    is_special,
    open_to_append,
    remove_abandoned_files,
    resolve,
    writing,
)
from tocsin.clients.state import Cursor

_MOST_REMEMBERED = 100_000
"""Objects that a DistinctOutput knows again, in some 15 MB."""
_LONGEST_FIRST_LINE = 4096
"""Octets of a file's first line that are looked at."""
_CSV_BEGIN = b"id,type,"
_ONE_VALUE = re.compile(rb'[^\s,{"#;]+|[a-z]+://\S+')
"""A line of a list; a word with other signs may be of a table or text that somebody wrote."""


class LineFormatter:
    """From an object's JSON to its lines, each with its line end."""

    def __init__(self, format: Callable[[bytes], bytes]) -> None:
        """`format` gives the only line of an object."""
        self._format = format

    def __call__(self, object: bytes) -> Iterator[bytes]:
        """The lines of an object."""
        yield self._format(object)

    def settle(self, *, is_written: bool) -> None:
        """Note that the lines since the last time were written, or that they were not."""


class LineOutput:
    """An output of lines; see `poll.Output`."""

    incremental = True

    def __init__(
        self,
        stream: BinaryIO,
        format_lines: LineFormatter,
        header: bytes = b"",
        path: Path | None = None,
        replacement: Replacement | None = None,
    ) -> None:
        """`path`: the file; None for a stream that cannot be read back.

        `replacement`: the stream is that of a new file that replaces `path` at the end.
        """
        self._stream = stream
        self._format_lines = format_lines
        self._header = header
        self._path = path
        self._name = str(path) if path else ""
        self._replacement = replacement
        self._already_written: set[bytes] = set()

    @property
    def is_replacing(self) -> bool:
        """True if what was written has not replaced the file yet."""
        return self._replacement is not None

    def resume(self, cursor: Cursor) -> None:
        """Continue a file where a poll broke off, or after `finish`.

        Lines beyond the cursor's size were written without the cursor having been saved: their
        objects come a second time and are then left out.
        Raises UnusableFile if the file cannot be opened again.
        """
        if self._stream.closed and self._path:
            with _naming(self._path):
                self._stream = open_to_append(self._path)
        if self._name and cursor.output == self._name:
            self._already_written = _read_lines_after(self._stream, cursor.size)
        if self._name and self._stream.seek(0, os.SEEK_END):
            self._stream.seek(-1, os.SEEK_END)
            if self._stream.read(1) != b"\n":
                self._stream.write(b"\n")
        else:
            self._stream.write(self._header)
        if not self._name:  # of a file, its length tells that it has one
            self._header = b""

    def write(self, objects: Sequence[bytes]) -> None:
        """See Output.write."""
        with self._writing():
            for each in objects:
                for line in self._format_lines(each):
                    if line in self._already_written:
                        self._already_written.discard(line)
                    else:
                        self._stream.write(line)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise UnusableFile if a file cannot be written, and leave it to `resume`.

        Lines that are not written by then come again, since no cursor covers them.
        """
        try:
            with _naming(self._path):
                yield
        except UnusableFile:
            self._format_lines.settle(is_written=False)
            if not self._replacement:
                with suppress(OSError):  # a full disk does not take what is not written yet
                    self._stream.close()
            raise

    def close(self) -> None:
        """Close the file; an unfinished replacement is removed."""
        if self._replacement:
            self._replacement.abandon()
        if self._name:
            with self._writing():
                self._stream.close()

    def sync(self) -> tuple[str, int]:
        """See Output.sync."""
        with self._writing():
            self._stream.flush()
            if self._name:
                os.fsync(self._stream.fileno())
        self._format_lines.settle(is_written=True)
        return (self._name, self._stream.tell()) if self._name else ("", 0)

    def finish(self) -> tuple[str, int]:
        """See Output.finish."""
        place = self.sync()
        if self._replacement:
            with self._writing():
                self._replacement.finish()
            self._replacement = None
        return place


class BundleOutput:
    """An output of one STIX bundle; see `poll.Output`."""

    incremental = False
    is_replacing = True

    def __init__(
        self, stream: BinaryIO, path: Path | None = None, replacement: Replacement | None = None
    ) -> None:
        """With `replacement`, `stream` is its new file, which replaces `path` at the end."""
        self._stream = stream
        self._path = path
        self._replacement = replacement
        self._empty = True

    def resume(self, cursor: Cursor) -> None:
        """Begin the bundle; nothing of an earlier poll is continued."""
        self._stream.write(b'{"type":"bundle","id":"bundle--%s"' % str(uuid.uuid4()).encode())

    def write(self, objects: Sequence[bytes]) -> None:
        """See Output.write."""
        with _naming(self._path):
            for each in objects:
                self._stream.write(b',"objects":[\n' if self._empty else b",\n")
                self._stream.write(each)
                self._empty = False

    def sync(self) -> tuple[str, int]:
        """Do nothing: a bundle is of no use before its end; see Output.incremental."""
        return "", 0

    def close(self) -> None:
        """Close the file; an unfinished replacement is removed."""
        if self._replacement:
            self._replacement.abandon()

    def finish(self) -> tuple[str, int]:
        """Close the brackets and replace the old file."""
        with _naming(self._path):
            self._stream.write(b"}\n" if self._empty else b"\n]}\n")
            self._stream.flush()
            if self._replacement:
                self._replacement.finish()
        return "", 0


class DistinctOutput:
    """An output that leaves out objects that were written to it before, octet for octet.

    One collection may hold all that another does.  The last 100,000 objects are remembered.
    """

    def __init__(self, output: LineOutput | BundleOutput, polls: int = 1) -> None:
        """`output` gets each object once; the last of the `polls` finishes it."""
        self._output = output
        self._polls_left = polls
        self._written: dict[bytes, None] = {}
        self._unsettled: list[bytes] = []
        """Those that may be lost if the next write fails."""
        self.incremental = output.incremental

    def resume(self, cursor: Cursor) -> None:
        """See Output.resume."""
        self._output.resume(cursor)

    def write(self, objects: Sequence[bytes]) -> None:
        """See Output.write."""
        found = {blake2b(each, digest_size=16).digest(): each for each in objects}
        new = {digest: each for digest, each in found.items() if digest not in self._written}
        with self._forgetting():
            self._output.write([*new.values()])
        self._unsettled += new
        self._written |= dict.fromkeys(new)
        for digest in list(islice(self._written, max(0, len(self._written) - _MOST_REMEMBERED))):
            del self._written[digest]

    def sync(self) -> tuple[str, int]:
        """See Output.sync."""
        return self._settle(self._output.sync)

    def finish(self) -> tuple[str, int]:
        """See Output.finish."""
        self._polls_left -= 1
        return self._settle(self._output.sync if self._polls_left else self._output.finish)

    def _settle(self, end: Callable[[], tuple[str, int]]) -> tuple[str, int]:
        with self._forgetting():
            place = end()
        self._unsettled.clear()
        return place

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """After an error, forget what was not certainly written before."""
        try:
            yield
        except UnusableFile:
            for digest in self._unsettled:
                self._written.pop(digest, None)
            self._unsettled.clear()
            raise


def open_output(
    format: str, path: Path | None, stdout: BinaryIO, *, append: bool
) -> LineOutput | BundleOutput:
    """The output in one of FORMATS; `path` None: standard output.

    `append` keeps the file's lines.  Raises UnusableFile if the file cannot be opened.
    """
    if path is None:
        if format == "bundle":
            return BundleOutput(stdout)
        make_formatter, header = _LINE_FORMATS[format]
        return LineOutput(stdout, make_formatter(), header)
    if is_special(path):
        raise WrongPath(
            f"--output: {path} is a device or a pipe, not a file; omit --output or give -, "
            "and redirect standard output"
        )
    with writing(path, f"--output: {path}"):
        target = resolve(path)
        remove_abandoned_files(target)
        if format == "bundle":
            replacement = Replacement(target)
            return BundleOutput(replacement.stream, target, replacement)
        make_formatter, header = _LINE_FORMATS[format]
        if append:
            stream = open_to_append(target)
            if reason := _find_misfit(format, stream, header.strip()):
                stream.close()
                raise WrongPath(f"--output: {path} {reason}")
            return LineOutput(stream, make_formatter(), header, target)
        replacement = Replacement(target)
        return LineOutput(replacement.stream, make_formatter(), header, target, replacement)


def _find_misfit(format: str, stream: BinaryIO, header: bytes) -> str:
    """The reason why lines of `format` certainly do not belong to a file, by its first line.

    Otherwise empty.  The stream is at the beginning, also afterwards.
    """
    first = stream.readline(_LONGEST_FIRST_LINE).strip()
    stream.seek(0)
    other = _find_format(first) or format
    if other != format:
        return (
            f"is of the format {other}, and {format} cannot be appended to it; name another file, "
            f"or give --format {other}"
        )
    if first.startswith(_CSV_BEGIN) and first != header:
        return (
            "is a table with other columns than those that this version writes; name another "
            "file, or move that one away"
        )
    return ""


def _find_format(first: bytes) -> str:
    """The format of a file with this first line; empty for a text that somebody wrote."""
    if first.startswith(b'{"type":"bundle"'):
        return "bundle"
    if first.startswith(b"{"):
        return "jsonl"
    if first.startswith(_CSV_BEGIN):
        return "csv"
    return "list" if _ONE_VALUE.fullmatch(first) else ""


@contextmanager
def _naming(path: Path | None) -> Iterator[None]:
    """Turn a failure to write an output into UnusableFile; standard output names itself."""
    if path is None:
        yield
        return
    with writing(path, f"--output: {path}"):
        yield


def _read_lines_after(stream: BinaryIO, size: int) -> set[bytes]:
    """The complete lines after the first `size` octets; an incomplete last line is cut off."""
    if stream.seek(0, os.SEEK_END) <= size:
        return set()
    stream.seek(size)
    rest = stream.read()
    whole, end, _ = rest.rpartition(b"\n")
    stream.truncate(size + len(whole) + len(end))
    return {line + b"\n" for line in whole.split(b"\n")}


class _UniqueValues(LineFormatter):
    """A formatter for block lists: each value once, over all objects."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._unsettled: list[str] = []

    def __call__(self, object: bytes) -> Iterator[bytes]:
        """A line for each value that did not occur before; none if the indicator has expired."""
        subject = parse_object(object)
        if has_ended(subject, time.time_ns() // 1000):
            return
        for _, value in listed_values(subject):
            if value not in self._known:
                self._known.add(value)
                self._unsettled.append(value)
                yield value.encode() + b"\n"

    def settle(self, *, is_written: bool) -> None:
        """See LineFormatter."""
        if not is_written:
            self._known.difference_update(self._unsettled)
        self._unsettled.clear()


_LINE_FORMATS: dict[str, tuple[Callable[[], LineFormatter], bytes]] = {
    "jsonl": (lambda: LineFormatter(format_json_line), b""),
    "csv": (lambda: LineFormatter(format_csv_row), CSV_HEADER),
    "list": (_UniqueValues, b""),
}
"""For each format of lines, what makes the formatter of one output, and the header line."""
FORMATS = (*_LINE_FORMATS, "bundle")
"""The names that `open_output` takes."""
