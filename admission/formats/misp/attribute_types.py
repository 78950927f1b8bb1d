"""MISP attribute types: the STIX pattern for an attribute's type and value.

Values that CSV and text also read give the same pattern as there: port numbers are
dropped, and of a file name with a hash only the hash is matched.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.indicators import recognise_declared
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import IocType
from tocsin.admission.observables.placeholders import EXPLANATION, has_placeholder
from tocsin.admission.observables.refang import join_spaced, refang
from tocsin.admission.patterns.grammar import quote_string

_LONG_HASHES = frozenset(
    (
        *("sha224", "sha384", "sha512/224", "sha512/256"),
        *("sha3-224", "sha3-256", "sha3-384", "sha3-512"),
    )
)
_OTHER_HASHES = (
    *("ssdeep", "tlsh", "authentihash", "pehash", "impfuzzy", "vhash", "telfhash", "cdhash"),
)
HASHES = frozenset(("md5", "sha1", "sha256", "sha512", "imphash", *_LONG_HASHES, *_OTHER_HASHES))
"""The types that are a hash of a file, alone or after `filename|`."""
SECTION_HASHES: Mapping[str, str] = {
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha256": "SHA-256",
    "sha512": "SHA-512",
    "ssdeep": "SSDEEP",
}
"""The hashes of a section of a Windows program that are read, with their names in STIX."""

_PRIVATE_TYPES = compile_lazily(
    r"target-.*|(?:first|middle|last|full)-name|date-of-birth|place-of-birth|gender|nationality"
    r"|passport-.*|redress-number|payment-details|visa-number|issue-date-of-the-visa"
    r"|primary-residence|country-of-residence|special-service-request|frequent-flyer-number"
    r"|travel-details|place-port-of-.*|passenger-name-record-.*|identity-card-number|phone-number"
    r"|whois-registrant-.*|prtn|bank-account-nr|bic|aba-rtn|bin|cc-number|iban"
    r"|email-(?:body|header|src-display-name|dst-display-name)|eppn|windows-sid"
    r"|(?:github|twitter|jabber|telegram)-.*"
)
_FREE_TEXT_TYPES = frozenset(
    (
        *("text", "comment", "other", "link", "attachment", "internal-reference"),
        *("campaign-name", "threat-actor"),
    )
)
_ADDRESSES = ("ip-src", "ip-dst", "ip-src|port", "ip-dst|port", "ip")
_HOSTS = ("domain", "hostname", "hostname|port")
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
    **{f"sha{bits}": f"file:hashes.'SHA-{bits}'" for bits in ("224", "384", "512/224", "512/256")},
    **{f"sha3-{bits}": f"file:hashes.'SHA3-{bits}'" for bits in (224, 256, 384, 512)},
    **{kind: f"file:hashes.'{kind.upper()}'" for kind in _OTHER_HASHES if kind != "tlsh"},
    **{
        f"pe-section {kind}": f"file:extensions.'windows-pebinary-ext'.sections[*].hashes.'{name}'"
        for kind, name in SECTION_HASHES.items()
    },
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
_HEXADECIMAL_TYPES = frozenset(
    (
        *(*_LONG_HASHES, "authentihash", "pehash", "imphash", "cdhash", "telfhash"),
        *("x509-fingerprint-md5", "x509-fingerprint-sha1", "x509-fingerprint-sha256"),
        *("ja3-fingerprint-md5", "ja3s-fingerprint-md5", "jarm-fingerprint"),
        *("hassh-md5", "hasshserver-md5"),
        *(f"pe-section {kind}" for kind in SECTION_HASHES if kind != "ssdeep"),
    )
)
_LANGUAGES = ("yara", "sigma", "snort", "suricata")
_HEX = compile_lazily(r"(?:[0-9a-f]{2}){14,64}")
_NUMBER = compile_lazily(r"(?:AS)?\s?(\d{1,10})", re.IGNORECASE | re.ASCII)
_PIPE_DEVICE = compile_lazily(r"(?:[\\/]{1,2}[.?])?[\\/]{1,2}pipe[\\/]{1,2}", re.IGNORECASE)
_CONTROL = compile_lazily(r"[\x00-\x1f\x7f]")
_LONGEST = 8192
_LONGEST_RULE = 65_536
_TRIM = " \t\r\n\u00a0\ufeff\u200b"


@dataclass(frozen=True, slots=True)
class PatternedValue:
    """An indicator that an attribute stands for."""

    value: str
    """The indicator's name: the value, or the file's name."""
    pattern: str
    language: str = "stix"
    """Its `pattern_type`."""
    note: str = ""
    """The reading, if it differs from the attribute's type; for the submitter."""


def is_private_type(kind: str) -> bool:
    """True if attributes of a type describe people or victims."""
    return _PRIVATE_TYPES.fullmatch(kind) is not None


def parse_attribute(kind: str, value: str) -> tuple[PatternedValue, ...]:
    """The indicators that an attribute with `to_ids` stands for; two for `domain|ip`.

    Raises Malformed, with the reason but without the value, if there is none.
    """
    if is_private_type(kind):
        raise Malformed("describes people or victims, which are never shared")
    if kind in _FREE_TEXT_TYPES:
        raise Malformed("free text, links and attachments are not indicators: unset to_ids")
    if kind in _LANGUAGES or kind == "stix2-pattern":
        return (_parse_rule(kind, value),)
    plain = _clean(value)
    return _parse_composite(kind, plain) if "|" in kind else (_parse_single(kind, plain),)


