"""After a restore: repeat what operators ended between the backup and the loss of the hub.

The list is an export of the lost hub's journal.  Acts that end something are repeated: a purge
must stay one, and a right that was taken away.  The others give rights or depend on more than the
journal has; they are listed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import msgspec

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros
from tocsin.server.cli.key import revoke_key
from tocsin.server.partners.administration import PartnerChange, Partners, describe_account
from tocsin.server.person import Role
from tocsin.server.runtime import Runtime
from tocsin.server.store.journal import JournalEntry, first_invalid_sequence

_QUIET = frozenset(
    (
        *("admit", "withdraw", "expire", "backup", "partner.export", "review.held"),
        *("agreement.begin", "agreement.withdraw", "sign_in", "sign_out", "person.sessions_end"),
    )
)
"""Acts that nobody has to repeat by hand: partners send again what they sent, the hub itself
carries out what agreements say, and no session outlasts a restore."""
log = logging.getLogger(__name__)

_REASON = "repeated after a restore"
_Details = Mapping[str, Any]
"""The details of an act, as the journal has them."""


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


class _Outcome(Enum):
    """The outcome of an act that was to be repeated."""

    WHOLE = auto()
    INCOMPLETE = auto()  # the journal has too little to repeat all of it
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Repeated:
    """The acts after a backup: those that were repeated, and those to look at."""

    repeated: int
    """Acts that were repeated."""
    without_effect: int
    """Acts on something newer than the backup, or that had ended before."""
    left: tuple[int, ...]
    """The numbers of the entries that the operator must look at.  Purges of what is newer than the
    backup are among them: purged by value, a text may still be in the bodies of submissions."""
    locked_out: tuple[str, ...]
    """The mailboxes of people who cannot sign in until they have set a new password."""


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
    outcomes = [(each, _repeat(hub, each)) for each in entries if each.action in _ACTS]
    incomplete = {each.sequence for each, outcome in outcomes if outcome is _Outcome.INCOMPLETE}
    left = [
        each.sequence
        for each in entries
        if each.sequence in incomplete or each.action not in _QUIET | _ACTS.keys()
    ]
    failed = sum(outcome is _Outcome.NONE for _, outcome in outcomes)
    return Repeated(len(outcomes) - failed, failed, tuple(left), _find_locked_out(hub, outcomes))


def _find_locked_out(
    hub: Runtime, outcomes: list[tuple[JournalEntry, _Outcome]]
) -> tuple[str, ...]:
    """The mailboxes of people whose password has been ended."""
    ended = (
        entry
        for entry, outcome in outcomes
        if outcome is _Outcome.INCOMPLETE
        or (outcome is _Outcome.WHOLE and _ACTS[entry.action] is _end_credentials)
    )
    logins = {str(entry.details["login"]) for entry in ended if "login" in entry.details}
    people = filter(None, map(hub.services.store.people.find_by_login, logins))
    return tuple(sorted(each.login for each in people if not each.password and not each.disabled))


def _repeat(hub: Runtime, entry: JournalEntry) -> _Outcome:
    """Repeat one act; NONE if there is nothing that it could end."""
    try:
        is_whole = _ACTS[entry.action](hub, entry.details)
    except (NotFound, Malformed):
        return _Outcome.NONE
    except (KeyError, TypeError, ValueError) as error:  # written by another version
        log.warning("entry %d cannot be repeated: %r", entry.sequence, error)
        return _Outcome.INCOMPLETE
    return _Outcome.WHOLE if is_whole else _Outcome.INCOMPLETE


def _purge(hub: Runtime, what: _Details) -> bool:
    public_id, reason = str(what["public"]), _reason(what)
    is_known = _note_lost_end(hub, what)
    hub.services.purger.purge(public_id, hub.actor, reason)
    return is_known


def _revoke(hub: Runtime, what: _Details) -> bool:
    public_id, reason = str(what["public"]), _reason(what)
    if _note_lost_end(hub, what):
        hub.services.lifecycle.revoke(public_id, hub.actor, reason)
    return True


def _note_lost_end(hub: Runtime, what: _Details) -> bool:
    level = Tlp.parse(what["tlp"]) if "tlp" in what else None
    lifecycle, public_id = hub.services.lifecycle, str(what["public"])
    return lifecycle.note_lost_end(public_id, hub.actor, _reason(what), level)


def _exclude(hub: Runtime, what: _Details) -> bool:
    hub.services.lifecycle.exclude(str(what["value"]), hub.actor, _reason(what))
    return True


def _readmit(hub: Runtime, what: _Details) -> bool:
    hub.services.lifecycle.readmit([str(what["value"])], hub.actor)
    return True


def _revoke_key(hub: Runtime, what: _Details) -> bool:
    revoke_key(hub, str(what["account"]), str(what["id"]))
    return True


def _end_credentials(hub: Runtime, what: _Details) -> bool:
    """The journal has no password: the former one must not be valid again."""
    hub.services.people.end_credentials(str(what["login"]), hub.actor)
    return True


def _remove_person(hub: Runtime, what: _Details) -> bool:
    try:
        hub.services.people.remove(str(what["login"]), hub.actor)
    except Conflict:  # the only operator that the backup has
        return not _end_credentials(hub, what)
    return True


def _disable_person(hub: Runtime, what: _Details) -> bool:
    try:
        hub.services.people.set_disabled(str(what["login"]), hub.actor, disabled=True)
    except Conflict:
        return not _end_credentials(hub, what)
    return True


def _take_roles(hub: Runtime, what: _Details) -> bool:
    """Take away the roles that were; the new ones are given only if none of the former is left."""
    login, roles = str(what["login"]), set(map(Role, _texts(what, "roles")))
    person = hub.services.store.people.find_by_login(login)
    kept = roles & person.roles if person else roles
    try:
        hub.services.people.set_roles(login, kept or roles, hub.actor)
    except Conflict:
        return not _end_credentials(hub, what)
    return kept in (roles, set())


def _end_invitation(hub: Runtime, what: _Details) -> bool:
    for each in hub.services.store.people.list_invitations():
        if each.id.startswith(str(what["invitation"])):
            hub.services.people.withdraw_invitation(each.id, hub.actor)
            return True
    raise NotFound("the invitation is newer than the backup, or was used")


def _end_agreement(hub: Runtime, what: _Details) -> bool:
    hub.services.agreements.end(str(what["agreement"]), hub.actor, _reason(what))
    return True


def _take_rights(hub: Runtime, what: _Details) -> bool:
    """Take the rights away that a partner's account lost; the journal has no other new values."""
    partners, slug = Partners(hub.services.store), str(what["partner"])
    aliases = partners.aliases()
    before: _Details = describe_account(partners.require_account(slug), aliases)
    after = next((each for each in what.get("accounts", ()) if each["account"] == slug), before)
    change = PartnerChange(
        reads={*before["read"]} & {*after["read"]},
        writes={*before["write"]} & {*after["write"]},
        disabled=before["disabled"] or after["disabled"],
    )
    partners.change(slug, change, hub.actor)
    is_whole = describe_account(partners.require_account(slug), aliases) == after
    return is_whole and not what["fields"]


