"""The endpoints: what each is for, what may be asked, all that may be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from tocsin.server.taxii import resources
from tocsin.server.taxii.content import MEDIA_TYPE, OPENAPI
from tocsin.server.taxii.openapi import answers, parameters, samples
from tocsin.server.taxii.openapi.schemas import Node, ref
from tocsin.server.taxii.query import Endpoint
from tocsin.server.taxii.routes import DISCOVERY

DESCRIPTION = "/openapi.json"
COLLECTION = f"{resources.ROOT}collections/{{collection}}/"
OBJECTS = f"{COLLECTION}objects/"
OBJECT = f"{OBJECTS}{{object_id}}/"

_HERE: Node = {"path.collection": "$request.path.collection"}
_THIS: Node = _HERE | {"path.object_id": "$request.path.object_id"}
"""Where the request before was, for the one that follows it."""

_ASKED = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_POSTED = (
    *_ASKED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    id: str
    tag: str
    summary: str
    success: tuple[str, Node]
    """Its status and what comes with it."""
    others: Node
    """Further answers by status."""
    parameters: tuple[Node, ...] = ()
    more: Node = field(default_factory=dict)

    def spelt(self) -> Node:
        """As OpenAPI writes it."""
        told: Node = {"operationId": self.id, "tags": [self.tag], "summary": self.summary}
        if self.parameters:
            told["parameters"] = list(self.parameters)
        status, answer = self.success
        return (
            told | self.more | {"responses": dict(sorted(({status: answer} | self.others).items()))}
        )

    def as_head(self) -> Operation:
        """The same, its answer without a body."""
        status, answer = self.success
        bare = {name: told for name, told in answer.items() if name not in ("content", "links")}
        id = self.id.replace("get", "head", 1)
        return replace(self, method="head", id=id, success=(status, bare))


def _read(id: str, tag: str, summary: str, answer: Node, *wrong: HTTPStatus) -> Operation:
    """A resource of its own: no query, but a tag."""
    others: Node = {"304": ref("NotModified", "responses")}
    others |= answers.errors(*wrong, *answers.ALWAYS)
    asked = _named("IfNoneMatch", "AcceptEncoding")
    return Operation("get", id, tag, summary, ("200", answer), others, asked)


def _page(endpoint: Endpoint, id: str, summary: str, schema: str, **examples: Node) -> Operation:
    """A page of a collection, and the way to the next one."""
    of_one = endpoint in (Endpoint.OBJECT, Endpoint.VERSIONS)
    following = {
        "operationId": id,
        "parameters": {"query.next": "$response.body#/next", **(_THIS if of_one else _HERE)},
        "description": "The following page, if `more` is true; with the same filters.",
    }
    page = answers.resource("A page, by date added.", schema, answers.PAGED, **examples)
    read = _read(id, "Collections", summary, page | {"links": {"next": following}}, *_ASKED)
    asked = (*parameters.of(endpoint), *_named("IfNoneMatch", "Prefer", "AcceptEncoding"))
    return replace(read, parameters=asked)


def _named(*names: str) -> tuple[Node, ...]:
    return tuple(ref(name, "parameters") for name in names)


def _discovery(opened_by: Sequence[Node]) -> Operation:
    answer = answers.resource(
        "Where the API root is.", "Discovery", ("ETag",), discovery=samples.DISCOVERY
    )
    read = _read("getDiscovery", "Server", "Discover the API root (section 4.1)", answer)
    return replace(read, more={"security": opened_by}) if opened_by else read


def _api_root() -> Operation:
    answer = answers.resource("What it can do.", "ApiRoot", ("ETag",), root=samples.API_ROOT)
    return _read("getApiRoot", "Server", "Describe the API root (section 4.2)", answer)


def _status() -> Operation:
    shown = {"settled": samples.SETTLED, "pending": samples.PENDING}
    answer = answers.resource("How far it is.", "Status", ("ETag",), **shown)
    summary = "Follow a submission of one's own organisation (section 4.3)"
    return _read("getStatus", "Submissions", summary, answer, HTTPStatus.NOT_FOUND)


def _collections() -> Operation:
    shown: dict[str, Node] = {"some": samples.COLLECTIONS, "none": {}}
    answer = answers.resource("All of them.", "Collections", ("ETag",), **shown)
    return _read("getCollections", "Collections", "List the collections (section 5.1)", answer)


def _collection() -> Operation:
    shown = {"collection": samples.COLLECTION}
    answer = answers.resource("As this account sees it.", "Collection", ("ETag",), **shown)
    summary = "Describe a collection (section 5.2)"
    return _read("getCollection", "Collections", summary, answer, HTTPStatus.NOT_FOUND)


def _manifest() -> Operation:
    summary = "List the objects of a collection without their content (section 5.3)"
    shown: dict[str, Node] = {"some": samples.MANIFEST, "none": {}}
    return _page(Endpoint.MANIFEST, "getManifest", summary, "Manifest", **shown)


def _objects() -> Operation:
    summary = "Read the objects of a collection (section 5.4)"
    shown = {"some": samples.ENVELOPE, "none": samples.LAST_ENVELOPE}
    return _page(Endpoint.OBJECTS, "getObjects", summary, "Envelope", **shown)


def _add_objects() -> Operation:
    shown = {"settled": samples.SETTLED, "pending": samples.PENDING}
    words = "Written down for good; what has become of it so far."
    links: Node = {"links": _links_of_a_submission()}
    content = {MEDIA_TYPE: {"schema": ref("NewObjects"), "example": samples.POSTED}}
    return Operation(
        "post",
        "addObjects",
        "Submissions",
        "Add objects to a collection (section 5.5)",
        ("202", answers.resource(words, "Status", (), **shown) | links),
        answers.errors(*_POSTED, *answers.ALWAYS),
        _named("ContentEncoding", "AcceptEncoding"),
        {"requestBody": {"required": True, "content": content}},
    )


def _links_of_a_submission() -> Node:
    """To its status; where what is posted is what is read, to its first object too."""
    first = _HERE | {"path.object_id": "$request.body#/objects/0/id"}
    words = "In a collection that the account may read as well."
    return {
        "status": {
            "operationId": "getStatus",
            "parameters": {"path.status_id": "$response.body#/id"},
            "description": "What has become of it since.",
        },
        "object": {"operationId": "getObject", "parameters": first, "description": words},
        "versions": {"operationId": "getVersions", "parameters": first, "description": words},
        "delete": {"operationId": "deleteObject", "parameters": first, "description": words},
    }


def _object() -> Operation:
    summary = "Read an object, or some versions of it (section 5.6)"
    shown = {"some": samples.ENVELOPE, "none": samples.LAST_ENVELOPE}
    return _page(Endpoint.OBJECT, "getObject", summary, "Envelope", **shown)


def _delete_object() -> Operation:
    return Operation(
        "delete",
        "deleteObject",
        "Collections",
        "Delete an object, or some versions of it (section 5.7)",
        ("200", {"description": "Gone; without a body.", "headers": answers.headers()}),
        answers.errors(*_ASKED, *answers.ALWAYS),
        parameters.of(Endpoint.DELETE),
    )


def _versions() -> Operation:
    summary = "List the versions of an object (section 5.8)"
    shown: dict[str, Node] = {"some": samples.VERSIONS, "none": {}}
    return _page(Endpoint.VERSIONS, "getVersions", summary, "Versions", **shown)


def _description() -> Operation:
    answer: Node = {
        "description": "This document.",
        "headers": answers.headers("ETag", rated=False),
        "content": {OPENAPI: {"schema": {"type": "object", "required": ["openapi"]}}},
    }
    read = _read("getDescription", "Server", "Read this description; open to anybody", answer)
    others: Node = {"304": ref("NotModified", "responses")}
    others |= answers.errors(HTTPStatus.INTERNAL_SERVER_ERROR)
    return replace(read, others=others, more={"security": []})


def paths(discovery: Sequence[Node] = ()) -> Node:
    """Every path with its methods; `discovery` is what opens that, if not what opens the rest."""
    told: Mapping[str, tuple[Operation, ...]] = {
        DISCOVERY: (_discovery(discovery),),
        resources.ROOT: (_api_root(),),
        f"{resources.ROOT}status/{{status_id}}/": (_status(),),
        f"{resources.ROOT}collections/": (_collections(),),
        COLLECTION: (_collection(),),
        f"{COLLECTION}manifest/": (_manifest(),),
        OBJECTS: (_objects(), _add_objects()),
        OBJECT: (_object(), _delete_object()),
        f"{OBJECT}versions/": (_versions(),),
        DESCRIPTION: (_description(),),
    }
    return {path: _item(path, operations) for path, operations in told.items()}


def _item(path: str, operations: tuple[Operation, ...]) -> Node:
    """A path: what stands in its braces, its methods, and HEAD beside GET."""
    braces = [ref(key, "parameters") for name, key in parameters.BRACES.items() if name in path]
    get, *others = operations
    every = (get, get.as_head(), *others)
    item: Node = {"parameters": braces} if braces else {}
    return item | {one.method: one.spelt() for one in every}
