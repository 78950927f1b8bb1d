"""`tocsin-hub object`: published objects."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from tocsin.config.command_line import format_examples
from tocsin.server.cli.command import Answer, with_acting_hub
from tocsin.server.runtime import Runtime

_OBJECT_ID = re.compile("[a-z][a-z0-9-]*--[A-Za-z0-9-]+")


@click.group("object")
def object_command() -> None:
    """Published objects."""


@object_command.command(
    "revoke",
    epilog=format_examples(
        "tocsin-hub object revoke indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        '  --reason "the host was cleaned"',
        'tocsin-hub object revoke evil-portal.top --reason "a false alarm"',
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="ID_OR_VALUE...")
@click.option("--reason", required=True, help="Recorded in the journal.")
@with_acting_hub
def _revoke(hub: Runtime, names: tuple[str, ...], reason: str) -> list[Answer]:
    """Revoke published objects in every feed.

    Name them by public id, or by value (a domain, IP address, URL, e-mail address or file hash),
    which stands for all indicators on exactly that value.

    A revocation is final; a later report of the same makes a new object. To refuse later reports
    too, use `tocsin-hub exclusion add`.
    """
    return revoke_objects(hub, names, reason)


@object_command.command(
    "lead",
    epilog=format_examples(
        "tocsin-hub object lead indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        "  --partner acme",
        "tocsin-hub object lead indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        "  --automatic",
    ),
)
@click.argument("public_id", metavar="ID")
@click.option("--partner", help="The partner whose report leads from now on.")
@click.option("--automatic", is_flag=True, help="The most reliable source leads again.")
@with_hub
def _lead(hub: Runtime, public_id: str, partner: str | None, automatic: bool) -> Answer:
    """Choose whose report of an object is published.

    The object takes name, description, labels and references from one partner: the most reliable,
    of equally reliable ones the first. The journal records who chose another one.
    """
    if automatic == bool(partner):
        raise click.UsageError("give either --partner or --automatic")
    hub.services.lifecycle.lead(public_id, partner or "", OPERATOR)
    return {"public": public_id, "lead": partner or "automatic"}


def revoke_objects(hub: Runtime, names: Iterable[str], reason: str) -> list[Answer]:
    """Revoke public objects by id or value; a later report of the same makes new ones."""
    answers: list[Answer] = []
    for name in names:
        if _OBJECT_ID.fullmatch(name):
            hub.services.lifecycle.revoke(name, hub.actor, reason)
            ids = [name]
        else:
            ids = hub.services.lifecycle.revoke_value(name, hub.actor, reason)
        answers += ({"public": public_id, "revoked": True} for public_id in ids)
    return answers
