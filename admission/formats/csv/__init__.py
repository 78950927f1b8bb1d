"""Tables: CSV, TSV and their like, with or without headings.

With headings, only columns whose role is known contribute.  Without, a cell
counts if it is an indicator as a whole; a reporter's mailbox or a link to a
report does not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise
from typing import BinaryIO

from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.dates import parse_date
from tocsin.admission.extraction.external_ids import (
    MOST_IDS,
    ExternalId,
    format_ids,
    join_ids,
    may_have_external_ids,
    take_external_ids,
)
from tocsin.admission.extraction.field_names import (
    holds_people,
    names_event,
    names_recipients,
    names_victims,
    normalise_heading,
    split_heading,
)
from tocsin.admission.extraction.file_lines import FileLines
from tocsin.admission.extraction.indicator_types import drop_indicator_types, find_indicator_types
from tocsin.admission.extraction.indicators import (
    CandidateBuilder,
    IndicatorDetails,
    note_wildcard,
    refused_candidate,
    with_closing_notes,
    with_note_of_unrelated_ids,
)
from tocsin.admission.extraction.text_encoding import decode_text, is_plain_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp, find_tlp_levels
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.csv.cells import (
    EMPTY,
    LONGEST_TEXT,
    Value,
    find_links,
    find_url,
    find_values,
    find_whole_value,
    is_certificate_type,
    is_mailbox,
    is_stolen_type,
    is_unrelated_mailbox,
    is_unsupported_type,
    is_value,
    name_level,
    names_type,
    parse_confidence,
    parse_fingerprint,
    parse_labels,
    says_recipient,
)
from tocsin.admission.formats.csv.columns import (
    MOST_COLUMNS,
    Columns,
    Role,
    are_headings,
    guess_columns,
    is_field,
    map_columns,
    name_columns,
    parse_headings,
    parse_names,
)
from tocsin.admission.formats.csv.events import with_doubt
from tocsin.admission.formats.csv.rows import (
    DELIMITERS,
    NO_DELIMITER,
    Row,
    detect_delimiter,
    has_cells,
    parse_rows,
)
from tocsin.admission.formats.csv.states import (
    find_doubtful_state,
    find_refusing_state,
    names_indicator,
    names_state,
)
from tocsin.admission.formats.list_names import names_indicator_file
from tocsin.admission.formats.misp.attribute_types import is_private_type
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Action, Candidate, Finding, Tlp
from tocsin.admission.observables.ioc_types import IocType, RecognisedIoc, may_be_ioc
from tocsin.admission.observables.placeholders import EXPLANATION, has_placeholder
from tocsin.admission.observables.refang import refang

_ENDINGS = (".csv", ".tsv")
_COMMENTS = ("#", "//")
_NUMBERS = "#"
"""The heading of a column of numbers."""
_ZEEK_FIELDS = "#fields"
"""Begins the headings of Zeek's files, as a cell of its own that the rows below lack."""
_ZEEK_TYPE = "Intel::"
"""Begins the types in Zeek's files of indicators: `Intel::ADDR`."""
_FEWEST_COLUMNS, _FIRST_ROWS = 2, 5
_MOST_WORDS = 3
"""Words of a heading by which a text is recognised as a table."""
_TOO_WIDE = f"the table has more than {MOST_COLUMNS:,} columns: leave out those without values"
_SAMPLE = 200
"""Rows by which the columns are guessed."""
_LONGEST_START = 65_536
_MOST_TITLES = 5
"""Maximum number of lines above the headings."""
_LATEST_END = 2**62
"""µs since 1970 UTC; an indicator may be valid until any time."""
_READ_CELLS: Mapping[Role, tuple[str, str]] = {
    Role.FIRST_SEEN: ("valid_from", "give a past date like 2026-01-31"),
    Role.VALID_UNTIL: ("valid_until", "give a date like 2026-01-31"),
    Role.CONFIDENCE: ("confidence", "give a number from 0 to 100, or low, medium or high"),
}
"""The columns whose cells must be numbers or dates, with the property that they become."""
_LONGEST_LABEL = 40
_LONGEST_EXCERPT = 60
"""Characters of a cell that is refused."""
_MARKDOWN_ROW = compile_lazily(r"\s*\|.*\|\s*$")
_JSON_MEMBER = compile_lazily(r"\{\s*\"[^\"]{1,100}\"\s*:")
_FIELD_NAME = compile_lazily(r"[A-Za-z_@][\w@.-]*")
_FEWEST_FIELDS = 4
_TRIM = '\ufeff \t"'
MAP_OPTION = " (--map COLUMN=KIND changes one)"
"""The hint to users of a command line; other programs leave it out."""
_OF_COMMANDS = compile_lazily(r" \(--map [^()]{1,400}\)")
"""The hints in messages that name an option."""
READ_AS = f"columns read as{MAP_OPTION}:"
_OF_VICTIMS = "describes people or victims, which are never shared"
_EXPIRED = "not an indicator any more, since its date of expiry has passed"
_OVERFULL = "more cells than headings: put cells that hold the delimiter in quotes"
ABOUT_REPORT = frozenset(("description", "comment", "note", "title", "reference"))
ABOUT_REPORT |= {"source", "report"}
"""Declared types of rows about the report itself."""
_ADDRESS_OBJECT_TYPES = frozenset(("ip netmask", "ip wildcard mask"))
_OF_ADDRESS_OBJECTS = (
    "the types are those of address objects of a firewall, which are yours or your partners': if "
    "all values are an attacker's, put 'iocs' into the name of the file"
)
_PATH_TYPES = frozenset(("urlpath", "path"))
_NO = frozenset(("0", "false", "no"))
_HASH_TYPES: dict[str, IocType] = {
    **dict.fromkeys(("md5", "filehashmd5"), IocType.MD5),
    **dict.fromkeys(("sha1", "filehashsha1"), IocType.SHA1),
    **dict.fromkeys(("sha256", "filehashsha256"), IocType.SHA256),
    **dict.fromkeys(("sha512", "filehashsha512"), IocType.SHA512),
}


