"""Files to be shared: their candidates, with what the user adds to all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction import additions
from tocsin.admission.extraction.additions import Additions
from tocsin.admission.extraction.indicators import replace_derived_id
from tocsin.admission.formats import (
    ReadOptions,
    detect_format,
    explain_unreadable,
    read,
    read_large,
)
from tocsin.admission.model import Candidate, Tlp
from tocsin.clients.files import UnusableFile

log = logging.getLogger(__name__)

_REMEDY = "; name its format with --as (report.txt)"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be shared."""

    name: str
    """As the user gave it; every result names it."""
    content: bytes = field(repr=False)
    """Empty if the file is read from `path`."""
    form: str = ""
    """A file name that shows the format if `name` does not: `report.txt`."""
    new_ids: bool = False
    """Give indicators whose id follows from their value random ids instead."""
    labels: tuple[str, ...] = ()
    """Labels to add to every object that can have some."""
    valid_for: int = 0
    """µs for which indicators without `valid_until` are valid from now on; 0: as the file says."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """See ReadOptions.columns."""
    path: Path | None = None
    """Its path, if it is so large that it is not kept in memory if that can be avoided."""
    keep_before: bool = False
    """Keep every object as it was read, not only those that a rule changed."""

    def read(self) -> bytes:
        """The whole content."""
        return self.content if self.path is None else self.path.read_bytes()


@dataclass(slots=True)
class CandidateReader:
    """Reads the candidates of a file, with what the user adds to all of them, again and again.

    Raises ShareError if no format reads it, and, after some of them, if a large one changes or
    cannot be read any more.
    """

    file: InputFile
    now: int
    """µs since 1970 UTC."""
    tlp: Tlp
    """The level of what has none."""
    is_streamed: bool = False
    """True if a reading has begun, and the file is not in memory."""
    is_warned: bool = False
    """True if it was said that the file has no table."""

    def __iter__(self) -> Iterator[Candidate]:
        """Read the file from its beginning."""
        file, now = self.file, self.now
        name = file.form or file.name
        options = ReadOptions(now=now, tlp=self.tlp, columns=file.columns)
        if file.path is not None:
            with open_input(file) as stream:
                found = read_large(name, stream, options)
                if found is not None:
                    self.is_streamed = True
                    yield from self._complete_all(found)
                    return
        content = file.read()
        if detect_format(name, content) is None:
            raise Unprocessable(explain_unreadable(name, content, _REMEDY))
        yield from self._complete_all(read(name, content, options))

    def _complete_all(self, found: Iterator[Candidate]) -> Iterator[Candidate]:
        file, now = self.file, self.now
        if file.columns:
            found = self._expect_table(found)
        if not (file.new_ids or file.labels or file.valid_for):  # a file may have millions
            return found
        return (complete(each, file, now) for each in found)

    def _expect_table(self, found: Iterator[Candidate]) -> Iterator[Candidate]:
        """Log a warning, once, if no candidate comes from a table whose columns are mapped."""
        has_table = True  # until there is a candidate
        for count, each in enumerate(found):
            of_table = any(finding.rule == "columns" for finding in each.findings)
            has_table = of_table or (has_table and count > 0)
            yield each
        if not has_table and not self.is_warned:
            self.is_warned = True
            log.warning("%s has no table: --map has no effect on it", self.file.name)


@contextmanager
def open_input(file: InputFile) -> Iterator[BinaryIO]:
    """The file, whose content is not in memory."""
    try:
        with open(file.path or file.name, "rb") as stream:
            yield stream
    except OSError as error:
        raise UnusableFile(f"cannot be read: {error.strerror}") from error


def complete(candidate: Candidate, file: InputFile, now: int) -> Candidate:
    """The candidate with what the user gave for the whole file."""
    if file.new_ids:
        candidate = replace_derived_id(candidate)
    return additions.complete(candidate, Additions(file.labels, file.valid_for), now)
