"""Rules of Snort and Suricata, a line each, read by suricataparser.

Neither the addresses nor the options of a rule are looked at: engines differ in them."""

from suricataparser import parse_rule
from suricataparser.exceptions import RuleParseException

from tocsin.admission.errors import Malformed
from tocsin.admission.patterns.languages import Language

_MOST_RULES = 200


def check(pattern: str) -> None:
    """Raises Malformed if a rule cannot be read."""
    rules = _rules(pattern)
    if not 0 < len(rules) <= _MOST_RULES:
        raise Malformed(f"not a rule: between 1 and {_MOST_RULES} rules are wanted, one a line")
    for number, rule in enumerate(rules, 1):
        if not _readable(rule):
            raise Malformed(f"not a rule: the one at place {number} cannot be read")


def _rules(pattern: str) -> list[str]:
    """A rule a line, or one rule over many lines as Snort 3 has it."""
    joined = pattern.replace("\\\r\n", " ").replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    rules = [line for line in lines if line and not line.startswith("#")]
    one = " ".join(rules)
    return [one] if len(rules) > 1 and not _readable(rules[0]) and _readable(one) else rules


def _readable(rule: str) -> bool:
    try:
        return parse_rule(rule) is not None
    except (RuleParseException, IndexError, ValueError):
        return False  # it raises on some junk and answers None on other


LANGUAGE = Language(check)