def without_options(message: str) -> str:
    """A message for those who have no command line: without options of commands."""
    return _OF_COMMANDS.sub("", message)


def _accepts(name: str, content: bytes) -> bool:
    if not is_plain_text(name, content):
        return False
    if name.lower().endswith(_ENDINGS):
        return True
    text = decode_text(content[:8192])
    start = text.split("\n")[:-1] or [text]
    first = next(filter(has_cells, start), "")
    if _MARKDOWN_ROW.match(first) or _JSON_MEMBER.search(first):
        return False  # a table in Markdown or events in JSON, which are read as text
    above = [line.removeprefix(f"{_ZEEK_FIELDS}\t") for line in start if line.startswith("#")]
    rows = list(islice(filter(has_cells, start), _FIRST_ROWS))
    return any(
        any(_names_columns(line, first, each) for line in (first, *above))
        or _begin_table(rows, each)
        for each in DELIMITERS
    )


def _begin_table(lines: Sequence[str], delimiter: str) -> bool:
    """True for lines with a row of short headings, of values or of events, above another row.

    Commas are in sentences too: without headings of events, or with unknown ones, all lines must
    be rows of several columns.
    """
    headings, *others = ([line.split(delimiter) for line in lines]) or [[]]
    widths = [len(row) for row in others]
    if len(headings) < _FEWEST_COLUMNS or len(headings) not in widths:
        return False
    if any(len(each.split()) > _MOST_WORDS for each in headings):
        return False
    is_regular = min(len(headings), len(lines)) > _FEWEST_COLUMNS and len({*widths}) == 1
    known = _read_headings(headings, others[:1])
    if known is not None:
        return is_regular or with_doubt(known, "") != known
    if not is_regular or any(map(is_value, headings)):
        return False
    unknown = Columns((), headed=False, headings=tuple(headings))
    return with_doubt(unknown, "") != unknown


def _names_columns(line: str, first: str, delimiter: str) -> bool:
    """True if a line holds the headings of a table whose first row is `first`."""
    if delimiter not in first or line.count(delimiter) != first.count(delimiter):
        return False
    return names_columns(line.split(delimiter))


def names_columns(cells: Sequence[str]) -> bool:
    """True if cells are the headings of a table."""
    columns = parse_headings(cells)
    return columns is not None and _has_several_roles(columns)


def _has_several_roles(columns: Columns) -> bool:
    return sum(role is not Role.OTHER for role in columns.roles) + columns.recipients >= 2


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    yield from _read_rows(decode_text(content).split("\n"), name, options)


