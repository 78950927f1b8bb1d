"""Block lists as JSON: an array of values, or arrays under names such as `deny` or `allow`.

Entries of arrays whose name denies, blocks or speaks of indicators become
indicators; those of all other arrays do not.  An entry that the same file also
allows is refused.  Long arrays of a large file are read from it in parts, several times.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import Any, BinaryIO

from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.admission.extraction.external_ids import format_ids, take_external_ids
from tocsin.admission.extraction.field_names import names_victims
from tocsin.admission.extraction.indicators import (
    CandidateBuilder,
    IndicatorDetails,
    recognise_declared,
    refused_candidate,
)
from tocsin.admission.extraction.json_stream import (
    LONGEST_ELEMENT,
    Element,
    find_document,
    measure_depth,
    read_elements,
    read_members,
)
from tocsin.admission.extraction.places import Places
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.extraction.tlp_words import find_strictest_in_pieces, find_strictest_tlp
from tocsin.admission.extraction.verified_file import VerifiedFile
from tocsin.admission.formats import Format, ReadOptions, formats
from tocsin.admission.formats.csv.columns import Role, name_columns
from tocsin.admission.formats.list_names import (
    explain_refused_file,
    names_allowed,
    names_indicator_file,
    names_victims_or_own,
    split_name,
)
from tocsin.admission.model import Action, Candidate, Finding, Tlp
from tocsin.admission.observables.ioc_types import RecognisedIoc
from tocsin.admission.observables.placeholders import EXPLANATION, has_placeholder
from tocsin.admission.observables.refang import refang
from tocsin.admission.stix.ijson import MAX_DEPTH, parse_json
from tocsin.admission.word_lists import load_words

_ENDINGS = (".json",)
_PACKAGE = "tocsin.admission.formats"
_DENY_WORDS = frozenset(load_words(_PACKAGE, "deny_words"))
VALUE_ROLES = (Role.VALUE, Role.VALUE_OF_KIND)
"""The roles of members that may hold indicators."""
_TLP_NAMES = frozenset(("tlp", "marking", "markings"))
_NOTHING = "no indicator: give a host, address, URL, e-mail address or hash"
_EXCLUDED = "the same file allows it, or calls it a victim's: remove it from one of the lists"
_DEEPEST = 3
_SAMPLE = 400
_LONGEST_NAME = 60
_LONGEST_KEPT = 65_536
"""Octets of a value in a large file that is kept, and of a part of an array."""
_MOST_KEPT = 8_000_000
"""Octets of names and values of a large file that are kept."""
_TRIM = " \t\r\n\u00a0\ufeff\u200b\"'`<>,;|"


@dataclass(frozen=True, slots=True)
class _LongArray:
    """An array in a file, read from it each time."""

    file: VerifiedFile
    parts: Sequence[int]
    """The first octet of each part, and the end of the last; parts are cut between elements."""
    count: int

    def __iter__(self) -> Iterator[Any]:
        """Read the array."""
        for start, end in pairwise(self.parts):
            yield from _read_part(self.file, start, end)

    def __len__(self) -> int:
        """The number of elements."""
        return self.count


_Array = list[Any] | _LongArray


@dataclass(slots=True)
class _Lists:
    """The lists of one file, sorted by their names.  A name may come more than once."""

    denied: dict[str, list[_Array]] = field(default_factory=dict)
    excluded: dict[str, list[_Array]] = field(default_factory=dict)
    """Lists of what is allowed, or of victims: no entry of them becomes an indicator."""
    ignored: list[str] = field(default_factory=list)
    """The names of all other lists."""
    levels: list[str] = field(default_factory=list)
    """Values of members named `tlp` or `marking`."""
    are_indicators: bool = False
    """True if the name of the file says so; then lists such as `ips` and `domains` are read."""

    def sort(self, name: str, value: object, depth: int = 0) -> None:
        """Sort a member of the file by its name, with the names of the objects around it."""
        words = split_name(name)
        if isinstance(value, dict):
            for key, each in value.items() if depth < _DEEPEST else ():
                self.sort(f"{name}.{key}" if name else key, each, depth + 1)
        elif isinstance(value, list | _LongArray) and value:
            self._sort_list(name, value, words)
        elif isinstance(value, str) and words & _TLP_NAMES:
            self.levels.append(value)

    def _sort_list(self, name: str, entries: _Array, words: frozenset[str]) -> None:
        parts = [each for each in name.split(".") if len(each) > 1]
        if names_allowed(name) or any(map(names_victims, parts)):
            self.excluded.setdefault(name, []).append(entries)
        elif any(map(names_victims_or_own, parts)):
            self.ignored.append(name)
        elif words & _DENY_WORDS or not name or self._is_of_indicators(name):
            self.denied.setdefault(name, []).append(entries)
        else:
            self.ignored.append(name)

    def _is_of_indicators(self, name: str) -> bool:
        """True for a list such as `ips` in the outermost object, if the file says the rest."""
        return self.are_indicators and "." not in name and names_values(name)


def _accepts(name: str, content: bytes) -> bool:
    if not _may_accept(name, content):
        return False
    try:
        lists = _sort_lists(name, content)
    except Malformed:
        return False
    return any(map(_are_mostly_values, lists.denied.values()))


def _may_accept(name: str, content: bytes) -> bool:
    """False if the name, or the beginning, shows that a file is not a block list."""
    if decode_text(content[:256]).lstrip("\ufeff \t\n")[:1] not in ("{", "["):
        return False
    return not explain_refused_file(name)


def names_values(name: str) -> bool:
    """True for the name of a list, or member, of values: `ips`, `sha256`, `indicator`."""
    return name_columns([name]).roles[0] in VALUE_ROLES


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    lists = _sort_lists(name, content)
    stated = find_strictest_tlp(enumerate(decode_text(content).split("\n"), 1))
    yield from _read_lists(lists, stated, options)


def _read_large(name: str, stream: BinaryIO, options: ReadOptions) -> Iterator[Candidate] | None:
    """The candidates of a large list; None if the file must be read as a whole, or is none."""
    file = VerifiedFile(stream)
    if not name.lower().endswith(_ENDINGS) or not _may_accept(name, file.read(256)):
        return None
    try:
        lists = _Finder(name, file).find()
    except (_Unsuitable, Malformed):
        return None
    if not any(map(_are_mostly_values, lists.denied.values())):
        return None
    return _read_found(lists, file, options)


def _read_found(lists: _Lists, file: VerifiedFile, options: ReadOptions) -> Iterator[Candidate]:
    yield from _read_lists(lists, find_strictest_in_pieces(file.read_text()), options)


def _read_lists(
    lists: _Lists, stated: tuple[Tlp | None, tuple[Finding, ...]], options: ReadOptions
) -> Iterator[Candidate]:
    """`stated`: the strictest level in the words of the file, with a finding."""
    level, notes = _find_level(lists, stated[0]), stated[1]
    found = _build_candidates(lists, IndicatorDetails(tlp=level), notes, CandidateBuilder(options))
    yield from (each.with_findings(*_note_ignored_lists(lists)) for each in islice(found, 1))
    yield from found


def _build_candidates(
    lists: _Lists, details: IndicatorDetails, notes: Sequence[Finding], builder: CandidateBuilder
) -> Iterator[Candidate]:
    excluded = Places()
    for some in chain.from_iterable(lists.excluded.values()):
        for each in some:
            if value := _recognise(each):
                excluded.find_or_add(" ".join(value), 0)
    every = (
        (name, each) for name, arrays in lists.denied.items() for some in arrays for each in some
    )
    for number, (name, entry) in enumerate(every, 1):
        value = _recognise(entry)
        if value is None or " ".join(value) in excluded:
            place = f"entry {number}" + (f", in {name[:_LONGEST_NAME]!a}" if name else "")
            why = _explain_no_value(entry) if value is None else _EXCLUDED
            yield refused_candidate(builder.next_index(), f"{place}: {why}")
        else:
            yield builder.build(value, details, ("entry", number), notes)


def _sort_lists(name: str, content: bytes) -> _Lists:
    lists = _Lists(are_indicators=names_indicator_file(name))
    lists.sort("", parse_json(decode_text(content).removeprefix("\ufeff").encode()))
    return lists


def _recognise(entry: object) -> RecognisedIoc | None:
    if not isinstance(entry, str) or take_external_ids(entry)[1]:
        return None
    return recognise_declared(refang(entry.strip(_TRIM)), host=False)


def _explain_no_value(entry: object) -> str:
    if not isinstance(entry, str):
        return _NOTHING
    if has_placeholder(refang(entry.strip(_TRIM))):
        return EXPLANATION
    ids = take_external_ids(entry)[1]
    return f"{format_ids(ids)} describes indicators but is not one" if ids else _NOTHING


def _are_mostly_values(arrays: Sequence[_Array]) -> bool:
    step = max(1, sum(map(len, arrays)) // _SAMPLE)
    sample = list(islice(chain.from_iterable(arrays), 0, None, step))
    return sum(_recognise(each) is not None for each in sample) * 10 >= len(sample) * 6


def _find_level(lists: _Lists, level: Tlp | None) -> Tlp | None:
    """The strictest level that the file states in its words, or in a member."""
    try:
        stated = [Tlp.parse(word) for word in lists.levels]
    except ValueError as error:
        raise Unprocessable(str(error)) from None
    return max([*stated, *([] if level is None else [level])], default=None)


def _note_ignored_lists(lists: _Lists) -> tuple[Finding, ...]:
    """A finding that names the lists whose entries do not become indicators."""
    names = [*lists.excluded, *lists.ignored]
    if not names:
        return ()
    listed = ", ".join(ascii(name[:_LONGEST_NAME]) for name in names[:5])
    message = "only lists whose names deny or block are read; ignored: " + listed
    more = ", …" if names[5:] else ""
    return (Finding("validate", "format", Action.NOTED, message + more),)


class _Unsuitable(Exception):
    """The file has to be read as a whole, or is not a block list."""


@dataclass(slots=True)
class _Finder:
    """Sorts the lists of a large file, and checks all of it.  Raises Malformed or _Unsuitable."""

    name: str
    file: VerifiedFile
    kept: int = 0
    """Octets of names and values that are kept."""

    def find(self) -> _Lists:
        """The lists of the file."""
        document = find_document(self.file)
        lists = _Lists(are_indicators=names_indicator_file(self.name))
        if self._opening(document) == b"[":
            lists.sort("", self._read_array(document, is_document=True))
        else:
            members = self._read_members(document)
            if self._is_other_format(members):
                raise _Unsuitable
            self._sort_members(lists, "", members, 0)
        return lists

    def _is_other_format(self, members: dict[bytes, Element]) -> bool:
        """True if a format that is asked before takes an object with these members."""
        if any(parse_json(name) == "response" for name in members):
            return True
        empty = {b"[": b"[]", b"{": b"{}"}
        outline = b",".join(
            name + b":" + (each.raw or empty.get(self._opening(each), b'""'))
            for name, each in members.items()
        )
        before = (each for each in formats() if each.rank < FORMAT.rank)
        return any(each.accepts(self.name, b"{" + outline + b"}") for each in before)

    def _sort_members(
        self, lists: _Lists, name: str, members: dict[bytes, Element], depth: int
    ) -> None:
        for key, each in members.items():
            path = f"{name}.{parse_json(key)}" if name else str(parse_json(key))
            opening = self._opening(each)
            if each.raw is not None:
                lists.sort(path, parse_json(each.raw), depth + 1)
            elif opening == b"[":
                lists.sort(path, self._read_array(each), depth + 1)
            elif opening == b"{" and depth + 1 < _DEEPEST:
                self._sort_members(lists, path, self._read_members(each), depth + 1)
            else:
                raise _Unsuitable

    def _read_members(self, value: Element) -> dict[bytes, Element]:
        """The members of an object by their names as written; those with octets are checked."""
        members = list(self._take_members(value))
        if len({parse_json(each) for each, _ in members}) < len(members):
            raise _Unsuitable
        return dict(members)

    def _take_members(self, value: Element) -> Iterator[tuple[bytes, Element]]:
        for name, each in read_members(self.file, value.start, _LONGEST_KEPT):
            self.kept += len(name) + len(each.raw or b"") + 100
            if self.kept > _MOST_KEPT:
                raise _Unsuitable
            if each.raw is not None:
                _check_depth(each.raw)
                parse_json(each.raw)
            yield name, each

    def _read_array(self, value: Element, *, is_document: bool = False) -> _LongArray:
        """Cut an array into parts, and check them."""
        parts, count, end = array("q"), 0, 0
        for each in read_elements(self.file, value.start, 0):
            if not parts:
                parts.append(each.start)
            if each.end - parts[-1] > _LONGEST_KEPT and end > parts[-1]:
                self._check_part(parts[-1], end, is_document)
                parts.append(each.start)
            count, end = count + 1, each.end
        if parts:
            self._check_part(parts[-1], end, is_document)
            parts.append(end)
        return _LongArray(self.file, parts, count)

    def _check_part(self, start: int, end: int, is_document: bool) -> None:
        if end - start > LONGEST_ELEMENT:
            raise _Unsuitable
        found = _read_part(self.file, start, end)
        if is_document and any(isinstance(each, dict | list) for each in found):
            raise _Unsuitable  # it may be STIX or MISP

    def _opening(self, value: Element) -> bytes:
        self.file.seek(value.start)
        return self.file.read(1)


def _read_part(file: VerifiedFile, start: int, end: int) -> list[Any]:
    """The elements in a part of an array, or of the whole but a comma at its end."""
    file.seek(start)
    octets = file.read(end - start).rstrip(b" \t\r\n").removesuffix(b",")
    _check_depth(octets)
    found = parse_json(b"[" + octets + b"]")
    assert isinstance(found, list)  # noqa: S101
    return found


def _check_depth(raw: bytes) -> None:
    """Raise _Unsuitable if a value may be too deep in the arrays and objects around it."""
    deepest = MAX_DEPTH - _DEEPEST - 3
    if raw.count(b"[") + raw.count(b"{") > deepest and measure_depth(raw) > deepest:
        raise _Unsuitable


FORMAT = Format(
    name="list",
    description="a block list as JSON: an array of values, or arrays named deny, block, indicators",
    never_shared="all but the values of lists that deny or block",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    read_large=_read_large,
    judges_whole=True,
    rank=5,
)
