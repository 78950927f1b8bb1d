"""Sigma rules whose detections are lists of values, for every SIEM that Sigma converts to.

A kind of value without any has no file, because a rule without values is not valid.
"""

import json
import uuid
from collections.abc import Iterator

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.entries import single_line

_NAMESPACE = uuid.UUID("a3d5f4e2-1f0b-4b8f-9c55-b9a9f41f0a26")
_YAML = "application/yaml"
_RULES = {
    "ipv4": ("Connection to a listed address", "network_connection", "DestinationIp"),
    "ipv6": ("Connection to a listed address", "network_connection", "DestinationIp"),
    "domain": ("Query for a listed name", "dns_query", "QueryName"),
    "url": ("Request for a listed URL", "proxy", "c-uri"),
    "md5": ("A listed file was started", "process_creation", "Hashes|contains"),
    "sha1": ("A listed file was started", "process_creation", "Hashes|contains"),
    "sha256": ("A listed file was started", "process_creation", "Hashes|contains"),
}
"""For each kind the title of its rule, the category of its log source, and the field.

Kinds that no category of Sigma has a field for are left out."""


def _write(state: CurrentState) -> Iterator[OutputFile]:
    for kind in _RULES:
        if next(state.values(kind), None) is not None:
            yield OutputFile(f"sigma-{kind}.yml", _rule(state, kind), _YAML)


def _rule(state: CurrentState, kind: str) -> Iterator[bytes]:
    title, category, field = _RULES[kind]
    feed = single_line(state.feed, 60)
    head = {
        "title": f"{title} ({feed}, {kind})",
        "id": str(uuid.uuid5(_NAMESPACE, f"{state.lasting_name} {kind}")),
        "status": "experimental",
        "description": f"Values that the feed {feed} lists at present.",
        "level": "high",
    }
    for name, text in head.items():
        yield f"{name}: {json.dumps(text)}\n".encode()
    yield f"logsource:\n  category: {category}\n".encode()
    is_network = category == "network_connection"
    plain = (e for e in state.values(kind) if not (is_network and "/" in e.value))
    networks = (e for e in state.values(kind) if is_network and "/" in e.value)
    yield b"detection:\n"
    names = []
    for name, key, chosen in (("values", field, plain), ("networks", f"{field}|cidr", networks)):
        lines = joined_lines(f"      - {_quoted(e.value)}\n".encode() for e in chosen)
        for n, chunk in enumerate(lines):
            if n == 0:
                names.append(name)
                yield f"  {name}:\n    {key}:\n".encode()
            yield chunk
    yield f"  condition: {' or '.join(names)}\n".encode()


def _quoted(value: str) -> str:
    r"""A value in YAML; Sigma's wildcards and its escape character stand for themselves.

    >>> print(_quoted("http://a.test/?x=*"))
    "http://a.test/\\?x=\\*"
    """
    literal = value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
    return json.dumps(literal)


FORMAT = OutputFormat("sigma", "Sigma rules with lists of values", _write, has_one_file=False)
