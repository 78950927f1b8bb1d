"""Where polled objects are written to, and in what form.

JSON lines and bundles keep each object's JSON as received.  CSV and the plain
list show the values that an indicator or an observable is about.  With a state,
lines go to a file's end, so that one file can gather many polls.  Otherwise, and
for a bundle, which is one document, a new file takes the old one's place once
it is complete: a firewall that reads it never finds half a list, or none.
"""

import csv
import io
import json
import os
import shutil
import uuid
from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tocsin.admission.markings import tlp as markings
from tocsin.admission.observables.extract import extract_observables
from tocsin.clients.state import (
    Cursor,
    Unusable,
    sync_folder,
    unwritable,
)

FORMATS = ("jsonl", "bundle", "csv", "list")
COLUMNS = (
    "id",
    "type",
    "value",
    "pattern",
    "tlp",
    "confidence",
    "valid_from",
    "valid_until",
    "labels",
)
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_PLAIN_OPERATORS = ("=", "IN")

LinesOf = Callable[[bytes], Iterator[bytes]]


class Lines:
    """A sink of lines: each object becomes some, complete with their line ends."""

    stepwise = True

    def __init__(
        self,
        stream: BinaryIO,
        lines_of: LinesOf,
        header: bytes = b"",
        path: Path | None = None,
        fresh: bool = False,
    ) -> None:
        """`path` is the file's, None for a stream that cannot be read back; see `_fresh`."""
        self._stream = stream
        self._lines_of = lines_of
        self._header = header
        self._name = str(path) if path else ""
        self._becomes = path if fresh else None
        self._left_over: set[bytes] = set()

    def resume(self, cursor: Cursor) -> None:
        """Take up a file where a poll broke off; see Sink.resume.

        Lines behind the cursor's place were written without the cursor having
        moved; their objects come again and are then left out.
        """
        if self._name and cursor.output == self._name:
            self._left_over = _behind(self._stream, cursor.size)
        if self._name and self._stream.seek(0, os.SEEK_END):
            self._stream.seek(-1, os.SEEK_END)
            if self._stream.read(1) != b"\n":
                self._stream.write(b"\n")
        else:
            self._stream.write(self._header)
        self._header = b""

    def write(self, objects: Sequence[bytes]) -> None:
        """See Sink.write."""
        for each in objects:
            for line in self._lines_of(each):
                if line in self._left_over:
                    self._left_over.discard(line)
                else:
                    self._stream.write(line)

    def close(self) -> None:
        """Let go of the file; a new one that is not finished is removed."""
        if self._name:
            self._stream.close()
        if self._becomes:
            Path(self._stream.name).unlink(missing_ok=True)

    def keep(self) -> tuple[str, int]:
        """See Sink.keep; a file is forced to the disk."""
        self._stream.flush()
        if not self._name:
            return "", 0
        os.fsync(self._stream.fileno())
        return self._name, self._stream.tell()

    def finish(self) -> tuple[str, int]:
        """See Sink.finish."""
        kept = self.keep()
        if self._becomes:
            _settle(self._stream, self._becomes)
            self._becomes = None
        return kept


class Bundle:
    """A sink that makes one STIX bundle of all objects."""

    stepwise = False

    def __init__(self, path: Path | None, stream: BinaryIO) -> None:
        """`stream` is where it is written; with `path`, a new file that becomes `path` at last."""
        self._path = path
        self._stream = stream
        self._empty = True

    def resume(self, cursor: Cursor) -> None:
        """See Sink.resume."""
        self._stream.write(b'{"type":"bundle","id":"bundle--%s"' % str(uuid.uuid4()).encode())

    def write(self, objects: Sequence[bytes]) -> None:
        """See Sink.write."""
        for each in objects:
            self._stream.write(b',"objects":[\n' if self._empty else b",\n")
            self._stream.write(each)
            self._empty = False

    def keep(self) -> tuple[str, int]:
        """Nothing stands before the end; see Sink.stepwise."""
        return "", 0

    def close(self) -> None:
        """Let go of the file; one that is not finished is removed."""
        if self._path:
            self._stream.close()
            Path(self._stream.name).unlink(missing_ok=True)

    def finish(self) -> tuple[str, int]:
        """Close the brackets and put the file in its place."""
        self._stream.write(b"}\n" if self._empty else b"\n]}\n")
        self._stream.flush()
        if self._path:
            _settle(self._stream, self._path)
        return "", 0


