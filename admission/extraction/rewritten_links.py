"""Links that mail filters rewrote: out of their wrappers, which name the recipient or the customer.

`Safe Links`, Proofpoint and others put their own address before each link of a mail, and a link
that is copied from such a mail has it too.
"""

import base64
import re
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

from tocsin.admission.lazy_patterns import compile_lazily

_URL_DEFENSE_3 = compile_lazily(r"https?://[^/]+/v3/__(.+?)__;([\w-]*)!!.*", re.IGNORECASE)
_MOST_WRAPPERS = 3
_MAY_BE_WRAPPED = compile_lazily(
    r"safelinks|urldefense|cudasvc|cisco|sophos|trendmicro|fireeye|symantec|mimecast", re.IGNORECASE
)
"""Parts of the hosts of mail filters: a quick test that most links fail."""


def unwrap(url: str) -> str:
    """The link that a mail filter (Outlook's Safe Links, Proofpoint) replaced by its own.

    >>> unwrap("https://x.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.com&data=jane")
    'https://evil.com'
    """
    for _ in range(_MOST_WRAPPERS):
        read = _find_reader(url)
        inner = read(url) if read else None
        if inner is None:
            break
        url = inner
    return url


def is_wrapped(url: str) -> bool:
    """True if a link is a mail filter's own: it names the recipient."""
    return _find_reader(url) is not None


def _find_reader(url: str) -> Callable[[str], str | None] | None:
    if _MAY_BE_WRAPPED.search(url) is None:
        return None
    host = host_of(url)
    return next((read for hosts, read in _FILTERS if hosts.fullmatch(host)), None)


def host_of(url: str) -> str:
    """The host of a link; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _parameter(url: str, name: str) -> str | None:
    try:
        return next(iter(parse_qs(urlsplit(url).query, max_num_fields=50).get(name, ())), None)
    except ValueError:
        return None


def _read_parameter(name: str) -> Callable[[str], str | None]:
    return lambda url: _parameter(url, name)


def _read_proofpoint(url: str) -> str | None:
    third = _URL_DEFENSE_3.fullmatch(url)
    if third:  # each `*` stands for characters that are listed in base64; rarely more than one
        return third[1] if "*" not in third[1] else None
    inner = _parameter(url, "u")
    if inner is None or "/v1/" in url.partition("?")[0]:
        return inner
    return unquote(inner.replace("-", "%").replace("_", "/"))


def _read_path(url: str) -> str | None:
    """Cisco writes the link into the last part of the path."""
    inner = unquote(url.partition("?")[0].rpartition("/")[2])
    return inner if "://" in inner else None


def _read_sophos(url: str) -> str | None:
    encoded = _parameter(url, "u") or ""
    plain = encoded.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode() or None
    except ValueError:
        return None


def _read_nothing(_: str) -> str | None:
    """Mimecast keeps the link on its own servers."""
    return None


_FILTERS = tuple(
    (compile_lazily(hosts), read)
    for hosts, read in (
        (
            r"[\w-]+\.safelinks\.protection\.(?:outlook\.com|office365\.us)",
            _read_parameter("url"),
        ),
        (r"urldefense(?:\.proofpoint)?\.(?:com|us)", _read_proofpoint),
        (r"linkprotect\.cudasvc\.com", _read_parameter("a")),
        (r"secure-web\.cisco\.com", _read_path),
        (r"[\w.-]+\.protection\.sophos\.com", _read_sophos),
        (r"[\w-]+[.-]ctp\.trendmicro\.com", _read_parameter("url")),
        (r"protect2?\.fireeye\.com|clicktime\.symantec\.com", _read_parameter("u")),
        (r"protect(?:-\w{2,3})?\.mimecast\.com|url\.[\w-]+\.mimecastprotect\.com", _read_nothing),
    )
)
"""The hosts of mail filters, each with the function that finds the link in theirs."""


def cut_url(url: str) -> str:
    """The link without what follows its path."""
    return re.split(r"[?#]", url, maxsplit=1)[0]
