"""Examples for the description: one small exchange, the same throughout.

Invented, and valid: a test holds each against its schema.
"""

from tocsin.server.taxii.content import MEDIA_TYPE, STIX

COLLECTION_ID = "8d2b6a5e-3a8e-4a7e-9d2f-0c6f3f7f6b21"
ALIAS = "green"
OBJECT = "indicator--5f1c9f0a-6d3b-4c0e-8a53-1d2f4b9a7c10"
MODIFIED = "2026-05-01T08:00:00.000Z"
ADDED = "2026-05-01T12:00:00.000017Z"
STATUS = "2f6f1d0b-7c1a-4b3e-9a55-64c1f0a3d9e8"
NEXT = "AAAAAAAAAGSAAAAAAAAAAGl1c3QgYW4gZXhhbXBsZSBvZiBhIGN1cnNvciwgb24_"
TAG = '"kq0zXo3Yw1hU6c2b5d8e"'
REQUEST = "0a1b2c3d4e5f6071"

INDICATOR: dict[str, object] = {
    "type": "indicator",
    "spec_version": "2.1",
    "id": OBJECT,
    "created": MODIFIED,
    "modified": MODIFIED,
    "pattern": "[domain-name:value = 'update-check-portal.top']",
    "pattern_type": "stix",
    "valid_from": "2026-05-01T08:00:00Z",
    "indicator_types": ["malicious-activity"],
}
ENVELOPE: dict[str, object] = {"more": True, "next": NEXT, "objects": [INDICATOR]}
LAST_ENVELOPE: dict[str, object] = {"more": False}
POSTED: dict[str, object] = {"objects": [INDICATOR]}
MANIFEST: dict[str, object] = {
    "more": False,
    "objects": [
        {
            "id": OBJECT,
            "date_added": ADDED,
            "version": MODIFIED,
            "media_type": f"{STIX};version=2.1",
        }
    ],
}
VERSIONS: dict[str, object] = {"more": False, "versions": [MODIFIED]}
COLLECTION: dict[str, object] = {
    "id": COLLECTION_ID,
    "alias": ALIAS,
    "title": "TLP:GREEN",
    "can_read": True,
    "can_write": False,
    "media_types": [f"{STIX};version=2.1"],
}
COLLECTIONS: dict[str, object] = {"collections": [COLLECTION]}
DISCOVERY: dict[str, object] = {
    "title": "Tocsin",
    "contact": "soc@hub.example",
    "default": "/hub/",
    "api_roots": ["/hub/"],
}
API_ROOT: dict[str, object] = {
    "title": "Tocsin",
    "versions": [MEDIA_TYPE],
    "max_content_length": 10485760,
    "x_tocsin_date_added": "unique",
}
SETTLED: dict[str, object] = {
    "id": STATUS,
    "status": "complete",
    "request_timestamp": "2026-05-01T12:00:00.000000Z",
    "total_count": 2,
    "success_count": 1,
    "failure_count": 1,
    "pending_count": 0,
    "successes": [
        {
            "id": OBJECT,
            "version": MODIFIED,
            "message": "published",
            "x_tocsin_index": 0,
            "x_tocsin_verdict": "admitted",
            "x_tocsin_public_id": "indicator--1b6d2f7e-9a0c-5d43-8e21-77c0f4a6b352",
        }
    ],
    "failures": [
        {
            "id": "record--00000000-0000-4000-8000-000000000001",
            "version": "2026-05-01T12:00:00.000000Z",
            "message": "not taken: the object has no id",
            "x_tocsin_index": 1,
            "x_tocsin_verdict": "refused",
            "x_tocsin_findings": [
                {
                    "stage": "validate",
                    "rule": "schema",
                    "path": "id",
                    "action": "refused",
                    "message": "the object has no id",
                }
            ],
        }
    ],
    "x_tocsin_settled": True,
    "x_tocsin_counts": {"admitted": 1, "refused": 1},
}
PENDING: dict[str, object] = {
    "id": STATUS,
    "status": "pending",
    "request_timestamp": "2026-05-01T12:00:00.000000Z",
    "total_count": 25000,
    "success_count": 0,
    "failure_count": 0,
    "pending_count": 25000,
    "x_tocsin_settled": False,
    "x_tocsin_counts": {"pending": 25000},
}