def sink(format: str, path: Path | None, stdout: BinaryIO, *, append: bool) -> Lines | Bundle:
    """The sink for a format; `path` None: standard output.  `append` keeps what is in the file.

    Raises Unusable if the file cannot be opened.
    """
    if path and path.exists() and not path.is_file() and not path.is_dir():
        raise Unusable(f"--output: {path} is no file; leave --output out and write > {path}")
    try:
        if path and path.is_dir():
            raise IsADirectoryError
        target = Path(os.path.realpath(path)) if path else None
        if format == "bundle":
            return Bundle(target, _fresh(target) if target else stdout)
        lines_of, header = _form(format)
        if target is None:
            return Lines(stdout, lines_of, header)
        if append:
            stream: BinaryIO = target.open("r+b" if target.exists() else "w+b")
            return Lines(stream, lines_of, header, target)
        return Lines(_fresh(target), lines_of, header, target, fresh=True)
    except OSError as error:
        raise Unusable(f"--output: {path} {unwritable(path or Path(), error)}") from error


def _fresh(path: Path) -> BinaryIO:
    """A new file beside one whose place it takes when it is complete."""
    file = path.with_name(f".{path.name}-{os.getpid()}")
    stream = file.open("w+b")
    if path.exists():
        shutil.copymode(path, file)
    return stream


def _settle(stream: BinaryIO, path: Path) -> None:
    """Puts a complete file in its place."""
    os.fsync(stream.fileno())
    os.replace(stream.name, path)
    sync_folder(path.parent)


def _form(format: str) -> tuple[LinesOf, bytes]:
    if format == "csv":
        return _row, _csv_line(COLUMNS)
    return (_Values(), b"") if format == "list" else (_json_line, b"")


def _behind(stream: BinaryIO, size: int) -> set[bytes]:
    """The complete lines behind `size`; a broken last one is cut off."""
    if stream.seek(0, os.SEEK_END) <= size:
        return set()
    stream.seek(size)
    rest = stream.read()
    whole, end, _ = rest.rpartition(b"\n")
    stream.truncate(size + len(whole) + len(end))
    return {line + b"\n" for line in whole.split(b"\n")}


def _json_line(object: bytes) -> Iterator[bytes]:
    if b"\n" in object or b"\r" in object:
        object = json.dumps(json.loads(object), ensure_ascii=False).encode()
    yield object + b"\n"


class _Values:
    """The plain values that objects say are bad, each once."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, object: bytes) -> Iterator[bytes]:
        """A line for each value that is not known yet."""
        for value in _values(_parsed(object)):
            if value not in self._known:
                self._known.add(value)
                yield value.encode() + b"\n"


def _values(subject: Mapping[str, Any]) -> list[str]:
    """What a block list can use: values that must be equal, on one line."""
    if subject.get("revoked") is True:
        return []
    return [
        each.value
        for each in extract_observables(dict(subject))
        if each.operator in _PLAIN_OPERATORS and not each.negated and each.value.isprintable()
    ]


def _row(object: bytes) -> Iterator[bytes]:
    subject = _parsed(object)
    tlp = markings.read_markings(dict(subject), {}).tlp
    labels = subject.get("labels")
    cells = {
        **subject,
        "value": " | ".join(_values(subject)),
        "tlp": "" if tlp is None else tlp.label,
        "labels": ", ".join(map(str, labels)) if isinstance(labels, list) else "",
    }
    yield _csv_line([cells.get(name, "") for name in COLUMNS])


def _csv_line(cells: Sequence[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_cell(each) for each in cells])
    return line.getvalue().encode()


def _cell(value: object) -> str:
    """One line of text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA):
        text = "'" + text
    return " ".join(text.splitlines())


def _parsed(object: bytes) -> Mapping[str, Any]:
    value = msgspec.json.decode(object)
    return value if isinstance(value, dict) else {}
