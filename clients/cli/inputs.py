"""The files that a command shares: their options, how they are read, and their preview."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.markup import escape

from tocsin.admission import parse_policy
from tocsin.admission.errors import Malformed
from tocsin.admission.model import Tlp
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.clients.check import Checker, Preview, read_unexamined
from tocsin.clients.check_processes import CheckProcesses, ExaminerSettings
from tocsin.clients.cli.command import FILE, TLP, check_distinct, find_settings_file
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.column_maps import read_column_maps, write_profile
from tocsin.clients.files import UnusableFile
from tocsin.clients.input_files import InputFile
from tocsin.clients.terminal import print_json, print_message, progress_bar
from tocsin.config.cache import load_or_build
from tocsin.config.command_line import printable
from tocsin.config.loading import policy_text
from tocsin.config.settings import ClientSettings

LARGE = 8_000_000
"""Octets of a file from which on it is not kept in memory if that can be avoided."""
LONGEST_STREAM = 2_000_000_000
"""Octets of standard input, a pipe or a device, which may have no end and are copied to the disk:
twice as many as the longest file with which a check was measured."""
FREEZE_AFTER = 10_000
"""Objects that are examined before what is kept of them is exempted from garbage collection."""

_NOTHING_FOUND = (
    "nothing to share was found in it, such as a domain, address, URL or hash; to read it as "
    "another type of file, use --as, for instance --as report.txt"
)
_TYPED = "reading standard input: paste or type, then press Enter and Ctrl-D; Ctrl-C sends nothing"
_PIECE = 1_000_000
"""Octets of a stream that are copied at once."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files to be shared, as the command line names them."""

    names: tuple[str, ...]
    """Paths; `-` is standard input."""
    form: str
    """See InputFile.form."""
    tlp: str
    """The level of objects without a TLP marking; empty: that of the settings."""
    new_ids: bool = False
    """See InputFile.new_ids."""
    labels: tuple[str, ...] = ()
    """See InputFile.labels."""
    valid_for: int = 0
    """See InputFile.valid_for."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """See InputFile.columns."""
    keep_before: bool = False
    """See InputFile.keep_before."""


def with_inputs(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of the files to be shared, and pass them to a command as `inputs`."""

    @click.argument("files", nargs=-1, metavar="FILE...", type=FILE)
    @click.option(
        "--as",
        "form",
        metavar="NAME",
        help="Read the files as if they had this name: report.txt",
    )
    @click.option(
        "--tlp",
        type=TLP,
        help="The level of objects without a TLP marking: clear, green, amber, amber+strict, red.",
    )
    @click.option(
        "--term",
        "terms",
        multiple=True,
        metavar="TERM",
        help="A name, domain or network of yours that must not be shared; separate several "
        "by commas.",
    )
    @click.option(
        "--map",
        "maps",
        multiple=True,
        metavar="COLUMN=KIND",
        help="Read a column of a table as value, name, tlp, ignored …; or a file that "
        "--save-map wrote.",
    )
    @click.option(
        "--save-map",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Save what --map says, for the next time.",
    )
    @wraps(command)
    def run(files: tuple[str, ...], form: str | None, tlp: Tlp | None, **arguments: Any) -> int:
        if not files and not arguments.get("watch"):
            raise click.MissingParameter(param_type="argument", param_hint="'FILE...'")
        if "" in files:
            raise click.BadParameter("must not be empty", param_hint="'FILE...'")
        if files.count("-") > 1:
            message = "- is standard input, which can be read only once"
            raise click.BadParameter(message, param_hint="'FILE...'")
        _check_raw(arguments)
        profile = arguments.pop("save_map")
        if profile is not None:
            read = [("FILE", each) for each in files if each != "-"]
            settings = ("the settings", find_settings_file(arguments["config"]))
            own = [(f"--{name}", arguments.get(name)) for name in ("cert", "ca")]
            check_distinct("--save-map", profile, (*read, settings, *own))
        columns = _read_columns(arguments.pop("maps"), profile)
        inputs = Inputs(files, form or "", "" if tlp is None else tlp.label, columns=columns)
        return command(inputs=inputs, **arguments)

    return run


def _check_raw(arguments: Mapping[str, Any]) -> None:
    """Raise WrongUsage if --raw goes with an option that says what must not be shared."""
    for option, name in (("--term", "terms"), ("--consent", "consent")):
        if arguments.get("raw") and arguments.get(name):
            raise WrongUsage(
                f"--raw sends objects unchecked, so {option} would have no effect: "
                "leave out one of them"
            )


