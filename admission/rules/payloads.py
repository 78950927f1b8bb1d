"""What was carried or typed is looked at by nobody's eyes here, so it does not pass unseen.

The hashes and the name of an artifact pass; its content waits for an analyst.
Traffic goes on without what was in it, a process without its environment, and
a command line waits while the rest goes on.  A command line in a pattern is
what the indicator matches on, so it stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.admission.masking import PROPERTY, Found, settled
from tocsin.admission.model import Candidate, Rule, RuleContext, StixObject

DEFAULTS: Mapping[str, object] = {
    "artifact": "hold",  # a file's content
    "traffic": "strip",  # references to what was sent, bodies of HTTP requests
    "secrets": "strip",  # cookies and credentials in headers of HTTP requests
    "content": "strip",  # the reference from a file to its content
    "command_line": "ask",
    "environment": "strip",
}
MODES = dict.fromkeys(DEFAULTS, PROPERTY)

_RULE = "payloads"
_PROPERTIES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "artifact": {"payload_bin": ("artifact", "carries a file's content")},
    "file": {"content_ref": ("content", "leads to the file's content")},
    "network-traffic": {
        "src_payload_ref": ("traffic", "leads to what was sent"),
        "dst_payload_ref": ("traffic", "leads to what was sent"),
    },
    "process": {
        "command_line": ("command_line", "may hold names, hosts and passwords"),
        "environment_variables": ("environment", "says how somebody's machine is set up"),
    },
}
_SECRET_HEADERS = frozenset(
    (
        *("cookie", "set-cookie", "authorization", "proxy-authorization", "x-api-key"),
        *("x-auth-token", "x-csrf-token", "x-forwarded-for", "x-real-ip", "forwarded", "referer"),
    )
)


def prepared(around: RuleContext) -> Rule:
    """Takes out what a file, a connection or a process carried."""
    settings = {**DEFAULTS, **around.settings}

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        found = [(path, str(settings[mode]), why) for path, mode, why in _found(subject)]
        return settled(candidate, _RULE, found) if found else candidate

    return apply


def _found(subject: StixObject) -> Iterator[Found]:
    """What there is of it, with the names of settings for modes."""
    for name, (mode, why) in _PROPERTIES.get(str(subject.get("type")), {}).items():
        if name in subject:
            yield (name,), mode, why
    if subject.get("type") == "network-traffic":
        yield from _requests(subject)


def _requests(subject: StixObject) -> Iterator[Found]:
    request = _inside(_inside(subject, "extensions"), "http-request-ext")
    place = ("extensions", "http-request-ext")
    if "message_body_data_ref" in request:
        yield (*place, "message_body_data_ref"), "traffic", "leads to what was sent"
    for name in _inside(request, "request_header"):
        if name.lower() in _SECRET_HEADERS:
            yield (*place, "request_header", name), "secrets", "says who asked, or opens a door"


def _inside(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
