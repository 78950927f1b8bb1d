"""Finds the exceptions of a rule that name the writer's own machines, people and networks.

A rule of Sigma has selections with them, called `filter` or the like, or behind `not` in its
condition; one of Snort or Suricata lets traffic `pass`, or has addresses in its head behind a `!`.
They say who wrote the rule.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_network
from itertools import islice

from tocsin.admission.detectors.ip_addresses import find_ip_networks, is_private
from tocsin.admission.detectors.placeholders import is_personal_account
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject

_SECTION = compile_lazily(
    r"(?P<indent>[ \t]{1,40})[\"']?(?P<name>[\w-]{1,80})[\"']?[ \t]{0,4}:(?P<rest>.*)"
)
_OF_EXCEPTIONS = compile_lazily(
    r"(?:\w{0,20}_)?(?:filter|exclu|exception|whitelist|allow|own_|our_|known|legit|trusted"
    r"|false_?pos|fp|ignore)",
    re.IGNORECASE,
)
"""The beginning of the names of selections with exceptions."""
_CONDITION = compile_lazily(r"\bcondition[\"']?[ \t]{0,4}:(.{0,2000})")
_NEGATED_NAMES = compile_lazily(
    r"\bnot\s{1,4}(\([^()]{0,500}\)|(?:(?:1|any|all)\s{1,4}of\s{1,4})?[\w*-]{1,80})", re.IGNORECASE
)
_NAME = compile_lazily(r"[\w*-]{2,80}")
_ENTRY = compile_lazily(
    r"[ \t-]{0,60}(?:[\"']?(?P<field>[\w.@-]{1,80})(?:\|[\w|]{1,60})?[\"']?[ \t]{0,4}:(?=\s|\Z))?"
    r"[ \t]{0,4}[\"']?(?P<value>.*?)[\"']?(?:[ \t]{1,8}#.*)?[ \t\r]{0,8}"
)
_OWN_FIELD = compile_lazily(
    r"(?:\w{0,40}[._])?(?:(?:source|src|client|caller)?_?"
    r"(?:computer|workstation|machine|host|device)_?(?:names?)?(?:\.name)?"
    r"|(?:subject|target|source|src|caller|initiating\w{0,20})?_?(?:user|account)_?(?:names?|id)?"
    r"(?:principalname)?)",
    re.IGNORECASE,
)
"""Fields of machines and people: `Computer`, `TargetUserName`.

Not of the machines that are contacted: those of an exception are nearly always a service's.
"""
_OF_EVERY_MACHINE = compile_lazily(
    r"(?:nt[ -])?(?:authori|autori)\w*(?:\\.*)?"
    r"|(?:nt service|builtin|iis apppool|window manager|font driver host)(?:\\.*)?"
    r"|(?:msol|aad)_.*|health ?mailbox.*|localhost|true|false|any|unknown|null|n/a|[\d\W_]*|.{0,3}",
    re.IGNORECASE,
)
"""Values of such fields beside the accounts that every machine has: `AUTHORI`, `$`."""
_PASS = compile_lazily(r"\s*pass\s{1,8}\w{1,20}\s")
_NEGATED = compile_lazily(r"!\s{0,4}(?:\[([^\[\]]{0,4000})\]|(\S{1,60}))")
_MOST_LINES = 2_000
_MOST_NAMES = 100
"""Names of selections that are looked for."""
_WORDS_OF_CONDITIONS = frozenset(("of", "or", "and", "not", "any", "all", "them"))
_RESOLVERS = frozenset(
    map(
        ip_network,
        (
            *("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112"),
            *("208.67.222.222", "208.67.220.220", "2001:4860:4860::8888", "2001:4860:4860::8844"),
            *("2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe"),
        ),
    )
)
"""Resolvers that everybody asks."""
_WIDEST_OWN = {4: 16, 6: 29}
"""Bits of the widest network of one organisation, by version of IP.

Exceptions with a wider one list the networks of a service: Sigma's own rules name those of
Microsoft and of clouds.
"""


def names_own_exceptions(subject: StixObject) -> bool:
    """True for an indicator whose rule has exceptions that name addresses, machines or people."""
    pattern = subject.get("pattern")
    if subject.get("type") != "indicator" or not isinstance(pattern, str):
        return False
    language = subject.get("pattern_type")
    if language == "sigma":
        return any(map(_names_own, _read_exceptions(pattern)))
    if language in ("snort", "suricata"):
        rules = pattern.replace("\\\n", " ").split("\n", _MOST_LINES)
        return any(_lets_pass(each.partition("(")[0]) for each in rules)
    return False


def _lets_pass(head: str) -> bool:
    """True for the head of a rule with addresses that it spares."""
    negated = (" ".join(filter(None, each.groups())) for each in _NEGATED.finditer(head))
    return _names_own_networks(head if _PASS.match(head) else " ".join(negated))


def _read_exceptions(rule: str) -> list[list[tuple[str, str]]]:
    """The selections with exceptions of a rule in Sigma: field and value of each line."""
    selections: list[list[tuple[str, str]]] = []
    negated = _find_negated_names(rule)
    indent, field = -1, ""
    for line in rule.split("\n", _MOST_LINES)[:_MOST_LINES]:
        own = len(line) - len(line.lstrip())
        if indent >= 0 and line.strip() and own <= indent and not line.lstrip().startswith("-"):
            indent = -1
        found = _SECTION.match(line) if indent < 0 else None
        if found and _holds_exceptions(found["name"], negated):
            indent, field = len(found["indent"]), ""
            selections.append([("", found["rest"])])
        elif indent >= 0 and (entry := _ENTRY.fullmatch(line)):
            field = entry["field"] or field
            selections[-1].append((field, entry["value"]))
    return selections


def _find_negated_names(rule: str) -> list[str]:
    """The names that conditions have behind `not`, some with `*`: `not 1 of mine_*`."""
    found = (
        name
        for condition in _CONDITION.finditer(rule)
        for negated in _NEGATED_NAMES.finditer(condition[1])
        for name in _NAME.findall(negated[1])
        if name.lower() not in _WORDS_OF_CONDITIONS
    )
    return list(islice(found, _MOST_NAMES))


def _holds_exceptions(name: str, negated: Iterable[str]) -> bool:
    """True if the name of a selection says so, or the rule's condition negates it."""
    return bool(_OF_EXCEPTIONS.match(name)) or any(fnmatchcase(name, each) for each in negated)


def _names_own(selection: Sequence[tuple[str, str]]) -> bool:
    return any(_is_own(*each) for each in selection) or _names_own_networks(
        "\n".join(value for _, value in selection)
    )


def _is_own(field: str, value: str) -> bool:
    """True for a machine or an account that not every organisation has."""
    if not value.strip() or _OWN_FIELD.fullmatch(field) is None or value.endswith("$"):
        return False
    name = value.strip("\\*. ")
    if _OF_EVERY_MACHINE.fullmatch(name):
        return False
    return is_personal_account(name.rpartition("\\")[2])


def _names_own_networks(text: str) -> bool:
    """True if public addresses or networks are named, none of which is a large service's."""
    named = (each for _, _, each in find_ip_networks(text) if not is_private(each))
    networks = [each for each in named if each not in _RESOLVERS]
    return bool(networks) and all(each.prefixlen >= _WIDEST_OWN[each.version] for each in networks)
