"""The settings of the hub and of the clients: their names, types, limits and defaults.

`hub.toml` and `client.toml` list every setting with its default. Where values come from is the
business of `loading`, which also checks them.  Settings of the clients are checked as well if a
program makes them itself; those of the hub are not, nor what they need of each other.
"""

from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from tocsin.config.conversion import SECRET, ConfigError, convert, is_secret

TlpWord = Literal["clear", "green", "amber", "amber+strict", "red"]
ConsentWord = Literal["none", "usg", "everyone", "everyone-cisa-proprietary"]
Scheme = Literal["basic", "bearer", "certificate"]
LogLevel = Literal["debug", "info", "warning", "error"]

TLP_WORDS: tuple[TlpWord, ...] = get_args(TlpWord)
CONSENTS: tuple[ConsentWord, ...] = get_args(ConsentWord)
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

Switch = Annotated[bool, Meta(description="true or false")]

_PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[0-5]?[0-9]{1,4})"
"""The pattern of a port, from 0 to 65535."""


def _text(pattern: str, description: str, *, secret: Switch = False) -> Meta:
    """Text that matches `pattern` as a whole; `description` says what would be right."""
    return Meta(
        pattern=rf"\A(?:{pattern})\Z", description=description, extra=SECRET if secret else None
    )


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that show no secret."""

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={getattr(self, field.name)!r}"
            for field in msgspec.structs.fields(self)
            if not is_secret(field)
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class HubSettings(Settings, frozen=True, kw_only=True):
    """Settings of a hub."""

    data: Path = Path("tocsin-data")
    """The folder of its secrets and, without `mongo_uri`, of its database."""
    mongo_uri: Annotated[
        str, _text(r"(mongodb(\+srv)?://\S+)?", "a mongodb:// URI, or empty", secret=True)
    ] = ""
    """The MongoDB; empty: the embedded engine is started. May hold a password."""
    database: Annotated[
        str, _text("[A-Za-z0-9_-]{1,63}", "1 to 63 letters, digits, `-` or `_`")
    ] = "tocsin"
    """The name of the database within MongoDB."""
    host: Annotated[str, _text(r"\S+", "an address or host name to listen on")] = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8420
    """The port to listen on; 0: any free one."""
    tls_certificate: Path | None = None
    """The hub's certificate and its chain, in PEM; None: plain HTTP."""
    tls_key: Path | None = None
    """The key of `tls_certificate`, in PEM; None: it is in the same file."""
    tls_client_ca: Path | None = None
    """The authorities of client certificates, in PEM; None: no client is asked for one."""
    schemes: Annotated[frozenset[Scheme], Meta(min_length=1)] = frozenset(SCHEMES)
    """Authentication schemes that requests may use."""
    public_discovery: Switch = False
    """Answer the discovery document without a credential."""
    require_agreements: Switch = False
    """A partner without any agreement on record has no access."""
    threads: Annotated[int, Meta(ge=1, le=1024)] = 16
    """Requests that a process answers at the same time."""
    answering_processes: Annotated[int, Meta(ge=-1, le=64)] = -1
    """Processes that answer requests; 0: the hub's first one; -1: by the processors."""
    connections_per_address: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """Connections of one client address; beyond them its slowest is closed."""
    unfinished_per_address: Annotated[int, Meta(ge=1, le=100_000)] = 32
    """Those among them that are in the middle of a request's head or body."""
    title: Annotated[str, _text(r".*\S.*", "a line of text that is not blank")] = "Tocsin"
    """The title in the discovery document."""
    contact: Annotated[str, _text(".*", "one line of text")] = ""
    """The contact in the discovery document; empty: none."""
    console: Switch = True
    """Serve the console, at `/console/`: over TLS, or to browsers on this machine only."""
    public_url: Annotated[
        str, _text(r"(https?://[^/\s]+/?)?", "an http:// or https:// URL without a path, or empty")
    ] = ""
    """URL at which browsers and partners reach the hub: `https://hub.example`; empty: its own."""
    forwarded_for: Switch = False
    """The proxy sets X-Forwarded-For; its last address is that of the client."""
    oidc_issuer: Annotated[
        str, _text(r"(https?://\S+)?", "an http:// or https:// URL, or empty")
    ] = ""
    """The identity provider at which people can sign in; empty: none."""
    oidc_client_id: Annotated[str, _text(r"\S*", "text without spaces")] = ""
    """This hub's name at the identity provider."""
    oidc_client_secret: Annotated[str, _text(r"\S*", "text without spaces", secret=True)] = ""
    """This hub's secret there; empty: none is needed."""
    notice_webhook: Annotated[
        str, _text(r"(https?://\S+)?", "an http:// or https:// URL, or empty", secret=True)
    ] = ""
    """URL to which notices for operators are posted as JSON; empty: none. May hold a secret."""
    smtp_host: Annotated[str, _text(r"\S*", "a host name, or empty")] = ""
    """The server that sends notices by mail; empty: none are sent."""
    smtp_port: Annotated[int, Meta(ge=1, le=65535)] = 587
    """The port of `smtp_host`."""
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption of the connection to `smtp_host`."""
    smtp_user: Annotated[str, _text(r"\S*", "text without spaces")] = ""
    """The user at `smtp_host`; empty: none is needed."""
    smtp_password: Annotated[str, _text(r".*", "one line of text", secret=True)] = ""
    """The password of `smtp_user`."""
    mail_from: Annotated[str, _text(r"(\S+@\S+)?", "a mailbox, or empty")] = ""
    """The mailbox from which notices come."""
    require_second_factor: Switch = False
    """People of the hub must have a second factor, or sign in at the identity provider."""
    four_eyes: Switch = False
    """In the console, a purge and what raises rights wait until a second operator confirms."""
    max_content_length: Annotated[int, Meta(ge=1024, le=1 << 31)] = 10 * 1024 * 1024
    """The longest request body that is accepted, in octets."""
    page_default: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Entries on a page where the reader names no limit."""
    page_cap: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    """Maximum entries on a page, even if the reader asks for more."""
    interop_filters: Switch = True
    """Understand the optional match filters of the interoperability document."""
    requests_per_minute: Annotated[int, Meta(ge=0, le=1_000_000)] = 600
    """Requests of one account in a minute; 0: no limit."""
    inline_objects: Annotated[int, Meta(ge=0, le=1_000_000)] = 200
    """Maximum objects of a submission that is evaluated inside the request."""
    inline_octets: Annotated[int, Meta(ge=0, le=1 << 31)] = 256 * 1024
    """Maximum length of a submission that is evaluated inside the request, in octets."""
    max_waiting_reviews: Annotated[int, Meta(ge=0, le=1_000_000)] = 10_000
    """Reviews of one partner that may wait; more are refused. 0: no limit."""
    admission_processes: Annotated[int, Meta(ge=-1, le=64)] = -1
    """Processes that examine queued submissions; 0: the hub's own; -1: two."""
    objects_per_day: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 1_000_000
    """Objects that a partner may submit in a day (UTC); 0: no limit."""
    octets_kept: Annotated[int, Meta(ge=0, le=1 << 50)] = 4 * 1024**3
    """Octets that a partner may submit in `retain_bodies_days`; 0: no limit."""
    queued_submissions: Annotated[int, Meta(ge=0, le=100_000)] = 200
    """Submissions of a partner that may wait to be admitted; 0: no limit."""
    retain_bodies_days: Annotated[int, Meta(ge=1, le=3650)] = 14
    """Days for which the bodies of submissions are kept, as they came."""
    retain_refused_days: Annotated[int, Meta(ge=1, le=3650)] = 1
    """The same of submissions of which nothing was taken."""
    retain_reviews_days: Annotated[int, Meta(ge=1, le=3650)] = 14
    """Days for which an object waits for a reviewer before it is refused."""
    retain_statuses_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """Days for which the status of a submission can be read."""
    retain_journal_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    """Days for which the journal is kept, and who received what; 0: always."""
    min_free_octets: Annotated[int, Meta(ge=0, le=1 << 50)] = 512 * 1024**2
    """Octets of the embedded database's disk that submissions leave free; 0: do not look."""
    metrics_address: Annotated[
        str, _text(rf"((\[[0-9A-Fa-f:.]+\]|[^\s:]+):{_PORT})?", "an address:port, or empty")
    ] = ""
    """Address that serves metrics without a credential, as `127.0.0.1:9464`; empty: none."""
    policy: Path | None = None
    """The admission policy; None: the shipped one."""
    log_level: LogLevel = "info"
    """The least severe level that is logged."""


