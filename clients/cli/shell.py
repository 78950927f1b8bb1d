"""`tocsin completion` and `tocsin man`: for the shell and for `man`."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.man_pages import format_page, iterate_commands, page_name
from tocsin.config import stdio
from tocsin.config.command_line import format_examples

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    short_help="Print what lets a shell complete commands and options.",
    epilog=format_examples(
        "tocsin completion bash > ~/.local/share/bash-completion/completions/tocsin",
        "tocsin completion zsh > ~/.zfunc/_tocsin",
        "tocsin completion fish > ~/.config/fish/completions/tocsin.fish",
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> int:
    """Print what lets a shell complete commands and options.

    Write it to the file that your shell reads, and start a new shell.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise WrongUsage(f"completion does not support {shell}; name bash, zsh or fish")
    program = context.find_root()
    name = str(program.info_name)
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    click.echo(kind(program.command, {}, name, variable).source())
    return stdio.DONE


@click.command(
    "man",
    short_help="Print a manual page, or write all of them.",
    epilog=format_examples(
        "tocsin man push > tocsin-push.1",
        "tocsin man --all ~/.local/share/man/man1",
    ),
)
@click.argument("name", metavar="[COMMAND]", default="")
@click.option(
    "--all",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the pages of all commands into this folder.",
)
@click.pass_context
def man_command(context: click.Context, name: str, folder: Path | None) -> int:
    """Print the manual page of a command, or write all of them into a folder.

    If the folder is one that `man` knows, `man tocsin-push` shows the page.
    """
    pages = list(iterate_commands(context.find_root()))
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for page in pages:
            (folder / page_name(page)).write_text(format_page(page), encoding="utf-8")
        return stdio.DONE
    chosen = next((each for each in pages if each.command_path.split()[1:] == name.split()), None)
    if chosen is None:
        raise WrongUsage(f"unknown command {name!a}; `tocsin --help` lists the commands")
    click.echo(format_page(chosen), nl=False)
    return stdio.DONE
