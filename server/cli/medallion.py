"""`tocsin-hub import medallion`: take over the collections of a medallion server."""

from __future__ import annotations

from typing import Any

import click

from tocsin.admission.errors import ShareError
from tocsin.admission.timestamps import micros
from tocsin.config.command_line import ParsedValue, format_examples
from tocsin.server.cli.command import CommandResult, with_new_hub
from tocsin.server.cli.settings import print_notice
from tocsin.server.integrations.medallion.importer import (
    NOTICE,
    Destination,
    ImportOptions,
    import_collections,
    open_source,
)
from tocsin.server.runtime import Runtime

_CURSOR = ParsedValue("ADDED_AFTER", micros, (ShareError,))


@click.group("import")
def import_command() -> None:
    """Import from other servers."""


@import_command.command(
    "medallion",
    short_help="Import medallion's collections as verbatim collections.",
    epilog=format_examples(
        "tocsin-hub import medallion data.json --dry-run",
        "tocsin-hub import medallion data.json --root trustgroup1 --into old",
        "tocsin-hub import medallion data.json --cursor 2020-06-02T10:00:00.000000Z",
    ),
)
@click.argument("source")
@click.option("--root", multiple=True, metavar="NAME", help="Only this API root; repeatable.")
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Only this collection, by id, alias or title; repeatable.",
)
@click.option("--into", default="", metavar="PREFIX", help="Name the collections PREFIX-….")
@click.option(
    "--partner",
    default="",
    metavar="SLUG",
    help="The partner that may send newer versions of the objects; without it, operators only.",
)
@click.option(
    "--cursor",
    type=_CURSOR,
    help="Show where a poller goes on here that had read up to there on medallion.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be imported into a hub that is there; write nothing.",
)
@with_new_hub
def _medallion(hub: Runtime, source: str, into: str, **options: Any) -> CommandResult:
    """Import medallion's collections as verbatim collections; repeatable.

    SOURCE is medallion's JSON data file, or the mongodb:// URI of its database. Where there is no
    hub yet, a new one is made; a dry run needs one.
    """
    import_options = ImportOptions(
        roots=frozenset(options["root"]),
        collections=frozenset(options["collection"]),
        prefix=into,
        partner=options["partner"],
        cursor=options["cursor"],
        dry_run=options["dry_run"],
    )
    destination = Destination(hub.services.store, hub.secrets, hub.actor)
    with open_source(source) as sources:
        imported = import_collections(destination, sources, import_options)
    for line in NOTICE:
        print_notice(line)
    return imported