def _read_large(name: str, stream: BinaryIO, options: ReadOptions) -> Iterator[Candidate] | None:
    lines = FileLines.open(stream)
    return None if lines is None else _read_rows(lines, name, options)


def _read_rows(lines: Sequence[str], name: str, options: ReadOptions) -> Iterator[Candidate]:
    rows = parse_rows(lines, _detect_separator(_take_start(lines), name.lower()[-4:]))
    sample = list(map(_without_zeek_prefix, islice(rows, _SAMPLE)))
    start, columns = _find_columns(sample, options.columns)
    columns = columns.with_values_in(_find_tags_that_are_values(columns, sample[start:]))
    columns = with_doubt(columns, name)
    if not (columns.mapped or names_indicator_file(name)) and _has_address_objects(
        columns, sample[start:]
    ):
        columns = replace(columns, refusal=columns.refusal or _OF_ADDRESS_OBJECTS)
    stated = find_strictest_tlp(_find_lines_about_table(lines, sample, start))
    filled = (row for row in chain(sample[start:], rows) if not row.blank)
    yield from read_below(columns, filled, options, stated)


def read_below(
    columns: Columns,
    rows: Iterable[Row],
    options: ReadOptions,
    stated: tuple[Tlp | None, tuple[Finding, ...]] = (None, ()),
) -> Iterator[Candidate]:
    """The candidates of the rows of a table whose columns are known; their messages name lines.

    `stated`: the strictest level that the file states around them, with a finding.
    """
    rest = iter(rows)
    sample = list(islice(rest, _SAMPLE))
    level, notes = stated
    builder = CandidateBuilder(options)
    table = _Table(
        columns,
        builder,
        level,
        notes,
        _count_in_unlisted(columns, sample),
        _find_states(columns),
    )
    of_rows = (each for row in chain(sample, rest) for each in table.read_row(row))
    candidates = chain(of_rows, table.refuse_left_out())
    described = f"{READ_AS} {columns.describe(table.states)}"
    about_columns = Finding("validate", "columns", Action.NOTED, described)
    first = (each.with_findings(about_columns) for each in islice(candidates, 1))
    closed = with_closing_notes(chain(first, candidates), table.describe_ignored, builder)
    yield from with_note_of_unrelated_ids(closed, table.unrelated, builder)


def _without_zeek_prefix(row: Row) -> Row:
    """The headings in a file of Zeek above the cells that they name; other rows as they are."""
    return replace(row, cells=row.cells[1:]) if row.cells[0] == _ZEEK_FIELDS else row


def _count_in_unlisted(columns: Columns, sample: Sequence[Row]) -> dict[int, int]:
    """The ignored columns that need counting: half of their cells in the sample are values."""
    return {number: 0 for number in columns.unlisted if _are_mostly_values(sample, number)}


def _find_states(columns: Columns) -> tuple[int, ...]:
    """The columns that may say that a value is not to be shared, unless the user ignores them."""
    ignored = frozenset(n for n in columns.mapped if columns.roles[n] is Role.OTHER)
    numbered = enumerate(columns.headings)
    return tuple(n for n, each in numbered if n not in ignored and names_state(each))


def _find_tags_that_are_values(columns: Columns, sample: Sequence[Row]) -> frozenset[int]:
    """The columns of tags that hold indicators: `Threat` may be the name of one, or its URL."""
    tags = (n for n in columns.with_role(Role.TAGS) if n not in columns.mapped)
    return frozenset(n for n in tags if _are_mostly_values(sample, n))


def _are_mostly_values(sample: Sequence[Row], number: int) -> bool:
    cells = [row.cells[number] for row in sample if number < len(row.cells) and not row.blank]
    filled = [cell for cell in cells if cell.strip().lower() not in EMPTY]
    return bool(filled) and sum(map(is_value, filled)) * 2 >= len(filled)


def _has_address_objects(columns: Columns, sample: Sequence[Row]) -> bool:
    """True if a type is one of address objects of a firewall, as Palo Alto's export them."""
    numbers = columns.with_role(Role.TYPE)
    cells = (row.cells[n] for row in sample for n in numbers if n < len(row.cells))
    return any(normalise_heading(each) in _ADDRESS_OBJECT_TYPES for each in cells)


