"""The table of records: their members are its columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tocsin.admission.extraction.field_names import normalise_heading
from tocsin.admission.formats import ReadOptions
from tocsin.admission.formats import csv as tables
from tocsin.admission.formats.csv.cells import LONGEST_TEXT
from tocsin.admission.formats.csv.columns import (
    Role,
    map_columns,
    name_columns,
    parse_names,
)
from tocsin.admission.formats.csv.rows import Row
from tocsin.admission.formats.json_list import VALUE_ROLES
from tocsin.admission.formats.json_records.cells import LONGEST_CELL, format_cell, format_date
from tocsin.admission.formats.json_records.exported_values import Members
from tocsin.admission.formats.json_records.records import JsonRecord
from tocsin.admission.formats.json_records.values import (
    find_roles,
    find_values,
    has_value,
    is_typed,
    list_names,
    rank_value,
)
from tocsin.admission.model import Candidate

_SAMPLE = 200
_VISIBLE_TO = frozenset(("private", "public"))
"""Classifications in ThreatStream: who sees a record, nothing about its value."""
_LEFT_OUT = (Role.VALUE_OF_KIND, Role.CERTIFICATE)
"""Values beside the one that a record is about, such as the address of a domain."""
_ADDED = ("tags", "references", "tlp")
"""The columns for what objects around a record say of it, and for its level."""


@dataclass(frozen=True, slots=True)
class MemberTable:
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
    def of(cls, records: Sequence[JsonRecord], options: ReadOptions) -> "MemberTable":
        """The table of all records of a file."""
        names = list_names([each.members for each in records])
        roles = find_roles(names)
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

    def find_other_values(self, members: Members) -> list[str]:
        """The names of values beside the one that a record is about: `entity` beside `indicator`.

        Members to which the user gave a use are not among them.
        """
        values = [each for each in self.names if self.roles[each] in VALUE_ROLES]
        filled = [each for each in values if not isinstance(members.get(each), bool | None)]
        kept = self._find_own_values(members, filled)
        own = [members[each] for each in kept]
        others = (e for e in filled if e not in kept and members[e] not in own)
        return [each for each in others if normalise_heading(each) not in self.mapped]

    def _find_own_values(self, members: Members, filled: Sequence[str]) -> Sequence[str]:
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

    def format(self, number: int, record: JsonRecord) -> Row:
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
            return format_date(value)
        text = format_cell(value, role)
        if role is Role.CLASSIFICATION and text.lower() in _VISIBLE_TO:
            return ""
        if role is Role.NOTE:
            return text[: LONGEST_TEXT + 1]
        return text if len(text) <= LONGEST_CELL else ""
