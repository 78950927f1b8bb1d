"""ACS marking definitions for tests."""

from typing import Any

from tocsin.admission.markings.acs import ACS_EXTENSION

ID = "marking-definition--33333333-3333-4333-8333-333333333333"


POLICY = "urn:isa:policy:acs:ns:v3.0?privdefault={}&sharedefault={}"


ALL = ["permitted_nationalities", "permitted_organizations", "shareability", "entity"]


def acs(**changes: Any) -> Any:
    """Build an ACS marking definition as AIS writes it for content for the federal government."""
    marking = {
        "extension_type": "property-extension",
        "identifier": "isa:guide.19001.ACS3-3bda2f6e-cedc-4c0f-a756-c03d6b586917",
        "create_date_time": "2026-01-01T00:00:00.000Z",
        "responsible_entity_custodian": "USA.DHS.US-CERT",
        "policy_reference": POLICY.format("deny", "deny"),
        "control_set": {"classification": "U", "formal_determination": ["FOUO", "AIS"]},
        "access_privilege": [
            {
                "privilege_action": "CISAUSES",
                "privilege_scope": {name: ["ALL"] for name in ALL},
                "rule_effect": "permit",
            }
        ],
        "further_sharing": [{"sharing_scope": ["USA.USG"], "rule_effect": "permit"}],
        **changes,
    }
    marking = {name: value for name, value in marking.items() if value is not None}
    stamp = "2026-01-01T00:00:00Z"  # not the hub's timestamp format
    head = {"type": "marking-definition", "spec_version": "2.1", "id": ID, "created": stamp}
    return {**head, "extensions": {ACS_EXTENSION: marking}}


def control(**changes: Any) -> Any:
    """Build a definition with changes in its control set."""
    return acs(control_set={"classification": "U", "formal_determination": ["FOUO"], **changes})
