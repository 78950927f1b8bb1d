"""Entries of host lists: hosts files, block lists of resolvers (RPZ, dnsmasq, unbound) and
browsers (Adblock), plain values one a line."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import registrable_domain
from tocsin.admission.observables.ioc_types import recognise_ioc
from tocsin.admission.observables.refang import refang
from tocsin.admission.word_lists import load_words

_SERVICE_NAMES = frozenset(load_words("tocsin.admission.formats", "service_names"))
_FEWEST_OF_ONE, _FEWEST_SERVICES = 8, 3
"""Hosts of one domain, and services among them, that only their owner lists."""
_MOST_IN_HEAD, _MOST_SEARCHED = 20, 2_000
"""Lines of a zone that are looked at."""
_COMMENTS = ("#", "//", ";", "!")
_TRAILING_COMMENT = compile_lazily(r"[ \t][#;].*", re.DOTALL)
_SINKS = frozenset(("0.0.0.0", "127.0.0.1", "::", "::1"))  # noqa: S104 - read, not bound to
_OWN = compile_lazily(
    r"(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254)\.[\d.]+\Z|f[cd][\da-f]{2}:"
)
"""A private address: the name next to it is a machine of the submitter's own network."""
_TRIM = " \t\ufeff\u200b\"'`<>,;|*-()[]{}"
_BARE = compile_lazily(r"[\w.:-][\w.:/-]{0,500}", re.ASCII)
"""A line without any list syntax."""
_HEADER = compile_lazily(
    r"\[(?:adblock|adguard|ublock)[^\]]{0,60}\]\s*$"
    r"|\$(?:TTL|ORIGIN)\b|[^\s#]{0,253}\s*\b(?:\d{1,9}\s+)?(?:IN\s+)?(?:SOA|NS)\s+\S",
    re.IGNORECASE,
)
"""The title of a browser list; a zone's own records (SOA, NS)."""
_BLOCKED = compile_lazily(r"\|\|([^\s|^$*]{3,2000})\^?\|?(?:\$(\S{0,2000}))?")
"""Browser lists: `||host^`, `||host/path$document`."""
_CONDITION = compile_lazily(r"(?:^|,)(?:domain=|denyallow=|badfilter)")
_EXCEPTION_SIGNS = ("@@", "/")
"""Browser lists: exceptions, and regular expressions."""
_HIDING = compile_lazily(r"#@?[?$%]?#")
_RESOLVER = compile_lazily(
    r"(?:address|server|local)=/([^\s]{3,1000})/(\S{0,60})"  # dnsmasq
    r"|local-(?:zone|data):\s*\"([^\s\"]{3,253})"  # unbound
    r"|(?:\*\.)?([\w.-]{3,253})\.?\s+(?:\d{1,9}\s+)?(?:IN\s+)?CNAME\s+(?:\.|\*\.|rpz-\w{1,20}\.)\s*$",
    re.IGNORECASE,
)
_EXCEPTIONS = compile_lazily(
    r"server=/\S{1,1000}/[^#\s]"  # dnsmasq: another resolver answers, for internal names
    r"|local-zone:\s*\"[^\"]{1,253}\"\s+(?:always_|type)?transparent"  # unbound
    r"|\S{1,253}\s+(?:\d{1,9}\s+)?(?:IN\s+)?CNAME\s+rpz-passthru\."
    r"|\S{1,253}\s+(?:ok|dunno|permit|relay)\s*$",  # mail servers
    re.IGNORECASE,
)
"""Exceptions: resolved or accepted although a wider entry may block."""


