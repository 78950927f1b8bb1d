"""`tocsin status`: the state of a submission."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import click

from tocsin.clients.cli.command import (
    exit_code,
    json_option,
    with_connection_options,
    with_settings,
)
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import Hub
from tocsin.clients.push_record import NO_STATE_FOLDER, PushRecords, state_folder
from tocsin.clients.terminal import open_console, print_json, print_status
from tocsin.config.command_line import format_examples
from tocsin.config.settings import ClientSettings


@click.command(
    "status",
    short_help="Show the state of a submission.",
    epilog=format_examples(
        "tocsin status",
        "tocsin status 2d086da7-4bdc-4f91-900e-d77486753710",
        "tocsin status 2d086da7-4bdc-4f91-900e-d77486753710 --json",
    ),
)
@click.argument("id", metavar="[ID]", default="")
@json_option
@with_connection_options
@with_settings
def status_command(settings: ClientSettings, id: str, as_json: bool) -> int:
    """Show the state of a submission.

    ID is that of its status, which push prints. Without it: the last push from
    this computer to this hub. With --json: a line for each status, the TAXII
    resource. The exit code is 1 if all objects failed, 4 if some did.
    """
    with open_hub(settings) as hub:
        wanted = [(id, "")] if id else _find_last(hub, settings)
        reports = [hub.fetch_status(each, root) for each, root in wanted]
    for report in reports:
        if as_json:
            print_json(report.resource)
        else:
            print_status(open_console(), report, _find_labels(report.id))
    failed = sum(report.failure for report in reports)
    return exit_code({"failed": failed, "taken": sum(each.success for each in reports)})


def _find_labels(status: str) -> dict[str, str]:
    """The labels of the objects of a status, by id, if this computer recorded the push."""
    push = PushRecords(state_folder(os.environ)).find(status)
    parts = push.parts if push else ()
    return {each.source_id: each.label for part in parts for each in part.objects}


def _find_last(hub: Hub, settings: ClientSettings) -> list[tuple[str, str]]:
    """The statuses of the last push to this hub, each with its API root.

    If none went to its URL, those of the last push to another one on the same host: the hub's
    port or path may have changed, and then every root is asked.  Raises WrongUsage if none is
    recorded.
    """
    folder, earlier = state_folder(os.environ), list[tuple[str, str]]()
    for push in PushRecords(folder).list_newest():
        if push.is_withdrawal:
            continue
        if push.url == hub.url:
            return [(part.status, push.root) for part in push.parts]
        if not earlier and urlsplit(push.url).hostname == urlsplit(hub.url).hostname:
            earlier = [(part.status, "") for part in push.parts]
    if earlier:
        return earlier
    why = "" if folder else f"; {NO_STATE_FOLDER}"
    why = why if settings.record_pushes else "; record_pushes is off"
    raise WrongUsage(f"no push to {hub.url} is recorded here{why}; give the id of a status")
