"""Shared by the command lines `tocsin` and `tocsin-hub`: exit codes, values, examples.

Knows click and nothing of what the commands do.
"""

import os
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, cast

import click
from click.shell_completion import shell_complete

from tocsin.config import stdio
from tocsin.config.program import load_module

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
"""click's settings for the outermost group."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

_PIECE = 4096
_NARROWEST = 40
"""Columns below which a terminal is not considered."""

EXIT_CODES = """\
\b
Exit codes:
  0    done
  1    refused or failed
  2    wrong usage or wrong settings
  3    {unavailable}{more}
  130  interrupted
  141  the reader of the output is gone, for instance `| head`
  143  ended by SIGTERM, as `kill` and `timeout` send it
"""


def printable(text: object) -> str:
    """The text with control characters escaped: they could rewrite what a terminal shows.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return escape_unprintable(str(text), lambda c: ascii(c)[1:-1])


def escape_unprintable(text: str, escape: Callable[[str], str]) -> str:
    """The text with each character that is not printable as `escape` spells it.

    Taken in pieces, because a list of all characters takes eight times as much memory.
    """
    if len(text) <= _PIECE and text.isprintable():  # nearly always
        return text
    pieces = (text[begin : begin + _PIECE] for begin in range(0, len(text), _PIECE))
    return "".join(
        piece
        if piece.isprintable()
        else "".join(c if c.isprintable() else escape(c) for c in piece)
        for piece in pieces
    )


def terminal_width(text: str) -> int:
    """The columns that printable text takes on a terminal: two for each wide character.

    >>> terminal_width("ab"), terminal_width("香港")
    (2, 4)
    """
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.category(c) in ("Mn", "Me") for c in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def wrap_words(text: str, width: int, indent: str) -> str:
    """The text in lines of this width, with words whole and later lines indented.

    >>> wrap_words("a sentence with some words that is longer than its line", 40, "  ")
    'a sentence with some words that is\\n  longer than its line'
    """
    return textwrap.fill(
        text,
        width=max(width, _NARROWEST),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_on_stderr(text: str) -> None:
    """Print a message on standard error, on one line unless that is a terminal."""
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # not a terminal, or not a file
        width = 0
    shown = printable(text)
    print(wrap_words(shown, width, "  ") if width else shown, file=sys.stderr, flush=True)


class LazyGroup(click.Group):
    """Imports a command when it is asked for, so that each starts fast."""

    def __init__(self, package: str, modules: Mapping[str, str], **attributes: Any) -> None:
        """`modules`: the module in `package` of each command, in the order of the help."""
        super().__init__(**attributes)
        self._package, self._modules = package, modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return list(self._modules)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click; of an unknown command, the one that it resembles is named."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            similar = get_close_matches(args[0], self._modules, n=1)
            if not similar:
                raise
            text = f"{error.message} Did you mean {similar[0]!r}?"
            raise click.UsageError(text, ctx) from error

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        if cmd_name not in self._modules:
            return None
        name = f"{self._package}.{self._modules[cmd_name]}"
        module = load_module(name, f"{ctx.find_root().info_name}: interrupted\n")
        return cast(click.Command, getattr(module, f"{cmd_name}_command"))


class ParsedValue(click.ParamType[Any]):
    """The type of an option whose value `parse` reads.

    `parse` raises one of `errors` with a text that says what would be right.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str], Any],
        errors: tuple[type[Exception], ...] = (ValueError,),
    ) -> None:
        """`name` stands for the value in the help."""
        self.name = name
        self._parse = parse
        self._errors = errors

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except self._errors as error:
            self.fail(str(error), param, ctx)


def with_options(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """Decorate a command with these options, in the order of its help."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def format_examples(*lines: str) -> str:
    """The end of a command's help.  A line that begins with two spaces continues an example."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def run_command(
    command: click.Command,
    program: str,
    arguments: Sequence[str] | None,
    exit_codes: Mapping[type[Exception], int],
) -> int:
    """Run a command line and return its exit code.

    `exit_codes` are those of the errors whose text is written for the user; the first that fits
    counts.  Other exceptions are bugs and travel on.
    """
    complete = os.environ.get(f"_{program.upper().replace('-', '_')}_COMPLETE")
    if complete:
        variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
        return shell_complete(command, {}, program, variable, complete)
    try:
        return _invoke(command, program, sys.argv[1:] if arguments is None else arguments)
    except BrokenPipeError:
        stdio.discard_output()
        return stdio.PIPE_CLOSED
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return stdio.INTERRUPTED
    except tuple(exit_codes) as error:
        print_on_stderr(f"{program}: {error}")
        return next(code for kind, code in exit_codes.items() if isinstance(error, kind))
    except OSError as error:
        place = error.filename or "address, file or output"
        text = f"{error.strerror or error}: {place}"
        if place == stdio.STANDARD_OUTPUT:
            text += "; what the command has sent or changed stays so"
        print_on_stderr(f"{program}: {text}")
        stdio.discard_output()
        return stdio.FAILED


def _invoke(command: click.Command, program: str, arguments: Sequence[str]) -> int:
    try:
        with command.make_context(program, list(arguments)) as context:
            code = command.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else stdio.DONE
    except click.exceptions.Exit as end:
        sys.stdout.flush()
        return end.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return error.exit_code
