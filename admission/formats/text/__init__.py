"""Free text: reports, advisories, plain lists, hosts files, Markdown and AsciiDoc.

Only values become indicators, never the words around them: reports name people.
`extraction.references_and_contacts` leaves out authors, contacts and references; `host_lists`
reads the syntax of hosts files and block lists.  A TLP level that the text states
applies to all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import BinaryIO

from tocsin.admission.detectors.own_parts import remove_own_parts
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.external_ids import (
    find_lines_with_external_ids,
    may_have_external_ids,
    take_external_ids,
)
from tocsin.admission.extraction.file_lines import FileLines
from tocsin.admission.extraction.incident_texts import find_doubtful, tells_of_incident
from tocsin.admission.extraction.indicators import (
    CandidateBuilder,
    IndicatorDetails,
    note_wildcard,
    refused_candidate,
    with_closing_notes,
    with_note_of_unrelated_ids,
)
from tocsin.admission.extraction.log_lines import remove_own_ends
from tocsin.admission.extraction.mailboxes import is_of_recipient, remove_log_fields
from tocsin.admission.extraction.people_in_lists import allows_all, find_people_in_list
from tocsin.admission.extraction.prose import (
    find_in_line,
    may_hold_values,
    remove_passthrough,
    remove_placeholders,
    split_line,
)
from tocsin.admission.extraction.references_and_contacts import (
    LineRole,
    are_credentials,
    begins_people,
    begins_section,
    classify_lines,
    find_bystanders,
    find_in_boilerplate,
    remove_read_more_links,
)
from tocsin.admission.extraction.text_encoding import decode_text, is_plain_text
from tocsin.admission.extraction.tlp_words import (
    find_strictest_line,
    find_strictest_tlp,
    may_state_tlp,
)
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.list_names import (
    explain_refused_file,
    names_indicator_file,
)
from tocsin.admission.formats.text.host_lists import (
    are_of_one_organisation,
    find_policy_zone,
    is_bare_value,
    is_comment,
    is_entry,
    is_hosts_file,
    is_single_word,
    is_zone,
    maps_host,
    parse_entry,
)
from tocsin.admission.formats.text.passages import FindValues, RelatedIds, TextLines, relate_ids
from tocsin.admission.formats.text.recipients import (
    Recipients,
    begins_table,
    unescape_quotes,
)
from tocsin.admission.model import Action, Candidate, Finding
from tocsin.admission.observables.ioc_types import IocType, RecognisedIoc, recognise_ioc
from tocsin.admission.observables.placeholders import EXPLANATION

_ENDINGS = (".txt", ".text", ".md", ".adoc", ".lst", ".list", ".hosts")
_MARKUP = (".md", ".adoc", ".asciidoc")
"""In these, a line that begins with `#` is a heading, not a comment, and links have words."""
_ASCIIDOC = (".adoc", ".asciidoc")
_SAMPLE = 400
_MOST_BEFORE = 200
"""Characters around a mailbox that are looked at."""
_MOST_NAMED = 10
"""Lines without a value that a note names."""
_EITHER_END = (
    "either end of a connection between public addresses may be yours, so both are left out; send"
    " the attacker's as a list"
)
_Found = tuple[int, str, RecognisedIoc | None]
"""A value, or None in place of one with a placeholder, after the number of its line and that."""
_MAY_BE_YOURS = (
    "the text also names what is yours or a victim's, and does not call this an attacker's: if it"
    " is, defang it (evil[.]com) or write 'C2:' before it"
)
_TITLE_ALLOWS = (
    "its first line says that it is a list of allowed values: remove that line if they are an"
    " attacker's"
)
_OF_ZONE = (
    "it is a zone of a DNS server, whose names are its owner's: send the attacker's hosts as a list"
)
_OF_ONE_DOMAIN = (
    "the hosts of the list are of one domain, with names such as 'www', 'vpn' and 'mail', as its"
    " owner would list them: if they are an attacker's, put 'iocs' into the name of the file"
)
_LONGEST_LIST = 300
"""Lines of a list that may be of one organisation's hosts."""
_MOST_BLANKS = 20
"""Lines before a value that are looked at for the text before it."""


def _accepts(name: str, content: bytes) -> bool:
    return bool(content) and is_plain_text(name, content)


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    text = decode_text(content)
    return _read_candidates(_open(text.split("\n"), name), [(0, text)], options)