_NEEDED = (
    ("database", "mongo_uri"),
    ("tls_key", "tls_certificate"),
    ("tls_client_ca", "tls_certificate"),
    ("forwarded_for", "console"),
    ("oidc_issuer", "oidc_client_id"),
    ("oidc_issuer", "console"),
    ("oidc_client_id", "oidc_issuer"),
    ("oidc_client_secret", "oidc_issuer"),
    ("smtp_host", "mail_from"),
    ("smtp_port", "smtp_host"),
    ("smtp_tls", "smtp_host"),
    ("smtp_user", "smtp_host"),
    ("smtp_password", "smtp_host"),
    ("mail_from", "smtp_host"),
    ("require_second_factor", "console"),
    ("four_eyes", "console"),
)
"""Settings of the hub, each with another one without which it has no effect."""


def check_together(settings: HubSettings) -> None:
    """Raise ConfigError for settings that contradict each other or have no effect without another.

    One that is set to its default counts as not set.
    """
    if settings.page_default > settings.page_cap:
        raise ConfigError(
            f"page_default: {settings.page_default} is more than page_cap ({settings.page_cap}); "
            "lower page_default or raise page_cap"
        )
    usual = HubSettings()
    for name, needed in _NEEDED:
        is_set = getattr(settings, name) != getattr(usual, name)
        if is_set and not getattr(settings, needed):
            raise ConfigError(f"{name}: has no effect without {needed}; set that too")
    if settings.schemes == {"certificate"} and not settings.tls_client_ca:
        raise ConfigError(
            "schemes: with certificates alone nobody could log in without tls_client_ca; set that"
        )


