"""References between objects: which target types are allowed, finding and rewriting them.

A reference is any property whose name ends in `_ref` or `_refs` (STIX 2.1
section 3.1), at any depth.  Markings are references too, but of another kind;
`markings` owns those of TLP.

The OASIS schemas restrict the target types of some properties only; the table
here covers all of STIX 2.1, by section.  A type that the standard does not
define is accepted wherever any SCO or SDO is.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.memo import memoize_nested
from tocsin.admission.stix.schemas import schemas

_ADDRESSES = ("ipv4-addr", "ipv6-addr")
_MAILBOX = ("email-addr",)
_SOFTWARE = ("software",)
_NO_END = ("relationship", "sighting", "bundle", "marking-definition", "language-content")
_COMMON: Mapping[str, tuple[str, ...]] = {
    "created_by_ref": ("identity",),  # section 3.2
    "object_marking_refs": ("marking-definition",),  # section 7.2
}
_TARGETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "malware": {"operating_system_refs": _SOFTWARE, "sample_refs": ("file", "artifact")},  # 4.11
    "malware-analysis": {  # section 4.12
        "host_vm_ref": _SOFTWARE,
        "operating_system_ref": _SOFTWARE,
        "installed_software_refs": _SOFTWARE,
        "analysis_sco_refs": ("SCO",),
        "sample_ref": ("file", "artifact", "network-traffic"),
    },
    "observed-data": {"object_refs": ("SCO", "relationship", "sighting")},  # section 4.14
    "sighting": {  # section 5.2
        "sighting_of_ref": ("SDO",),
        "observed_data_refs": ("observed-data",),
        "where_sighted_refs": ("identity", "location"),
    },
    "directory": {"contains_refs": ("file", "directory")},  # section 6.3
    "domain-name": {"resolves_to_refs": (*_ADDRESSES, "domain-name")},  # section 6.4
    "email-addr": {"belongs_to_ref": ("user-account",)},  # section 6.5
    "email-message": {  # section 6.6
        "from_ref": _MAILBOX,
        "sender_ref": _MAILBOX,
        "to_refs": _MAILBOX,
        "cc_refs": _MAILBOX,
        "bcc_refs": _MAILBOX,
        "raw_email_ref": ("artifact",),
        "body_multipart.body_raw_ref": ("artifact", "file"),
    },
    "file": {  # section 6.7
        "parent_directory_ref": ("directory",),
        "contains_refs": ("SCO",),
        "content_ref": ("artifact",),
        "extensions.archive-ext.contains_refs": ("file", "directory"),
    },
    "ipv4-addr": {"resolves_to_refs": ("mac-addr",), "belongs_to_refs": ("autonomous-system",)},
    "ipv6-addr": {"resolves_to_refs": ("mac-addr",), "belongs_to_refs": ("autonomous-system",)},
    "network-traffic": {  # section 6.12
        "src_ref": (*_ADDRESSES, "mac-addr", "domain-name"),
        "dst_ref": (*_ADDRESSES, "mac-addr", "domain-name"),
        "src_payload_ref": ("artifact",),
        "dst_payload_ref": ("artifact",),
        "encapsulates_refs": ("network-traffic",),
        "encapsulated_by_ref": ("network-traffic",),
        "extensions.http-request-ext.message_body_data_ref": ("artifact",),
    },
    "process": {  # section 6.13
        "opened_connection_refs": ("network-traffic",),
        "creator_user_ref": ("user-account",),
        "image_ref": ("file",),
        "parent_ref": ("process",),
        "child_refs": ("process",),
        "extensions.windows-service-ext.service_dll_refs": ("file",),
    },
    "windows-registry-key": {"creator_user_ref": ("user-account",)},  # section 6.17
}
"""By type and property.  SCO and SDO mean every object of that kind."""


def target_fault(kind: str, path: Path, target: str) -> str:
    """The fault of a reference from an object of type `kind` to type `target`; empty if none.

    >>> target_fault("process", ("parent_ref",), "file")
    'must point at process'
    """
    if path[0] in ("source_ref", "target_ref"):
        return f"a relationship cannot join a {target}" if target in _NO_END else ""
    wanted = _COMMON.get(str(path[0])) or _allowed_targets(kind, path)
    if wanted is None:
        return "a bundle is not an object: refer to an object in it" if target == "bundle" else ""
    if target in wanted or _class_of(target) in wanted:
        return ""
    if target not in schemas() and {"SCO", "SDO"}.intersection(wanted):
        return ""  # an object that the standard does not define may be of either kind
    return f"must point at {' or '.join(wanted)}"


def _allowed_targets(kind: str, path: Path) -> tuple[str, ...] | None:
    own = _TARGETS.get(kind)
    return own.get(".".join(step for step in path if isinstance(step, str))) if own else None


@lru_cache(maxsize=256)
def _class_of(kind: str) -> str:
    schema = schemas().get(kind)
    if schema is None or kind in _NO_END or kind == "extension-definition":
        return ""
    return "SCO" if schema.observable else "SDO"


def find_references(subject: StixObject) -> Iterator[tuple[Path, object]]:
    """Every reference with its place; of an observable, those in its parts and extensions too."""
    for name in [name for name in subject if "_ref" in name]:
        value = subject[name]
        if name.endswith("_ref") and type(value) is not list and type(value) is not dict:
            yield (name,), value
    yield from _inner(subject)


@memoize_nested
def _inner(subject: StixObject) -> Iterator[tuple[Path, object]]:
    yield from _pointers(subject, ())
    if subject["type"] in _TARGETS:
        for name in ("body_multipart", "extensions"):
            if name in subject:
                yield from _inside(subject[name], (name,))


def _pointers(members: dict[str, Any], path: Path) -> Iterator[tuple[Path, object]]:
    for name, value in members.items():
        if name.endswith("_ref"):
            yield (*path, name), value
        elif name.endswith("_refs") and isinstance(value, list):
            for place, target in enumerate(value):
                yield (*path, name, place), target


def _inside(part: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(part, dict):
        yield from _pointers(part, path)
        for name, value in part.items():
            if isinstance(value, dict | list):
                yield from _inside(value, (*path, name))
    elif isinstance(part, list):
        for place, item in enumerate(part):
            yield from _inside(item, (*path, place))


ResolveId = Callable[[str, str], str | None]
"""The public id for a source id in a property; None if the audience has no such object."""

REQUIRED_REFERENCES: dict[str, tuple[str, ...]] = {
    "relationship": ("source_ref", "target_ref"),
    "sighting": ("sighting_of_ref",),
    "report": ("object_refs",),
    "grouping": ("object_refs",),
    "note": ("object_refs",),
    "opinion": ("object_refs",),
    "language-content": ("object_ref",),
    "observed-data": ("object_refs",),
}
"""References without which an object of the type has no meaning."""


_CONTAINERS = (dict, list)


@dataclass(frozen=True, slots=True)
class RewrittenReferences:
    """An object with its references rewritten."""

    object: StixObject
    dropped: tuple[tuple[Path, str], ...] = ()
    """References that could not be resolved: where, and to what."""
    missing: tuple[str, ...] = ()
    """Dropped references that the object needs; it cannot be published without."""


def referenced_ids(subject: StixObject) -> list[str]:
    """Every id that the object refers to, markings and author included.

    Asked nine times of each object that is published, so most values, which are texts, come first.
    """
    found: list[str] = []
    waiting: list[Any] = [subject]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += [item for item in part if isinstance(item, _CONTAINERS)]
            continue
        for name, value in part.items():
            if isinstance(value, str):
                if name.endswith("_ref"):
                    found.append(value)
            elif isinstance(value, list) and name.endswith("_refs"):
                found += [item for item in value if isinstance(item, str)]
            elif isinstance(value, _CONTAINERS):
                waiting.append(value)
    return found


def required_references(subject: StixObject) -> Iterator[list[str]]:
    """The targets of each reference that the object requires; it needs one of each."""
    for name in REQUIRED_REFERENCES.get(subject["type"], ()):
        value = subject.get(name)
        if value is not None:
            yield value if isinstance(value, list) else [value]


def lacks_required_reference(subject: StixObject, gone: Collection[str]) -> bool:
    """True if all targets of a reference that the object requires are in `gone`."""
    return any(
        targets and all(target in gone for target in targets)
        for targets in required_references(subject)
    )


def rewrite_references(subject: StixObject, resolve: ResolveId) -> RewrittenReferences:
    """The object with every reference replaced by what `resolve` gives for it."""
    dropped: list[tuple[Path, str]] = []
    body = _resolve_properties(subject, resolve, (), dropped)
    needed = REQUIRED_REFERENCES.get(subject["type"], ())
    lost = {path[0] for path, _ in dropped if path[0] in needed}
    empty = {name for name in lost if not body.get(name)}
    empty.add("object_marking_refs")  # nothing goes out without a marking that it came with
    missing = tuple(target for path, target in dropped if path[0] in empty)
    return RewrittenReferences(body, tuple(dropped), missing)


def _resolve_part(
    part: Any, resolve: ResolveId, path: Path, dropped: list[tuple[Path, str]]
) -> Any:
    if isinstance(part, list):
        if not any(isinstance(item, _CONTAINERS) for item in part):
            return part.copy()
        return [_resolve_part(item, resolve, (*path, at), dropped) for at, item in enumerate(part)]
    return _resolve_properties(part, resolve, path, dropped) if isinstance(part, dict) else part


def _resolve_properties(
    part: dict[str, Any], resolve: ResolveId, path: Path, dropped: list[tuple[Path, str]]
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in part.items():
        if isinstance(value, str) and name.endswith("_ref"):
            found = resolve(value, name)
            if found is None:
                dropped.append(((*path, name), value))
            else:
                body[name] = found
        elif not isinstance(value, _CONTAINERS):
            body[name] = value
        elif isinstance(value, list) and name.endswith("_refs"):
            kept = _resolve_list(value, resolve, (*path, name), dropped)
            if kept:
                body[name] = kept
        else:
            body[name] = _resolve_part(value, resolve, (*path, name), dropped)
    return body


def _resolve_list(
    targets: list[Any], resolve: ResolveId, path: Path, dropped: list[tuple[Path, str]]
) -> list[str]:
    kept: dict[str, None] = {}
    name = str(path[-1])
    for at, target in enumerate(targets):
        found = resolve(target, name) if isinstance(target, str) else None
        if found is None:
            dropped.append(((*path, at), str(target)))
        else:
            kept[found] = None
    return list(kept)
