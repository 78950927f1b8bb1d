r"""Parts of logs, configurations and queries that hold the writer's own hosts, or allowed ones.

People paste them beside an attacker's values: the SPF record of their domain, the exceptions of
fail2ban or of a query, rules of a firewall that accept, and the near end of a connection.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tocsin.admission.detectors.own_machines import OWN_MACHINE
from tocsin.admission.detectors.spans import Span
from tocsin.admission.lazy_patterns import compile_lazily

_IP = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]{0,4}(?::[\da-fA-F]{0,4}){2,8})"
_END = rf"(?:{_IP}|\[{_IP}\]|[\w.-]{{1,253}})[:.]\w{{1,20}}"
"""An end of a connection with its port: `45.9.70.7:443`."""


class _Part(NamedTuple):
    """A part that is left out of a line."""

    sign: str
    """Characters that every such line has, in lower case: most lines are not searched."""
    pattern: re.Pattern[str]
    """The first group of a match stays."""


def _part(sign: str, pattern: str) -> _Part:
    return _Part(sign, compile_lazily(pattern, re.IGNORECASE))


_ZONES = (
    _part(
        "v=spf1",
        r"v=spf1(?:[\s\"]{1,4}[+?~-]?(?:ip[46]|a|mx|ptr|include|exists|redirect|exp|all)"
        r"(?:[:=/][^\s\"']{1,300})?(?![\w.]))+",
    ),
    _part("v=dmarc1", r"v=dmarc1\s?;[^\"\r\n]{0,1000}"),
    _part("._domainkey.", r"(?<![\w.-])[\w.-]{1,253}\._domainkey\.[\w.-]{1,253}(?![\w.-])"),
    _part("_dmarc.", r"(?<![\w.])_dmarc\.[\w.-]{1,253}(?![\w.-])"),
)
"""Records of mail (RFC 7208, 6376 and 7489) that a domain's owner publishes."""
_HEADERS = (
    _part(
        "received: ",
        r"(\bReceived: .{1,500}?\sby\s{1,4})[\w.-]{1,253}(?=\s(?!with local)|;|\Z)",
    ),
    _part(
        "authentication-results: ",
        r"(\bAuthentication-Results: (?:i=\d{1,3}; )?)[\w.-]{1,253}(?=\s?;|\s\d;)",
    ),
)
"""The recipient's mail servers in the headers of a mail.

The server that a line names behind `by` is in the line above behind `from`, which stays: the relays
of an attacker are not lost.
"""
_ALLOWING = (
    _part("ignoreip", r"\bignoreip\s{0,4}=.*"),
    _part("destemail", r"\bdestemail\s{0,4}=.*"),
    _part("accepted publickey", r"\bAccepted publickey for \S{1,64} from \S{1,64}"),
    _part("] ignore ", rf"\] Ignore {_IP}"),
    _part(" -j ", r"\A.*\s-j\s{1,4}(?:accept|return|snat|dnat|masquerade)\b.*"),
    _part("addr ", r"\A(?=.*\baccept\b).*\b[sd]addr\s.*"),
    _part("ufw ", r"\bufw\s(?:(?:insert\s\d{1,4}|route|rule)\s){0,2}allow\b.*"),
    _part(
        "permit ",
        r"\bpermit\s{1,4}(?:(?:ip|tcp|udp|icmp)\s{1,4}(?:any\b|host\s|\d)|host\s{1,4}\d|\d{1,3}\.\d).*",
    ),
    _part("allow ", rf"\A\s*allow\s{{1,8}}(?:from\s{{1,4}})?{_IP}.*"),
    _part("require ip", r"\A\s*require\s{1,4}ip\s.*"),
    _part("acl ", r"\A\s*acl\s{1,4}\S{1,60}\s{1,4}(?:src|localip)\s.*"),
    _part(
        "elements",
        r"\bset\s{1,4}\"?(?:\w{0,20}_)?(?:allow|white|trust|permit|own_|admin)\w{0,40}\"?\s{0,4}\{"
        r"[^{}]{0,500}\belements\s{0,4}=\s{0,4}\{[^{}]*",
    ),
)
"""Rules of firewalls, web servers and fail2ban that let traffic pass."""
_EXCEPTIONS = (
    _part("!in", r"!in~?\s{0,4}\([^()]{0,4000}"),
    _part(" in", r"\bnot\s{1,4}(?:[\w.]{1,60}\s{1,4})?in\s{0,4}\([^()]{0,4000}"),
    _part("!=", r"!=[~*]?\s{0,4}(?:\"[^\"]{0,500}\"|'[^']{0,500}'|[^\s\"',;|)]{1,500})"),
    _part(
        "not ", r"(?-i:\bNOT)\s{1,4}\(?[\w.]{1,60}\s{0,2}[:=]{1,2}\s{0,2}(?:\"[^\"]{0,500}\"|\S+)"
    ),
    _part("!", r"!(?:starts|ends|contains|has)\w{0,10}\s{0,4}\(?[\"'][^\"']{0,500}[\"']"),
)
"""Exceptions in queries of KQL, SPL and Lucene."""
_NEAR_ENDS = (
    _part("/", rf"\A(\s*\d{{10}}\.\d{{3}}\s{{1,12}}\d{{1,12}}\s){_IP}(?=\s(?:tcp|udp|none)_)"),
    _part(" hier_", r"(\s)(?!-\s)\S{1,64}(?=\shier_[a-z]{1,20}/)"),
    _part("query: ", rf"(\bquery: \S{{1,255}} \w{{1,10}} \w{{1,10}} \S{{1,20}} )\({_IP}\)"),
    _part(
        ":",
        rf"\A(\s*(?:tcp|udp)[46]?\s{{1,12}}(?:\d{{1,9}}\s{{1,12}}\d{{1,9}}\s{{1,12}})?){_END}"
        r"(?=\s{1,40}\S{1,60}[:.])",
    ),
    _part(
        "estab",
        rf"\A(\s*(?:\w{{1,5}}\s{{1,12}})?estab\w{{0,7}}\s{{1,12}}\d{{1,9}}\s{{1,12}}\d{{1,9}}"
        rf"\s{{1,40}}){_END}(?=\s)",
    ),
    _part(
        ", client: ",
        r", (?:server|upstream|host): (?:\"[^\"]{0,2000}\"|[^\s,]{1,253})",
    ),
    _part(
        "-",
        rf"\A(\s*\d{{4}}-\d\d-\d\d\s\d\d:\d\d:\d\d\s(?:w3svc\d{{1,6}}\s\S{{1,60}}\s)?){_IP}"
        r"(?=\s(?:get|post|head|put|options|delete|propfind|patch|connect|trace|debug)\s)",
    ),
)
"""The near end of a connection, or its user: of Squid, BIND, netstat, ss, nginx and IIS."""
_ZEEK = compile_lazily(rf"\A(\s*\d{{10}}\.\d{{1,6}}\tC\w{{1,30}})\t({_IP})\t(\d{{1,5}})\t({_IP})\t")
"""A connection in a log of Zeek."""
_CERTAIN = (*_ZONES, *_ALLOWING, *_NEAR_ENDS)
_PARTS = (*_CERTAIN, *_EXCEPTIONS)
_OF_ATTACKER = compile_lazily(
    r"\b(?:attackers?|actors?|adversary|malware|implant|backdoor|miner|worm)(?:['’]s)?\s(?:then\s)?"
    r"(?:ran|runs?|added|adds|executed|executes|sets?|created|creates|inserted|inserts|wrote|spf|rule)",
    re.IGNORECASE,
)
"""Who wrote a rule: `the attacker ran iptables …`."""
_BEFORE_PART = 40
"""Characters before a part that are searched for that."""
_CLAUSE = compile_lazily(r"[.;,:] ")
"""The end of a clause."""
_IN_NOTES = (*_CERTAIN, *_HEADERS)
"""Those that in the texts of an object are hardly anything else."""
_SHORTEST = 16
"""Characters of the shortest note with such a part."""


