"""The records of a file: where they are in its objects and lists, and what these say of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.json_split import is_json_lines
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.formats.csv.columns import Role
from tocsin.admission.formats.json_records.cells import LONGEST_CELL, format_cell
from tocsin.admission.formats.json_records.exported_values import ExportedValue, Members
from tocsin.admission.formats.json_records.exports import NOTHING_MALICIOUS, find_exported
from tocsin.admission.formats.json_records.states import find_refusing_member_around
from tocsin.admission.formats.json_records.tlp_levels import find_level
from tocsin.admission.formats.json_records.values import (
    MOST_NAMES,
    find_doubt,
    find_roles,
    find_values,
    is_listed_within,
    is_plain,
    is_record,
    is_typed,
    list_names,
)
from tocsin.admission.formats.list_names import (
    names_allowed,
    names_indicator_file,
    names_victims_or_own,
)
from tocsin.admission.stix.ijson import parse_json

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
_WRAPPERS = frozenset(("result", "_source", "source", "fields", "event", "indicator", "ioc"))
_WRAPPERS |= {"data", "attributes", "observable", "hit", "row", "record", "object", "document"}
"""Members that hold one record; another, such as `query`, may be somebody's question."""


@dataclass(frozen=True, slots=True)
class StatementsAround:
    """The statements of objects around a record that count for it."""

    tags: str = ""
    references: str = ""
    level: str = ""
    """The strictest TLP level, or a word in its place that is none."""
    refusal: str = ""
    """Why all records within are refused; empty if they are not."""

    def add(self, members: Members) -> "StatementsAround":
        """These statements and those of an object within, by its `members` that hold no records."""
        plain = {name: each for name, each in members.items() if is_plain(each)}
        roles = find_roles(list(plain))
        tags, links = (
            [format_cell(plain[name], use) for name, role in roles.items() if role is use]
            for use in (Role.TAGS, Role.REFERENCE)
        )
        return StatementsAround(
            "; ".join(filter(None, (self.tags, *tags)))[:LONGEST_CELL],
            " ".join(filter(None, (self.references, *links)))[:LONGEST_CELL],
            find_level(members, self.level),
            self.refusal or find_refusing_member_around(members),
        )


@dataclass(frozen=True)
class JsonRecord:
    """An object that is about one indicator, with what the objects around it say of it."""

    members: Members
    around: StatementsAround
    is_listed: bool
    """True if names around it, or most records beside it, say that it is an indicator."""
    doubt: str = ""
    """Why it is held; empty if it is not."""

    @classmethod
    def of(cls, exported: ExportedValue, level: str) -> "JsonRecord":
        """The record of a value in an export of a known program, with the TLP level around it."""
        members = {"type": exported.kind, "indicator": exported.value, **exported.details}
        around = StatementsAround(level=level, refusal=exported.refusal)
        return cls(members, around, is_listed=True, doubt=exported.doubt)

    @cached_property
    def beside(self) -> Mapping[str, str]:
        """The statements of objects around it, and its level, by the heading of a column."""
        level = find_level(self.members, self.around.level)
        return {"tags": self.around.tags, "references": self.around.references, "tlp": level}


@dataclass(slots=True)
class RecordFinder:
    """Finds the records of a file."""

    is_listed: bool = False
    """True if the name of the file says that it holds indicators."""
    doubt: str = ""
    """Why an object in a list is not read as a record; empty if all lists are read."""
    records: list[JsonRecord] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Members with lists of what is allowed, or of victims and the like."""
    unread: list[str] = field(default_factory=list)
    """Why lines of a file cannot be read."""
    names: set[str] = field(default_factory=set)
    """The names that were looked at."""
    _lists: dict[int, bool] = field(default_factory=dict)
    """The ids of lists of records; True if names around them say that they are indicators."""
    _wrapped: dict[int, bool] = field(default_factory=dict)
    """The ids of records alone in an object; True if names around say that it is an indicator."""
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
            self._collect(value, StatementsAround())
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

    def _collect(self, value: object, around: StatementsAround) -> None:
        if isinstance(value, dict) and id(value) in self._wrapped:
            self.records.append(JsonRecord(value, around, self._wrapped[id(value)]))
        elif isinstance(value, list) and id(value) in self._lists:
            is_listed = self._lists[id(value)]
            objects = (each for each in value if isinstance(each, dict))
            self.records += [JsonRecord(each, around, is_listed) for each in objects]
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

    def _are_records(self, objects: Sequence[Members], is_listed: bool) -> bool:
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
        names = len(list_names([each.members for each in self.records]))
        filled = sum(len(each.members) for each in self.records)
        if names * len(self.records) > max(_MOST_EMPTY * filled, _FEW_CELLS):
            raise Malformed("too many different names")

    def _look_at(self, members: Members) -> None:
        self.names.update(each for each in members if not each.isdigit())
        if len(self.names) > MOST_NAMES:
            raise Malformed("too many different names")


def _are_mostly(objects: Sequence[Members], test: Callable[[Members], bool]) -> bool:
    """True if half of the objects, or more, pass a test."""
    sample = objects[:: len(objects) // _SAMPLE + 1]
    return bool(sample) and 2 * sum(map(test, sample)) >= len(sample)


@lru_cache(maxsize=2 * MOST_NAMES)
def _is_left_out(name: str) -> bool:
    return names_allowed(name) or names_victims_or_own(name)


def _find_wrapped(value: Members, is_listed: bool) -> Iterator[tuple[Members, bool]]:
    """The records that are members of an object: `{"result": {…}}`, as Splunk exports rows.

    Each with True if names around it say that it is an indicator.
    """
    for name, each in value.items():
        listed = is_listed_within(name, is_listed)
        if name in _WRAPPERS and isinstance(each, dict) and is_record(each, is_listed=listed):
            yield each, listed


def _list_exported(exported: Iterable[ExportedValue]) -> Iterator[JsonRecord]:
    """The records of values in an export, whose levels are looked for once for each object."""
    levels: dict[int, str] = {}
    for each in exported:
        if id(each.around) not in levels:
            levels[id(each.around)] = find_level(each.around, "")
        around = levels[id(each.around)]
        if id(each.origin) not in levels:
            levels[id(each.origin)] = find_level(each.origin, around)
        yield JsonRecord.of(each, levels[id(each.origin)])


def find_records(name: str, content: bytes) -> RecordFinder:
    """The records of a file.

    Raises Malformed if it is not JSON, and holds no JSON in lines with records in the first ones.
    """
    raw = decode_text(content).removeprefix("\ufeff").encode()
    finder = RecordFinder(names_indicator_file(name))
    try:
        finder.find(parse_json(raw))
    except Malformed:
        lines = [(n, each.strip()) for n, each in enumerate(raw.split(b"\n"), 1) if each.strip()]
        begin = lines[:_FIRST_LINES]
        first = RecordFinder(finder.is_listed)
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