def parse_registry_value(key: str, name: object, data: object) -> PatternedValue:
    """A registry key with the name and data of its value, as far as they are given.

    Raises Malformed as `parse_attribute` does.
    """
    parts = [("key", key), ("values[*].name", name), ("values[*].data", data)]
    cleaned = [(at, _clean(text)) for at, text in parts if isinstance(text, str) and text]
    tests = [f"windows-registry-key:{at} = {quote_string(text)}" for at, text in cleaned]
    return PatternedValue(_clean(key), f"[{' AND '.join(tests)}]")


def _clean(value: str) -> str:
    plain = value.strip(_TRIM)
    if not plain or len(plain) > _LONGEST or _CONTROL.search(plain):
        raise Malformed(f"the value is empty, over {_LONGEST} characters or has control characters")
    return plain


def _parse_composite(kind: str, plain: str) -> tuple[PatternedValue, ...]:
    """Types of two parts with `|` between them; the last part may hold a `|` itself."""
    if kind in _EXPECTED:  # with a port
        return (_parse_declared(kind, plain.partition("|")[0]),)
    first, bar, second = plain.partition("|")
    if not bar:
        raise Malformed("its type needs two parts with | between them")
    if kind == "domain|ip":
        return _parse_declared("domain", first), _parse_declared("ip", second)
    if kind == "regkey|value":
        return (parse_registry_value(first, None, second),)
    head, _, tail = kind.partition("|")
    if head != "filename" or tail not in HASHES:
        raise Malformed(_UNKNOWN)
    name, _, digest = plain.rpartition("|")
    parsed = _parse_single(tail, digest.strip())
    return (PatternedValue(_file_name(name) or parsed.value, parsed.pattern, note=parsed.note),)


def _parse_single(kind: str, plain: str) -> PatternedValue:
    if kind == "malware-sample":
        name, _, digest = plain.rpartition("|")
        return PatternedValue(_file_name(name) or digest, _parse_declared("md5", digest).pattern)
    if kind in _EXPECTED:
        return _parse_declared(kind, plain)
    if kind in _HEXADECIMAL_TYPES:
        plain = plain.lower().replace(":", "")
        if not _HEX.fullmatch(plain):
            raise Malformed("not the hexadecimal digits that its type needs")
    if kind in _FILE_PARSERS:
        return _FILE_PARSERS[kind](plain)
    if kind == "AS" and (found := _NUMBER.fullmatch(plain)):
        return PatternedValue(f"AS{int(found[1])}", f"[autonomous-system:number = {int(found[1])}]")
    if kind not in _PATHS:
        raise Malformed(_UNKNOWN)
    return PatternedValue(plain, f"[{_PATHS[kind]} = {quote_string(plain)}]")


_UNKNOWN = "attributes of this type are not supported: send them as STIX"


def _parse_declared(kind: str, plain: str) -> PatternedValue:
    """A host, address, URL, e-mail address or hash, read as in the other formats."""
    clear = refang(join_spaced(plain))
    found = recognise_declared(clear, host=kind in _HOSTS)
    if found is None and has_placeholder(clear):
        raise Malformed(EXPLANATION)
    if found is None:
        raise Malformed("not a value of its type")
    expected = _EXPECTED.get(kind, ())
    note = "" if found.kind in expected else f"is a {found.kind.value}; read as {found.kind.value}"
    return PatternedValue(found.value, found.pattern, note=note)


def _parse_file(plain: str) -> PatternedValue:
    """A file by its name, and by its folder if one is given."""
    name = _file_name(plain)
    if not name:
        raise Malformed("a folder instead of a file: give the file's name")
    folder = plain[: -len(name)].rstrip("\\/")
    tests = [f"file:name = {quote_string(name)}"]
    if folder:
        tests.append(f"file:parent_directory_ref.path = {quote_string(folder)}")
    return PatternedValue(plain, f"[{' AND '.join(tests)}]")


def _parse_pipe(plain: str) -> PatternedValue:
    """A named pipe of Windows: a file of the device `\\\\.\\pipe`."""
    name = _PIPE_DEVICE.sub("", plain)
    if not name:
        raise Malformed("the device without a pipe: give the pipe's name")
    path = "\\\\.\\pipe\\" + name
    return PatternedValue(path, f"[file:name = {quote_string(path)}]")


def _parse_tlsh(plain: str) -> PatternedValue:
    """A TLSH, which MISP stores in lower case."""
    return PatternedValue(plain, f"[file:hashes.'TLSH' = {quote_string(plain.upper())}]")


_FILE_PARSERS: Mapping[str, Callable[[str], PatternedValue]] = {
    "filename": _parse_file,
    "named pipe": _parse_pipe,
    "tlsh": _parse_tlsh,
}


def _file_name(path: str) -> str:
    """The last step of a path of Windows or Unix."""
    return re.split(r"[\\/]", path.strip())[-1]


def _parse_rule(kind: str, text: str) -> PatternedValue:
    if not text.strip() or len(text) > _LONGEST_RULE or "\0" in text:
        raise Malformed(f"the rule is empty, over {_LONGEST_RULE} characters or holds a NUL")
    if kind in _LANGUAGES:
        return PatternedValue(f"{kind} rule", text.strip(), kind)
    return PatternedValue("STIX pattern", text.strip())
