"""The terms that OpenIOC searches, as comparisons in STIX patterns."""

from dataclasses import dataclass

from tocsin.admission.documents import IocItem
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import IocType, recognise_ioc
from tocsin.admission.observables.refang import refang
from tocsin.admission.patterns.grammar import quote_string

_VALUE = "value"
"""In place of a path: the value itself shows its kind."""
_TERMS: dict[str, str] = {
    **dict.fromkeys(
        (
            *("dnsentryitem/host", "dnsentryitem/recordname", "network/dns", "network/uri"),
            *("dnslookupevent/hostname", "urlmonitorevent/hostname", "urlmonitorevent/url"),
            *("portitem/remoteip", "processitem/portlist/portitem/remoteip", "network/ip"),
            *("ipv4networkevent/remoteip", "ipv6networkevent/remoteip", "network/string"),
            *("routeentryitem/destination", "routeentryitem/destination/ip"),
            *("routeentryitem/destination/string", "dnsentryitem/recorddata/ipv4address"),
            *("urlhistoryitem/url", "filedownloadhistoryitem/sourceurl"),
            *("formhistoryitem/formsubmiturl", "email/from"),
        ),
        _VALUE,
    ),
    **dict.fromkeys(
        ("fileitem/filename", "filewriteevent/filename", "driveritem/drivername"), "file:name"
    ),
    **dict.fromkeys(
        ("processitem/name", "processevent/process", "imageloadevent/process"),
        "process:image_ref.name",
    ),
    "fileitem/sizeinbytes": "file:size",
    "registryitem/keypath": "windows-registry-key:key",
    "registryitem/path": "windows-registry-key:key",
    "regkeyevent/path": "windows-registry-key:key",
    "registryitem/valuename": "windows-registry-key:values[*].name",
    "registryitem/text": "windows-registry-key:values[*].data",
    "registryitem/value": "windows-registry-key:values[*].data",
    "processitem/handlelist/handle/name": "mutex:name",
    "serviceitem/name": "process:extensions.'windows-service-ext'.service_name",
    "email/subject": "email-message:subject",
    "network/useragent": "network-traffic:extensions.'http-request-ext'"
    ".request_header.'User-Agent'",
}
_HASH_TERM = compile_lazily(r"\w+/(?:\w+/){0,6}(?:md5|sha1|sha256|sha512)(?:sum)?")
_PATTERN_OF_LIKE = {"contains": "%{}%", "starts-with": "{}%", "ends-with": "%{}"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a pattern."""

    subject: str
    """The type of observable that it is about."""
    expression: str
    value: str
    """The value as people write it."""


def build_comparison(item: IocItem) -> Comparison | None:
    """The comparison that an item makes; None if a STIX pattern cannot make it."""
    term = item.search.lower()
    path = _VALUE if _HASH_TERM.fullmatch(term) else _TERMS.get(term)
    if path is None or item.negated or not item.content:
        return None
    if path == _VALUE:
        return _compare_value(item)
    if path == "file:size":
        exact = item.condition == "is" and item.content.isascii() and item.content.isdigit()
        return Comparison("file", f"{path} = {int(item.content)}", item.content) if exact else None
    return _compare(path, item.condition, item.content)


def _compare_value(item: IocItem) -> Comparison | None:
    """The comparison with a host, an address, a URL, a mailbox or a hash."""
    found = recognise_ioc(refang(item.content))
    if found is None and "/" in item.content and "://" not in item.content:
        found = recognise_ioc("http://" + refang(item.content))
    if found is None:
        return None
    path, _, _ = found.pattern[1:].partition(" ")
    part_of_url = item.condition == "contains" and found.kind is IocType.URL
    if (
        item.condition in ("is", "contains") and not part_of_url
    ):  # exporters write `contains` for whole hosts and hashes too
        return Comparison(path.partition(":")[0], found.pattern[1:-1], found.value)
    return _compare(path, item.condition, refang(item.content))


def _compare(path: str, condition: str, value: str) -> Comparison | None:
    subject = path.partition(":")[0]
    if condition == "is":
        return Comparison(subject, f"{path} = {quote_string(value)}", value)
    if condition == "matches":
        return Comparison(subject, f"{path} MATCHES {quote_string(value)}", value)
    form = _PATTERN_OF_LIKE.get(condition)
    if form is None:
        return None
    return Comparison(subject, f"{path} LIKE {quote_string(form.format(value))}", value)
