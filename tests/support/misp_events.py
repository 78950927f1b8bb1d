"""Invented MISP events, and the objects built from them."""

import json
from typing import Any

from tocsin.admission import examine, formats, parse_policy
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Submitter, Tlp
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000  # 2026-09-21
STAMP = "1770000000"  # 2026-02-02T02:40:00Z
MD5, SHA1, SHA256 = "a" * 32, "b" * 40, "c" * 64
EVENT = "5e000000-0000-4000-8000-00000000000e"


def uuid(number: Any) -> Any:
    return f"5e000000-0000-4000-8000-{number:012d}"


def attribute(kind: Any = "domain", value: Any = "evil.com", number: Any = 1, **more: Any) -> Any:
    body = {"uuid": uuid(number), "type": kind, "value": value, "to_ids": True}
    return body | {"timestamp": STAMP, "category": "Network activity", **more}


def event(*attributes: Any, **more: Any) -> Any:
    body = {"uuid": EVENT, "info": "Invoices", "date": "2026-02-01", "timestamp": STAMP}
    return {"Event": body | {"Attribute": list(attributes), **more}}


def object_(name: Any, *attributes: Any, **more: Any) -> Any:
    return {"name": name, "uuid": uuid(900), "Attribute": list(attributes), **more}


def read(content: Any, tlp: Any = Tlp.GREEN, name: Any = "event.json") -> Any:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return list(formats.read(name, raw, formats.ReadOptions(now=NOW, tlp=tlp)))


def built_objects(content: Any, kind: Any = "indicator", **how: Any) -> Any:
    return [c.object for c in read(content, **how) if c.object and c.object["type"] == kind]


def patterns(*attributes: Any, **more: Any) -> Any:
    return [each["pattern"] for each in built_objects(event(*attributes, **more))]


def examine_event(content: Any, **submitter: Any) -> Any:
    """Examine an event under the default policy; return the candidates."""
    sender = Submitter(default_tlp=Tlp.GREEN, **submitter)
    return examine(read(content), parse_policy(policy_text(None)), sender, WarningLists([]), NOW)


def tlp_of(content: Any, tlp: Any = Tlp.GREEN) -> Any:
    (indicator,) = built_objects(content, tlp=tlp)
    (mark,) = indicator["object_marking_refs"]
    return next(each for each in Tlp if TLP_2_IDS[each] == mark)


def stix_export(mark: str) -> list[dict[str, Any]]:
    """An event as MISP exports it to STIX 2.1: only the grouping has a marking."""
    head = {"spec_version": "2.1", "created": "2026-02-01T00:00:00.000Z"}
    head |= {"modified": head["created"], "created_by_ref": f"identity--{uuid(1)}"}
    seen = {"first_observed": head["created"], "last_observed": head["created"]}
    domain = "domain-name--5e000000-0000-4000-8000-000000000004"
    pattern = "[domain-name:value = 'evil-portal.top']"
    members: list[dict[str, Any]] = [
        {
            "type": "indicator",
            "id": f"indicator--{uuid(2)}",
            **head,
            **{"pattern": pattern, "pattern_type": "stix", "valid_from": head["created"]},
            "labels": ['misp:type="domain"', 'misp:to_ids="True"'],
        },
        {
            "type": "observed-data",
            "id": f"observed-data--{uuid(3)}",
            **head,
            **seen,
            "number_observed": 1,
            "object_refs": [domain],
        },
        {"type": "domain-name", "spec_version": "2.1", "id": domain, "value": "evil-shop.ru"},
        {
            "type": "relationship",
            "id": f"relationship--{uuid(5)}",
            **head,
            "relationship_type": "based-on",
            "source_ref": f"indicator--{uuid(2)}",
            "target_ref": f"observed-data--{uuid(3)}",
        },
    ]
    identity = {"type": "identity", "id": f"identity--{uuid(1)}", **head}
    del identity["created_by_ref"]
    grouping = {
        "type": "grouping",
        "id": f"grouping--{EVENT}",
        **head,
        "name": "Invoices",
        "context": "suspicious-activity",
        "object_refs": [each["id"] for each in members],
        "object_marking_refs": [mark],
    }
    named = identity | {"name": "MISP", "identity_class": "organization"}
    return [named, grouping, *members]
