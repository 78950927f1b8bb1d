"""What an attribute of MISP says by its type and value, as patterns.

A value that CSV and text know is read as they read it, so that one indicator
comes of it whatever the file: a port number falls away, and of a file name
with a hash only the hash is matched on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.decode import words
from tocsin.admission.extraction.vocabulary import read_as
from tocsin.admission.observables.ioc_types import IocType
from tocsin.admission.observables.refang import join_spaced, refang
from tocsin.admission.patterns.grammar import quote_string

HASHES = words(
    "md5 sha1 sha224 sha256 sha384 sha512 sha512/224 sha512/256 sha3-224 sha3-256 sha3-384"
    " sha3-512 ssdeep tlsh imphash authentihash pehash impfuzzy vhash telfhash cdhash"
)
"""The types that are a hash of a file, alone or behind `filename|`."""

_PRIVATE = re.compile(
    r"target-.*|(?:first|middle|last|full)-name|date-of-birth|place-of-birth|gender|nationality"
    r"|passport-.*|redress-number|payment-details|visa-number|issue-date-of-the-visa"
    r"|primary-residence|country-of-residence|special-service-request|frequent-flyer-number"
    r"|travel-details|place-port-of-.*|passenger-name-record-.*|identity-card-number|phone-number"
    r"|whois-registrant-.*|prtn|bank-account-nr|bic|aba-rtn|bin|cc-number|iban"
    r"|email-(?:body|header|src-display-name|dst-display-name)|eppn|windows-sid"
    r"|(?:github|twitter|jabber|telegram)-.*"
)
_FREE = words("text comment other link attachment internal-reference campaign-name threat-actor")
_ADDRESSES = words("ip-src ip-dst ip-src|port ip-dst|port ip")
_HOSTS = words("domain hostname hostname|port")
_PORT = words("ip-src|port ip-dst|port hostname|port")
_DIGESTS = {
    "md5": IocType.MD5,
    "sha1": IocType.SHA1,
    "sha256": IocType.SHA256,
    "sha512": IocType.SHA512,
}
_EXPECTED: Mapping[str, tuple[IocType, ...]] = {
    **{kind: (digest,) for kind, digest in _DIGESTS.items()},
    **dict.fromkeys(_ADDRESSES, (IocType.IPV4, IocType.IPV6)),
    **dict.fromkeys(_HOSTS, (IocType.DOMAIN,)),
    **dict.fromkeys(("email", "email-src"), (IocType.EMAIL,)),
    **dict.fromkeys(("url", "uri"), (IocType.URL,)),
}
_CERTIFICATE = "x509-certificate:hashes"
_TLS = "network-traffic:extensions.'tls-ext'"
_PATHS: Mapping[str, str] = {
    "sha224": "file:hashes.'SHA-224'",
    "sha384": "file:hashes.'SHA-384'",
    "sha512/224": "file:hashes.'SHA-512/224'",
    "sha512/256": "file:hashes.'SHA-512/256'",
    **{f"sha3-{bits}": f"file:hashes.'SHA3-{bits}'" for bits in (224, 256, 384, 512)},
    "ssdeep": "file:hashes.'SSDEEP'",
    "tlsh": "file:hashes.'TLSH'",
    "authentihash": "file:hashes.'AUTHENTIHASH'",
    "pehash": "file:hashes.'PEHASH'",
    "impfuzzy": "file:hashes.'IMPFUZZY'",
    "vhash": "file:hashes.'VHASH'",
    "telfhash": "file:hashes.'TELFHASH'",
    "cdhash": "file:hashes.'CDHASH'",
    "imphash": "file:extensions.'windows-pebinary-ext'.imphash",
    "mutex": "mutex:name",
    "regkey": "windows-registry-key:key",
    "user-agent": "network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'",
    "mac-address": "mac-addr:value",
    "email-dst": "email-message:to_refs[*].value",
    "email-subject": "email-message:subject",
    "email-message-id": "email-message:message_id",
    "email-attachment": "email-message:body_multipart[*].body_raw_ref.name",
    "email-reply-to": "email-message:additional_header_fields.'Reply-To'",
    "email-x-mailer": "email-message:additional_header_fields.'X-Mailer'",
    "x509-fingerprint-md5": f"{_CERTIFICATE}.'MD5'",
    "x509-fingerprint-sha1": f"{_CERTIFICATE}.'SHA-1'",
    "x509-fingerprint-sha256": f"{_CERTIFICATE}.'SHA-256'",
    "ja3-fingerprint-md5": f"{_TLS}.ja3",
    "ja3s-fingerprint-md5": f"{_TLS}.ja3s",
    "jarm-fingerprint": f"{_TLS}.jarm",
    "hassh-md5": "network-traffic:extensions.'ssh-ext'.hassh",
    "hasshserver-md5": "network-traffic:extensions.'ssh-ext'.hasshserver",
    "windows-service-name": "process:extensions.'windows-service-ext'.service_name",
    "windows-service-displayname": "process:extensions.'windows-service-ext'.display_name",
}
_HEXADECIMAL = words(
    "sha224 sha384 sha512/224 sha512/256 sha3-224 sha3-256 sha3-384 sha3-512 authentihash pehash"
    " imphash cdhash telfhash x509-fingerprint-md5 x509-fingerprint-sha1 x509-fingerprint-sha256"
    " ja3-fingerprint-md5 ja3s-fingerprint-md5 jarm-fingerprint hassh-md5 hasshserver-md5"
)
_LANGUAGES = {"yara": "yara", "sigma": "sigma", "snort": "snort", "suricata": "suricata"}
_HEX = re.compile(r"(?:[0-9a-f]{2}){14,64}")
_NUMBER = re.compile(r"(?:AS)?\s?(\d{1,10})", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 8192
_LONGEST_RULE = 65_536
_TRIM = " \t\r\n\u00a0\ufeff\u200b"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an attribute is an indicator of."""

    value: str
    """How people call it: the value, or the file's name."""
    pattern: str
    language: str = "stix"
    """Its `pattern_type`."""
    note: str = ""
    """What was read otherwise than it was written."""


