"""`tocsin status`: the state of a submission."""

from __future__ import annotations

import click

from tocsin.clients.cli.command import (
    json_option,
    open_hub,
    with_connection_options,
    with_settings,
)
from tocsin.clients.terminal import open_console, print_json, print_status
from tocsin.config import ClientSettings, stdio
from tocsin.config.command_line import format_examples


@click.command(
    "status",
    short_help="Show the state of a submission.",
    epilog=format_examples(
        "tocsin status 2d086da7-4bdc-4f91-900e-d77486753710",
        "tocsin status 2d086da7-4bdc-4f91-900e-d77486753710 --json",
    ),
)
@click.argument("id", metavar="ID")
@json_option
@with_connection_options
@with_settings
def status_command(settings: ClientSettings, id: str, as_json: bool) -> int:
    """Show the state of a submission.

    ID is that of its status, which push prints with --json. With --json: the
    TAXII status resource. The exit code is 1 if an object failed.
    """
    with open_hub(settings) as hub:
        report = hub.fetch_status(id)
    if as_json:
        print_json(report.resource)
    else:
        print_status(open_console(), report)
    return stdio.FAILED if report.failure else stdio.DONE
