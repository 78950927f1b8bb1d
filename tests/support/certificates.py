"""Generated X.509 certificates (RFC 5280), signed with ECDSA on P-256."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_KEY_USAGE = x509.KeyUsage(
    *(False, False, False, False, False),
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Holder:
    """A certificate and its key."""

    name: str
    private_key: ec.EllipticCurvePrivateKey
    signed: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.signed.public_bytes(Encoding.DER)

    @property
    def certificate(self) -> str:
        """The certificate in PEM."""
        return self.signed.public_bytes(Encoding.PEM).decode()

    @property
    def key(self) -> str:
        """The private key in PEM (SEC 1)."""
        form = PrivateFormat.TraditionalOpenSSL
        return self.private_key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()

    def write_pem(self, folder: Path) -> Path:
        """Write certificate and key into a file that only its owner can read."""
        return write_private_file(folder / f"{self.name}.pem", self.certificate + self.key)


@dataclass(frozen=True)
class Authority(Holder):
    """A certificate authority."""

    def issue(
        self,
        name: str,
        *,
        days: float = 30,
        uses: x509.ObjectIdentifier = CLIENT,
        hosts: Sequence[str] = ("localhost",),
        addresses: Sequence[str] = ("127.0.0.1",),
    ) -> Holder:
        """Issue a certificate for `name`, valid for `days` from yesterday; less than 1: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*map(x509.DNSName, hosts), *(x509.IPAddress(ip_address(a)) for a in addresses)]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private_key.public_key())
        builder = (
            _builder(name, key, days)
            .issuer_name(self.signed.subject)
            .add_extension(x509.ExtendedKeyUsage([uses]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(issuer, critical=False)
        )
        return Holder(name, key, builder.sign(self.private_key, SHA256()))

    def server(self, *, days: float = 30) -> Holder:
        """Issue a certificate for a hub on loopback; see `issue`."""
        return self.issue("hub", days=days, uses=SERVER)


def make_authority(name: str = "authority") -> Authority:
    """Create an authority with a self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(name, key, 365)
        .issuer_name(_name(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
        .add_extension(own_id, critical=False)
    )
    return Authority(name, key, builder.sign(key, SHA256()))


def write_private_file(file: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    file.touch(0o600)
    file.write_text(text)
    return file


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(name: str, key: ec.EllipticCurvePrivateKey, days: float) -> x509.CertificateBuilder:
    since = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
    )
