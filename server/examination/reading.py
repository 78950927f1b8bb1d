"""Read a file that a person gave, as far as its objects; what becomes of them is decided later.

It runs where a file can end a process and nothing else; see `program.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from tocsin.admission.errors import ShareError, Unavailable, Unprocessable
from tocsin.admission.extraction.additions import Additions, complete
from tocsin.admission.formats import ReadOptions, detect_format, explain_unreadable, read
from tocsin.admission.model import Candidate, Tlp, Verdict

_REMEDY = "; choose its format"
_FILE_OF_FORMATS = " (see docs/formats.md)"
"""Left out, since the page itself lists the formats."""


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A file, and what its sender adds to all its objects."""

    name: str
    """Shows the format where the content does not: `report.txt`."""
    content: bytes = field(repr=False)
    now: int
    """µs since 1970 UTC."""
    tlp: Tlp
    """The level of rows and texts that do not state one."""
    most: int
    """Objects that are read at most; one more says that there are more."""
    labels: tuple[str, ...] = ()
    valid_for: int = 0
    """See Additions."""
    include_held: bool = False
    """Take what is held while it is read, too: a draft of MISP, or what may be the writer's own."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The objects of a file."""

    format: str = ""
    candidates: tuple[Candidate, ...] = ()
    never_shared: str = ""
    """The parts of the file that are read and never shared; empty if all of it may be."""
    fault: str = ""
    """Why the file as a whole cannot be read; then there are no candidates."""


def read_file(task: ReadTask) -> ReadFile:
    """Read a file.  Raises Unavailable if this system is too busy for it."""
    try:
        found = detect_format(task.name, task.content)
        if found is None:
            text = explain_unreadable(task.name, task.content, _REMEDY)
            raise Unprocessable(text.removesuffix(_FILE_OF_FORMATS))
        candidates = tuple(islice(_read_candidates(task), task.most + 1))
        return ReadFile(found.name, candidates, found.describe_never_shared(task.content))
    except Unavailable:
        raise
    except ShareError as error:
        return ReadFile(fault=str(error))


def _read_candidates(task: ReadTask) -> Iterator[Candidate]:
    additions = Additions(task.labels, task.valid_for)
    for each in read(task.name, task.content, ReadOptions(now=task.now, tlp=task.tlp)):
        if task.include_held and each.verdict is Verdict.HELD:
            each = replace(each, verdict=Verdict.OPEN)
        yield complete(each, additions, task.now)
