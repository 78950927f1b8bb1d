"""A statement marking definition for tests."""

from support.stix_objects import TIME, ref

STATEMENT = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": ref("marking-definition"),
    "created": TIME,
    "definition_type": "statement",
    "definition": {"statement": "Copyright of somebody"},
}
