"""What the clients show a hub over TLS, and by what they know it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tocsin.admission.errors import Malformed

PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]


class _Encrypted(Exception):
    """A key is kept under a passphrase."""


@dataclass(frozen=True, slots=True)
class Papers:
    """For one hub only: no other server that it names is shown the certificate."""

    url: str = ""
    """The hub's."""
    cert: Path | None = None
    """A certificate with its private key, in PEM; None: none is shown."""
    ca: Path | None = None
    """The authorities that the hub's certificate is checked against; None: the system's."""

    def check(self) -> None:
        """Raises Malformed if a file is of no use, before anything is sent."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.cert is not None:
            _load(context, self.cert)
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except ssl.SSLError as error:
                raise Malformed(f"--ca: no certificate in PEM in {self.ca}") from error
            except OSError as error:
                raise Malformed(f"--ca: cannot read {self.ca}: {error.strerror}") from error

    def verify(self, url: str) -> str | None:
        """The file that the server at `url` is checked against; None: as usual."""
        return str(self.ca) if self.ca and origin(url) == origin(self.url) else None

    def shown(self, url: str) -> str | None:
        """The file with the certificate that the server at `url` is shown, if any."""
        return str(self.cert) if self.cert and origin(url) == origin(self.url) else None


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)


def _load(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_cert_chain(file, password=_no_passphrase)
    except _Encrypted:
        raise Malformed(f"--cert: the key in {file} has a passphrase; take it off") from None
    except ssl.SSLError as error:
        raise Malformed(
            f"--cert: {file} must hold a certificate and its private key, both in PEM"
        ) from error
    except OSError as error:
        raise Malformed(f"--cert: cannot read {file}: {error.strerror}") from error


def _no_passphrase() -> str:
    raise _Encrypted
