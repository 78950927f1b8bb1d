"""Read settings: defaults, then a TOML file, then the environment, then the command line.

A later source takes precedence, but lists of the clients' own names and terms add up. An unknown
or wrong setting raises ConfigError with its name and what would be right. The values of secrets
never stand in a message.
"""

import logging
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import FieldInfo, fields

from tocsin.config.conversion import ConfigError, convert
from tocsin.config.settings import ClientSettings, HubSettings, Settings, check_together

HUB_FILE = "TOCSIN_HUB_CONFIG"
"""The variable that names the hub's file where the command line does not."""
CLIENT_FILE = "TOCSIN_CLIENT_CONFIG"
"""The variable that names the clients' file where the command line does not."""
PERSON = "TOCSIN_AS"
"""The variable that names the person who gives a command of the hub."""

_PREFIX = "TOCSIN_"
_OTHER_PREFIXES = ("TOCSIN_TEST_", "TOCSIN_BENCH_", "TOCSIN_DEMO_")
_SHIPPED_POLICY = Path(__file__).with_name("policy.toml")

_RENAMED = {"max_answer_length": "max_response_length", "answer_timeout": "response_timeout"}
"""Old names of settings of the clients, which work in this release."""

S = TypeVar("S", bound=Settings)
log = logging.getLogger(__name__)


def load_hub(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> HubSettings:
    """The hub's settings.

    `path` is the file; None: the one that $TOCSIN_HUB_CONFIG names, if any.
    `overrides` are those of the command line; None there means not given.

    Raises ConfigError.
    """
    file = path or _named_file(environ, HUB_FILE)
    settings = _load(HubSettings, file, environ, overrides)
    check_together(settings)
    _check_directory(settings.data)
    return settings


def load_client(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> ClientSettings:
    """The clients' settings.

    `path` is the file; None: the one that $TOCSIN_CLIENT_CONFIG names, else
    `tocsin/client.toml` in the user's configuration folder, if it exists.
    `overrides` are those of the command line; None there means not given.

    Raises ConfigError.
    """
    return _load(ClientSettings, find_client_file(path, environ), environ, overrides)


def find_client_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file that `load_client` reads; None if there is none.  Raises ConfigError."""
    file = path or _named_file(environ, CLIENT_FILE)
    if not file and (own := personal_file(environ)) and has_settings(own):
        file = own
    return file


def describe_unread_terms(read: Path, settings: ClientSettings, environ: Mapping[str, str]) -> str:
    """A sentence on names and terms of the user's own client.toml that these settings lack.

    `read` is the file that was read in its place.  Empty if nothing is missing, or if the user's
    own file does not exist or cannot be used.
    """
    own = personal_file(environ)
    try:
        unread = load_client(own, {}, {}) if own else ClientSettings()
    except ConfigError:
        return ""
    missing = {*unread.names, *unread.terms} - {*settings.names, *settings.terms}
    if not missing:
        return ""
    lost = f"{len(missing)} of its names and terms will not be removed"
    return f"{read} is read instead of {own}: {lost}"


def policy_text(path: Path | None = None) -> str:
    """The admission policy: the operator's file, or the shipped one.

    Raises ConfigError if it cannot be read.
    """
    return _read_file(path or _SHIPPED_POLICY, "policy")


def _check_directory(data: Path) -> None:
    if data.exists() and not data.is_dir():
        raise ConfigError(f"data: {data} is not a directory; name the hub's with --data")


def _load(
    kind: type[S],
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> S:
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {}
    for source, given, raw in _raw_values(known, file, environ, overrides):
        name = _current_name(given, known, source)
        if name not in known:
            raise ConfigError(f"{name}: unknown setting ({source}); known are {_join(known)}")
        value = convert(known[name], raw, source)
        if isinstance(value, Path) and file and source == str(file):
            value = file.parent / value
        if isinstance(value, tuple):
            # A term on the command line must not unmask the terms in the file.
            value = tuple(dict.fromkeys((*values.get(name, ()), *value)))
        values[name] = value
    return kind(**values)


def _current_name(name: str, known: Mapping[str, FieldInfo], source: str) -> str:
    """The name of a setting, or that which replaced it; warns of an old one."""
    current = _RENAMED.get(name, name)
    if current == name or current not in known:
        return name
    log.warning("%s is deprecated (%s); use %s", name, source, current)
    return current


def _raw_values(
    known: Mapping[str, FieldInfo],
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> Iterator[tuple[str, str, object]]:
    """(source, name, raw value), from the weakest source to the strongest."""
    if file:
        for name, raw in _parse_toml(file).items():
            yield str(file), name, raw
    for variable, raw in _variables(environ).items():
        name = variable.removeprefix(_PREFIX).lower()
        if _RENAMED.get(name, name) in known:
            yield f"${variable}", name, _strip_marks(raw)
    for name, value in overrides.items():
        if value is not None:
            yield f"--{name.replace('_', '-')}", name, _strip_marks(value)


def _strip_marks(raw: object) -> object:
    """The value without a byte order mark and line ends around it.

    They stay in `TOCSIN_KEY=$(cat key.txt)` if an editor of Windows wrote the file.
    """
    return raw.strip("\ufeff\r\n") if isinstance(raw, str) else raw


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of this project; hub and clients may share one environment."""
    ours = {name: raw for name, raw in environ.items() if name.startswith(_PREFIX)}
    settings = (*fields(HubSettings), *fields(ClientSettings))
    known = {f"{_PREFIX}{each.name.upper()}" for each in settings}
    known |= {HUB_FILE, CLIENT_FILE, PERSON}
    old = {f"{_PREFIX}{each.upper()}" for each in _RENAMED}
    for name in sorted(ours):
        if name not in known | old and not name.startswith(_OTHER_PREFIXES):
            raise ConfigError(f"${name}: unknown setting; known are {_join(known)}")
    return ours


def _parse_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_file(file, "settings"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error


def _read_file(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # some editors begin it with a BOM
    except OSError as error:
        raise ConfigError(f"{what}: cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what}: {file} is not UTF-8 text") from error


def _named_file(environ: Mapping[str, str], variable: str) -> Path | None:
    return Path(environ[variable]).expanduser() if environ.get(variable) else None


def personal_file(environ: Mapping[str, str]) -> Path | None:
    """The user's own client.toml, which need not exist; None if the user has no home."""
    folder = environ.get("XDG_CONFIG_HOME") or environ.get("HOME", "") + "/.config"
    return Path(folder) / "tocsin" / "client.toml" if Path(folder).is_absolute() else None


def has_settings(file: Path) -> bool:
    """True if there is a file of settings that nobody named.

    Raises ConfigError if something else has its name, or it cannot be reached: without the names
    and terms in it, the clients would share them.
    """
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not file.is_symlink():
            return False
        raise ConfigError(
            f"settings: {file} is a link that leads to no file; repair or remove it"
        ) from None
    except OSError as error:
        raise ConfigError(f"settings: cannot read {file}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"settings: {file} is not a file; remove it, or put a file there")
    return True


def _join(names: Mapping[str, object] | set[str]) -> str:
    return ", ".join(sorted(names))
