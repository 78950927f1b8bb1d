"""TLS client certificate and CA settings for one hub.

Knows no requests: `tocsin.clients.http` gives the files to it.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tocsin.admission.errors import Malformed, NotAuthenticated, ShareError, Unavailable

DEFAULT_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]
_CERTIFICATE_ALERT = re.compile(
    r" alert ((?:[a-z]+ ?)*(?:certificate|unknown ca|access denied)[a-z ]*)"
)
"""OpenSSL's text when the server rejects the client certificate."""
_OUT_OF_DATE = (9, 10)
"""OpenSSL's codes for a certificate that is not valid yet, or has expired."""
_OTHER_NAME = (62, 64)
"""OpenSSL's codes for a certificate that is not for this host name or IP address."""


class _KeyIsEncrypted(Exception):
    """OpenSSL asks for a passphrase."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files for one hub.  Another server that the hub names never sees the certificate."""

    url: str = ""
    """The hub's URL."""
    cert: Path | None = None
    """A client certificate with its private key, in PEM; None: no certificate is sent."""
    ca: Path | None = None
    """The CA certificates that the hub's certificate is checked against; None: the system's."""

    def check(self) -> None:
        """Raises Malformed if a file cannot be used, before anything is sent."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.cert is not None:
            _load_certificate(context, self.cert)
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except ssl.SSLError as error:
                raise Malformed(f"--ca: no certificate in PEM in {self.ca}") from error
            except OSError as error:
                raise Malformed(
                    f"--ca: cannot read {self.ca}: {error.strerror}; "
                    "name a file with CA certificates in PEM"
                ) from error

    def ca_for(self, url: str) -> str | None:
        """The CA file for the server at `url`; None: requests' default."""
        return str(self.ca) if self.ca and origin(url) == origin(self.url) else None

    def cert_for(self, url: str) -> str | None:
        """The certificate file for the server at `url`; None: no certificate."""
        return str(self.cert) if self.cert and origin(url) == origin(self.url) else None


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def without_secrets(url: str) -> str:
    """A URL as messages show it: without user name, password, query and fragment.

    >>> without_secrets("https://me:secret@hub.example/a/?key=secret")
    'https://hub.example/a/'
    """
    plain = re.split("[?#]", url, maxsplit=1)[0]
    scheme, slashes, rest = plain.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{place.rpartition('@')[2]}{slash}{path}"


def is_certificate_alert(error: Exception) -> bool:
    """True if the server rejects the client certificate.

    With TLS 1.3 it may do so after the handshake.
    """
    return bool(_CERTIFICATE_ALERT.search(str(error)))


def explain_tls_failure(host: str, error: Exception) -> ShareError:
    """The error for a failure of TLS with `host`; its text is a message, "; " and advice.

    An alert about a certificate concerns ours; any other failure, the server's.
    """
    if alert := _CERTIFICATE_ALERT.search(str(error)):
        return NotAuthenticated(
            f"{host} requires a client certificate that it knows ({alert[1].strip()}); "
            "give one that its operator has registered with --cert or TOCSIN_CERT"
        )
    if "WRONG_VERSION_NUMBER" in str(error):
        return Unavailable(f"{host} does not speak TLS on this port; try a URL with http://")
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
        return Unavailable(f"the TLS connection to {host} failed ({reason}); check the port")
    subject, reason = f"the certificate of {host}", error.verify_message.rstrip(".")
    if error.verify_code in _OTHER_NAME:
        return Unavailable(
            f"{subject} is for another name ({reason}); "
            "give a URL with a name that is in the certificate"
        )
    if error.verify_code in _OUT_OF_DATE:
        advice = "the operator of the hub must renew it"
    else:
        advice = "if it is from a private CA, give that CA's certificate with --ca or TOCSIN_CA"
    return Unavailable(
        f"{subject} cannot be trusted ({reason}); {advice}; check this computer's clock, too"
    )


def _load_certificate(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_cert_chain(file, password=_refuse_passphrase)
    except _KeyIsEncrypted:
        raise Malformed(
            f"--cert: the key in {file} has a passphrase; remove it, for instance with openssl pkey"
        ) from None
    except ssl.SSLError as error:
        raise Malformed(
            f"--cert: {file} must hold a certificate and its private key, both in PEM"
        ) from error
    except OSError as error:
        raise Malformed(f"--cert: cannot read {file}: {error.strerror}") from error


def _refuse_passphrase() -> str:
    raise _KeyIsEncrypted
