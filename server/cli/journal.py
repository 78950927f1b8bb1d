"""`tocsin-hub journal`: read, verify and export what was done and by whom."""

from __future__ import annotations

import json
import re
from itertools import islice

import click

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import ParsedValue, format_examples, printable
from tocsin.config.stdio import DONE, FAILED
from tocsin.server.cli.command import (
    AS_JSON,
    PAST_TIME,
    Answer,
    print_result,
    print_wrapped,
    with_hub,
    with_open_hub,
)
from tocsin.server.cli.settings import print_notice
from tocsin.server.runtime import Runtime
from tocsin.server.store.journal import JournalEntry, JournalFilter, entry_as_json

_KNOWN = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})")


def _parse_known(text: str) -> tuple[int, str]:
    found = _KNOWN.fullmatch(text)
    if found is None:
        raise ValueError("must be NUMBER:HASH, as `journal verify` showed it")
    return int(found[1]), found[2]


@click.group("journal")
def journal_command() -> None:
    """The journal: what was done, when and by whom."""


@journal_command.command(
    "list",
    epilog=format_examples(
        "tocsin-hub journal list --limit 20",
        "tocsin-hub journal list --who jane --since 2026-01-31",
        "tocsin-hub journal list --act review.release --json",
    ),
)
@click.option(
    "--since",
    type=PAST_TIME,
    default=0,
    help="Only entries from this time on: 12h (ago), 2026-01-31, or a timestamp.",
)
@click.option("--act", default="", metavar="ACT", help="Only this act, such as review.release.")
@click.option("--who", default="", metavar="NAME", help="Only of this account or person.")
@click.option(
    "--about", default="", metavar="ID", help="Only about this object, review, account, …"
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Entries at most.",
)
@click.option(
    "--before",
    type=click.IntRange(1),
    default=None,
    metavar="NUMBER",
    help="The page before this entry.",
)
@AS_JSON
@with_open_hub
def _list(  # noqa: PLR0913  (one for each option)
    hub: Runtime,
    since: int,
    act: str,
    who: str,
    about: str,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """List the newest entries, the newest last."""
    found = hub.services.store.journal.search(JournalFilter(since, act, who, about), before or 0)
    entries = list(islice(found, limit + 1))
    page = entries[:limit][::-1]
    if as_json:
        print(json.dumps(list(map(entry_as_json, page))))
        return
    print_wrapped(map(format_entry, page), " " * 10)
    if not page:
        print_notice("tocsin-hub: no entry of the journal matches")
    if len(entries) > limit:
        print_notice(f"tocsin-hub: earlier entries: add --before {page[0].sequence}")


@journal_command.command("show", epilog=format_examples("tocsin-hub journal show 1"))
@click.argument("number", type=click.IntRange(1))
@with_hub
def _show(hub: Runtime, number: int) -> Answer:
    """Show one entry as a whole."""
    entry = hub.services.store.journal.find(number)
    if entry is None:
        raise NotFound(f"the journal has no entry {number}")
    return entry_as_json(entry)


@journal_command.command("verify", epilog=format_examples("tocsin-hub journal verify"))
@click.option(
    "--known",
    type=ParsedValue("NUMBER:HASH", _parse_known),
    help="An entry and its hash, as an earlier run showed them.",
)
@AS_JSON
@with_open_hub
def _verify(hub: Runtime, known: tuple[int, str] | None, as_json: bool) -> int:
    """Verify that no entry was changed, removed or inserted.

    The exit code is 1, and the first invalid entry is named, if one was. Keep `known`
    elsewhere and give it to a later run with --known: only so can a journal that was
    written anew as a whole be recognised.
    """
    journal = hub.services.store.journal
    invalid, last = journal.first_invalid_sequence(), journal.last_entry()
    if known is not None and known[0] < journal.first_sequence():
        raise NotFound(f"entry {known[0]} is not kept any longer: give a later one")
    if known is not None:
        entry = journal.find(known[0])
        if entry is None or entry.hash != known[1]:
            invalid = min(invalid or known[0], known[0])
    answer: Answer = {
        "valid": invalid is None,
        "entries": 0 if last is None else last.sequence,
        "hash": "" if last is None else last.hash,
        "known": "" if last is None else f"{last.sequence}:{last.hash}",
    }
    if invalid is not None:
        answer = {"valid": False, "first_invalid": invalid}
    print_result(answer, as_json=as_json)
    return DONE if invalid is None else FAILED


@journal_command.command(
    "export",
    epilog=format_examples(
        "tocsin-hub journal export",
        "tocsin-hub journal export --after 12000",
    ),
)
@click.option("--after", type=click.IntRange(0), default=0, help="Only entries after this number.")
@with_open_hub
def _export(hub: Runtime, after: int) -> None:
    """Print every entry in order, one JSON object on each line."""
    for entry in hub.services.store.journal.entries(after):
        print(json.dumps(entry_as_json(entry)))


def format_entry(entry: JournalEntry) -> str:
    """An entry in one line for people, safe on a terminal."""
    details = " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in entry.details.items()
    )
    damage = "(damaged: see `journal verify`)" if entry.is_damaged else ""
    at = timestamp(entry.at)
    words = (f"{entry.sequence:>8}", at, entry.actor, entry.action, details, damage)
    return printable("  ".join(words).rstrip())
