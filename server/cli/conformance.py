"""`tocsin-hub conformance`: hands on to the conformance suite, which needs no hub of ours."""

from __future__ import annotations

import click

from tocsin.conformance import cli


@click.command(
    "conformance",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Check any TAXII 2.1 server against the standard.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def conformance_command(arguments: tuple[str, ...]) -> int:
    """Check any TAXII 2.1 server against the standard, from outside."""
    return cli.main(arguments)
