"""Explain how an object breaks its schema, without a word of what it says.

The schema library's own messages quote the object, and its regular expressions help nobody.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jsonschema_rs import ValidationError

_NO_TIME = r"(\.[0-9]+)?Z$"
"""The end of the expression with which the schemas reject a timestamp."""
_MOST_SHOWN = 20
"""Words of a vocabulary that a message lists."""

_TO_CORRECT: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "required": lambda rule: f'"{rule["property"]}" is a required property',
    "type": lambda rule: f"must be of type {' or '.join(rule['types'])}",
    "enum": lambda rule: f"must be one of {_list_words(rule['options'])}",
    "const": lambda rule: f"must be {rule['expected_value']}",
    "minimum": lambda rule: f"must be at least {rule['limit']}",
    "maximum": lambda rule: f"must be at most {rule['limit']}",
    "minItems": lambda rule: f"must have at least {rule['limit']} item: add one, or leave it out",
    "minProperties": lambda rule: f"must have at least {rule['limit']} entry, or be left out",
    "minLength": lambda rule: f"must have at least {rule['limit']} characters",
    "maxLength": lambda rule: f"must have at most {rule['limit']} characters",
    "additionalProperties": lambda rule: (
        f"has names that STIX does not allow ({len(rule['unexpected'])}): change or remove them"
    ),
    "not": lambda rule: _explain_prohibition(rule["schema"]),
    "pattern": lambda rule: (
        "not a timestamp: write it as 2026-01-31T23:59:59.000Z"
        if str(rule["pattern"]).endswith(_NO_TIME)
        else "does not have the form that STIX requires"
    ),
}
"""By keyword of JSON Schema: the explanation, from the rule that the schema has there."""
_ALTERNATIVES = frozenset(("anyOf", "oneOf"))


def explain_schema_error(place: str, error: ValidationError) -> str:
    """The rule that is broken at `place`, and how to follow it."""
    keyword = error.kind.name
    if place == "id" and keyword == "pattern":
        return "`id` must be the type, two hyphens and a UUID of version 1 to 5"
    if keyword in _ALTERNATIVES:
        return "lacks a required property, or has two that exclude each other"
    explain = _TO_CORRECT.get(keyword)
    if explain is None:
        return f"breaks the rule {keyword!r} of its schema: compare it with the standard"
    return explain(error.kind.as_dict())


def _list_words(words: list[Any]) -> str:
    more = ", ..." if len(words) > _MOST_SHOWN else ""
    return ", ".join(map(str, words[:_MOST_SHOWN])) + more


def _explain_prohibition(schema: object) -> str:
    names = schema.get("required") if isinstance(schema, dict) else None
    if not names:
        return "has a value that STIX does not allow here"
    return f"must not have {' and '.join(f'`{each}`' for each in names)} beside what else it has"
