"""The URLs of the hub and of its console, as notices, invitations and commands name them."""

from __future__ import annotations

import logging
from pathlib import Path

from tocsin.admission.certificates import first_certificate, read_names
from tocsin.admission.errors import Malformed
from tocsin.config.settings import HubSettings

log = logging.getLogger(__name__)

CONSOLE_ROOT = "/console"
"""Prefix of all paths of the console."""
_FILE = "url"
"""The file of the data directory with the URL where the hub answered last."""


def record_url(data: Path, url: str) -> None:
    """Note where this hub answers, for `tocsin-hub partner add` beside it."""
    try:
        (data / _FILE).write_text(f"{url}\n", "utf-8")
    except OSError as error:
        log.warning("cannot note the URL in %s: %s", data / _FILE, error.strerror)


def find_url(settings: HubSettings) -> str:
    """The discovery URL of the hub, for partners: below `public_url`, if that is set.

    Else the URL where the hub answers or answered last; that of the settings if none did.
    """
    if settings.public_url:
        return f"{settings.public_url.rstrip('/')}/taxii2/"
    if recorded := _read_recorded(settings.data):
        return recorded
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{find_host(settings)}:{settings.port}/taxii2/"


def find_console_url(settings: HubSettings) -> str:
    """The URL at which browsers open the console, without a slash at the end."""
    url = find_url(settings).removesuffix("/taxii2/")
    if settings.public_url:
        return url + CONSOLE_ROOT
    # Browsers let passkeys and copying work at this name, and not at an address.
    return url.replace("//127.0.0.1:", "//localhost:") + CONSOLE_ROOT


def serves_console(settings: HubSettings) -> bool:
    """True if the console is served: over TLS, or to browsers on this machine only."""
    return settings.console and (is_secure(settings) or is_loopback(settings.host))


def is_secure(settings: HubSettings) -> bool:
    """True if browsers reach the hub over TLS, its own or a proxy's."""
    return settings.public_url.startswith("https:") or settings.tls_certificate is not None


def find_host(settings: HubSettings) -> str:
    """The host to name in the URL of the hub: one that its certificate names, if it has one."""
    host = format_host(settings.host)
    if settings.tls_certificate is None:
        return host
    try:
        names = read_names(first_certificate(settings.tls_certificate.read_bytes()))
    except (Malformed, OSError):
        return host
    if host.strip("[]") in names or not names:
        return host
    if is_loopback(host) and "localhost" in names:
        return "localhost"
    return next((format_host(name) for name in names if "*" not in name), host)


def format_host(host: str) -> str:
    """The host to name in a URL."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """True for a host that only this machine reaches."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _read_recorded(data: Path) -> str:
    try:
        return (data / _FILE).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
