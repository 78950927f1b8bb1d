"""What the hub answers: each status with its headers, its type and an example."""

from http import HTTPStatus

from tocsin.server.taxii import content as coding
from tocsin.server.taxii import resources
from tocsin.server.taxii.content import MEDIA_TYPE
from tocsin.server.taxii.openapi import samples
from tocsin.server.taxii.openapi.schemas import Node, ref
from tocsin.server.taxii.paging import APPLIED, IGNORED


def _header(description: str, example: str, schema: Node | None = None, **more: object) -> Node:
    told = schema or {"type": "string", "minLength": 1}
    return {"description": description, "schema": told, "example": example, **more}


_COMMON: Node = {
    "X-Request-Id": _header(
        "Names this request in the log.",
        samples.REQUEST,
        {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        required=True,
    ),
    "Cache-Control": _header("Answers are for one account.", "private, no-cache", required=True),
    "Vary": _header("What else decides the octets.", "Accept-Encoding", required=True),
    "Content-Encoding": _header(
        "The coding of a body that is worth one.",
        coding.GZIP,
        {"type": "string", "enum": list(coding.CODINGS)},
    ),
}
_RATED: Node = {
    "RateLimit-Policy": _header(
        "How often this account may ask: `q` requests in `w` seconds.", '"account";q=600;w=60'
    ),
    "RateLimit": _header(
        "What this account has left: `r` requests now, all again in `t` seconds.",
        '"account";r=599;t=1',
    ),
}
_SPECIFIC: Node = {
    "ETag": _header("Names this answer; for If-None-Match.", samples.TAG, required=True),
    "X-TAXII-Date-Added-First": _header(
        "When the first entry of this page was added. An empty page tells `added_after` here and "
        "in `-Last`, or neither.",
        samples.ADDED,
        ref("Timestamp"),
    ),
    "X-TAXII-Date-Added-Last": _header(
        "When the last entry of this page was added: the next `added_after`.",
        samples.ADDED,
        ref("Timestamp"),
    ),
    IGNORED: _header(
        "Match fields that this endpoint does not know; the answer is as without them.",
        "match[name]",
    ),
    APPLIED: _header(
        "For how long the hub was ready to wait.",
        "wait=20",
        {"type": "string", "pattern": "^wait=[0-9]+$"},
    ),
    "Retry-After": _header(
        "Seconds after which to ask again.",
        "5",
        {"type": "integer", "minimum": 1},
        required=True,
    ),
    "WWW-Authenticate": _header(
        "The schemes that are taken.", 'Basic realm="Tocsin", charset="UTF-8"', required=True
    ),
    "Accept-Encoding": _header("The coding of a body that is taken.", coding.TAKEN),
    "Allow": _header("The methods of this path.", "GET, HEAD, OPTIONS", required=True),
}
HEADERS: Node = _COMMON | _RATED | _SPECIFIC

PAGED = ("ETag", "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last", IGNORED, APPLIED)
"""Of a page of a collection."""

_WORDS: dict[HTTPStatus, tuple[str, tuple[str, ...]]] = {
    HTTPStatus.BAD_REQUEST: ("Malformed; the description names the part.", ()),
    HTTPStatus.UNAUTHORIZED: ("No valid credential.", ("WWW-Authenticate",)),
    HTTPStatus.FORBIDDEN: ("This account may see the collection, but not do this.", ()),
    HTTPStatus.NOT_FOUND: ("Not here, or this account may not know of it.", ()),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "Not served by this method; given for all methods that are not described.",
        ("Allow",),
    ),
    HTTPStatus.NOT_ACCEPTABLE: (f"`Accept` does not allow {MEDIA_TYPE}.", ()),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("Longer than `max_content_length`.", ()),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        "Content-Type or Content-Encoding is not one that is taken.",
        ("Accept-Encoding",),
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("JSON, but no envelope with objects.", ()),
    HTTPStatus.TOO_MANY_REQUESTS: ("This account has asked too often.", ("Retry-After",)),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("A fault of the hub; `error_id` names it.", ()),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Not now: the store is away or busy.", ("Retry-After",)),
}
_UNKNOWN_ACCOUNT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.INTERNAL_SERVER_ERROR)
ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""Errors that every endpoint may answer with."""


def headers(*names: str, rated: bool = True) -> Node:
    """References to the headers that an answer may have."""
    every = (*names, *_COMMON, *(_RATED if rated else ()))
    return {name: ref(name, "headers") for name in every}


def resource(description: str, schema: str, tagged: tuple[str, ...], **examples: Node) -> Node:
    """An answer with a resource in it."""
    shown = {name: {"value": value} for name, value in examples.items()}
    content = {MEDIA_TYPE: {"schema": ref(schema), "examples": shown}}
    return {"description": description, "headers": headers(*tagged), "content": content}


def errors(*statuses: HTTPStatus) -> Node:
    """References to errors, by status."""
    return {str(each.value): ref(_key(each), "responses") for each in statuses}


def components() -> Node:
    """Answers that several endpoints share."""
    told: Node = {_key(status): _error(status) for status in _WORDS}
    told["NotModified"] = {
        "description": "What you have still holds; without a body.",
        "headers": headers("ETag", APPLIED),
    }
    return told


def _error(status: HTTPStatus) -> Node:
    words, names = _WORDS[status]
    inside = status is HTTPStatus.INTERNAL_SERVER_ERROR
    example = resources.error(status, "" if inside else words, samples.REQUEST if inside else "")
    content = {MEDIA_TYPE: {"schema": ref("Error"), "example": example}}
    rated = status not in _UNKNOWN_ACCOUNT
    return {"description": words, "headers": headers(*names, rated=rated), "content": content}


def _key(status: HTTPStatus) -> str:
    return "".join(part.capitalize() for part in status.name.split("_"))
