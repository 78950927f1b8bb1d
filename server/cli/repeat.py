"""After a restore: repeat what operators ended between the backup and the loss of the hub.

The list is an export of the lost hub's journal.  Acts that end something are repeated: a purge
must stay one.  The others give rights or depend on more than the journal has; they are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.timestamps import micros
from tocsin.server.cli.key import revoke_key
from tocsin.server.runtime import Runtime
from tocsin.server.store.journal import JournalEntry, first_invalid_sequence

_QUIET = frozenset(("admit", "withdraw", "expire", "backup", "review.held"))
"""Acts that nobody has to repeat by hand: partners send again what they sent."""
_PURGE = "object.purge"
_REASON = "repeated after a restore"


class _Line(msgspec.Struct, frozen=True):
    """A line of `tocsin-hub journal export`."""

    sequence: int
    at: str
    act: str
    who: str
    what: dict[str, object]
    previous: str
    hash: str

    def entry(self) -> JournalEntry:
        return JournalEntry(
            self.sequence, micros(self.at), self.act, self.who, self.what, self.previous, self.hash
        )


@dataclass(frozen=True, slots=True)
class Repeated:
    """The acts after a backup: those that were repeated, and those to look at."""

    repeated: int
    """Acts that were repeated."""
    without_effect: int
    """Acts on something newer than the backup, or that had ended before."""
    left: tuple[int, ...]
    """The numbers of the entries that the operator must look at.  Purges without effect are among
    them: purged by value, a text may still be in the bodies of submissions."""


def read_later_entries(path: Path, last: tuple[int, str]) -> list[JournalEntry]:
    """The entries of an exported journal after that of number and hash `last`.

    Raises Malformed if they do not continue the journal of the backup without a gap.
    """
    entries = [each for each in _read(path) if each.sequence > last[0]]
    if first_invalid_sequence(entries, after=last) is not None:
        raise Malformed(
            f"{path} does not continue the journal of the backup: give an export of the same hub "
            f"with all entries after number {last[0]}"
        )
    return entries


def _read(path: Path) -> Iterator[JournalEntry]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield msgspec.json.decode(line, type=_Line).entry()
            except (msgspec.DecodeError, Malformed) as error:
                raise Malformed(
                    f"{path} line {number} is not an entry written by `tocsin-hub journal export`"
                ) from error


def repeat_acts(hub: Runtime, entries: list[JournalEntry]) -> Repeated:
    """Repeat acts in their order, in the name of `hub.actor`.  It may be run again."""
    outcomes = {each.sequence: _repeat(hub, each) for each in entries}
    left = [
        each.sequence
        for each in entries
        if each.action not in _QUIET
        and (each.action not in _ACTS or (each.action == _PURGE and not outcomes[each.sequence]))
    ]
    tried = [outcomes[each.sequence] for each in entries if each.action in _ACTS]
    return Repeated(sum(tried), len(tried) - sum(tried), tuple(left))


def _repeat(hub: Runtime, entry: JournalEntry) -> bool:
    """Repeat one act; False if it is of another kind, or there is nothing that it could end."""
    act = _ACTS.get(entry.action)
    if act is None:
        return False
    try:
        act(hub, entry.details)
    except (NotFound, Malformed):
        return False
    return True


def _purge(hub: Runtime, what: Mapping[str, object]) -> None:
    hub.services.purger.purge(str(what["public"]), hub.actor, _reason(what))


def _revoke(hub: Runtime, what: Mapping[str, object]) -> None:
    hub.services.lifecycle.revoke(str(what["public"]), hub.actor, _reason(what))


def _exclude(hub: Runtime, what: Mapping[str, object]) -> None:
    hub.services.lifecycle.exclude(str(what["value"]), hub.actor, _reason(what))


def _readmit(hub: Runtime, what: Mapping[str, object]) -> None:
    hub.services.lifecycle.readmit(str(what["value"]), hub.actor)


def _revoke_key(hub: Runtime, what: Mapping[str, object]) -> None:
    revoke_key(hub, str(what["account"]), str(what["id"]))


def _reason(what: Mapping[str, object]) -> str:
    return str(what.get("reason") or _REASON)


_ACTS: dict[str, Callable[[Runtime, Mapping[str, object]], None]] = {
    _PURGE: _purge,
    "object.revoke": _revoke,
    "exclusion.add": _exclude,
    "exclusion.remove": _readmit,
    "key.revoke": _revoke_key,
}
