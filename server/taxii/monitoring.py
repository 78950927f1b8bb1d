"""`/healthz`, `/readyz` and `/metrics`.

The first two can be read by everybody.  The metrics tell of the traffic of partners, so an operator
reads them, or every client that reaches the address set aside for them (decision 0062).
"""

from __future__ import annotations

from http import HTTPStatus

import flask
import msgspec
from werkzeug.exceptions import HTTPException

from tocsin.admission.errors import NotAllowed, NotAuthenticated, ShareError
from tocsin.server.monitoring import TEXT_FORMAT, Monitor
from tocsin.server.taxii import resources
from tocsin.server.taxii.protocols import TaxiiServices
from tocsin.server.taxii.request_context import request_context
from tocsin.server.taxii.routes import Endpoints

PATHS = ("/healthz", "/readyz", "/metrics")

_TEXT = "text/plain; charset=utf-8"


def blueprint(monitor: Monitor, services: TaxiiServices | None = None) -> flask.Blueprint:
    """The routes; with `services`, only an operator reads the metrics."""
    routes = flask.Blueprint("monitoring", __name__)
    endpoints = None if services is None else Endpoints(services)

    @routes.get("/healthz")
    def healthz() -> flask.Response:
        return _answer(b"ok\n", _TEXT)

    @routes.get("/readyz")
    def readyz() -> flask.Response:
        checks = monitor.check()
        ready = all(checks.values())
        body = {"ready": ready, "checks": checks}
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _answer(msgspec.json.encode(body), "application/json", status)

    @routes.get("/metrics")
    def metrics() -> flask.Response:
        if endpoints is not None:
            endpoints.authenticate()
            if not request_context().authenticated.operator:
                raise NotAllowed("only an operator may read the metrics")
        return _answer(monitor.format_metrics(), TEXT_FORMAT)

    routes.register_error_handler(ShareError, _answer_share_error)
    return routes


def answer_http_error(error: HTTPException) -> flask.Response:
    """An error of Flask itself as plain text, with its own headers, such as `Allow`."""
    answer = _answer(f"{error.name}\n".encode(), _TEXT, error.code or HTTPStatus.BAD_REQUEST)
    for name, value in error.get_headers():
        if name != "Content-Type":
            answer.headers[name] = value
    return answer


def _answer(body: bytes, content_type: str, status: int = HTTPStatus.OK) -> flask.Response:
    answer = flask.Response(body, status, content_type=content_type)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _answer_share_error(error: ShareError) -> flask.Response:
    answer = _answer(f"{error}\n".encode(), _TEXT, resources.http_status(error))
    if isinstance(error, NotAuthenticated):
        answer.headers["WWW-Authenticate"] = 'Basic realm="metrics", charset="UTF-8"'
    return answer
