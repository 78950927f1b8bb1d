"""Shared by the commands of `tocsin`: settings, options, questions, counts and exit codes."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from rich.console import Console

from tocsin.admission.descriptions import count
from tocsin.admission.errors import Malformed, NotAllowed, NotAuthenticated, Unavailable
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import parse_duration, parse_past_time, timestamp
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.files import is_same_file
from tocsin.clients.terminal import (
    open_console,
    print_counts,
    print_json,
    print_message,
    print_statement,
)
from tocsin.config import stdio
from tocsin.config.command_line import ParsedValue, printable, with_options
from tocsin.config.loading import (
    CLIENT_FILE,
    describe_unread_terms,
    find_client_file,
    has_settings,
    load_client,
)
from tocsin.config.settings import ClientSettings

if TYPE_CHECKING:  # a check loads no HTTP client
    from tocsin.clients.push import PushResult
    from tocsin.clients.push_record import PushRecord

FILE = click.Path(readable=False, allow_dash=True)
"""A path that the command opens itself, so that it can say what went wrong."""
_CLOCK_DIFFERENCE = 10 * 60 * 1_000_000
"""µs by which the clock that a time comes from may be ahead of ours."""
_MOST_NAMED = 5
"""Submissions whose ids are named one by one."""
_SETTINGS = ("url", "key", "cert", "ca", "terms")
"""The settings that are options of some command."""
_LOCAL_SETTINGS = Path("client.toml")
"""The file that is read where a command runs, in place of the user's own."""


def with_settings(command: Callable[..., int]) -> Callable[..., int]:
    """Pass the clients' settings to a command, and print warnings that are logged meanwhile."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A client.toml to read.",
    )
    @click.option("--verbose", is_flag=True, help="Print more on standard error.")
    @wraps(command)
    def run(config: Path | None, verbose: bool, **arguments: Any) -> int:
        overrides = {name: arguments.pop(name, None) for name in _SETTINGS}
        overrides["terms"] = ",".join(overrides["terms"]) if overrides["terms"] else None
        with _print_warnings(logging.INFO if verbose else logging.WARNING):
            file = find_settings_file(config)
            return command(load_client(file, os.environ, overrides), **arguments)

    return run


def find_settings_file(config: Path | None) -> Path | None:
    """The client.toml that a command with this --config reads; None if there is none.

    Raises ConfigError.
    """
    if not config and not os.environ.get(CLIENT_FILE) and has_settings(_LOCAL_SETTINGS):
        return _LOCAL_SETTINGS
    return find_client_file(config, os.environ)


def warn_of_unread_terms(settings: ClientSettings) -> None:
    """Warn if ./client.toml takes the place of a file with names or terms that it does not have."""
    chosen = click.get_current_context().params["config"] or os.environ.get(CLIENT_FILE)
    if chosen or not _LOCAL_SETTINGS.is_file():
        return
    if sentence := describe_unread_terms(_LOCAL_SETTINGS, settings, os.environ):
        print_message(printable(sentence))


with_connection_options = with_options(
    click.option("--url", metavar="URL", help="The hub's discovery URL, or an API root's."),
    click.option(
        "--key",
        metavar="KEY",
        help="account:secret; with TOCSIN_KEY it is not in the list of processes.",
    ),
    click.option(
        "--cert",
        type=FILE,
        metavar="FILE",
        help="A client certificate with its private key, in PEM.",
    ),
    click.option(
        "--ca", type=FILE, metavar="FILE", help="The CA of the hub's certificate, in PEM."
    ),
)
"""Add the options that say which hub, and with which key; they become settings."""


def check_distinct(
    option: str, file: str | Path, others: Iterable[tuple[str, str | Path | None]]
) -> None:
    """Raise WrongUsage if one of the other files is the one that an option lets be written.

    `others`: pairs of an option and its file; empty or None if it is not given.
    """
    for name, other in others:
        if other and is_same_file(Path(file), Path(other)):
            raise WrongUsage(
                f"{option} and {name} name the same file, {other}, which would be overwritten; "
                "name two files"
            )


def _parse_seconds(text: str) -> float:
    message = "must be a number of seconds greater than 0"
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(message) from None
    if not 0 < seconds < 10**7:
        raise ValueError(message)
    return seconds


SECONDS = ParsedValue("SECONDS", _parse_seconds)


def with_sending_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say where objects are sent, and that nothing is asked."""
    asked = click.option("--yes", is_flag=True, help="Send without asking.")
    return with_target_options(asked(command))