def _open(lines: Sequence[str], name: str) -> _TextReader:
    """A reader of the lines of a file.

    Raises Unprocessable if they are a list whose name or title says that it is one of allowed
    values or of victims, or a zone of a DNS server.
    """
    reader = _TextReader(lines, name.lower())
    if reader.is_list and (refusal := explain_refused_file(name)):
        raise Unprocessable(refusal)
    if reader.is_list and allows_all(lines):
        raise Unprocessable(_TITLE_ALLOWS)
    if not reader.is_markup and is_zone(lines):
        raise Unprocessable(_OF_ZONE)
    return reader


def _read_large(name: str, stream: BinaryIO, options: ReadOptions) -> Iterator[Candidate] | None:
    """The candidates, read line by line; None if the text has to be decoded as a whole."""
    lines = FileLines.open(stream)
    if lines is None:
        return None
    return _read_candidates(_open(lines, name), lines.blocks(), options)


def _read_candidates(
    reader: _TextReader, blocks: Iterable[tuple[int, str]], options: ReadOptions
) -> Iterator[Candidate]:
    """`blocks` are the pieces of the text, each with the number from 0 of its first line."""
    stated: list[tuple[int, str]] = []
    """The lines with the strictest level of each block."""
    numbers: list[int] = []
    for first, text in blocks:
        if may_state_tlp(text):
            stated += find_strictest_line(enumerate(text.split("\n"), first + 1))
        if found := find_lines_with_external_ids(text):
            lines = text.split("\n")
            numbers += [first + each for each in found if take_external_ids(lines[each])[1]]
    level, notes = find_strictest_tlp(stated)
    related = reader.relate_ids(numbers)
    builder = CandidateBuilder(options)
    unread = UnreadLines()
    values, doubtful = reader.find_doubtful(reader.find_values(related, unread))
    why = _OF_ONE_DOMAIN if reader.is_list else _MAY_BE_YOURS
    context = _Context(IndicatorDetails(tlp=level), notes, builder, doubtful, why)
    built = _build_candidates(values, related, context)
    candidates = with_closing_notes(built, unread.describe, builder)
    yield from with_note_of_unrelated_ids(candidates, related.unrelated, builder)


@dataclass(frozen=True, slots=True)
class _Context:
    """Details, findings and builder that all candidates of a text share."""

    details: IndicatorDetails
    notes: Sequence[Finding]
    builder: CandidateBuilder
    doubtful: frozenset[RecognisedIoc]
    """Values of which nothing says that they are an attacker's."""
    why: str
    """Why these are held."""


def _build_candidates(
    found: Iterable[_Found], related: RelatedIds, context: _Context
) -> Iterator[Candidate]:
    builder, ids_of = context.builder, related.of_values
    for line, text, value in found:
        if value is None:
            message = f"line {line}: an address is left out: {EXPLANATION}"
            yield refused_candidate(builder.next_index(), message)
            continue
        details = context.details
        if ids_of and value in ids_of:
            details = replace(details, external_ids=ids_of[value])
        notes = (*context.notes, *note_wildcard(value, text)) if "*" in text else context.notes
        candidate = builder.build_unless_seen(value, details, line, notes)
        if candidate is None:
            continue
        if value in context.doubtful and candidate.is_open:
            message = f"line {line}: {context.why}"
            candidate = candidate.hold(Finding("validate", "format", Action.HELD, message))
        yield candidate


@dataclass(slots=True)
class NumberedLines:
    """Lines that a note names, the first ones by their numbers."""

    count: int = 0
    first: list[int] = field(default_factory=list)
    """The numbers of the first ones."""

    def add(self, number: int) -> None:
        """Take the next line."""
        self.count += 1
        if len(self.first) < _MOST_NAMED:
            self.first.append(number)

    def __str__(self) -> str:
        named = ", ".join(map(str, self.first)) + (", …" if self.count > len(self.first) else "")
        return f"{'lines' if self.count > 1 else 'line'} {named}"


@dataclass(slots=True)
class UnreadLines:
    """The lines of a list whose values are not taken."""

    without: NumberedLines = field(default_factory=NumberedLines)
    """Lines that hold no value, though they should."""
    of_people: NumberedLines = field(default_factory=NumberedLines)
    """Lines whose values are about victims and people."""
    of_connections: NumberedLines = field(default_factory=NumberedLines)
    """Lines of logs with two public addresses."""
    of_own: NumberedLines = field(default_factory=NumberedLines)
    """Lines with what is the writer's own: of hosts files, configurations and queries."""

    def describe(self) -> Iterator[str]:
        """Notes about them, if there are any."""
        if self.without.count:
            many = self.without.count > 1
            words = f"{self.without.count} lines hold" if many else "1 line holds"
            yield f"{words} no indicator: {self.without}"
        if self.of_people.count:
            yield f"victims and people are never shared: values are left out, {self.of_people}"
        if self.of_own.count:
            yield f"the hosts and addresses of your network are left out, {self.of_own}"
        if self.of_connections.count:
            yield f"{_EITHER_END}: {self.of_connections}"


