"""`tocsin sent`: list what was sent, or show what became of one submission."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import timestamp
from tocsin.clients.cli.command import COUNT, json_option, with_connection_options, with_settings
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import Hub
from tocsin.clients.push_record import PushRecords, RecordedPush, state_folder
from tocsin.clients.responses import StatusDetail, StatusReport
from tocsin.clients.terminal import open_console, print_json, print_message
from tocsin.config import ClientSettings, stdio
from tocsin.config.command_line import format_examples, printable

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

    def as_json(self) -> dict[str, Any]:
        """The submission as `--json` prints it."""
        return {
            "id": self.id,
            "received": self.received,
            "collection": self.collection,
            "account": self.account or None,
            "objects": self.total,
            "counts": dict(self.counts),
            "files": list(self.files),
        }


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

    With --json: a line for each submission or object.
    """
    with open_hub(settings) as hub:
        if id:
            _show(hub, settings, id, as_json=as_json)
            return stdio.DONE
        submissions = list(islice(list_submissions(hub, settings), limit))
    if as_json:
        for each in submissions:
            print_json(each.as_json())
    else:
        _print_list(submissions)
    return stdio.DONE


def list_submissions(hub: Hub, settings: ClientSettings) -> Iterator[Submission]:
    """The submissions of the key's partner, the newest first; see the command."""
    recorded = {each.id: each for each in _list_recorded(hub)}
    try:
        for listed in hub.list_submissions():
            ours = recorded.get(listed.id)
            submission = Submission(
                *(listed.id, listed.received, listed.collection, listed.total),
                *(listed.counts, listed.root, listed.account),
            )
            yield replace(submission, files=ours.files, labels=ours.labels) if ours else submission
    except NotFound:
        print_message(_NOT_LISTED)
        if not recorded and not settings.record_pushes:
            raise WrongUsage(
                "record_pushes is off, so this computer has no record; give an id"
            ) from None
        yield from recorded.values()


def _list_recorded(hub: Hub) -> Iterator[Submission]:
    for push in PushRecords(state_folder(os.environ)).list_newest():
        if push.url == hub.url:
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
        )


def _print_list(submissions: list[Submission]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading, width in (("time (UTC)", 16), ("submission", 36)):
        table.add_column(heading, no_wrap=True, min_width=width)
    for heading in ("to", "all", "verdicts, files"):
        table.add_column(heading, overflow="fold")
    for each in submissions:
        verdicts = ", ".join(f"{n} {word}" for word, n in each.counts.items() if word in _SHOWN)
        files = ", ".join(Path(name).name or name for name in each.files)
        texts = (each.received[:16].replace("T", " "), each.id, each.collection, str(each.total))
        last = "; ".join(text for text in (verdicts, files) if text)
        table.add_row(*(Text(printable(text)) for text in (*texts, last)))
    open_console().print(table)


_SHOWN = ("admitted", "merged", "duplicate", "held", "refused", "pending")


def _show(hub: Hub, settings: ClientSettings, id: str, *, as_json: bool) -> None:
    recorded = next((each for each in _list_recorded(hub) if each.id == id), None)
    report = hub.fetch_status(id, recorded.root if recorded else "")
    labels = (recorded.labels if recorded else None) or {}
    console = open_console()
    for detail in report.details:
        label = labels.get(detail.id, "")
        if as_json:
            print_json(_detail_as_json(report, detail, label))
            continue
        line = f"{detail.verdict or detail.outcome:9} {detail.id}"
        line += f" -> {detail.public_id}" if detail.public_id else ""
        line += f"  {label}" if label else ""
        console.print(Text(printable(line)))
        if detail.message and detail.outcome != "success":
            console.print(Text(f"          {printable(detail.message)}"))


def _detail_as_json(report: StatusReport, detail: StatusDetail, label: str) -> dict[str, Any]:
    return {
        "submission": report.id,
        "id": detail.id,
        "value": label or None,
        "verdict": detail.verdict or detail.outcome,
        "public_id": detail.public_id or None,
        "message": detail.message,
    }
