"""`tocsin login`: ask for hub and credential, try them, and keep them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from tocsin.clients.cli.command import check_distinct, with_settings
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.credentials import KeyringError, has_keyring, store_secret, write_settings
from tocsin.clients.http import Collection
from tocsin.clients.terminal import open_console, print_collections, print_message
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.loading import CLIENT_FILE, personal_file
from tocsin.config.settings import ClientSettings

_NAMES_MISSING = (
    "next: write your organisation's names and domains into that file, such as "
    'names = ["ACME Corp"] and terms = ["acme.example"]; until then, check and push do not know '
    "them, and the hub removes only those that its operator has on record"
)


@click.command(
    "login",
    short_help="Try a hub and a credential, and keep them for all commands.",
    epilog=format_examples(
        "tocsin login",
        "cat secret.txt | tocsin login --account acme --url https://hub.example/",
    ),
)
@click.option("--url", metavar="URL", help="The hub's discovery URL, or an API root's.")
@click.option("--account", metavar="NAME", help="The account, as the operator named it.")
@click.option(
    "--ca",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The CA of the hub's certificate, in PEM.",
)
@click.option(
    "--keyring/--no-keyring",
    default=None,
    help="Keep the secret in the system's keyring, or in the file. Default: the keyring if "
    "there is one and the package `keyring` is installed.",
)
@click.option(
    "--file", "to_file", type=click.Path(path_type=Path), metavar="FILE", help="The file to write."
)
@with_settings
def login_command(
    settings: ClientSettings, account: str | None, keyring: bool | None, to_file: Path | None
) -> int:
    """Try a hub and a credential, and keep them for all commands.

    Asks for what is not given, and offers the URL and the account that are in
    use; on a terminal it asks for your organisation's names too. The secret is
    read without being shown, or from standard input. The whole credential,
    `acme:…`, may be given as the account. URL and account are written to
    ~/.config/tocsin/client.toml, which only you can read then; its other lines
    stay. The secret goes into the system's keyring if there is one and the
    package `keyring` is installed, else into the same file.
    """
    if to_file:
        others = (
            ("--ca", settings.ca),
            ("the setting cert", settings.cert),
            ("the setting policy", settings.policy),
        )
        check_distinct("--file", to_file, others)
    given = click.get_current_context().params["url"] or os.environ.get("TOCSIN_URL")
    url = given or _ask("URL of the hub", settings.url)
    account, glued, secret = (account or _ask("Account", settings.account)).partition(":")
    secret = secret if glued else _ask_secret()
    tried = _check_settings(settings, url, account, secret)
    with open_hub(tried) as hub:
        url, collections = hub.url, hub.list_collections()
    file = to_file or find_login_file()
    in_keyring = _store_in_keyring(keyring, url, account, secret)
    ca = str(settings.ca.resolve()) if settings.ca else None
    write_settings(
        file,
        {
            **{"url": url, "account": account, "key": None},
            **({"keyring": True, "secret": None} if in_keyring else {"secret": secret}),
            **({} if in_keyring else {"keyring": None}),
            **({"ca": ca} if ca else {}),
        },
    )
    _report(file, account, url, collections)
    if not settings.names:
        _ask_names(file, has_terms=bool(settings.terms))
    return stdio.DONE


def _ask_names(file: Path, *, has_terms: bool) -> None:
    """Ask on a terminal for the organisation's names, and for domains without terms; keep them."""
    names, terms = [], []
    if sys.stdin.isatty():
        print_message("check and push remove your organisation's names from what you share")
        names = _ask_list("Its names, such as ACME Corp (commas between, Enter for none)")
        terms = (
            _ask_list("Its domains, such as acme.example (likewise)")
            if names and not has_terms
            else []
        )
    if names:
        write_settings(file, {"names": names, **({"terms": terms} if terms else {})})
    else:
        print_message(_NAMES_MISSING)


def _ask_list(what: str) -> list[str]:
    given = click.prompt(what, default="", show_default=False, err=True)
    return [each for each in map(str.strip, given.split(",")) if each]


def _store_in_keyring(wanted: bool | None, url: str, account: str, secret: str) -> bool:
    """Store the secret in the keyring; False if it belongs into the file.

    `wanted` is None if the user has not said.  Raises KeyringError if it is wanted and fails.
    """
    if wanted is False or (wanted is None and not has_keyring()):
        return False
    try:
        store_secret(url, account, secret)
    except KeyringError:
        if wanted:
            raise
        print_message("the keyring cannot be used; the secret is in the file")
        return False
    return True


def _check_settings(
    settings: ClientSettings, url: str, account: str, secret: str
) -> ClientSettings:
    """The settings with these values.  Raises WrongUsage if one cannot be."""
    if not account or not secret:
        raise WrongUsage(
            "an account and its secret are needed; the operator of the hub issues both"
        )
    if urlsplit(url).scheme not in ("http", "https"):
        raise WrongUsage(f"{url!a} is not a URL; give one like https://hub.example/taxii2/")
    new = {"url": url, "account": account, "secret": secret, "key": "", "keyring": False}
    try:
        return msgspec.convert(msgspec.structs.asdict(settings) | new, ClientSettings)
    except msgspec.ValidationError:
        raise WrongUsage("neither the account nor the secret may contain spaces") from None


def _ask(what: str, default: str = "") -> str:
    if not sys.stdin.isatty():
        if default:
            return default
        raise WrongUsage(
            f"{what} is missing, and without a terminal it cannot be asked; give it as an option"
        )
    return str(click.prompt(what, default=default or None, err=True)).strip()


def _ask_secret() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Secret (not shown)", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def find_login_file() -> Path:
    """The file that login writes and commands read.  Raises WrongUsage if the user has no home."""
    if named := os.environ.get(CLIENT_FILE):
        return Path(named).expanduser()
    file = personal_file(os.environ)
    if file is None:
        raise WrongUsage("neither HOME nor XDG_CONFIG_HOME is set; name one with --file")
    return file


def _report(file: Path, account: str, url: str, collections: Sequence[Collection]) -> None:
    print_message(f"{account} at {url} works")
    print_message(f"saved in {printable(file)}")
    if os.environ.get("TOCSIN_KEY"):
        print_message("the variable TOCSIN_KEY takes precedence over that file; unset it")
    if Path("client.toml").is_file() and file.resolve() != Path("client.toml").resolve():
        print_message("in this folder, ./client.toml takes precedence over that file")
    print_collections(open_console(), collections)