def remove_own_parts(line: str) -> str:
    """The line without these parts, with the ends of a connection of Zeek as named fields.

    >>> remove_own_parts('TXT "v=spf1 ip4:81.2.3.4 include:mx.bank.com -all"')
    'TXT " "'
    >>> remove_own_parts("  TCP    81.2.3.4:51234     45.9.70.7:443    ESTABLISHED")
    '  TCP          45.9.70.7:443    ESTABLISHED'
    """
    left, end = [], 0
    for span in sorted(_find_in_line(line, _choose(line, _PARTS))):
        left.append(line[end : span.start])
        end = max(end, span.end)
    line = " ".join([*left, line[end:]])
    if "\tC" in line:
        line = _ZEEK.sub(r"\1 id.orig_h=\2 \3 id.resp_h=\4 ", line)
    return line


def find_own_parts(text: str) -> Iterator[Span]:
    """These parts of a text, without the exceptions of queries.

    >>> [text[each.start : each.end] for text in ["ignoreip = 81.2.3.4"] for each in
    ...  find_own_parts(text)]
    ['ignoreip = 81.2.3.4']
    """
    if len(text) < _SHORTEST:
        return
    parts = _choose(text, _IN_NOTES)
    start = 0
    for line in text.split("\n") if parts else ():
        for each in _find_in_line(line, parts):
            if not _is_attackers(line, each.start):
                yield Span(start + each.start, start + each.end, OWN_MACHINE)
        start += len(line) + 1


def _is_attackers(line: str, start: int) -> bool:
    """True if words of the same clause, right before a part, say that an attacker wrote it.

    A part that is a whole line begins with them.
    """
    if start == 0:
        return not _CLAUSE.search(line) and _OF_ATTACKER.search(line, 0, _BEFORE_PART) is not None
    clause = _CLAUSE.split(line[max(0, start - _BEFORE_PART) : start])[-1]
    return _OF_ATTACKER.search(clause) is not None


def _choose(text: str, parts: Sequence[_Part]) -> list[_Part]:
    """The parts that a text may have."""
    lower = text.lower()
    return [each for each in parts if each.sign in lower]


def _find_in_line(line: str, parts: Sequence[_Part]) -> Iterator[Span]:
    for part in parts:
        for found in part.pattern.finditer(line):
            begin = found.end(1) if part.pattern.groups else found.start()
            if begin < found.end():
                yield Span(begin, found.end(), OWN_MACHINE)
