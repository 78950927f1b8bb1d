"""The command `tocsin`: its commands, and the exit code of each kind of error."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tocsin.admission.errors import (
    NotAllowed,
    NotAuthenticated,
    PolicyError,
    ShareError,
    Unavailable,
)
from tocsin.clients.cli.check import check_command
from tocsin.clients.cli.collect import collect_command
from tocsin.clients.cli.collections import collections_command
from tocsin.clients.cli.command import WrongUsage
from tocsin.clients.cli.doctor import doctor_command
from tocsin.clients.cli.login import login_command
from tocsin.clients.cli.poll import poll_command
from tocsin.clients.cli.push import push_command
from tocsin.clients.cli.receipts import receipts_command
from tocsin.clients.cli.sent import sent_command
from tocsin.clients.cli.shell import completion_command, man_command
from tocsin.clients.cli.sighting import sighting_command
from tocsin.clients.cli.status import status_command
from tocsin.clients.cli.withdraw import withdraw_command
from tocsin.config import ConfigError, stdio
from tocsin.config.command_line import CONTEXT, EXIT_CODES, format_examples, run_command

_COMMANDS = (
    check_command,
    push_command,
    withdraw_command,
    poll_command,
    collect_command,
    status_command,
    sent_command,
    receipts_command,
    sighting_command,
    collections_command,
    login_command,
    doctor_command,
    completion_command,
    man_command,
)
_EXIT_CODES: dict[type[Exception], int] = {
    WrongUsage: stdio.WRONG_USAGE,
    ConfigError: stdio.WRONG_USAGE,
    PolicyError: stdio.WRONG_USAGE,
    Unavailable: stdio.UNAVAILABLE,
    NotAllowed: stdio.UNAVAILABLE,
    NotAuthenticated: stdio.UNAVAILABLE,
    ShareError: stdio.FAILED,
}


class _OrderedGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they are used."""
        return list(self.commands)


@click.group(
    cls=_OrderedGroup,
    commands={str(command.name): command for command in _COMMANDS},
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
    stdio.open_missing_streams()
    return run_command(tocsin, "tocsin", arguments, _EXIT_CODES)
