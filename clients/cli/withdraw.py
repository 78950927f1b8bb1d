"""`tocsin withdraw`: take back what was sent, by value, by id or by file."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tocsin.admission.descriptions import count
from tocsin.admission.errors import Malformed, ShareError
from tocsin.clients.cli.command import (
    FILE,
    ask,
    is_interactive,
    json_option,
    print_push_summary,
    push_exit_code,
    reporting_interrupt,
    with_connection_options,
    with_sending_options,
    with_settings,
)
from tocsin.clients.cli.hub import find_target, open_hub
from tocsin.clients.cli.inputs import Inputs, preview_files
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import Collection, Hub
from tocsin.clients.push import PushOptions, PushResult, push_results
from tocsin.clients.push_record import (
    PushKind,
    PushRecord,
    PushRecords,
    SentVersion,
    open_records,
    state_folder,
)
from tocsin.clients.results import ObjectResult
from tocsin.clients.terminal import (
    choose_console,
    open_console,
    print_json,
    print_message,
    print_withdrawal,
    progress_bar,
)
from tocsin.clients.withdraw import (
    VERDICTS,
    Target,
    add_other_ids,
    count_absent,
    count_observables,
    count_unknown,
    drop_replaced,
    explain_others,
    find_current,
    has_value,
    list_derived_labels,
    list_targets,
    prepare_withdrawal,
    read_outcome,
    resolve_revocable,
)
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.settings import ClientSettings

_COUNTED = ("withdrawn", "absent")
"""The outcomes that are counted even if no object has them."""
_MAX_SHOWN = 20
"""Objects that are shown before the question."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A withdrawal as the command line asks for it."""

    hub: Hub
    collection: Collection
    results: Sequence[ObjectResult]
    options: PushOptions
    as_json: bool


@click.command(
    "withdraw",
    short_help="Take back what was sent.",
    epilog=format_examples(
        "tocsin withdraw 'evil-portal[.]top' --yes",
        "tocsin withdraw iocs.csv --dry-run",
        "cat iocs | tocsin withdraw --file - --as iocs.txt --to inbox --yes --json",
    ),
)
@click.argument("names", nargs=-1, metavar="[VALUE|ID|FILE]...")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Withdraw what this file reports; - is standard input. Repeatable.",
)
@click.option(
    "--as",
    "form",
    metavar="NAME",
    help="Read the files as if they had this name: report.txt",
)
@with_sending_options
@click.option("--dry-run", is_flag=True, help="Show what would be withdrawn; send nothing.")
@json_option
@with_connection_options
@with_settings
def withdraw_command(
    settings: ClientSettings, names: tuple[str, ...], files: tuple[str, ...], **options: Any
) -> int:
    """Take back what you sent, for instance a false alarm. This is final.

    VALUE is a domain, address, URL, e-mail address or hash, in any spelling,
    that you sent in a text or a table, or from this computer in a STIX or MISP
    file. ID is that under which you sent an object, not the hub's. Of a FILE
    that you sent, everything is withdrawn except identities, markings and
    observables.

    An object that nobody else reported is revoked. Only ids are sent, no
    content. A withdrawn id cannot be used again: to report the value again, use
    push --new-ids. A value that was sent under new ids is found if this computer
    sent it; if another did, give the id that push printed.

    \b
    Verdicts:
      withdrawn  nothing of yours is published under this id any more
      absent     nothing of yours was published under this id
      refused    the findings say why
      pending    not decided yet
      unsent     the hub could not be reached any more

    With --json: a line for each object; at the end {"status": <TAXII status>,
    "statuses": [ids], "counts": ...}.

    \b
    Exit codes:
      0  nothing of what was named is published any more
      1  nothing was withdrawn, or you said no
      3  the hub cannot be reached, or access was denied
      4  some objects were withdrawn, others are refused, pending or unsent
    """
    wait, as_json = not options["no_wait"], options["as_json"]
    now = time.time_ns() // 1000
    inputs = Inputs(files, options["form"] or "", "")
    targets, failed = _find_targets(settings, names, inputs, now, as_json=as_json)
    if options["dry_run"]:
        url = _url_without_request(settings)
        recorded = PushRecords(state_folder(os.environ)).find_collection(options["to"], url)
        targets, _ = _add_recorded(targets, url, recorded, lambda id, sent: "")
        _print_results(open_console(), prepare_withdrawal(targets, now), as_json=as_json)
        return stdio.FAILED if failed else stdio.DONE
    with open_hub(settings) as hub:
        collection = find_target(hub, options["to"])
        targets, explained = _add_recorded(targets, hub.url, collection, _asking(hub))
        results = list(prepare_withdrawal(targets, now))
        if results and not options["yes"] and not _confirm(hub, collection, results):
            print_message("nothing was sent")
            return stdio.FAILED
        push_options = PushOptions(wait=wait, timeout=options["timeout"])
        job = _Job(hub, collection, results, push_options, as_json)
        named = list(dict.fromkeys(each.file for each in targets if each.file))
        records = open_records(settings, os.environ)
        with records.begin(collection, hub.url, named, PushKind.WITHDRAWAL) as record:
            pushed = _send(job, record)
            counts = _count_outcomes(pushed)
            record.finish(counts)
    counts |= {"failed_files": failed} if failed else {}
    print_push_summary(pushed, counts, as_json=as_json)
    if absent := count_absent((r for part in pushed for r in part.results), explained):
        print_message(
            f"of {count(absent, 'value')} nothing of yours is published under its id; if you sent "
            "it in a STIX or MISP file or under a new id, and not from this computer, give the "
            "file, or the id that `tocsin sent ID` shows; "
            "if you sent an observable, ask the operator of the hub to withdraw it"
        )
    return push_exit_code(pushed, counts, wait=wait)


