"""Output formats: the current state of a feed becomes files for firewalls, sensors and SIEMs.

Every module of this folder that defines `FORMAT` is a format; it is found by looking, so a new
format is one new file.  The clients (`tocsin poll`) and the hub (`/export/`) write the same files.

A file depends on the current state alone: never on the order in which objects came, on the clock
or on chance.  So a file of an unchanged feed has the same octets, and a reader with an ETag need
not fetch it again.

The content of a feed is hostile until it is checked: block lists, rules and zones hold only
values that `listed_values` has checked, and each format escapes the texts that it copies.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
SERIAL = b"\0serial\0"
"""A chunk in whose place the writer of a file puts a number of ten digits.

It grows whenever the rest of the file changes, and otherwise stays: see `OutputFile.chunks`."""


class ListedValue(NamedTuple):
    """A value that current indicators are about."""

    kind: str
    """One of `listed_values.KINDS`."""
    value: str
    """The value in its one spelling, checked: see `listed_values`."""
    indicator: str
    """The id of the indicator with the greatest confidence."""
    confidence: int | None
    """Confidence of this indicator, 0 to 100; None if no indicator states one."""


class IndicatorRecord(NamedTuple):
    """An indicator of the feed, current or not."""

    id: str
    modified: int
    """Its version, or when it ended, in µs since 1970 UTC."""
    is_current: bool
    """False if it was revoked, has expired, or was deleted."""
    listed: int
    """The number of values that it lists, or listed before it ended."""
    body: bytes
    """Its JSON; empty if it is not current."""
    server: str = ""
    """Where several servers have an indicator with this id: its server; empty for the first one."""


class CurrentState(Protocol):
    """Content of a feed at one moment; everything is in a stable order."""

    @property
    def feed(self) -> str:
        """The feed's name, for people who read the files."""
        ...

    @property
    def lasting_name(self) -> str:
        """The name in names of files, ids and programs' labels: it stays when `feed` changes."""
        ...

    def values(self, *kinds: str) -> Iterator[ListedValue]:
        """Each value of these kinds once, ordered by kind as they are named, then by value."""
        ...

    def objects(self, type: str = "") -> Iterator[bytes]:
        """The JSON of the current objects, of one type or of all, ordered by id.

        Servers may have different objects with the same id: all of them are there.
        """
        ...

    def days(self) -> list[str]:
        """The days, as `2026-01-31`, on which indicators of the feed were created; in order."""
        ...

    def indicators_of(self, day: str) -> Iterator[IndicatorRecord]:
        """The indicators that were created on a day, ended ones too, ordered by id.

        Each server's indicator is one of its own, also if they have the same id.
        """
        ...


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file of a format."""

    name: str
    """Letters, digits, `.` and `-` only."""
    chunks: Iterable[bytes]
    """Its content; nothing is read before it is iterated over.  A chunk that equals SERIAL stands
    for a number that the writer chooses; at most one in a file."""
    content_type: str = TEXT


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """An output format."""

    name: str
    description: str
    """Description of the files and of what reads them, for users."""
    write: Callable[[CurrentState], Iterator[OutputFile]]
    """The files of a state, in a stable order of names that no two files share."""
    is_indicators_only: bool = True
    """False if objects of every type are in the files, so that any change can change them."""
    has_one_file: bool = True
    """False if the format has several files, or may have."""


@cache
def output_formats() -> dict[str, OutputFormat]:
    """Every format by its name, in alphabetical order."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def joined_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in larger chunks: writing each line by itself takes several times as long."""
    part: list[bytes] = []
    for line in lines:
        part.append(line)
        if len(part) >= 1000:
            yield b"".join(part)
            part.clear()
    if part:
        yield b"".join(part)
