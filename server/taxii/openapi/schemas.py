"""The TAXII resources as schemas (JSON Schema 2020-12, as OpenAPI 3.1 has it).

They leave room for properties that a later version may add, as TAXII does;
what is there now is described whole, and lists are never empty
(TAXII 2.1 section 2).
"""

from tocsin.server.taxii.content import MEDIA_TYPE, STIX

Node = dict[str, object]
"""A part of the description."""

_DATE = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_UUID = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
_STIX_TYPES = [f"{STIX};version=2.0", f"{STIX};version=2.1"]
_MAX_COUNT = 2**53 - 1
"""TAXII's integers (section 2)."""


def ref(name: str, kind: str = "schemas") -> Node:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def listed(items: Node, **more: object) -> Node:
    """A list of at least one element."""
    return {"type": "array", "minItems": 1, "items": items, **more}


def _text(description: str, **more: object) -> Node:
    return {"type": "string", "description": description, **more}


def _resource(description: str, required: str, properties: Node, **more: object) -> Node:
    return {
        "type": "object",
        "description": description,
        "required": required.split(),
        "properties": properties,
        **more,
    }


_COUNT: Node = {"type": "integer", "minimum": 0, "maximum": _MAX_COUNT}
_NEXT: Node = _text("Opaque: the query parameter `next` of the following page.", minLength=1)
_MORE: Node = {"type": "boolean", "description": "Whether anything is left after this page."}
_PAGED: Node = {"more": _MORE, "next": _NEXT}

