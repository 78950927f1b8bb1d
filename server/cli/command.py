"""Shared by the commands of `tocsin-hub`: settings, the open hub, the printing of results."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, cast

import click

from tocsin.admission.errors import Conflict, Malformed, NotAllowed, NotFound, Unavailable
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import parse_past_time, parse_time
from tocsin.config.command_line import (
    ParsedValue,
    print_on_stderr,
    printable,
    terminal_width,
    wrap_words,
)
from tocsin.config.loading import PERSON
from tocsin.config.settings import HubSettings
from tocsin.config.stdio import FAILED
from tocsin.server.bootstrap import new_hub_lines
from tocsin.server.cli.settings import print_notice, user_name, with_settings
from tocsin.server.partners.names import check_slug
from tocsin.server.runtime import Runtime, check_policy, open_runtime
from tocsin.server.secrets import has_secrets, read_secrets
from tocsin.server.store import DATABASE_ERRORS
from tocsin.server.store.embedded import has_database
from tocsin.server.store.journal import operator_name

_EMPTY: tuple[object, ...] = (None, "", (), [])
_MOST_SHOWN = 20
"""Records within a record that are shown to people."""
Answer = dict[str, object]
CommandResult = Answer | list[Answer] | Iterator[Answer]
"""The output of a command: one record, a list of them, or records that are made one by one.

If one of the latter cannot be made, those before it are printed all the same.
"""


class ShownOnce(dict[str, object]):
    """A record with a secret that no later command can show."""

    def __init__(self, record: Answer, if_lost: str) -> None:
        """`if_lost` says what to do if the record could not be printed."""
        super().__init__(record)
        self.if_lost = if_lost


_LONGEST_NAME = 64
"""Characters of a person's name."""


def parse_person(text: str) -> str:
    """A person's name for the journal.

    Raises ValueError if it is empty, longer than 64 characters or cannot be shown.
    """
    name = text.strip()
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or ":" in name:
        raise ValueError("must be 1 to 64 printable characters without a colon")
    return name


_NO_HUB = (
    "there is no hub in {}: name its data directory with --data; "
    "`tocsin-hub serve` or `tocsin-hub partner add` makes a new hub"
)
_AWAY = (
    "the database does not answer any more; look what the command has done, and run it again "
    "once the database answers"
)
NOTHING_TO_CHANGE = "name what to change; --help shows the options"
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
AS_PERSON = click.option(
    "--as",
    "person",
    metavar="NAME",
    type=ParsedValue("NAME", parse_person),
    envvar=PERSON,
    default=lambda: user_name(os.getuid()),
    help="Who does it, for the journal.",
)


def with_open_hub(
    command: Callable[..., int | None], *, creates: bool = False
) -> Callable[..., int | None]:
    """Pass the open hub to a command that prints its result itself; it returns the exit code.

    A command that `creates` makes a new hub where there is none.  A dry run makes none: it
    writes nothing.
    """

    @with_settings
    @wraps(command)
    def run(settings: HubSettings, /, **arguments: Any) -> int | None:
        logging.getLogger().setLevel(logging.WARNING)
        new = not has_secrets(settings.data)
        if not new or (not settings.mongo_uri and has_database(settings.data)):
            # Says that they are missing, or open to all, before the engine closes the directory.
            read_secrets(settings.data)
        if new and (not creates or arguments.get("dry_run")):
            raise NotFound(_NO_HUB.format(settings.data))
        if new:
            check_policy(settings)
        expected = not creates or bool(arguments.get("dry_run"))
        with open_runtime(settings, lambda text: None, expected=expected) as hub:
            if new or (hub.is_new and settings.mongo_uri):
                database = "" if new else settings.database
                print_notice("\n".join(new_hub_lines(settings.data, database)))
            try:
                return command(hub, **arguments)
            except DATABASE_ERRORS as error:
                if not hub.services.store.availability.is_outage(error):
                    raise
                raise Unavailable(_AWAY) from error

    return run


