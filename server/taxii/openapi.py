"""`/openapi.json`: the hub's OpenAPI 3.1 description, readable without a credential.

The document is `openapi.yaml`, written by hand; tests compare it with the routes, with the query
parameters and with real answers.  Here it gets what depends on the settings.  It contains
nothing secret and nothing about the hub's content.
"""

import functools
from collections.abc import Mapping
from copy import deepcopy
from importlib import resources
from typing import Any

import flask
import msgspec
import yaml

from tocsin.server.auth import AuthScheme
from tocsin.server.taxii.content import OPENAPI
from tocsin.server.taxii.protocols import TaxiiServices, TaxiiSettings

PATH = "/openapi.json"

Document = dict[str, Any]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def blueprint(services: TaxiiServices) -> flask.Blueprint:
    """The route that serves the description."""
    routes = flask.Blueprint("openapi", __name__)

    @functools.cache
    def body() -> bytes:
        return msgspec.json.encode(build_document(services.settings))

    @routes.get(PATH)
    def description() -> flask.Response:
        return flask.Response(body(), content_type=OPENAPI)

    return routes


def build_document(settings: TaxiiSettings) -> Document:
    """The description of a hub with these settings."""
    document = deepcopy(_template())
    for item in document["paths"].values():
        item["head"] = _head(item["get"])
    _set_limits(document, settings)
    _set_schemes(document, settings)
    return document


@functools.cache
def _template() -> Document:
    text = resources.files("tocsin.server.taxii").joinpath("openapi.yaml").read_text("utf-8")
    document: Document = yaml.load(text, _LOADER)  # noqa: S506  (safe either way)
    del document["x-shared"]
    return document


def _head(get: Mapping[str, Any]) -> Document:
    """The HEAD operation of a GET: the same answers, the successful one without a body."""
    success = {k: v for k, v in get["responses"]["200"].items() if k not in ("content", "links")}
    return {
        **get,
        "operationId": get["operationId"].replace("get", "head", 1),
        "responses": get["responses"] | {"200": success},
    }


def _set_limits(document: Document, settings: TaxiiSettings) -> None:
    components = document["components"]
    document["info"]["title"] = settings.title
    for node in (document["info"], components["parameters"]["limit"]):
        node["description"] = node["description"].format(
            max_content_length=settings.max_content_length,
            max_objects=settings.max_objects,
            page_size=settings.page_size,
            page_cap=settings.page_cap,
        )
    new_objects = components["schemas"]["NewObjects"]
    new_objects["properties"]["objects"]["maxItems"] = settings.max_objects


def _set_schemes(document: Document, settings: TaxiiSettings) -> None:
    """Name the enabled authentication schemes only; {} allows discovery without one."""
    enabled = [scheme.value for scheme in AuthScheme if scheme in settings.schemes]
    described = document["components"]["securitySchemes"]
    document["components"]["securitySchemes"] = {name: described[name] for name in enabled}
    document["security"] = [{name: []} for name in enabled]
    if settings.public_discovery:
        discovery = document["paths"]["/taxii2/"]
        for method in ("get", "head"):
            discovery[method]["security"] = [{}, *document["security"]]
