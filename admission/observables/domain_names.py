"""Host names: their canonical form and syntax, host names in text, and the domains that exist.

A dotted word counts as a host name if its top-level domain exists, so that
`report.final` or an invented domain does not become an indicator.  Where the
sender declares a value to be a host name, any top-level domain is accepted.
"""

import re
from functools import cache, lru_cache

import idna
from publicsuffixlist import PublicSuffixList

from tocsin.admission.lazy_patterns import compile_lazily

_AROUND = "".join(map(chr, range(33))) + "\x85\xa0\u3000"
_AFTER = _AROUND + "."
_DOMAIN = compile_lazily(
    r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_-]{1,63})*", re.ASCII
)
_HOST = compile_lazily(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.){1,60}([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
)
_PORT = compile_lazily(r":\d{1,5}", re.ASCII)
_LONGEST_HOST = 253
PRIVATE_TLDS = frozenset(("local", "localdomain", "internal", "intranet", "lan", "corp", "home"))
"""Top-level domains of names inside networks: RFC 6762, ICANN's `internal`, and others in use that
will never be public."""
_SPECIAL_TLDS = frozenset(("onion", "za"))
"""Top-level domains that the list of public suffixes lacks or holds only with a second level."""


def canonical_host(text: str) -> str:
    """A host name in lower case and IDNA (RFC 5891), without the final dot.

    >>> canonical_host("BÜCHER.Example.")
    'xn--bcher-kva.example'
    """
    plain = text.strip(_AROUND).rstrip(_AFTER)
    if plain.isascii():
        return plain.lower()
    try:
        return idna.encode(plain, uts46=True).decode("ascii").lower().rstrip(".")
    except idna.IDNAError:
        return plain.lower()


def is_private_name(host: str) -> bool:
    """True for the name of a host, in its canonical form, that only its own network resolves.

    >>> list(map(is_private_name, ("dc01.corp.local", "fs01", "evil.top", "top")))
    [True, True, False, False]
    """
    _, dot, end = host.rpartition(".")
    if not dot:
        return not (end.isdigit() or is_known_tld(end)) if end else False
    return end in PRIVATE_TLDS or host.endswith(".home.arpa")


def is_domain_name(text: str) -> bool:
    """True for a host name, in any script."""
    return _DOMAIN.fullmatch(canonical_host(text)) is not None


def parse_host_name(word: str) -> str | None:
    """The canonical host name, below any top-level domain; None if it is not a host name.

    A leading `*.` and a port are dropped.

    >>> parse_host_name("*.a_b.BÜCHER.example:8080")
    'a_b.xn--bcher-kva.example'
    """
    plain = word.removeprefix("*").strip(".")
    if ":" in plain:
        plain = _PORT.sub("", plain, count=1) if _PORT.search(plain) else plain
    labels = () if plain.isascii() else plain.split(".")  # each alone: IDNA knows no `_`
    plain = ".".join(map(canonical_host, labels)) if labels else plain.lower()
    found = _HOST.fullmatch(plain) if len(plain) <= _LONGEST_HOST else None
    return plain if found and not found[1].isdigit() else None


def parse_known_host(word: str) -> str | None:
    """As `parse_host_name`, but only below a top-level domain that exists."""
    name = parse_host_name(word)
    return name if name and is_known_tld(name.rpartition(".")[2]) else None


@lru_cache(maxsize=4096)
def is_known_tld(label: str) -> bool:
    """True if a label is a top-level domain (IANA's, or `onion` of RFC 7686)."""
    return label in _SPECIAL_TLDS or bool(_suffixes().publicsuffix("a." + label))


@lru_cache(maxsize=4096)
def is_public_suffix(name: str) -> bool:
    """True if names below this one are registered by anybody: `co.uk`; also of a known TLD."""
    return _suffixes().publicsuffix(name) == name


@lru_cache(maxsize=4096)
def registrable_domain(name: str) -> str:
    """The domain that was registered for a host name; empty if there is none.

    >>> registrable_domain("mail.evil.co.uk"), registrable_domain("co.uk")
    ('evil.co.uk', '')
    """
    return _suffixes().privatesuffix(name) or ""


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False, only_icann=True)
