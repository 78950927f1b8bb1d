"""Rules of Snort and Suricata: each active rule becomes an indicator; its message is the name.

The language follows from the rules themselves: words that only Suricata knows make it
Suricata, words that only Snort knows make it Snort.  Rules that both read are Suricata's,
unless the file's name says otherwise.
"""

import re
from collections.abc import Iterator

from tocsin.admission.extraction.external_ids import find_external_ids, take_external_ids
from tocsin.admission.extraction.indicators import IndicatorDetails, refused_candidate
from tocsin.admission.extraction.rule_indicators import Rule, RuleBuilder
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.extraction.tlp_words import find_strictest_tlp
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Action, Candidate, Finding

_ENDINGS = (".rules", ".suricata", ".snort")
_ACTION = r"(?:alert|drop|reject\w{0,5}|pass|log|sdrop|block|rewrite)"
_HEAD = compile_lazily(rf"{_ACTION}\s+\w{{1,20}}(?:\s+\S+\s+\S+\s+(?:->|<>|<-)\s+\S+\s+\S+)?\s*\(")
_DISABLED = compile_lazily(rf"#+\s*{_ACTION}\s+\w{{1,20}}\s.*\(")
_MESSAGE = compile_lazily(r"\bmsg\s*:\s*\"((?:\\.|[^\"\\]){1,1000})\"")
_REFERENCE = compile_lazily(r"\breference\s*:\s*url\s*,\s*([^\s;]{4,1000})\s*;")
_CVE = compile_lazily(r"\breference\s*:\s*cve\s*,\s*(?:cve-)?(\d{4}-\d{4,10})\s*;", re.IGNORECASE)
_METADATA = compile_lazily(
    r"(?<=[\s,:])(?:cve|mitre_(?:tactic|technique)_id)\s+([A-Za-z]{1,3}[\w.-]{2,20})", re.IGNORECASE
)
"""Ids in `metadata`, as Emerging Threats writes them: `cve CVE_2021_44228`."""
_CLASS = compile_lazily(r"\bclasstype\s*:\s*([\w-]{2,60})\s*;")
_SURICATA = compile_lazily(
    r"\b(?:http|dns|tls|ssh|smb|ftp|file|ja3s?|ja4|snmp|krb5|quic|mqtt|sip|rdp|smtp|icmpv[46]|tcp)"
    r"\.\w+\s*;|\b(?:dataset|datarep|xbits|flowint|iprep|luajit|lua|app-layer-\w+|bsize|pcrexform"
    r"|dotprefix|to_sha256|tls_cert_\w+|filemd5|filesha\d+|prefilter)\s*[:;]",
)
_SNORT = compile_lazily(
    r"\b(?:metadata\s*:[^;]{0,500}\bservice\s|service\s*:|http_\w+\s*:\s*field|so\s*:|gid\s*:\s*3\s*;"
    r"|file_type\s*:|sd_pattern|bufferlen|metadata\s*:[^;]{0,500}\bpolicy\s[^;]{0,40}-ips\b)"
)
_MOST_LINES = 200
"""Lines of one rule."""


def _accepts(name: str, content: bytes) -> bool:
    return name.lower().endswith(_ENDINGS) and any(
        _HEAD.match(line.lstrip("\ufeff \t#")) for line in decode_text(content).split("\n")
    )


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    text = decode_text(content)
    lines = text.split("\n")
    level, notes = find_strictest_tlp(enumerate(lines, 1))
    disabled = sum(_DISABLED.match(line) is not None for line in lines)
    if disabled:
        message = f"rules that are commented out are not shared: {disabled}"
        notes = (*notes, Finding("validate", "format", Action.NOTED, message))
    language = _find_language(name, text)
    rules = RuleBuilder(options, level, notes)
    for number, pattern in _split(lines):
        if not _HEAD.match(pattern):
            message = f"line {number}: not a rule of Snort or Suricata"
            yield refused_candidate(rules.builder.next_index(), message)
            continue
        yield rules.build(_make_rule(number, pattern), language, _parse_details(pattern, rules))
        rules.notes = notes[: len(notes) - bool(disabled)]  # the note on the first one suffices
    if not rules.builder.count:
        message = f"no rule is active in it: {disabled} are commented out"
        yield refused_candidate(0, message)


def _find_language(name: str, text: str) -> str:
    if _SURICATA.search(text):
        return "suricata"
    return "snort" if _SNORT.search(text) or "snort" in name.lower() else "suricata"


def _split(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The rules of a file, each with its first line; a rule of Snort 3 may have many lines."""
    number = 0
    while number < len(lines):
        start = number
        line = lines[number].strip().lstrip("\ufeff")
        number += 1
        if not line or line.startswith("#"):
            continue
        while not _is_complete(line) and number < min(len(lines), start + _MOST_LINES):
            following = lines[number].strip()
            if _HEAD.match(following):
                break
            line = f"{line.removesuffix(chr(92)).rstrip()} {following}"
            number += 1
        yield start + 1, line.strip()


def _is_complete(line: str) -> bool:
    """True if a rule ends here, or if it is none."""
    if line.endswith("\\"):
        return False
    return line.endswith(")") or not re.match(_ACTION + r"\s", line)


def _make_rule(number: int, pattern: str) -> Rule:
    message = _MESSAGE.search(pattern)
    return Rule(message[1].replace("\\", "") if message else "rule", pattern, number)


def _parse_details(pattern: str, rules: RuleBuilder) -> IndicatorDetails:
    links = [each if "://" in each else f"https://{each}" for each in _REFERENCE.findall(pattern)]
    message = _MESSAGE.search(pattern)
    ids = [f"CVE-{each}" for each in _CVE.findall(pattern)]
    ids += [each.replace("_", "-") for each in _METADATA.findall(pattern)]
    return IndicatorDetails(
        tlp=rules.level,
        external_ids=find_external_ids((*(message.groups() if message else ()), *ids, *links)),
        labels=tuple(dict.fromkeys(_CLASS.findall(pattern))),
        references=tuple(link for link in dict.fromkeys(links) if _is_report(link)),
    )


def _is_report(link: str) -> bool:
    return "@" not in link and not take_external_ids(link)[1]


FORMAT = Format(
    name="network_rules",
    description="rules of Snort or Suricata: each active rule as an indicator",
    never_shared="comments, and rules that are commented out",
    extensions=_ENDINGS[:1],
    accepts=_accepts,
    read=_read_file,
)
