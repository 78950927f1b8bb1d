"""Remove or hold contents that no rule can read: files, traffic, command lines.

An artifact with its content is held; its hashes and its name pass.  Traffic loses what was
sent, a process its environment, an account its password, a document the names of its authors.
A pattern on one of these is held.  A command line is removed and a reviewer is asked; one in a
pattern stays, since the indicator matches on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from tocsin.admission.detectors.registry_values import (
    PASSWORDS,
    compares_registry_data,
    find_registry_data,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import (
    PROPERTY_MODES,
    Removal,
    block_value,
    mode_of_value,
    remove_properties,
)
from tocsin.admission.model import Candidate, Path, Rule, RuleContext, StixObject, Verdict
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.patterns.canonical import path_steps
from tocsin.admission.word_lists import load_alternation

DEFAULTS: Mapping[str, object] = {
    "artifact": "hold",  # a file's content
    "traffic": "strip",  # references to payloads, bodies of HTTP requests
    "secrets": "strip",  # passwords; cookies and credentials in headers of HTTP requests
    "content": "strip",  # the reference from a file to its content
    "command_line": "ask",
    "environment": "strip",
    "session": "ask",  # titles of windows, how a process was started, records of a connection
    "metadata": "strip",  # authors and owners of documents, places and cameras of photographs
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
    "user-account": {"credential": ("secrets", "is a password")},
}
"""By type and property: its setting, and the reason."""
_IN_PATTERNS = ("payload_bin", "environment_variables")
"""Properties on which a pattern is held, through whatever reference it reaches them.  `user_paths`
asks about passwords."""
_BY_NAME = {
    name: found
    for properties in _PROPERTIES.values()
    for name, found in properties.items()
    if name in _IN_PATTERNS
}
_PASSWORD = "is a password in the registry"  # noqa: S105  the words for it, no secret
_RECORDED = "may contain names of people, files and hosts"
_AUTHOR = "says who wrote the document, or for whom"
_PHOTOGRAPH = "says who took the photograph, where, or with which camera"
_SENDER = "says who sent the request, or contains credentials"
_IN_DICTIONARIES: Mapping[str, tuple[tuple[Path, re.Pattern[str], str, str], ...]] = {
    "network-traffic": (
        (
            ("extensions", "http-request-ext", "request_header"),
            compile_lazily(
                f".*{load_alternation('tocsin.admission.rules', 'stripped_http_request_headers')}"
            ),
            "secrets",
            _SENDER,
        ),
    ),
    "file": (
        (
            ("extensions", "pdf-ext", "document_info_dict"),
            compile_lazily(
                r"author|company|manager|owner|last-?(?:modified|saved)-?by|source-?modified"
            ),
            "metadata",
            _AUTHOR,
        ),
        (
            ("extensions", "raster-image-ext", "exif_tags"),
            compile_lazily(
                r"artist|author|.*owner|xp-?author|copyright|gps|.*serial-?number|.*unique-?id"
            ),
            "metadata",
            _PHOTOGRAPH,
        ),
    ),
}
"""By type: the path of a dictionary, the names in it that match, their setting, the reason."""
_IN_EXTENSIONS: Mapping[str, tuple[tuple[Path, str, str], ...]] = {
    "network-traffic": (
        (
            ("extensions", "http-request-ext", "message_body_data_ref"),
            "traffic",
            "refers to what was sent",
        ),
        (("ipfix",), "session", _RECORDED),
    ),
    "process": (
        (("extensions", "windows-process-ext", "window_title"), "session", _RECORDED),
        (("extensions", "windows-process-ext", "startup_info"), "session", _RECORDED),
    ),
}


def build_rule(context: RuleContext) -> Rule:
    """Remove or hold what a file, a connection or a process carried."""
    settings = {**DEFAULTS, **context.settings}

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        if subject.get("type") == "indicator":
            return _check_pattern(candidate, subject, settings)
        removals = [
            Removal(path, str(settings[setting]), reason)
            for path, setting, reason in _find_payloads(subject)
        ]
        secret = str(settings["secrets"])
        removals += [
            Removal(path, secret, _PASSWORD) for path in find_registry_data(subject, PASSWORDS)
        ]
        return remove_properties(candidate, _RULE, removals) if removals else candidate

    return apply


def _find_payloads(subject: StixObject) -> Iterator[tuple[Path, str, str]]:
    """Path, setting and reason of each property that carries a payload."""
    kind = str(subject.get("type"))
    for name, (setting, reason) in _PROPERTIES.get(kind, {}).items():
        if name in subject:
            yield (name,), setting, reason
    for path, setting, reason in _IN_EXTENSIONS.get(kind, ()):
        if path[-1] in _dict_at(subject, path[:-1]):
            yield path, setting, reason
    for path, names, setting, reason in _IN_DICTIONARIES.get(kind, ()):
        for name in _dict_at(subject, path):
            if _is_named(names, name):
                yield (*path, name), setting, reason


def _is_named(names: re.Pattern[str], name: str) -> bool:
    return names.match(name.strip().lower().replace("_", "-")) is not None


def _check_pattern(
    candidate: Candidate, subject: StixObject, settings: Mapping[str, object]
) -> Candidate:
    """Hold or refuse a pattern on what an observable would lose."""
    found = {
        each
        for observable in extract_observables(subject)
        if observable.property != "value"
        for each in _find_in_path(observable.property)
    }
    if compares_registry_data(subject, PASSWORDS):
        found.add(("secrets", _PASSWORD))
    for setting, reason in sorted(found):
        mode = mode_of_value(settings[setting], settings)
        candidate = block_value(candidate, _RULE, mode, f"matches on what {reason}", "pattern")
        if candidate.verdict is Verdict.REFUSED:
            break
    return candidate


@lru_cache(maxsize=1024)
def _find_in_path(path: str) -> tuple[tuple[str, str], ...]:
    """Setting and reason of each payload that a pattern's path leads to."""
    steps = path_steps(path)
    named = [_BY_NAME[step] for step in steps if step in _BY_NAME]
    entries = (
        (setting, reason)
        for dictionaries in _IN_DICTIONARIES.values()
        for (*_, dictionary), names, setting, reason in dictionaries
        for step, entry in pairwise(steps)
        if step == dictionary and _is_named(names, entry)
    )
    return (*named, *entries)


def _dict_at(value: dict[str, Any], path: Path) -> dict[str, Any]:
    for step in path:
        inside = value.get(str(step))
        value = inside if isinstance(inside, dict) else {}
    return value
