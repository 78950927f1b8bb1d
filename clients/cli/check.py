"""`tocsin check`: what the hub would make of files, without sending them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import click
from rich.console import Console

from tocsin.clients.check import Preview, PreviewResults
from tocsin.clients.cli.command import (
    exit_code,
    json_option,
    print_totals,
    warn_of_unread_terms,
    with_settings,
)
from tocsin.clients.cli.inputs import Inputs, preview_files, print_file_errors, with_inputs
from tocsin.clients.results import ObjectResult, count_verdicts
from tocsin.clients.share_preview import is_cut, print_share_preview
from tocsin.clients.terminal import (
    open_console,
    print_difference,
    print_json,
    print_message,
    print_result,
    print_stages,
    progress_bar,
    write_result,
)
from tocsin.config.command_line import format_examples
from tocsin.config.settings import ClientSettings

_VERDICTS = ("ready", "duplicate", "held", "refused")
"""Those that are always counted."""
_PRINTED_TOGETHER = 100
"""Objects that are printed between two steps of the progress bar."""


@dataclass(frozen=True, slots=True)
class _Display:
    as_json: bool
    explain: bool
    diff: bool


@click.command(
    "check",
    short_help="Show what the hub would make of files; nothing is sent.",
    epilog=format_examples(
        "tocsin check report.txt bundle.json",
        "cat iocs | tocsin check - --as iocs.txt --json",
        "tocsin check bundle.json --term acme.example --term 'ACME Corp'",
        "tocsin check report.txt --explain --diff",
    ),
)
@with_inputs
@click.option("--explain", is_flag=True, help="Show each stage: what it did, where and why.")
@click.option("--diff", is_flag=True, help="Show each object before and after.")
@json_option
@with_settings
def check_command(
    settings: ClientSettings, inputs: Inputs, explain: bool, diff: bool, as_json: bool
) -> int:
    """Show what the hub would make of files; nothing is sent.

    FILE may be STIX, MISP, a table, a report, a mail or rules, see docs/formats.md;
    - is standard input.

    \b
    Verdicts:
      ready      would be sent to a hub
      duplicate  the hub publishes it anyway
      held       kept back, because somebody must look at it; see push --send-held
      refused    never shared; the findings say why

    On a terminal it shows the tables that push shows; elsewhere, a line for each
    object, and below it the findings.

    With --json: a line for each object; {"file", "error"} for a file that no
    format reads or that has nothing to share; at the end {"counts": ...}. With
    --diff each line also has the object "before".

    \b
    Exit codes:
      0  all objects are ready, duplicates or held
      1  all objects were refused, or no file had any that could be read
      4  some objects were refused, or a file had none that could be read
    """
    warn_of_unread_terms(settings)
    previews = preview_files(settings, replace(inputs, keep_before=diff))
    display = _Display(as_json, explain, diff)
    in_tables = not (as_json or explain or diff) and sys.stdout.isatty()
    results: Iterable[ObjectResult]
    results = _print_tables(previews) if in_tables else _print_previews(previews, display)
    failed = sum(not preview.count for preview in previews)
    counts = count_verdicts(results, _VERDICTS)
    print_totals(counts | ({"failed_files": failed} if failed else {}), as_json=as_json)
    return exit_code(counts | {"failed_files": failed})


def _print_tables(previews: Sequence[Preview]) -> PreviewResults:
    """Print what `tocsin push` shows before it asks; the results."""
    print_file_errors(previews, as_json=False)
    results = PreviewResults(previews, before=True)
    print_share_preview(open_console(), results)
    if is_cut(results):
        print_message("`tocsin check FILE | less` shows every object")
    return results


def _print_previews(previews: Sequence[Preview], display: _Display) -> Iterator[ObjectResult]:
    """Print each object; its result follows."""
    total, print_object = sum(preview.count for preview in previews), _choose_printer(display)
    with progress_bar("writing", known_total=True, hidden=sys.stdout.isatty()) as bar:
        task = bar.add_task("", total=total)
        printed = 0
        for preview in previews:
            print_file_errors([preview], as_json=display.as_json)
            for result in preview.results(before=display.diff):
                print_object(result)
                yield result
                printed += 1
                if not printed % _PRINTED_TOGETHER:
                    bar.update(task, completed=printed)


def _choose_printer(display: _Display) -> Callable[[ObjectResult], None]:
    """The function that prints an object; chosen once, because a file may have millions."""
    console = open_console()
    if display.as_json:
        return lambda result: print_json(result.as_json())
    if display.explain or display.diff:
        return partial(_print_details, console, display)
    if console.is_terminal:
        return partial(print_result, console)
    return partial(write_result, console.file)


def _print_details(console: Console, display: _Display, result: ObjectResult) -> None:
    print_result(console, replace(result, findings=()) if display.explain else result)
    if display.explain:
        print_stages(console, result)
    if display.diff:
        print_difference(console, result)