with_target_options = with_options(
    click.option(
        "--to",
        default="",
        metavar="COLLECTION",
        help="The collection's id, alias or title.  [default: the only one that your key may "
        "write to]",
    ),
    click.option("--no-wait", is_flag=True, help="Do not wait for the hub's verdicts."),
    click.option(
        "--timeout",
        type=SECONDS,
        default=300.0,
        help="The longest wait for the hub's verdicts.  [default: 300 s]",
    ),
)
"""Add the options that say where objects are sent, and how long to wait for the verdicts."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:7]) < 10**6:
        raise ValueError("must be a whole number from 1 to 999999")
    return int(text)


COUNT = ParsedValue("N", _parse_count)
PAST_TIME = ParsedValue(
    "TIME", lambda text: parse_past_time(text, time.time_ns() // 1000), (Malformed,)
)
"""A duration before now, a date or an RFC 3339 timestamp, in µs since 1970 UTC."""


def _parse_begin(text: str) -> int:
    now = time.time_ns() // 1000
    begin = parse_past_time(text, now)
    if begin > now + _CLOCK_DIFFERENCE:
        raise Malformed(
            f"{timestamp(begin)} is in the future by this computer's clock, which says "
            f"{timestamp(now)}; times are in UTC"
        )
    return begin


BEGIN = ParsedValue("TIME", _parse_begin, (Malformed,))
"""As PAST_TIME; not in the future, where nothing can be."""
DURATION = ParsedValue("DURATION", parse_duration, (Malformed,))
"""A duration in µs."""
TLP = ParsedValue("LEVEL", Tlp.parse)


def is_interactive() -> bool:
    """True if there is a person to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def open_answers(files: Iterable[str]) -> Iterator[IO[str] | None]:
    """The stream on which a person answers questions; None if there is nobody to be asked.

    Where standard input is one of the files, that is the terminal itself.  Raises WrongUsage if
    a terminal shows the question, but cannot be read.
    """
    if not sys.stderr.isatty():
        yield None
    elif sys.stdin.isatty():
        yield sys.stdin
    elif "-" not in files:
        yield None
    else:
        try:
            terminal = open("/dev/tty", encoding="utf-8", errors="replace")  # noqa: SIM115
        except OSError as error:
            raise WrongUsage(
                "standard input is a file to be sent, so nobody can be asked; "
                "give --yes to send it unasked, or `tocsin check` to see it first"
            ) from error
        with terminal:
            yield terminal


