"""`tocsin-hub object`: published objects."""

from __future__ import annotations

from collections.abc import Iterable

import click

from tocsin.config.command_line import format_examples
from tocsin.server.bootstrap import OPERATOR
from tocsin.server.cli.command import Answer, with_hub
from tocsin.server.runtime import Runtime


@click.group("object")
def object_command() -> None:
    """Published objects."""


@object_command.command(
    "revoke",
    epilog=format_examples(
        "tocsin-hub object revoke indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        '  --reason "the host was cleaned"',
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, help="Recorded in the journal.")
@with_hub
def _revoke(hub: Runtime, ids: tuple[str, ...], reason: str) -> list[Answer]:
    """Revoke published objects in every feed, by their public ids.

    A revocation is final; a later report of the same makes a new object.
    """
    return revoke_objects(hub, ids, reason)


def revoke_objects(hub: Runtime, ids: Iterable[str], reason: str) -> list[Answer]:
    """Revoke public objects; a later report of the same makes new ones."""
    answers: list[Answer] = []
    for id in ids:
        hub.services.lifecycle.revoke(id, OPERATOR, reason)
        answers.append({"public": id, "revoked": True})
    return answers