def _remove_partner(hub: Runtime, what: _Details) -> bool:
    hub.services.partner_data.remove(str(what["partner"]), hub.actor, _reason(what))
    return True


def _withdraw(hub: Runtime, what: _Details) -> bool:
    """Withdraw from the objects that the backup has; the partner may send the others again."""
    slug, ids = str(what["partner"]), _texts(what, "ids")
    hub.services.store.accounts.require_partner(slug)
    with suppress(NotFound):
        hub.services.partner_data.withdraw(slug, ids, hub.actor, _reason(what))
    return len(hub.services.store.read(lambda known: known.public_objects(ids))) == len(ids)


def _reason(what: _Details) -> str:
    return str(what.get("reason") or _REASON)


def _texts(what: _Details, name: str) -> list[str]:
    return [str(each) for each in what[name]]


_ACTS: dict[str, Callable[[Runtime, _Details], bool]] = {
    "object.purge": _purge,
    "object.revoke": _revoke,
    "exclusion.add": _exclude,
    "exclusion.remove": _readmit,
    "key.revoke": _revoke_key,
    "person.remove": _remove_person,
    "person.disable": _disable_person,
    "person.roles": _take_roles,
    "person.invite_end": _end_invitation,
    "person.password": _end_credentials,
    "person.credentials_end": _end_credentials,
    "person.second_factor_end": _end_credentials,
    "person.passkey_end": _end_credentials,
    "agreement.end": _end_agreement,
    "partner.change": _take_rights,
    "partner.remove": _remove_partner,
    "partner.withdraw": _withdraw,
}
"""Each repeats one kind of act; False if the operator must look at the entry all the same.

They raise NotFound or Malformed if there is nothing that they could end.
"""
