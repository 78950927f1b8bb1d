r"""The writer's own machines in a text: their names, addresses and serial numbers.

Words say whose a machine is: `our mail server 81.2.3.4`, `infected host WS-0231`, and labels of
tickets and alerts name those of the organisation: `Hostname: LAPTOP-17`.  Some names mean nothing
elsewhere: `db1.corp.local`, `\\fs01\share`, `DC=corp,DC=local`, MAC addresses.  Machines of
attackers look alike: they stay where words of the same sentence say whose they are
(`words/attacker_words.txt`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.attackers import is_of_attacker
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import DOT, contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import PRIVATE_TLDS, is_known_tld
from tocsin.admission.word_lists import load_alternation

OWN_MACHINE = "what may be your own"

_IP = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]{0,4}(?::[\da-fA-F]{0,4}){2,8})"
_WORDS_BEFORE = 100
"""Characters before a name or an address that are searched."""
_SHORTEST = 16
"""Characters of the shortest note with such words."""
_ADDRESS = compile_lazily(rf"(?<![\w.:]){_IP}(?:/\d{{1,3}})?(?![\w:]|\.\w)")
_MAY_HOLD_ADDRESS = compile_lazily(r"\d\.\d|:\w{0,4}:")
_BETWEEN = r"(?:\s?[,;/&]\s?|,?\s(?:and|or|und|oder|et|ou|y|o|e|en|i)\s)"
_JOINED = compile_lazily(_BETWEEN)
_MACHINE = load_alternation(__package__, "machine_words")
_OWN = load_alternation(__package__, "own_words")
_OTHER = load_alternation(__package__, "words_before_other_machines")
_OWN_MACHINE = rf"{_OWN}\s(?:(?!{_OTHER}\s)[^\W\d_][\w-]{{1,20}}\s){{0,2}}?{_MACHINE}"
_PERSONS = r"(?:customer|client|employee|user|member|colleague|patient|visitor)"
_OURS = compile_lazily(
    rf"""(?:
        (?<![\w-]){_OWN_MACHINE}
        (?:\s(?:ip|address(?:es)?|adresse|is|are|was|at|ist|war|est|es|è|é)){{0,2}}
        [\s(\[\"'`*=]{{1,4}}
      | (?:\A|[.;(\r\n])\s{{0,4}}{_OWN_MACHINE}s?\s?:\s?
      | \b(?:allow|white|safe)[\ -]?list(?:s|ed|ing)?
        (?:\s(?!evasion|bypass)[a-z]{{2,12}}){{0,2}}\s?[:=]\s?
      | (?<![\w-])(?:victim(?:['’]s)?|affected|egress|nat|wan|{_PERSONS}(?:['’]s|s['’]))
        \s(?:(?:public|home|own|static|office)\s){{0,2}}
        (?:ip|host|server|machine|system|address|router)(?:\s(?:address|is|was)){{0,2}}\s?[:=(]?\s?
      | (?<![\w-]){_OWN}\s(?:\w{{2,12}}\s)?/\d{{1,2}}[\s:(]{{1,3}}
    )\Z""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words right before an address of the writer: `our mail server `, `allow list: `.

Not `seen at our proxy: `, which announces what was seen there.
"""
_SEEN_THERE = compile_lazily(
    rf"""\b(?:seen|observed|detected|found|spotted|noticed|logged|active|scanning|beaconing|hits?|gesehen
        |beobachtet|entdeckt|gefunden|vue?s?|observée?s?|détectée?s?|vist[oa]s?|observad[oa]s?|detectad[oa]s?
        |rilevat[oaie]|gezien|waargenomen)\s(?:[a-z]{{2,10}}\s)?
        (?:on|in|at|across|by|inside|within|im|auf|bei|sur|dans|en|em|su|nella|op|bij)
        \s{_OWN_MACHINE}\s\Z""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words before an address that was only seen there: `seen on our network 45.9.70.7`."""
_PRIVATE_NAME = compile_lazily(
    rf"""(?P<scheme>(?<=//))?(?:(?<![\w.@\\~%$/-])|(?<=[\\/][\\/])|(?<=svc/)|(?<=cifs/)
          |(?<=http/)|(?<=ldap/)|(?<=host/)|(?<=termsrv/))
        (?P<labels>[a-z0-9_][\w-]{{0,62}}(?:{DOT}[a-z0-9_][\w-]{{0,62}}){{0,7}}?)
        {DOT}(?:{"|".join(sorted(PRIVATE_TLDS - {"home"}))}|intern|home\.arpa)(?![\w-]|{DOT}\w)""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
"""Names that only their own network resolves; `user.home` is a setting of Java."""
_may_hold_private_name = contains_any(
    *(".local", ".intern", ".corp", ".lan", ".intranet", ".home.arpa"),
    *("]local", "]intern", "]corp", "]lan", "]intranet"),
)
_OF_EVERYBODY = frozenset(
    ("metadata.google", "host.docker", "gateway.docker", "kubernetes.default.svc.cluster")
)
_PROGRAMS = frozenset(("com", "org", "net", "io", "java", "javax", "sun", "android", "system"))
"""First labels of what is part of a program: `com.android.internal`."""
_BEFORE_HOST = compile_lazily(rf"(?<![\w-]){_MACHINE}[\s:\"'`(]{{1,3}}\Z", re.IGNORECASE)
_NETWORK_PATH = compile_lazily(
    r"(?<![\w\\:.%)\]>*$?/])(?:\\\\(?P<name>[a-z][\w-]{1,40})\\(?=[\w$])"
    r"|\\{4}(?P<escaped>[a-z][\w-]{1,40})\\\\(?=[\w$]))",
    re.IGNORECASE | re.ASCII,
)
"""`\\\\fs01\\share`: a host without a domain is one in the same network."""
_ANY_HOST = compile_lazily(
    r"x[0-9a-f]{2}|u[0-9a-f]{4}|localhost|tsclient|wsl\$?|pipe|(?:(?:remote|target|file|smb|your|my)[-_]?)?"
    r"(?:server|host|hostname|machine|computer|computername|pc|share|target|remote|victim|name|ip)",
    re.IGNORECASE,
)
"""Words that stand for any host, and escaped characters."""
_DIRECTORY = compile_lazily(
    r"(?<![\w-])DC=(?P<first>[\w-]{1,63})(?:,\s?DC=[\w-]{1,63}){1,6}(?![\w-])", re.IGNORECASE
)
"""The domain in a name of a directory (RFC 4514)."""
_may_hold_directory = contains_any("dc=")
_EXAMPLES = frozenset(("contoso", "fabrikam", "example", "domain", "domainname", "test", "company"))
_MAC = compile_lazily(
    r"(?<![\w:.-])(?:(?:[\da-f]{2}:){5}|(?:[\da-f]{2}-){5})[\da-f]{2}(?![\w:-])",
    re.IGNORECASE,
)
_OF_NO_MACHINE = compile_lazily(
    r"(?:(?:ff|00)\W?){5}(?:ff|00)|01.?00.?5e.*|33.?33.*", re.IGNORECASE
)
"""Broadcasts and multicasts."""
_SEPARATORS_OF_MAC = 5
_SERIAL = compile_lazily(
    rf"""(?<![\w/-]){load_alternation(__package__, "serial_labels")}
        ["']?(?:\s?[:=\#]|\s)\s{{0,3}}["']?
        (?P<name>(?=[a-z-]{{0,15}}\d)(?!0x|cve-|\d{{15,}})[a-z\d](?:[a-z\d/-]{{3,18}})[a-z\d])(?![\w:/-]|\.\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_may_name_own = contains_any(
    *("our ", "unser", "notre ", "nos ", "nuestr", "noss", "nostr", "onze ", "ons ", "nasz", "nas"),
    *("vår", "vore", "bizim", "victim", "affected"),
)
_may_hold_serial = contains_any("seri", "asset", "s/n", "inventar", "inventory", "service tag")
_OF_CERTIFICATE = compile_lazily(
    r"\b(?:cert|x\.?509|issuer|tls|ssl|signed|signature|thumbprint|code.?sign|zertifikat|volume|usb)",
    re.IGNORECASE,
)
"""Serial numbers of certificates and disks are signs of an attacker."""
_NAME = r"(?P<name>[a-z][\w-]{2,62}\$?)(?![\w@:\\/(-]|\.\w)"
_LABELLED = compile_lazily(
    rf"""(?<![\w&?/-]){load_alternation(__package__, "machine_labels")}
        ["']?(?:\s?[:=]|["']>|(?:\s\.){{3,20}}\s?:)[ \t]{{0,8}}["'<]?{_NAME}""",
    re.VERBOSE | re.IGNORECASE,
)
_BEHIND_NOUN = compile_lazily(
    rf"""(?<![\w-])(?i:{load_alternation(__package__, "machine_nouns")})[ ]["'(]?
        (?P<name>(?=[A-Z\d-]*\d)[A-Z][A-Z\d]{{1,14}}(?:-[A-Z\d]{{1,14}}){{1,4}})(?![\w-]|\.\w)""",
    re.VERBOSE,
)
"""`PC COM-TRIB-09`: in capitals, with a hyphen and a digit."""
_OF_PERSON = compile_lazily(
    r"""(?<![\w-])(?!(?:USER|ADMIN|TEST|WIN\w{0,3}|HOME|MY|YOUR|OWNER|SERVER|CLIENT|OFFICE|VM)-)
        (?:[A-Z][A-Za-z]{2,15}-(?:PC\d{0,2}
            |(?i:laptop|notebook|surface|iphone|ipad|macbook|mbp|thinkpad|imac))
          |(?:NB|LAPTOP)-[A-Z]{4,14})(?![\w-])""",
    re.VERBOSE,
)
"""A name as Windows and Apple make them of that of the owner: `JANE-PC`, `Janes-iPhone`."""
_EVASION = compile_lazily(
    r"\b(?:anti|evasion|evad\w+|sandbox(?:es)?|checks|virtual|blacklist\w*|terminates?)\b",
    re.IGNORECASE,
)
"""Malware looks for such names, to see whether it is analysed."""
_DOMAIN_NAME = r"[a-z\d][\w-]{0,62}(?:\.[a-z\d][\w-]{0,62}){1,6}"
_PRIVATE_IP = r"""(?<![\d.])(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}
          |172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})"""
_WHOLE_NAMES = compile_lazily(
    rf"""(?:(?<![\w&?/-])
          (?:(?:device|computer|machine|workstation|endpoint|dvc)[_.]?(?:host)?(?:[ _]?name)?
            |(?:host|device|agent|computer)\.(?:host)?name)
          ["']?\s?[:=]\s{{0,2}}["']?(?P<labelled>{_DOMAIN_NAME})
      | {_PRIVATE_IP}\s?[(\[](?P<resolved>{_DOMAIN_NAME})[)\]]
      | (?<![\w.@/\\-])(?P<internal>[a-z\d][\w-]{{0,62}}(?:\.[a-z\d][\w-]{{0,62}}){{0,4}}?
          \.(?:corp|intra|intranet|internal|intern)\.[\w-]{{2,40}}(?:\.[a-z]{{2,3}})?\.[a-z]{{2,6}})
    )(?![\w-]|\.\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""Whole names of hosts that are the writer's by a label, an address or a label of the name."""
_may_hold_whole_name = contains_any(
    *("device", "computer", "machine", "workstation", "endpoint", "dvc", "name", "10.", "192.168"),
    *("172.", ".corp.", ".intra", ".intern"),
)
_OWN_HOST = compile_lazily(
    rf"""(?<![\w-])(?:{_OWN_MACHINE}|(?:victim(?:['’]s)?|affected)\s{_MACHINE}\s?[:=]?)\s["'(`]?
        (?:(?:\d{{1,3}}\.){{3}}\d{{1,3}}\s\(|\[removed:[^\]]{{3,40}}\]\s\()?(?P<name>{_DOMAIN_NAME})(?![\w-]|\.\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""`our VPN vpn.bank.test`."""
_SCHEME = compile_lazily(
    r"(?<!\w)(?:file|smb|cifs|nfs|afp|ldaps?|rdp|vnc)://(?P<name>[a-z][\w-]{1,40})(?=[/:\s,;)]|\Z)",
    re.IGNORECASE,
)
"""`file://fs01/`: a host without a domain."""
_VICTIM = load_alternation(__package__, "words_for_victims")
_IN_SENTENCE = compile_lazily(
    rf"""(?<![\w-])(?:{_OWN_MACHINE}|{_VICTIM}\s(?:[a-z]{{2,16}}\s)?{_MACHINE}|{_MACHINE}\s{_VICTIM})
        (?:\s(?:is|was|ist|war|est|es|è|named|called|namens|nommée?|llamad[oa])|\s?[:=])?
        \s{{1,3}}["'`(]?{_NAME}""",
    re.VERBOSE | re.IGNORECASE,
)
_NEXT = compile_lazily(_BETWEEN + _NAME, re.IGNORECASE)
_may_name_machine = contains_any(
    *("host", "computer", "machine", "device", "workstation", "endpoint", "client", "server"),
    *("asset", "system", "node", "netbios", "dvc", "ci name", "configuration item", "rechner"),
    *("arbeitsplatz", "nom ", "poste", "serveur", "ordinateur", "equipo", "ordenador", "servidor"),
    *("nome ", "postazione", "macchina", "computador", "werk", "nazwa", "komputer", "stacja"),
    *("stanice", "dator", "maskin", "laptop", "notebook", "pc", "gateway", "firewall", "proxy"),
    *("router",),
)
_CONVENTIONAL = compile_lazily(
    r"(?<![\w.\\/@-])(?!DC\d{4}(?!\d))(?:WS|WKS|WKST|PC|NB|LAP|LAPTOP|SRV|SVR|DC|FS|EXCH|VDI|RDS|PRT|CLT)"
    r"(?:-[A-Z][A-Z0-9]{1,11}){0,3}-?(?!(?:19|20)\d\d(?!\w))\d{2,5}(?![\w-]|\.\w)"
)
"""A name as organisations give them: `SRV-WEB01`, `DC02`.

Attackers' machines have others; `DC0042` is a data component of ATT&CK.
"""
_HOST_FORM = compile_lazily(r"(?=.*\d)(?=.*[a-z-]).{4,}|.*[a-z]-[a-z].*", re.IGNORECASE)
"""A digit or a hyphen: without one, a name looks like a word of the sentence."""
_NO_HOST = compile_lazily(
    r"x(?:86|64).*|amd64|arm\w{0,5}|i[3-6]86|aarch64|win(?:dows)?-?\d{1,4}|win-[a-z\d]{11}|macos.*"
    r"|(?:mac|i)book.*|ipv[46].*|(?:sha|md)-?\d.*|http\w?.*|utf-?\d.*|base64|tcp.*|udp.*|cve-.*"
    r"|c2.*|cnc.*|vps.*|mozilla.*|[a-z]\d?-\d{1,2}|version-?\d.*|port-?\d.*|step-?\d.*|[\da-f]{16,}|t\d{4}"
    r"(?:-\d{3})?|(?:apt|ta|unc|fin|kb|s7|mx|uac)-?\d+|apt-c-\d+|ms\d\d-\d{3}|covid.*|iso-?\d.*|rfc-?\d.*",
    re.IGNORECASE,
)
"""Processors, systems, protocols, digests; `WIN-…` is mostly the machine of an attacker."""
_HOST_SIGN = compile_lazily(r"(?:[^\W\d]|-)\d|[A-Z]-[A-Za-z]|[a-z]-[A-Z]")
"""A part that each such name has and most sentences have not; cheaper to look for."""
_WORD_WITH_HYPHEN = compile_lazily(r"[a-z]+(?:-[a-z]+)+")
"""A compound of the language: `a compromised host command-and-control`."""


def find_own_machines(text: str) -> Iterator[Span]:
    """Names, addresses and serial numbers of machines that are the writer's own.

    >>> text = "the infected host db-7 was isolated"
    >>> [text[each.start : each.end] for each in find_own_machines(text)]
    ['db-7']
    """
    yield from _find_private_names(text)
    if len(text) < _SHORTEST:
        return
    yield from _find_ours(text)
    yield from _find_whole_names(text) if "." in text or "//" in text else ()
    yield from _find_by_form(text) if "-" in text else ()
    yield from _find_named(text) if _HOST_SIGN.search(text) else ()
    yield from _find_devices(text)


def _find_named(text: str) -> Iterator[Span]:
    """Names of hosts without a domain, by their form, behind labels and words for victims."""
    for found in _CONVENTIONAL.finditer(text):
        if not is_of_attacker(text, found.start()):
            yield Span(*found.span(), OWN_MACHINE)
    if not _may_name_machine(text):
        return
    for pattern in (_LABELLED, _IN_SENTENCE):
        for found in pattern.finditer(text):
            named: re.Match[str] | None = found
            if is_of_attacker(text, found.start()):
                continue
            while named and _is_host_name(named["name"]):
                yield Span(*named.span("name"), OWN_MACHINE)
                named = _NEXT.match(text, named.end("name"))


def _find_by_form(text: str) -> Iterator[Span]:
    """Names that owners or their networks give, without a label."""
    for pattern in (_BEHIND_NOUN, _OF_PERSON):
        for found in pattern.finditer(text):
            group = found.lastgroup or 0
            if _NO_HOST.fullmatch(found[group]) or is_of_attacker(text, found.start()):
                continue
            if pattern is _BEHIND_NOUN or not _EVASION.search(text):
                yield Span(*found.span(group), OWN_MACHINE)


def _find_whole_names(text: str) -> Iterator[Span]:
    """Names of hosts with their domain, and hosts of file servers."""
    for found in _WHOLE_NAMES.finditer(text) if _may_hold_whole_name(text) else ():
        group = found.lastgroup or 0
        is_alone = group == "internal" and found.span() == (0, len(text))
        is_other = is_alone or is_of_attacker(text, found.start())
        if _is_host(found[group]) and not is_other:
            yield Span(*found.span(group), OWN_MACHINE)
    for found in _OWN_HOST.finditer(text) if _may_name_own(text) else ():
        before = text[max(0, found.start("name") - _WORDS_BEFORE) : found.start("name")]
        if _is_host(found["name"]) and not _SEEN_THERE.search(before):
            yield Span(*found.span("name"), OWN_MACHINE)
    for found in _SCHEME.finditer(text) if "://" in text else ():
        if not _ANY_HOST.fullmatch(found["name"]):
            yield Span(*found.span("name"), OWN_MACHINE)


def _is_host(name: str) -> bool:
    """True for a domain name whose top-level domain exists, or is one of private networks."""
    end = name.lower().rpartition(".")[2]
    return is_known_tld(end) or end in PRIVATE_TLDS or end in ("example", "test", "invalid")


def _is_host_name(name: str) -> bool:
    """True if a word has the form of a host's name, not that of a product or a compound."""
    if _HOST_FORM.fullmatch(name) is None or _NO_HOST.fullmatch(name) is not None:
        return False
    return _WORD_WITH_HYPHEN.fullmatch(name) is None


def _find_devices(text: str) -> Iterator[Span]:
    """MAC addresses and serial numbers."""
    may_hold_mac = max(text.count(":"), text.count("-")) >= _SEPARATORS_OF_MAC
    for found in _MAC.finditer(text) if may_hold_mac else ():
        if _OF_NO_MACHINE.fullmatch(found[0]) is None and not is_of_attacker(text, found.start()):
            yield Span(*found.span(), OWN_MACHINE)
    if _may_hold_serial(text) and _OF_CERTIFICATE.search(text) is None:
        for found in _SERIAL.finditer(text):
            yield Span(*found.span("name"), OWN_MACHINE)


def _find_ours(text: str) -> Iterator[Span]:
    """The addresses that words call the writer's own, with those of the same list."""
    end = -1
    if _MAY_HOLD_ADDRESS.search(text) is None:
        return
    for found in _ADDRESS.finditer(text):
        is_joined = end >= 0 and _JOINED.fullmatch(text, end, found.start()) is not None
        before = text[max(0, found.start() - _WORDS_BEFORE) : found.start()]
        if is_joined or (_OURS.search(before) and not _SEEN_THERE.search(before)):
            end = found.end()
            yield Span(found.start(), end, OWN_MACHINE)
        else:
            end = -1


def _find_private_names(text: str) -> Iterator[Span]:
    """Names of hosts and domains that mean nothing outside the writer's network."""
    for found in _PRIVATE_NAME.finditer(text) if _may_hold_private_name(text) else ():
        if _is_private_name(text, found):
            yield Span(*found.span(), OWN_MACHINE)
    for found in _NETWORK_PATH.finditer(text) if "\\\\" in text else ():
        group = found.lastgroup or 0
        if not _ANY_HOST.fullmatch(found[group]):
            yield Span(*found.span(group), OWN_MACHINE)
    for found in _DIRECTORY.finditer(text) if _may_hold_directory(text) else ():
        if found["first"].lower() not in _EXAMPLES:
            yield Span(*found.span(), OWN_MACHINE)


def _is_private_name(text: str, found: re.Match[str]) -> bool:
    """True unless the name is everybody's, or may be that of a file or a part of a program."""
    labels = found["labels"].lower()
    if labels in _OF_EVERYBODY or labels.partition(".")[0] in _PROGRAMS:
        return False
    if labels.endswith(("_tcp", "_udp")):  # queries of every machine
        return False
    if "." in labels or "-" in labels or not labels.isalpha() or found["scheme"] is not None:
        return True
    if text[found.start() - 1 : found.start()] == "]":  # behind the mask of a login in a URL
        return True
    before = text[max(0, found.start() - _WORDS_BEFORE) : found.start()]
    return _BEFORE_HOST.search(before) is not None
