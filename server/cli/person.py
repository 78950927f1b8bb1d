"""`tocsin-hub person`: who may sign in to the console."""

from __future__ import annotations

import json

import click

from tocsin.admission.errors import Malformed
from tocsin.config.command_line import ParsedValue, format_examples
from tocsin.server.cli.command import (
    AS_JSON,
    Answer,
    ShownOnce,
    print_table,
    with_acting_hub,
    with_open_hub,
)
from tocsin.server.partners.people import check_login
from tocsin.server.person import Invitation, Person, Role
from tocsin.server.runtime import Runtime
from tocsin.server.urls import find_console_url

_ROLES = click.Choice([role.value for role in Role])
_LOGIN = click.argument("mailbox", type=ParsedValue("MAILBOX", check_login, (Malformed,)))


@click.group("person")
def person_command() -> None:
    """People who sign in to the console.

    Of a partner: viewer, analyst. Of the hub: reviewer, operator, auditor.
    """


@person_command.command(
    "invite",
    short_help="Make a link with which a person sets a password.",
    epilog=format_examples(
        "tocsin-hub person invite jane@acme.example --partner acme --role analyst",
        "tocsin-hub person invite otto@hub.example --role operator --role reviewer",
    ),
)
@_LOGIN
@click.option(
    "--partner",
    default="",
    metavar="SLUG",
    help="The person's partner; leave it out for one of the hub's own people.",
)
@click.option("--role", "roles", type=_ROLES, multiple=True, required=True, help="Repeat for more.")
@click.option("--name", default="", help="The person's name.")
@with_acting_hub
def _invite(hub: Runtime, mailbox: str, partner: str, roles: tuple[str, ...], name: str) -> Answer:
    """Make a link with which a person sets a password and signs in, once, within seven days.

    For a person who can sign in already, it sets a new password, and removes
    the authenticator app and passkeys.
    """
    return ShownOnce(
        invite(hub, mailbox, partner, roles, name),
        "the invitation was made, but its link could not be shown: invite the person again; "
        "the new link replaces it",
    )


@person_command.command("list", epilog=format_examples("tocsin-hub person list --json"))
@AS_JSON
@with_open_hub
def _list(hub: Runtime, as_json: bool) -> None:
    """List the people, and the invitations that hold."""
    rows = list_people(hub)
    if as_json:
        print(json.dumps(rows))
    else:
        print_table(rows)


@person_command.command(
    "roles",
    short_help="Give a person these roles instead of the former ones.",
    epilog=format_examples("tocsin-hub person roles jane@acme.example --role viewer"),
)
@_LOGIN
@click.option("--role", "roles", type=_ROLES, multiple=True, required=True, help="Repeat for more.")
@with_acting_hub
def _roles(hub: Runtime, mailbox: str, roles: tuple[str, ...]) -> Answer:
    """Give a person these roles instead of the former ones, from the next request on."""
    person = hub.services.people.set_roles(mailbox, [Role(role) for role in roles], hub.actor)
    return {"mailbox": person.login, "roles": sorted(person.roles)}


@person_command.command(
    "disable", epilog=format_examples("tocsin-hub person disable jane@acme.example")
)
@_LOGIN
@with_acting_hub
def _disable(hub: Runtime, mailbox: str) -> Answer:
    """Lock a person out, with all sessions."""
    hub.services.people.set_disabled(mailbox, hub.actor, disabled=True)
    return {"mailbox": mailbox, "disabled": True}


@person_command.command(
    "enable", epilog=format_examples("tocsin-hub person enable jane@acme.example")
)
@_LOGIN
@with_acting_hub
def _enable(hub: Runtime, mailbox: str) -> Answer:
    """Let a person in again."""
    hub.services.people.set_disabled(mailbox, hub.actor, disabled=False)
    return {"mailbox": mailbox, "disabled": False}


@person_command.command(
    "remove",
    short_help="Remove a person, or cancel an invitation.",
    epilog=format_examples("tocsin-hub person remove jane@acme.example"),
)
@_LOGIN
@with_acting_hub
def _remove(hub: Runtime, mailbox: str) -> Answer:
    """Remove a person; what the journal says of it stays.

    If the person has not signed in yet, the invitation is cancelled: its link
    does not work any more.
    """
    cancelled = hub.services.people.remove(mailbox, hub.actor)
    return {"invitation_cancelled" if cancelled else "removed": mailbox}


def invite(
    hub: Runtime, mailbox: str, partner: str, roles: tuple[str, ...], name: str = ""
) -> Answer:
    """Make an invitation; the answer has its link, which is shown only once."""
    known = hub.services.store.people.find_by_login(mailbox)
    invitation = Invitation(
        id="",
        login=mailbox,
        name=name,
        partner=partner,
        roles=frozenset(Role(role) for role in roles),
        until=0,
        by=hub.actor,
        person=known.id if known is not None and known.partner == partner else "",
    )
    secret = hub.services.people.invite(invitation)
    return {"mailbox": mailbox, "link": f"{find_console_url(hub.settings)}/invitation/{secret}"}


def _second_factors(person: Person) -> list[str]:
    named = (("app", person.totp), ("passkey", person.passkeys))
    return [name for name, has in named if has]


def list_people(hub: Runtime) -> list[Answer]:
    """People and invitations, by mailbox."""
    people = hub.services.store.people
    invitations = people.list_invitations(hub.services.store.clock())
    rows = [
        _format_row(each, "disabled" if each.disabled else "active", _second_factors(each))
        for each in people.list_people()
    ]
    return rows + [_format_row(each, "invited", []) for each in invitations]


def _format_row(each: Person | Invitation, state: str, second_factor: list[str]) -> Answer:
    return {
        "mailbox": each.login,
        "name": each.name,
        "partner": each.partner,
        "roles": sorted(each.roles),
        "state": state,
        "second_factor": second_factor,
    }
