"""`tocsin sent`: list what was sent, or show what became of one submission."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tocsin.admission.descriptions import count
from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import timestamp
from tocsin.clients.cli.command import COUNT, json_option, with_connection_options, with_settings
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import NO_RIGHTS, Hub
from tocsin.clients.push_record import PushRecords, RecordedPush, state_folder
from tocsin.clients.responses import StatusDetail, StatusReport
from tocsin.clients.terminal import (
    open_console,
    print_detail,
    print_json,
    print_message,
    print_table,
)
from tocsin.clients.withdraw import OUTCOMES as WITHDRAWAL_OUTCOMES
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.settings import ClientSettings

_NOT_LISTED = "this server does not list submissions; these are the pushes from this computer"


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission, as the hub lists it or the local record has it."""

    id: str
    received: str
    collection: str
    total: int
    counts: Mapping[str, int]
    """Objects by verdict; of a server that lists nothing, those of the whole push."""
    root: str
    account: str = ""
    files: tuple[str, ...] = ()
    """The files that it came from, if it was pushed from this computer."""
    labels: Mapping[str, str] | None = None
    """The labels of the objects by id, likewise."""
    is_withdrawal: bool = False
    """True if it was a withdrawal from this computer."""

    def as_json(self) -> dict[str, Any]:
        """The submission as `--json` prints it."""
        kind = {"withdrawal": True} if self.is_withdrawal else {}
        return {
            "id": self.id,
            "received": self.received,
            "collection": self.collection,
            "account": self.account or None,
            "objects": self.total,
            "counts": dict(self.counts),
            "files": list(self.files),
        } | kind


@click.command(
    "sent",
    short_help="List what you sent, or show one submission.",
    epilog=format_examples(
        "tocsin sent",
        "tocsin sent --limit 100 --json",
        "tocsin sent 2d086da7-4bdc-4f91-900e-d77486753710",
    ),
)
@click.argument("id", metavar="[ID]", default="")
@click.option(
    "--limit", type=COUNT, default=20, show_default=True, help="Submissions to list at most."
)
@json_option
@with_connection_options
@with_settings
def sent_command(settings: ClientSettings, id: str, limit: int, as_json: bool) -> int:
    """List what your organisation sent, the newest first.

    With the ID of a submission: each of its objects, with its verdict and the
    id under which it is published. The list is the hub's, so it has what other
    computers and people of your organisation sent too. Servers other than
    Tocsin's hub have no list: then it is the record of this computer.

    Withdrawals from this computer are counted as withdrawn or absent.

    With --json: a line for each submission or object. The exit code is 3 if there
    is none, and the key sees no collection.
    """
    with open_hub(settings) as hub:
        if id:
            _show(hub, id, as_json=as_json)
            return stdio.DONE
        submissions = list(islice(list_submissions(hub, settings), limit))
        if has_no_rights := not submissions and not hub.list_collections():
            print_message(f"this key sees no collection: {NO_RIGHTS}")
    if as_json:
        for each in submissions:
            print_json(each.as_json())
    else:
        _print_list(submissions)
    return stdio.UNAVAILABLE if has_no_rights else stdio.DONE


def list_submissions(hub: Hub, settings: ClientSettings) -> Iterator[Submission]:
    """The submissions of the key's partner, the newest first; see the command."""
    # The hub may have had another URL; the ids of its statuses are unique everywhere.
    recorded = {each.id: each for each in _list_recorded()}
    try:
        for listed in hub.list_submissions():
            ours = recorded.get(listed.id)
            submission = Submission(
                *(listed.id, listed.received, listed.collection, listed.total),
                *(listed.counts, listed.root, listed.account),
            )
            yield _complete(submission, ours) if ours else submission
    except NotFound:
        print_message(_NOT_LISTED)
        here = list(_list_recorded(hub.url))
        if not here and not settings.record_pushes:
            raise WrongUsage(
                "record_pushes is off, so this computer has no record; give an id"
            ) from None
        yield from here


def _complete(listed: Submission, ours: Submission) -> Submission:
    """A submission that the hub lists, with what only the local record has."""
    kind = ours.is_withdrawal
    return replace(listed, files=ours.files, labels=ours.labels, is_withdrawal=kind)


def _list_recorded(url: str = "") -> Iterator[Submission]:
    """The submissions from this computer to the hub with this URL, or to any."""
    for push in PushRecords(state_folder(os.environ)).list_newest():
        if not url or push.url == url:
            yield from _split_push(push)


def _split_push(push: RecordedPush) -> Iterator[Submission]:
    for part in push.parts:
        yield Submission(
            id=part.status,
            received=timestamp(push.time),
            collection=push.collection,
            total=len(part.objects),
            counts=push.counts if len(push.parts) == 1 else {},
            root=push.root,
            files=push.files,
            labels={each.source_id: each.label for each in part.objects},
            is_withdrawal=push.is_withdrawal,
        )


def _print_list(submissions: list[Submission]) -> None:
    """Print two rows for each submission, so that file names have more than half of 80 columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("time (UTC), collection, submission", overflow="fold", min_width=36)
    table.add_column("objects, files", overflow="fold")
    for each in submissions:
        when = f"{each.received[:16].replace('T', ' ')}  {each.collection}"
        counts = "; ".join(filter(None, (count(each.total, "object"), _format_counts(each))))
        files = ", ".join(Path(name).name or name for name in each.files)
        for row in ((when, counts), (each.id, files)):
            table.add_row(*(Text(printable(text)) for text in row))
    print_table(open_console(), table)


def _format_counts(submission: Submission) -> str:
    """The objects by verdict; of a withdrawal, in its own words."""
    words = WITHDRAWAL_OUTCOMES if submission.is_withdrawal else {}
    counts = [(n, words.get(word, word)) for word, n in submission.counts.items() if word in _SHOWN]
    return ", ".join(f"{n} {word}" for n, word in counts)


_SHOWN = ("admitted", "merged", "duplicate", "held", "refused", "pending", "withdrawn", "absent")


def _show(hub: Hub, id: str, *, as_json: bool) -> None:
    here = next((each for each in _list_recorded(hub.url) if each.id == id), None)
    recorded = here or next((each for each in _list_recorded() if each.id == id), None)
    report = hub.fetch_status(id, here.root if here else "")
    labels = (recorded.labels if recorded else None) or {}
    console = open_console()
    for detail in report.details:
        if recorded and recorded.is_withdrawal:
            verdict = WITHDRAWAL_OUTCOMES.get(detail.verdict, detail.verdict)
            detail = replace(detail, verdict=verdict)
        label = labels.get(detail.id, "")
        message = detail.message if detail.outcome != "success" else ""
        if as_json:
            print_json(_detail_as_json(report, detail, label))
        elif console.is_terminal:
            print_detail(console, detail, label, message)
        else:
            _print_detail_line(console, detail, label, message)


def _print_detail_line(console: Console, detail: StatusDetail, label: str, message: str) -> None:
    line = f"{detail.verdict or detail.outcome:9} {detail.id}"
    line += f" -> {detail.public_id}" if detail.public_id else ""
    line += f"  {label}" if label else ""
    console.print(Text(printable(line)))
    if message:
        console.print(Text(f"          {printable(message)}"))


def _detail_as_json(report: StatusReport, detail: StatusDetail, label: str) -> dict[str, Any]:
    return {
        "submission": report.id,
        "id": detail.id,
        "value": label or None,
        "verdict": detail.verdict or detail.outcome,
        "public_id": detail.public_id or None,
        "message": detail.message,
    }
