"""`tocsin collections`: the collections that a key sees."""

from __future__ import annotations

from dataclasses import asdict

import click

from tocsin.clients.cli.command import json_option, with_connection_options, with_settings
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.http import NO_RIGHTS
from tocsin.clients.terminal import open_console, print_collections, print_json, print_message
from tocsin.config import stdio
from tocsin.config.command_line import format_examples
from tocsin.config.settings import ClientSettings


@click.command(
    "collections",
    short_help="List the collections that this key sees.",
    epilog=format_examples("tocsin collections", "tocsin collections --json"),
)
@json_option
@with_connection_options
@with_settings
def collections_command(settings: ClientSettings, as_json: bool) -> int:
    """List the collections that this key sees, and its rights to each.

    With --json: a line for each collection. The exit code is 3 if it sees none.
    """
    with open_hub(settings) as hub:
        collections = hub.list_collections()
    if not collections:
        print_message(f"this key sees no collection: {NO_RIGHTS}")
    if as_json:
        for each in collections:
            print_json({name: value for name, value in asdict(each).items() if name != "exact"})
    elif collections:
        print_collections(open_console(), collections)
    return stdio.DONE if collections else stdio.UNAVAILABLE
