"""Free text: reports, advisories, plain lists, hosts files, Markdown and AsciiDoc.

Only values become indicators, never the words around them: reports name people.
`extraction.boilerplate` leaves out authors, contacts and references; `host_lists`
reads the syntax of hosts files and block lists.  A TLP level that the text states
applies to all of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat

from tocsin.admission.extraction.boilerplate import (
    LineRole,
    begins_section,
    classify_lines,
    find_bystanders,
    find_in_boilerplate,
    remove_read_more_links,
)
from tocsin.admission.extraction.external_ids import (
    ExternalId,
    join_ids,
    may_have_external_ids,
)
from tocsin.admission.extraction.indicators import (
    CandidateBuilder,
    IndicatorDetails,
    refused_candidate,
    with_note_of_unrelated_ids,
)
from tocsin.admission.extraction.prose import (
    find_in_line,
    remove_passthrough,
    remove_placeholders,
)
from tocsin.admission.extraction.text_encoding import decode_text, is_plain_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.text.host_lists import is_comment, is_entry, parse_entry
from tocsin.admission.formats.text.passages import Found, Passages
from tocsin.admission.model import Candidate, Finding
from tocsin.admission.observables.ioc_types import RecognisedIoc
from tocsin.admission.observables.placeholders import EXPLANATION

_ENDINGS = (".txt", ".text", ".md", ".adoc", ".lst", ".list", ".hosts")
_MARKUP = (".md", ".adoc", ".asciidoc")
"""In these, a line that begins with `#` is a heading, not a comment, and links have words."""
_ASCIIDOC = (".adoc", ".asciidoc")
_SAMPLE = 400
_LONGEST_LINE = 65_536
_Finder = Callable[[int, str], Iterator[RecognisedIoc | None]]
"""Finds the values in the line with a number from 0; None for an address with a placeholder."""


def _accepts(name: str, content: bytes) -> bool:
    return bool(content) and is_plain_text(name, content)


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    text = decode_text(content)
    lines = text.split("\n")
    level, notes = find_strictest_tlp(enumerate(lines, 1))
    reader = _TextReader(lines, name.lower(), may_have_external_ids(text))
    found: Iterable[Found] = reader.find_values()
    if reader.has_ids:
        found = _join_ids_of_repeated(found)
    builder = CandidateBuilder(options)
    candidates = _build_candidates(found, IndicatorDetails(tlp=level), notes, builder)
    yield from with_note_of_unrelated_ids(candidates, reader.passages.unrelated, builder)


def _build_candidates(
    found: Iterable[Found],
    details: IndicatorDetails,
    notes: Sequence[Finding],
    builder: CandidateBuilder,
) -> Iterator[Candidate]:
    for line, value, ids in found:
        if value is None:
            message = f"line {line}: an address is left out: {EXPLANATION}"
            yield refused_candidate(builder.next_index(), message)
            continue
        own = replace(details, external_ids=ids) if ids else details
        candidate = builder.build_unless_seen(value, own, line, notes)
        if candidate is not None:
            yield candidate


def _join_ids_of_repeated(found: Iterable[Found]) -> list[Found]:
    """The values, each with the ids beside any of its occurrences."""
    listed = list(found)
    ids: dict[RecognisedIoc | None, tuple[ExternalId, ...]] = {}
    for each in listed:
        if each.ids:
            ids[each.value] = join_ids((ids.get(each.value, ()), each.ids))
    return [each._replace(ids=ids.get(each.value, ())) for each in listed] if ids else listed


class _TextReader:
    """Finds the values in the lines of one text."""

    def __init__(self, lines: Sequence[str], name: str, has_ids: bool) -> None:
        self.has_ids = has_ids
        """True if the text may have CVE and ATT&CK ids."""
        self._lines = lines
        self._markup = name.endswith(_MARKUP)
        self._asciidoc = name.endswith(_ASCIIDOC)
        self._listing = not self._markup and _is_list(lines)
        self.passages = Passages(single_lines=self._listing)

    def find_values(self) -> Iterator[Found]:
        """The values, with the ids that stand beside them."""
        find = self._find_in_entry if self._listing else self._prose_finder()
        if not self.has_ids:
            for number, line in enumerate(self._lines):
                yield from (Found(number + 1, value) for value in find(number, line))
            return
        for number, line in enumerate(self._lines):
            rest, ended = self.passages.take_ids(line, self._is_heading(number))
            yield from ended
            self.passages.add(number + 1, find(number, rest))
        yield from self.passages.end_section()

    def _is_heading(self, number: int) -> bool:
        if self._listing:
            return is_comment(self._lines[number])
        return begins_section(self._lines, number)

    def _find_in_entry(self, number: int, line: str) -> Iterator[RecognisedIoc | None]:
        for part in _split_line(parse_entry(line)):
            part, left_out = remove_placeholders(part)
            yield from repeat(None, left_out)
            yield from find_in_line(part, True)

    def _prose_finder(self) -> _Finder:
        roles = classify_lines(self._lines, self._markup)
        bystanders = find_bystanders(self._lines, roles)
        before = ""

        def find(number: int, line: str) -> Iterator[RecognisedIoc | None]:
            nonlocal before
            if not line or line.isspace():
                return
            for part in _split_line(remove_passthrough(line) if self._asciidoc else line):
                for value in self._find_in_prose(part, roles[number], before):
                    if value is None or not bystanders.excludes(value, part):
                        yield value
            before = line[-40:]

        return find

    def _find_in_prose(
        self, part: str, role: LineRole | None, before: str
    ) -> Iterator[RecognisedIoc | None]:
        if role is not None:
            yield from find_in_boilerplate(part, role, self._markup)
            return
        part, left_out = remove_placeholders(remove_read_more_links(part), self._markup)
        yield from repeat(None, left_out)
        yield from find_in_line(part, False, before, self._markup)


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
