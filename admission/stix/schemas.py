"""The OASIS schemas of STIX 2.1, one validator for each type.

They are read from the stix2-validator package, which ships them, and checked
by jsonschema-rs: microseconds an object instead of milliseconds.  Formats
(URI, host name) are not asserted here; `validate` has rules of its own.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import jsonschema_rs

_BASE = "http://raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/"
_SAFE_TYPE = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*-?$"
"""In place of core.json's pattern for `type`, whose nested repetition backtracks exponentially."""
_FOLDERS = ("sdos", "sros", "observables")
_META = frozenset(("marking-definition", "language-content", "extension-definition"))


class Validator(Protocol):
    """What is needed of a compiled schema."""

    def is_valid(self, instance: object) -> bool:
        """Whether the instance breaks the schema nowhere."""
        ...

    def iter_errors(self, instance: object) -> Any:
        """Every way in which the instance breaks the schema."""
        ...


@dataclass(frozen=True, slots=True)
class Schema:
    """What the standard says of one type."""

    validator: Validator
    properties: frozenset[str]
    """Every property that the standard gives the type."""
    extensions: frozenset[str]
    """The extensions that the standard predefines for the type (SCOs only)."""
    times: tuple[str, ...]
    """Those of its properties that are timestamps, sorted."""
    observable: bool
    """Whether it is a STIX Cyber-observable Object."""


@cache
def schemas() -> Mapping[str, Schema]:
    """Every type of STIX 2.1 with its schema.  Compiled once for each process, 0.3 s."""
    found: dict[str, Schema] = {}
    for name, body in documents().items():
        folder, _, file = name.partition("/")
        kind = file.removesuffix(".json")
        if kind in types():
            found[kind] = Schema(
                validator=_compiled(body),
                properties=frozenset(_property_names(name)),
                extensions=frozenset(_extension_names(body)),
                times=tuple(sorted(set(_times(name)))),
                observable=folder == "observables",
            )
    return found


def schema_of(subject: Mapping[str, Any]) -> Schema:
    """By which an object is judged: that of its type, or of any type that is not STIX 2.1's own."""
    own = schemas().get(str(subject.get("type")))
    return own or _foreign(observable="created" not in subject)


@cache
def _foreign(*, observable: bool) -> Schema:
    """What holds for every type, whoever defines it: the common properties (section 3.2).

    A name and a description are read as those of any type.  Extensions belong to a type.
    """
    name = "common/cyber-observable-core.json" if observable else "common/core.json"
    texts = {} if observable else {each: {"type": "string"} for each in ("name", "description")}
    return Schema(
        validator=_compiled({"allOf": [{"$ref": _BASE + name}], "properties": texts}),
        properties=frozenset((*_property_names(name), *texts)),
        extensions=frozenset(),
        times=tuple(sorted(set(_times(name)))),
        observable=observable,
    )


@cache
def types() -> frozenset[str]:
    """Every type of STIX 2.1, without reading a schema."""
    files = [each for folder in _FOLDERS for each in (_root() / folder).glob("*.json")]
    return _META.union(each.stem for each in files)


@cache
def names() -> frozenset[str]:
    """Every name that the standard gives a property, of whatever type and however deep."""
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
    """Every schema by its folder and name."""
    return {
        f"{folder.name}/{file.name}": _document(file)
        for folder in _root().iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".json")
    }


@cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([(_BASE + name, body) for name, body in documents().items()])


def _compiled(body: dict[str, Any]) -> Validator:
    return jsonschema_rs.Draft202012Validator(body, registry=_registry())


def _root() -> Path:
    package = find_spec("stix2validator")  # its data only: to import it takes a second
    assert package is not None and package.origin is not None  # noqa: S101  (a dependency)
    return Path(package.origin).parent / "schemas-2.1" / "schemas"


def _document(file: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if file.name == "core.json":
        body["properties"]["type"]["pattern"] = _SAFE_TYPE
    if file.name == "granular-marking.json":  # a language or a marking (section 7.2.3.1)
        body["required"] = ["selectors"]
        body["oneOf"] = [{"required": ["marking_ref"]}, {"required": ["lang"]}]
    if file.name == "windows-registry-key.json":
        del body["allOf"][1]["properties"]["key"]["not"]  # means hives, refuses any key with `hku`
    return body


def _property_names(name: str) -> list[str]:
    return [each for part in _parts(name) for each in part.get("properties", ())]


def _times(name: str) -> list[str]:
    return [
        each
        for part in _parts(name)
        for each, said in part.get("properties", {}).items()
        if any("timestamp.json" in str(rule.get("$ref")) for rule in (said, *said.get("allOf", ())))
    ]


def _parts(name: str) -> Iterator[dict[str, Any]]:
    """A schema, and those that it extends by allOf."""
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
