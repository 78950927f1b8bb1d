"""Input formats: a submitted file becomes candidates.  One module or package here is one format.

Every module of this folder that defines `FORMAT` is a format; it is found by
looking, so a new format is one new file.  Code that formats share is in
`admission/extraction`.  A format never raises for one bad row or object: that
becomes a refused candidate whose finding names the line, and the rest go on.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import BinaryIO

from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.file_kinds import (
    describe_binary,
    describe_empty,
    describe_kind,
    describe_personal,
)
from tocsin.admission.model import Candidate, Tlp

_HEAD = 1_000_000
"""Octets by which the format of a large file is detected."""
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_JSON = (b"{", b"[")
_NEED_THEIR_END = (*_JSON, b"<", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""Beginnings of files whose format only the whole content shows: JSON, XML, containers."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Defaults for what a file leaves out."""

    now: int
    """µs since 1970 UTC; the date of indicators to which the file gives none."""
    tlp: Tlp | None = None
    """The level of rows and texts that do not state one."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The user's words for columns of tables, by heading or number; see `csv.columns`."""


@dataclass(frozen=True, slots=True)
class Format:
    """An input format."""

    name: str
    description: str
    """Description of the files that it reads, for users."""
    extensions: tuple[str, ...]
    """Typical endings of file names, with the dot; `accepts` decides, not they."""
    accepts: Callable[[str, bytes], bool]
    """True if a file, by its name and content, is in this format."""
    read: Callable[[str, bytes, ReadOptions], Iterator[Candidate]]
    """See the function `read`."""
    read_large: Callable[[str, BinaryIO, ReadOptions], Iterator[Candidate] | None] | None = None
    """See the function of this name; None: files of this format are read as a whole."""
    judges_whole: bool = False
    """True if `read_large` reads a whole file before it says that it is in this format."""
    never_shared: str = ""
    """The parts of a file that are read and never become part of an object, for users."""
    list_never_shared: Callable[[bytes], str] | None = None
    """The parts of one file that are never shared, if they can be counted cheaply."""
    explain: Callable[[str, bytes], str] | None = None
    """Why a file that may be meant for this format is not in it; empty if that is not known."""
    rank: int = 0
    """Formats are asked in this order; those that accept nearly everything come last."""

    def describe_never_shared(self, content: bytes) -> str:
        """The parts of a file that are never shared; empty if all of it may be."""
        return self.list_never_shared(content) if self.list_never_shared else self.never_shared


@cache
def formats() -> tuple[Format, ...]:
    """Every format, in the order in which they are asked."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return tuple(sorted(found, key=lambda each: (each.rank, each.name)))


def detect_format(name: str, content: bytes) -> Format | None:
    """The format of a file, by its name and content; None if no format accepts it."""
    if describe_empty(content) or describe_binary(content) or describe_personal(content):
        return None  # part of it may look like text or a table
    return next((each for each in formats() if each.accepts(name, content)), None)


def explain_unreadable(name: str, content: bytes, remedy: str = "") -> str:
    """The sentence about a file that no format accepts; `remedy` if its kind is unknown."""
    if kind := describe_kind(name, content):
        asked = (each.explain(name, content) for each in formats() if each.explain is not None)
        why = next(filter(None, asked), "")
        return f"{kind} ({why})" if why else kind
    names = ", ".join(sorted({each.name for each in formats()}))
    return f"no format reads this file{remedy}. Formats: {names} (see docs/formats.md)"


def read(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    """The candidates of a file, numbered from 0 in its order.

    A part that cannot be read is a refused candidate without object; nothing is lost.

    Raises Unprocessable if no format accepts the file, Malformed or TooLarge if it cannot be
    split or unpacked, and Unavailable if the system is too busy for that.
    """
    format_ = detect_format(name, content)
    if format_ is None:
        raise Unprocessable(explain_unreadable(name, content))
    return format_.read(name, content, options)


def read_large(name: str, stream: BinaryIO, options: ReadOptions) -> Iterator[Candidate] | None:
    """The candidates of a file that is too large for memory; None if it must be read as a whole.

    They are those of `read`.  The stream must stay open while they are read, which raises
    Unprocessable if the file changes meanwhile.
    """
    head = stream.read(_HEAD)
    if head.lstrip(_BLANKS).startswith(_JSON):
        return None if describe_binary(head) else _read_large_json(name, stream, options)
    if head.lstrip(_BLANKS).startswith(_NEED_THEIR_END):
        return None
    format_ = detect_format(name, head)
    if format_ is None or format_.read_large is None:
        return None
    return format_.read_large(name, stream, options)


def _read_large_json(
    name: str, stream: BinaryIO, options: ReadOptions
) -> Iterator[Candidate] | None:
    for each in formats():
        if each.judges_whole and each.read_large is not None:
            found = each.read_large(name, stream, options)
            if found is not None:
                return found
    return None
