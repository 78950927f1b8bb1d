"""The OASIS JSON schemas of STIX 2.1, one compiled validator for each type.

The schema files are vendored in `oasis_schemas/`, with their licence.  They are
compiled by jsonschema-rs: microseconds for an object instead of milliseconds.
Formats (URI, host name) are not asserted here; `validate` and
`observables/values.py` have rules of their own.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import jsonschema_rs

_BASE = "http://raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/"
_SAFE_TYPE = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*-?$"
"""Replaces core.json's pattern for `type`, whose nested repetition backtracks exponentially."""
_FOLDERS = ("sdos", "sros", "observables")
_META = frozenset(("marking-definition", "language-content", "extension-definition"))


@dataclass(frozen=True)
class Schema:
    """The standard's rules for one type."""

    body: dict[str, Any] = field(repr=False)
    """The JSON schema."""
    properties: frozenset[str]
    """Every property that the standard defines for the type."""
    extensions: frozenset[str]
    """The extensions that the standard predefines for the type (SCOs only)."""
    times: tuple[str, ...]
    """The names of its timestamp properties, sorted."""
    observable: bool
    """True for a STIX Cyber-observable Object (SCO)."""

    @cached_property
    def validator(self) -> jsonschema_rs.Draft202012Validator:
        """Compiled when it is first needed: those of all types take 35 MB and 0.3 s."""
        return jsonschema_rs.Draft202012Validator(self.body, registry=_registry())


@cache
def schemas() -> Mapping[str, Schema]:
    """Every type of STIX 2.1 with its schema."""
    found: dict[str, Schema] = {}
    for name, body in documents().items():
        folder, _, file = name.partition("/")
        kind = file.removesuffix(".json")
        if kind in standard_types():
            found[kind] = Schema(
                body=body,
                properties=frozenset(_property_names(name)),
                extensions=frozenset(_extension_names(body)),
                times=tuple(sorted(set(_timestamp_names(name)))),
                observable=folder == "observables",
            )
    return found


def schema_for(subject: Mapping[str, Any]) -> Schema:
    """The schema of the object's type, or the generic one if STIX 2.1 does not define the type."""
    own = schemas().get(str(subject.get("type")))
    return own or _generic_schema(observable="created" not in subject)


@cache
def _generic_schema(*, observable: bool) -> Schema:
    """The rules for types that STIX 2.1 does not define: the common properties (section 3.2).

    `name` and `description` are accepted as texts too.  No extension is
    accepted, because each extension belongs to a type.
    """
    name = "common/cyber-observable-core.json" if observable else "common/core.json"
    texts = {} if observable else {each: {"type": "string"} for each in ("name", "description")}
    return Schema(
        body={"allOf": [{"$ref": _BASE + name}], "properties": texts},
        properties=frozenset((*_property_names(name), *texts)),
        extensions=frozenset(),
        times=tuple(sorted(set(_timestamp_names(name)))),
        observable=observable,
    )


@cache
def standard_types() -> frozenset[str]:
    """The name of every type of STIX 2.1.  Reads no schema, only the names of the files."""
    folders = (_root() / folder for folder in _FOLDERS)
    return _META.union(
        file.name.removesuffix(".json")
        for folder in folders
        for file in folder.iterdir()
        if file.name.endswith(".json")
    )


@cache
def standard_property_names() -> frozenset[str]:
    """Every property name that the standard defines, for any type and at any depth."""
    found: set[str] = set()
    waiting: list[Any] = list(documents().values())
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            properties = part.get("properties")
            found.update(properties if isinstance(properties, dict) else ())
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return frozenset(found)


@cache
def documents() -> Mapping[str, dict[str, Any]]:
    """Every schema document by folder and file name, such as `sdos/tool.json`."""
    return {
        f"{folder.name}/{file.name}": _load(file)
        for folder in _root().iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".json")
    }


@cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([(_BASE + name, body) for name, body in documents().items()])


def _root() -> Traversable:
    return files(__package__) / "oasis_schemas"


def _load(file: Traversable) -> dict[str, Any]:
    """One document, with the few places corrected in which the file deviates from the standard."""
    body: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if file.name == "core.json":
        body["properties"]["type"]["pattern"] = _SAFE_TYPE
    if file.name == "granular-marking.json":  # a language or a marking (section 7.2.3.1)
        body["required"] = ["selectors"]
        body["oneOf"] = [{"required": ["marking_ref"]}, {"required": ["lang"]}]
    if file.name == "windows-registry-key.json":
        # meant for abbreviated hives, but refuses every key that contains `hku`
        del body["allOf"][1]["properties"]["key"]["not"]
    return body


def _property_names(name: str) -> list[str]:
    return [each for part in _parts(name) for each in part.get("properties", ())]


def _timestamp_names(name: str) -> list[str]:
    return [
        each
        for part in _parts(name)
        for each, rules in part.get("properties", {}).items()
        if any(
            "timestamp.json" in str(rule.get("$ref")) for rule in (rules, *rules.get("allOf", ()))
        )
    ]


def _parts(name: str) -> Iterator[dict[str, Any]]:
    """A document, its alternatives, and the documents that it extends."""
    waiting: list[dict[str, Any]] = [documents()[name]]
    while waiting:
        body = waiting.pop()
        yield body
        waiting.extend(body.get("allOf", ()))
        waiting.extend(body.get("anyOf", ()))
        waiting.extend(body.get("oneOf", ()))
        reference = str(body.get("$ref", ""))
        if reference.startswith("../"):
            waiting.append(documents()[reference.removeprefix("../")])


def _extension_names(body: dict[str, Any]) -> list[str]:
    return [
        name.strip("^$")
        for definition, part in body.get("definitions", {}).items()
        if definition.endswith("extensions-dictionary")
        for name in part.get("patternProperties", ())
    ]
