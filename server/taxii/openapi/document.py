"""The description put together, and the path where it is served."""

import flask
import msgspec

from tocsin.server.auth import AuthScheme
from tocsin.server.taxii.content import MEDIA_TYPE, OPENAPI
from tocsin.server.taxii.openapi import (
    answers,
    operations,
    parameters,
    schemas,
)
from tocsin.server.taxii.openapi.schemas import Node
from tocsin.server.taxii.protocols import TaxiiServices, TaxiiSettings

VERSION = "1.0.0"
"""Of the description; TAXII's own is 2.1."""

_ABOUT = f"""\
A TAXII 2.1 server (OASIS Standard, 10 June 2021).

- Paths end in a slash; without it they are served too.
- `Accept` may be left out; {MEDIA_TYPE} is what is answered, errors included.
- Match fields that an endpoint does not know are ignored and named in
  `X-Tocsin-Ignored-Filters`; at DELETE they are refused.
- Methods that are not described are answered with 405 and `Allow`; OPTIONS is served everywhere.
- `ETag` and `Prefer: wait=N` make polls cheap: ask with `added_after` = the last
  `X-TAXII-Date-Added-Last`.
"""


def blueprint(hub: TaxiiServices) -> flask.Blueprint:
    """Serves the description, to anybody."""
    octets = msgspec.json.encode(document(hub.settings))
    paths = flask.Blueprint("openapi", __name__)

    @paths.get(operations.DESCRIPTION)
    def description() -> flask.Response:
        return flask.Response(octets, content_type=OPENAPI)

    return paths


def document(settings: TaxiiSettings) -> Node:
    """The description of a hub with these settings."""
    schemes = [scheme for scheme in AuthScheme if scheme in settings.schemes]
    security: list[Node] = [{scheme.value: []} for scheme in schemes]
    return {
        "openapi": "3.1.0",
        "info": _info(settings),
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "security": security,
        "tags": [
            {"name": "Server", "description": "What is here."},
            {"name": "Collections", "description": "Reading, and deleting where it is allowed."},
            {"name": "Submissions", "description": "Adding, and what became of it."},
        ],
        "paths": operations.paths([{}, *security] if settings.public_discovery else ()),
        "components": {
            "schemas": schemas.schemas(settings.max_objects),
            "parameters": parameters.components(settings.page_size, settings.page_cap),
            "headers": answers.HEADERS,
            "responses": answers.components(),
            "securitySchemes": {scheme.value: _SCHEMES[scheme] for scheme in schemes},
        },
    }


def _info(settings: TaxiiSettings) -> Node:
    limits = (
        f"A body has at most {settings.max_content_length} octets, an envelope "
        f"{settings.max_objects} objects, a page {settings.page_cap} entries."
    )
    return {
        "title": settings.title,
        "summary": "TAXII 2.1: threat indicators, shared",
        "description": _ABOUT + limits,
        "version": VERSION,
    }


_SCHEMES: dict[AuthScheme, Node] = {
    AuthScheme.BASIC: {
        "type": "http",
        "scheme": "basic",
        "description": "The account and its key (RFC 7617).",
    },
    AuthScheme.BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "The key, or `account:key` (RFC 6750).",
    },
    AuthScheme.CERTIFICATE: {
        "type": "mutualTLS",
        "description": "A client certificate that is registered with an account.",
    },
}
