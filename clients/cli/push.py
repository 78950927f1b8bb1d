"""`tocsin push`: check files, send them to a collection and report the verdicts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import click

from tocsin.admission.errors import NotAllowed, NotAuthenticated, Unavailable
from tocsin.clients.check import Preview, count_verdicts
from tocsin.clients.cli.command import (
    PREVIEW_VERDICTS,
    SECONDS,
    Inputs,
    json_option,
    open_hub,
    preview_files,
    print_file_errors,
    with_connection_options,
    with_inputs,
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
@click.option(
    "--to", required=True, metavar="COLLECTION", help="The collection's id, alias or title."
)
@click.option("--yes", is_flag=True, help="Send without asking.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the hub's verdicts.")
@click.option(
    "--timeout",
    type=SECONDS,
    default=300.0,
    show_default=True,
    help="The longest wait for the hub's verdicts.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Send objects unchecked, for collections that keep them unchanged.",
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
    name, wait, as_json = options["to"], not options["no_wait"], options["as_json"]
    with open_hub(settings) as hub:
        collection = hub.find_collection(name, "can_write")
        if not collection.can_write:
            raise NotAllowed(f"this key may not write to {name}; ask the operator for the right")
        previews = preview_files(settings, inputs, examine=not options["raw"])
        if not options["yes"] and not _confirm(collection, previews):
            print_message("nothing was sent")
            return stdio.FAILED
        failed = print_file_errors(previews, as_json=as_json)
        push_options = PushOptions(wait=wait, timeout=options["timeout"])
        pushed = _push(hub, collection, previews, push_options, as_json=as_json)
    counts = _print_summary(pushed, failed, as_json=as_json)
    return _exit_code(pushed, counts, wait=wait)


def _confirm(collection: Collection, previews: Iterable[Preview]) -> bool:
    """Ask the user on a terminal; elsewhere the answer is yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    console = open_console(stderr=True)
    results = [result for preview in previews for result in preview.results()]
    print_counts(console, count_verdicts(results, PREVIEW_VERDICTS))
    print_removals(console, results)
    ready = sum(1 for result in results if result.verdict == "ready")
    name = printable(collection.alias or collection.title)
    sys.stderr.write(f"Send {ready} objects to {name}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


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


def _print_summary(
    pushed: Sequence[PushResult], failed_files: int, *, as_json: bool
) -> dict[str, int]:
    """Print the counts and, for programs, the last status; the counts."""
    results = [result for part in pushed for result in part.results]
    counts = count_verdicts(results, _COUNTED)
    if failed_files:
        counts["failed_files"] = failed_files
    if as_json:
        reports = [part.status for part in pushed if part.status]
        last = dict(reports[-1].resource) if reports else None
        print_json({"status": last, "statuses": [each.id for each in reports], "counts": counts})
    else:
        print_counts(open_console(), counts)
    return counts


def _exit_code(pushed: Sequence[PushResult], counts: dict[str, int], *, wait: bool) -> int:
    """The exit code of the push; prints the error or the statuses that are still pending."""
    error = next((part.error for part in pushed if part.error), None)
    if error:
        print_message(str(error))
        no_access = isinstance(error, Unavailable | NotAllowed | NotAuthenticated)
        return stdio.UNAVAILABLE if no_access else stdio.FAILED
    if counts.get("pending") and wait:
        ids = [part.status.id for part in pushed if part.status and not part.status.settled]
        print_message(
            f"the hub has not decided yet; ask later with `tocsin status ID`: {', '.join(ids)}"
        )
    failures = ("failed_files", "refused", "unsent", *(("pending",) if wait else ()))
    return stdio.FAILED if any(counts.get(word) for word in failures) else stdio.DONE