class _TextReader:
    """Finds the values in the lines of one text."""

    def __init__(self, lines: Sequence[str], name: str) -> None:
        """`name` is that of the file, in lower case."""
        self._lines = lines
        self.is_markup = name.endswith(_MARKUP)
        """True for a text with headings and links."""
        self._is_of_indicators = names_indicator_file(name)
        self._asciidoc = name.endswith(_ASCIIDOC)
        zone = None if self.is_markup else find_policy_zone(lines)
        self._parse = zone.parse if zone else parse_entry
        self._maps_hosts = zone is None and is_hosts_file(lines)
        self.is_list = not self.is_markup and _is_list(lines)
        """True if most lines are one value."""
        self._listing = zone is not None or self.is_list
        self._roles: Sequence[LineRole | None] = ()
        self._people = find_people_in_list(lines if self._listing else ())
        self._recipients = Recipients(() if self._listing else lines)
        self._find = self._find_in_entry if self._listing else self._prose_finder()
        self._is_column = self._listing or (
            not self.is_markup and _are_most(is_single_word, lines)  # perhaps mistyped values
        )

    def relate_ids(self, numbers: Iterable[int]) -> RelatedIds:
        """The ids in the lines with these numbers, and the values beside them."""
        text = TextLines(self._lines, self._is_heading, self._listing)
        return relate_ids(text, numbers, self._find)

    def find_doubtful(
        self, values: Iterable[_Found]
    ) -> tuple[Iterable[_Found], frozenset[RecognisedIoc]]:
        """All values, and those of which a text about an incident does not say whose they are."""
        if self._is_of_indicators:
            return values, frozenset()
        if self._listing:
            return self._find_of_one_domain(values)
        if not tells_of_incident(self._lines, self._roles):
            return values, frozenset()
        found = list(values)
        doubted = [
            (line - 1, value)
            for line, _, value in found
            if value is not None and not self._recipients.names_attacker(value)
        ]
        return found, find_doubtful(self._lines, doubted)

    def _find_of_one_domain(
        self, values: Iterable[_Found]
    ) -> tuple[Iterable[_Found], frozenset[RecognisedIoc]]:
        """All values, and the hosts of a list in which they are one organisation's."""
        if not self.is_list or len(self._lines) > _LONGEST_LIST:
            return values, frozenset()
        found = list(values)
        hosts = {value for *_, value in found if value and value.kind is IocType.DOMAIN}
        of_one = are_of_one_organisation({each.value for each in hosts})
        return found, frozenset(hosts if of_one else ())

    def find_values(self, related: RelatedIds, unread: UnreadLines) -> Iterator[_Found]:
        """The values, each with its line and the number of that from 1.

        In lists, lines without a value, and those about people, are added to `unread`.
        """
        find, known = self._find, related.values_of_lines
        for number, line in enumerate(self._lines):
            taken = 0
            for value in known[number] if number in known else find(number, line):
                taken += 1
                yield number + 1, line, value
            if not self._listing and remove_own_ends(line)[1]:
                unread.of_connections.add(number + 1)
            elif not self._listing and _names_own(line):
                unread.of_own.add(number + 1)
            if self._maps_hosts and self.is_list and maps_host(line):
                unread.of_own.add(number + 1)
            elif self._leaves_out(number, line, taken):
                unread.of_people.add(number + 1)
            elif self._is_column and not taken and self._is_unread(number, line):
                unread.without.add(number + 1)

    def _leaves_out(self, number: int, line: str, taken: int) -> bool:
        """True if a line about people holds more values than were taken."""
        if self._people.role_of(number) is None:
            return False
        return taken < sum(1 for _ in self._find_in_list(number, line))

    def _is_unread(self, number: int, line: str) -> bool:
        """True if a line without a value was probably meant to be one."""
        if not is_single_word(line) or is_comment(line) or is_entry(line):
            return False
        if may_have_external_ids(line) or self._people.role_of(number):
            return False
        return number >= len(self._roles) or self._roles[number] is None

    def _is_heading(self, number: int) -> bool:
        if self._listing:
            return is_comment(self._lines[number])
        return begins_section(self._lines, number)

    def _find_in_entry(self, number: int, line: str) -> Iterable[RecognisedIoc | None]:
        if self._maps_hosts and maps_host(line):
            return ()
        role = self._people.role_of(number)
        if role is LineRole.VICTIMS:
            return find_in_boilerplate(line, role, self.is_markup)
        found = self._find_in_list(number, line)
        if role is None:
            return found
        return (value for value in found if value is None or value.kind is not IocType.EMAIL)

    def _find_in_list(self, number: int, line: str) -> Iterator[RecognisedIoc | None]:
        if is_bare_value(line) and (whole := recognise_ioc(line)) is not None:
            yield whole
            return
        if are_credentials(self._lines, number):
            return
        for part in split_line(self._parse(line)):
            part, left_out = remove_placeholders(part)
            yield from repeat(None, left_out)
            found = find_in_line(part, True)
            yield from (value for value in found if not _is_of_recipient(value, part))

    def _prose_finder(self) -> FindValues:
        self._roles = roles = classify_lines(self._lines, self.is_markup)
        bystanders = find_bystanders(self._lines, roles)
        recipients = self._recipients

        def find(number: int, line: str) -> Iterator[RecognisedIoc | None]:
            if not may_hold_values(line) or line.isspace():
                return
            role = roles[number]
            line, _ = remove_own_ends(line)
            line = unescape_quotes(recipients.remove_cells(number, line))
            line = remove_passthrough(line) if self._asciidoc else line
            for part in map(remove_log_fields, split_line(line)):
                found: Iterable[RecognisedIoc | None]
                if role is None:
                    found = self._find_in_prose(part, number)
                else:
                    found = self._find_in_boilerplate(part, role)
                for value in found:
                    if value is None or (
                        value not in recipients
                        and (
                            recipients.names_attacker(value)
                            or not bystanders.excludes(value, part, self._text_before(number))
                        )
                    ):
                        yield value

        return find

    def _text_before(self, number: int) -> str:
        """The end of the last line before that one that is not blank."""
        for earlier in range(number - 1, max(-1, number - _MOST_BLANKS), -1):
            line = self._lines[earlier]
            if line and not line.isspace():
                return line[-40:]
        return ""

    def _find_in_prose(self, part: str, number: int) -> Iterable[RecognisedIoc | None]:
        linked = remove_read_more_links(part, self._lines[number - 1] if number else "")
        plain, left_out = remove_placeholders(linked, self.is_markup)
        found = find_in_line(plain, False, self._text_before(number), self.is_markup)
        return chain(repeat(None, left_out), found) if left_out else found

    def _find_in_boilerplate(self, part: str, role: LineRole) -> Iterable[RecognisedIoc]:
        plain, _ = remove_placeholders(part, self.is_markup)  # a reference in most cases
        return find_in_boilerplate(plain, role, self.is_markup)


