"""What an operator may choose.

Defaults give way to a TOML file, the file to the environment (`TOCSIN_PORT`),
the environment to the command line.  A setting that is unknown or wrong stops
start-up with its name and what would be right.  Secrets are never shown.

This package knows no other of ours and only the standard library, so that
reading settings costs nothing; `hub.toml` and `client.toml` beside it list
every setting with its default.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import (
    Field,
    dataclass,
    field,
    fields,
)
from pathlib import Path
from typing import Any

from tocsin.config.readers import (
    Reader,
    choice,
    number,
    path,
    secret,
    some_of,
    switch,
    text,
    whole,
    words,
)

TLP_WORDS = ("clear", "green", "amber", "amber+strict", "red")
CONSENTS = ("none", "usg", "everyone", "everyone-cisa-proprietary")
SCHEMES = ("basic", "bearer", "certificate")
LOG_LEVELS = ("debug", "info", "warning", "error")
HUB_FILE = "TOCSIN_HUB_CONFIG"
"""Names the hub's file where the command line does not."""
CLIENT_FILE = "TOCSIN_CLIENT_CONFIG"
"""Names the clients' file where the command line does not."""

_PREFIX = "TOCSIN_"
_OTHERS = ("TOCSIN_TEST_", "TOCSIN_BENCH_", "TOCSIN_DEMO_")
_SHIPPED_POLICY = Path(__file__).with_name("policy.toml")
_SPARE_OCTETS = 1 << 31


class ConfigError(Exception):
    """A setting is unknown or wrong; the text names it and says what would be right."""


def _by(reader: Reader) -> dict[str, Reader]:
    return {"reader": reader}


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How a hub runs."""

    data: Path = field(default=Path("tocsin-data"), metadata=_by(path()))
    """The folder of its secrets and, without `mongo_uri`, of its database."""
    mongo_uri: str = field(
        default="",
        repr=False,
        metadata=_by(secret(r"(mongodb(\+srv)?://\S+)?", "a mongodb:// URI, or empty")),
    )
    """Where MongoDB is; empty: the embedded engine is started.  May hold a password."""
    database: str = field(
        default="tocsin",
        metadata=_by(text(r"[A-Za-z0-9_-]{1,63}", "1 to 63 letters, digits, `-` or `_`")),
    )
    """The name of the database within MongoDB."""
    host: str = field(
        default="127.0.0.1", metadata=_by(text(r"\S+", "an address or host name to listen on"))
    )
    """The address to listen on."""
    port: int = field(default=8420, metadata=_by(whole(0, 65535)))
    """The port to listen on; 0: any free one."""
    tls_certificate: Path | None = field(default=None, metadata=_by(path(empty_is_none=True)))
    """The hub's certificate and its chain, in PEM; None: plain HTTP."""
    tls_key: Path | None = field(default=None, metadata=_by(path(empty_is_none=True)))
    """The key of `tls_certificate`, in PEM; None: it is in the same file."""
    tls_client_ca: Path | None = field(default=None, metadata=_by(path(empty_is_none=True)))
    """The authorities of client certificates, in PEM; None: no client is asked for one."""
    schemes: frozenset[str] = field(default=frozenset(SCHEMES), metadata=_by(some_of(*SCHEMES)))
    """How a request may prove its account."""
    public_discovery: bool = field(default=False, metadata=_by(switch()))
    """Whether the discovery document is answered without a credential."""
    threads: int = field(default=16, metadata=_by(whole(1, 1024)))
    """How many requests are answered at the same time."""
    title: str = field(default="Tocsin", metadata=_by(text(r".*\S.*", "some text")))
    """The title in the discovery document."""
    contact: str = field(default="", metadata=_by(text(r".*", "one line of text")))
    """Whom to ask, in the discovery document; empty: nobody is named."""
    max_content_length: int = field(
        default=10 * 1024 * 1024, metadata=_by(whole(1024, _SPARE_OCTETS))
    )
    """The longest request body that is taken, in octets."""
    page_default: int = field(default=100, metadata=_by(whole(1, 100_000)))
    """How many entries a page has where the reader names no limit."""
    page_cap: int = field(default=1000, metadata=_by(whole(1, 100_000)))
    """How many entries a page has at most, whatever limit the reader names."""
    interop_filters: bool = field(default=True, metadata=_by(switch()))
    """Whether the optional match filters of the interoperability document are understood."""
    requests_per_minute: int = field(default=600, metadata=_by(whole(0, 1_000_000)))
    """How often one account may ask in a minute; 0: as often as it likes."""
    inline_objects: int = field(default=200, metadata=_by(whole(0, 1_000_000)))
    """Submissions of up to so many objects are admitted inside the request."""
    policy: Path | None = field(default=None, metadata=_by(path(empty_is_none=True)))
    """The admission policy; None: the shipped one."""
    log_level: str = field(default="info", metadata=_by(choice(*LOG_LEVELS)))
    """How much is logged."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How the clients reach a hub, and what admission must know of their partner."""

    url: str = field(
        default="", metadata=_by(text(r"(https?://\S+)?", "an http:// or https:// URL, or empty"))
    )
    """The hub's discovery URL, ending in `/taxii2/`."""
    key: str = field(
        default="",
        repr=False,
        metadata=_by(secret(r"\S*", "account:secret, or the secret alone, as the hub issued it")),
    )
    """The credential: `account:secret`, or the secret alone, sent as a Bearer token."""
    cert: Path | None = field(default=None, metadata=_by(path(empty_is_none=True)))
    """A client certificate with its private key, in PEM, shown to the hub."""
    ca: Path | None = field(default=None, metadata=_by(path(empty_is_none=True)))
    """The authority that the hub's certificate is checked against; None: those of the system."""
    partner: str = field(
        default="",
        metadata=_by(
            text(r"[A-Za-z0-9._-]{0,64}", "the partner's short name at the hub, or empty")
        ),
    )
    """The partner's slug, under which the policy may have settings of its own."""
    names: tuple[str, ...] = field(default=(), metadata=_by(words()))
    """Names under which the partner is known."""
    terms: tuple[str, ...] = field(default=(), metadata=_by(words()))
    """The partner's own domains, products and networks, kept out of what is shared."""
    consent: str = field(default="none", metadata=_by(choice(*CONSENTS)))
    """Who may learn the partner's name."""
    default_tlp: str = field(default="amber", metadata=_by(choice(*TLP_WORDS)))
    """The level of what carries no TLP marking."""
    policy: Path | None = field(default=None, metadata=_by(path(empty_is_none=True)))
    """The admission policy of the preview; None: the shipped one."""
    timeout: float = field(default=30.0, metadata=_by(number(0.1, 3600)))
    """How long an answer is waited for, in seconds."""


