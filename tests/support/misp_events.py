"""Invented events of MISP for tests, and what is built_objects of them."""

import json

from tocsin.admission import examine, formats, parse_policy
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Submitter, Tlp
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000  # 2026-09-21
STAMP = "1770000000"  # 2026-02-02T02:40:00Z
MD5, SHA1, SHA256 = "a" * 32, "b" * 40, "c" * 64
EVENT = "5e000000-0000-4000-8000-00000000000e"


def uuid(number):
    return f"5e000000-0000-4000-8000-{number:012d}"


def attribute(kind="domain", value="evil.com", number=1, **more):
    body = {"uuid": uuid(number), "type": kind, "value": value, "to_ids": True}
    return body | {"timestamp": STAMP, "category": "Network activity", **more}


def event(*attributes, **more):
    body = {"uuid": EVENT, "info": "Invoices", "date": "2026-02-01", "timestamp": STAMP}
    return {"Event": body | {"Attribute": list(attributes), **more}}


def object_(name, *attributes, **more):
    return {"name": name, "uuid": uuid(900), "Attribute": list(attributes), **more}


def read(content, tlp=Tlp.GREEN, name="event.json"):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return list(formats.read(name, raw, formats.ReadOptions(now=NOW, tlp=tlp)))


def built_objects(content, kind="indicator", **how):
    return [c.object for c in read(content, **how) if c.object and c.object["type"] == kind]


def patterns(*attributes, **more):
    return [each["pattern"] for each in built_objects(event(*attributes, **more))]


def messages(candidates):
    return [finding.message for each in candidates for finding in each.findings]


def examined(content, **submitter):
    """The candidates after admission with the default policy."""
    sender = Submitter(default_tlp=Tlp.GREEN, **submitter)
    return examine(read(content), parse_policy(policy_text(None)), sender, WarningLists([]), NOW)


def tlp_of(content, tlp=Tlp.GREEN):
    (indicator,) = built_objects(content, tlp=tlp)
    (mark,) = indicator["object_marking_refs"]
    return next(each for each in Tlp if TLP_2_IDS[each] == mark)
