"""Find out why a hub cannot be used: each step of a connection, with what to do if it fails.

The steps are those that every command takes: settings, folders of this computer, URL, proxy, name,
connection, TLS, clock, credential, rights.  A step that needs a failed one is left out.
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from tocsin.admission.certificates import SOON_SECONDS, first_certificate, read_validity
from tocsin.admission.descriptions import count
from tocsin.admission.errors import ShareError
from tocsin.clients.credentials import read_credential
from tocsin.clients.http import (
    NO_RIGHTS,
    PROXY_ADVICE,
    Hub,
    find_ca_certificates,
    find_proxy,
    is_loopback,
    name_host,
    name_proxy,
    parse_proxy,
)
from tocsin.clients.push_record import state_folder
from tocsin.clients.tls import DEFAULT_PORTS, TlsFiles, explain_tls_failure, without_secrets
from tocsin.config.cache import cache_folder
from tocsin.config.loading import describe_unread_terms
from tocsin.config.settings import ClientSettings

_SECONDS = 10.0
"""The longest time for a connection."""
_MAX_SKEW = 60
"""Seconds by which the clocks may differ before that is worth a warning."""
_SET_HOME = "set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one step."""

    step: str
    state: str
    """ok, warning, failed or skipped."""
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """The computer and the settings that are examined."""

    settings: ClientSettings
    open_hub: Callable[[], Hub]
    environ: Mapping[str, str]
    file: Path | None = None
    """The settings file in use, if any."""


def diagnose(place: Environment) -> Iterator[Diagnosis]:
    """Take the steps in order; each result as soon as it is known."""
    yield from _check_local(place)
    broken = False
    for name, step in _STEPS.items():
        if broken:
            yield Diagnosis(name, "skipped", "needs a step that failed")
            continue
        for result in step(place):
            broken = broken or result.state == "failed"
            yield result


def _check_local(place: Environment) -> Iterator[Diagnosis]:
    """The files with settings and certificate, and the folders of records and caches."""
    if place.file is None:
        yield Diagnosis("settings", "ok", "no client.toml; options and variables only")
    else:
        has_secret = bool(place.settings.key or place.settings.secret)
        yield _check_mode("settings", place.file, has_secret, "with its secret")
        if sentence := describe_unread_terms(place.file, place.settings, place.environ):
            yield Diagnosis("terms", "warning", sentence, f"add them to {place.file}")
    if (cert := place.settings.cert) and cert.is_file():
        yield from _check_certificate(cert)
    yield _check_folder("record", state_folder(place.environ), place.environ)
    yield _check_folder("cache", cache_folder(place.environ), place.environ)


def _check_mode(step: str, file: Path, has_secret: bool, what: str) -> Diagnosis:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077 and has_secret:
        return Diagnosis(step, "warning", f"others can read {file}, {what}", f"chmod 600 {file}")
    return Diagnosis(step, "ok", str(file))


def _check_certificate(file: Path) -> Iterator[Diagnosis]:
    """The mode of the file with the client's own certificate, and if it is valid."""
    mode, now = _check_mode("certificate", file, True, "with its private key"), time.time()
    try:
        validity = read_validity(first_certificate(file.read_bytes()))
        fault, warning = validity.find_fault(now), validity.find_warning(now)
    except (ShareError, OSError):
        fault = warning = ""  # the step TLS says so
    if mode.state != "ok" or not warning:
        yield mode
    if warning:
        state, advice = ("failed" if fault else "warning"), "register a renewed one with the hub"
        advice += "; check this computer's clock, too" if fault else ""
        yield Diagnosis("certificate", state, f"the one in {file} {warning}", advice)


def _check_folder(name: str, folder: Path | None, environ: Mapping[str, str]) -> Diagnosis:
    if folder is None:
        return Diagnosis(name, "warning", "no folder: HOME is not set", _SET_HOME)
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        home = Path(environ.get("HOME", ""))
        is_lost = folder.is_relative_to(home) and not home.is_dir()
        advice = _SET_HOME if is_lost else f"let this user write to {existing}"
        return Diagnosis(name, "warning", f"{folder} cannot be written", advice)
    return Diagnosis(name, "ok", str(folder))


def _check_url(place: Environment) -> Iterator[Diagnosis]:
    url, shown = place.settings.url, without_secrets(place.settings.url)
    if not url:
        yield Diagnosis("URL", "failed", "no hub is named", "tocsin login, or set TOCSIN_URL")
    elif url.startswith("http:") and not is_loopback(url):
        advice = "ask the operator for an https:// URL"
        yield Diagnosis("URL", "warning", f"{shown} is not encrypted: secrets can be read", advice)
    else:
        yield Diagnosis("URL", "ok", shown)


def _check_proxy(place: Environment) -> Iterator[Diagnosis]:
    proxy = find_proxy(place.settings.url)
    try:
        shown = "through {} port {}".format(*parse_proxy(proxy)) if proxy else "none"
    except ValueError:
        message = f"{name_proxy(proxy)}: its URL cannot be read"
        yield Diagnosis("proxy", "failed", message, PROXY_ADVICE)
        return
    yield Diagnosis("proxy", "ok", shown)


