"""`tocsin push`: check files, send them to a collection and report the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import click

from tocsin.clients.check import Preview, count_verdicts
from tocsin.clients.cli.command import (
    PREVIEW_VERDICTS,
    Inputs,
    ask,
    find_writable,
    is_interactive,
    json_option,
    open_hub,
    preview_files,
    print_file_errors,
    print_push_summary,
    push_exit_code,
    with_connection_options,
    with_inputs,
    with_sending_options,
    with_settings,
)
from tocsin.clients.http import Collection, Hub
from tocsin.clients.push import PushOptions, PushResult, push
from tocsin.clients.terminal import (
    open_console,
    print_counts,
    print_json,
    print_message,
    print_removals,
    print_result,
    progress_bar,
)
from tocsin.config import ClientSettings, stdio
from tocsin.config.command_line import format_examples, printable

_COUNTED = ("admitted", "merged", "duplicate", "held", "refused")
"""The verdicts that are counted even if no object has them."""


@click.command(
    "push",
    short_help="Send files to a collection.",
    epilog=format_examples(
        "tocsin push bundle.json iocs.csv --to inbox",
        "tocsin push report.txt --to inbox --tlp green --yes --json",
        "cat iocs | tocsin push - --as iocs.csv --to inbox",
    ),
)
@with_inputs
@with_sending_options
@click.option(
    "--raw",
    is_flag=True,
    help="Send objects unchecked, for collections that keep them unchanged.",
)
@click.option(
    "--new-ids",
    is_flag=True,
    help="Send the values of texts and tables under new ids, after they were withdrawn.",
)
@json_option
@with_connection_options
@with_settings
def push_command(settings: ClientSettings, inputs: Inputs, **options: Any) -> int:
    """Send files to a collection. What the check refuses or holds is not sent.

    FILE may be in any format that the hub reads; - is standard input. On a
    terminal, push shows what it would send and asks first. It waits until the
    hub has decided.

    \b
    Verdicts:
      admitted   published
      merged     merged with what others reported
      duplicate  the hub has it already
      held       an analyst must look at it
      refused    never shared; the findings say why
      pending    not decided yet
      unsent     the hub could not be reached any more

    With --json: a line for each object, with the hub's verdict and public id; at
    the end {"status": <TAXII status>, "statuses": [ids], "counts": ...}.
    """
    wait, as_json = not options["no_wait"], options["as_json"]
    with open_hub(settings) as hub:
        collection = find_writable(hub, options["to"])
        inputs = replace(inputs, new_ids=options["new_ids"])
        previews = preview_files(settings, inputs, examine=not options["raw"])
        if not options["yes"] and not _confirm(collection, previews):
            print_message("nothing was sent")
            return stdio.FAILED
        failed = print_file_errors(previews, as_json=as_json)
        push_options = PushOptions(wait=wait, timeout=options["timeout"])
        pushed = _push(hub, collection, previews, push_options, as_json=as_json)
    counts = count_verdicts((result for part in pushed for result in part.results), _COUNTED)
    counts |= {"failed_files": failed} if failed else {}
    print_push_summary(pushed, counts, as_json=as_json)
    return push_exit_code(pushed, counts, wait=wait)


def _confirm(collection: Collection, previews: Iterable[Preview]) -> bool:
    """Ask the user on a terminal; elsewhere the answer is yes."""
    if not is_interactive():
        return True
    console = open_console(stderr=True)
    results = [result for preview in previews for result in preview.results()]
    print_counts(console, count_verdicts(results, PREVIEW_VERDICTS))
    print_removals(console, results)
    ready = sum(1 for result in results if result.verdict == "ready")
    name = printable(collection.alias or collection.title)
    return ask(f"Send {ready} objects to {name}?")


def _push(
    hub: Hub,
    collection: Collection,
    previews: Sequence[Preview],
    options: PushOptions,
    *,
    as_json: bool,
) -> list[PushResult]:
    """Send, and print each object's result as soon as it is known; the results in short form."""
    console = open_console()
    pushed: list[PushResult] = []
    total = sum(len(preview.candidates) for preview in previews)
    with progress_bar("sending", known_total=True) as progress:
        task = progress.add_task("", total=total)
        for part in push(hub, collection, previews, options):
            for result in part.results:
                print_json(result.as_json()) if as_json else print_result(console, result)
            progress.advance(task, len(part.results))
            short = tuple(replace(result, object=None, findings=()) for result in part.results)
            pushed.append(replace(part, results=short))
    return pushed