def load_hub(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> HubSettings:
    """The hub's settings.

    `path` is the file; None: the one that $TOCSIN_HUB_CONFIG names, if any.
    `overrides` are the command line's; those that are None were not given.

    Raises ConfigError.
    """
    named = path or _named(environ, HUB_FILE)
    settings = HubSettings(**_values(HubSettings, named, environ, overrides))
    if settings.page_default > settings.page_cap:
        raise ConfigError(
            f"page_default: must not be more than page_cap, "
            f"but {settings.page_default} is more than {settings.page_cap}"
        )
    _check_tls(settings)
    return settings


def load_client(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> ClientSettings:
    """The clients' settings.

    `path` is the file; None: the one that $TOCSIN_CLIENT_CONFIG names, else
    `tocsin/client.toml` in the user's configuration folder, if it is there.
    `overrides` are the command line's; those that are None were not given.

    Raises ConfigError.
    """
    named = path or _named(environ, CLIENT_FILE) or _personal(environ)
    return ClientSettings(**_values(ClientSettings, named, environ, overrides))


def policy_text(path: Path | None = None) -> str:
    """The admission policy: the operator's file, or the shipped one.

    Raises ConfigError if it cannot be read.
    """
    return _read(path or _SHIPPED_POLICY, "policy")


def _check_tls(settings: HubSettings) -> None:
    for name in ("tls_key", "tls_client_ca"):
        if getattr(settings, name) and not settings.tls_certificate:
            raise ConfigError(f"{name}: is of no use without tls_certificate; give both")
    if settings.schemes == {"certificate"} and not settings.tls_client_ca:
        raise ConfigError(
            "schemes: nobody could come in with certificates alone; give tls_client_ca"
        )


def _values(
    kind: type[Any],
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> dict[str, Any]:
    """Every setting that some source gives, the later source in force.

    Lists add up instead: a term on the command line must not uncover the
    terms that the file protects.
    """
    known = {each.name: each for each in fields(kind)}
    values: dict[str, Any] = {}
    for source, name, raw in _given(known, file, environ, overrides):
        if name not in known:
            raise ConfigError(f"{name}: no such setting ({source}); there are {_listed(known)}")
        value = _understood(known[name], raw, source)
        if isinstance(value, Path) and file and source == str(file):
            value = file.parent / value
        if isinstance(value, tuple):
            value = tuple(dict.fromkeys((*values.get(name, ()), *value)))
        values[name] = value
    return values


def _given(
    known: Mapping[str, Field[Any]],
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> Iterator[tuple[str, str, object]]:
    """(source, name, raw value), from the weakest source to the strongest."""
    if file:
        for name, raw in _table(file).items():
            yield str(file), name, raw
    for variable, raw in _variables(environ).items():
        name = variable.removeprefix(_PREFIX).lower()
        if name in known:
            yield f"${variable}", name, raw
    for name, raw in overrides.items():
        if raw is not None:
            yield f"--{name.replace('_', '-')}", name, raw


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours of the environment's variables; hub and clients may share one environment."""
    ours = {name: raw for name, raw in environ.items() if name.startswith(_PREFIX)}
    known = {
        _PREFIX + each.name.upper() for each in (*fields(HubSettings), *fields(ClientSettings))
    }
    known |= {HUB_FILE, CLIENT_FILE}
    for name in sorted(ours):
        if name not in known and not name.startswith(_OTHERS):
            raise ConfigError(f"${name}: no such setting; there are {_listed(known)}")
    return ours


def _understood(setting: Field[Any], raw: object, source: str) -> Any:
    reader: Reader = setting.metadata["reader"]
    try:
        return reader.read(raw)
    except ValueError as error:
        said = "something else" if reader.secret else ascii(raw)
        raise ConfigError(
            f"{setting.name}: must be {reader.wants}, but {source} says {said}"
        ) from (None if reader.secret else error)


def _table(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(file, "settings"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{what}: cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what}: {file} is not UTF-8 text") from error


def _named(environ: Mapping[str, str], variable: str) -> Path | None:
    return Path(environ[variable]).expanduser() if environ.get(variable) else None


def _personal(environ: Mapping[str, str]) -> Path | None:
    """The user's own client.toml, if there is one."""
    folder = environ.get("XDG_CONFIG_HOME") or environ.get("HOME", "") + "/.config"
    file = Path(folder) / "tocsin" / "client.toml"
    return file if file.is_file() else None


def _listed(names: Mapping[str, object] | set[str]) -> str:
    return ", ".join(sorted(names))