def _check_name(place: Environment) -> Iterator[Diagnosis]:
    """The name of the hub or, if there is a proxy, of that."""
    proxy = find_proxy(place.settings.url)
    host, port = _find_peer(place.settings.url, proxy)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        advice = PROXY_ADVICE if proxy else "check the spelling of the URL"
        advice += ", and the name server of this computer"
        yield Diagnosis("DNS", "failed", f"{host} has no address ({error})", advice)
        return
    addresses = dict.fromkeys(str(each[4][0]) for each in found)
    shown = "not needed" if host in addresses else f"{host}: {', '.join(addresses)}"
    yield Diagnosis("DNS", "ok", shown)


def _check_connection(place: Environment) -> Iterator[Diagnosis]:
    """A connection, and with it TLS; with a proxy only the way to the proxy."""
    settings, proxy = place.settings, find_proxy(place.settings.url)
    host, port = _find_peer(settings.url, proxy)
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as plain:
            yield Diagnosis("connection", "ok", f"{host} port {port}")
            if settings.url.startswith("https:") and not proxy:
                yield _check_tls(plain, host, settings)
    except OSError as error:
        advice = "check the port and a firewall on the way, and ask the operator if the hub runs"
        shown = f"the proxy {host}" if proxy else host
        message = f"{shown} port {port}: {error}"
        yield Diagnosis("connection", "failed", message, PROXY_ADVICE if proxy else advice)


def _check_tls(plain: socket.socket, host: str, settings: ClientSettings) -> Diagnosis:
    ca = settings.ca or find_ca_certificates(settings.url)
    if not settings.ca and not ca.exists():
        advice = "correct the variable REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, or unset it"
        return Diagnosis("TLS", "failed", f"there are no CA certificates in {ca}", advice)
    try:
        TlsFiles(settings.url, settings.cert, settings.ca).check()
        folder, file = (str(ca), None) if ca.is_dir() else (None, str(ca))
        context = ssl.create_default_context(cafile=file, capath=folder)
        if settings.cert:
            context.load_cert_chain(settings.cert)
        with context.wrap_socket(plain, server_hostname=host) as secure:
            version, certificate = secure.version(), secure.getpeercert() or {}
    except (ShareError, OSError) as error:
        if isinstance(error, OSError):
            error = explain_tls_failure(name_host(settings.url), error)
        message, _, advice = str(error).partition("; ")
        return Diagnosis("TLS", "failed", message, advice)
    left = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
    days = int(left // 86_400)
    if left < SOON_SECONDS:
        advice = "tell the operator of the hub"
        return Diagnosis("TLS", "warning", f"the certificate ends in {count(days, 'day')}", advice)
    return Diagnosis("TLS", "ok", f"{version}, certificate for {days} more days")


def _check_hub(place: Environment) -> Iterator[Diagnosis]:
    """Clock, credential and rights, as a command would find them."""
    try:
        has_credential = bool(read_credential(place.settings) or place.settings.cert)
        with place.open_hub() as hub:
            yield check_clock(hub.fetch_date())
            if not has_credential:
                advice = "tocsin login, or set TOCSIN_KEY, or give --cert"
                yield Diagnosis("credential", "warning", "none", advice)
            collections = hub.list_collections()
    except ShareError as error:
        message, _, advice = str(error).partition("; ")
        yield Diagnosis("credential", "failed", message, advice)
        yield Diagnosis("rights", "skipped", "needs a step that failed")
        return
    if has_credential:
        yield Diagnosis("credential", "ok", "the hub knows it")
    reads = sum(each.can_read for each in collections)
    writes = sum(each.can_write for each in collections)
    message = f"{count(reads, 'collection')} to read, {writes} to write"
    state, advice = ("ok", "") if reads or writes else ("failed", NO_RIGHTS)
    yield Diagnosis("rights", state, message, advice)


def check_clock(date: str) -> Diagnosis:
    """Compare this computer's clock with a `Date` of the server."""
    try:
        skew = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return Diagnosis("clock", "ok", "the server does not tell the time")
    if abs(skew) <= _MAX_SKEW:
        return Diagnosis("clock", "ok", "as the server's, within a minute")
    message = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
    return Diagnosis("clock", "warning", message, "synchronise this computer's clock (NTP)")


_STEPS: Mapping[str, Callable[[Environment], Iterator[Diagnosis]]] = {
    "URL": _check_url,
    "proxy": _check_proxy,
    "DNS": _check_name,
    "connection": _check_connection,
    "credential": _check_hub,
}


def _find_peer(url: str, proxy: str) -> tuple[str, int]:
    """Host and port to which a connection is made: those of the proxy, if there is one."""
    if proxy:
        return parse_proxy(proxy)
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