def _take_start(lines: Iterable[str]) -> str:
    """The first characters of a table, as text."""
    taken: list[str] = []
    length = 0
    for line in lines:
        taken.append(line)
        length += len(line) + 1
        if length > _LONGEST_START:
            break
    return "\n".join(taken)[:_LONGEST_START]


def _detect_separator(text: str, ending: str) -> str:
    """The delimiter; none if the first line is a single heading, so that URLs stay whole."""
    lines = (line for line in text.split("\n") if has_cells(line))
    first = next(lines, "")
    single = parse_headings((first,)) is not None and not any(each in first for each in DELIMITERS)
    return NO_DELIMITER if single else detect_delimiter(text, ending)


def _find_lines_about_table(
    lines: Iterable[str], sample: list[Row], start: int
) -> Iterator[tuple[int, str]]:
    """The lines that speak of the whole table: titles above it, and comments."""
    top = sample[start].line if 0 < start < len(sample) else _find_first_value(sample)
    for number, line in enumerate(lines, 1):
        if number < top or line.lstrip(_TRIM).startswith(_COMMENTS):
            yield number, line


def _find_first_value(sample: list[Row]) -> int:
    """The line of the first row that holds an indicator; 0 if none does."""
    return next((row.line for row in sample if any(map(is_value, row.cells[:50]))), 0)


def _find_columns(sample: list[Row], mapping: Mapping[str, str]) -> tuple[int, Columns]:
    """The place in the sample at which the rows begin, and the columns of the table.

    Raises Unprocessable if the user's mapping names a column that the table lacks, or if there
    are too many.
    """
    if not mapping:
        return _guess_columns(sample)
    width = max((len(row.cells) for row in sample), default=0)
    for number, row in enumerate(sample):
        if are_headings(row.cells, mapping):
            found = parse_headings(row.cells) or name_columns(row.cells)
            return number + 1, map_columns(found, width, mapping)
    start, columns = _guess_columns(sample)
    return start, map_columns(columns, width, mapping)


def _check_width(headings: tuple[str, ...]) -> tuple[str, ...]:
    """The headings.  Raises Unprocessable if they are too many, as each is compared with words."""
    if len(headings) > MOST_COLUMNS:
        raise Unprocessable(_TOO_WIDE)
    return headings


def _guess_columns(sample: list[Row]) -> tuple[int, Columns]:
    titles = start = 0
    headings: tuple[str, ...] = ()
    width = next((len(row.cells) for row in sample if not row.blank), 0)
    for number, row in enumerate(sample):
        below = [each.cells for each in sample[number + 1 : number + 2]]
        columns = _read_headings(row.cells, below)
        is_comment = row.comment and row.cells[0].strip() != _NUMBERS
        if is_comment:  # feeds name their columns in the last line of one
            if columns is not None and len(row.cells) == width and _has_several_roles(columns):
                return number + 1, columns
            continue
        if columns is not None and (titles == 0 or _has_several_roles(columns)):
            return _prefer_headings_below(sample, number + 1, columns)
        if any(is_value(cell) and not is_field(cell) for cell in row.cells[:50]):
            break
        titles += any(row.cells)
        if not headings and sum(map(bool, row.cells)) > 1:
            headings = _check_width(row.cells)
            start = number + 1 if any(map(is_field, headings)) else 0
        if titles == _MOST_TITLES:
            break
    return start, guess_columns([row.cells for row in sample[start:] if not row.blank], headings)


def _read_headings(cells: Sequence[str], below: Sequence[Sequence[str]]) -> Columns | None:
    """The columns that a row names, above the rows `below`; None if it has no headings."""
    if _are_fields(cells, below):
        return parse_names(cells) or name_columns(cells)
    return parse_headings(cells) if any(cells) else None