_ZONE = compile_lazily(
    r"\s*(?:\$TTL\b|\$ORIGIN\s+(\S{1,253})|(\S{0,253})\s+(?:\d{1,9}\s+)?(?:IN\s+)?SOA\s)",
    re.IGNORECASE,
)
"""The head of a zone, perhaps with its name."""
_SOA = compile_lazily(r"[^\s;]{0,253}\s+(?:\d{1,9}\s+)?(?:IN\s+)?SOA\s", re.IGNORECASE)
_SENT_NOWHERE = compile_lazily(r"\s*(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+[a-z]", re.IGNORECASE)
_ADDRESS = compile_lazily(r"[\d.]{7,15}|[\da-f:]{3,39}", re.IGNORECASE)
_POLICY = compile_lazily(
    r"(?:\*\.)?(\S{1,253}?)\.?\s+(?:\d{1,9}\s+)?(?:IN\s+)?(CNAME|A|AAAA|TXT)\s+(\S{1,255})",
    re.IGNORECASE,
)
"""A rule of a response policy zone: its trigger, type and action."""
_ACTION = compile_lazily(
    r"\s(?:IN\s+)?CNAME\s+(?:\.|\*\.|rpz-[a-z-]{1,20}\.)\s*(?:;|$)", re.IGNORECASE
)
_PASSES = compile_lazily(r"rpz-passthru\.?$", re.IGNORECASE)
_OF_ADDRESS = compile_lazily(
    r"(\d{1,3})\.([\da-f.]{3,80}?)\.(?:rpz-ip|rpz-nsip)\b.*", re.IGNORECASE
)
_OF_SERVER = compile_lazily(r"(\S{1,240})\.rpz-nsdname\b.*", re.IGNORECASE)
_OF_CLIENT = compile_lazily(r".*\brpz-client-ip\b", re.IGNORECASE)
_IPV4_PARTS, _IPV4_BITS = 4, 32


@dataclass(frozen=True, slots=True)
class PolicyZone:
    """The zone of a resolver that blocks (RPZ).

    The writer's own machines are in its actions and its own records.
    """

    origin: str
    """The name of the zone in lower case, which a transfer of it writes behind every name."""

    def parse(self, line: str) -> str:
        """The value that a line blocks; empty if it blocks none.

        >>> zone = PolicyZone("rpz.bank.com")
        >>> zone.parse("evil.com CNAME walled-garden.bank.com."), zone.parse("@ SOA ns.bank.com.")
        ('evil.com', '')
        >>> zone.parse("32.9.70.9.45.rpz-ip CNAME ."), zone.parse("a.com CNAME rpz-passthru.")
        ('45.9.70.9', '')
        >>> zone.parse("evil.com.rpz.bank.com. 60 IN CNAME .")
        'evil.com'
        """
        rule = _POLICY.match(_TRAILING_COMMENT.sub("", line[:1000]))
        if rule is None or line[:1] in "@;" or _PASSES.match(rule[3]):
            return ""
        name = rule[1]
        if self.origin and name.lower().endswith(f".{self.origin}"):
            name = name[: -len(self.origin) - 1]
        if _OF_CLIENT.match(name) or name.lower() == self.origin:
            return ""
        if server := _OF_SERVER.fullmatch(name):
            return server[1]
        address = _OF_ADDRESS.fullmatch(name)
        return _parse_trigger(address[1], address[2]) if address else name


def find_policy_zone(lines: Sequence[str]) -> PolicyZone | None:
    """The policy zone that a text is, by its head and its actions; None for another text."""
    head = list(islice((line for line in lines if line.strip()), _MOST_IN_HEAD))
    found = list(filter(None, map(_ZONE.match, head)))
    if not found or not any(map(_ACTION.search, islice(lines, _MOST_SEARCHED))):
        return None
    names = (each[1] or each[2] or "" for each in found)
    return PolicyZone(next((each.strip(".").lower() for each in names if "." in each), ""))


def is_zone(lines: Sequence[str]) -> bool:
    """True for a zone of a DNS server, whose names are its owner's, unless it is a policy zone."""
    head = islice((line for line in lines if line.strip()), _MOST_IN_HEAD)
    return any(map(_SOA.match, head)) and find_policy_zone(lines) is None


def is_hosts_file(lines: Iterable[str]) -> bool:
    """True if names are sent nowhere in a text, or to the machine itself: `0.0.0.0 evil.com`.

    Where it has another address before a name, both are the writer's.
    """
    return any(map(_SENT_NOWHERE.match, islice(lines, _MOST_SEARCHED)))


