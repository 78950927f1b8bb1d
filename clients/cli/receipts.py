"""`tocsin receipts`: what became of what was sent, and what others say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from tocsin.admission.descriptions import count, describe_object, find_label
from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.model import StixObject
from tocsin.admission.timestamps import micros, timestamp
from tocsin.clients.bounds import ResponseTooLong
from tocsin.clients.cli.command import (
    BEGIN,
    COUNT,
    json_option,
    with_connection_options,
    with_settings,
)
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.sent import Submission, list_submissions
from tocsin.clients.http import NO_RIGHTS, Collection, Hub
from tocsin.clients.lookup import History, find_by_id, find_statements, list_targets, read_history
from tocsin.clients.push_record import MAX_LABEL
from tocsin.clients.responses import StatusDetail
from tocsin.clients.terminal import open_console, print_json, print_message, print_table
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.settings import ClientSettings


@dataclass(slots=True)
class ReceiptLine:
    """One object that was sent, and what has become of it."""

    submission: str
    received: str
    source_id: str
    verdict: str
    public_id: str
    """Under which it is published, else under which it was sent."""
    label: str
    message: str
    is_repeat: bool
    """True if the same waited for a reviewer before; that submission tells the outcome."""
    was_published: bool
    """True if this version or an earlier one was taken into the feeds."""
    public: StixObject | None = None
    """The public object in the collections that the reader sees; None: it is in none."""
    history: History = field(default_factory=History)
    statements: Counter[str] = field(default_factory=Counter)
    """Sightings, opinions and notes of others about it, by type."""

    @classmethod
    def of(cls, submission: Submission, detail: StatusDetail) -> ReceiptLine:
        """The receipt of an object, by the status of its submission."""
        verdict = detail.verdict or detail.outcome
        asked = any(each.get("rule") == "reviews" for each in detail.findings)
        return cls(
            submission=submission.id,
            received=submission.received,
            source_id=detail.id,
            verdict=verdict,
            public_id=detail.public_id or detail.id,
            label=(submission.labels or {}).get(detail.id, ""),
            message=detail.message,
            is_repeat=verdict == "duplicate" and asked,
            was_published=verdict in _PUBLISHED,
        )

    @property
    def state(self) -> str:
        """State of the public object now."""
        if self.public is None:
            return "not visible" if self.was_published else self.verdict
        return "revoked" if self.public.get("revoked") is True else "published"

    def as_json(self) -> dict[str, Any]:
        """The receipt as `--json` prints it."""
        history = self.history
        return {
            "submission": self.submission,
            "received": self.received,
            "id": self.source_id,
            "value": self.label or None,
            "verdict": self.verdict,
            "state": self.state,
            "public_id": self.public_id if self.public else None,
            "others": max(history.contributors - 1, 0),
            "sightings": history.sightings,
            "false_positives": history.false_positives,
            "confidence": (self.public or {}).get("confidence"),
            "statements": dict(self.statements),
            "message": self.message,
        }


_HEADINGS = ("value", "verdict", "now", "others", "seen", "false", "conf.", "said")
_NOTHING = ("-", "0", "")
"""Cells that say nothing: a column with no others is left out."""
_LEGEND = (
    "others: organisations that reported it too; seen: their sightings;",
    "false: false alarms; conf.: confidence; said: statements that you can read.",
    "On a terminal, a column without any is left out.",
    "The hub publishes counts that only rise at most once an hour, so they may lag.",
)
_MOST_FRUITLESS = 1_000
"""Submissions in a row without an object, after which no more are read: a list may have no end."""
_FRUITLESS = (
    "the hub returned no objects for {} submissions in a row, so older ones were not read; tell "
    "its operator, or give a later --since"
)
_MOST_NAMED = 5
"""Statuses whose ids are named one by one."""
_PUBLISHED = ("admitted", "merged", "duplicate", "success")


@dataclass(slots=True)
class _UnreadStatuses:
    """The submissions of which there is nothing to read, the newest first."""

    forgotten: list[Submission] = field(default_factory=list)
    """The hub no longer keeps their statuses."""
    too_long: list[Submission] = field(default_factory=list)
    error: str = ""
    """That of the first status that is too long."""

    def report(self) -> None:
        """Say in a line of each kind which they are."""
        if self.forgotten:
            print_message(f"the hub no longer keeps {_name_statuses(self.forgotten)}")
        if self.too_long:
            verb = "is" if len(self.too_long) == 1 else "are"
            print_message(f"{_name_statuses(self.too_long)} {verb} left out: {self.error}")


def _name_statuses(submissions: Sequence[Submission]) -> str:
    ids = [each.id for each in submissions]
    if len(ids) == 1:
        return f"the status {ids[0]}"
    if len(ids) > _MOST_NAMED:
        first, last = (
            f"{each.received[:19]}Z, {each.id}" if each.received else each.id
            for each in (submissions[-1], submissions[0])
        )
        ids = [f"of {first}, to {last}"]
    return f"{count(len(submissions), 'status', 'statuses')} ({', '.join(ids)})"


@click.command(
    "receipts",
    short_help="Show what became of what you sent, and what others say of it.",
    epilog=format_examples(
        "tocsin receipts",
        "tocsin receipts --since 26w --limit 5000 --json",
    ),
)
@click.option(
    "--since",
    type=BEGIN,
    default="30d",
    help="Begin at this time: 12h, 30d (ago; default), 2026-01-31 or an RFC 3339 timestamp.",
)
@click.option(
    "--limit", type=COUNT, default=1000, show_default=True, help="Objects to look up at most."
)
@json_option
@with_connection_options
@with_settings
def receipts_command(settings: ClientSettings, since: int, limit: int, as_json: bool) -> int:
    """Show what became of what you sent, the newest first.

    For each object: the verdict on the version that you sent last; whether it is
    published, in that or an earlier version, or revoked now; how many others
    reported it too; how many have seen it; how many call it a false alarm; its
    confidence; and how many sightings, opinions and notes about it you can read.
    All of this is read from the collections that your key may
    read: it tells nothing that they do not. The hub publishes counts that only
    rise at most once an hour, or as its operator sets it: a sighting of just now
    is not counted yet.

    With --json: a line for each object. The exit code is 3 if the key sees no
    collection.
    """
    with open_hub(settings) as hub:
        receipts = _collect(hub, settings, since, limit)
        collections = hub.list_collections()
        _look_up(hub, [each for each in collections if each.can_read], receipts)
    if not collections:
        print_message(f"this key sees no collection: {NO_RIGHTS}")
    if as_json:
        for each in receipts:
            print_json(each.as_json())
    elif receipts or collections:
        _print_table(receipts, since)
    if len(receipts) == limit:
        print_message(f"only the newest {limit} objects were looked up; see --limit")
    return stdio.DONE if collections else stdio.UNAVAILABLE


def _collect(hub: Hub, settings: ClientSettings, begin: int, limit: int) -> list[ReceiptLine]:
    """The objects that were sent since `begin`, each once, the newest first, at most `limit`."""
    found: dict[str, ReceiptLine] = {}
    unread = _UnreadStatuses()
    for receipt in _read_since(hub, settings, begin, unread):
        newest = found.setdefault(receipt.source_id, receipt)
        if newest.is_repeat:
            found[receipt.source_id] = newest = receipt
        if receipt.was_published and not newest.was_published:  # that version still holds
            newest.public_id, newest.was_published = receipt.public_id, True
        if len(found) == limit:
            break
    unread.report()
    return list(found.values())


def _read_since(
    hub: Hub, settings: ClientSettings, begin: int, unread: _UnreadStatuses
) -> Iterator[ReceiptLine]:
    """The objects of the submissions since `begin`, the newest submission first."""
    fruitless = 0
    for submission in list_submissions(hub, settings):
        if _is_before(submission.received, begin):
            return
        if submission.is_withdrawal:
            continue  # the row of what was withdrawn says that it is revoked
        receipts = list(_read_submission(hub, submission, unread))
        yield from receipts
        fruitless = 0 if receipts else fruitless + 1
        if fruitless == _MOST_FRUITLESS:
            print_message(_FRUITLESS.format(fruitless))
            return


def _is_before(text: str, begin: int) -> bool:
    try:
        return micros(text) < begin
    except Malformed:
        return False


def _read_submission(
    hub: Hub, submission: Submission, unread: _UnreadStatuses
) -> Iterator[ReceiptLine]:
    try:
        report = hub.fetch_status(submission.id, submission.root)
    except NotFound:
        unread.forgotten.append(submission)
        return
    except ResponseTooLong as error:  # one long status hides none of the others
        unread.too_long.append(submission)
        unread.error = unread.error or str(error)
        return
    for detail in report.details:
        yield ReceiptLine.of(submission, detail)


def _look_up(hub: Hub, readable: Sequence[Collection], receipts: Sequence[ReceiptLine]) -> None:
    """Add to each receipt what the collections show of its object."""
    taken = [each for each in receipts if each.was_published]
    own = dict.fromkeys(each.public_id for each in taken)
    ids = list(own)
    public = find_by_id(hub, readable, ids)
    about: dict[str, Counter[str]] = {}
    for statement in find_statements(hub, readable, ids):
        if statement.get("id") not in own:  # else we said it ourselves
            for target in list_targets(statement):
                about.setdefault(target, Counter())[str(statement.get("type"))] += 1
    for each in taken:
        each.public = public.get(each.public_id)
        if each.public is not None:
            each.history = read_history(each.public)
            if not 0 < len(each.label) < MAX_LABEL:  # the record of a push shortens it
                each.label = find_label(each.public)
            each.statements = about.get(each.public_id, Counter())
    _label_statements(hub, readable, [each for each in taken if each.public and not each.label])


def _label_statements(
    hub: Hub, readable: Sequence[Collection], receipts: Sequence[ReceiptLine]
) -> None:
    """Name sightings and opinions by the first object that they are about; they have no name."""
    targets = {each.public_id: list_targets(each.public or {}) for each in receipts}
    ids = list(dict.fromkeys(each[0] for each in targets.values() if each))
    found = find_by_id(hub, readable, ids) if ids else {}
    for each in receipts:
        about = targets[each.public_id]
        if about and about[0] in found:
            value, kind = describe_object(found[about[0]])
            more = f" and {len(about) - 1:,} more" if len(about) > 1 else ""
            each.label = f"{(each.public or {}).get('type')}: {value or kind}{more}"


def _format_cells(receipt: ReceiptLine, longest: int | None) -> list[str]:
    """The cells of a row, as `_HEADINGS` names them, each of at most `longest` characters."""
    value, kind = describe_object(receipt.public or {}, receipt.label)
    history, confidence = receipt.history, (receipt.public or {}).get("confidence")
    counts = (max(history.contributors - 1, 0), history.sightings, history.false_positives)
    cells = [value or kind or receipt.source_id, receipt.verdict, receipt.state]
    cells += [str(n) if n else "-" for n in counts]
    cells += ["-" if confidence is None else str(confidence), str(receipt.statements.total())]
    return [printable(cell[:longest]) for cell in cells]


def _print_table(receipts: Sequence[ReceiptLine], since: int) -> None:
    if not receipts:
        begin = f"{timestamp(since)[:19]}Z"
        print_message(f"no object was found that was sent since {begin}; give an earlier --since")
        return
    console, table = open_console(), Table(box=None, pad_edge=False)
    longest = MAX_LABEL if console.is_terminal else None
    rows = [_format_cells(each, longest) for each in receipts]
    shown = list(range(len(_HEADINGS)))
    if console.is_terminal:  # elsewhere a script may count the columns
        shown = [n for n in shown if any(row[n] not in _NOTHING for row in rows)]
    for n in shown:
        table.add_column(_HEADINGS[n], overflow="fold" if n == 0 else "ellipsis", no_wrap=n > 0)
    for row in rows:
        table.add_row(*(Text(row[n]) for n in shown))
    print_table(console, table)
    totals = Counter(each.state for each in receipts)
    also = sum(each.history.contributors > 1 for each in receipts)
    seen = sum(each.history.sightings > 0 for each in receipts)
    objects = count(len(receipts), "object")
    summary = ", ".join(f"{n} {word}" for word, n in totals.items())
    for line in _LEGEND:
        console.print(Text(line, style="dim"))
    console.print(Text(f"{objects}: {summary}; {also} reported by others too, {seen} seen"))
