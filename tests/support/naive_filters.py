"""A naive implementation of the interoperability document's filters, and objects to filter.

It shares no code with the product: `matches` inspects one parsed object, field by field.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

TEXTS = [
    "account_type",
    "context",
    "data_type",
    "encryption_algorithm",
    "identity_class",
    "name",
    "opinion",
    "pattern",
    "pattern_type",
    "primary_motivation",
    "region",
    "relationship_type",
    "resource_level",
    "result",
    "sophistication",
    "subject",
    "value",
]
NUMBERS = ["confidence", "dst_port", "number", "src_port"]
LISTS = [
    "aliases",
    "architecture_execution_envs",
    "capabilities",
    "extension_types",
    "implementation_languages",
    "indicator_types",
    "infrastructure_types",
    "labels",
    "malware_types",
    "personal_motivations",
    "report_types",
    "roles",
    "secondary_motivations",
    "sectors",
    "threat_actor_types",
    "tool_types",
]
HASHES = ["MD5", "SHA-1", "SHA-256", "SHA-512", "SHA3-256", "SHA3-512", "SSDEEP", "TLSH"]
IN_EXTENSIONS = {
    "address_family": "socket-ext",
    "socket_type": "socket-ext",
    "integrity_level": "windows-process-ext",
    "service_status": "windows-service-ext",
    "service_type": "windows-service-ext",
    "start_type": "windows-service-ext",
    "pe_type": "windows-pebinary-ext",
}
IN_REFERENCES = ["external_id", "source_name"]
BOUNDED = [
    "confidence-gte",
    "confidence-lte",
    "modified-gte",
    "modified-lte",
    "number-gte",
    "number-lte",
    "src_port-gte",
    "src_port-lte",
    "dst_port-gte",
    "dst_port-lte",
    "valid_until-gte",
    "valid_from-lte",
]
EVERY_FIELD = [
    *TEXTS,
    *NUMBERS,
    "revoked",
    *LISTS,
    *HASHES,
    *IN_EXTENSIONS,
    *IN_REFERENCES,
    "phase_name",
    "tlp",
    "relationships-all",
    *BOUNDED,
]
TLP = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}


def matches(one: Any, field: Any, values: Any) -> Any:
    """True if an object has one of the values, given as in a URL."""
    if field in BOUNDED:
        return is_within_bounds(one, field, values)
    if field in NUMBERS:
        return type(one.get(field)) is int and str(one[field]) in values
    if field == "revoked":
        return {"true": True, "false": False}[values[0]] is one.get("revoked", False)
    if field == "tlp":
        granular = [each.get("marking_ref") for each in one.get("granular_markings", [])]
        words = {TLP.get(id) for id in [*one.get("object_marking_refs", []), *granular]}
        return bool(words & {"clear" if value == "white" else value for value in values})
    return bool({each for each in texts_of(one, field) if isinstance(each, str)} & set(values))


def texts_of(one: Any, field: Any) -> Any:
    if field == "data_type":
        return [one.get(field), *(each.get("data_type") for each in one.get("values", []))]
    if field in TEXTS:
        return [one.get(field)] if isinstance(one.get(field), str) else []
    if field in LISTS:
        return one[field] if isinstance(one.get(field), list) else []
    if field == "phase_name":
        return [each.get("phase_name") for each in one.get("kill_chain_phases", [])]
    references = one.get("external_references", [])
    if field in IN_REFERENCES:
        return [each.get(field) for each in references]
    extensions = one.get("extensions", {})
    if field in IN_EXTENSIONS:
        return [extensions.get(IN_EXTENSIONS[field], {}).get(field)]
    if field == "relationships-all":
        return list(references_of(one))
    binary = extensions.get("windows-pebinary-ext", {})
    tables = [one.get("hashes"), *(each.get("hashes") for each in references)]
    streams = extensions.get("ntfs-ext", {}).get("alternate_data_streams", [])
    tables += [each.get("hashes") for each in (*streams, *binary.get("sections", []))]
    tables += [binary.get("file_header_hashes"), binary.get("optional_header", {}).get("hashes")]
    return [table.get(field) for table in tables if table]


def references_of(value: Any, name: Any = "") -> Iterator[Any]:
    if isinstance(value, dict):
        for inner_name, inner in value.items():
            yield from references_of(inner, inner_name)
    elif isinstance(value, list):
        for inner in value:
            yield from references_of(inner, name if name.endswith("_refs") else "")
    elif name.endswith(("_ref", "_refs")):
        yield value


def is_within_bounds(one: Any, field: Any, values: Any) -> Any:
    name, _, end = field.rpartition("-")
    read: Callable[[Any], Any]
    if name in NUMBERS:
        read = int
        if type(one.get(name)) is not int:
            return False
    else:
        read = datetime.fromisoformat
        try:
            datetime.fromisoformat(one.get(name))
        except (TypeError, ValueError):
            return False
    value: Any = one[name] if read is int else read(one[name])
    return any(value >= read(v) if end == "gte" else value <= read(v) for v in values)


LONG = "a value that is far too long for a key of an index, so that only its digest is in it: "
DAYS = [
    "1969-12-31T23:59:59Z",
    "2019-02-03T04:05:06.789Z",
    "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00.001Z",
    "2024-01-03T00:00:00Z",
    "2025-06-01T12:00:00.5Z",
    "2111-01-01T00:00:00Z",
    "2200-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
]
COUNTS = {
    "confidence": [0, 1, 7, 8, 50, 63, 64, 99, 100, -3, 200],
    "number": [0, 1, 2_047, 2_048, 65_000, 4_294_967_295, 2**53 - 1, -(2**53) + 1],
    "src_port": [0, 1, 63, 64, 443, 1_024, 65_535, 70_000],
    "dst_port": [0, 22, 80, 443, 511, 512, 65_535],
}
OWNERS = [f"identity--{uuid.UUID(int=n)}" for n in range(9)]


def values_of(field: Any) -> Any:
    """Return values, as in a URL, that some of the objects have, and one that none has."""
    name = field.rpartition("-")[0]
    if field in BOUNDED:
        return [str(each) for each in COUNTS.get(name, DAYS)]
    if field in COUNTS:
        return [*map(str, COUNTS[field]), "12345"]
    if field == "revoked":
        return ["true", "false"]
    if field == "tlp":
        return ["white", *sorted(set(TLP.values()))]
    if field == "relationships-all":
        return [*OWNERS, f"malware--{uuid.UUID(int=1)}"]
    return [f"{field} {n}" for n in range(4)] + [LONG + field, "Ünïcode ☃", f"no {field}", "#"]


def make_object(number: Any, rng: Any) -> Any:
    """Build object `number` with random properties, some of them of a wrong type."""
    known = {f: values_of(f)[:-2] for f in EVERY_FIELD if f not in (*BOUNDED, *COUNTS, "tlp")}

    def word(field: Any) -> Any:
        return rng.choice([*known[field], known[field][0], 7, True, None, [known[field][0]]])

    def some(fields: Any, share: Any = 0.25) -> Any:
        return [field for field in fields if rng.random() < share]

    def hashes() -> Any:
        return {name: word(name) for name in some(HASHES)}

    kind = rng.choice(["x-one", "x-two", "indicator"])
    one = {
        "type": kind,
        "id": f"{kind}--{uuid.UUID(int=number)}",
        "spec_version": "2.1",
        "created": "2019-01-01T00:00:00Z",
        "modified": rng.choice(DAYS),
        **{field: word(field) for field in some(TEXTS)},
        **{field: rng.choice([*COUNTS[field], "50", 50.0, True]) for field in some(NUMBERS, 0.5)},
        **{field: [word(field) for _ in range(rng.randrange(4))] for field in some(LISTS)},
        **{name: rng.choice([*DAYS, "soon"]) for name in some(["valid_from", "valid_until"], 0.6)},
        "hashes": hashes(),
        "values": [{"data_type": word("data_type")}],
        "external_references": [
            {**{field: word(field) for field in some(IN_REFERENCES)}, "hashes": hashes()}
        ],
        "kill_chain_phases": [{"phase_name": word("phase_name")} for _ in range(2)],
        "created_by_ref": rng.choice(OWNERS),
        "object_refs": [*rng.sample(OWNERS, 2), 7],
        "object_marking_refs": rng.sample(sorted(TLP), rng.randrange(2)),
        "granular_markings": [{"marking_ref": rng.choice(sorted(TLP)), "selectors": ["name"]}],
        "deep": [{"er": {"some_ref": rng.choice(OWNERS), "ref": OWNERS[0]}}],
        "extensions": {
            "ntfs-ext": {"alternate_data_streams": [{"hashes": hashes()}]},
            "windows-pebinary-ext": {
                "file_header_hashes": hashes(),
                "optional_header": {"hashes": hashes()},
                "sections": [{"hashes": hashes()}, {}],
            },
        },
    }
    for field, extension in IN_EXTENSIONS.items():
        one["extensions"].setdefault(extension, {})[field] = word(field)
    if rng.random() < 0.3:
        one["revoked"] = rng.choice([True, False, "true", 1])
    return one


def make_objects(size: Any, seed: Any = 7) -> Any:
    """Build objects; every tenth one is a new version of an earlier object."""
    rng = random.Random(seed)
    return [
        make_object(number if number % 10 else number // 2, rng) for number in range(1, size + 1)
    ]
