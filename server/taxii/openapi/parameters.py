"""What a request may say besides its path and body.

Which parameters an endpoint has is asked of `filters.KNOWN`, so that the
description cannot promise one that the door does not know.  A header named
Accept or Authorization is no parameter in OpenAPI: the types of the answers
and the security schemes stand for them.
"""

from tocsin.server.taxii import long_poll, query
from tocsin.server.taxii.content import CODINGS, TAKEN
from tocsin.server.taxii.openapi import samples
from tocsin.server.taxii.openapi.schemas import Node, listed, ref
from tocsin.server.taxii.query import Endpoint

_INSTANT: Node = {"type": "string", "format": "date-time"}
_WORD: Node = {"type": "string", "pattern": "^[^\\s,\\u001c-\\u001f\\u0085]+$"}
"""No comma and no blank of any kind."""


def _query(description: str, schema: Node, **more: object) -> Node:
    return {"in": "query", "description": description, "schema": schema, **more}


def _match(description: str, items: Node, **more: object) -> Node:
    """A match field: values joined by commas, any of which will do."""
    values = listed(items, maxItems=query.MAX_VALUES)
    return _query(description, values, style="form", explode=False, **more)


def _header(name: str, description: str, schema: Node, **more: object) -> Node:
    return {"name": name, "in": "header", "description": description, "schema": schema, **more}


_VERSION: Node = {
    "in": "query",
    "description": "Which versions: keywords, exact ones, or both, joined by commas. `last` if it "
    "is left out; at DELETE all of them. `all` stands alone.",
    "style": "form",
    "explode": False,
    "schema": {
        "type": "array",
        "minItems": 1,
        "maxItems": query.MAX_VALUES,
        "uniqueItems": True,
        "items": {"type": "string"},
        "anyOf": [
            {"maxItems": 1, "items": {"enum": ["all"]}},
            {"items": {"anyOf": [{"enum": ["first", "last"]}, _INSTANT]}},
        ],
    },
    "example": ["first", "last"],
}

QUERY: dict[str, Node] = {
    query.ADDED_AFTER: _query(
        "Only what was added to this collection after this instant.",
        _INSTANT,
        example=samples.ADDED,
    ),
    query.NEXT: _query(
        "Where the page before stopped, as its `next` says; with the same filters.",
        {"type": "string", "minLength": 1},
    ),
    query.ID: _match("Only objects with these ids.", _WORD, example=[samples.OBJECT]),
    query.TYPE: _match(
        "Only objects of these types.",
        _WORD,
        example=["indicator", "malware"],
    ),
    query.SPEC: _match(
        "Only objects of these STIX versions; the latest that each object has here if it is "
        "left out.",
        _WORD,
        example=["2.1"],
    ),
    query.VERSION: _VERSION,
}
"""The parameters of `filters` by name; `limit` depends on the hub."""

IF_NONE_MATCH = _header(
    "If-None-Match",
    "The `ETag` of the answer that you have: 304 if it still holds.",
    {"type": "string"},
    example=samples.TAG,
)
PREFER = _header(
    "Prefer",
    "`wait=N` puts an answer without news off for up to N seconds, at most "
    f"{long_poll.LONGEST} (RFC 7240). Other preferences are ignored.",
    {"type": "string"},
    example="wait=20",
)
ACCEPT_ENCODING = _header(
    "Accept-Encoding",
    f"Codings of the answer; {' and '.join(CODINGS)} are known, and none is used unasked.",
    {"type": "string"},
    example=TAKEN,
)
CONTENT_ENCODING = _header(
    "Content-Encoding",
    "How the body was made shorter; in any case of letters, and empty if it was not.",
    {"type": "string", "enum": [TAKEN, "identity", ""]},
)
HEADERS: Node = {
    "IfNoneMatch": IF_NONE_MATCH,
    "Prefer": PREFER,
    "AcceptEncoding": ACCEPT_ENCODING,
    "ContentEncoding": CONTENT_ENCODING,
}

PATH: Node = {
    "Collection": {
        "name": "collection",
        "in": "path",
        "required": True,
        "description": "The id of a collection, or its alias.",
        "schema": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
        "example": samples.ALIAS,
    },
    "ObjectId": {
        "name": "object_id",
        "in": "path",
        "required": True,
        "description": "The id of a STIX object.",
        "schema": ref("StixId"),
        "example": samples.OBJECT,
    },
    "StatusId": {
        "name": "status_id",
        "in": "path",
        "required": True,
        "description": "The `id` of a status, as the answer to a POST tells it.",
        "schema": ref("Identifier"),
        "example": samples.STATUS,
    },
}

BRACES = {
    "{collection}": "Collection",
    "{object_id}": "ObjectId",
    "{status_id}": "StatusId",
}
"""Which parameter stands for what is in braces in a path."""


def components(page_size: int, page_cap: int) -> Node:
    """Every parameter, by the name under which it is referred to."""
    limit = _query(
        f"Entries of a page; {page_size} if it is left out, never more than {page_cap}.",
        {"type": "integer", "minimum": 1},
        example=20,
    )
    known = QUERY | {query.LIMIT: limit}
    names = sorted(frozenset().union(*query.KNOWN.values()))
    return PATH | HEADERS | {_key(name): {"name": name, **_told(name, known)} for name in names}


def of(endpoint: Endpoint) -> tuple[Node, ...]:
    """The query parameters of an endpoint."""
    return tuple(ref(_key(name), "parameters") for name in sorted(query.KNOWN[endpoint]))


def _told(name: str, known: dict[str, Node]) -> Node:
    """A filter that has no words of its own here is a match field like others."""
    other = f"Only objects whose {name[6:-1]} is one of these values (TAXII 2.1 interoperability)."
    return known[name] if name in known else _match(other, _WORD)


def _key(name: str) -> str:
    return name.replace("[", ".").rstrip("]")
