"""`tocsin poll`: write what is new in collections to a file, standard output or a mirror."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from tocsin.admission.descriptions import count
from tocsin.admission.errors import (
    Malformed,
    NotAcceptable,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    ShareError,
    TooLarge,
    Unavailable,
    Unprocessable,
)
from tocsin.admission.output_formats import output_formats
from tocsin.admission.stix import schemas
from tocsin.admission.timestamps import timestamp
from tocsin.clients.cli.command import (
    BEGIN,
    COUNT,
    FILE,
    SECONDS,
    check_distinct,
    find_settings_file,
    with_connection_options,
    with_settings,
)
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.files import DiskFull
from tocsin.clients.http import Collection, Hub
from tocsin.clients.mirror import Mirror, MirrorChanges, MirrorOptions
from tocsin.clients.output_formats import (
    FORMATS,
    BundleOutput,
    DistinctOutput,
    LineOutput,
    open_output,
)
from tocsin.clients.poll import PollQuery, poll
from tocsin.clients.state import MemoryState, State, StateFile, cursor_key, open_state
from tocsin.clients.taxii20 import Hub20
from tocsin.clients.terminal import open_stdout, print_message, progress_bar
from tocsin.config import stdio
from tocsin.config.command_line import ParsedValue, format_examples
from tocsin.config.settings import ClientSettings

_INTERRUPTED = (
    "interrupted; with --state or --mirror what was written stays, and the next poll goes on "
    "from there"
)


_NEXT = "{}; the next poll is in {:g} s"
log = logging.getLogger(__name__)

_T = TypeVar("_T")

_MIRROR_KEEPS = (
    "a mirror keeps by itself how far it has come, and needs every version of an object to know "
    "when it ends"
)
_MIRROR_ONLY = {
    "verify": "--verify",
    "mode": "--mode",
    "dropped": "--drop",
}
_NOT_FOR_MIRRORS = {
    "output": "--output",
    "state": "--state",
    "since": "--since",
    "added_after": "--added-after",
    "matches": "--match",
}
"""With a match field, the server would not send the version that ends an object."""
_MODE_BITS = 0o666
_FIELD = re.compile("[a-z][a-z0-9_.-]{0,99}", re.ASCII | re.IGNORECASE)
_NOT_MATCHED = {
    "type": "use --type",
    "version": "a poll reads the latest version of each object",
}


_PASSING = (
    *(Unavailable, NotFound, NotAllowed, NotAuthenticated, NotAcceptable),
    *(Malformed, Unprocessable, TooLarge, DiskFull),
)
"""Errors that a server causes, or a full disk: rights may be given again, what is faulty put right,
and room be made."""


def _parse_percent(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 100:
        raise ValueError("must be a whole number from 0 to 100")
    return int(text)


def _parse_mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if mode < 0 or mode & ~_MODE_BITS or mode & 0o600 != 0o600:
        raise ValueError(
            "must be an octal mode like 644: the owner reads and writes, no one executes"
        )
    return mode


class _CollectionName(click.types.StringParamType):
    """The name of a collection; says where the names are listed if it is missing."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """See click."""
        return "`tocsin collections` lists them."


_COLLECTION = _CollectionName()


@click.command(
    "poll",
    short_help="Read collections.",
    epilog=format_examples(
        "tocsin poll green",
        "tocsin poll green --output green.jsonl --state green.state",
        "tocsin poll green --format list > block.txt",
        "tocsin poll green --state s --output all.jsonl --follow 60",
        "tocsin poll green --mirror blocklists",
        "tocsin poll green --mirror lists --format edl --format suricata",
    ),
)
@click.argument("collections", type=_COLLECTION, nargs=-1, required=True, metavar="COLLECTION...")
@click.option(
    "--format",
    "formats",
    type=click.Choice(tuple(output_formats())),
    multiple=True,
    metavar="FORMAT",
    help=(
        f"{', '.join(FORMATS)}; default: jsonl. With --mirror also "
        f"{', '.join(sorted(output_formats().keys() - set(FORMATS)))}; repeatable, default: edl."
    ),
)
@click.option(
    "--output", type=FILE, metavar="FILE", help="The file to write; - is standard output (default)."
)
@click.option(
    "--state", type=FILE, metavar="FILE", help="The file that keeps how far the poll has come."
)
@click.option(
    "--mirror",
    type=click.Path(readable=False),
    metavar="DIR",
    help="Keep files in this folder that are what the collections say now.",
)
@click.option(
    "--minimum-confidence",
    "least_confidence",
    type=ParsedValue("N", _parse_percent),
    help="With --mirror: only indicators with this confidence or more, 1 to 100; the mirror keeps "
    "it, and 0 takes it back.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="With --mirror: read everything again, to find what the server has deleted.",
)
@click.option(
    "--mode",
    type=ParsedValue("OCTAL", _parse_mode),
    help="With --mirror: the mode of its files; 644 lets other users read them. Default: 600.",
)
@click.option(
    "--drop",
    "dropped",
    multiple=True,
    metavar="URL",
    help="With --mirror: remove what collections below this URL gave; repeatable.",
)
@click.option(
    "--since",
    type=BEGIN,
    help="Begin after this time: 12h, 30d, 2026-01-31 or an RFC 3339 timestamp.",
)
@click.option("--added-after", type=BEGIN, help="The same, as TAXII names it.")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE", help="Only these STIX types; repeatable."
)
@click.option(
    "--match",
    "matches",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only objects that the server matches: spec_version=2.1; repeatable.",
)
@click.option(
    "--limit",
    type=COUNT,
    default=1000,
    show_default=True,
    help="Objects a page.",
)
@click.option(
    "--taxii",
    type=click.Choice(("2.1", "2.0")),
    default="2.1",
    show_default=True,
    help="The version that the server speaks.",
)
@click.option(
    "--follow",
    type=SECONDS,
    help="Poll at this interval until interrupted; wait for a server that is away.",
)
@with_connection_options
@with_settings
def poll_command(settings: ClientSettings, collections: tuple[str, ...], **options: Any) -> int:
    """Read collections; with --state or --mirror, only what is new since the last poll.

    COLLECTION is an id, an alias or a title. All are of one hub: for several hubs,
    give each a command with its own --url, --output and --state. They may share
    the DIR of --mirror.

    With --state, jsonl, csv and list are appended to the output; without it they
    replace it. A bundle always replaces it, and its cursor moves once it is
    complete. An interrupted poll goes on where it was; what a pipe has taken
    counts as read. One state file may serve many collections.

    A list has the values of indicators that are valid when they are read; what
    has been appended to a list stays there. The other formats have every object.

    With --mirror, DIR has a folder for each format, with files for firewalls,
    sensors and other tools. Revoked and expired indicators leave them; a file
    whose content has not changed is not touched.
    """
    query = _build_query(options)
    _check_options(options, len(collections))
    _check_files(settings, options["output"], options["state"])
    kind = Hub20 if options["taxii"] == "2.0" else Hub
    with ExitStack() as stack:
        open_it = partial(_open_destination, options, stack)
        destination = _wait(DiskFull, open_it, options["follow"])
        hub = stack.enter_context(open_hub(settings, kind))
        try:
            if isinstance(destination, Mirror):
                _mirror(hub, collections, query, destination, options)
            else:
                _write_output(hub, collections, query, destination, options)
        except KeyboardInterrupt:
            print_message(_INTERRUPTED)
            return stdio.INTERRUPTED
    return stdio.DONE


def _open_destination(options: dict[str, Any], stack: ExitStack) -> Mirror | State:
    """The mirror, else the state; opened before anything is requested."""
    if not options["mirror"]:
        return open_state(options["state"] or None)
    return stack.enter_context(Mirror(Path(options["mirror"])))


def _check_options(options: dict[str, Any], count: int) -> None:
    """Raises WrongUsage for options that do not go together."""
    mirror = options["mirror"]
    for name, word in (_NOT_FOR_MIRRORS if mirror else _MIRROR_ONLY).items():
        if options[name] and mirror:
            raise WrongUsage(f"{word} cannot be combined with --mirror; {_MIRROR_KEEPS}")
        if options[name]:
            raise WrongUsage(f"{word} needs --mirror")
    if options["least_confidence"] is not None and not mirror:
        raise WrongUsage("--minimum-confidence needs --mirror")
    formats = () if mirror else options["formats"]
    if len(formats) > 1 or set(formats) - set(FORMATS):
        raise WrongUsage(f"give one --format of {', '.join(FORMATS)}, or --mirror DIR")
    if "bundle" in formats and (options["follow"] or count > 1):
        raise WrongUsage(
            "a bundle is one document, read once from one collection; "
            "use --format jsonl, or --mirror DIR"
        )


def _check_files(settings: ClientSettings, output: str | None, state: str | None) -> None:
    """Raise WrongUsage if the output would overwrite another file of the command."""
    if output and output != "-":
        config = click.get_current_context().params["config"]
        others = (
            *(("--state", state), ("--cert", settings.cert), ("--ca", settings.ca)),
            *(
                ("the settings", find_settings_file(config)),
                ("the setting policy", settings.policy),
            ),
        )
        check_distinct("--output", output, others)
    elif state and _is_stdout(state):
        raise WrongUsage(
            f"standard output goes to {state}, which --state names too; name two files"
        )


def _is_stdout(file: str) -> bool:
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), os.stat(file))
    except OSError:  # the file does not exist, or standard output is closed
        return False


def _find_readable(hub: Hub, names: Iterable[str]) -> list[Collection]:
    """The collections of these names.  Raises NotAllowed if one may not be read."""
    return list({each.url: each for each in map(hub.find_usable, names)}.values())


def _wait(obstacle: type[ShareError], begin: Callable[[], _T], interval: float | None) -> _T:
    """The value of `begin`; with `interval`, in seconds, again as long as it meets an obstacle."""
    while True:
        try:
            return begin()
        except obstacle as error:
            if interval is None:
                raise
            print_message(_NEXT.format(error, interval))
            time.sleep(interval)


def _write_output(
    hub: Hub,
    names: Sequence[str],
    query: PollQuery,
    state: State,
    options: dict[str, Any],
) -> None:
    """Write what is new to one output."""
    collections = _wait(Unavailable, partial(_find_readable, hub, names), options["follow"])
    path = Path(options["output"]) if options["output"] not in (None, "", "-") else None
    append = isinstance(state, StateFile)
    format = (options["formats"] or ("jsonl",))[0]
    open_it = partial(open_output, format, path, open_stdout(), append=append)
    hidden = path is None and sys.stdout.isatty()
    total = 0

    with ExitStack() as stack:
        output: LineOutput | BundleOutput | None = None

        def poll_all() -> Iterator[int]:
            nonlocal total, output, state
            if output is None:
                output = stack.enter_context(closing(open_it()))
            several = len(collections)
            distinct = DistinctOutput(output, several) if several > 1 else output
            try:
                for each in collections:
                    for objects in poll(hub, each, query, distinct, state):
                        total += objects
                        yield objects
            except DiskFull:
                if output.is_replacing:  # it ends with this poll, and the next one begins anew
                    stack.close()
                    output, state, total = None, MemoryState(), 0
                raise

        _follow(poll_all, options["follow"], hidden)
    if format == "list" and (sys.stderr.isatty() or log.isEnabledFor(logging.INFO)):
        print_message(
            f"{count(total, 'object')} received; a list has only the values of indicators"
        )


def _mirror(
    hub: Hub,
    names: Sequence[str],
    query: PollQuery,
    mirror: Mirror,
    options: dict[str, Any],
) -> None:
    """Bring the files of a folder up to date.

    They are written even if the server cannot be reached, so that what has expired leaves them.
    """
    settings = MirrorOptions(options["formats"], options["least_confidence"], options["mode"])
    for url in options["dropped"]:
        mirror.drop(url)

    def poll_all() -> Iterator[int]:
        read, is_whole = mirror.verify if options["verify"] else mirror.poll, False
        try:
            collections = _find_readable(hub, names)
            sources = {cursor_key(each.url, query.filters()): each for each in collections}
            mirror.check_sources([*sources])
            mirror.name({s: c.alias or c.title or c.id for s, c in sources.items()})
            for each in collections:
                yield from read(hub, each, query)
            mirror.finish_sources([*sources])
            is_whole = True
        finally:
            changes = mirror.write(settings, is_whole=is_whole)
            _report(mirror, changes)

    _follow(poll_all, options["follow"], hidden=False)


def _report(mirror: Mirror, changes: MirrorChanges) -> None:
    """Say on a terminal, or with --verbose, what the files have; warn if they have nothing."""
    least_confidence = mirror.least_confidence
    if not (least_confidence or sys.stderr.isatty() or log.isEnabledFor(logging.INFO)):
        return
    taken, left_out = mirror.count_indicators()
    reason = f"confidence below {least_confidence}, or not stated"
    left_out_text = f", {left_out} left out: {reason}" if left_out else ""
    level = logging.INFO if taken or not left_out else logging.WARNING
    text = "%d current indicators%s; files written: %d, removed: %d"
    if level == logging.INFO and sys.stderr.isatty():
        print_message(text % (taken, left_out_text, *changes))
    else:
        log.log(level, text, taken, left_out_text, *changes)


def _build_query(options: dict[str, Any]) -> PollQuery:
    """The query; warns of types that STIX 2.1 does not define.  Raises WrongUsage."""
    begins = [options[name] for name in ("since", "added_after") if options[name] is not None]
    if len(begins) > 1:
        raise WrongUsage("--since and --added-after are one option; give one of them")
    added_after = timestamp(begins[0]) if begins else ""
    types = _split_lists(options["types"])
    for name in types:
        if name not in schemas.standard_types() and not name.startswith("x-"):
            print_message(
                f"--type: STIX 2.1 has no type {name}; it may be a custom type{_suggest_type(name)}"
            )
    matches = tuple(map(_parse_match, options["matches"]))
    return PollQuery(types=types, added_after=added_after, limit=options["limit"], matches=matches)


def _parse_match(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not equals or not value or not _FIELD.fullmatch(field):
        raise WrongUsage(f"--match: {ascii(text)} is not FIELD=VALUE, such as spec_version=2.1")
    if field in ("type", "version"):
        raise WrongUsage(f"--match {field}: {_NOT_MATCHED[field]}")
    return field, value


def _suggest_type(name: str) -> str:
    similar = get_close_matches(name, schemas.standard_types(), n=1)
    return f", or did you mean {similar[0]}?" if similar else ""


def _split_lists(values: Iterable[str]) -> tuple[str, ...]:
    """The values of an option that may be repeated, or given once with commas."""
    return tuple(part for value in values for part in value.split(",") if part)


def _follow(run_poll: Callable[[], Iterator[int]], interval: float | None, hidden: bool) -> None:
    """Poll once; with `interval`, in seconds, until interrupted.

    A server that is away and room on a full disk are waited for, also at the start.  After a poll
    that succeeded, the command is known to be right, and no answer of the server ends it.
    """
    passing: tuple[type[ShareError], ...] = (Unavailable, DiskFull)
    with progress_bar("polling", known_total=False, hidden=hidden) as progress:
        task = progress.add_task("", total=None)
        while True:
            try:
                for count in run_poll():
                    progress.advance(task, count)
                passing = _PASSING
            except passing as error:
                if interval is None:
                    raise
                print_message(_NEXT.format(error, interval))
            if interval is None:
                return
            time.sleep(interval)