SCALARS: Node = {
    "Identifier": _text(
        "A UUID of version 4 (TAXII 2.1 section 2).",
        format="uuid",
        pattern="^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    ),
    "Timestamp": _text(
        "UTC with exactly six decimals (TAXII 2.1 section 2).",
        format="date-time",
        pattern=f"^{_DATE}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{{6}}Z$",
    ),
    "StixId": _text(
        "An object's type, two hyphens and a UUID.",
        pattern=f"^[A-Za-z][A-Za-z0-9-]{{1,248}}[A-Za-z0-9]--{_UUID}$",
    ),
    "StixVersion": _text(
        "The object's `modified`, else its `created`, as its author wrote it; of an object "
        "without either the date at which it was first added.",
        format="date-time",
    ),
}

ROOTS: Node = {
    "Error": _resource(
        "An error message (TAXII 2.1 section 3.6.1).",
        "title http_status",
        {
            "title": _text("The status in words.", minLength=1),
            "http_status": _text("The status in digits.", pattern="^[45][0-9]{2}$"),
            "description": _text("What was wrong, and what to do.", minLength=1),
            "error_id": _text("Where the operator finds it in the log.", pattern="^[0-9a-f]{16}$"),
        },
    ),
    "Discovery": _resource(
        "What this server offers (TAXII 2.1 section 4.1.1).",
        "title default api_roots",
        {
            "title": _text("The name of the hub.", minLength=1),
            "description": _text("More about it.", minLength=1),
            "contact": _text("Whom to ask.", minLength=1),
            "default": _text("The API root to use; relative to this server.", pattern="^/[^/]"),
            "api_roots": listed(_text("A path.", pattern="^/[^/]")),
        },
    ),
    "ApiRoot": _resource(
        "What this API root can do (TAXII 2.1 section 4.2.1).",
        "title versions max_content_length",
        {
            "title": _text("The name of the hub.", minLength=1),
            "description": _text("More about it.", minLength=1),
            "versions": listed(_text("A media type.", enum=[MEDIA_TYPE])),
            "max_content_length": {
                **_COUNT,
                "minimum": 1,
                "description": "The longest body of a POST, in octets, also once it is unpacked.",
            },
            "x_tocsin_date_added": _text(
                "Stamps are unique and increase in the order in which entries become visible, so "
                "that `added_after` alone loses nothing.",
                enum=["unique"],
            ),
        },
    ),
    "Collection": _resource(
        "A collection as this account sees it (TAXII 2.1 section 5.2.1).",
        "id title can_read can_write",
        {
            "id": ref("Identifier"),
            "title": _text("Its name.", minLength=1),
            "description": _text("More about it.", minLength=1),
            "alias": _text("May stand in a path in place of the id.", minLength=1),
            "can_read": {"type": "boolean"},
            "can_write": {"type": "boolean"},
            "media_types": listed({"type": "string", "enum": _STIX_TYPES}, uniqueItems=True),
        },
    ),
    "Collections": {
        "type": "object",
        "description": "What this account may see, by ascending id (TAXII 2.1 section 5.1.1); "
        "without the property if that is nothing.",
        "properties": {"collections": listed(ref("Collection"))},
    },
}

CONTENT: Node = {
    "StixObject": _resource(
        "A STIX object; what else it has is told by STIX.",
        "type id",
        {
            "type": _text("Its type.", pattern="^[a-z][a-z0-9-]{1,248}[a-z0-9]$"),
            "id": ref("StixId"),
            "spec_version": _text("Absent in STIX 2.0.", enum=["2.0", "2.1"]),
            "created": _text("When its author made it.", format="date-time"),
            "modified": _text("When its author changed it last.", format="date-time"),
        },
    ),
    "Envelope": _resource(
        "A page of objects (TAXII 2.1 section 3.7); without `objects` if there are none.",
        "more",
        _PAGED | {"objects": listed(ref("StixObject"))},
        **{"if": {"properties": {"more": {"const": True}}}, "then": {"required": ["next"]}},
        dependentRequired={"next": ["objects"]},
    ),
    "ManifestRecord": _resource(
        "One version of an object, without the object (TAXII 2.1 section 5.3.1).",
        "id date_added version media_type",
        {
            "id": ref("StixId"),
            "date_added": ref("Timestamp"),
            "version": ref("StixVersion"),
            "media_type": {"type": "string", "enum": _STIX_TYPES},
        },
    ),
    "Manifest": {
        "type": "object",
        "description": "A page of records; empty if there are none.",
        "properties": _PAGED | {"objects": listed(ref("ManifestRecord"))},
        "dependentRequired": {"next": ["objects"], "objects": ["more"]},
    },
    "Versions": {
        "type": "object",
        "description": "A page of an object's versions, in the order in which they were added "
        "(TAXII 2.1 section 5.8.1); empty if there are none.",
        "properties": _PAGED | {"versions": listed(ref("StixVersion"))},
        "dependentRequired": {"next": ["versions"], "versions": ["more"]},
    },
}

_VERDICTS = ["admitted", "merged", "duplicate", "held", "refused", "pending"]
STATUS: Node = {
    "Finding": _resource(
        "What was seen in an object and done about it; never what was removed.",
        "stage rule path action message",
        {
            "stage": _text("The part of admission that saw it."),
            "rule": _text("The rule that says so."),
            "path": _text("Where in the object; empty: the whole."),
            "action": _text("What was done."),
            "message": _text("The same in a sentence."),
        },
    ),
    "StatusDetails": _resource(
        "What became of one object (TAXII 2.1 section 4.3.1).",
        "id version message x_tocsin_index x_tocsin_verdict",
        {
            "id": {
                **ref("StixId"),
                "description": "As sent. An object without an id that could be read is `record--` "
                "and a UUID that ends in its place in the envelope, in twelve digits.",
            },
            "version": {
                **ref("StixVersion"),
                "description": "As sent; of an object without one the time of receipt.",
            },
            "message": _text("The verdict and its reasons, for a person.", minLength=1),
            "x_tocsin_index": {**_COUNT, "description": "Its place in the envelope, from 0."},
            "x_tocsin_verdict": _text("What was decided.", enum=_VERDICTS),
            "x_tocsin_public_id": {
                **ref("StixId"),
                "description": "The id under which it is published.",
            },
            "x_tocsin_findings": listed(ref("Finding")),
        },
    ),
    "Status": _resource(
        "How far a submission has come (TAXII 2.1 section 4.3.1). `pending` until each object is "
        "a success or a failure; those that an analyst has to decide about are pending.",
        "id status total_count success_count failure_count pending_count",
        {
            "id": ref("Identifier"),
            "status": _text("Whether anything can change yet.", enum=["complete", "pending"]),
            "request_timestamp": ref("Timestamp"),
            **{f"{each}_count": _COUNT for each in ("total", "success", "failure", "pending")},
            **{each: listed(ref("StatusDetails")) for each in ("successes", "failures")},
            "pendings": listed(ref("StatusDetails")),
            "x_tocsin_settled": {
                "type": "boolean",
                "description": "Whether each object has its verdict, `held` included.",
            },
            "x_tocsin_counts": {
                "type": "object",
                "description": "Objects by verdict.",
                "propertyNames": {"enum": _VERDICTS},
                "additionalProperties": {**_COUNT, "minimum": 1},
            },
        },
    ),
}


def schemas(max_objects: int) -> Node:
    """Every schema by name; `max_objects` may come in one envelope."""
    posted = _resource(
        "Objects to add (TAXII 2.1 section 3.7). An object that is not taken is a failure in "
        "the status and does not spoil the others; other properties are ignored.",
        "objects",
        {"objects": listed(ref("StixObject"), maxItems=max_objects)},
    )
    return SCALARS | ROOTS | CONTENT | {"NewObjects": posted} | STATUS