def _are_fields(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """True for names such as `source.geolocation.cc`, which could be hosts, above other cells.

    Two other cells are known headings, or in the row below a third of the columns have something
    else: a date, a number, an address.
    """
    named = [bool(_FIELD_NAME.fullmatch(each.strip())) for each in cells]
    dotted = sum("." in each for each in cells)
    if len(cells) < _FEWEST_FIELDS or not all(named) or not dotted:
        return False
    roles = name_columns([each for each in cells if "." not in each]).roles
    if sum(role is not Role.OTHER for role in roles) > 1:
        return True
    return dotted > 1 and any(sum(map(_differs, cells, row)) * 3 >= len(cells) for row in below)


def _differs(name: str, cell: str) -> bool:
    return not _FIELD_NAME.fullmatch(cell.strip())


def _is_private(label: str, cell: str) -> bool:
    """True if a cell beside one says that it holds a victim or a person's mailbox."""
    if len(label) > _LONGEST_LABEL or "." in label or not label.strip():
        return False
    return names_victims(label) or ("@" in refang(cell) and holds_people(label))


def _prefer_headings_below(sample: list[Row], start: int, columns: Columns) -> tuple[int, Columns]:
    """The rows and columns below headings; of groups of columns, those below these."""
    if not _has_several_roles(columns) and start < len(sample):
        below = parse_headings(sample[start].cells)
        if below is not None and _has_several_roles(below):
            return start + 1, below
    return start, columns


@dataclass(slots=True)
class _LeftOut:
    """Rows that are refused together."""

    first: int = 0
    """The line of the first."""
    count: int = 0

    def add(self, row: Row) -> None:
        self.first = self.first or row.line
        self.count += 1


@dataclass(frozen=True, slots=True)
class _Table:
    columns: Columns
    builder: CandidateBuilder
    level: Tlp | None
    """The strictest TLP level that the file states around its rows."""
    notes: tuple[Finding, ...]
    """A finding that reports it."""
    ignored: dict[int, int]
    """Indicators in columns that are ignored because their headings are unknown, by number."""
    states: tuple[int, ...]
    """The columns, from 0, that may say that a value is not to be shared."""
    unrelated: list[ExternalId] = field(default_factory=list)
    """CVE and ATT&CK ids in rows without an indicator."""
    left_out: _LeftOut = field(default_factory=_LeftOut)
    """The rows that are refused for what the table is about."""

    def read_row(self, row: Row) -> Iterator[Candidate]:
        """The candidates of a row."""
        for number in self.ignored:
            self.ignored[number] += number < len(row.cells) and is_value(row.cells[number])
        declared = self._declared_type(row)
        if declared in ABOUT_REPORT or self._holds_headings(row):
            return
        if self._is_left_out(row):
            self.left_out.add(row)
            return
        if refused := self._refuse_at_once(row):
            yield refused
            return
        plain, ids = _take_external_ids(row)
        found = dict.fromkeys(self._find_values(plain, declared))
        if found:
            yield from self._build_candidates(found, row, declared, ids)
        elif any(self._find_labels_of_victims(row)):
            yield self._refuse(row, _OF_VICTIMS)
        elif row.broken or self.columns.headed or any(map(has_placeholder, row.cells)):
            yield self._refuse(row, _explain_no_value(row, declared, ids), self._excerpt(row))
        else:
            self.unrelated.extend(ids)

    def refuse_left_out(self) -> Iterator[Candidate]:
        """After the last row: one refusal for all rows that were left out, if there are any."""
        if self.left_out.count:
            others = self.left_out.count - 1
            named = f" and {others:,} other{'s' if others > 1 else ''}" if others else ""
            reason = self.columns.refusal or self.columns.doubt
            message = f"line {self.left_out.first}{named}: {reason}"
            yield refused_candidate(self.builder.next_index(), message)

    def _holds_headings(self, row: Row) -> bool:
        """True for the row of headings of a table of events, if none of them is known."""
        is_unknown = bool(self.columns.doubt) and not self.columns.headed
        return is_unknown and row.cells == self.columns.headings

    def _refuse_at_once(self, row: Row) -> Candidate | None:
        """The refusal of a row that says that it must not be shared; None if it does not."""
        if reason := self._reason_to_refuse(row):
            return self._refuse(row, reason)
        if reason := self._explain_state(row):
            return self._refuse(row, reason, self._excerpt(row))
        return None

    def _refuse(self, row: Row, reason: str, excerpt: str = "") -> Candidate:
        index = self.builder.next_index()
        return refused_candidate(index, f"line {row.line}: {reason}", excerpt)

    def _excerpt(self, row: Row) -> str:
        """The beginning of the cells that should hold a value."""
        numbers = self.columns.with_indicators if self.columns.roles else range(len(row.cells))
        cells = (row.cells[n].strip() for n in numbers if n < len(row.cells))
        return " ".join(filter(None, cells))[:_LONGEST_EXCERPT]

    def describe_ignored(self) -> Iterator[str]:
        """A note on each ignored column that holds indicators."""
        for number, count in self.ignored.items():
            if count:
                heading = self.columns.quote_heading(number)
                values = "1 indicator" if count == 1 else f"{count} indicators"
                if number in self.columns.withheld:
                    mailboxes = "1 mailbox" if count == 1 else f"{count} mailboxes"
                    values = f"{mailboxes}, perhaps of recipients"
                yield f"column {number + 1}{heading} is ignored, but holds {values}{MAP_OPTION}"

    def _build_candidates(
        self, values: Iterable[Value], row: Row, declared: str, ids: tuple[ExternalId, ...]
    ) -> Iterator[Candidate]:
        details = self._parse_details(row)
        if isinstance(details, str):
            yield self._refuse(row, details)
            return
        if self._has_expired(details):
            yield self._refuse(row, _EXPIRED, self._excerpt(row))
            return
        if ids:
            links = tuple(url for url in details.references if not take_external_ids(url)[1])
            details = replace(details, external_ids=ids[:MOST_IDS], references=links)
            self.unrelated.extend(ids[MOST_IDS:])
        notes = (*self.notes, *self._note_odd_row(row))
        starred = " ".join(cell for cell in row.cells if "*" in cell)
        doubt = row.doubt or self._explain_doubt(row)
        for value in values:
            odd = (*_note_odd_value(value, declared, row), *note_wildcard(value, starred))
            findings = (*notes, *odd)
            candidate = self.builder.build(value, details, ("line", row.line), findings)
            if doubt and candidate.is_open and (row.doubt or _is_host(value)):
                message = f"line {row.line}: {doubt}"
                candidate = candidate.hold(Finding("validate", "format", Action.HELD, message))
            yield candidate

    def _has_expired(self, details: IndicatorDetails) -> bool:
        """True for an end in the past without a beginning, which would then be now."""
        end = details.valid_until
        return end is not None and details.first_seen is None and end < self.builder.options.now

    def _note_odd_row(self, row: Row) -> Iterator[Finding]:
        if self._is_overfull(row):
            message = f"line {row.line}: {_OVERFULL}"
            yield Finding("validate", "format", Action.NOTED, message)
        for label in self._find_labels_of_victims(row):
            message = f'line {row.line}: the value beside "{label}" is left out: victims and people'
            yield Finding("validate", "format", Action.NOTED, f"{message} are never shared")
        if sum(map(len, self._cells(row, Role.NOTE))) > LONGEST_TEXT:
            message = f"line {row.line}: of the description, {LONGEST_TEXT} characters are kept"
            yield Finding("validate", "format", Action.STRIPPED, message, "description")
        for role, (property, advice) in _READ_CELLS.items():
            cells = self._cells(row, role)
            if cells and self._read_cells(role, cells) is None:
                message = f"{ascii(cells[0][:_LONGEST_EXCERPT])} is left out: {advice}"
                yield Finding("validate", "format", Action.NOTED, message, property)

    def _read_cells(self, role: Role, cells: Sequence[str]) -> int | None:
        """The first number or date that cells of a role in _READ_CELLS hold; None if none does."""
        if role is Role.CONFIDENCE:
            return parse_confidence(cells)
        latest = self.builder.options.now if role is Role.FIRST_SEEN else _LATEST_END
        dates = (parse_date(cell, latest) for cell in cells)
        return next((date for date in dates if date is not None), None)

    def _declared_type(self, row: Row) -> str:
        (kind,) = self._cells(row, Role.TYPE)[:1] or ("",)
        return normalise_heading(kind.removeprefix(_ZEEK_TYPE)).replace(" ", "")

    def _is_left_out(self, row: Row) -> bool:
        """True if the table is refused; in a doubtful one, rows that name their type are read."""
        return bool(self.columns.refusal or (self.columns.doubt and not self._is_typed(row)))

    def _reason_to_refuse(self, row: Row) -> str:
        """Why a row must not be shared: about a person, or not for detection in MISP."""
        if _NO.intersection(map(str.lower, self._cells(row, Role.TO_IDS))):
            return "not an indicator, since to_ids is not set"
        return _OF_VICTIMS if self._is_of_people(row) else ""

    def _explain_state(self, row: Row) -> str:
        """Why a cell says that the value is not to be shared; empty if none does."""
        return find_refusing_state(self._name_cells(row, self.states))

    def _explain_doubt(self, row: Row) -> str:
        """Why the host of a row is held: it is said to be one that was hacked; empty if not."""
        numbers = {*self.states, *self.columns.with_role(Role.TYPE)}
        return find_doubtful_state(self._name_cells(row, sorted(numbers)))

    def _name_cells(self, row: Row, numbers: Iterable[int]) -> Iterator[tuple[str, str]]:
        """The headings and cells of columns that have both."""
        shortest = min(len(self.columns.headings), len(row.cells))
        return ((self.columns.headings[n], row.cells[n]) for n in numbers if n < shortest)

    def _is_typed(self, row: Row) -> bool:
        """True if a row names a type of indicators, `mal_domain`, and has a value beside it.

        Not if they are types of one's own, `Asset type`.
        """
        numbers = self.columns.with_role(Role.TYPE)
        named = (self.columns.headings[n] for n in numbers if n < len(self.columns.headings))
        if not self.columns.with_role(Role.VALUE) or any(map(names_event, named)):
            return False
        if names_type(self._declared_type(row)):
            return True
        kinds = self._cells(row, Role.TYPE)
        words = (split_heading(kind).split() for kind in kinds)
        return any(names_type(word) for each in words for word in each) or any(
            map(names_indicator, kinds)
        )

    def _is_of_people(self, row: Row) -> bool:
        """True if the type of a row, or another cell, says that its value is a person's."""
        about = (row.cells[n] for n in self.columns.about_values if n < len(row.cells))
        if any(map(says_recipient, about)):
            return True
        for kind in self._cells(row, Role.TYPE):  # `email`, beside it `compromised_email`
            if is_private_type(kind.lower()) or is_stolen_type(kind) or names_recipients(kind):
                return True
            if holds_people(kind) and not (
                kind.lower() == "account" and self.columns.of_indicators
            ):
                return any(map(is_mailbox, self._cells(row, Role.VALUE)))
        return False

    def _find_values(self, row: Row, declared: str) -> Iterator[Value]:
        certificates = self._cells(row, Role.CERTIFICATE)
        if is_certificate_type(declared):
            certificates += self._cells(row, Role.VALUE)
        fingerprints = (parse_fingerprint(cell, md5="md5" in declared) for cell in certificates)
        yield from (each for each in fingerprints if each)
        if is_unsupported_type(declared):
            cells = self._cells(row, Role.VALUE) if declared in _PATH_TYPES else ()
            yield from chain.from_iterable(map(find_url, cells))
            return
        if not self.columns.roles:
            yield from self._find_whole_values(row)
            return
        for number in self.columns.with_indicators:
            if number < len(row.cells):
                own = self.columns.declared.get(number, declared)
                private = number in self.columns.without_mailboxes
                for value in find_values(row.cells[number], own):
                    if not (private and value.kind is IocType.EMAIL):
                        yield value

    def _find_whole_values(self, row: Row) -> Iterator[Value]:
        """The cells of a row that are indicators, in a table without known headings."""
        cells = (
            cell for label, cell in self._find_likely_values(row) if not _is_private(label, cell)
        )
        found = list(chain.from_iterable(map(find_whole_value, cells)))
        for value in found:
            private = self.columns.headings and value.kind is IocType.EMAIL
            if not private and not is_unrelated_mailbox(value, found):
                yield value

    def _find_labels_of_victims(self, row: Row) -> Iterator[str]:
        """The cells beside values that these are left out for, in a table without known headings.

        Headings say so once for a whole column.
        """
        if self.columns.roles:
            return
        for label, cell in self._find_likely_values(row):
            if _is_private(label, cell) and is_value(cell):
                yield label.strip()

    def _find_likely_values(self, row: Row) -> Iterator[tuple[str, str]]:
        """The cells that may be read, each after the cell before it.

        After that behind it, if it says that the value is a victim's, and begins no other one.
        """
        for number, (label, cell) in enumerate(pairwise(("", *row.cells))):
            if number not in self.columns.withheld and may_be_ioc(cell):
                behind, *following = (*row.cells[number + 1 : number + 3], "")
                ends = says_recipient(behind) and not any(map(is_value, following))
                yield behind if ends else label, cell

    def _cells(self, row: Row, role: Role) -> list[str]:
        """The cells of a row in columns with a role, without those that say nothing."""
        numbers = self.columns.with_role(role)
        if not numbers:
            return []
        cells = (row.cells[n].strip() for n in numbers if n < len(row.cells))
        return [cell for cell in cells if cell.lower() not in EMPTY]

    def _tlp_levels(self, row: Row) -> Iterator[Tlp]:
        """Every level that applies to a row: of the file, its TLP column, and its texts.

        Raises ValueError if the TLP column holds something else.
        """
        if self.level is not None:
            yield self.level
        stated = self._cells(row, Role.TLP)
        yield from map(Tlp.parse, map(name_level, stated) if self.columns.of_thehive else stated)
        yield from find_tlp_levels("\n".join(row.cells))

    def _is_overfull(self, row: Row) -> bool:
        """True if a row has more cells than there are headings, so that they may be shifted."""
        headings = len(self.columns.roles)
        if not self.columns.headed or len(row.cells) <= headings:
            return False
        return any(map(str.strip, row.cells[headings:]))

    def _parse_details(self, row: Row) -> IndicatorDetails | str:
        """The details of a row's indicators, or why the row cannot be understood."""
        if self._is_overfull(row) and self.columns.with_role(Role.TLP):
            return _OVERFULL
        try:
            tlp = max(self._tlp_levels(row), default=None)
        except ValueError as error:
            return str(error)
        if not self.columns.roles:
            return IndicatorDetails(tlp=tlp)
        classes = self._cells(row, Role.CLASSIFICATION)
        first, end, confidence = (
            self._read_cells(role, self._cells(row, role)) for role in _READ_CELLS
        )
        labels = parse_labels(self._cells(row, Role.TAGS) + classes)
        return IndicatorDetails(
            first_seen=first,
            valid_until=end,
            name=next(iter(self._cells(row, Role.NAME)), "")[:200],
            description="\n".join(self._cells(row, Role.NOTE))[:LONGEST_TEXT],
            tlp=tlp,
            confidence=confidence,
            types=find_indicator_types(labels),
            labels=drop_indicator_types(labels),
            references=tuple(find_links(self._cells(row, Role.REFERENCE))),
        )


def _is_host(value: Value) -> bool:
    """True for a host, an address or the first page of a site, which may be a victim's.

    Files and other pages may be put there by an attacker.
    """
    if not isinstance(value, RecognisedIoc) or value.kind in _HASH_TYPES.values():
        return False
    return value.kind is not IocType.URL or not value.value.partition("://")[2].partition("/")[2]


def _note_odd_value(value: Value, declared: str, row: Row) -> Iterator[Finding]:
    expected = _HASH_TYPES.get(declared)
    if expected and isinstance(value, RecognisedIoc) and expected is not value.kind:
        kinds = f"declared as {expected.value}, but is a {value.kind.value}"
        message = f"line {row.line}: {kinds}; read as {value.kind.value}"
        yield Finding("validate", "format", Action.REPAIRED, message, "pattern")
    if row.broken:
        message = f"line {row.line}: a quote is never closed; quotes are read as plain characters"
        yield Finding("validate", "format", Action.NOTED, message)


def _take_external_ids(row: Row) -> tuple[Row, tuple[ExternalId, ...]]:
    """The row without CVE and ATT&CK ids, and these."""
    if not any(map(may_have_external_ids, row.cells)):
        return row, ()
    parts = [take_external_ids(cell) for cell in row.cells]
    return replace(row, cells=tuple(cell for cell, _ in parts)), join_ids(ids for _, ids in parts)


def _explain_no_value(row: Row, declared: str, ids: tuple[ExternalId, ...]) -> str:
    if row.broken:
        return "a quote is never closed and no indicator was found: close or remove the quote"
    if is_unsupported_type(declared):
        return f"values of this type ({declared}) are not supported in tables: send them as STIX"
    if any(map(has_placeholder, row.cells)):
        return f"no indicator found: {EXPLANATION}"
    if ids:
        return f"no indicator found that {format_ids(ids)} could describe"
    return "no indicator found: give a host, address, URL, e-mail address or hash"


FORMAT = Format(
    name="csv",
    description="a table (CSV, TSV) with or without headings, defanged or not",
    never_shared="cells of columns that the notes call ignored",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    read_large=_read_large,
    rank=10,
)
