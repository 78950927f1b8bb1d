"""The settings of a command, and sentences for the operator.

Imports little: `serve` starts the database engine before it imports the hub.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from tocsin.config import load_hub
from tocsin.server.processes.signals import begin_log

_SETTINGS = ("data", "mongo_uri", "host", "port", "answering_processes") + (
    "tls_certificate",
    "tls_key",
    "tls_client_ca",
)
"""The settings that are options of some command."""


def print_notice(text: str) -> None:
    """Print a sentence for the operator on standard error; nothing if its disk is full."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def with_settings(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Pass the hub's settings to a command, from its options, the environment and hub.toml."""

    @click.option(
        "--data", type=click.Path(path_type=Path), metavar="DIR", help="The data directory."
    )
    @click.option("--mongo-uri", metavar="URI", help="A MongoDB instead of the embedded engine.")
    @click.option(
        "--config", type=click.Path(path_type=Path), metavar="FILE", help="A hub.toml to read."
    )
    @wraps(command)
    def run(config: Path | None, **arguments: Any) -> int | None:
        overrides = {name: arguments.pop(name, None) for name in _SETTINGS}
        settings = load_hub(config, os.environ, overrides)
        begin_log(settings.log_level)
        return command(settings, **arguments)

    return run