def private(kind: str) -> bool:
    """Whether attributes of a type tell of people or of who was attacked."""
    return _PRIVATE.fullmatch(kind) is not None


def meanings(kind: str, value: str) -> tuple[Meaning, ...]:
    """What an attribute with `to_ids` is an indicator of; several for `domain|ip`.

    Raises Malformed, saying why without the value, if it is of none.
    """
    if private(kind):
        raise Malformed("tells of people or of who was attacked, which is never shared")
    if kind in _FREE:
        raise Malformed("free text, a link or a file is no indicator: take to_ids away")
    if kind in _LANGUAGES or kind == "stix2-pattern":
        return (_rule(kind, value),)
    plain = _plain(value)
    return _composite(kind, plain) if "|" in kind else (_single(kind, plain),)


def registry_value(key: str, name: object, data: object) -> Meaning:
    """A key of the registry together with what stands under it, as far as that is said.

    Raises Malformed as `meanings` does.
    """
    parts = [("key", key), ("values[*].name", name), ("values[*].data", data)]
    said = [(at, _plain(what)) for at, what in parts if isinstance(what, str) and what]
    tests = [f"windows-registry-key:{at} = {quote_string(what)}" for at, what in said]
    return Meaning(_plain(key), f"[{' AND '.join(tests)}]")


def _plain(value: str) -> str:
    plain = value.strip(_TRIM)
    if not plain or len(plain) > _LONGEST or _CONTROL.search(plain):
        raise Malformed(f"the value is empty, over {_LONGEST} characters or has control characters")
    return plain


def _composite(kind: str, plain: str) -> tuple[Meaning, ...]:
    """What types of two parts say; a part may hold the sign itself, as file names do not."""
    if kind in _PORT:
        place = plain.partition("|")[0] if "|" in plain else plain
        return (_read(kind, place),)
    first, bar, second = plain.partition("|")
    if not bar:
        raise Malformed("has one part where the type wants two with | between them")
    if kind == "domain|ip":
        return _read("domain", first), _read("ip", second)
    if kind == "regkey|value":
        return (registry_value(first, None, second),)
    head, _, tail = kind.partition("|")
    if head != "filename" or tail not in HASHES:
        raise Malformed(_UNKNOWN)
    name, _, digest = plain.rpartition("|")
    meant = _single(tail, digest.strip())
    return (Meaning(_last(name) or meant.value, meant.pattern, note=meant.note),)


def _single(kind: str, plain: str) -> Meaning:
    if kind == "malware-sample":
        name, _, digest = plain.rpartition("|")
        return Meaning(_last(name) or digest, _read("md5", digest).pattern)
    if kind in _EXPECTED:
        return _read(kind, plain)
    if kind in _HEXADECIMAL:
        plain = plain.lower().replace(":", "")
        if not _HEX.fullmatch(plain):
            raise Malformed("not the hexadecimal digits that its type wants")
    if kind == "filename":
        return _file(plain)
    if kind == "AS" and (found := _NUMBER.fullmatch(plain)):
        return Meaning(f"AS{int(found[1])}", f"[autonomous-system:number = {int(found[1])}]")
    if kind not in _PATHS:
        raise Malformed(_UNKNOWN)
    return Meaning(plain, f"[{_PATHS[kind]} = {quote_string(plain)}]")


_UNKNOWN = "attributes of this type are not taken as indicators: send them as STIX"


def _read(kind: str, plain: str) -> Meaning:
    """A host, address, URL, e-mail address or hash, as other formats read it."""
    found = read_as(refang(join_spaced(plain)), host=kind in _HOSTS)
    if found is None:
        raise Malformed("not a value of its type")
    expected = _EXPECTED.get(kind, ())
    note = "" if found.kind in expected else f"is a {found.kind.value}, and read as such"
    return Meaning(found.value, found.pattern, note=note)


def _file(plain: str) -> Meaning:
    """A file by its name, and by its folder where one is said."""
    name = _last(plain)
    if not name:
        raise Malformed("a folder, where a file is wanted")
    folder = plain[: -len(name)].rstrip("\\/")
    tests = [f"file:name = {quote_string(name)}"]
    if folder:
        tests.append(f"file:parent_directory_ref.path = {quote_string(folder)}")
    return Meaning(plain, f"[{' AND '.join(tests)}]")


def _last(path: str) -> str:
    """The last step of a path of any system."""
    return re.split(r"[\\/]", path.strip())[-1]


def _rule(kind: str, text: str) -> Meaning:
    if not text.strip() or len(text) > _LONGEST_RULE or "\0" in text:
        raise Malformed(f"the rule is empty, over {_LONGEST_RULE} characters or holds a NUL")
    language = _LANGUAGES.get(kind, "stix")
    return Meaning("STIX pattern" if language == "stix" else f"{kind} rule", text.strip(), language)