def with_hub(
    command: Callable[..., CommandResult], *, creates: bool = False
) -> Callable[..., int | None]:
    """Pass the open hub to a command, and print its result, as JSON if --json is given."""

    @AS_JSON
    @wraps(command)
    def run(hub: Runtime, /, as_json: bool, **arguments: Any) -> None:
        result = command(hub, **arguments)
        if isinstance(result, ShownOnce):
            _print_once(result, as_json=as_json)
        elif isinstance(result, dict | list):
            print_result(result, as_json=as_json)
        else:
            _print_as_made(result, as_json=as_json)

    return with_open_hub(run, creates=creates)


def with_acting_hub(
    command: Callable[..., CommandResult], *, creates: bool = False
) -> Callable[..., int | None]:
    """As `with_hub`, for a command that changes something: `hub.actor` is the person."""

    @AS_PERSON
    @wraps(command)
    def run(hub: Runtime, /, person: str, **arguments: Any) -> CommandResult:
        return command(replace(hub, actor=operator_name(person)), **arguments)

    return with_hub(run, creates=creates)


def with_new_hub(command: Callable[..., CommandResult]) -> Callable[..., int | None]:
    """As `with_acting_hub`, for a command that may be a hub's first: it makes a new hub."""
    return with_acting_hub(command, creates=True)


def act_on_each(names: Sequence[str], act: Callable[[str], Iterable[Answer]]) -> Iterator[Answer]:
    """Act on each of the names once; where one is of no use, the others are acted on all the same.

    Those of no use are named on standard error, also if another error ends the command.  With one
    of them the exit code is 1.
    """
    distinct = dict.fromkeys(names)
    failures: list[str] = []
    try:
        for name in distinct:
            try:
                yield from act(name)
            except (NotFound, Malformed, Conflict, NotAllowed) as error:
                named = len(distinct) == 1 or name in str(error)
                failures.append(str(error) if named else f"{name}: {error}")
    finally:
        for each in failures:
            print_on_stderr(f"tocsin-hub: {each}")
    if failures:
        raise click.exceptions.Exit(FAILED)


def _print_once(record: ShownOnce, *, as_json: bool) -> None:
    try:
        print_result(record, as_json=as_json)
        sys.stdout.flush()
    except OSError:
        print_notice(f"tocsin-hub: {record.if_lost}")
        raise


def _print_as_made(records: Iterator[Answer], *, as_json: bool) -> None:
    made: list[Answer] = []
    try:
        made.extend(records)
    except BaseException:
        if made:
            print_result(made, as_json=as_json)
        raise
    print_result(made, as_json=as_json)


def print_result(result: Answer | list[Answer], *, as_json: bool) -> None:
    """Print a result on standard output: as JSON, or for people, a line for each value.

    For people, records of a list are the lines of a table where one fits the terminal.
    """
    if as_json:
        print(json.dumps(result))
    elif not isinstance(result, list):
        _print_lines(format_record(result))
    elif not result:
        print_notice("tocsin-hub: the list is empty")
    elif (table := _format_narrow_table(result)) is not None:
        _print_lines(table)
    else:
        for record in result:
            _print_lines([*format_record(record), ""])


def print_wrapped(lines: Iterable[str], indent: str) -> None:
    """Print lines; on a terminal, what does not fit follows below, indented."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines:
        print(wrap_words(line, width, indent) if width and terminal_width(line) > width else line)


def _print_lines(lines: Iterable[str]) -> None:
    """Print lines; on a terminal, wrap those that are indented, as in a record.

    The others may be commands to be copied.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines:
        indent = line[: len(line) - len(line.lstrip(" -"))] if width else ""
        print(wrap_words(line, width, " " * (len(indent) + 2)) if indent else line)


