"""The settings of a command, and sentences for the operator.

Imports little: `serve` starts the database engine before it imports the hub.
"""

from __future__ import annotations

import errno
import os
import pwd
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from tocsin.admission.errors import Unavailable
from tocsin.config.loading import load_hub
from tocsin.server.processes.log import begin_log

_SETTINGS = ("data", "mongo_uri", "host", "port", "answering_processes") + (
    "tls_certificate",
    "tls_key",
    "tls_client_ca",
)
"""The settings that are options of some command."""
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


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
        "--data",
        type=click.Path(path_type=Path, readable=False),
        metavar="DIR",
        help="The data directory.",
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
        try:
            return command(settings, **arguments)
        except OSError as error:
            if error.errno in _NO_ACCESS and _is_inside(error.filename, settings.data):
                raise Unavailable(_explain_no_access(settings.data, error)) from error
            raise

    return run


def _is_inside(file: object, data: Path) -> bool:
    return isinstance(file, str | Path) and Path(file).absolute().is_relative_to(data.absolute())


def _explain_no_access(data: Path, error: OSError) -> str:
    """The sentence for a data directory that this user may not read or write."""
    message = f"{error.filename}: {error.strerror}"
    try:
        owner = data.stat().st_uid
    except OSError:  # in a folder that this user may not search
        return f"{message}; run this command as the user of the hub"
    if owner == os.geteuid():
        return f"{message}; let this user write to {data}, and to what is in it"
    return f"{message}; {data} belongs to {user_name(owner)}: run this command as that user"


def user_name(uid: int) -> str:
    """The name of a system user; `uid 1000` if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