def _url_without_request(settings: ClientSettings) -> str:
    """The URL of the hub as records have it; empty if none is named."""
    if not settings.url:
        return ""
    with open_hub(settings) as hub:
        return hub.url


_AskOutcome = Callable[[str, SentVersion], str]
"""The outcome of what was sent under an id, as the hub states it; empty if that is not known."""


def _asking(hub: Hub) -> _AskOutcome:
    """Ask a hub what became of something; each status once."""
    fetch = cache(hub.fetch_status)

    def ask_outcome(id: str, sent: SentVersion) -> str:
        try:
            found = [each for each in fetch(sent.status).details if each.id == id]
        except ShareError:  # it keeps no statuses, or not for that long
            return ""
        found = [each for each in found if each.version == sent.version] or found
        outcomes = {each.outcome for each in found}
        return outcomes.pop() if len(outcomes) == 1 else ""

    return ask_outcome


def _add_recorded(
    targets: Sequence[Target], url: str, collection: Collection | None, ask_outcome: _AskOutcome
) -> tuple[list[Target], set[str]]:
    """The targets, with the other ids under which this computer sent the same values there.

    For a value that was named itself, and not for one of a file, ids of STIX and MISP files too,
    but none that has another value now.  A message explains these, and the labels of the values
    that were explained are returned too.
    """
    records = PushRecords(state_folder(os.environ))
    of_files = list_derived_labels(each for each in targets if each.file)
    named = list_derived_labels(each for each in targets if not each.file)
    ids = records.find_ids(of_files, url, collection)
    ids |= (former := records.find_ids(named, url, collection, only_new=False))
    sent = _find_sent(records, named, url, collection)
    last = {id: find_current(sent[id], partial(ask_outcome, id)) for id in sent}
    explained = set()
    for label, sentence in explain_others(named, last, former):
        explained.add(label)
        print_message(sentence)
    return drop_replaced(add_other_ids(targets, ids), last), explained


def _find_sent(
    records: PushRecords, labels: Set[str], url: str, collection: Collection | None
) -> dict[str, list[SentVersion]]:
    """The objects that were sent under ids that once had one of these values, the last first."""
    if not labels:
        return {}

    def is_wanted(label: str) -> bool:
        return label in labels or any(has_value(label, each) for each in labels)

    ids = records.find_ids_where(is_wanted, url, collection)
    return records.find_versions(ids, url, collection)