class ClientSettings(Settings, frozen=True, kw_only=True):
    """Settings of the clients: the hub, and the facts that admission must know of their partner.

    Values are converted as those of a file are: a text is one name or term, or several with commas.
    Raises ConfigError if a value is wrong.
    """

    url: Annotated[str, _text(r"(https?://\S+)?", "an http:// or https:// URL, or empty")] = ""
    """The hub's discovery URL, ending in `/taxii2/`."""
    key: Annotated[
        str,
        _text(r"\S*", "account:secret, or the secret alone, as the hub issued it", secret=True),
    ] = ""
    """The credential: `account:secret`, or the secret alone, sent as a Bearer token.

    It takes precedence over `account` and `secret`."""
    account: Annotated[str, _text(r"[^\s:]*", "the account's name, without `:`, or empty")] = ""
    """The account; with `secret`, in place of `key`."""
    secret: Annotated[str, _text(r"\S*", "the account's secret, or empty", secret=True)] = ""
    """The secret of `account`."""
    keyring: Switch = False
    """Take the secret of `account` from the system's keyring, where `tocsin login` put it."""
    cert: Path | None = None
    """A client certificate with its private key, in PEM."""
    ca: Path | None = None
    """The authority of the hub's certificate; None: those of the system."""
    partner: Annotated[
        str, _text("[A-Za-z0-9._-]{0,64}", "the partner's short name at the hub, or empty")
    ] = ""
    """The partner's slug, under which the policy may have settings of its own."""
    names: tuple[str, ...] = ()
    """Names under which the partner is known."""
    terms: tuple[str, ...] = ()
    """The partner's own domains, products and networks, masked in what is shared."""
    consent: ConsentWord = "none"
    """The readers who may learn the partner's name."""
    default_tlp: TlpWord = "amber"
    """The level of objects without a TLP marking."""
    record_pushes: Switch = True
    """Keep a record of pushes on this computer, for `tocsin status` and `tocsin sent`."""
    policy: Path | None = None
    """The admission policy of the preview; None: the shipped one."""
    timeout: Annotated[float, Meta(ge=0.1, le=3600)] = 30.0
    """Seconds that a server may be silent within a request or its response."""
    response_timeout: Annotated[float, Meta(ge=0.1, le=86_400)] = 300.0
    """Maximum seconds for sending a request and reading its whole response."""
    max_response_length: Annotated[int, Meta(ge=65_536, le=1 << 31)] = 16 * 1024 * 1024
    """The longest page that is read, in octets after decompression; a status may be four times as
    long."""

    def __post_init__(self) -> None:
        """Convert and check what was given."""
        for field in msgspec.structs.fields(self):
            checked = convert(field, getattr(self, field.name), type(self).__name__)
            msgspec.structs.force_setattr(self, field.name, checked)