def _read_columns(maps: Sequence[str], profile: Path | None) -> dict[str, str]:
    """The kinds of columns that the user gives; saved in a profile if one is named."""
    if profile is not None and not maps:  # it would replace a saved profile by an empty one
        raise WrongUsage("--save-map needs --map")
    try:
        columns = read_column_maps(maps)
        if profile is not None:
            write_profile(profile, columns)
    except Malformed as error:
        raise WrongUsage(f"--map: {error}") from error
    except OSError as error:
        raise WrongUsage(f"--save-map: {profile} cannot be written: {error.strerror}") from error
    return columns


def preview_files(
    settings: ClientSettings, inputs: Inputs, *, examine: bool = True
) -> list[Preview]:
    """The preview of each file, by all processors; without `examine`, its objects as they are."""
    typing = "-" in inputs.names and sys.stdin.isatty()
    label = "checking {task.description}"
    with (
        progress_bar(label, known_total=False, hidden=typing, prints=False) as bar,
        ExitStack() as copies,
    ):
        task = bar.add_task("", total=None)

        def read_files() -> Iterator[InputFile | Preview]:
            for name in inputs.names:
                bar.update(task, description=escape(printable(name)))
                yield _read_file(name, inputs, copies)

        if not examine:
            tlp = Tlp.parse(inputs.tlp or settings.default_tlp)
            now = time.time_ns() // 1000
            return [
                each if isinstance(each, Preview) else read_unexamined(each, now, tlp)
                for each in read_files()
            ]
        advance = freeze_between(partial(bar.advance, task))
        return _examine_files(settings, inputs.tlp, read_files(), advance)


def freeze_between(advance: Callable[[int], None]) -> Callable[[int], None]:
    """As `advance`, but exempts all objects from garbage collection from time to time.

    The results of a large file stay to the end.  To look through them again and again takes a
    third of the time, and stops the program for seconds.
    """
    passed = 0

    def advance_and_freeze(count: int) -> None:
        nonlocal passed
        passed += count
        if passed >= FREEZE_AFTER:
            passed = 0
            gc.freeze()
        advance(count)

    return advance_and_freeze


def _examine_files(
    settings: ClientSettings,
    tlp: str,
    files: Iterable[InputFile | Preview],
    advance: Callable[[int], None],
) -> list[Preview]:
    text, now = policy_text(settings.policy), time.time_ns() // 1000
    policy = parse_policy(text, settings.policy)
    checker = Checker(settings, policy, load_warning_lists(keep=load_or_build), tlp)
    shared = ExaminerSettings(text, settings.policy, checker.submitter)
    with CheckProcesses(shared) as processes:
        return [
            each if isinstance(each, Preview) else checker.preview(each, now, processes, advance)
            for each in files
        ]


def _read_file(name: str, inputs: Inputs, copies: ExitStack) -> InputFile | Preview:
    """The file; if it cannot be read, a preview with the error.

    A long standard input, pipe or device is copied to a temporary file, which lasts as long as
    `copies`.
    """
    options = (inputs.form, inputs.new_ids, inputs.labels, inputs.valid_for)
    content, path = b"", None
    try:
        if name == "-":
            if sys.stdin.isatty():
                print_message(_TYPED)
            content, path = _read_stream(sys.stdin.buffer, copies)
        elif not Path(name).is_file():
            with open(name, "rb") as stream:
                content, path = _read_stream(stream, copies)
        elif Path(name).stat().st_size >= LARGE:
            path = Path(name)
        else:
            content = Path(name).read_bytes()
    except UnusableFile as error:
        return Preview(name, error=str(error))
    except OSError as error:
        return Preview(name, error=f"cannot be read: {error.strerror}")
    return InputFile(
        name, content, *options, columns=inputs.columns, path=path, keep_before=inputs.keep_before
    )


def _read_stream(stream: BinaryIO, copies: ExitStack) -> tuple[bytes, Path | None]:
    """The content of a stream; of a long one, the path of a copy.

    Raises UnusableFile if it is longer than LONGEST_STREAM.
    """
    content = stream.read(LARGE)
    if len(content) < LARGE:
        return content, None
    with ExitStack() as own:
        copy = own.enter_context(tempfile.NamedTemporaryFile(prefix="tocsin-"))
        length = 0
        while content:
            length += copy.write(content)
            if length > LONGEST_STREAM:
                raise UnusableFile(
                    f"it has more than {LONGEST_STREAM:,} octets, the most that is read from a "
                    "pipe or a device; save it in a file and name that"
                )
            content = stream.read(_PIECE)
        copy.flush()
        copies.enter_context(own.pop_all())
    return b"", Path(copy.name)


def print_file_errors(previews: Iterable[Preview], *, as_json: bool) -> int:
    """Print each file without objects; their number."""
    failed = 0
    for preview in previews:
        if preview.count:
            continue
        failed += 1
        error = preview.error or _NOTHING_FOUND
        if as_json:
            print_json({"file": preview.file, "error": error})
        print_message(f"{preview.file}: {error}")
    return failed
