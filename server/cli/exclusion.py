"""`tocsin-hub exclusion`: the exclusion list, values that nobody may submit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from tocsin.admission.timestamps import stix_time
from tocsin.config.command_line import format_examples
from tocsin.server.cli.command import Answer, with_acting_hub, with_hub, with_new_hub
from tocsin.server.runtime import Runtime
from tocsin.server.store.exclusions import parse_exclusion


@click.group("exclusion")
def exclusion_command() -> None:
    """The exclusion list: values that nobody may submit."""


@exclusion_command.command(
    "add",
    epilog=format_examples(
        "tocsin-hub exclusion add cdn.example.com 192.0.2.7 --reason 'our own CDN'",
    ),
)
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@click.option(
    "--reason",
    default="",
    help="Shown to everybody who submits the value, and kept in the journal.",
)
@with_new_hub
def _add(hub: Runtime, values: tuple[str, ...], reason: str) -> list[Answer]:
    """Refuse values from now on, and revoke what is published on them.

    VALUE is a domain, an IP address, a URL, an e-mail address or a file hash. The start page of a
    domain or an address goes with it.

    `also_in` lists objects that stay in force and name the value beside others, or its start page
    in another spelling, on another port for instance. Revoke them with `tocsin-hub object revoke`,
    if they should go.
    """
    return add_exclusions(hub, values, reason)


@exclusion_command.command("list", epilog=format_examples("tocsin-hub exclusion list --json"))
@with_hub
def _list(hub: Runtime) -> list[Answer]:
    """List the excluded values."""
    return list_exclusions(hub)


@exclusion_command.command(
    "remove", epilog=format_examples("tocsin-hub exclusion remove cdn.example.com")
)
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@with_acting_hub
def _remove(hub: Runtime, values: tuple[str, ...]) -> list[Answer]:
    """Take values off the list; objects that were revoked stay revoked."""
    return remove_exclusions(hub, values)


def add_exclusions(hub: Runtime, values: Sequence[str], reason: str) -> list[Answer]:
    """Add values to the exclusion list and revoke the indicators on them or their start pages.

    Raises Malformed, before anything is changed, if one of them is of no known kind.
    """
    for value in values:
        parse_exclusion(value, reason, 0)
    answers: list[Answer] = []
    for value in values:
        new, revoked = hub.services.lifecycle.exclude(value, hub.actor, reason)
        also_in = hub.services.search.find_naming(new)
        answers.append(
            {"kind": new.type, "value": new.value, "revoked": revoked, "also_in": also_in}
        )
    return answers


def list_exclusions(hub: Runtime) -> list[Answer]:
    """The exclusion list."""
    return [
        {"kind": u.type, "value": u.value, "reason": u.reason, "since": stix_time(u.since)}
        for u in hub.services.store.exclusions.list()
    ]


def remove_exclusions(hub: Runtime, values: Iterable[str]) -> list[Answer]:
    """Take values off the exclusion list; objects that were revoked stay revoked.

    Raises Malformed or NotFound, and removes none, if one of them is not on the list.
    """
    removed = hub.services.lifecycle.readmit(values, hub.actor)
    return [{"kind": old.type, "value": old.value} for old in removed]