def ask(question: str) -> bool:
    """Ask the user on the terminal; everything but yes is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def ask_for_word(question: str, letters: str, answers: IO[str]) -> str:
    """Ask for y, n or, if it is among the letters, a (show all); the first letter is the default.

    A terminal that is gone means no, whatever the default is.
    """
    default = letters[0]
    choices = (c.upper() if c == default else c for c in "yn")
    shown = "/".join((*choices, *(["a: show all"] if "a" in letters else [])))
    sys.stderr.write(f"{question} [{shown}] ")
    sys.stderr.flush()
    answer = answers.readline()
    if not answer:
        return "n"
    letter = answer.strip().lower()[:1]
    return default if not letter else letter if letter in letters else "n"


def print_totals(counts: dict[str, int], *, as_json: bool) -> None:
    """Print the counts at the end of `tocsin check` or, for people, `tocsin push`."""
    if as_json:
        print_json({"counts": counts})
    else:
        print_counts(open_console(), counts)


@contextmanager
def reporting_interrupt(record: PushRecord, total: int) -> Iterator[None]:
    """Say what the hub had taken of `total` objects if the user interrupts a push."""
    try:
        yield
    except KeyboardInterrupt:
        more = "" if record.taken >= total else "; one that was on its way may have arrived"
        ids = record.statuses
        print_message(
            f"the hub took {count(len(ids), 'submission')}, with {record.taken:,} of "
            f"{count(total, 'object')}{more}. "
            "To repeat the command is safe"
        )
        if ids:
            named = ", ".join(ids) if len(ids) <= _MOST_NAMED else f"{ids[0]} to {ids[-1]}"
            print_message(f"`tocsin status ID` shows the verdicts: {named}; or see `tocsin sent`")
        raise


def print_push_summary(
    pushed: Sequence[PushResult], counts: Mapping[str, int], *, as_json: bool
) -> None:
    """Print the counts and, for programs, the last status."""
    if as_json:
        reports = [part.status for part in pushed if part.status]
        last = dict(reports[-1].resource) if reports else None
        ids = [each.id for each in reports]
        print_json({"status": last, "statuses": ids, "counts": dict(counts)})
    else:
        console = open_console()
        _print_status_ids(console, [part.status.id for part in pushed if part.status])
        print_counts(console, counts)


def _print_status_ids(console: Console, ids: Sequence[str]) -> None:
    """Print how to ask for the verdicts again."""
    if len(ids) == 1:
        print_statement(console, f"`tocsin status {ids[0]}` shows the verdicts again")
    elif ids:
        shown = f"{ids[0]} to {ids[-1]}"
        print_statement(console, f"{len(ids)} statuses, {shown}: `tocsin sent` lists them")


def push_exit_code(pushed: Sequence[PushResult], counts: Mapping[str, int], *, wait: bool) -> int:
    """The exit code of the push; prints the error or the statuses that are still pending."""
    error = next((part.error for part in pushed if part.error), None)
    if error:
        print_message(str(error))
        no_access = isinstance(error, Unavailable | NotAllowed | NotAuthenticated)
        return stdio.UNAVAILABLE if no_access else stdio.FAILED
    if counts.get("pending") and wait:
        ids = [part.status.id for part in pushed if part.status and not part.status.settled]
        print_message(
            f"the hub has not decided yet; ask later with `tocsin status ID`: {', '.join(ids)}"
        )
    if withheld := counts.get("withheld"):
        print_message(
            f"{count(withheld, 'object')} not sent: held by the check; with --send-held "
            "a reviewer of the hub looks at what it holds"
        )
    return exit_code(counts, wait=wait)


_FAILURES = ("failed_files", "refused", "withheld", "unsent", "failed")
_NEUTRAL = ("received", "named")


def exit_code(counts: Mapping[str, int], *, wait: bool = True) -> int:
    """The exit code for counts by verdict: done, failed, or in part both.

    `wait`: the verdicts were waited for, so one that is still pending is a failure.
    """
    failures = (*_FAILURES, "pending") if wait else _FAILURES
    failed = sum(counts.get(word, 0) for word in failures)
    taken = sum(n for word, n in counts.items() if word not in (*failures, *_NEUTRAL))
    if not failed:
        return stdio.DONE
    return stdio.PARTLY if taken else stdio.FAILED


class _WarningPrinter(logging.Handler):
    """Prints what our own modules log; libraries log for developers."""

    def emit(self, record: logging.LogRecord) -> None:
        print_message(record.getMessage())


@contextmanager
def _print_warnings(level: int) -> Iterator[None]:
    handler = _WarningPrinter()
    handler.addFilter(logging.Filter("tocsin"))
    own, root = logging.getLogger("tocsin"), logging.getLogger()
    before = own.level
    own.setLevel(level)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        own.setLevel(before)