def _find_targets(
    settings: ClientSettings, names: Iterable[str], inputs: Inputs, now: int, *, as_json: bool
) -> tuple[list[Target], int]:
    """The objects that the arguments and files name, and the number of files without any.

    Raises WrongUsage if it names nothing, or something that cannot be withdrawn.
    """
    targets: list[Target] = []
    for name in names:
        found, is_file = _read_name(name, now)
        targets += found
        inputs = replace(inputs, names=(*inputs.names, name)) if is_file else inputs
    if not targets and not inputs.names:
        raise WrongUsage("nothing is named; give values, ids or --file")
    failed = 0
    for preview in preview_files(settings, inputs, examine=False):
        found = list_targets(preview)
        if preview.error:
            failed += 1
            if as_json:
                print_json({"file": preview.file, "error": preview.error})
            print_message(f"{preview.file}: {preview.error}")
        elif observables := count_observables(preview):
            print_message(
                f"{preview.file}: {count(observables, 'observable')} left out; ask the operator of "
                "the hub to withdraw observables"
            )
        elif not found:
            failed += 1
            print_message(f"{preview.file}: nothing to withdraw was found in it")
        targets += found
    return targets, failed


def _read_name(name: str, now: int) -> tuple[list[Target], bool]:
    """The objects that an argument names, or True if it names a file.

    Raises WrongUsage if it is neither, or both.
    """
    is_file = Path(name).is_file()
    try:
        found = resolve_revocable(name, now)
    except Malformed as error:
        if not is_file:
            raise WrongUsage(str(error)) from error
        return [], True
    if is_file:
        raise WrongUsage(f"{name!a} is a value and a file; give the file with --file ./{name}")
    return found, False


def _confirm(hub: Hub, collection: Collection, results: Sequence[ObjectResult]) -> bool:
    """Ask the user.  Raises WrongUsage without a terminal, because it cannot be undone."""
    if not is_interactive():
        raise WrongUsage(
            "a withdrawal is final; give --yes to send it unasked, or --dry-run to see it first"
        )
    console = open_console(stderr=True)
    for result in results[:_MAX_SHOWN]:
        print_withdrawal(console, result)
    if len(results) > _MAX_SHOWN:
        console.print(f"  and {len(results) - _MAX_SHOWN} more; --dry-run shows all")
    name = printable(collection.alias or collection.title)
    ids = {each.source_id for each in results}
    sent = PushRecords(state_folder(os.environ)).find_levels(ids, hub.url, collection)
    if unknown := count_unknown(results, sent):
        print_message(
            f"this computer has no record of sending {unknown} of these objects to {name}: what "
            "your organisation never sent cannot be withdrawn; `tocsin receipts` shows what it "
            "has published"
        )
    return ask(f"Withdraw {count(len(results), 'object')} from {name}? This is final.")


def _send(job: _Job, record: PushRecord) -> list[PushResult]:
    """Send, and print each object's outcome as soon as it is known; the outcomes."""
    pushed: list[PushResult] = []
    parts = push_results(job.hub, job.collection, job.results, job.options, record.acknowledge)
    total = len(job.results)
    with (
        reporting_interrupt(record, total),
        progress_bar("withdrawing", known_total=True, hidden=not total) as progress,
    ):
        task, console = progress.add_task("", total=total), choose_console(progress)
        for part in parts:
            outcomes = tuple(read_outcome(result) for result in part.results)
            _print_results(console, outcomes, as_json=job.as_json)
            progress.advance(task, len(outcomes))
            pushed.append(replace(part, results=outcomes))
    return pushed


def _print_results(console: Console, results: Iterable[ObjectResult], *, as_json: bool) -> None:
    for result in results:
        if as_json:
            print_json(
                {
                    "file": result.file or None,
                    "value": result.label or None,
                    "id": result.source_id,
                    "verdict": result.verdict,
                    "findings": [dict(each) for each in result.findings],
                }
            )
        else:
            print_withdrawal(console, result)


def _count_outcomes(pushed: Iterable[PushResult]) -> dict[str, int]:
    found = Counter(result.verdict for part in pushed for result in part.results)
    counts = {word: found[word] for word in VERDICTS if found[word] or word in _COUNTED}
    return {"named": found.total()} | counts
