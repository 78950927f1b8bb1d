"""Sigma rules, read by pySigma: the YAML, the rule's parts, and its conditions.

YAML is looked at as a stream of events first: its readers recurse, and its
aliases multiply.
"""

import yaml
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError

from tocsin.admission.errors import Malformed
from tocsin.admission.patterns.languages import MAX_DEPTH, Language, check_depth, library_error

_MOST_ALIASES = 20
_MOST_RULES = 50
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check(pattern: str) -> None:
    """Raises Malformed if it is not one or more Sigma rules whose conditions can be read."""
    check_depth(pattern, "[{(", "]})")
    try:
        _measure(pattern)
        rules = SigmaCollection.from_yaml(pattern).rules
        if not 0 < len(rules) <= _MOST_RULES:
            raise Malformed(f"not Sigma: between 1 and {_MOST_RULES} rules are wanted")
        for rule in rules:
            for condition in getattr(getattr(rule, "detection", None), "parsed_condition", ()):
                condition.parse()
    except SigmaError as error:
        raise library_error("Sigma", str(error)) from None
    except yaml.YAMLError as error:
        raise library_error(
            "Sigma", str(getattr(error, "problem", None) or "broken YAML")
        ) from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # pySigma takes the shape of a rule for granted
        raise Malformed("not Sigma: a rule has title, logsource and detection") from None


def _measure(pattern: str) -> None:
    depth = aliases = 0
    for event in yaml.parse(pattern, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH or aliases > _MOST_ALIASES:
            raise Malformed("not Sigma: nested too deeply, or too many aliases")


LANGUAGE = Language(check)