def maps_host(line: str) -> bool:
    """True if a line of a hosts file says which public address a name has."""
    words = _strip_comment(line).split(None, 2)
    if len(words) <= 1 or words[0] in _SINKS or _OWN.match(words[0]):
        return False
    return _ADDRESS.fullmatch(words[0]) is not None


def are_of_one_organisation(hosts: Collection[str]) -> bool:
    """True if host names are nearly all below one domain, and name services: `www`, `vpn`, `mail`.

    >>> are_of_one_organisation([f"{each}.lab.org" for each in ("www", "vpn", "mail", "wiki")])
    False
    """
    if len(hosts) < _FEWEST_OF_ONE:
        return False
    domains = Counter(map(registrable_domain, hosts))
    domain, most = domains.most_common(1)[0]
    if not domain or most * 10 < len(hosts) * 9:
        return False
    services = {host.partition(".")[0] for host in hosts if host != domain} & _SERVICE_NAMES
    return len(services) >= _FEWEST_SERVICES


def _parse_trigger(bits: str, reversed_parts: str) -> str:
    """The IPv4 address or network of a trigger; empty for IPv6, which has forms of its own."""
    parts = reversed_parts.split(".")[::-1]
    if len(parts) != _IPV4_PARTS or not all(map(str.isdigit, parts)):
        return ""
    return ".".join(parts) + ("" if int(bits) == _IPV4_BITS else f"/{bits}")


def is_comment(line: str) -> bool:
    """True if a line of a list is a comment, its title or a record of the zone itself."""
    plain = line.lstrip(" \t\ufeff")
    if plain.startswith(_COMMENTS):
        return True
    return _BARE.fullmatch(line) is None and _HEADER.match(plain[:400]) is not None


def is_single_word(line: str) -> bool:
    """True if a line is one word, perhaps with a trailing comment, that is not a heading."""
    words = _strip_comment(line).split(None, 1)
    return len(words) == 1 and not words[0].endswith(":")


def is_bare_value(line: str) -> bool:
    """True if a line is one word without any list syntax or defanging, and no whole URL."""
    return (
        line[-1:].isalnum()
        and line[0].isalnum()
        and _BARE.fullmatch(line) is not None
        and "://" not in line
    )


def parse_entry(line: str) -> str:
    """The value of a line, without list syntax and comment; empty if the line blocks nothing.

    >>> parse_entry("0.0.0.0 evil.com # since May"), parse_entry("||evil.com^$all")
    ('evil.com', 'evil.com')
    >>> parse_entry("@@||good.com^")
    ''
    """
    if _BARE.fullmatch(line):
        return line
    return "" if is_comment(line) else _parse_syntax(_strip_comment(line.lstrip(" \t\ufeff")))


def _strip_comment(line: str) -> str:
    return _TRAILING_COMMENT.sub("", line) if "#" in line or ";" in line else line


def _parse_syntax(plain: str) -> str:
    if plain.startswith(_EXCEPTION_SIGNS) or _HIDING.search(plain[:1000]):
        return ""
    if _EXCEPTIONS.match(plain[:1000]):
        return ""
    blocked = _BLOCKED.fullmatch(plain.rstrip())
    if blocked:
        return "" if blocked[2] and _CONDITION.search(blocked[2]) else blocked[1]
    resolved = _RESOLVER.match(plain[:1000])
    if resolved:
        return (resolved[1] or resolved[3] or resolved[4]).replace("/", " ")
    words = plain.split(None, 1)
    if len(words) == 2 and words[0] in _SINKS:
        return words[1]
    return words[0] if len(words) == 2 and _OWN.match(words[0]) else plain


def is_entry(line: str) -> bool:
    """True if a line is one value, or an entry or exception of a host list."""
    plain = line.lstrip(" \t\ufeff")
    if plain.startswith(("@@||", "||")) or _HIDING.search(plain[:1000]):
        return True
    if _EXCEPTIONS.match(plain[:1000]):
        return True
    words = parse_entry(line).split(None, 2)
    if words and plain.split(None, 1)[0] in _SINKS:
        return True
    return 0 < len(words) <= 2 and recognise_ioc(refang(words[0].strip(_TRIM))) is not None
