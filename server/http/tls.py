"""TLS settings of the server (TAXII 2.1 section 8.2.2), and reading of client certificates.

Version 1.2 or later; in 1.2 only suites with forward secrecy that are not on HTTP/2's block
list.  No session tickets, so no early data.

`auth.py` decides what a client certificate gives access to.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tocsin.admission.certificates import Validity, first_certificate, read_validity
from tocsin.admission.errors import Malformed
from tocsin.config.conversion import ConfigError
from tocsin.server.auth import certificate_fingerprint
from tocsin.server.processes.signals import call_at_sighup
from tocsin.server.taxii.protocols import CLIENT_CERTIFICATE, ClientCertificate

log = logging.getLogger(__name__)

_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Cipher suites of TLS 1.2; all suites of 1.3 are acceptable."""


TlsContextSource = Callable[[], ssl.SSLContext]
"""Gives the TLS context of a new connection."""


_CERTIFICATE, _PRIVATE_KEY = b"BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"
"""In the first line of a certificate, and of a private key of whichever kind, in PEM."""
_PIECE = 64 * 1024
"""Octets decrypted at once."""


class _Encrypted(Exception):
    """The private key has a passphrase."""


class TlsSession:
    """The server's side of TLS on one connection; knows octets, no socket."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_established = self.is_over = False
        """After the handshake; after the client has ended its side."""

    def receive(self, octets: bytes) -> bytes:
        """Decrypt what arrived; then there may be output to send.  Raises ssl.SSLError."""
        self._incoming.write(octets)
        plain = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self.is_established:
                self._tls.do_handshake()
                self.is_established = True
            while piece := self._tls.read(_PIECE):
                plain += piece
            self.is_over = True
        return bytes(plain)

    def encrypt(self, octets: bytes | memoryview) -> bytes:
        """Encrypt octets for the client, after the handshake."""
        self._tls.write(octets)
        return self._outgoing.read()

    def take_output(self) -> bytes:
        """Take the octets of the handshake, or of an alert, that are to be sent to the client."""
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The farewell to the client."""
        if self.is_established:
            with contextlib.suppress(ssl.SSLError):  # the client's own farewell is not awaited
                self._tls.unwrap()
        return self._outgoing.read()

    def environ(self) -> dict[str, Any]:
        """Entries of the WSGI environ, after the handshake."""
        environ: dict[str, Any] = {"wsgi.url_scheme": "https"}
        der, certificate = self._tls.getpeercert(binary_form=True), self._tls.getpeercert()
        if der and certificate:
            expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
            fingerprint = certificate_fingerprint(der)
            environ[CLIENT_CERTIFICATE] = ClientCertificate(fingerprint, expires)
        return environ


def server_context(
    certificate: Path, key: Path | None = None, client_ca: Path | None = None
) -> ssl.SSLContext:
    """The TLS context of the server, from PEM files.

    With `client_ca`, client certificates are optional; one that is not valid under those
    authorities (RFC 5280) ends the handshake.

    Raises ConfigError, naming the setting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    _load_server_certificate(context, certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        _load_client_ca(context, client_ca)
    return context


class ReloadedTls:
    """The server's TLS context for new connections, made anew from its files at each SIGHUP.

    A context in use is never changed: a connection made during the change would fail.
    """

    def __init__(self, certificate: Path, key: Path | None, client_ca: Path | None) -> None:
        """Read the files.  Raises ConfigError, naming the setting, if they are not usable."""
        self._files = certificate, key, client_ca
        self._context, self._validity = self._load()

    def __call__(self) -> ssl.SSLContext:
        """The context for a new connection."""
        return self._context

    def reload(self) -> None:
        """Read the files again.  Raises ConfigError, and changes nothing, if they are not usable.

        Neither is a certificate that is not valid now.
        """
        context, validity = self._load()
        if fault := validity.find_fault(time.time()):
            raise ConfigError(f"tls_certificate: {self._files[0]} {fault}")
        self._context, self._validity = context, validity

    @property
    def certificate_end(self) -> float:
        """The end of the certificate in use, in seconds since 1970 UTC."""
        return self._validity.end

    def find_warning(self) -> str:
        """A sentence if the certificate in use is not valid, or ends soon; else empty."""
        warning = self._validity.find_warning(time.time())
        if not warning:
            return ""
        return f"tls_certificate: {self._files[0]} {warning}: renew it and send the hub SIGHUP"

    def _load(self) -> tuple[ssl.SSLContext, Validity]:
        context, certificate = server_context(*self._files), self._files[0]
        try:
            return context, read_validity(first_certificate(certificate.read_bytes()))
        except Malformed as error:
            raise ConfigError(f"tls_certificate: {certificate}: {error}") from error


def reload_at_sighup(tls: ReloadedTls, *, is_logged: bool = True) -> None:
    """Let SIGHUP reload the files; if they are not usable, the previous context stays in use.

    The log says either, unless another process of the hub logs the same.
    """

    def reload() -> None:
        try:
            tls.reload()
            level, line = logging.INFO, "reloaded the certificate for new connections"
        except ConfigError as error:
            level = logging.ERROR
            line = f"the certificate was not reloaded, the previous one stays in use: {error}"
        if is_logged:
            log.log(level, "%s", line)

    call_at_sighup(reload)


def _load_server_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    _check_readable(certificate, "tls_certificate")
    octets = certificate.read_bytes()
    if key is None and _CERTIFICATE in octets and _PRIVATE_KEY not in octets:
        raise ConfigError(f"tls_key: is missing, and there is no private key in {certificate}")
    secret = key or certificate
    name = "tls_key" if key else "tls_certificate"
    _check_readable(secret, name)
    if stat.S_IMODE(secret.stat().st_mode) & stat.S_IROTH:
        raise ConfigError(f"{name}: every user can read the key in {secret}; run chmod 600 on it")
    _load_chain(context, certificate, secret, name)


def _load_chain(context: ssl.SSLContext, certificate: Path, secret: Path, name: str) -> None:
    try:
        context.load_cert_chain(certificate, secret, password=_no_passphrase)
    except _Encrypted:
        raise ConfigError(f"{name}: the key in {secret} has a passphrase; remove it") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{name}: {secret} is not the key of tls_certificate") from error
        raise ConfigError(
            f"tls_certificate: cannot read a certificate and its key, in PEM, from {certificate}"
            f" and {secret}"
        ) from error


def _no_passphrase() -> str:
    raise _Encrypted


def _load_client_ca(context: ssl.SSLContext, authorities: Path) -> None:
    _check_readable(authorities, "tls_client_ca")
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise ConfigError(f"tls_client_ca: no certificate in PEM in {authorities}") from error
    if not context.cert_store_stats()["x509_ca"]:
        raise ConfigError(f"tls_client_ca: no CA certificate in {authorities}")


def _check_readable(file: Path, name: str) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {file}: {error.strerror}") from error
