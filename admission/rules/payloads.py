"""Remove or hold contents that no rule can read: files, traffic, command lines.

An artifact with its content is held; its hashes and its name pass.  Traffic loses what was
sent, a process its environment.  A command line is removed and an analyst is asked; one in
a pattern stays, since the indicator matches on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.admission.masking import PROPERTY_MODES, Removal, remove_properties
from tocsin.admission.model import Candidate, Path, Rule, RuleContext, StixObject

DEFAULTS: Mapping[str, object] = {
    "artifact": "hold",  # a file's content
    "traffic": "strip",  # references to payloads, bodies of HTTP requests
    "secrets": "strip",  # cookies and credentials in headers of HTTP requests
    "content": "strip",  # the reference from a file to its content
    "command_line": "ask",
    "environment": "strip",
}
MODES = dict.fromkeys(DEFAULTS, PROPERTY_MODES)

_RULE = "payloads"
_PROPERTIES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "artifact": {"payload_bin": ("artifact", "contains a file's content")},
    "file": {"content_ref": ("content", "refers to the file's content")},
    "network-traffic": {
        "src_payload_ref": ("traffic", "refers to what was sent"),
        "dst_payload_ref": ("traffic", "refers to what was sent"),
    },
    "process": {
        "command_line": ("command_line", "may contain names, hosts and passwords"),
        "environment_variables": ("environment", "says how somebody's machine is configured"),
    },
}
"""By type and property: its setting, and the reason."""
_SECRET_HEADERS = frozenset(
    (
        *("cookie", "set-cookie", "authorization", "proxy-authorization", "x-api-key"),
        *("x-auth-token", "x-csrf-token", "x-forwarded-for", "x-real-ip", "forwarded", "referer"),
    )
)


def build_rule(context: RuleContext) -> Rule:
    """Remove or hold what a file, a connection or a process carried."""
    settings = {**DEFAULTS, **context.settings}

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        removals = [
            Removal(path, str(settings[setting]), reason)
            for path, setting, reason in _find_payloads(subject)
        ]
        return remove_properties(candidate, _RULE, removals) if removals else candidate

    return apply


def _find_payloads(subject: StixObject) -> Iterator[tuple[Path, str, str]]:
    """Path, setting and reason of each property that carries a payload."""
    for name, (setting, reason) in _PROPERTIES.get(str(subject.get("type")), {}).items():
        if name in subject:
            yield (name,), setting, reason
    if subject.get("type") == "network-traffic":
        yield from _find_http_payloads(subject)


def _find_http_payloads(subject: StixObject) -> Iterator[tuple[Path, str, str]]:
    request = _dict_at(_dict_at(subject, "extensions"), "http-request-ext")
    path = ("extensions", "http-request-ext")
    if "message_body_data_ref" in request:
        yield (*path, "message_body_data_ref"), "traffic", "refers to what was sent"
    for name in _dict_at(request, "request_header"):
        if name.lower() in _SECRET_HEADERS:
            reason = "says who sent the request, or contains credentials"
            yield (*path, "request_header", name), "secrets", reason


def _dict_at(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
