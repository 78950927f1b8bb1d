"""Manual pages in the language of `man`, from what the commands say in their help.

Knows click and nothing of what the commands do.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-"})


def iterate_commands(context: click.Context) -> Iterator[click.Context]:
    """The context of a command, and those of all commands below it."""
    yield context
    for name, inner in _list_commands(context):
        yield from iterate_commands(click.Context(inner, context, info_name=name))


def page_name(context: click.Context) -> str:
    """The name of the file of a page: `tocsin-push.1`."""
    return f"{context.command_path.replace(' ', '-')}.1"


def format_page(context: click.Context) -> str:
    """The page of a command; `context` names it with the commands around it."""
    command, path = context.command, context.command_path
    name, short = path.replace(" ", "-"), command.get_short_help_str(200)
    rows = [
        f'.TH "{name.upper()}" "1" "" "Tocsin" "Tocsin"',
        ".SH NAME",
        rf"{_line(name)} \- {_line(short)}",
        ".SH SYNOPSIS",
        _line(" ".join((path, *command.collect_usage_pieces(context)))),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
        *_commands(context),
        ".SH OPTIONS",
        *_options(context),
        *_paragraphs(command.epilog or "", with_sections=True),
    ]
    return "\n".join(rows) + "\n"


def _list_commands(context: click.Context) -> Iterator[tuple[str, click.Command]]:
    command = context.command
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        inner = command.get_command(context, name) if isinstance(command, click.Group) else None
        if inner is not None and not inner.hidden:
            yield name, inner


def _commands(context: click.Context) -> Iterator[str]:
    found = list(_list_commands(context))
    if found:
        yield ".SH COMMANDS"
    for name, inner in found:
        yield from (".TP", f".B {_line(name)}", _line(inner.get_short_help_str(200)))


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield from (".TP", f".B {_line(record[0])}", _line(record[1]))


def _paragraphs(text: str, *, with_sections: bool = False) -> Iterator[str]:
    r"""Paragraphs of a help text; those after `\b` keep their lines.

    With `with_sections`, the first line of such a paragraph is the heading of a section.
    """
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            title, *rest = lines[1:]
            heading = f".SH {_line(title.rstrip(':').upper())}"
            yield from [heading] if with_sections else [".PP", _line(title)]
            yield from (".nf", *map(_line, rest), ".fi")
        elif lines:
            yield from (".PP", _line(" ".join(line.strip() for line in lines)))


def _line(text: str) -> str:
    """A line that `man` shows as it is."""
    escaped = text.translate(_ESCAPES)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
