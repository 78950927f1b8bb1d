"""Free text: reports, advisories, plain lists, hosts files, Markdown and AsciiDoc.

Only values are taken, never the words around them: reports name people.  What a
text says of itself, whom to ask and where to read on, is `_asides`'.  A level
of the Traffic Light Protocol that the text states holds for all of it.
"""

from collections.abc import Iterable, Iterator, Sequence

from tocsin.admission.extraction.boilerplate import (
    asides,
    bystanders,
    said_in,
    without_pointers,
)
from tocsin.admission.extraction.decode import decoded, textual
from tocsin.admission.extraction.indicators import Collected, Remarks
from tocsin.admission.extraction.list_entries import entry, is_comment, single
from tocsin.admission.extraction.prose import in_line
from tocsin.admission.extraction.tlp_words import strictest
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import Candidate
from tocsin.admission.observables.ioc_types import RecognisedIoc

_ENDINGS = (".txt", ".text", ".md", ".adoc", ".lst", ".list", ".hosts")
_MARKUP = (".md", ".adoc", ".asciidoc")
"""Where a line that begins with `#` is a heading and no comment, and words have links."""
_SAMPLE = 400
_LONGEST_LINE = 65_536


def _accepts(name: str, content: bytes) -> bool:
    return bool(content) and textual(name, content)


def _read_file(name: str, content: bytes, reading: ReadOptions) -> Iterator[Candidate]:
    text = decoded(content)
    lines = text.split("\n")
    level, notes = strictest(enumerate(lines, 1))
    remarks = Remarks(tlp=level)
    collected = Collected(reading)
    for number, value in _values(lines, name.lower().endswith(_MARKUP)):
        candidate = collected.first(value, remarks, number, notes)
        if candidate is not None:
            yield candidate


def _values(lines: Sequence[str], markup: bool) -> Iterator[tuple[int, RecognisedIoc]]:
    """The values of a list, or of a text without what it says of itself."""
    if not markup and _listing(lines):
        for number, line in enumerate(lines, 1):
            for part in _portions(entry(line)):
                yield from ((number, value) for value in in_line(part, True))
        return
    kinds = asides(lines, markup)
    theirs = bystanders(lines, kinds)
    before = ""
    for number, (line, aside) in enumerate(zip(lines, kinds, strict=True), 1):
        if not line or line.isspace():
            continue
        for part in _portions(line):
            if aside is None:
                found = in_line(without_pointers(part), False, before, markup)
            else:
                found = said_in(part, aside, markup)
            yield from ((number, value) for value in found if (value, part) not in theirs)
        before = line[-40:]


def _portions(line: str) -> Iterable[str]:
    """A line in parts of bounded length, cut between words where there are any."""
    return (line,) if len(line) <= _LONGEST_LINE else _cut(line)


def _cut(line: str) -> Iterator[str]:
    start = 0
    while len(line) - start > _LONGEST_LINE:
        cut = line.rfind(" ", start, start + _LONGEST_LINE)
        end = start + _LONGEST_LINE if cut <= start else cut
        yield line[start:end]
        start = end
    yield line[start:]


def _listing(lines: Sequence[str]) -> bool:
    """Whether the file is a list: most of its lines are one value, or an address and a host."""
    spread = lines[:: max(1, len(lines) // _SAMPLE)]
    sample = [line for line in spread if line.strip() and not is_comment(line)]
    return bool(sample) and sum(map(single, sample)) * 10 >= len(sample) * 6


FORMAT = Format(
    name="text",
    description="free text: a report, a list, a hosts file, Markdown or AsciiDoc, defanged or not",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    rank=20,
)
