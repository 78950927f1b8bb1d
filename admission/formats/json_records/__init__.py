"""Records in JSON: lists of flat objects that each name a type and a value, read as a table.

Programs that keep indicators export and answer so: AlienVault OTX, CrowdStrike, ThreatStream,
ThreatFox, XSOAR, Microsoft Defender, TheHive.  They share what a table with such headings would.
"""

from collections.abc import Iterator, Sequence

from tocsin.admission.documents.bounded import join_parts, rewrite_messages, with_notes
from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.field_names import split_heading
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats import csv as tables
from tocsin.admission.formats.csv.columns import Role
from tocsin.admission.formats.json_records.cells import join_lines
from tocsin.admission.formats.json_records.exported_values import Members
from tocsin.admission.formats.json_records.records import JsonRecord, find_records
from tocsin.admission.formats.json_records.states import find_refusing_member
from tocsin.admission.formats.json_records.table import MemberTable
from tocsin.admission.formats.json_records.values import (
    find_doubt,
    find_role,
    find_values,
    is_typed,
)
from tocsin.admission.formats.list_names import explain_refused_file
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Candidate

_LONGEST_EXCERPT = 60
_LINE = compile_lazily(r"(^|duplicate of )line (\d+)")


def _accepts(name: str, content: bytes) -> bool:
    if not _begins_as_json(content) or explain_refused_file(name):
        return False
    try:
        return bool(find_records(name, content).records)
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
        return find_records(name, content).doubt
    except Malformed as error:
        return str(error)


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    found = find_records(name, content)
    numbered = list(enumerate(found.records, 1))
    refused = {number: why for number, each in numbered if (why := _find_reason(each))}
    table = MemberTable.of(found.records, options)
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


def _refuse(number: int, record: JsonRecord, reason: str) -> Candidate:
    about_value = reason.startswith("not an indicator")  # and not a person's
    excerpt = _find_value(record.members) if about_value else ""
    return refused_candidate(0, f"record {number}: {reason}", excerpt)


def _find_value(members: Members) -> str:
    """The beginning of the value of a record, for the submitter."""
    of_kinds = find_values(members)
    held = [v for name, v in members.items() if find_role(name) is Role.VALUE or name in of_kinds]
    texts = (each for each in held if isinstance(each, str))
    return join_lines(next(texts, "")[:_LONGEST_EXCERPT])


def _name_record(message: str) -> str:
    return _LINE.sub(r"\1record \2", message)


def _note_left_out(names: Sequence[str]) -> Iterator[str]:
    if names:
        listed = ", ".join(dict.fromkeys(ascii(each[:40]) for each in names[:10]))
        yield f"not read, for their names speak of what is allowed, of people or victims: {listed}"


def _find_reason(record: JsonRecord) -> str:
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
