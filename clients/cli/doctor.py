"""`tocsin doctor`: why a hub cannot be used, and what to do."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial

import click
from rich.text import Text

from tocsin.clients.cli.command import (
    find_settings_file,
    json_option,
    with_connection_options,
    with_settings,
)
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.doctor import Diagnosis, Environment, diagnose
from tocsin.clients.terminal import open_console, print_json
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable, wrap_words
from tocsin.config.settings import ClientSettings

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


@click.command(
    "doctor",
    short_help="Find out why a hub cannot be used, and what to do.",
    epilog=format_examples("tocsin doctor", "tocsin doctor --json"),
)
@json_option
@with_connection_options
@with_settings
def doctor_command(settings: ClientSettings, as_json: bool) -> int:
    """Find out why a hub cannot be used, and what to do.

    Takes the steps of a connection one by one: settings and folders, URL, proxy,
    DNS, connection, TLS, clock, credential, rights. Nothing is sent or changed.
    The output has no secret, so it can be sent to the operator of the hub.

    With --json: a line for each step. The exit code is 1 if a step failed.
    """
    file = find_settings_file(click.get_current_context().params["config"])
    place = Environment(settings, partial(open_hub, settings), os.environ, file)
    results = []
    for result in diagnose(place):
        results.append(result)
        print_json(asdict(result)) if as_json else _print_diagnosis(result)
    failed = any(each.state == "failed" for each in results)
    return stdio.FAILED if failed else stdio.DONE


def _print_diagnosis(result: Diagnosis) -> None:
    line = Text()
    line.append(f"{result.state:8}", style=_COLOURS[result.state])
    console = open_console()
    width = console.width if console.is_terminal else 0
    said = _wrap(f"{'':8} {result.step}: {printable(result.message)}", width, 9)
    line.append(said[8:])
    console.print(line)
    if result.advice:
        console.print(Text(_wrap(f"{'':9}→ {printable(result.advice)}", width, 11)))


def _wrap(text: str, width: int, indent: int) -> str:
    """The text in lines of this width; as it is if the width is 0."""
    return wrap_words(text, width, " " * indent) if width else text
