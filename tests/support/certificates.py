"""Generated X.509 certificates (RFC 5280) in DER, signed with ECDSA on P-256.

Uses only the standard library, so that the TLS tests need no other program or
package.  For tests only: it is not protected against side channels.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None


def _add_points(a: Point, b: Point) -> Point:
    """Add two points of the curve; None is the point at infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % _P == 0:
        return None
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P)
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _multiply(number: int, point: Point = _G) -> Point:
    total: Point = None
    while number:
        if number & 1:
            total = _add_points(total, point)
        point, number = _add_points(point, point), number >> 1
    return total


def _sign(secret: int, octets: bytes) -> bytes:
    """Sign with ECDSA and SHA-256; return the signature in DER."""
    digest = int.from_bytes(hashlib.sha256(octets).digest())
    k = secrets.randbelow(_N - 1) + 1
    point = _multiply(k)
    assert point is not None
    r = point[0] % _N
    return _sequence(_integer(r), _integer(pow(k, -1, _N) * (digest + r * secret) % _N))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    length = bytes([size]) if size < 128 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def _oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    octets = bytearray([40 * first + second])
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(number & 127 | 128)
        octets += bytes(reversed(groups))
    return _der(0x06, bytes(octets))


def _bits(octets: bytes, unused: int = 0) -> bytes:
    return _der(0x03, bytes([unused]) + octets)


def _name(text: str) -> bytes:
    return _sequence(_der(0x31, _sequence(_oid("2.5.4.3"), _der(0x0C, text.encode()))))


def _time(moment: datetime) -> bytes:
    return _der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _sequence(_oid(oid), _der(0x01, b"\xff") if critical else b"", _der(0x04, value))


def _pem(label: str, der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


_ECDSA_SHA256 = _sequence(_oid("1.2.840.10045.4.3.2"))
_P256 = _oid("1.2.840.10045.3.1.7")
SERVER, CLIENT = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


@dataclass(frozen=True)
class Holder:
    """A certificate and its key."""

    name: str
    secret: int
    der: bytes

    @property
    def certificate(self) -> str:
        """The certificate in PEM."""
        return _pem("CERTIFICATE", self.der)

    @property
    def key(self) -> str:
        """The private key in PEM (SEC 1)."""
        octets = _der(0x04, self.secret.to_bytes(32))
        point = _der(0xA1, _bits(_point(self.secret)))
        return _pem("EC PRIVATE KEY", _sequence(_integer(1), octets, _der(0xA0, _P256), point))

    def write_pem(self, folder: Path) -> Path:
        """Write certificate and key into a file that only its owner can read."""
        return write_private_file(folder / f"{self.name}.pem", self.certificate + self.key)


@dataclass(frozen=True)
class Authority(Holder):
    """A certificate authority."""

    def issue(self, name: str, *, days: float = 30, uses: str = CLIENT) -> Holder:
        """Issue a certificate for `name`, valid for `days` from yesterday; less than 1: expired."""
        secret = secrets.randbelow(_N - 1) + 1
        addresses = _der(0x82, b"localhost") + _der(0x87, bytes([127, 0, 0, 1]))
        extensions = (
            _extension("2.5.29.37", _sequence(_oid(uses))),
            _extension("2.5.29.17", _der(0x30, addresses)),
            _extension("2.5.29.35", _sequence(_der(0x80, _key_id(self.secret)))),
        )
        return Holder(name, secret, _certificate((name, secret), self, days, extensions))

    def server(self, *, days: float = 30) -> Holder:
        """Issue a certificate for a hub on loopback; see `issue`."""
        return self.issue("hub", days=days, uses=SERVER)


def make_authority(name: str = "authority") -> Authority:
    """Create an authority with a self-signed certificate."""
    own = Authority(name, secrets.randbelow(_N - 1) + 1, b"")
    extensions = (
        _extension("2.5.29.19", _sequence(_der(0x01, b"\xff")), critical=True),
        _extension("2.5.29.15", _bits(b"\x06", 1), critical=True),
        _extension("2.5.29.14", _der(0x04, _key_id(own.secret))),
    )
    return Authority(name, own.secret, _certificate((name, own.secret), own, 365, extensions))


def write_private_file(file: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    file.touch(0o600)
    file.write_text(text)
    return file


def _point(secret: int) -> bytes:
    point = _multiply(secret)
    assert point is not None
    return b"\x04" + b"".join(each.to_bytes(32) for each in point)


def _key_id(secret: int) -> bytes:
    return hashlib.sha1(_point(secret)).digest()


def _certificate(
    subject: tuple[str, int], issuer: Holder, days: float, extensions: tuple[bytes, ...]
) -> bytes:
    name, secret = subject
    since = datetime.now(UTC) - timedelta(days=1)
    key = _sequence(_sequence(_oid("1.2.840.10045.2.1"), _P256), _bits(_point(secret)))
    body = _sequence(
        _der(0xA0, _integer(2)),
        _integer(secrets.randbits(120)),
        _ECDSA_SHA256,
        _name(issuer.name),
        _sequence(_time(since), _time(since + timedelta(days=days))),
        _name(name),
        key,
        _der(0xA3, _sequence(*extensions)),
    )
    return _sequence(body, _ECDSA_SHA256, _bits(_sign(issuer.secret, body)))
