"""Block lists as JSON: an array of values, or arrays under names such as `deny` or `allow`.

Entries of arrays whose name denies, blocks or speaks of indicators become
indicators; those of all other arrays do not.  An entry that the same file also
allows is refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import Any

from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.admission.extraction.external_ids import format_ids, take_external_ids
from tocsin.admission.extraction.indicators import (
    CandidateBuilder,
    IndicatorDetails,
    recognise_declared,
    refused_candidate,
)
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Tlp,
)
from tocsin.admission.observables.ioc_types import RecognisedIoc
from tocsin.admission.observables.placeholders import EXPLANATION, has_placeholder
from tocsin.admission.observables.refang import refang
from tocsin.admission.stix.ijson import parse_json
from tocsin.admission.word_lists import load_alternation, load_words

_ENDINGS = (".json",)
_PACKAGE = "tocsin.admission.formats"
_DENY_WORDS = frozenset(load_words(_PACKAGE, "deny_words"))
_ALLOW_WORDS = frozenset(load_words(_PACKAGE, "allow_words"))
_ALLOW_FILE_WORDS = frozenset(("white", "benign", "warninglist", "harmless", "good", "false"))
_ALLOW_FILE_WORDS |= {"fp", "fps"}
_ALLOW_STEMS = re.compile(load_alternation(_PACKAGE, "allow_stems"))
"""Words that allow, whatever their ending."""
_TLP_NAMES = frozenset(("tlp", "marking", "markings"))
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_NOTHING = "no indicator: give a host, address, URL, e-mail address or hash"
_ALLOWED = "the same file allows it: remove it from one of the two lists"
_DEEPEST = 3
_SAMPLE = 400
_LONGEST_NAME = 60
_TRIM = " \t\r\n\u00a0\ufeff\u200b\"'`<>,;|"


@dataclass(slots=True)
class _Lists:
    """The lists of one file, sorted by their names."""

    denied: dict[str, list[Any]] = field(default_factory=dict)
    allowed: dict[str, list[Any]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    """Values of members named `tlp` or `marking`."""

    def sort(self, name: str, value: object, depth: int = 0) -> None:
        """Sort a member of the file by its name, with the names of the objects around it."""
        words = _split_name(name)
        if isinstance(value, dict):
            for key, each in value.items() if depth < _DEEPEST else ():
                self.sort(f"{name}.{key}" if name else key, each, depth + 1)
        elif isinstance(value, list) and value:
            self._sort_list(name, value, words)
        elif isinstance(value, str) and words & _TLP_NAMES:
            self.levels.append(value)

    def _sort_list(self, name: str, entries: list[Any], words: frozenset[str]) -> None:
        if _allows(words, _ALLOW_WORDS):
            self.allowed.setdefault(name, []).extend(entries)
        elif words & _DENY_WORDS or not name:
            self.denied.setdefault(name, []).extend(entries)
        else:
            self.others.append(name)


def _accepts(name: str, content: bytes) -> bool:
    if decode_text(content[:256]).lstrip("\ufeff \t\n")[:1] not in ("{", "["):
        return False
    if _allows(_split_name(PurePath(name).stem), _ALLOW_FILE_WORDS):
        return False
    try:
        lists = _sort_lists(content)
    except Malformed:
        return False
    return any(map(_are_mostly_values, lists.denied.values()))


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    lists = _sort_lists(content)
    level, notes = _find_tlp(lists, content)
    found = _build_candidates(lists, IndicatorDetails(tlp=level), notes, CandidateBuilder(options))
    yield from (each.with_findings(*_note_ignored_lists(lists)) for each in islice(found, 1))
    yield from found


def _build_candidates(
    lists: _Lists, details: IndicatorDetails, notes: Sequence[Finding], builder: CandidateBuilder
) -> Iterator[Candidate]:
    allowed = {
        value for some in lists.allowed.values() for each in some if (value := _recognise(each))
    }
    every = ((name, each) for name, entries in lists.denied.items() for each in entries)
    for number, (name, entry) in enumerate(every, 1):
        value = _recognise(entry)
        if value is None or value in allowed:
            place = f"entry {number}" + (f", in {name[:_LONGEST_NAME]!a}" if name else "")
            why = _explain_no_value(entry) if value is None else _ALLOWED
            yield refused_candidate(builder.next_index(), f"{place}: {why}")
        else:
            yield builder.build(value, details, ("entry", number), notes)


def _sort_lists(content: bytes) -> _Lists:
    lists = _Lists()
    lists.sort("", parse_json(decode_text(content).removeprefix("\ufeff").encode()))
    return lists


def _split_name(name: str) -> frozenset[str]:
    """The words of a name in snake, kebab or camel case, in lower case.

    In a name with those around it, `data.blocklist`, every word counts.
    """
    return frozenset(word.lower() for word in _WORD.findall(name[:1000]))


def _allows(words: frozenset[str], allow: frozenset[str]) -> bool:
    return bool(words & allow) or any(map(_ALLOW_STEMS.match, words))


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


def _are_mostly_values(entries: list[Any]) -> bool:
    sample = entries[:: max(1, len(entries) // _SAMPLE)]
    return sum(_recognise(each) is not None for each in sample) * 10 >= len(sample) * 6


def _find_tlp(lists: _Lists, content: bytes) -> tuple[Tlp | None, tuple[Finding, ...]]:
    """The strictest level that the file states anywhere."""
    try:
        stated = [Tlp.parse(word) for word in lists.levels]
    except ValueError as error:
        raise Unprocessable(str(error)) from None
    level, notes = find_strictest_tlp(enumerate(decode_text(content).split("\n"), 1))
    return max([*stated, *([] if level is None else [level])], default=None), notes


def _note_ignored_lists(lists: _Lists) -> tuple[Finding, ...]:
    """A finding that names the lists whose entries do not become indicators."""
    names = [*lists.allowed, *lists.others]
    if not names:
        return ()
    listed = ", ".join(ascii(name[:_LONGEST_NAME]) for name in names[:5])
    message = "only lists whose names deny or block are read; ignored: " + listed
    more = ", …" if names[5:] else ""
    return (Finding("validate", "format", Action.NOTED, message + more),)


FORMAT = Format(
    name="list",
    description="a block list as JSON: an array of values, or arrays named deny, block, indicators",
    never_shared="all but the values of lists that deny or block",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    rank=5,
)
