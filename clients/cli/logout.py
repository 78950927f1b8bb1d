"""`tocsin logout`: forget the secret that `tocsin login` kept."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tocsin.clients.cli.login import find_login_file
from tocsin.clients.credentials import remove_secret, write_settings
from tocsin.clients.terminal import print_message
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.loading import load_client
from tocsin.config.settings import ClientSettings

_SECRETS = ("key", "secret", "keyring")


@click.command(
    "logout",
    short_help="Remove the secret that `tocsin login` kept.",
    epilog=format_examples("tocsin logout"),
)
@click.option(
    "--file", type=click.Path(path_type=Path), metavar="FILE", help="The file that login wrote."
)
def logout_command(file: Path | None) -> int:
    """Remove the secret that `tocsin login` kept on this machine.

    It is removed from ~/.config/tocsin/client.toml, and from the system's
    keyring if it is there. The URL, the account, your names and all other lines
    stay. The hub still accepts the key: if others may know it, ask the operator
    to revoke it.
    """
    file = file or find_login_file()
    kept = load_client(file, {}, {}) if file.is_file() else ClientSettings()
    places = []
    if kept.keyring and kept.account and remove_secret(kept.url, kept.account):
        places.append("the keyring")
    if kept.key or kept.secret:
        places.append(printable(file))
    if kept.key or kept.secret or kept.keyring:
        write_settings(file, dict.fromkeys(_SECRETS))
    print_message(
        f"the secret was removed from {' and '.join(places)}; the hub still accepts it"
        if places
        else f"no secret is kept in {printable(file)}"
    )
    _name_other_places(file)
    return stdio.DONE


def _name_other_places(file: Path) -> None:
    """Say where else commands find a secret."""
    for name in ("TOCSIN_KEY", "TOCSIN_SECRET"):
        if os.environ.get(name):
            print_message(f"the variable {name} still holds one; unset it")
    local = Path("client.toml")
    if local.is_file() and file.resolve() != local.resolve():
        print_message("look into ./client.toml too: in this folder it takes precedence")