def _names_own(line: str) -> bool:
    """True if parts of a line that are the writer's own, or allowed, hold values."""
    without = remove_own_parts(line)
    if without == line:
        return False
    left = frozenset(find_in_line(without, False))
    return any(value not in left for value in find_in_line(line, False))


def _is_of_recipient(value: RecognisedIoc, line: str) -> bool:
    """True for the mailbox in an entry like `recipient=j@lab.org`."""
    if value.kind is not IocType.EMAIL:
        return False
    before, found, after = line.lower().partition(value.value)
    return bool(found) and is_of_recipient(before[-_MOST_BEFORE:], after[:_MOST_BEFORE])


def _is_list(lines: Sequence[str]) -> bool:
    """True if most lines of a sample are one value, or an address and a host, and not of people."""
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if not _are_most(is_entry, lines):
        return False
    return not begins_people(lines, first) and not begins_table(lines, first)


def _are_most(is_one: Callable[[str], bool], lines: Sequence[str]) -> bool:
    """True if most lines of a sample are as asked, not counting comments."""
    spread = (lines[each] for each in range(0, len(lines), max(1, len(lines) // _SAMPLE)))
    found = [is_one(line) for line in spread if line.strip() and not is_comment(line)]
    return bool(found) and sum(found) * 10 >= len(found) * 6


FORMAT = Format(
    name="text",
    description="free text: a report, a list, a hosts file, Markdown or AsciiDoc, defanged or not",
    never_shared="the words around the values",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    read_large=_read_large,
    rank=20,
)
