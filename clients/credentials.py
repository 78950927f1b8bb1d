"""The credential of a hub: where it comes from, and where `tocsin login` keeps it.

It is in the settings, or its secret is in the system's keyring, by way of the package `keyring`
(the extra of that name), which need not be installed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tocsin.admission.errors import ShareError
from tocsin.clients.files import PRIVATE, Replacement, UnusableFile, resolve, writing
from tocsin.config.settings import ClientSettings

SettingValue = str | bool | list[str] | None
"""A setting that is written; None removes it."""


class KeyringError(ShareError):
    """The keyring cannot be used; the text says what to do."""


def read_credential(settings: ClientSettings) -> str:
    """`account:secret`, or a secret alone; empty if the settings name none.

    Raises KeyringError.
    """
    if settings.key:
        return settings.key
    secret = settings.secret
    if settings.keyring and not secret:
        secret = load_secret(settings.url, settings.account)
    return f"{settings.account}:{secret}" if settings.account and secret else secret


def account_of(settings: ClientSettings) -> str:
    """The account's name; empty if only the hub knows whose the secret is."""
    if settings.key:
        return settings.key.partition(":")[0] if ":" in settings.key else ""
    return settings.account


def has_keyring() -> bool:
    """True if the package `keyring` is installed, and finds a keyring: servers have none."""
    return _is_installed() and import_module("keyring").get_keyring().priority > 0


def _is_installed() -> bool:
    return find_spec("keyring") is not None


def load_secret(url: str, account: str) -> str:
    """The secret that `store_secret` stored.  Raises KeyringError."""
    secret = _call_keyring("get_password", _service(url), account)
    if not isinstance(secret, str):
        raise KeyringError(
            f"the keyring has no secret of {account} at {url}; store it with `tocsin login`, "
            "or set `keyring = false` and `secret` in client.toml"
        )
    return secret


def store_secret(url: str, account: str, secret: str) -> None:
    """Store a secret in the system's keyring.  Raises KeyringError."""
    _call_keyring("set_password", _service(url), account, secret)


def remove_secret(url: str, account: str) -> bool:
    """Remove what `store_secret` stored; False if there is nothing.  Raises KeyringError."""
    try:
        if _call_keyring("get_password", _service(url), account) is None:
            return False
        _call_keyring("delete_password", _service(url), account)
    except KeyringError as error:
        raise KeyringError(
            f"the secret is still in the keyring, as {_service(url)!a}, which cannot be used now; "
            "unlock the keyring and try again, or remove it there"
        ) from error
    return True


def _service(url: str) -> str:
    return f"tocsin {url}"


def _call_keyring(name: str, *arguments: str) -> Any:
    if not _is_installed():
        raise KeyringError("the keyring needs an extra: pip install 'tocsin[keyring]'")
    try:
        return getattr(import_module("keyring"), name)(*arguments)
    except Exception as error:  # each backend has errors of its own
        reason = str(error).split(". ")[0] or type(error).__name__
        raise KeyringError(
            f"the keyring cannot be used ({reason}); "
            "store the secret in client.toml instead: tocsin login --no-keyring"
        ) from error


def write_settings(path: Path, values: Mapping[str, SettingValue]) -> None:
    """Set some settings of a client.toml, and leave its other lines as they are; None removes one.

    The file is private (mode 0600) afterwards.  Raises UnusableFile if it cannot be written, and
    leaves it as it is if it would not say the same then.
    """
    path = resolve(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with writing(path, str(path)):
        content = _change_content(path.read_bytes() if path.exists() else b"", values)
        if content is None:
            raise UnusableFile(
                f"{path} was left as it is: it is not TOML in UTF-8, or its settings are not in a "
                "line each; write these with an editor, or name another file with --file"
            )
        replacement = Replacement(path, PRIVATE)
        try:
            replacement.stream.write(content)
            replacement.finish()
        finally:
            replacement.abandon()


def _change_content(content: bytes, values: Mapping[str, SettingValue]) -> bytes | None:
    """A flat TOML file with other values; None if these are not what it would say."""
    try:
        before = content.decode("utf-8-sig")  # the mark would hide the name in the first line
        text = _replace_lines(before, values)
        changed = {**tomllib.loads(before), **values}
        expected = {name: value for name, value in changed.items() if value is not None}
        return text.encode() if tomllib.loads(text) == expected else None
    except (UnicodeError, tomllib.TOMLDecodeError):
        return None


def _replace_lines(text: str, values: Mapping[str, SettingValue]) -> str:
    """The text of a flat TOML file with other values; new ones are added at the end."""
    lines = text.splitlines()
    for name, value in values.items():
        line = "" if value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}"
        places = [n for n, each in enumerate(lines) if re.match(rf"\s*{name}\s*=", each)]
        if places:
            lines[places[0]] = line
        elif line:
            lines.append(line)
        lines = [each for n, each in enumerate(lines) if each or n not in places]
    return "\n".join(lines) + "\n"
