"""`tocsin poll`: write what is new in a collection to a file or standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import click

from tocsin.admission.errors import Malformed, NotAllowed, Unavailable
from tocsin.admission.stix import schemas
from tocsin.admission.timestamps import micros
from tocsin.clients.cli.command import (
    FILE,
    SECONDS,
    WrongUsage,
    open_hub,
    with_connection_options,
    with_settings,
)
from tocsin.clients.output_formats import FORMATS, open_output
from tocsin.clients.poll import PollQuery, poll
from tocsin.clients.state import MemoryState, StateFile
from tocsin.clients.terminal import open_stdout, print_message, progress_bar
from tocsin.config import ClientSettings, stdio
from tocsin.config.command_line import ParsedValue, format_examples

_INTERRUPTED = (
    "interrupted; with --state what was written stays, and the next poll goes on from there"
)


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise ValueError("must be a whole number greater than 0")
    return int(text)


@click.command(
    "poll",
    short_help="Read a collection.",
    epilog=format_examples(
        "tocsin poll green",
        "tocsin poll green --output green.jsonl --state green.state",
        "tocsin poll green --format list --type indicator > block.txt",
        "tocsin poll green --state s --output all.jsonl --follow 60",
    ),
)
@click.argument("collection", metavar="COLLECTION")
@click.option("--format", type=click.Choice(FORMATS), default="jsonl", show_default=True)
@click.option(
    "--output", type=FILE, metavar="FILE", help="The file to write; - is standard output (default)."
)
@click.option(
    "--state", type=FILE, metavar="FILE", help="The file that keeps how far the poll has come."
)
@click.option("--added-after", metavar="TIME", help="Begin after this RFC 3339 time.")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE", help="Only these STIX types; repeatable."
)
@click.option(
    "--limit",
    type=ParsedValue("N", _parse_count),
    default=1000,
    show_default=True,
    help="Objects a page.",
)
@click.option("--follow", type=SECONDS, help="Poll at this interval until interrupted.")
@with_connection_options
@with_settings
def poll_command(settings: ClientSettings, collection: str, **options: Any) -> int:
    """Read a collection; with --state, only what is new since the last poll.

    COLLECTION is an id, an alias or a title.

    With --state, jsonl, csv and list are appended to the output; without it they
    replace it. A bundle always replaces it, and its cursor moves once it is
    complete. An interrupted poll goes on where it was; what a pipe has taken
    counts as read. One state file may serve many collections.
    """
    if options["format"] == "bundle" and options["follow"]:
        raise WrongUsage("a bundle is one document; use --format jsonl with --follow")
    query = _build_query(options)
    state = _open_state(options["state"])
    path = Path(options["output"]) if options["output"] not in (None, "", "-") else None
    with open_hub(settings) as hub:
        found = hub.find_collection(collection)
        if not found.can_read:
            raise NotAllowed(f"this key may not read {collection}; ask the operator for the right")
        append = isinstance(state, StateFile)
        output = open_output(options["format"], path, open_stdout(), append=append)
        hidden = path is None and sys.stdout.isatty()
        try:
            with closing(output):
                _follow(partial(poll, hub, found, query, output, state), options["follow"], hidden)
        except KeyboardInterrupt:
            print_message(_INTERRUPTED)
            return stdio.INTERRUPTED
    return stdio.DONE


def _build_query(options: dict[str, Any]) -> PollQuery:
    """The query; warns of types that STIX 2.1 does not define.  Raises WrongUsage."""
    added_after = options["added_after"] or ""
    if added_after:
        try:
            micros(added_after)
        except Malformed as error:
            raise WrongUsage(
                f"--added-after: {error}; give a time like 2026-01-31T00:00:00Z"
            ) from error
    types = _split_lists(options["types"])
    for name in types:
        if name not in schemas.standard_types() and not name.startswith("x-"):
            print_message(
                f"--type: STIX 2.1 has no type {name}; it may be a custom type{_suggest_type(name)}"
            )
    return PollQuery(types=types, added_after=added_after, limit=options["limit"])


def _suggest_type(name: str) -> str:
    similar = get_close_matches(name, schemas.standard_types(), n=1)
    return f", or did you mean {similar[0]}?" if similar else ""


def _split_lists(values: Iterable[str]) -> tuple[str, ...]:
    """The values of an option that may be repeated, or given once with commas."""
    return tuple(part for value in values for part in value.split(",") if part)


def _open_state(name: str | None) -> StateFile | MemoryState:
    if not name:
        return MemoryState()
    state = StateFile(Path(name))
    state.check()
    return state


def _follow(run_poll: Callable[[], Iterator[int]], interval: float | None, hidden: bool) -> None:
    """Poll once; with `interval`, in seconds, until interrupted."""
    with progress_bar("polling", known_total=False, hidden=hidden) as progress:
        task = progress.add_task("", total=None)
        while True:
            try:
                for count in run_poll():
                    progress.advance(task, count)
            except Unavailable as error:
                if interval is None:
                    raise
                print_message(f"{error}; the next poll is in {interval} s")
            if interval is None:
                return
            time.sleep(interval)
