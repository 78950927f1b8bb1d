"""The command `tocsin-hub`: its groups of commands, and how a command ends.

Knows no group when it is imported: each is imported when it is asked for, so that a missing
`server` extra can be reported, and `tocsin-hub conformance` loads neither Flask nor pymongo.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

import click

from tocsin.admission.errors import PolicyError, ShareError, Unavailable
from tocsin.config import stdio
from tocsin.config.command_line import CONTEXT, EXIT_CODES, LazyGroup, format_examples, run_command
from tocsin.config.conversion import ConfigError
from tocsin.server.cli.deprecated import modernise

_COMMANDS = {
    "serve": "serve",
    "work": "serve",
    "migrate": "migrate",
    "compact": "migrate",
    "backup": "backup",
    "restore": "backup",
    "partner": "partner",
    "agreement": "agreement",
    "key": "key",
    "person": "person",
    "collection": "collection",
    "review": "review",
    "submission": "submission",
    "object": "object",
    "exclusion": "exclusion",
    "warninglist": "warninglist",
    "journal": "journal",
    "import": "medallion",
    "conformance": "conformance",
}
"""The module of each command or group, in the order of the help."""

_SERVER_EXTRA = ("argon2", "flask", "prometheus_client", "pymongo", "pyotp", "segno", "zstandard")
_MISSING_EXTRA = """\
tocsin-hub: this installation has only the clients (missing: {missing}).  Install the hub with
  pip install 'tocsin[server]'             for a MongoDB of your own
  pip install 'tocsin[server,embedded]'    with the embedded database engine"""

_EXIT_CODES = {
    ConfigError: stdio.WRONG_USAGE,
    PolicyError: stdio.WRONG_USAGE,
    Unavailable: stdio.UNAVAILABLE,
    ShareError: stdio.FAILED,
}


@click.group(
    cls=LazyGroup,
    package="tocsin.server.cli",
    modules=_COMMANDS,
    context_settings=CONTEXT,
    epilog="\n\n".join(
        (
            format_examples(
                "tocsin-hub serve",
                'tocsin-hub partner add acme --name "ACME Corp" --term acme.example',
                "tocsin-hub review list",
                "tocsin-hub collection --help",
            ),
            EXIT_CODES.format(unavailable="the database or the server cannot be reached", more=""),
        )
    ),
)
@click.version_option(package_name="tocsin", message="tocsin-hub %(version)s")
def tocsin_hub() -> None:
    """A TAXII 2.1 hub for automated indicator sharing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    stdio.prepare_streams()
    missing = [package for package in _SERVER_EXTRA if find_spec(package) is None]
    if missing:
        print(_MISSING_EXTRA.format(missing=", ".join(missing)), file=sys.stderr)
        return stdio.UNAVAILABLE
    current, notes = modernise(sys.argv[1:] if arguments is None else arguments)
    for note in notes:
        print(f"tocsin-hub: {note}", file=sys.stderr)
    return run_command(tocsin_hub, "tocsin-hub", current, _EXIT_CODES)
