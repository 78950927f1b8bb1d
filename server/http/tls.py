"""TLS as the hub speaks it (TAXII 2.1 section 8.2.2), and the certificates of its clients.

Version 1.2 or later; at 1.2 only suites that keep the past secret and are not
on HTTP/2's block list.  No tickets are given, so there is no early data.

What a certificate opens is not decided here but in `access.py`.
"""

from __future__ import annotations

import re
import ssl
import stat
from pathlib import Path

from tocsin.admission.errors import Malformed
from tocsin.config import ConfigError

_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all fit."""
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class _Encrypted(Exception):
    """A key is kept under a passphrase."""


def server_context(
    certificate: Path, key: Path | None = None, client_ca: Path | None = None
) -> ssl.SSLContext:
    """How the hub shows itself, and with `client_ca` whom it believes.

    With it a client may show a certificate, and need not; one that is not
    valid under those authorities (RFC 5280) ends the handshake.

    Raises ConfigError, by the setting's name.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    _show(context, certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        _believe(context, client_ca)
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    _read(certificate, "tls_certificate")
    secret = key or certificate
    name = "tls_key" if key else "tls_certificate"
    _read(secret, name)
    if stat.S_IMODE(secret.stat().st_mode) & stat.S_IROTH:
        raise ConfigError(f"{name}: everybody may read the key in {secret}; chmod 600 it")
    _load(context, certificate, secret, name)


def _load(context: ssl.SSLContext, certificate: Path, secret: Path, name: str) -> None:
    try:
        context.load_cert_chain(certificate, secret, password=_no_passphrase)
    except _Encrypted:
        raise ConfigError(f"{name}: the key in {secret} has a passphrase; take it off") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{name}: is not the key of tls_certificate: {secret}") from error
        raise ConfigError(
            f"tls_certificate: no certificate and its key, in PEM, can be read from {certificate}"
            f" and {secret}"
        ) from error


def _no_passphrase() -> str:
    raise _Encrypted


def _believe(context: ssl.SSLContext, authorities: Path) -> None:
    _read(authorities, "tls_client_ca")
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise ConfigError(f"tls_client_ca: no certificate in PEM in {authorities}") from error
    if not context.cert_store_stats()["x509_ca"]:
        raise ConfigError(f"tls_client_ca: no authority's certificate in {authorities}")


def _read(file: Path, name: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {file}: {error.strerror}") from error


def first_certificate(octets: bytes) -> bytes:
    """The certificate in a file, in DER; of several in PEM the first, which is the holder's own.

    Raises Malformed if there is none.
    """
    found = _PEM.search(octets)
    try:
        der = ssl.PEM_cert_to_DER_cert(found[0].decode()) if found else octets
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ssl.SSLError, ValueError) as error:
        raise Malformed("not a certificate, neither in PEM nor in DER") from error
    return der
