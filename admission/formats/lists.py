"""Lists as JSON: an array of values, or arrays under names that say what to do with them.

Taken is what a file says to deny, to block, or to be an indicator; never what it
allows, excepts or protects, and nothing under a name that says neither.  An entry
that the same file allows is refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import Any

from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.admission.extraction.decode import decoded, refusal, words
from tocsin.admission.extraction.indicators import Collected, Remarks
from tocsin.admission.extraction.tlp_words import strictest
from tocsin.admission.extraction.vocabulary import read_as
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Tlp,
)
from tocsin.admission.observables.ioc_types import RecognisedIoc
from tocsin.admission.observables.refang import refang
from tocsin.admission.stix.ijson import parse_json

_ENDINGS = (".json",)
_DENYING = words(
    "deny denied denies denylist block blocked blocks blocklist blocklisted black blacklist"
    " blacklisted malicious malware phishing scam botnet c2 cnc ioc iocs indicator indicators"
)
_ALLOWING = words(
    "allow allowed allows allowlist allowlisted white whitelist whitelisted safe safelist pass"
    " passlist benign legit legitimate trusted good except exception exceptions exclude excluded"
    " excludes exclusions ignore ignored fuzzy fuzzylist target targets targeted victim victims"
    " brand brands false not non no never unblock unblocked removed expired former fp fps clean"
    " cleared harmless ham ok okay accept accepted skip skipped bypass inactive dead unlisted"
)
_ALLOWING_FILES = words("white benign warninglist harmless good false fp fps")
_ALLOWING_STEM = re.compile(
    r"allow|permit|approv|whitelist|except|exempt|exclu|benign|legit|trust|ignor|unblock|nonmal"
    r"|.*(?:(?:allow|white|safe|pass)list|exception|exclusion|exempt)"
)
"""What a word for the same begins with or holds, whatever its ending."""
_LEVEL_NAMES = words("tlp marking markings")
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_NOTHING = "no indicator: give a host, address, URL, e-mail address or hash"
_ALLOWED = "the same file allows it: leave it out of one of the two"
_DEEPEST = 3
_SAMPLE = 400
_LONGEST_NAME = 60
_TRIM = " \t\r\n\u00a0\ufeff\u200b\"'`<>,;|"


@dataclass(slots=True)
class _Lists:
    """The lists of one file, by what their names say."""

    denied: dict[str, list[Any]] = field(default_factory=dict)
    allowed: dict[str, list[Any]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    """What members called `tlp` or the like say."""

    def sort(self, name: str, value: object, depth: int = 0) -> None:
        """Puts a member of the file where its name, and those around it, tell."""
        said = _words(name)
        if isinstance(value, dict):
            for key, each in value.items() if depth < _DEEPEST else ():
                self.sort(f"{name}.{key}" if name else key, each, depth + 1)
        elif isinstance(value, list) and value:
            self._list(name, value, said)
        elif isinstance(value, str) and said & _LEVEL_NAMES:
            self.levels.append(value)

    def _list(self, name: str, entries: list[Any], said: frozenset[str]) -> None:
        if _allows(said, _ALLOWING):
            self.allowed.setdefault(name, []).extend(entries)
        elif said & _DENYING or not name:
            self.denied.setdefault(name, []).extend(entries)
        else:
            self.others.append(name)


def _accepts(name: str, content: bytes) -> bool:
    if decoded(content[:256]).lstrip("\ufeff \t\n")[:1] not in ("{", "["):
        return False
    if _allows(_words(PurePath(name).stem), _ALLOWING_FILES):
        return False
    try:
        lists = _lists(content)
    except Malformed:
        return False
    return any(map(_mostly_values, lists.denied.values()))


def _read_file(name: str, content: bytes, reading: ReadOptions) -> Iterator[Candidate]:
    lists = _lists(content)
    level, notes = _level(lists, content)
    found = _entries(lists, Remarks(tlp=level), notes, Collected(reading))
    yield from (each.with_findings(*_left(lists)) for each in islice(found, 1))
    yield from found


def _entries(
    lists: _Lists, remarks: Remarks, notes: Sequence[Finding], collected: Collected
) -> Iterator[Candidate]:
    allowed = {value for some in lists.allowed.values() for each in some if (value := _value(each))}
    every = ((name, each) for name, entries in lists.denied.items() for each in entries)
    for number, (name, entry) in enumerate(every, 1):
        value = _value(entry)
        if value is None or value in allowed:
            place = f"entry {number}" + (f", in {name[:_LONGEST_NAME]!a}" if name else "")
            why = _NOTHING if value is None else _ALLOWED
            yield refusal(collected.numbered(), f"{place}: {why}")
        else:
            yield collected.placed(value, remarks, ("entry", number), notes)


def _lists(content: bytes) -> _Lists:
    lists = _Lists()
    lists.sort("", parse_json(decoded(content).removeprefix("\ufeff").encode()))
    return lists


def _words(name: str) -> frozenset[str]:
    """The words of a name, whether written with signs or in camel case.

    Of a name with its surroundings, `data.blocklist`, every word counts.
    """
    return frozenset(word.lower() for word in _WORD.findall(name[:1000]))


def _allows(said: frozenset[str], words: frozenset[str]) -> bool:
    return bool(said & words) or any(map(_ALLOWING_STEM.match, said))


def _value(entry: object) -> RecognisedIoc | None:
    if not isinstance(entry, str):
        return None
    return read_as(refang(entry.strip(_TRIM)), host=False)


def _mostly_values(entries: list[Any]) -> bool:
    sample = entries[:: max(1, len(entries) // _SAMPLE)]
    return sum(_value(each) is not None for each in sample) * 10 >= len(sample) * 6


def _level(lists: _Lists, content: bytes) -> tuple[Tlp | None, tuple[Finding, ...]]:
    """The strictest level that the file states, wherever it states one."""
    try:
        stated = [Tlp.parse(word) for word in lists.levels]
    except ValueError as error:
        raise Unprocessable(str(error)) from None
    level, notes = strictest(enumerate(decoded(content).split("\n"), 1))
    return max([*stated, *([] if level is None else [level])], default=None), notes


def _left(lists: _Lists) -> tuple[Finding, ...]:
    """A word about the lists that are not taken."""
    names = [*lists.allowed, *lists.others]
    if not names:
        return ()
    told = ", ".join(ascii(name[:_LONGEST_NAME]) for name in names[:5])
    said = f"only what the file denies is taken; left out: {told}" + (", …" if names[5:] else "")
    return (Finding("validate", "format", Action.NOTED, said),)


FORMAT = Format(
    name="list",
    description="a block list as JSON: an array of values, or arrays named deny, block, indicators",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    rank=5,
)