def _format_narrow_table(records: Sequence[Answer]) -> list[str] | None:
    """The records as a table, without empty columns; None if that is too wide for the terminal."""
    names = dict.fromkeys(name for record in records for name in record)
    values = [{name: record.get(name) for name in names} for record in records]
    if any(
        isinstance(value, Mapping) or _as_records(value) for row in values for value in row.values()
    ):
        return None
    empty = {name for name in names if all(row[name] in _EMPTY for row in values)}
    table = _format_table([{n: v for n, v in row.items() if n not in empty} for row in values])
    return table if max(map(terminal_width, table)) <= shutil.get_terminal_size().columns else None


def format_record(record: Mapping[str, object]) -> Iterator[str]:
    """Lines for people: one for each value, indented ones for each record within the record."""
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            yield f"{printable(name)}:"
            yield from (f"    {line}" for line in format_record(value))
        elif records := _as_records(value):
            yield f"{printable(name)}:"
            for each in records[:_MOST_SHOWN]:
                lines = list(format_record(each)) or ["-"]
                yield f"  - {lines[0]}"
                yield from (f"    {line}" for line in lines[1:])
            if more := len(records[_MOST_SHOWN:]):
                yield f"  … and {more} more: --json shows all"
        else:
            yield f"{printable(name)}: {_format_value(value)}"


def _as_records(value: object) -> Sequence[Mapping[str, object]]:
    """The value, if it is a list of records; else an empty one."""
    is_list = isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value)
    return cast("Sequence[Mapping[str, object]]", value) if is_list else ()


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_format_value, value)) or "-"
    if isinstance(value, Mapping):
        return printable(json.dumps(value)) if value else "-"
    return printable("-" if value in (None, "") else value)


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows with the same columns, a line each, below their names.

    On a terminal that is too narrow for them, a line for each value.
    """
    if not rows:
        print_notice("tocsin-hub: the list is empty")
        return
    table = _format_table(rows)
    if sys.stdout.isatty() and max(map(terminal_width, table)) > shutil.get_terminal_size().columns:
        print_result([dict(row) for row in rows], as_json=False)
    else:
        print("\n".join(table))


def _format_table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    names = tuple(rows[0])
    cells = [tuple(_format_value(row[name]) for name in names) for row in rows]
    lines = [tuple(printable(name).upper() for name in names), *cells]
    widths = [max(map(terminal_width, column)) for column in zip(*lines, strict=True)]
    padded = (
        (
            cell + " " * (width - terminal_width(cell))
            for cell, width in zip(line, widths, strict=True)
        )
        for line in lines
    )
    return ["  ".join(line).rstrip() for line in padded]


def split_list(text: str) -> tuple[str, ...]:
    """The values of a list that commas separate."""
    return tuple(value for part in text.split(",") if (value := part.strip()))


def join_lists(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The values of an option that was given several times, each time with a list."""
    return tuple(value for values in lists for value in values)


def _parse_some(text: str) -> tuple[str, ...]:
    values = split_list(text)
    if not values:
        raise ValueError("must have at least one value")
    return values


def _parse_slug(text: str) -> str:
    check_slug(text)
    return text


def _parse_reason(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


LIST = ParsedValue("LIST", split_list)
SOME = ParsedValue("LIST", _parse_some)
"""A list that is not empty."""
SHORT_NAME = ParsedValue("SLUG", _parse_slug, (Malformed,))
"""The short name of something that is new."""
SHORT_NAME_OR_NONE = ParsedValue("SLUG", lambda text: text and _parse_slug(text), (Malformed,))
"""The same; an empty text for none."""
REASON = ParsedValue("TEXT", _parse_reason)
"""A reason that must be given."""
TLP = ParsedValue("LEVEL", Tlp.parse)
TIME = ParsedValue("TIME", parse_time, (Malformed,))
PAST_TIME = ParsedValue(
    "TIME", lambda text: parse_past_time(text, time.time_ns() // 1000), (Malformed,)
)
