"""Finds the exceptions of a rule that name the writer's own machines, people and networks.

A rule of Sigma has a selection with them, most often called `filter`; one of Snort or Suricata
lets traffic `pass`, or has addresses in its head behind a `!`.  They say who wrote the rule.
"""

import re
from collections.abc import Iterator

from tocsin.admission.detectors.ip_addresses import find_ip_networks, is_private
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject

_SECTION = compile_lazily(
    r"(?P<indent>[ \t]{1,40})[\"']?(?:\w{0,20}_)?(?:filter|exclu|exception|whitelist|allow|own_"
    r"|our_|known|legit|trusted|false_?pos|fp|ignore)\w{0,60}[\"']?[ \t]{0,4}:(?P<rest>.*)",
    re.IGNORECASE,
)
_ENTRY = compile_lazily(
    r"[ \t-]{0,60}(?:[\"']?(?P<field>[\w.@-]{1,80})(?:\|[\w|]{1,60})?[\"']?[ \t]{0,4}:(?=\s|\Z))?"
    r"[ \t]{0,4}[\"']?(?P<value>.*?)[\"']?[ \t\r]{0,8}"
)
_OWN_FIELD = compile_lazily(
    r"(?:\w{0,40}[._])?(?:(?:source|src|target|destination|dest|client|caller)?_?"
    r"(?:computer|workstation|machine|host|device)_?(?:names?)?(?:\.name)?"
    r"|(?:subject|target|source|src|caller|initiating\w{0,20})?_?(?:user|account)_?(?:names?|id)?"
    r"(?:principalname)?)",
    re.IGNORECASE,
)
"""Fields of machines and people: `Computer`, `TargetUserName`."""
_OF_SYSTEM = compile_lazily(
    r"\W*(?:(?:nt[ -])?(?:authori|autori)\w*|(?:local |network )?(?:system|service)s?|anonymous"
    r"(?: logon)?|(?:window manager|font driver host|nt service|builtin|dwm|umfd|iis apppool"
    r"|network service|local service)\b.*|root|www-data|nobody|daemon|postgres|mysql|sshd|msol_.*"
    r"|administrat\w*|guest|krbtgt|aad_.*|health\w*|defaultaccount|null|n/a|true|false|any|unknown"
    r"|localhost|[\d\W_]*|.{0,3})\W*(?:(?<=\W)(?:(?:local |network )?(?:system|service))\W*)?",
    re.IGNORECASE,
)
"""Values of such fields that every machine has: `NT AUTHORITY\\SYSTEM`, `$`."""
_PASS = compile_lazily(r"\s*pass\s{1,8}\w{1,20}\s")
_NEGATED = compile_lazily(r"!\s{0,4}(?:\[([^\[\]]{0,4000})\]|(\S{1,60}))")
_MOST_LINES = 2_000


def names_own_exceptions(subject: StixObject) -> bool:
    """True for an indicator whose rule has exceptions that name addresses, machines or people."""
    pattern = subject.get("pattern")
    if subject.get("type") != "indicator" or not isinstance(pattern, str):
        return False
    language = subject.get("pattern_type")
    if language == "sigma":
        return any(_is_own(*each) for each in _read_exceptions(pattern))
    if language in ("snort", "suricata"):
        head = pattern.partition("(")[0]
        negated = (" ".join(filter(None, each.groups())) for each in _NEGATED.finditer(head))
        return _has_public_address(head if _PASS.match(head) else " ".join(negated))
    return False


def _read_exceptions(rule: str) -> Iterator[tuple[str, str]]:
    """Field and value of each line of the selections with exceptions."""
    indent, field = -1, ""
    for line in rule.split("\n", _MOST_LINES)[:_MOST_LINES]:
        own = len(line) - len(line.lstrip())
        if indent >= 0 and line.strip() and own <= indent and not line.lstrip().startswith("-"):
            indent = -1
        if indent < 0 and (found := _SECTION.match(line)):
            indent, field = len(found["indent"]), ""
            yield "", found["rest"]
        elif indent >= 0 and (entry := _ENTRY.fullmatch(line)):
            field = entry["field"] or field
            yield field, entry["value"]


def _is_own(field: str, value: str) -> bool:
    if _has_public_address(value):
        return True
    return (
        bool(value.strip())
        and _OWN_FIELD.fullmatch(field) is not None
        and _OF_SYSTEM.fullmatch(value) is None
        and not value.endswith("$")
    )


def _has_public_address(text: str) -> bool:
    return any(not is_private(network) for _, _, network in find_ip_networks(text))
