"""Shared by the commands of `tocsin-hub`: settings, the open hub, the printing of results."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Tlp
from tocsin.admission.policy import SLUG
from tocsin.config import HubSettings, load_hub
from tocsin.config.command_line import ParsedValue
from tocsin.server.runtime import open_runtime

Answer = dict[str, object]
CommandResult = Answer | list[Answer]
"""The output of a command: one record, or a list of them."""


_SETTINGS = ("data", "mongo_uri", "host", "port", "tls_certificate", "tls_key", "tls_client_ca")
"""The settings that are options of some command."""


def print_notice(text: str) -> None:
    """Print a sentence for the operator on standard error."""
    print(text, file=sys.stderr, flush=True)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Pass the hub's settings to a command, from its options, the environment and hub.toml."""

    @click.option(
        "--data", type=click.Path(path_type=Path), metavar="DIR", help="The data directory."
    )
    @click.option("--mongo-uri", metavar="URI", help="A MongoDB instead of the embedded engine.")
    @click.option(
        "--config", type=click.Path(path_type=Path), metavar="FILE", help="A hub.toml to read."
    )
    @wraps(command)
    def run(config: Path | None, **arguments: Any) -> None:
        overrides = {name: arguments.pop(name, None) for name in _SETTINGS}
        settings = load_hub(config, os.environ, overrides)
        logging.basicConfig(
            level=settings.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
        command(settings, **arguments)

    return run


def with_hub(command: Callable[..., CommandResult]) -> Callable[..., None]:
    """Pass the open hub to a command, and print its result, as JSON if --json is given."""

    @with_settings
    @click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
    @wraps(command)
    def run(settings: HubSettings, /, as_json: bool, **arguments: Any) -> None:
        logging.getLogger().setLevel(logging.WARNING)
        new = not settings.mongo_uri and not settings.data.exists()
        with open_runtime(settings, lambda text: None) as hub:
            if new:
                print_notice(
                    f"tocsin-hub: {settings.data} had no hub; a new one was created there.\n"
                    "  If you meant another hub, name its data directory with --data."
                )
            result = command(hub, **arguments)
        print_result(result, as_json=as_json)

    return run


def print_result(result: CommandResult, *, as_json: bool) -> None:
    """Print a result on standard output: as JSON, or a line for each value."""
    if as_json:
        print(json.dumps(result))
        return
    if result == []:
        print_notice("tocsin-hub: the list is empty")
    for record in result if isinstance(result, list) else [result]:
        for name, value in record.items():
            shown = json.dumps(value) if isinstance(value, list | dict) else value
            print(f"{name}: {shown}")
        if isinstance(result, list):
            print()


def split_list(text: str) -> tuple[str, ...]:
    """The values of a list that commas separate."""
    return tuple(value for part in text.split(",") if (value := part.strip()))


def join_lists(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The values of an option that was given several times, each time with a list."""
    return tuple(value for values in lists for value in values)


def check_slug(text: str) -> None:
    """Raise Malformed if a short name or alias is not of the right form."""
    if not SLUG.fullmatch(text):
        raise Malformed(f"{text!r} must be 1 to 63 lower-case letters, digits or hyphens")


LIST = ParsedValue("LIST", split_list)
TLP = ParsedValue("LEVEL", Tlp.parse)
