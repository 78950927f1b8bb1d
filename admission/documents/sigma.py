"""Sigma rules: the documents of a YAML file, and what each says of itself.

YAML is looked at as a stream of events first: its readers recurse, and aliases multiply.
"""

import re
from datetime import date
from typing import Any

import yaml

from tocsin.admission.documents import SigmaFile, SigmaRule
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

_DEEPEST = 60
_MOST_ALIASES = 20
_MOST_RULES = 5_000
_LONGEST = 2_000
_SEPARATOR = compile_lazily(r"^---[ \t]*(?:#.*)?$", re.MULTILINE)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(content: bytes) -> SigmaFile:
    """The rules of a file.  Raises Malformed."""
    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    parts = _split(text)
    if len(parts) > _MOST_RULES:
        raise Malformed(f"it has more than {_MOST_RULES} rules: split it")
    rules = [(line, part, _parse(part, line)) for line, part in parts]
    if any(_depends_on_others(body) for _, _, body in rules):
        body = next((b for _, _, b in rules if "title" in b), {})
        return SigmaFile([_make_rule(1, text, body)])
    return SigmaFile([_make_rule(line, part, body) for line, part, body in rules])


def _split(text: str) -> list[tuple[int, str]]:
    """The documents, each with its first line; those of comments only are left out."""
    found, start = [], 0
    for separator in [*_SEPARATOR.finditer(text), None]:
        part = text[start : separator.start() if separator else len(text)]
        if any(line.strip() and not line.lstrip().startswith("#") for line in part.split("\n")):
            blank = len(part) - len(part.lstrip())
            found.append((text.count("\n", 0, start + blank) + 1, part.strip() + "\n"))
        start = separator.end() if separator else start
    return found


def _parse(text: str, line: int) -> dict[str, Any]:
    try:
        _measure(text)
        body = yaml.load(text, Loader=_LOADER)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, ValueError):
        raise Malformed(f"line {line}: it is not well-formed YAML from here on") from None
    return body if isinstance(body, dict) else {}


def _measure(text: str) -> None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > _DEEPEST or aliases > _MOST_ALIASES:
            raise Malformed("it is nested too deeply, or has too many aliases")


def _depends_on_others(body: dict[str, Any]) -> bool:
    """True for correlations, and for parts that only together with others are a rule."""
    return "correlation" in body or "action" in body


def _make_rule(line: int, text: str, body: dict[str, Any]) -> SigmaRule:
    moment = body.get("date", "")
    return SigmaRule(
        line=line,
        text=text,
        title=_text(body.get("title"))[:200],
        date=moment.isoformat() if isinstance(moment, date) else _text(moment).replace("/", "-"),
        tags=_texts(body.get("tags")) + [f"tlp.{each}" for each in _texts([body.get("tlp")])],
        references=_texts(body.get("references")),
    )


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return (
        [text for each in value[:100] if (text := _text(each))] if isinstance(value, list) else []
    )
