"""The links of a mail: out of the wrappers of mail filters, and without the recipients."""

import re
from urllib.parse import parse_qs, unquote, urlsplit

_SAFE_LINKS = re.compile(r"[\w-]+\.safelinks\.protection\.(?:outlook\.com|office365\.us)")
_URL_DEFENSE = re.compile(r"urldefense(?:\.proofpoint)?\.(?:com|us)")
_URL_DEFENSE_3 = re.compile(r"https?://[^/]+/v3/__(.+?)__;([\w-]*)!!.*", re.IGNORECASE)
_MOST_WRAPPERS = 3


def unwrap(url: str) -> str:
    """The link that a mail filter (Outlook's Safe Links, Proofpoint) replaced by its own.

    >>> unwrap("https://x.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.com&data=jane")
    'https://evil.com'
    """
    for _ in range(_MOST_WRAPPERS):
        inner = _unwrap_once(url)
        if inner is None:
            break
        url = inner
    return url


def is_wrapped(url: str) -> bool:
    """True if a link is a mail filter's own: it names the recipient."""
    host = host_of(url)
    return bool(_SAFE_LINKS.fullmatch(host) or _URL_DEFENSE.fullmatch(host))


def _unwrap_once(url: str) -> str | None:
    host = host_of(url)
    if _SAFE_LINKS.fullmatch(host):
        return _parameter(url, "url")
    if not _URL_DEFENSE.fullmatch(host):
        return None
    third = _URL_DEFENSE_3.fullmatch(url)
    if third:  # each `*` stands for characters that are listed in base64; rarely more than one
        return third[1] if "*" not in third[1] else None
    second = _parameter(url, "u")
    return unquote(second.replace("-", "%").replace("_", "/")) if second else None


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


def cut_url(url: str) -> str:
    """The link without what follows its path."""
    return re.split(r"[?#]", url, maxsplit=1)[0]
