"""What tables and MISP events mean by their words: kinds of threat, values that are declared."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tocsin.admission.extraction.decode import words
from tocsin.admission.observables.domain_names import parse_host_name
from tocsin.admission.observables.ioc_types import IocType, RecognisedIoc, recognise_ioc

_MALICIOUS = words(
    "malicious malware phishing smishing c2 c&c cnc botnet ransomware scam spam stealer"
    " infostealer trojan exploit"
)
_VOCABULARY = words(
    "anomalous-activity anonymization benign compromised malicious-activity attribution unknown"
)
_TYPES: dict[str, str] = {
    **dict.fromkeys(_MALICIOUS, "malicious-activity"),
    **dict.fromkeys(("suspicious", "anomalous", "scanner"), "anomalous-activity"),
    **dict.fromkeys(("tor", "proxy", "vpn", "anonymizer", "anonymiser"), "anonymization"),
    **dict.fromkeys(("benign", "legitimate", "clean", "harmless"), "benign"),
    **{word: word for word in _VOCABULARY},
}
"""What a word says in STIX's open vocabulary of indicator types (STIX 2.1 section 10.13)."""

_UNTAKEN = words(
    "filename filepath filepathname path process processname registry registrykey regkey mutex"
    " imphash ssdeep tlsh ja3 ja3s jarm authentihash vhash thumbprint certificate serial"
    " codesigningcertificate certificatethumbprint commandline cmd cve btc wallet bitcoin"
    " useragent yara sigma snort asn pdb pdbpath service scheduledtask urlpath"
    " dateiname dateipfad pfad nomdefichier fichier chemin archivo nombredearchivo ruta"
)
_OF_CERTIFICATES = re.compile(
    r"(?!.*(?:serial|subject|issuer|name)).*(?:cert|x509|thumbprint)", re.DOTALL
)
_NOT_OF_FILES = re.compile(r"cert|x509|thumbprint|fingerprint|imphash|ssdeep|tlsh|ja3|jarm|serial")
"""In the name of a kind: a hash, but not of a file."""
_ALGORITHMS = {IocType.MD5: "MD5", IocType.SHA1: "SHA-1", IocType.SHA256: "SHA-256"}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a certificate."""

    value: str
    algorithm: str
    """As STIX calls it: `SHA-1`."""

    @property
    def pattern(self) -> str:
        """The STIX pattern that matches the certificate."""
        return f"[x509-certificate:hashes.'{self.algorithm}' = '{self.value}']"


def fingerprint(plain: str, *, md5: bool = False) -> Fingerprint | None:
    """The fingerprint that a value is, with colons between its digits or without.

    Serial numbers are written likewise and mostly as long as an MD5, so that must be meant.

    >>> fingerprint("D4:1D:8C:D9:8F:00:B2:04:E9:80:09:98:EC:F8:42:7E", md5=True).algorithm
    'MD5'
    """
    found = recognise_ioc(re.sub(r"(?<=[0-9A-Fa-f]{2})[: ](?=[0-9A-Fa-f]{2})", "", plain[:200]))
    algorithm = _ALGORITHMS.get(found.kind) if found else None
    if found is None or algorithm is None or (found.kind is IocType.MD5 and not md5):
        return None
    return Fingerprint(found.value, algorithm)


@lru_cache(maxsize=256)  # the rows of a table declare a few kinds over and over
def of_certificates(declared: str) -> bool:
    """Whether values of a declared kind are fingerprints of certificates."""
    return _OF_CERTIFICATES.match(declared) is not None


@lru_cache(maxsize=256)
def untaken(declared: str) -> bool:
    """Whether no indicator is made of values of a declared kind."""
    return declared in _UNTAKEN or _NOT_OF_FILES.search(declared) is not None


def types_of(labels: Sequence[str]) -> tuple[str, ...]:
    """The types of indicator that labels in lower case speak of, each once."""
    return tuple(dict.fromkeys(_TYPES[each] for each in labels if each in _TYPES))


def without_types(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that say more than a type of indicator."""
    return tuple(each for each in labels if each not in _TYPES.values())


def read_as(plain: str, *, host: bool) -> RecognisedIoc | None:
    """What a refanged value is that somebody declares to be one; `host` if he says a host."""
    found = recognise_ioc(plain)
    if found is None and host and (name := parse_host_name(plain)):
        return RecognisedIoc(IocType.DOMAIN, name)
    if found is None and "/" in plain and "://" not in plain:
        return recognise_ioc("http://" + plain)
    if found is None and not plain.isascii():
        return recognise_ioc(plain.strip("\u200e\u200f\u2060\ufeff"))
    return found
