"""The command `tocsin`: its commands, and the exit code of each kind of error."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from tocsin.admission.errors import (
    NotAllowed,
    NotAuthenticated,
    PolicyError,
    ShareError,
    Unavailable,
)
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.files import WrongPath
from tocsin.config import stdio
from tocsin.config.command_line import CONTEXT, EXIT_CODES, LazyGroup, format_examples, run_command
from tocsin.config.conversion import ConfigError

_COMMANDS = {
    "check": "check",
    "push": "push",
    "withdraw": "withdraw",
    "poll": "poll",
    "lookup": "lookup",
    "collect": "collect",
    "status": "status",
    "sent": "sent",
    "receipts": "receipts",
    "sighting": "sighting",
    "collections": "collections",
    "login": "login",
    "logout": "logout",
    "doctor": "doctor",
    "completion": "shell",
    "man": "shell",
}
"""The module of each command, which is loaded when the command is run."""
_SLOW_TO_START = frozenset(("check", "push"))
"""Commands that load all of admission, which takes seconds on a busy machine."""
_EXIT_CODES: dict[type[Exception], int] = {
    WrongUsage: stdio.WRONG_USAGE,
    WrongPath: stdio.WRONG_USAGE,
    ConfigError: stdio.WRONG_USAGE,
    PolicyError: stdio.WRONG_USAGE,
    Unavailable: stdio.UNAVAILABLE,
    NotAllowed: stdio.UNAVAILABLE,
    NotAuthenticated: stdio.UNAVAILABLE,
    ShareError: stdio.FAILED,
}


_LONGEST_END = 10
"""Seconds after SIGTERM in which the program removes its files and ends other processes."""
_WORDS = "tocsin.words"
"""The key in click's context of the words of the command line."""


class _Commands(LazyGroup):
    """The commands; of slow ones, a note says on a terminal that they start."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See LazyGroup."""
        with stdio.passing_note("tocsin: starting …" if cmd_name in _SLOW_TO_START else ""):
            return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        ctx.meta[_WORDS] = [*args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """See click; where an unknown option is the beginning of a file's name, a hint follows."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            named = (word for word in ctx.meta[_WORDS] if word.startswith(error.option_name))
            file = next((word for word in named if os.path.exists(word)), None)
            if file is None:
                raise
            text = f"{error.format_message()} For the file of this name, write ./{file}."
            raise click.UsageError(text, error.ctx) from error


@click.group(
    cls=_Commands,
    package="tocsin.clients.cli",
    modules=_COMMANDS,
    context_settings=CONTEXT,
    epilog="\n\n".join(
        (
            format_examples(
                "tocsin collections --url https://hub.example/taxii2/",
                "tocsin check report.txt",
                "tocsin push report.txt --to inbox --tlp green",
                "tocsin poll green --format csv --output green.csv --state green.state",
            ),
            EXIT_CODES.format(
                unavailable="the hub cannot be reached, or access was denied",
                more="\n  4    some objects failed or were not sent, others were taken",
            ),
        )
    ),
)
@click.version_option(package_name="tocsin", message="tocsin %(version)s")
def tocsin() -> None:
    """Share indicators with a Tocsin hub or any other TAXII 2.1 server, and read what
    others share.

    The hub, the key and your own terms come from the options, else from
    TOCSIN_URL, TOCSIN_KEY, TOCSIN_CERT and other variables, else from
    client.toml (--config FILE, ./client.toml, ~/.config/tocsin/client.toml),
    which `tocsin login` writes. If something does not work: tocsin doctor.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    stdio.prepare_streams()
    with _ending_in_order():
        return run_command(tocsin, "tocsin", arguments, _EXIT_CODES)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM remove temporary files and end other processes before it ends this one.

    A second one ends it at once, and SIGALRM after _LONGEST_END: the exception may come in the
    middle of a library's work and leave a lock for which the end would wait for ever.  The parent
    sees that the signal ended it: systemd takes exit code 143 for a failure, but SIGTERM not.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    end = partial(signal.raise_signal, signal.SIGTERM)

    def begin_to_end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if hasattr(signal, "setitimer"):  # not on Windows
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, _LONGEST_END)
        raise SystemExit(stdio.TERMINATED)

    atexit.register(end)  # before the commands' modules register theirs, so it is run after them
    signal.signal(signal.SIGTERM, begin_to_end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # none came
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            atexit.unregister(end)
