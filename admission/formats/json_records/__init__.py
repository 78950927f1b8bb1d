"""Records in JSON: lists of flat objects that each name a type and a value, read as a table.

Programs that keep indicators export and answer so: AlienVault OTX, CrowdStrike, ThreatStream,
ThreatFox, XSOAR, Microsoft Defender, TheHive.  They share what a table with such headings would.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any

from tocsin.admission.documents import as_seen
from tocsin.admission.documents.bounded import join_parts, rewrite_messages, with_notes
from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.field_names import (
    normalise_heading,
    split_heading,
)
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.json_split import is_json_lines
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.extraction.tlp_words import find_tlp_levels
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats import csv as tables
from tocsin.admission.formats.csv.cells import LONGEST_TEXT, THEHIVE_LEVELS, is_value
from tocsin.admission.formats.csv.columns import (
    Role,
    map_columns,
    name_columns,
    parse_names,
)
from tocsin.admission.formats.csv.rows import Row
from tocsin.admission.formats.json_list import VALUE_ROLES
from tocsin.admission.formats.json_records.exported_values import ExportedValue
from tocsin.admission.formats.json_records.exports import NOTHING_MALICIOUS, find_exported
from tocsin.admission.formats.json_records.states import (
    find_refusing_member,
    find_refusing_member_around,
)
from tocsin.admission.formats.json_records.values import (
    MOST_NAMES,
    find_doubt,
    find_role,
    find_values,
    has_value,
    is_listed_within,
    is_plain,
    is_record,
    is_typed,
    rank_value,
)
from tocsin.admission.formats.list_names import (
    explain_refused_file,
    names_allowed,
    names_indicator_file,
    names_others,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.stix.ijson import parse_json
from tocsin.admission.timestamps import stix_time

_DEEPEST = 4
"""Objects and lists around the records."""
_SAMPLE = 200
_FIRST_LINES = 20
"""Lines of a file with a JSON value in each, of which one must hold records."""
_MOST_UNREAD = 1000
"""Lines of such a file that are refused one by one."""
_MOST_EMPTY = 50
"""Cells of the table for each that holds something, unless there are few."""
_FEW_CELLS = 300_000
_LONGEST_CELL = 8_000
_LONGEST_EXCERPT = 60
_WRAPPERS = frozenset(("result", "_source", "source", "fields", "event", "indicator", "ioc"))
_WRAPPERS |= {"data", "attributes", "observable", "hit", "row", "record", "object", "document"}
"""Members that hold one record; another, such as `query`, may be somebody's question."""
_VISIBLE_TO = frozenset(("private", "public"))
"""Classifications in ThreatStream: who sees a record, nothing about its value."""
_LEFT_OUT = (Role.VALUE_OF_KIND, Role.CERTIFICATE)
"""Values beside the one that a record is about, such as the address of a domain."""
_TLP = compile_lazily(r"\btlp\b|traffic ?light")
_ADDED = ("tags", "references", "tlp")
"""The columns for what objects around a record say of it, and for its level."""
_NAMED = ("name", "value", "id")
"""The members by which an object in a list is known."""
_SPACE = compile_lazily(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
"""Characters that end a line, or a cell of a line."""
_LINE = compile_lazily(r"(^|duplicate of )line (\d+)")
_SECONDS = range(600_000_000, 10_000_000_000)
"""Seconds since 1970 that a number may be as a date; later ones are milliseconds."""

_Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Statements:
    """The statements of objects around a record that count for it."""

    tags: str = ""
    references: str = ""
    level: str = ""
    """The strictest TLP level, or a word in its place that is none."""
    refusal: str = ""
    """Why all records within are refused; empty if they are not."""

    def add(self, members: _Object) -> "_Statements":
        """These and those of an object within, by its `members` without those with records."""
        plain = {name: each for name, each in members.items() if is_plain(each)}
        roles = _find_roles(list(plain))
        tags, links = (
            [_format(plain[name], use) for name, role in roles.items() if role is use]
            for use in (Role.TAGS, Role.REFERENCE)
        )
        return _Statements(
            "; ".join(filter(None, (self.tags, *tags)))[:_LONGEST_CELL],
            " ".join(filter(None, (self.references, *links)))[:_LONGEST_CELL],
            _find_level(members, self.level),
            self.refusal or find_refusing_member_around(members),
        )


@dataclass(frozen=True)
class _Record:
    members: _Object
    around: _Statements
    is_listed: bool
    """True if names around it, or most records beside it, say that it is an indicator."""
    doubt: str = ""
    """Why it is held; empty if it is not."""

    @classmethod
    def of(cls, exported: ExportedValue, level: str) -> "_Record":
        """The record of a value in an export of a known program, with the TLP level around it."""
        members = {"type": exported.kind, "indicator": exported.value, **exported.details}
        around = _Statements(level=level, refusal=exported.refusal)
        return cls(members, around, is_listed=True, doubt=exported.doubt)

    @cached_property
    def beside(self) -> Mapping[str, str]:
        """The statements of objects around it, and its level, by the heading of a column."""
        level = _find_level(self.members, self.around.level)
        return {"tags": self.around.tags, "references": self.around.references, "tlp": level}


@dataclass(slots=True)
class _Finder:
    """Finds the records of a file."""

    is_listed: bool = False
    """True if the name of the file says that it holds indicators."""
    doubt: str = ""
    """Why an object in a list is not read as a record; empty if all lists are read."""
    records: list[_Record] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Members with lists of what is allowed, or of victims and the like."""
    unread: list[str] = field(default_factory=list)
    """Why lines of a file cannot be read."""
    names: set[str] = field(default_factory=set)
    """The names that were looked at."""
    _lists: dict[int, bool] = field(default_factory=dict)
    """The ids of lists of records; True if names around them say that they are indicators."""
    _wrapped: dict[int, bool] = field(default_factory=dict)
    """The same of records that are alone in an object."""
    _around: set[int] = field(default_factory=set)
    """The ids of objects and lists that hold such lists."""

    def find(self, value: object) -> None:
        """Find the records in the value of a file.

        Raises Malformed if there are too many different names.
        """
        exported = find_exported(value)
        if exported is not None:
            self.records = [*_list_exported(exported)]
            self.doubt = "" if exported else NOTHING_MALICIOUS
            return
        if isinstance(value, dict) and is_record(value, is_listed=self.is_listed):
            value = [value]
        if self._mark(value, 0, self.is_listed):
            self._collect(value, _Statements())
        elif isinstance(value, dict) and not self.doubt and find_values(value):
            self.doubt = find_doubt(value, is_listed=self.is_listed)
        self._check_width()

    def _mark(self, value: object, depth: int, is_listed: bool) -> bool:
        """Note what holds records; True if a value does.

        `is_listed`: the names around it say that it holds indicators.
        """
        if isinstance(value, dict) and id(value) in self._wrapped:
            self._look_at(value)
            return True
        if depth == _DEEPEST or not isinstance(value, dict | list):
            return False
        if isinstance(value, dict):
            self._look_at(value)
            self._wrapped.update((id(each), held) for each, held in _find_wrapped(value, is_listed))
            parts = [
                (each, is_listed_within(name, is_listed))
                for name, each in value.items()
                if not self._leaves_out(name, each)
            ]
        else:
            objects = [each for each in value if isinstance(each, dict)]
            if self._are_records(objects, is_listed):
                self._lists[id(value)] = is_listed or _are_mostly(objects, is_typed)
                return True
            parts = [(each, is_listed) for each in objects]
        held = [self._mark(each, depth + 1, listed) for each, listed in parts]  # all of them
        if any(held):
            self._around.add(id(value))
        return any(held)

    def _collect(self, value: object, around: _Statements) -> None:
        if isinstance(value, dict) and id(value) in self._wrapped:
            self.records.append(_Record(value, around, self._wrapped[id(value)]))
        elif isinstance(value, list) and id(value) in self._lists:
            is_listed = self._lists[id(value)]
            objects = (each for each in value if isinstance(each, dict))
            self.records += [_Record(each, around, is_listed) for each in objects]
        elif id(value) not in self._around:
            return
        elif isinstance(value, dict):
            around = around.add({n: each for n, each in value.items() if not self._holds(each)})
            for each in value.values():
                self._collect(each, around)
        elif isinstance(value, list):
            for each in value:
                self._collect(each, around)

    def _holds(self, value: object) -> bool:
        return any(id(value) in each for each in (self._lists, self._around, self._wrapped))

    def _leaves_out(self, name: str, value: object) -> bool:
        if is_plain(value) or len(name) == 1 or name.isdigit() or not _is_left_out(name):
            return False
        self.left_out.append(name)
        return True

    def _are_records(self, objects: Sequence[_Object], is_listed: bool) -> bool:
        """True if half of the objects are records of indicators."""
        for each in objects:
            self._look_at(each)
        if _are_mostly(objects, partial(is_record, is_listed=is_listed)):
            return True
        doubts = (find_doubt(each, is_listed=is_listed) for each in objects[:_SAMPLE])
        if not self.doubt and (doubt := next(filter(None, doubts), "")):
            self.doubt = f"in a record, {doubt}"
        return False

    def _check_width(self) -> None:
        """Raise Malformed if a table of the records would be nearly empty, and so take long."""
        names = len(_list_names([each.members for each in self.records]))
        filled = sum(len(each.members) for each in self.records)
        if names * len(self.records) > max(_MOST_EMPTY * filled, _FEW_CELLS):
            raise Malformed("too many different names")

    def _look_at(self, members: _Object) -> None:
        self.names.update(each for each in members if not each.isdigit())
        if len(self.names) > MOST_NAMES:
            raise Malformed("too many different names")


def _are_mostly(objects: Sequence[_Object], test: Callable[[_Object], bool]) -> bool:
    """True if half of the objects, or more, pass a test."""
    sample = objects[:: len(objects) // _SAMPLE + 1]
    return bool(sample) and 2 * sum(map(test, sample)) >= len(sample)


@lru_cache(maxsize=2 * MOST_NAMES)
def _is_left_out(name: str) -> bool:
    return names_allowed(name) or names_others(name)


def _find_wrapped(value: _Object, is_listed: bool) -> Iterator[tuple[_Object, bool]]:
    """The records that are members of an object: `{"result": {…}}`, as Splunk exports rows.

    Each with True if names around it say that it is an indicator.
    """
    for name, each in value.items():
        listed = is_listed_within(name, is_listed)
        if name in _WRAPPERS and isinstance(each, dict) and is_record(each, is_listed=listed):
            yield each, listed


def _list_names(objects: Sequence[_Object]) -> list[str]:
    """The names of all members with cells, in their order."""
    return list(
        dict.fromkeys(name for each in objects for name, value in each.items() if _is_cell(value))
    )


def _is_cell(value: object) -> bool:
    return not isinstance(value, dict)


def _accepts(name: str, content: bytes) -> bool:
    if not _begins_as_json(content) or explain_refused_file(name):
        return False
    try:
        return bool(_find_records(name, content).records)
    except Malformed:
        return False


def _begins_as_json(content: bytes) -> bool:
    return decode_text(content[:256]).lstrip("\ufeff \t\r\n")[:1] in ("{", "[")


def _explain(name: str, content: bytes) -> str:
    """Why no records are in a file, if it is JSON."""
    if not _begins_as_json(content):
        return ""
    if refusal := explain_refused_file(name):
        return refusal
    try:
        return _find_records(name, content).doubt
    except Malformed as error:
        return str(error)


def _find_records(name: str, content: bytes) -> _Finder:
    """The records of a file.

    Raises Malformed if it is not JSON, and holds no JSON in lines with records in the first ones.
    """
    raw = decode_text(content).removeprefix("\ufeff").encode()
    finder = _Finder(names_indicator_file(name))
    try:
        finder.find(parse_json(raw))
    except Malformed:
        lines = [(n, each.strip()) for n, each in enumerate(raw.split(b"\n"), 1) if each.strip()]
        begin = lines[:_FIRST_LINES]
        first = _Finder(finder.is_listed)
        if len(lines) > 1 and is_json_lines([line for _, line in begin]):
            first.find(_parse_lines(begin)[0])
        if not first.records and first.doubt:
            return first
        if not first.records:
            raise
        values, finder.unread = _parse_lines(lines)
        finder.find(values)
    return finder


def _parse_lines(lines: Iterable[tuple[int, bytes]]) -> tuple[list[object], list[str]]:
    """The values of numbered lines, and why others cannot be read.

    Raises Malformed if these are too many.
    """
    values: list[object] = []
    unread: list[str] = []
    for number, line in lines:
        try:
            values.append(parse_json(line))
        except Malformed as error:
            unread.append(f"line {number}: {error}")
            if len(unread) > _MOST_UNREAD:
                raise Malformed(f"too many lines are not JSON: {unread[0]}") from error
    return values, unread


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    found = _find_records(name, content)
    numbered = list(enumerate(found.records, 1))
    refused = {number: why for number, each in numbered if (why := _find_reason(each))}
    table = _Table.of(found.records, options)
    rows = (table.format(number, each) for number, each in numbered if number not in refused)
    read = (rewrite_messages(each, _name_record) for each in table.read(rows, options))
    parts = (
        read,
        (_refuse(number, found.records[number - 1], why) for number, why in refused.items()),
        (refused_candidate(0, each) for each in found.unread),
    )
    notes = [*table.notes, *_note_left_out(found.left_out)]
    if found.doubt:
        notes.append(f"a list of objects is not read: {found.doubt}")
    return with_notes(join_parts(("", each) for each in parts), notes)


def _refuse(number: int, record: _Record, reason: str) -> Candidate:
    about_value = reason.startswith("not an indicator")  # and not a person's
    excerpt = _find_value(record.members) if about_value else ""
    return refused_candidate(0, f"record {number}: {reason}", excerpt)


def _find_value(members: _Object) -> str:
    """The beginning of the value of a record, for the submitter."""
    of_kinds = find_values(members)
    held = [v for name, v in members.items() if find_role(name) is Role.VALUE or name in of_kinds]
    texts = (each for each in held if isinstance(each, str))
    return _SPACE.sub(" ", as_seen(next(texts, "")[:_LONGEST_EXCERPT]))


def _name_record(message: str) -> str:
    return _LINE.sub(r"\1record \2", message)


def _note_left_out(names: Sequence[str]) -> Iterator[str]:
    if names:
        listed = ", ".join(dict.fromkeys(ascii(each[:40]) for each in names[:10]))
        yield f"not read, for their names speak of what is allowed, of people or victims: {listed}"


def _find_reason(record: _Record) -> str:
    """Why a record is refused, by what it and the objects around it say; empty if it is read."""
    kinds = (each for name, each in record.members.items() if find_role(name) is Role.TYPE)
    if any(map(_is_about_report, kinds)):
        return "about the report itself, not an indicator"
    if reason := find_refusing_member(record.members) or record.around.refusal:
        return reason
    if is_typed(record.members) or not find_values(record.members):
        return ""
    return find_doubt(record.members, is_listed=record.is_listed)


def _is_about_report(kind: object) -> bool:
    return isinstance(kind, str) and split_heading(kind).replace(" ", "") in tables.ABOUT_REPORT


@dataclass(frozen=True, slots=True)
class _Table:
    """The members of records as columns."""

    names: Sequence[str]
    """Members with a column."""
    roles: Mapping[str, Role]
    """The use of every member."""
    mapped: Set[str]
    """The names to which the user gave a use, as words."""
    notes: Sequence[str]
    added: Sequence[str]
    """The headings of columns for what is beside the records."""

    @classmethod
    def of(cls, records: Sequence[_Record], options: ReadOptions) -> "_Table":
        """The table of all records of a file."""
        names = _list_names([each.members for each in records])
        roles = _find_roles(names)
        mapped = frozenset(map(normalise_heading, options.columns))
        untyped = (each.members for each in records if not is_typed(each.members))
        of_kinds = {name for each in untyped for name in find_values(each)}
        beside = {
            each
            for each in names
            if roles[each] in _LEFT_OUT
            and each not in of_kinds
            and normalise_heading(each) not in mapped
        }
        kept = [each for each in names if each not in beside and roles[each] is not Role.TLP]
        added = [name for name in _ADDED if any(each.beside[name] for each in records)]
        table = cls(kept, roles, mapped, [], added)
        some = [each.members for each in records[:_SAMPLE]]
        others = {name for each in some for name in table.find_other_values(each)}
        with_values = {n for n in beside if any(has_value(each.get(n)) for each in some)} | others
        listed = ", ".join(ascii(each[:40]) for each in [n for n in names if n in with_values][:10])
        note = f"not read, since a record is about its value alone: {listed}"
        return replace(table, notes=[note] if with_values else [])

    def find_other_values(self, members: _Object) -> list[str]:
        """The names of values beside the one that a record is about: `entity` beside `indicator`.

        Members to which the user gave a use are not among them.
        """
        values = [each for each in self.names if self.roles[each] in VALUE_ROLES]
        filled = [each for each in values if not isinstance(members.get(each), bool | None)]
        kept = self._find_own_values(members, filled)
        own = [members[each] for each in kept]
        others = (e for e in filled if e not in kept and members[e] not in own)
        return [each for each in others if normalise_heading(each) not in self.mapped]

    def _find_own_values(self, members: _Object, filled: Sequence[str]) -> Sequence[str]:
        """The names of the values that a record is about."""
        if not is_typed(members):
            return find_values(members)
        named = [each for each in filled if self.roles[each] is Role.VALUE]
        ranked = sorted(named, key=lambda each: (not has_value(members[each]), rank_value(each)))
        return ranked[:1]

    def read(self, rows: Iterable[Row], options: ReadOptions) -> Iterator[Candidate]:
        """The candidates of rows; their messages name the record as a line."""
        headings = [*self.names, *self.added]
        columns = parse_names(headings) or name_columns(headings)
        columns = map_columns(columns, len(headings), options.columns)
        return tables.read_below(columns, rows, options)

    def format(self, number: int, record: _Record) -> Row:
        """A record, by its number from 1, as a row of the table."""
        members = {
            name: each for name, each in record.members.items() if not self._is_flag(name, each)
        }
        others = self.find_other_values(members)
        if not is_typed(members):  # perhaps a person
            others += [each for each in self.names if self.roles[each] is Role.NAME]
        cells = [
            "" if name in others else self._format_cell(name, members.get(name))
            for name in self.names
        ]
        cells += (record.beside[name] for name in self.added)
        return Row(number, tuple(cells), doubt=record.doubt)

    def _is_flag(self, name: str, value: object) -> bool:
        """True for a member such as `ioc` that does not hold a value, but says if one is there."""
        return isinstance(value, bool) and self.roles.get(name) is Role.VALUE

    def _format_cell(self, name: str, value: object) -> str:
        role = self.roles[name]
        if role in (Role.FIRST_SEEN, Role.VALID_UNTIL) and isinstance(value, int):
            return _format_date(value)
        text = _format(value, role)
        if role is Role.CLASSIFICATION and text.lower() in _VISIBLE_TO:
            return ""
        if role is Role.NOTE:
            return text[: LONGEST_TEXT + 1]
        return text if len(text) <= _LONGEST_CELL else ""


def _find_roles(names: Sequence[str]) -> dict[str, Role]:
    return {name: find_role(name) for name in names}


def _format(value: object, role: Role) -> str:
    """The text of a cell; of objects in a list, only tags have a name to be known by."""
    if isinstance(value, list):
        return (" " if role is Role.REFERENCE else "; ").join(_format_each(value, role))
    if isinstance(value, dict):
        named = map(value.get, _NAMED if role is Role.TAGS else ())
        return next((_SPACE.sub(" ", each) for each in named if isinstance(each, str)), "")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else _SPACE.sub(" ", as_seen(str(value)))


def _format_each(values: Sequence[object], role: Role) -> Iterator[str]:
    """The texts of a list, up to more characters than a cell may have; no values among tags."""
    length = 0
    for each in values:
        text = _format(each, role)
        if text and not (role is Role.TAGS and is_value(text)):
            yield text
            length += len(text)
        if length > _LONGEST_CELL:
            return


def _format_date(number: int) -> str:
    if number in _SECONDS:
        return stix_time(number * 1_000_000)
    return stix_time(number * 1000) if number // 1000 in _SECONDS else str(number)


def _list_exported(exported: Iterable[ExportedValue]) -> Iterator[_Record]:
    """The records of values in an export, whose levels are looked for once for each object."""
    levels: dict[int, str] = {}
    for each in exported:
        if id(each.around) not in levels:
            levels[id(each.around)] = _find_level(each.around, "")
        around = levels[id(each.around)]
        if id(each.origin) not in levels:
            levels[id(each.origin)] = _find_level(each.origin, around)
        yield _Record.of(each, levels[id(each.origin)])


def _find_level(members: object, around: str) -> str:
    """The strictest TLP level of an object and of what is `around` it; or a word that is none."""
    levels = set[Tlp]()
    for name, text in (("tlp", around), *_walk(members, "")):
        levels.update(find_tlp_levels(text))
        if _names_tlp(name) and text:
            try:
                levels.add(Tlp.parse(text))
            except ValueError:
                if find_role(name) is Role.TLP:
                    return text[:_LONGEST_CELL]
    return max(levels).name if levels else ""


@lru_cache(maxsize=2 * MOST_NAMES)
def _names_tlp(name: str) -> bool:
    return _TLP.search(split_heading(name)) is not None or find_role(name) is Role.TLP


def _walk(value: object, name: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, and numbers of levels in words, each with the member's name."""
    if isinstance(value, dict):
        if _names_tlp(name):
            yield name, _name_level(value)
        for key, each in value.items():
            yield from _walk(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each, name)
    elif isinstance(value, str):
        yield name, value
    elif number := _format_number(value):
        yield name, number


def _name_level(found: _Object) -> str:
    """The strictest level in an object that is one, such as `{"name": "red"}`; else a word."""
    words = [each for each in found.values() if isinstance(each, str)]
    numbers = [number for each in found.values() if (number := _format_number(each))]
    for some in (words, numbers):  # a number beside a word may be an id
        if levels := [Tlp.parse(each) for each in some if _is_level(each)]:
            return max(levels).name
    return next(iter(words), "")


def _is_level(word: str) -> bool:
    try:
        Tlp.parse(word)
    except ValueError:
        return False
    return True


def _format_number(value: object) -> str:
    """The TLP level with this number in TheHive; empty if the value is not such a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return ""
    return THEHIVE_LEVELS[int(min(value, len(THEHIVE_LEVELS) - 1))]


FORMAT = Format(
    name="records",
    description="records in JSON, or JSON lines, with a type and a value: exports of OTX, XSOAR …",
    never_shared="members that the notes call ignored, objects in records, and what is around them",
    extensions=(".json", ".jsonl", ".ndjson"),
    accepts=_accepts,
    read=_read_file,
    explain=_explain,
    rank=6,
)
