"""`/healthz`, `/readyz` and `/metrics`, and the counting of all requests.

The first two can be read by everybody.  The metrics tell of the traffic of partners, so an operator
reads them, or every client that reaches the address set aside for them (decision 0062).
"""

from __future__ import annotations

import time
from http import HTTPStatus

import flask
import msgspec
from flask import request

from tocsin.admission.errors import NotAllowed, NotAuthenticated, ShareError
from tocsin.server.metrics import OTHER, Metrics
from tocsin.server.monitoring import TEXT_FORMAT, Monitor
from tocsin.server.taxii import resources
from tocsin.server.taxii.paging import PREFERENCE_APPLIED
from tocsin.server.taxii.protocols import TaxiiServices
from tocsin.server.taxii.request_context import request_context
from tocsin.server.taxii.routes import Endpoints

PATHS = ("/healthz", "/readyz", "/metrics")

_TEXT = "text/plain; charset=utf-8"
_BEGAN = "tocsin.began"
"""WSGI environ key: when this run of the application began, in seconds."""
_PAGES = frozenset({"taxii.objects", "taxii.object", "taxii.versions", "taxii.manifest"})
_FOLLOWED = "taxii.objects"
"""The endpoint by which pollers follow a collection."""


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


def count_requests(app: flask.Flask, metrics: Metrics) -> None:
    """Count each request of an application, before any other middleware is registered."""

    def begin() -> None:
        request.environ[_BEGAN] = time.perf_counter()

    def count(answer: flask.Response) -> flask.Response:
        seconds = time.perf_counter() - request.environ[_BEGAN]
        may_wait = PREFERENCE_APPLIED in answer.headers
        rule = request.url_rule
        route = OTHER if rule is None else rule.rule.rstrip("/")
        metrics.count_request(
            route, request.method, answer.status_code, None if may_wait else seconds
        )
        if request.endpoint in _PAGES and request.method == "GET":
            _count_page(answer, metrics)
        return answer

    app.before_request(begin)
    app.after_request(count)


def _count_page(answer: flask.Response, metrics: Metrics) -> None:
    context = request_context()
    if answer.status_code == HTTPStatus.OK:
        metrics.count_page(context.collection, context.objects or 0)
    elif answer.status_code != HTTPStatus.NOT_MODIFIED:
        return
    if request.endpoint == _FOLLOWED and context.is_complete and context.account is not None:
        metrics.note_caught_up(context.account.name, context.collection)
