"""Free text: reports, advisories, plain lists, hosts files, Markdown and AsciiDoc.

Only values become indicators, never the words around them: reports name people.
`extraction.boilerplate` leaves out authors, contacts and references; `host_lists`
reads the syntax of hosts files and block lists.  A TLP level that the text states
applies to all of it.
"""

from collections.abc import Iterable, Iterator, Sequence

from tocsin.admission.extraction.boilerplate import (
    classify_lines,
    find_bystanders,
    find_in_boilerplate,
    remove_read_more_links,
)
from tocsin.admission.extraction.indicators import CandidateBuilder, IndicatorDetails
from tocsin.admission.extraction.prose import find_in_line
from tocsin.admission.extraction.text_encoding import decode_text, is_plain_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.text.host_lists import is_comment, is_entry, parse_entry
from tocsin.admission.model import Candidate
from tocsin.admission.observables.ioc_types import RecognisedIoc

_ENDINGS = (".txt", ".text", ".md", ".adoc", ".lst", ".list", ".hosts")
_MARKUP = (".md", ".adoc", ".asciidoc")
"""In these, a line that begins with `#` is a heading, not a comment, and links have words."""
_SAMPLE = 400
_LONGEST_LINE = 65_536


def _accepts(name: str, content: bytes) -> bool:
    return bool(content) and is_plain_text(name, content)


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    text = decode_text(content)
    lines = text.split("\n")
    level, notes = find_strictest_tlp(enumerate(lines, 1))
    details = IndicatorDetails(tlp=level)
    builder = CandidateBuilder(options)
    for number, value in _find_values(lines, name.lower().endswith(_MARKUP)):
        candidate = builder.build_unless_seen(value, details, number, notes)
        if candidate is not None:
            yield candidate


def _find_values(lines: Sequence[str], markup: bool) -> Iterator[tuple[int, RecognisedIoc]]:
    """The values of a list or of a text, each with the number of its line from 1."""
    if not markup and _is_list(lines):
        for number, line in enumerate(lines, 1):
            for part in _split_line(parse_entry(line)):
                yield from ((number, value) for value in find_in_line(part, True))
        return
    roles = classify_lines(lines, markup)
    bystanders = find_bystanders(lines, roles)
    before = ""
    for number, (line, role) in enumerate(zip(lines, roles, strict=True), 1):
        if not line or line.isspace():
            continue
        for part in _split_line(line):
            if role is None:
                found = find_in_line(remove_read_more_links(part), False, before, markup)
            else:
                found = find_in_boilerplate(part, role, markup)
            yield from ((number, value) for value in found if not bystanders.excludes(value, part))
        before = line[-40:]


def _split_line(line: str) -> Iterable[str]:
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


def _is_list(lines: Sequence[str]) -> bool:
    """True if most lines of a sample are one value, or an address and a host."""
    spread = lines[:: max(1, len(lines) // _SAMPLE)]
    sample = [line for line in spread if line.strip() and not is_comment(line)]
    return bool(sample) and sum(map(is_entry, sample)) * 10 >= len(sample) * 6


FORMAT = Format(
    name="text",
    description="free text: a report, a list, a hosts file, Markdown or AsciiDoc, defanged or not",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    rank=20,
)
